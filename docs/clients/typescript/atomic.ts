// Atomic's helper: copy it into your application. Node 18 or newer, no dependencies.
import { AsyncLocalStorage } from "node:async_hooks";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const { ATOMIC_URL = "http://127.0.0.1:8420", ATOMIC_CLIENT = "default", APP_URL = "http://127.0.0.1:9000" } = process.env;
const calls = new AsyncLocalStorage<{ headers: Headers; prefer: string; posts: Promise<Outcome>[] }>();
export type Call = { idempotencyKey: string; payload: any };
export type Outcome = { id: string; status: string; response?: any };
export type Options = { timeout?: number; retry?: object; prefer?: string; parent?: string; [more: string]: unknown };
/** The step failed for good, or was cancelled: an outcome. Compensate on this, and on nothing else. */
export class StepFailed extends Error { status = 424; constructor(readonly problem: any) { super(problem.detail); } }

/** Starts the workflow at `path` of this application, which is at APP_URL, or joins it, and waits for its outcome. */
export async function postWorkflow(name: string, path: string, key: string, payload: unknown, options: Options = {}) {
  const { prefer = "", parent = "", ...members } = options, client = calls.getStore()?.headers.get("Atomic-Client");
  const body = JSON.stringify({ workflowName: name, stepInvokeUrl: APP_URL + path, idempotencyKey: key, payload, ...members });
  const headers = { "Content-Type": "application/json", "Atomic-Parent": parent, Prefer: prefer, ...token() };
  const none = ({ message, cause = {} }: any) => ({ ok: false, status: "nothing", json: async () => ({ detail: cause.message || message }) });
  const answer = await fetch(`${ATOMIC_URL}/${client ?? ATOMIC_CLIENT}`, { method: "POST", headers, body }).catch(none);
  const result: any = await answer.json().catch(() => ({}));
  if (answer.ok) return result as Outcome; // 202, only with `prefer`: recorded, and no `response` yet
  if (answer.status === 424 || result.type === "/problems/run-cancelled") throw new StepFailed(result);
  throw Object.assign(new Error(`Atomic answered ${answer.status}: ${result.detail}`), { status: 503 }); // let it out
}
/** What the engine asks for. Files are read each time: they change. */
function token(): Record<string, string> {
  const file = process.env.ATOMIC_TOKEN_FILE;
  return file ? { Authorization: `Bearer ${readFileSync(file, "utf8").split("\n", 1)[0]!.trim()}` } : {};
}
/** Performs a step of the workflow that `answerCall` has called, and waits for its outcome. */
export async function performWorkflowStep(path: string, key: string, payload: unknown, options: Options = {}) {
  const call = calls.getStore(), name = call?.headers.get("Atomic-Workflow"), parent = call?.headers.get("Atomic-Parent");
  if (!call || !name || !parent) throw new Error("performWorkflowStep is for functions that answerCall has called");
  const post = postWorkflow(name, path, key, payload, { parent, prefer: call.prefer, ...options });
  if (call.posts.push(post) && "response" in (await post)) return post;
  throw Object.assign(new Error("a step is open"), { status: 503, headers: { "Atomic-Suspend": "true" } });
}
/** Answers a call of Atomic with what `work` returns. With "suspend" no step is waited for. */
export async function answerCall(request: Request, work: (call: Call) => unknown, suspend?: "suspend") {
  const call = { headers: request.headers, prefer: suspend ? "respond-async" : "", posts: [] as Promise<Outcome>[] };
  return calls.run(call, async () => {
    const body = await request.text();
    if (!signed(request.headers, body)) return Response.json({ error: "Atomic has not signed this" }, { status: 401 });
    return Response.json((await work(JSON.parse(body))) ?? null);
  }).catch(async (error) => {
    await Promise.allSettled(suspend ? call.posts : []); // steps side by side: all of them begin
    if (!error.status) console.error(error);
    return Response.json({ error: error.message }, { status: error.status ?? 500, headers: error.headers });
  });
}
/** Whether Atomic has signed a call, by one of our secrets and in the last five minutes; without a file of them, yes. */
export function signed(headers: Headers, body: string): boolean {
  const file = process.env.ATOMIC_SIGNING_SECRET_FILE, of = (name: string) => headers.get(`webhook-${name}`) ?? "";
  if (!file) return true;
  const secrets = readFileSync(file, "utf8").matchAll(/^whsec_([A-Za-z0-9+/]{32,}=*)$/gm);
  const content = `${of("id")}.${of("timestamp")}.${body}`, given = of("signature").split(" ").map((it) => Buffer.from(it));
  const good = [...secrets].map(([, key]) => createHmac("sha256", Buffer.from(key!, "base64")).update(content).digest("base64"));
  const pairs = good.flatMap((it) => given.map((other) => [Buffer.from(`v1,${it}`), other] as const));
  return Math.abs(Date.now() / 1000 - Number(of("timestamp"))) <= 300 && pairs.some(([a, b]) => a.length === b.length && timingSafeEqual(a, b));
}
