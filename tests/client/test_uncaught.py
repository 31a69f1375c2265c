"""What nobody caught in a workflow function: an outcome is answered 424, all else is not ours."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from flask import Flask
from quart import Quart

from engine.client import (
    NothingKnown,
    PassOn,
    ProblemError,
    Refused,
    RunCancelled,
    StepFailed,
    pass_on,
)
from engine.client.errors import problem_error

PARENT = {"Atomic-Parent": "token"}
FAILED = {
    "type": "/problems/step-failed", "title": "The step failed", "status": 424, "id": "01B",
    "detail": "Step 'charge' failed", "lastAttempt": {"httpStatus": 402, "error": None},
}  # fmt: skip
CANCELLED = {"type": "/problems/run-cancelled", "title": "Cancelled", "status": 409, "id": "01B"}
IN_USE = {"type": "/problems/idempotency-key-reused", "title": "Reused", "status": 422}


def error_of(document: dict[str, Any]) -> ProblemError:
    """The client's error for an answer of the engine."""
    body = json.dumps(document).encode()
    error = problem_error(document["status"], body, "application/problem+json")
    assert error is not None
    return error


def test_a_failed_and_a_cancelled_step_are_passed_on_as_424() -> None:
    """With the problem as the engine told it, and the status that is sent."""
    for document, kind in ((FAILED, StepFailed), (CANCELLED, RunCancelled)):
        error = error_of(document)
        assert isinstance(error, kind)
        body, status, headers = pass_on(error)
        assert (status, headers) == (424, {"Content-Type": "application/problem+json"})
        assert json.loads(body) == {**document, "status": 424}


@pytest.mark.parametrize("error", [error_of(IN_USE), NothingKnown("?"), ValueError("ours")])
def test_what_is_no_outcome_is_raised(error: Exception) -> None:
    """A refusal, silence, a bug: the framework answers 500 and the function runs again."""
    with pytest.raises(type(error)) as raised:
        pass_on(error)
    assert raised.value is error
    assert isinstance(error, Refused | NothingKnown | ValueError)


def test_a_group_is_passed_on_when_all_of_it_are_outcomes() -> None:
    """Of several steps at once; beside an error that says nothing, running again is right."""
    group = ExceptionGroup("both", [error_of(FAILED), ExceptionGroup("", [error_of(CANCELLED)])])
    assert json.loads(pass_on(group).body)["type"] == FAILED["type"]
    mixed = ExceptionGroup("mixed", [error_of(FAILED), NothingKnown("?")])
    with pytest.raises(ExceptionGroup):
        pass_on(mixed)


class Asgi:
    """An ASGI application that answers and then raises, as frameworks do, and what came out."""

    def __init__(self, error: Exception | None, *answers: tuple[int, bytes]) -> None:
        self.error, self.answers = error, answers
        self.sent: list[tuple[int, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for status, body in self.answers:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})
        if self.error is not None:
            raise self.error

    async def ask(self, *, parent: bool = True) -> list[tuple[int, bytes]]:
        """What a request is answered. Raises what the middleware lets out."""

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.sent.append((message["status"], b""))
            else:
                status, body = self.sent.pop()
                self.sent.append((status, body + message["body"]))

        async def receive() -> Any:
            raise AssertionError("nobody reads")

        headers = [(b"atomic-parent", b"token")] if parent else []
        await PassOn(self)({"type": "http", "headers": headers}, receive, send)
        return self.sent


async def test_asgi_an_error_that_is_let_out_is_answered_424() -> None:
    """Inside a framework nothing has been answered yet; around it the 500 is held back."""
    for answers in ([], [(500, b"oops")]):
        [(status, body)] = await Asgi(error_of(FAILED), *answers).ask()
        assert (status, json.loads(body)["id"]) == (424, "01B")


async def test_asgi_all_else_goes_its_way() -> None:
    """Other errors, answers, requests of people, and an answer that has begun."""
    assert await Asgi(None, (200, b"ok")).ask() == [(200, b"ok")]
    assert await Asgi(None, (503, b"later")).ask() == [(503, b"later")]
    assert await Asgi(None, (500, b"x" * 100_000)).ask() == [(500, b"x" * 100_000)]
    for error, answers, parent in (
        (ValueError("ours"), [(500, b"oops")], True),
        (error_of(FAILED), [(500, b"oops")], False),
        (error_of(FAILED), [(200, b"begun")], True),
        (error_of(FAILED), [(500, b"x" * 100_000)], True),
    ):
        app = Asgi(error, *answers)
        with pytest.raises(type(error)):
            await app.ask(parent=parent)
        assert app.sent == answers


async def test_quart_and_flask_take_it_as_an_error_handler() -> None:
    """`register_error_handler(StepFailed, pass_on)`: the answer is what these frameworks take."""

    def flow() -> str:
        raise error_of(FAILED)

    flask = Flask("flask")
    flask.register_error_handler(StepFailed, pass_on)
    flask.post("/flow")(flow)
    answer = flask.test_client().post("/flow", headers=PARENT)
    assert (answer.status_code, answer.content_type) == (424, "application/problem+json")


@pytest.mark.parametrize("handler", [True, False])
def test_quart(handler: bool) -> None:
    """The same under asyncio; without the handler it is a 500 like any other."""
    import asyncio

    quart = Quart("quart")

    @quart.post("/flow")
    async def flow() -> str:
        raise error_of(FAILED)

    if handler:
        quart.register_error_handler(StepFailed, pass_on)

    async def ask() -> int:
        answer = await quart.test_client().post("/flow", headers=PARENT)
        return answer.status_code

    assert asyncio.run(ask()) == (424 if handler else 500)


def test_a_problem_can_be_asked_for_its_members() -> None:
    """As our page on compensation once did; it is the problem's name all the same."""
    error = error_of(FAILED)
    assert error.problem == "step-failed"
    get: Any = error.problem
    assert get.get("lastAttempt")["httpStatus"] == 402
    assert get.get("nothing") is None
    assert pickle.loads(pickle.dumps(error.problem)) == "step-failed"
    assert type(error_of(IN_USE).problem) is str
