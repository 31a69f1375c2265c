// A whole application: it creates users, and takes orders that it undoes when the card is declined.
import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { answerCall, performWorkflowStep, postWorkflow, StepFailed, type Call } from "./atomic.js";

const { APP_HOST = "127.0.0.1", APP_PORT = "9000", APP_DATA = "data" } = process.env;
const options = { retry: { count: 10, backOff: 200 }, attemptTimeout: 5000 };

// -- Creating a user ------------------------------------------------------------------------------

// Your application's API: starts the workflow, and waits for it, up to 8 s.
async function createUserEndpoint({ idempotencyKey, ...user }: { idempotencyKey: string }) {
  const path = "/workflows/userCreation/index";
  const created = await postWorkflow("createUser", path, idempotencyKey, user, { timeout: 8000 });
  return { run: created.id, user: created.response };
}

// The workflow. It runs from its top whenever Atomic calls it; steps that have ended do not.
async function createUserWorkflow({ idempotencyKey, payload }: Call) {
  const steps = "/workflows/userCreation/steps";
  const user = await performWorkflowStep(`${steps}/createUser`, idempotencyKey, payload, options);
  await Promise.all([
    performWorkflowStep(`${steps}/sendEmail`, idempotencyKey, user.response, options),
    performWorkflowStep(`${steps}/sendAnalytics`, idempotencyKey, user.response, options),
  ]);
  return user.response;
}

// Its steps. `key` is the step's own: the same at every attempt, and of no other step.
async function createUserDBStep({ payload }: Call, key: string) {
  return once(key, "users", { ...payload, userId: randomUUID() });
}

async function createUserEmailStep({ payload }: Call, key: string) {
  return once(key, "mails", { to: payload.email, text: `Welcome, ${payload.userName}` });
}

async function createUserAnalyticsStep({ payload }: Call, key: string) {
  return once(key, "analytics", { event: `user ${payload.userId} created` });
}

// -- Taking an order ------------------------------------------------------------------------------

// A workflow that undoes what it did. It is called with "suspend": it waits for no step.
async function orderWorkflow({ idempotencyKey, payload }: Call) {
  const steps = "/workflows/order/steps";
  await performWorkflowStep(`${steps}/reserveStock`, idempotencyKey, payload, options);
  try {
    const charge = { ...options, retry: { stopOn: [402] } };
    await performWorkflowStep(`${steps}/chargeCard`, idempotencyKey, payload, charge);
  } catch (error) {
    if (!(error instanceof StepFailed) || error.problem.lastAttempt?.httpStatus !== 402) throw error;
    await performWorkflowStep(`${steps}/releaseStock`, idempotencyKey, payload, options);
    return { status: "declined" };
  }
  return { status: "confirmed" };
}

async function reserveStockStep({ payload }: Call) {
  await writeFile(`${APP_DATA}/reserved/${encodeURIComponent(payload.item)}`, "");
}

async function releaseStockStep({ payload }: Call) {
  await rm(`${APP_DATA}/reserved/${encodeURIComponent(payload.item)}`, { force: true });
}

async function chargeCardStep({ payload }: Call, key: string) {
  if (payload.card === "declined") throw Object.assign(new Error("card declined"), { status: 402 });
  return once(key, "charges", { card: payload.card, amount: payload.amount });
}

// -- The database ---------------------------------------------------------------------------------

// A folder for each table, in it a file for each effect, named by its step's key. A file comes into
// being whole and once: the effect and the note that it was done are one.
const tables = ["users", "mails", "analytics", "reserved", "charges"];

async function once(key: string, table: string, row: object) {
  const draft = `${APP_DATA}/${randomUUID()}`;
  const file = `${APP_DATA}/${table}/${encodeURIComponent(key)}`;
  await writeFile(draft, JSON.stringify(row));
  await link(draft, file).catch((error) => { if (error.code !== "EEXIST") throw error; });
  await rm(draft);
  return JSON.parse(await readFile(file, "utf8"));
}

async function count(table: string) {
  return [table, (await readdir(`${APP_DATA}/${table}`)).length];
}

// -- HTTP -----------------------------------------------------------------------------------------

const steps: Record<string, (call: Call, key: string) => Promise<unknown>> = {
  "/workflows/userCreation/steps/createUser": createUserDBStep,
  "/workflows/userCreation/steps/sendEmail": createUserEmailStep,
  "/workflows/userCreation/steps/sendAnalytics": createUserAnalyticsStep,
  "/workflows/order/steps/reserveStock": reserveStockStep,
  "/workflows/order/steps/chargeCard": chargeCardStep,
  "/workflows/order/steps/releaseStock": releaseStockStep,
};

async function answer(path: string, request: Request): Promise<Response> {
  if (path === "/workflows/userCreation/index") return answerCall(request, createUserWorkflow);
  if (path === "/workflows/order/index") return answerCall(request, orderWorkflow, "suspend");
  const step = steps[path], key = request.headers.get("Idempotency-Key");
  if (step && key) return answerCall(request, (call) => step(call, key));
  if (path === "/users") return Response.json(await createUserEndpoint(await request.json()));
  return Response.json(Object.fromEntries(await Promise.all(tables.map(count))));
}

for (const table of tables) await mkdir(`${APP_DATA}/${table}`, { recursive: true });
const server = createServer(async (incoming, outgoing) => {
  const { method = "GET", headers, url = "/" } = incoming;
  const body = method === "POST" ? await text(incoming) : null;
  const request = new Request(`http://localhost${url}`, { method, headers: headers as {}, body });
  // What Atomic did not answer for a person is unknown, and not failed: the same key may come again.
  const told = (error: any) => Response.json({ error: error.message }, { status: error.status ?? 503 });
  const response = await answer(url, request).catch(told);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
});
server.listen(Number(APP_PORT), APP_HOST, () => console.log(`listening at http://${APP_HOST}:${APP_PORT}`));
