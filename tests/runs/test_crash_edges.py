"""Crashes, restarts and slow commits: found by the simulation, kept here in small."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.ports.registry import KIND_RESTORED, Registered, Restored
from engine.runs.open.callers import Wait
from tests import world as worlds
from tests.store.support import rows, store_at
from tests.world import EPOCH_MS, ROOT, FakeClock, ok, recorded, still_open, taking, world

T = TypeVar("T")
STEP = "http://app:9000/workflows/w/steps/"


async def commits_take_a_second(work: Callable[[], T]) -> T:
    await trio.sleep(1)
    return work()


async def test_cancelled_before_its_request_left_is_not_invoked(
    autojump_clock, path: Path, monkeypatch
) -> None:
    """A step cancelled while its attempt waits for its commit is not called any more."""
    monkeypatch.setattr(worlds, "inline", commits_take_a_second)

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.post)
        await trio.sleep(0.5)
        [run_id] = it.engine.memory.live
        assert not it.caller.calls

        await it.act(run_id, Action.CANCEL)
        answer = recorded(await it.post())
        await trio.sleep(5)

        assert answer.step.state is StepState.CANCELLED
        assert not it.caller.calls


async def test_parent_token_of_a_step_lost_in_a_crash_is_stale(autojump_clock, path: Path) -> None:
    """A child may be called before its commit; after a crash its function is told it is stale."""

    async with world(path, taking(math.inf)) as it:
        open_ = still_open(await it.post(ROOT, wait=Wait(prefer_ms=0)))
        parent_token = it.engine.parent_tokens.issue(f"{open_.run_id}-neverrecorded", 1)

        with pytest.raises(Refused) as refused:
            await it.post(STEP + "below", parent_token=parent_token)

        assert refused.value.problem is Problem.STALE_EXECUTION


async def test_what_was_in_flight_in_a_restored_copy_did_not_crash(
    autojump_clock, path: Path
) -> None:
    """It is said so of what the copy has, and of nothing that this engine began."""
    async with world(path, taking(math.inf)) as it:
        run_id = still_open(await it.post(ROOT, wait=Wait(prefer_ms=0))).run_id
        await trio.sleep(1)
    (last,) = rows(path, "SELECT max(seq + events) - 1 FROM journal")[0]
    async with store_at(path) as store:
        value = msgspec.json.encode(Restored(last))
        await store.register(Registered(KIND_RESTORED, "copy", value, 1, "ada")).wait()
    for _ in range(2):
        async with world(path, taking(math.inf)) as it:
            await it.act(run_id, Action.RETRY)
            await trio.sleep(5)
    assert rows(path, "SELECT number, counts_as, error FROM attempt ORDER BY number") == [
        (1, "interruption", "interrupted: in flight in the copy that was restored"),
        (2, "crash", "interrupted: the engine crashed"),
        (3, None, None),
    ]


async def test_clock_set_back_between_lives_stalls_no_retry(autojump_clock, path: Path) -> None:
    """After a restart with the clock an hour back, a retry waits no longer than its back-off."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500) if call.attempt == 1 else ok()

    retry = RetryPolicy(back_off_ms=30_000, jitter=0)
    async with world(path, app) as it:
        still_open(await it.post(ROOT, retry=retry, wait=Wait(prefer_ms=0)))
        await trio.sleep(5)
    hour_back = FakeClock(base_ms=EPOCH_MS - 3_600_000)
    async with world(path, app, clock=hour_back) as it:
        await trio.sleep(32)

        assert it.caller.times("index") == pytest.approx([35], abs=0.1)


async def test_clock_set_forward_between_lives_makes_a_retry_early(
    autojump_clock, path: Path
) -> None:
    """What the pages say: early by no more than the clock was set, and only what was due then."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500) if call.attempt == 1 else ok()

    async with world(path, app) as it:
        for key, back_off_ms in (("soon", 20_000), ("later", 50_000)):
            retry = RetryPolicy(back_off_ms=back_off_ms, jitter=0)
            still_open(await it.post(ROOT, key=key, retry=retry, wait=Wait(prefer_ms=0)))
        await trio.sleep(5)
    half_a_minute_on = FakeClock(base_ms=EPOCH_MS + 30_000)
    async with world(path, app, clock=half_a_minute_on) as it:
        await trio.sleep(60)
        assert it.caller.times("index") == pytest.approx([5, 20], abs=0.1)


async def test_latest_time_outlives_a_life_with_its_clock_set_back(
    autojump_clock, path: Path
) -> None:
    """A second restart still knows that the clock was set back: the first may have died early."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    hour_back = FakeClock(base_ms=EPOCH_MS - 3_600_000)
    async with world(path, app) as it:
        await it.post(ROOT, key="before")
    async with world(path, app, clock=hour_back) as it:
        await it.post(ROOT, key="after")
    async with world(path, app, clock=hour_back) as it:
        assert it.store.last_at >= EPOCH_MS
