"""The application of the kill trials: a workflow of four steps, each with an effect of its own.

    python -m tests.kill.application PORT ENGINE_URL LEDGER SEED

Whatever happens to it is written into a ledger before it goes on: every call, every effect, every
outcome that it was told. A killed process keeps what it had committed, so the ledger needs no sync
to disk; it is the witness against the engine's own record.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config

WORKFLOW = "workflow"
STEPS = ("reserve", "charge", "ship", "notify")
RELEASE = "release"
"""The compensation of a workflow that fails."""
RETRY = {"count": 1_000, "backOff": 20, "maxBackOff": 200}
SAYS_NOTHING = frozenset({429, 502, 503, 504})
POSTS_FOR_S = 20.0
FAULTY_CALLS_MAX = 3
"""A step's later calls are answered well, so that every run can end."""
LEDGER = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS call (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, own_key TEXT NOT NULL, step_id TEXT NOT NULL,
    run_id TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, attempt INTEGER NOT NULL,
    parent_token TEXT NOT NULL, payload TEXT NOT NULL, status INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS call_own_key ON call (own_key);
CREATE TABLE IF NOT EXISTS effect (
    id INTEGER PRIMARY KEY, own_key TEXT NOT NULL UNIQUE, key TEXT NOT NULL, name TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS seen (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, step_id TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
"""


def now_ms() -> int:
    """The wall clock that the trial's processes share."""
    return time.time_ns() // 1_000_000


def digest(payload: Any) -> str:
    """Names a payload in the ledger."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]


def open_ledger(path: str) -> sqlite3.Connection:
    """The ledger, made if it is not there."""
    ledger = sqlite3.connect(path, isolation_level=None)
    ledger.executescript(LEDGER)
    return ledger


class StepFailed(Exception):
    """The engine says that the step has failed for good."""


class NoOutcome(Exception):
    """The engine has said nothing for too long, or does not listen to this execution any more."""


class Application:
    """One process of the application."""

    def __init__(self, own_url: str, engine_url: str, ledger: sqlite3.Connection, seed: str):
        self.own_url, self.engine_url = own_url, engine_url
        self.ledger, self.seed = ledger, seed
        self.http = httpx.AsyncClient(
            timeout=httpx.Timeout(5.0, read=30.0, pool=None),
            limits=httpx.Limits(max_connections=None),
        )

    async def asgi(self, scope: Any, receive: Callable, send: Callable) -> None:
        """Answer one request of the engine."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        name = scope["path"].strip("/")
        status, answer = await self.answer(name, headers, json.loads(body))
        fields = [(b"content-type", b"application/json")]
        if status == 422:
            fields.append((b"atomic-no-retry", b"true"))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def answer(self, name: str, headers: dict[str, str], posted: Any) -> tuple[int, Any]:
        """Status and body of the answer to one call, with both ends of it in the ledger."""
        own_key = headers["idempotency-key"].strip('"')
        before = self.ledger.execute(
            "SELECT count(*) FROM call WHERE own_key = ?", (own_key,)
        ).fetchone()[0]
        row = self.ledger.execute(
            "INSERT INTO call"
            " (at_ms, own_key, step_id, run_id, key, name, attempt, parent_token, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(now_ms(), own_key, headers["atomic-step-id"], headers["atomic-run-id"]),
                *(posted["idempotencyKey"], name, int(headers["atomic-attempt"])),
                *(headers["atomic-parent"], digest(posted["payload"])),
            ),
        ).lastrowid
        if name == WORKFLOW:
            status, answer = await self.workflow(posted, headers["atomic-parent"], before)
        else:
            status, answer = await self.step(name, own_key, posted, before)
        self.ledger.execute("UPDATE call SET status = ? WHERE id = ?", (status, row))
        return status, answer

    async def step(self, name: str, own_key: str, posted: Any, before: int) -> tuple[int, Any]:
        """One step: sometimes it fails or is slow, and its effect happens once."""
        key, payload = posted["idempotencyKey"], posted["payload"]
        if payload["fails"] and name == "notify":
            return 422, {"error": "never"}
        chance = Random(f"{self.seed}:{key}:{name}:{before}")
        fault = chance.random() if before < FAULTY_CALLS_MAX else 1.0
        if fault < 0.12:
            return 500, {"error": "not now"}
        if fault < 0.22:
            await asyncio.sleep(chance.uniform(0.1, 0.6))
        self.ledger.execute(
            "INSERT OR IGNORE INTO effect (own_key, key, name, payload) VALUES (?, ?, ?, ?)",
            (own_key, key, name, digest(payload)),
        )
        effect = self.ledger.execute("SELECT id FROM effect WHERE own_key = ?", (own_key,))
        return 200, {"effect": effect.fetchone()[0]}

    async def workflow(self, posted: Any, parent_token: str, before: int) -> tuple[int, Any]:
        """A step, then two at once, then the last: the answer says what they did. Told that the
        last has failed, it goes wrong at times, then compensates, and says that this ends it."""
        reserve, charge, ship, notify = STEPS
        try:
            first = await self.post(reserve, posted, parent_token)
            both = await asyncio.gather(
                self.post(charge, posted, parent_token),
                self.post(ship, posted, parent_token),
                return_exceptions=True,
            )
            for result in both:
                if isinstance(result, BaseException):
                    raise result
            last = await self.post(notify, posted, parent_token)
        except StepFailed as error:
            chance = Random(f"{self.seed}:{posted['idempotencyKey']}:{WORKFLOW}:{before}")
            if before < FAULTY_CALLS_MAX and chance.random() < 0.5:
                return 500, {"error": "the database is away"}
            try:
                await self.post(RELEASE, posted, parent_token)
            except NoOutcome as none:
                return 503, {"error": str(none)}
            return 424, {"failed": str(error)}
        except NoOutcome as error:
            return 503, {"error": str(error)}
        return 200, {"effects": dict(zip(STEPS, (first, *both, last), strict=True))}

    async def post(self, name: str, posted: Any, parent_token: str) -> int:
        """Post a step until its outcome is known; returns the number of its effect."""
        submission = {
            "workflowName": WORKFLOW,
            "stepInvokeUrl": f"{self.own_url}/{name}",
            "idempotencyKey": posted["idempotencyKey"],
            "payload": posted["payload"],
            "retry": RETRY,
        }
        delay_s, deadline = 0.02, time.monotonic() + POSTS_FOR_S
        while time.monotonic() < deadline:
            try:
                answer = await self.http.post(
                    f"{self.engine_url}/trial",
                    json=submission,
                    headers={"Atomic-Parent": parent_token},
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in SAYS_NOTHING:
                return self.outcome(name, answer)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 0.3)
        raise NoOutcome(f"no outcome of {name}")

    def outcome(self, name: str, answer: httpx.Response) -> int:
        """Note what the engine said, then act on it."""
        if answer.status_code not in (200, 424):
            raise NoOutcome(f"{answer.status_code} {answer.text[:200]}")
        said = answer.json()
        self.ledger.execute(
            "INSERT INTO seen (at_ms, step_id, status, body) VALUES (?, ?, ?, ?)",
            (now_ms(), said["id"], answer.status_code, answer.content),
        )
        if answer.status_code == 424:
            raise StepFailed(name)
        effect: int = said["response"]["effect"]
        return effect


def main() -> None:
    """Listen until the process is ended."""
    port, engine_url, ledger, seed = sys.argv[1:]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.1
    application = Application(f"http://127.0.0.1:{port}", engine_url, open_ledger(ledger), seed)
    asyncio.run(serve(application.asgi, config))


if __name__ == "__main__":
    main()
