"""A workflow function that never holds a worker: `workflow(…, suspend=True)`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from flask import Flask

from engine.client import PassOn, StepFailed, Suspended, answer_of, pass_on
from engine.client.errors import problem_error
from engine.wire import Problem
from tests.client.fake_engine import FakeEngine, answer, client, refusal, script

OPEN = {"id": "01B", "runId": "01A", "status": "running"}
FLOW: Any = {"name": "createUser", "client": "shop", "key": "k"}
PARENT = {"Atomic-Parent": "01A.1.token"}
STEP = "http://app/step"


async def test_an_open_step_is_not_waited_for():
    """The post asks for an answer at once; an open step raises, an ended one is its outcome."""
    engine = FakeEngine(answer(OPEN, 202), answer())
    flow = client(engine).workflow(**FLOW, headers=PARENT, suspend=True)
    with pytest.raises(Suspended, match="Step 01B is running"):
        await flow.step(STEP, 1)
    assert (await flow.step(STEP, 1)).response == {"id": 42}
    assert [request.headers["prefer"] for request in engine.requests] == ["respond-async"] * 2
    assert {request.headers["atomic-parent"] for request in engine.requests} == {"01A.1.token"}


def test_the_blocking_client_does_the_same():
    """One word, too."""
    engine = FakeEngine(answer(OPEN, 202), answer())
    flow = script(engine).workflow(**FLOW, headers=PARENT, suspend=True)
    with pytest.raises(Suspended):
        flow.step(STEP, 1)
    assert flow.step(STEP, 1).response == {"id": 42}
    assert [request.headers["prefer"] for request in engine.requests] == ["respond-async"] * 2


async def test_without_it_the_post_hangs():
    """The default is as it was."""
    engine = FakeEngine(answer())
    await client(engine).workflow(**FLOW, headers=PARENT).step(STEP, 1)
    assert "prefer" not in engine.requests[0].headers


def test_it_is_answered_with_the_header():
    """503 with `Atomic-Suspend`, whoever sent it home; an outcome beside it goes before."""
    told = Suspended("step 01B is open")
    assert answer_of(told) == (b"", 503, {"Atomic-Suspend": "true"})
    failed = refusal(Problem.STEP_FAILED, "No.", id="01C")
    error = problem_error(424, failed.content, failed.headers["content-type"])
    assert isinstance(error, StepFailed)
    both = answer_of(ExceptionGroup("two steps", [told, error]))
    assert both is not None
    assert both.status == 424
    assert answer_of(ExceptionGroup("two steps", [told, ValueError()])) is None
    group = answer_of(ExceptionGroup("two steps", [told, told]))
    assert group is not None
    assert group.headers == {"Atomic-Suspend": "true"}


async def test_the_middleware_and_flask_answer_so():
    """What a user writes once."""

    async def app(scope, receive, send):
        raise Suspended("open")

    transport = httpx.ASGITransport(app=PassOn(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        answered = await http.post("/flow", headers=PARENT)
    assert (answered.status_code, answered.headers["atomic-suspend"]) == (503, "true")

    flask = Flask("app")
    flask.register_error_handler(Suspended, pass_on)

    @flask.post("/flow")
    def flow() -> str:
        raise Suspended("open")

    said = flask.test_client().post("/flow", headers=PARENT)
    assert (said.status_code, said.headers["Atomic-Suspend"]) == (503, "true")
