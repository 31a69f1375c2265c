"""A first application: creating a user, with nothing but the standard library.

`python docs/examples/first_app.py` serves people at `POST /users` and the engine at
`POST /workflows/userCreation/…`. The analytics service it knows is not there for the first three
calls, so that there is something to retry. Where the engine is, and what both sides know each other
by, its environment says: docs/how-to/from-laptop-to-container.md.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

ENGINE = os.environ.get("ATOMIC_URL") or "http://127.0.0.1:8420"
CLIENT = os.environ.get("ATOMIC_CLIENT") or "shop"
TOKEN_FILE = os.environ.get("ATOMIC_TOKEN_FILE")
SECRETS_FILE = os.environ.get("ATOMIC_SIGNING_SECRET_FILE")
HOST = os.environ.get("APP_HOST") or "127.0.0.1"
PORT = int(os.environ.get("APP_PORT") or "9000")
RETRY = {"count": 10, "backOff": 200}

database = sqlite3.connect(os.environ.get("APP_DB", ":memory:"), check_same_thread=False)
database.executescript("""
    CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
    CREATE TABLE IF NOT EXISTS mails (recipient TEXT, text TEXT);
    CREATE TABLE IF NOT EXISTS analytics (event TEXT);
    CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, answer TEXT);
""")
one_at_a_time = Lock()
analytics_calls = 0


class Unavailable(Exception):
    """Answered 404: what a step needs is not there."""


# -- Step 2: the endpoint functions ---------------------------------------------------------------


def save_user(payload: Any) -> Any:
    """Creates a user in the database."""
    columns = (payload["userName"], payload["email"])
    row = database.execute("INSERT INTO users (name, email) VALUES (?, ?)", columns)
    return {"userId": row.lastrowid, "email": payload["email"]}


def send_email(payload: Any) -> Any:
    """Puts the mail into the outbox; another process sends what lies there."""
    text = f"Welcome, your number is {payload['userId']}."
    database.execute("INSERT INTO mails VALUES (?, ?)", (payload["email"], text))
    return {"sent": True}


def send_analytics(payload: Any) -> Any:
    """Tells the analytics service, which comes up late."""
    global analytics_calls
    analytics_calls += 1
    if analytics_calls <= 3:
        raise Unavailable("the analytics service is not there yet")
    database.execute("INSERT INTO analytics VALUES (?)", (f"user {payload['userId']} created",))
    return {"counted": True}


# -- Step 3: the workflow -------------------------------------------------------------------------


def create_user_workflow(key: str, payload: Any, parent: str) -> Any:
    """Runs from its top whenever it is invoked; steps that have ended are not invoked again."""
    user = perform_step("createUser", key, payload, parent)["response"]
    with ThreadPoolExecutor() as pool:
        names = ("sendEmail", "sendAnalytics")
        for step in [pool.submit(perform_step, name, key, user, parent) for name in names]:
            step.result()
    return {"userId": user["userId"]}


def perform_step(name: str, key: str, payload: Any, parent: str) -> Any:
    """Posts a step to the engine, and waits for its recorded outcome."""
    path = f"/workflows/userCreation/steps/{name}"
    return post_workflow("createUser", path, key, payload, parent=parent, retry=RETRY)


def post_workflow(name: str, path: str, key: str, payload: Any, **options: Any) -> Any:
    """POST to the engine. Raises HTTPError for every answer but 200: let it out."""
    submission = {
        "workflowName": name,
        "stepInvokeUrl": own_url + path,
        "idempotencyKey": key,
        "payload": payload,
        **options,
    }
    headers = {"Content-Type": "application/json"}
    if TOKEN_FILE:  # read each time: it may be exchanged
        headers["Authorization"] = "Bearer " + Path(TOKEN_FILE).read_text().split("\n")[0].strip()
    request = Request(f"{ENGINE}/{CLIENT}", json.dumps(submission).encode(), headers)
    with urlopen(request) as answer:
        return json.load(answer)


# -- Step 4: idempotent ---------------------------------------------------------------------------


def once(key: str, effect: Callable[[Any], Any], payload: Any) -> Any:
    """Does `effect` and remembers its answer in one transaction: both, or neither.

    The lock is for calls at the same time. With several processes the primary key does its work:
    the second one fails, is invoked again, and finds the answer of the first.
    """
    with one_at_a_time, database:
        row = database.execute("SELECT answer FROM done WHERE key = ?", (key,)).fetchone()
        if row is None:
            row = (json.dumps(effect(payload)),)
            database.execute("INSERT INTO done VALUES (?, ?)", (key, *row))
        return json.loads(row[0])


# -- Step 5: trigger ------------------------------------------------------------------------------


def create_user(posted: Any) -> Any:
    """The application's own API: starts the workflow and waits for it, up to 8 s."""
    key = posted.pop("idempotencyKey")
    path = "/workflows/userCreation/index"
    outcome = post_workflow("createUser", path, key, posted, timeout=8000)
    return {"run": outcome["id"], **outcome["response"]}


