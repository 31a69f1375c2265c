"""As many runs are under way as keep the loop busy, first come first served; a queue that would
take too long says so at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.ports.caller import Invocation
from engine.runs.limits.admission import (
    QUEUE_ALWAYS,
    QUEUE_PULSE_S,
    UNDER_WAY_ALWAYS,
    Admission,
    Idle,
)
from tests.world import ok, recorded, world


class Loop(Idle):
    """How long the loop slept, as told: a share of the time that passed."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__(clock.current_time)
        self.clock, self.share = clock, 1.0
        self.under_way = 0

    def before_io_wait(self, timeout: float) -> None: ...
    def after_io_wait(self, timeout: float) -> None: ...

    async def goes_on(self, seconds: float) -> None:
        """Let time pass, in which it slept its share."""
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            self.slept_s += self.share * QUEUE_PULSE_S
            self.clock.jump(QUEUE_PULSE_S)
            await wait_all_tasks_blocked()


@asynccontextmanager
async def admitting(clock: MockClock) -> AsyncIterator[tuple[Admission, Loop]]:
    """An admission at work; each run that enters is under way for ever."""
    loop = Loop(clock)
    admission = Admission(6.0, lambda: loop.under_way, loop)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.run)
        await wait_all_tasks_blocked()
        yield admission, loop
        nursery.cancel_scope.cancel()


async def enter(admission: Admission, loop: Loop, entered: list[int], number: int) -> None:
    await admission.enter("shop")
    loop.under_way += 1
    entered.append(number)


async def test_an_idle_loop_lets_everybody_in(mock_clock: MockClock) -> None:
    """No wait and no queue, however many are under way."""
    async with admitting(mock_clock) as (admission, loop):
        await loop.goes_on(10)
        loop.under_way = 50_000
        assert not await admission.enter("shop")


async def test_a_busy_loop_keeps_as_many_under_way_as_it_needs(mock_clock: MockClock) -> None:
    """Beyond those the next one is let in when one has ended, in the order they came."""
    entered: list[int] = []
    async with admitting(mock_clock) as (admission, loop), trio.open_nursery() as nursery:
        loop.share = 0.05
        await loop.goes_on(1)
        for number in range(UNDER_WAY_ALWAYS + 40):
            nursery.start_soon(enter, admission, loop, entered, number)
            await wait_all_tasks_blocked()
        await loop.goes_on(1)
        assert entered == list(range(UNDER_WAY_ALWAYS))
        assert len(admission) == 40
        for ended in range(1, 41):
            loop.under_way -= 1
            await loop.goes_on(2 * QUEUE_PULSE_S)
            assert entered == list(range(UNDER_WAY_ALWAYS + ended))


async def test_a_loop_with_time_gets_more(mock_clock: MockClock) -> None:
    """Slow endpoints: thousands are under way, the loop sleeps, and the queue empties in moments.
    When it is busy again, as many stay under way, and new ones wait until fewer are."""
    entered: list[int] = []
    async with admitting(mock_clock) as (admission, loop), trio.open_nursery() as nursery:
        loop.share = 0.0
        await loop.goes_on(1)
        for number in range(UNDER_WAY_ALWAYS + QUEUE_ALWAYS):
            nursery.start_soon(enter, admission, loop, entered, number)
        await wait_all_tasks_blocked()
        assert len(admission) == QUEUE_ALWAYS
        loop.share = 0.6
        await loop.goes_on(1.5)
        assert len(admission) == 0
        assert len(entered) == UNDER_WAY_ALWAYS + QUEUE_ALWAYS
        loop.share = 0.0
        await loop.goes_on(3)
        nursery.start_soon(enter, admission, loop, entered, -1)
        await loop.goes_on(1)
        assert len(admission) == 1
        loop.under_way = UNDER_WAY_ALWAYS - 1
        await loop.goes_on(0.1)
        assert len(admission) == 0


async def test_the_loops_sleep_is_counted() -> None:
    """By the instrument, in real time: at most all of it, and nothing while others run."""
    idle = Idle(time.perf_counter)
    trio.lowlevel.add_instrument(idle)
    began = time.perf_counter()
    for _ in range(100):
        await trio.lowlevel.checkpoint()
    assert idle.slept_s == 0
    await trio.to_thread.run_sync(lambda: sum(range(100_000)))
    assert 0 < idle.slept_s <= time.perf_counter() - began
    trio.lowlevel.remove_instrument(idle)


