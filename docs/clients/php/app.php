<?php // A whole application: it creates users, and takes orders that it undoes when the card is declined.
require __DIR__ . '/atomic.php';

const OPTIONS = ['retry' => ['count' => 10, 'backOff' => 200], 'attemptTimeout' => 5000];
const BEGIN = ['prefer' => 'respond-async']; // do not wait

// -- Creating a user ------------------------------------------------------------------------------

// Your application's API: starts the workflow, and does not wait for it. Who waits holds a worker.
function createUserEndpoint(object $user): array {
    $key = $user->idempotencyKey;
    unset($user->idempotencyKey);
    $begun = postWorkflow('createUser', '/workflows/userCreation/index', $key, $user, BEGIN);
    return ['run' => $begun->id, 'user' => $begun->response ?? null];
}

// The workflow. It runs from its top whenever Atomic calls it; steps that have ended do not.
function createUserWorkflow(object $call): object {
    $steps = '/workflows/userCreation/steps';
    $user = performWorkflowStep("$steps/createUser", $call->idempotencyKey, $call->payload, OPTIONS)->response;
    // Side by side: begin both, then wait for each.
    foreach ([BEGIN, []] as $wait) {
        performWorkflowStep("$steps/sendEmail", $call->idempotencyKey, $user, $wait + OPTIONS);
        performWorkflowStep("$steps/sendAnalytics", $call->idempotencyKey, $user, $wait + OPTIONS);
    }
    return $user;
}

// Its steps.
function createUserDBStep(object $call): object {
    $call->payload->userId = bin2hex(random_bytes(8));
    return once('users', $call->payload);
}

function createUserEmailStep(object $call): object {
    return once('mails', ['to' => $call->payload->email, 'text' => "Welcome, {$call->payload->userName}"]);
}

function createUserAnalyticsStep(object $call): object {
    return once('analytics', ['event' => "user {$call->payload->userId} created"]);
}

// -- Taking an order ------------------------------------------------------------------------------

// A workflow that undoes what it did. It is called with suspend: it waits for no step.
function orderWorkflow(object $call): array {
    $steps = '/workflows/order/steps';
    performWorkflowStep("$steps/reserveStock", $call->idempotencyKey, $call->payload, OPTIONS);
    try {
        $charge = ['retry' => ['stopOn' => [402]]] + OPTIONS;
        performWorkflowStep("$steps/chargeCard", $call->idempotencyKey, $call->payload, $charge);
    } catch (StepFailed $failed) {
        if (($failed->problem->lastAttempt->httpStatus ?? 0) !== 402) throw $failed;
        performWorkflowStep("$steps/releaseStock", $call->idempotencyKey, $call->payload, OPTIONS);
        return ['status' => 'declined'];
    }
    return ['status' => 'confirmed'];
}

function reserveStockStep(object $call): void {
    touch(row('reserved', $call->payload->item));
}

function releaseStockStep(object $call): void {
    @unlink(row('reserved', $call->payload->item));
}

function chargeCardStep(object $call): object {
    if ($call->payload->card === 'declined') throw new Exception('card declined', 402);
    return once('charges', $call->payload);
}

// -- The database ---------------------------------------------------------------------------------

// A folder for each table, in it a file for each effect, named by its step's key: the same at every
// attempt, and of no other step. A file comes into being whole and once: the effect and the note that
// it was done are one.
const TABLES = ['users', 'mails', 'analytics', 'reserved', 'charges'];

function row(string $table, string $name): string {
    $folder = (getenv('APP_DATA') ?: __DIR__ . '/data') . "/$table";
    if (!is_dir($folder)) @mkdir($folder, 0700, true);
    return $folder . '/' . rawurlencode($name);
}

function once(string $table, mixed $effect): object {
    $file = row($table, $_SERVER['HTTP_IDEMPOTENCY_KEY']);
    $draft = row('drafts', bin2hex(random_bytes(8)));
    file_put_contents($draft, json_encode($effect, JSON_THROW_ON_ERROR));
    @link($draft, $file); // fails where it is there already
    unlink($draft);
    return json_decode(file_get_contents($file));
}

function rows(string $table): int {
    return count(array_diff(scandir(row($table, '')), ['.', '..']));
}

// -- HTTP -----------------------------------------------------------------------------------------

match (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    '/users' => answer('createUserEndpoint'),
    '/workflows/userCreation/index' => answerCall('createUserWorkflow'),
    '/workflows/userCreation/steps/createUser' => answerCall('createUserDBStep'),
    '/workflows/userCreation/steps/sendEmail' => answerCall('createUserEmailStep'),
    '/workflows/userCreation/steps/sendAnalytics' => answerCall('createUserAnalyticsStep'),
    '/workflows/order/index' => answerCall('orderWorkflow', suspend: true),
    '/workflows/order/steps/reserveStock' => answerCall('reserveStockStep'),
    '/workflows/order/steps/chargeCard' => answerCall('chargeCardStep'),
    '/workflows/order/steps/releaseStock' => answerCall('releaseStockStep'),
    '/' => print(json_encode(array_combine(TABLES, array_map('rows', TABLES)))),
    default => http_response_code(404),
};
