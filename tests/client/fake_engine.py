"""An engine that answers what the test wrote down, and keeps what it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from click.testing import Result

from engine.client import AsyncClient, Client, Reposts
from engine.wire import problem

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]

OUTCOME = {
    "id": "01A",
    "runId": "01A",
    "workflowName": "createUser",
    "stepInvokeUrl": "http://app/index",
    "idempotencyKey": "k",
    "generation": 1,
    "status": "completed",
    "httpStatus": 201,
    "response": {"id": 42},
    "attempts": 4,
    "submittedAt": "2026-11-23T12:00:00.000Z",
    "finishedAt": "2026-11-23T12:00:03.120Z",
}
RUN = {
    "id": "01A",
    "client": "shop",
    "workflowName": "createUser",
    "idempotencyKey": "k",
    "status": "backing-off",
    "rev": 3,
    "generation": 1,
    "openSteps": 2,
    "failedSteps": 0,
    "steps": 3,
    "dismissed": False,
    "submittedAt": "2026-11-23T12:00:00.000Z",
    "dueAt": "2026-11-23T12:00:14.000Z",
}
STEP = {
    "id": "01A",
    "runId": "01A",
    "parentId": None,
    "name": "index",
    "workflowName": "createUser",
    "idempotencyKey": "k",
    "stepKey": "http://app/index",
    "url": "http://app/index",
    "status": "running",
    "rev": 1,
    "generation": 1,
    "attempts": 1,
    "failures": 0,
    "retriesMax": 10,
    "submittedAt": "2026-11-23T12:00:00.000Z",
}


def answer(document: object = OUTCOME, status: int = 200, **headers: str) -> httpx.Response:
    """An answer with a JSON body; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=document, headers=named)


def refusal(kind: Any, detail: str, headers: dict[str, str] | None = None, **members: Any):
    """A problem document as the engine makes it."""
    content = problem(kind, detail, **members)
    status = json.loads(content)["status"]
    told = {"content-type": "application/problem+json"} | (headers or {})
    return httpx.Response(status, content=content, headers=told)


class FakeEngine:
    """Answers in the order written down; a test fails when it is asked once more. Unless it is
    written down otherwise, nothing is held."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.answers and request.url.path == "/api/v1/holds" and request.method == "GET":
            return answer({"holds": [], "waiting": 0})
        self.requests.append(request)
        assert self.answers, f"nothing is written down for {request.method} {request.url}"
        it = self.answers.pop(0)
        if isinstance(it, Exception):
            raise it
        return it if isinstance(it, httpx.Response) else it(request)

    @property
    def transport(self) -> httpx.MockTransport:
        """What an httpx client is given to talk to this."""
        return httpx.MockTransport(self)

    def bodies(self) -> list[Any]:
        """The bodies it was sent."""
        return [json.loads(request.content) for request in self.requests]

    def body(self) -> Any:
        """The body of the only request."""
        (only,) = self.bodies()
        return only


def client(engine: FakeEngine, **options) -> AsyncClient:
    """An asynchronous client of the fake, whose jitter is none."""
    http = httpx.AsyncClient(transport=engine.transport)
    return AsyncClient("http://engine/", http=http, chance=lambda: 0.0, **options)


def script(engine: FakeEngine, **options) -> Client:
    """A blocking client of the fake, which does not wait between tries."""
    http = httpx.Client(transport=engine.transport)
    return Client("http://engine", http=http, reposts=Reposts(back_off_s=0.0), **options)


Atomic = Callable[..., Result]
