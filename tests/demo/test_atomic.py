"""The user's helper: what it posts, and what it makes of each answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo_app.atomic import (
    POSTS_MAX,
    Atomic,
    NoOutcome,
    Refused,
    StepCancelled,
    StepFailed,
    parallel,
)
from demo_app.calls import Call

CALL = Call("index", "createUser", "run-1", "own-1", {"a": 1}, parent="token-1")
OUTCOME = {"id": "01", "response": {"ok": True}}


class Engine:
    """Answers posts from a list: statuses, or exceptions to raise. The last one repeats."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.slept_s: list[float] = []
        self.token_file: Path | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, httpx.Response):
            return said
        return httpx.Response(said, json=OUTCOME if said < 300 else {"title": "no"})

    def run(self, use: Callable[[Atomic], Any]) -> Any:
        """What `use(atomic)` comes to."""

        async def sleep(seconds: float) -> None:
            self.slept_s.append(seconds)

        async def main() -> Any:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
                atomic = Atomic(http, "http://engine/demo", "http://app", sleep, self.token_file)
                return await use(atomic)

        return asyncio.run(main())


def test_each_post_carries_the_token_that_the_file_has_then(tmp_path: Path) -> None:
    """Another line than the first is the one before; without a file nothing is sent."""
    engine = Engine(503, 200)
    engine.token_file = file = tmp_path / "token"
    file.write_text("atomic_one\natomic_old\n")
    engine.run(lambda atomic: atomic.step(CALL, "/steps/x", {}))
    file.write_text("atomic_two\n")
    engine.run(lambda atomic: atomic.workflow("w", "/w", "k", {}))
    engine.token_file = None
    engine.run(lambda atomic: atomic.step(CALL, "/steps/x", {}))
    sent = [request.headers.get("authorization") for request in engine.requests]
    assert sent == ["Bearer atomic_one"] * 2 + ["Bearer atomic_two", None]


def test_step_posts_the_seed_fields_and_the_parent_token() -> None:
    """The body has the contract's members; the parent token of the call is copied."""
    engine = Engine(200)
    outcome = engine.run(lambda atomic: atomic.step(CALL, "/steps/x", {"b": 2}, stepKey="x/1"))
    (request,) = engine.requests
    assert outcome == OUTCOME
    assert str(request.url) == "http://engine/demo"
    assert request.headers["Atomic-Parent"] == "token-1"
    assert httpx.Response(200, content=request.content).json() == {
        "workflowName": "createUser",
        "stepInvokeUrl": "http://app/steps/x",
        "idempotencyKey": "run-1",
        "payload": {"b": 2},
        "stepKey": "x/1",
    }


def test_workflow_has_no_parent_token() -> None:
    """A root is posted without a parent token: a parent token never opens a run."""
    engine = Engine(200)
    engine.run(lambda atomic: atomic.workflow("w", "/w", "k", None))
    assert "Atomic-Parent" not in engine.requests[0].headers


@pytest.mark.parametrize(
    "said",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("5 s"),
        429,
        502,
        503,
        504,
    ],
)
def test_what_says_nothing_is_posted_again(said: Any) -> None:
    """No answer, 429, 502, 503, 504: the same post again, after a growing delay."""
    engine = Engine(said, said, 200)
    assert engine.run(lambda atomic: atomic.step(CALL, "/x", None)) == OUTCOME
    assert len({request.content for request in engine.requests}) == 1
    assert engine.slept_s == [0.1, 0.2]


def test_retry_after_is_heeded_within_reason() -> None:
    """Retry-After lengthens the delay, up to ten seconds."""
    said = [httpx.Response(503, headers={"Retry-After": seconds}) for seconds in ("3", "9999", "x")]
    engine = Engine(*said, 200)
    engine.run(lambda atomic: atomic.step(CALL, "/x", None))
    assert engine.slept_s == [3.0, 10.0, 0.4]


def test_no_outcome_is_not_a_failure_of_the_step() -> None:
    """After the last post NoOutcome is raised, which nobody may compensate on."""
    engine = Engine(503)
    with pytest.raises(NoOutcome):
        engine.run(lambda atomic: atomic.step(CALL, "/x", None))
    assert len(engine.requests) == POSTS_MAX
    assert not issubclass(NoOutcome, StepFailed)


@pytest.mark.parametrize("status", [400, 409, 422, 500])
def test_refusals_are_not_outcomes_either(status: int) -> None:
    """A post that was not taken is neither repeated nor taken for a failed step."""
    engine = Engine(status)
    with pytest.raises(Refused, match=str(status)):
        engine.run(lambda atomic: atomic.step(CALL, "/x", None))
    assert len(engine.requests) == 1


def test_a_cancelled_step_is_an_outcome() -> None:
    """409 `run-cancelled` is told as a failed step is, so that the workflow ends with it: 424."""
    body = {"type": "/problems/run-cancelled", "status": 409}
    engine = Engine(httpx.Response(409, json=body))
    with pytest.raises(StepCancelled):
        engine.run(lambda atomic: atomic.step(CALL, "/x", None))
    assert issubclass(StepCancelled, StepFailed)


def test_begun_step_is_none_while_under_way() -> None:
    """202 is None, 200 the outcome, 424 the failure; the preference is sent."""
    engine = Engine(202, 200, 424)
    assert engine.run(lambda atomic: atomic.begin_step(CALL, "/x", None)) is None
    assert engine.run(lambda atomic: atomic.begin_step(CALL, "/x", None)) == OUTCOME
    with pytest.raises(StepFailed):
        engine.run(lambda atomic: atomic.begin_step(CALL, "/x", None))
    assert engine.requests[0].headers["Prefer"] == "respond-async"


def test_parallel_gives_all_or_the_step_that_failed() -> None:
    """Results in order; with failures, the recorded one comes before a post without outcome."""

    async def value(n: int) -> dict[str, Any]:
        return {"n": n}

    async def fail(error: Exception) -> dict[str, Any]:
        raise error

    async def main() -> None:
        assert await parallel(value(1), value(2)) == [{"n": 1}, {"n": 2}]
        with pytest.raises(StepFailed):
            await parallel(fail(NoOutcome("?")), value(1), fail(StepFailed({"title": "failed"})))
        with pytest.raises(NoOutcome):
            await parallel(value(1), fail(NoOutcome("?")))

    asyncio.run(main())
