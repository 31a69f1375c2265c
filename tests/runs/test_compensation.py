"""A compensation is never lost: what goes wrong between a step's failure and its undoing. §4."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from engine.core.errors import Refused
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.runs.open.callers import Recorded, Wait
from tests.world import World, ok, recorded, world

STEPS = "http://app:9000/workflows/w/steps/"
LETS_OUT = Answered(424)
LOST = Unanswered(CallError.CONNECTION_LOST, "the process died")


class Order:
    """A workflow that reserves, is declined, and releases; `wrong` goes wrong before it does."""

    def __init__(self, *wrong: Outcome) -> None:
        self.it: World
        self.wrong = list(wrong)
        self.gives_up_at_once = False

    async def __call__(self, call: Invocation) -> Outcome:
        if not call.url.endswith("/index"):
            return Answered(402) if call.url.endswith("charge") else ok()
        await self.step(call, "reserve")
        charged = await self.step(call, "charge")
        assert charged.step.state is StepState.FAILED
        if self.wrong:
            return self.wrong.pop(0)
        try:
            await self.step(call, "release")
        except Refused:
            return LETS_OUT
        return ok(b'"declined"')

    async def step(self, call: Invocation, name: str) -> Recorded:
        policy = RetryPolicy(count=0) if name == "charge" else None
        return recorded(
            await self.it.post(STEPS + name, parent_token=call.parent_token, retry=policy)
        )


@pytest.mark.parametrize("wrong", [Answered(500), Answered(503, retry_after_ms=1_000), LOST])
async def test_what_goes_wrong_on_the_way_is_tried_again(
    autojump_clock, path: Path, wrong: Outcome
) -> None:
    """The database is away for two executions: released once, and the run completes."""
    order = Order(wrong, wrong)
    async with world(path, order) as it:
        order.it = it
        answer = recorded(await it.post())

        assert (answer.step.state, answer.step.attempts) == (StepState.COMPLETED, 3)
        assert [len(it.caller.times(name)) for name in ("reserve", "charge", "release")] == [1] * 3


async def test_a_run_that_never_handles_it_waits_for_a_person(autojump_clock, path: Path) -> None:
    """Paused, with what was told and answered; resumed when it is mended, it compensates."""
    order = Order(*[Answered(500)] * 3)
    async with world(path, order) as it:
        order.it = it
        opened = await it.post(retry=RetryPolicy(count=2), wait=Wait(prefer_ms=20_000))
        run = (await it.engine.memory.get(opened.run_id)).run  # type: ignore[union-attr]
        assert run.root.pause_reason is PauseReason.UNHANDLED_FAILURE
        assert run.root.error == (
            "unhandled-failure: answered 500 after it was told that charge failed (answered 402)."
            " If that ends the workflow, answer 424"
        )

        await it.act(run.id, Action.RESUME)
        assert recorded(await it.post()).step.state is StepState.COMPLETED
        assert len(it.caller.times("release")) == 1


async def test_a_post_refused_under_load_is_made_again(autojump_clock, path: Path) -> None:
    """The compensation was refused with 503, and the function gave up: it is called once more."""
    order = Order()
    async with world(path, order) as it:
        order.it = it
        limits = it.engine.limits

        async def step(call: Invocation, name: str) -> Recorded:
            if name == "release" and call.attempt == 1:
                it.engine.limits = replace(limits, backlog_events_max=0)
            try:
                return await Order.step(order, call, name)
            finally:
                it.engine.limits = limits

        order.step = step  # type: ignore[method-assign]
        answer = recorded(await it.post())

        assert (answer.step.state, answer.step.attempts) == (StepState.COMPLETED, 2)
        assert len(it.caller.times("release")) == 1


async def test_a_post_refused_while_the_engine_stops_is_made_again(
    autojump_clock, path: Path
) -> None:
    """The engine drains as the function is told, refuses the compensation, and is told 424."""
    order = Order()

    async def step(call: Invocation, name: str) -> Recorded:
        if name == "release":
            await trio.sleep(2)  # no child is open: the drain lets this attempt end
        return await Order.step(order, call, name)

    order.step = step  # type: ignore[method-assign]
    async with world(path, order) as it:
        order.it = it
        await it.post(wait=Wait(prefer_ms=0))
        await trio.sleep(1)
        await it.engine.drain(10)
        assert not it.caller.times("release")

    async with world(path, order) as it:
        order.it = it
        answer = recorded(await it.post())
        assert answer.step.state is StepState.COMPLETED
        assert len(it.caller.times("release")) == 1
