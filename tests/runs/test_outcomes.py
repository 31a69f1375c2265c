"""Reading what is recorded is a read: it takes no run into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from engine.core.errors import Refused
from engine.core.model import Run, StepState, run_of
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.front.api.headers import Posted
from engine.front.api.outcome import result_reply
from engine.front.show.replies import refusal
from engine.ports.caller import Invocation
from engine.ports.store import Stopped, Stored
from engine.runs.live import LiveRun
from engine.runs.memory import Memory
from tests.world import NO_LIMIT, World, ok, recorded, world

STEP = "http://app:9000/workflows/w/steps/a"
NO_RETRY = RetryPolicy(count=0)
KEYS = ("completes", "fails", "large")


async def app(it: World, call: Invocation) -> Outcome:
    """A workflow of one step, which ends as its key says."""
    key = call.idempotency_key
    if not call.url.endswith("/index"):
        return Answered(400, b"no") if key == "fails" else ok(b'"step"')
    child = recorded(await it.post(STEP, key=key, parent_token=call.parent_token, retry=NO_RETRY))
    if child.step.state is StepState.FAILED:
        return Answered(424, b'{"error": "no"}', "application/json")
    return ok(b"x" * 100_000 if key == "large" else b'{"a": 1}')


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that came into memory, and so are driven."""
    runs: list[str] = []
    enter = Memory.enter

    def counted(memory: Memory, run: Run) -> LiveRun:
        runs.append(run.id)
        return enter(memory, run)

    monkeypatch.setattr(Memory, "enter", counted)
    return runs


async def answer(it: World, step_id: str) -> tuple[object, ...]:
    """What `GET /api/v1/steps/{id}/outcome` answers: all of it but the room that it takes."""
    try:
        result = await it.engine.outcome(step_id, NO_LIMIT)
        reply = result_reply(result, Posted(None, None, respond_async=False, wait_s=None))
    except Refused as refused:
        reply = refusal(refused)
    if reply.room is not None:
        reply.room.give_back()
    return reply.status, reply.headers, reply.body


async def test_the_outcome_of_an_ended_run_is_only_read(
    autojump_clock, path: Path, entered: list[str]
) -> None:
    """Of root and step alike, by id and by posting again: nothing is loaded, recovered or driven,
    and every byte is the one that a run in memory answers."""
    async with world(path, lambda call: app(it, call)) as it:
        for key in KEYS:
            recorded(await it.post(key=key, retry=NO_RETRY))
        await trio.sleep(5)
        steps = [call.step_id for _, call in it.caller.calls]
        steps.append(f"{steps[1]}0")  # of a run that there is, which has no such step
        entered.clear()

        read = [await answer(it, step_id) for step_id in steps]
        again = [recorded(await it.post(key=key, retry=NO_RETRY)) for key in KEYS]

        assert entered == []
        assert [reply[0] for reply in read] == [200, 200, 424, 424, 200, 200, 404]
        assert all(each.replayed for each in again)
        assert [it.engine.budget.replies.used, len(it.caller.calls)] == [0, 6]

        from_memory = []
        for step_id in steps:
            await it.engine.memory.get(run_of(step_id))
            assert run_of(step_id) in it.engine.memory.live
            from_memory.append(await answer(it, step_id))
        assert set(entered) == set(map(run_of, steps))
        assert read == from_memory


async def test_many_who_ask_at_once_read_once(
    autojump_clock, path: Path, entered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may have thousands of steps, and an outcome hundreds who wait for it."""
    async with world(path, lambda call: app(it, call)) as it:
        run_id = recorded(await it.post(key="completes")).step.id
        await trio.sleep(5)
        entered.clear()
        load_runs = it.store.load_runs
        loads: list[str] = []

        async def counted(run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
            loads.extend(run_ids)
            return await load_runs(run_ids, until)

        monkeypatch.setattr(it.store, "load_runs", counted)
        answers = []

        async def ask() -> None:
            answers.append(await answer(it, run_id))

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)

        assert (len(answers), answers.count(answers[0]), answers[0][0]) == (100, 100, 200)
        assert (loads, entered) == ([run_id], [])
