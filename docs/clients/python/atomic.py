"""Atomic's helper: copy it into your application. Python 3.8 or newer, nothing else."""
import json, logging, os
from contextvars import ContextVar
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener
ENGINE, CLIENT = os.environ.get("ATOMIC_URL", "http://127.0.0.1:8420"), os.environ.get("ATOMIC_CLIENT", "default")
APP, JSON = os.environ.get("APP_URL", "http://127.0.0.1:9000"), {"Content-Type": "application/json"}
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
    """What to answer a call with, as (body, status, headers). `suspend`: `work` waits for no step."""
    CALL.set((headers, "respond-async" if suspend else ""))
    try:
        return json.dumps(work(body["idempotencyKey"], body["payload"])), 200, JSON
    except Exception as error:
        status, told = (error.status, str(error)) if hasattr(error, "status") else (500, repr(error))
        if status == 500: logging.exception("answered 500")
        return json.dumps({"error": told}), status, {**JSON, **({"Atomic-Suspend": "true"} if suspend and status == 503 else {})}
