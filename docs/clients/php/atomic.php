<?php // Atomic's helper: copy it into your application. PHP 8.1 or newer with its extension curl.
/** The step failed for good, or was cancelled: an outcome. Compensate on this, and on nothing else. */
class StepFailed extends Exception { public function __construct(public object $problem) { parent::__construct($problem->detail, 424); } }

/** Starts the workflow at $path of this application, or joins it, and waits for its outcome. */
function postWorkflow(string $name, string $path, string $key, mixed $payload, array $options = []): object {
    $options += ['client' => getenv('ATOMIC_CLIENT') ?: 'default', 'parent' => '', 'prefer' => ''];
    $post = array_diff_key($options, ['client' => 0, 'parent' => 0, 'prefer' => 0]) + ['workflowName' => $name, 'idempotencyKey' => $key,
        'stepInvokeUrl' => (getenv('APP_URL') ?: 'http://127.0.0.1:9000') . $path, 'payload' => $payload];
    $curl = curl_init((getenv('ATOMIC_URL') ?: 'http://127.0.0.1:8420') . "/$options[client]");
    $headers = ['Content-Type: application/json', "Atomic-Parent: $options[parent]", "Prefer: $options[prefer]"];
    if ($file = getenv('ATOMIC_TOKEN_FILE')) $headers[] = 'Authorization: Bearer ' . trim(fgets(fopen($file, 'r')));
    curl_setopt_array($curl, [CURLOPT_POSTFIELDS => json_encode($post, JSON_THROW_ON_ERROR), CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true, CURLOPT_PROXY => '']);
    $answer = json_decode((string) curl_exec($curl)) ?? (object) [];
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    if ($status === 200 || $status === 202) return $answer; // 202, with `prefer` alone: recorded, no response yet
    if ($status === 424 || ($answer->type ?? '') === '/problems/run-cancelled') throw new StepFailed($answer);
    throw new Exception("Atomic answered $status: " . ($answer->detail ?? curl_error($curl)), 503); // let it out
}
/** Performs a step of the workflow that is being answered, and waits for its outcome. */
function performWorkflowStep(string $path, string $key, mixed $payload, array $options = []): object {
    $told = ['client' => $_SERVER['HTTP_ATOMIC_CLIENT'], 'parent' => $_SERVER['HTTP_ATOMIC_PARENT'], 'prefer' => $_SERVER['HTTP_PREFER'] ?? ''];
    $outcome = postWorkflow($_SERVER['HTTP_ATOMIC_WORKFLOW'], $path, $key, $payload, $options + $told);
    if (property_exists($outcome, 'response') || isset($options['prefer'])) return $outcome;
    header('Atomic-Suspend: true');
    throw new Exception('a step is open', 503);
}
/** Answers a call of Atomic with what $work returns. suspend: true: no step is waited for. */
function answerCall(callable $work, bool $suspend = false): void {
    $_SERVER['HTTP_PREFER'] = $suspend ? 'respond-async' : '';
    answer(fn ($call) => signed(file_get_contents('php://input')) ? $work($call) : throw new Exception('Atomic has not signed this', 401));
}
/** Answers anybody with what $work returns. */
function answer(callable $work): void {
    try {
        $answer = $work(json_decode(file_get_contents('php://input'), flags: JSON_THROW_ON_ERROR));
    } catch (Throwable $error) { // a code that is a status of HTTP is answered, any other is 500
        [$code, $answer] = [$error->getCode(), ['error' => $error->getMessage()]];
        http_response_code(in_array($code, range(400, 599), true) ? $code : 500);
        if (http_response_code() === 500) error_log((string) $error);
    }
    header('Content-Type: application/json');
    echo json_encode($answer);
}
/** Whether Atomic has signed a call, by one of our secrets and in the last five minutes; without a file of them, yes. */
function signed(string $body): bool {
    if (!$file = getenv('ATOMIC_SIGNING_SECRET_FILE')) return true;
    [$id, $at, $given] = array_map(fn ($it) => $_SERVER["HTTP_WEBHOOK_$it"] ?? '', ['ID', 'TIMESTAMP', 'SIGNATURE']);
    if (!preg_match('/^[0-9]{1,12}$/D', $at) || abs(time() - (int) $at) > 300) return false;
    preg_match_all('/^whsec_([A-Za-z0-9+\/]{32,}=*)$/m', file_get_contents($file), $secrets);
    foreach ($secrets[1] as $secret) foreach (explode(' ', $given) as $one) {
        $good = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", base64_decode($secret), true));
        if (hash_equals($good, $one)) return true;
    }
    return false;
}