# -- Beyond a laptop ------------------------------------------------------------------------------


def is_signed(headers: Any, body: bytes) -> bool:
    """Whether the engine has signed a call, by one of our secrets and in the last five minutes."""
    key, at, given = (headers.get(f"webhook-{it}", "") for it in ("id", "timestamp", "signature"))
    if not re.fullmatch("[0-9]{1,12}", at) or abs(time.time() - int(at)) > 300:
        return False
    text = Path(SECRETS_FILE).read_text() if SECRETS_FILE else ""
    for secret in re.findall(r"^whsec_([A-Za-z0-9+/]{32,}=*)\s*$", text, re.MULTILINE):
        signed = f"{key}.{at}.".encode() + body
        digest = hmac.digest(base64.b64decode(secret), signed, "sha256")
        good = b"v1," + base64.b64encode(digest)
        if any(hmac.compare_digest(good, one.encode()) for one in given.split()):
            return True
    return False


# -- HTTP -----------------------------------------------------------------------------------------

STEPS = {"createUser": save_user, "sendEmail": send_email, "sendAnalytics": send_analytics}


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    def do_POST(self) -> None:
        """Answers people and the engine."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/users" and SECRETS_FILE and not is_signed(self.headers, body):
            self.answer(401, {"error": "Atomic has not signed this call"})
            return
        try:
            self.answer(200, self.route(json.loads(body)))
        except KeyError as error:
            self.answer(400, {"error": f"missing: {error}"})
        except Unavailable as error:
            self.answer(404, {"error": str(error)})
        except HTTPError as error:  # the engine's answer, passed on: 424 ends the workflow
            problem = json.load(error)
            cancelled = problem["type"] == "/problems/run-cancelled"  # 409 says that as well
            self.answer(424 if cancelled else error.code, problem)
        except URLError as error:
            self.answer(503, {"error": str(error), "advice": "try again with the same key"})

    def route(self, body: Any) -> Any:
        """What the path asks for."""
        if self.path == "/users":
            return create_user(body)
        if self.path == "/workflows/userCreation/index":
            parent = self.headers["Atomic-Parent"]
            return create_user_workflow(body["idempotencyKey"], body["payload"], parent)
        name = self.path.removeprefix("/workflows/userCreation/steps/")
        return once(self.headers["Idempotency-Key"], STEPS[name], body["payload"])

    def do_GET(self) -> None:
        """What was really done: how many rows there are."""
        tables = ("users", "mails", "analytics")
        count = "SELECT count(*) FROM {}"
        with one_at_a_time:
            rows = [database.execute(count.format(table)).fetchone()[0] for table in tables]
        self.answer(200, dict(zip(tables, rows, strict=True)))

    def answer(self, status: int, value: Any) -> None:
        """Sends JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """One short line for each request."""
        # With its end in one write: lines of calls at once stay whole.
        print(f"{self.command} {self.path} -> {args[1]}\n", end="", flush=True)


if __name__ == "__main__":
    try:
        server = ThreadingHTTPServer((HOST, PORT), Handler)
    except OSError as error:
        raise SystemExit(f"port {PORT}: {error.strerror}. APP_PORT names another.") from error
    own_url = os.environ.get("APP_URL") or f"http://127.0.0.1:{server.server_port}"
    print(f"first_app listens at http://{HOST}:{server.server_port}", flush=True)
    server.serve_forever()
