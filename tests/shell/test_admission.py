"""New runs are let in as fast as the loop's passes stay short, first come first served; a queue
that would take too long says so at once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.admission import PASS_S_MAX, PULSE_S, QUEUE_ALWAYS, Admission
from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.ports import Invocation
from tests.world import ok, recorded, world

SLOW_PASS_S = PASS_S_MAX * 2


class Load:
    """Work that makes each pass of the loop take as long as told."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.pass_s = SLOW_PASS_S
        self.passes = 0

    async def run(self) -> None:
        while self.pass_s:
            self.passes += 1
            self.clock.jump(self.pass_s)
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def busy(clock: MockClock) -> AsyncIterator[tuple[Admission, Load]]:
    """An admission that has found the loop slow."""
    admission, load = Admission(6.0), Load(clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.run)
        nursery.start_soon(load.run)
        while not admission.busy:
            await trio.lowlevel.checkpoint()
        yield admission, load
        nursery.cancel_scope.cancel()


async def test_nobody_waits_while_passes_are_short(mock_clock: MockClock) -> None:
    """No wait, no queue, and no task that spins: the pulse is all that runs."""
    admission = Admission(6.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.run)
        await wait_all_tasks_blocked()
        mock_clock.jump(PULSE_S)
        await wait_all_tasks_blocked()
        assert not admission.busy
        assert not await admission.enter()
        nursery.cancel_scope.cancel()


async def test_few_are_let_in_while_passes_are_long(mock_clock: MockClock) -> None:
    """In the order they came; soon one with each pass, and never none."""
    entered: list[tuple[int, int]] = []
    async with busy(mock_clock) as (admission, load), trio.open_nursery() as nursery:

        async def post(number: int) -> None:
            assert await admission.enter()
            entered.append((number, load.passes))

        for number in range(60):
            nursery.start_soon(post, number)
            await trio.lowlevel.checkpoint()
    passes = [in_pass for _, in_pass in sorted(entered)]
    assert len(passes) == 60
    # Which of two tasks of one pass comes first is up to chance.
    assert all(later >= earlier - 1 for earlier, later in itertools.pairwise(passes))
    assert passes[-1] - passes[-20] >= 10


async def test_when_passes_are_short_again_all_are_let_in(mock_clock: MockClock) -> None:
    """The load ends: the queue empties in a few passes, and the next post does not queue."""
    async with busy(mock_clock) as (admission, load):
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(admission.enter)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            assert len(admission) > 400
            load.pass_s = 0
        assert len(admission) == 0
        assert not await admission.enter()


async def test_a_wait_that_would_be_too_long_is_refused() -> None:
    """At once, with the time after which to ask again; who queues already stays."""
    refusals: list[Refused] = []
    admission = Admission(6.0)
    admission.busy = True

    async def post() -> None:
        try:
            await admission.enter()
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
    async with busy(mock_clock) as (admission, _):
        with trio.move_on_after(0):
            await admission.enter()
        assert len(admission) == 0


async def test_posts_of_one_key_that_queue_open_one_run(
    mock_clock: MockClock, tmp_path: Path
) -> None:
    """Whoever is let in looks again; at a stop those that still queue are told to post again."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    mock_clock.autojump_threshold = 0
    async with world(tmp_path / "a.db", app) as it, trio.open_nursery() as nursery:
        it.engine.admission.busy = True
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