async def test_a_wait_that_would_be_too_long_is_refused() -> None:
    """At once, with the time after which to ask again; who queues already stays."""
    refusals: list[Refused] = []
    admission = Admission(6.0, lambda: 0)
    admission.limit = 0

    async def post() -> None:
        try:
            await admission.enter("shop")
        except Refused as refused:
            refusals.append(refused)

    async with trio.open_nursery() as nursery:
        for _ in range(QUEUE_ALWAYS + 300):
            nursery.start_soon(post)
        await wait_all_tasks_blocked()
        assert len(admission) == QUEUE_ALWAYS
        assert admission.refused == 300
        admission.let_all_in()
    assert len(refusals) == 300
    assert refusals[0].problem is Problem.OVERLOADED
    assert refusals[0].members == {"limit": "new_runs_wait_ms_max", "retryAfter": 6}


async def test_who_leaves_is_not_waited_for(mock_clock: MockClock) -> None:
    """A caller that hangs up while it queues has recorded nothing and takes no turn."""
    async with admitting(mock_clock) as (admission, loop):
        loop.share, loop.under_way = 0.0, 10_000
        await loop.goes_on(1)
        with trio.move_on_after(0):
            await admission.enter("shop")
        assert len(admission) == 0
        loop.under_way = 0
        await loop.goes_on(0.1)
        assert admission.room == UNDER_WAY_ALWAYS


async def test_posts_of_one_key_that_queue_open_one_run(mock_clock: MockClock, path: Path) -> None:
    """Whoever is let in looks again; at a stop those that still queue are told to post again."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    mock_clock.autojump_threshold = 0
    async with world(path, app) as it, trio.open_nursery() as nursery:
        it.engine.admission.limit = 0
        ids: list[str] = []

        async def post(key: str) -> None:
            try:
                ids.append(recorded(await it.post(key=key)).step.id)
            except Refused as refused:
                ids.append(refused.problem)

        for _ in range(3):
            nursery.start_soon(post, "k")
        await trio.sleep(1)
        assert len(it.engine.admission) == 3
        assert it.caller.calls == []
        it.engine.admission.let_all_in()
        await trio.sleep(1)
        assert len(ids) == 3
        assert len(set(ids)) == 1
        assert len(it.caller.calls) == 1
        nursery.start_soon(post, "late")
        await trio.sleep(1)
        await it.engine.drain(0.1)
        await trio.sleep(1)
        assert ids[3] == Problem.DRAINING


async def test_a_full_queue_refuses_new_runs_alone(
    mock_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that there is, in memory or only in the store, is answered all the same."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    mock_clock.autojump_threshold = 0
    async with world(path, app) as it:
        recorded(await it.post(key="known"))
        await trio.sleep(5)
        assert not it.engine.memory.live
        monkeypatch.setattr(Admission, "is_full", lambda self, client: True)
        it.engine.admission.limit = 0
        assert it.engine.is_full("shop")
        await it.engine.refuse_new("shop", "w", "known")
        with pytest.raises(Refused, match="as much open work"):
            await it.engine.refuse_new("shop", "w", "new")


async def test_clients_take_turns_to_open_runs(mock_clock: MockClock) -> None:
    """A flood of one fills its own queue: another is not refused, and is let in at its turn."""
    entered: list[str] = []
    refused: list[str] = []

    async def post(admission: Admission, loop: Loop, client: str) -> None:
        try:
            await admission.enter(client)
        except Refused:
            refused.append(client)
        else:
            loop.under_way += 1
            entered.append(client)

    async with admitting(mock_clock) as (admission, loop), trio.open_nursery() as nursery:
        loop.share, loop.under_way = 0.2, 10_000
        await loop.goes_on(1)
        for _ in range(QUEUE_ALWAYS + 5):
            nursery.start_soon(post, admission, loop, "flood")
        await wait_all_tasks_blocked()
        assert refused == ["flood"] * 5
        for _ in range(3):
            nursery.start_soon(post, admission, loop, "shop")
        await wait_all_tasks_blocked()
        nursery.start_soon(post, admission, loop, "flood")
        await wait_all_tasks_blocked()
        assert refused == ["flood"] * 6, "half of all turns are its own now"
        loop.under_way = UNDER_WAY_ALWAYS - 8
        await loop.goes_on(0.05)
        assert sorted(entered) == ["flood"] * 5 + ["shop"] * 3
        admission.let_all_in()
