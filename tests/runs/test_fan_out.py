"""Many children of one step: what each of them costs does not grow with how many there are."""

from __future__ import annotations

import math
from collections.abc import ValuesView
from pathlib import Path

import pytest
import trio

from engine.core.model import Run, Step, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.next import Next, decide
from engine.ports.caller import Invocation
from engine.runs import live as drive
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from tests.world import ok, recorded, still_open, taking, world

STEP = "http://app:9000/workflows/w/steps/"
CHILDREN = 60
ASYNC = Wait(prefer_ms=0)


async def test_callers_of_many_steps_go_a_few_at_a_time(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of many steps is cancelled: between its callers others have their turns."""
    monkeypatch.setattr(drive, "LET_GO_AT_ONCE", 10)
    order: list[str] = []

    async def caller(parent_token: str, number: int) -> None:
        answer = recorded(await it.post(STEP + f"s{number}", parent_token=parent_token))
        assert answer.step.state is StepState.CANCELLED
        order.append("caller")

    async def others() -> None:
        while order.count("caller") < CHILDREN:
            order.append("other")
            await trio.lowlevel.checkpoint()

    async with world(path, taking(math.inf)) as it:
        run_id = still_open(await it.post(wait=ASYNC)).run_id
        async with trio.open_nursery() as nursery:
            for number in range(CHILDREN):
                nursery.start_soon(caller, it.engine.parent_tokens.issue(run_id, 1), number)
            await trio.sleep(1)
            nursery.start_soon(others)
            _, done = await it.act(run_id, Action.CANCEL)
        assert len(done.changed) == CHILDREN + 1
        together = "".join(word[0] for word in order).split("o")
        assert max(map(len, together)) <= 20  # two turns, where theirs was last and then first


async def test_a_step_that_queues_is_not_looked_at_again(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two places, 60 children that all fail once and are due at once: looks grow as they do."""
    looked_at = 0

    def counted(run: Run, now: int) -> Next:
        nonlocal looked_at
        moves = decide(run, now)
        looked_at += len(moves.calls)
        return moves

    monkeypatch.setattr(drive, "decide", counted)
    policy = RetryPolicy(jitter=0, back_off_ms=100_000, max_back_off_ms=100_000)

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            for number in range(CHILDREN):
                await it.post(STEP + f"s{number}", retry=policy, wait=ASYNC)
            await trio.sleep(200)
            return ok()
        await trio.sleep(0.01)
        return Answered(500) if call.attempt == 1 else ok()

    limits = EngineLimits(in_flight_max=2, in_flight_per_host_max=2)
    async with world(path, app, limits=limits) as it:
        answer = recorded(await it.post(attempt_timeout_ms=600_000))

        assert answer.step.state is StepState.COMPLETED
        assert len(it.caller.calls) == 1 + 2 * CHILDREN
        assert it.engine.places.at_hosts.in_flight == 0
        assert looked_at < 20 * CHILDREN


class Counted(dict[str, Step]):
    """A run's steps; counts how often somebody goes through all of them."""

    scans = 0

    def values(self) -> ValuesView[Step]:  # type: ignore[override]
        self.scans += 1
        return super().values()


async def test_a_leafs_end_does_not_look_at_the_other_steps(autojump_clock, path: Path) -> None:
    """A step without children that ends has nothing below it to be looked for."""
    steps = Counted()

    async def app(call: Invocation) -> Outcome:
        nonlocal steps
        if call.url.endswith("/index"):
            run = it.engine.memory.live[call.run_id].run
            run.steps = steps = Counted(run.steps)
            for number in range(CHILDREN):
                await it.post(STEP + f"s{number}", retry=RetryPolicy(count=0), wait=ASYNC)
            await trio.sleep(1)
            return ok()
        return ok() if int(call.url.rpartition("s")[2]) % 2 else Answered(500)

    async with world(path, app) as it:
        answer = recorded(await it.post())

        assert answer.step.state is StepState.COMPLETED
        assert len(steps) == 1 + CHILDREN
        assert steps.scans == 0
