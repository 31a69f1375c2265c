"""Atomic's helper: copy it into your application. Python 3.8 or newer, nothing else."""
import base64, hmac, json, logging, os, re, time
from contextvars import ContextVar
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener
ENGINE, CLIENT = os.environ.get("ATOMIC_URL", "http://127.0.0.1:8420"), os.environ.get("ATOMIC_CLIENT", "default")
APP, JSON = os.environ.get("APP_URL", "http://127.0.0.1:9000"), {"Content-Type": "application/json"}
TOKEN, SECRETS = os.environ.get("ATOMIC_TOKEN_FILE"), os.environ.get("ATOMIC_SIGNING_SECRET_FILE")  # read each time: they change
CALL = ContextVar("CALL")  # the headers of the call that is being answered, and what its posts prefer
class Answers(HTTPErrorProcessor):  # of any status, as they are
    http_response = https_response = lambda self, request, answer: answer
class NothingKnown(Exception): status = 503  # neither done nor failed: let it out, and Atomic calls again
class StepFailed(Exception):  # for good, or it was cancelled: compensate on this, and on nothing else
    def __init__(self, problem): self.status, self.problem, self.args = 424, problem, (problem.get("detail"),)

def post_workflow(name, path, key, payload, client=CLIENT, parent="", prefer="", **options):
    """Starts the workflow at `path` of this application, or joins it, and waits for its outcome."""
    post = {"workflowName": name, "stepInvokeUrl": APP + path, "idempotencyKey": key, "payload": payload, **options}
    body, headers = json.dumps(post).encode(), {**JSON, "Atomic-Parent": parent, "Prefer": prefer}
    if TOKEN: headers["Authorization"] = "Bearer " + open(TOKEN).readline().strip()
    answer = build_opener(Answers, ProxyHandler({})).open(Request(f"{ENGINE}/{client}", body, headers))
    result = json.load(answer) if "json" in str(answer.headers["Content-Type"]) else {}
    if answer.status in (200, 202): return result  # 202, with `prefer` alone: recorded, and no `response` yet
    if answer.status == 424 or result.get("type") == "/problems/run-cancelled": raise StepFailed(result)
    raise NothingKnown(f"Atomic answered {answer.status}: {result.get('detail')}")
def perform_workflow_step(path, key, payload, **options):
    """Performs a step of the workflow that is being answered, and waits for its outcome."""
    headers, prefer = CALL.get()
    told = {"client": headers["Atomic-Client"], "parent": headers["Atomic-Parent"], "prefer": prefer, **options}
    outcome = post_workflow(headers["Atomic-Workflow"], path, key, payload, **told)
    if "response" in outcome or "prefer" in options: return outcome
    raise NothingKnown("a step is open")
def answer_call(headers, body, work, suspend=False):
    """What to answer a call of these bytes with, as (body, status, headers). `suspend`: `work` waits for no step."""
    if not signed(headers, body): return json.dumps({"error": "Atomic has not signed this"}), 401, JSON
    CALL.set((headers, "respond-async" if suspend else ""))
    try:
        call = json.loads(body)
        return json.dumps(work(call["idempotencyKey"], call["payload"])), 200, JSON
    except Exception as error:
        status, told = (error.status, str(error)) if hasattr(error, "status") else (500, repr(error))
        if status == 500: logging.exception("answered 500")
        return json.dumps({"error": told}), status, {**JSON, **({"Atomic-Suspend": "true"} if suspend and status == 503 else {})}
def signed(headers, body):
    """Whether Atomic has signed a call, by one of our secrets and in the last five minutes; without a file of them, yes."""
    if not SECRETS: return True
    name, at, given = (headers.get(f"webhook-{it}", "") for it in ("id", "timestamp", "signature"))
    if not re.fullmatch("[0-9]{1,12}", at) or abs(time.time() - int(at)) > 300: return False
    secrets = re.findall("^whsec_([A-Za-z0-9+/]{32,}=*)$", open(SECRETS).read(), re.MULTILINE)
    digests = [hmac.digest(base64.b64decode(it), f"{name}.{at}.".encode() + body, "sha256") for it in secrets]
    good = ["v1," + base64.b64encode(it).decode() for it in digests]
    return any(hmac.compare_digest(a.encode(), b.encode()) for a in good for b in given.split())
