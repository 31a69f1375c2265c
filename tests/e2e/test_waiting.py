"""How long callers wait, what they are told meanwhile, and that leaving changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import (
    Answer,
    Application,
    Call,
    Client,
    Handler,
    application,
    eventually,
    fine,
    is_problem,
)


class Gate:
    """An endpoint that answers when it is told to."""

    def __init__(self) -> None:
        self.open = trio.Event()

    async def slow(self, call: Call) -> Answer:
        await self.open.wait()
        return Answer(200, b'"done"')


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def app(gate: Gate) -> AsyncIterator[Application]:
    async with application(slow=gate.slow, fine=fine) as app:
        yield app


async def test_respond_async(shop: Client, app: Application, gate: Gate) -> None:
    """202 with Location, which follows the step to its outcome."""
    answer = await shop.post(app.at("slow"), prefer="respond-async")

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    document = answer.json()
    assert set(document) == {"id", "runId", "status"}
    location = answer.headers["location"]
    assert location == f"/api/v1/steps/{document['id']}/outcome"
    await eventually(lambda: app.calls)

    open_ = await shop.get(location, Prefer="respond-async")
    assert (open_.status_code, open_.json()["status"]) == (202, "running")
    gate.open.set()
    ended = await shop.get(location)
    assert (ended.status_code, ended.json()["response"]) == (200, "done")
    again = await shop.post(app.at("slow"))
    assert (again.status_code, again.content) == (200, ended.content)
    assert len(app.calls) == 1


async def test_outcome_of_a_step_that_fails(shop: Client, app: Application) -> None:
    """The outcome's address answers a failure as the submission would."""
    answer = await shop.post(app.at("none"), prefer="respond-async", retry={"count": 0})
    outcome = await shop.get(answer.headers["location"])
    is_problem(outcome, 424, "step-failed")
    again = await shop.post(app.at("none"), retry={"count": 0})
    assert (again.status_code, again.content) == (424, outcome.content)
    is_problem(await shop.get("/api/v1/steps/none/outcome"), 404, "not-found")


async def test_no_wait_at_all(shop: Client, app: Application) -> None:
    """`wait=0` is a wait that is over at once, and is what was applied."""
    answer = await shop.post(app.at("slow"), prefer="wait=0")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")


@pytest.mark.slow
async def test_a_wait_that_ends(shop: Client, app: Application) -> None:
    """`Prefer: wait=1`: waits for a second, then 202."""
    began = trio.current_time()
    answer = await shop.post(app.at("slow"), prefer="wait=1")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
    assert trio.current_time() - began >= 1.0


async def test_a_wait_that_is_not_needed(shop: Client, app: Application) -> None:
    """An outcome that comes first ends the wait: 200."""
    answer = await shop.post(app.at("fine"), prefer="wait=10")
    assert answer.status_code == 200
    again = await shop.post(app.at("fine"), prefer="respond-async")
    assert (again.status_code, again.content) == (200, answer.content)


async def test_timeout(shop: Client, app: Application, gate: Gate) -> None:
    """504 says nothing about the step: the work goes on, and a post again gets the outcome."""
    began = trio.current_time()
    answer = await shop.post(app.at("slow"), timeout=60)

    document = is_problem(answer, 504, "wait-timeout")
    assert trio.current_time() - began >= 0.06
    assert document["errorSource"] == "engine"
    assert answer.headers["location"] == f"/api/v1/steps/{document['id']}/outcome"
    assert await shop.run_status(document["runId"]) == "running"
    gate.open.set()
    outcome = await shop.get(answer.headers["location"])
    again = await shop.post(app.at("slow"), timeout=60_000)
    assert (again.status_code, again.content) == (200, outcome.content)
    assert len(app.calls) == 1


async def test_the_first_wish_ends_the_wait(shop: Client, app: Application) -> None:
    """`timeout` before `wait`: 504; `respond-async` before both: 202."""
    timed_out = await shop.post(app.at("slow"), timeout=30, prefer="wait=60")
    is_problem(timed_out, 504, "wait-timeout")
    at_once = await shop.post(app.at("slow"), timeout=30, prefer="wait=60, respond-async")
    assert at_once.status_code == 202


async def test_a_caller_that_leaves(shop: Client, app: Application, gate: Gate) -> None:
    """Its step goes on: one call, and the outcome for whoever posts again."""
    with trio.CancelScope() as impatience:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.post, app.at("slow"))
            await eventually(lambda: app.calls)
            impatience.cancel()
    assert impatience.cancelled_caught

    gate.open.set()
    run = await shop.wait_run(app.calls[0].run_id, "completed")
    answer = await shop.post(app.at("slow"))
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json()["runId"] == run["id"]
    assert len(app.calls) == 1


@pytest.mark.slow
async def test_202_is_durable(tmp_path: Path, gate: Gate, app: Application) -> None:
    """kill -9 right after the 202: the engine that follows does the work, under the same id."""
    with harness.running(tmp_path) as first:
        async with harness.client(first.url) as shop:
            answer = await shop.post(app.at("slow"), prefer="respond-async")
            assert answer.status_code == 202
        first.kill()
    gate.open.set()
    with harness.running(tmp_path) as second:
        async with harness.client(second.url) as shop:
            outcome = await shop.get(answer.headers["location"])
            assert (outcome.status_code, outcome.json()["response"]) == (200, "done")
            again = await shop.post(app.at("slow"))
            assert again.content == outcome.content


@pytest.mark.slow
async def test_kill_in_the_middle_of_a_workflow(tmp_path: Path) -> None:
    """kill -9 while a step is called: what was recorded is not done again, the rest is."""
    retry = {"count": 0, "backOff": 20, "jitter": 0}
    hang = True

    async def workflow(call: Call) -> Answer:
        for name in ("before", "during", "after"):
            answer = await shop.post(app.at(name), call.key)
            if answer.status_code != 200:
                return Answer(500, answer.content)
        return Answer(200, b'"whole"')

    async def during(call: Call) -> Answer:
        if hang:
            await trio.sleep_forever()
        return Answer()

    async def submit_in_vain() -> None:
        with pytest.raises(httpx.TransportError):
            await shop.post(app.at("index"), retry=retry)

    handlers: dict[str, Handler] = {
        "index": workflow,
        "before": fine,
        "during": during,
        "after": fine,
    }
    with harness.running(tmp_path) as first:
        async with application(**handlers) as app, harness.client(first.url) as shop:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit_in_vain)
                await eventually(lambda: app.called("during"))
                first.kill()
            hang = False
            second = await harness.restart(first, tmp_path)
            try:
                answer = await shop.post(app.at("index"), retry=retry)
                assert (answer.status_code, answer.json()["response"]) == (200, "whole")
                root = (await shop.steps(answer.json()["runId"]))["index"]
            finally:
                second.kill()
            assert len(app.called("before")) == len(app.called("after")) == 1
            calls = app.called("during")
            assert len({call.own_key for call in calls}) == 1
            assert len({call.parent_token for call in calls}) == len(calls) >= 2
            assert root["attemptRows"][0]["status"] == "crash"
            assert root["failures"] == 0
