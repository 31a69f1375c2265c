"""A run's row is the same whether an action answers with it or a list shows it: but for the step
at which it is, and the reason, which only lists look up."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from msgspec import UNSET
from msgspec.structs import replace

from engine.core.model import StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.front.show.rows import step_row
from engine.front.ui.chart import Span
from engine.front.ui.steps import Told, step_view
from engine.ports.caller import Invocation
from engine.ports.views import record_of
from engine.runs.open.callers import Wait
from engine.store.tables.views.views import TableViews
from tests.world import still_open, world


async def test_a_step_that_was_opened_again_says_when(autojump_clock: object, path: Path) -> None:
    """In the row and on the page; before, its post says it. A resume with a fresh budget opens no
    generation."""
    told = Told(0, Span(0, 1, 1), 1, {})

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(2)
        return Answered(400)

    async with world(path, app) as it:
        once = RetryPolicy(count=0)
        run_id = still_open(await it.post(retry=once, wait=Wait(prefer_ms=0))).run_id
        await trio.sleep(60)
        for opened in (False, True):
            found = await TableViews(it.store).step(run_id)
            assert found is not None
            step, attempts = found
            row = step_row(step, attempts, 1)
            assert (row.opened_at is not UNSET) is opened
            view = step_view(step, attempts, None, told)
            assert view.took == "2.0s"
            at = next(fact.text for fact in view.facts if fact.label == "at")
            assert (", opened again " in at) is opened
            fresh = replace(step, generation=1, opened_at=step.opened_at + 5)
            assert step_row(fresh).opened_at is UNSET
            if not opened:
                await it.act(run_id, Action.RETRY)
                await trio.sleep(60)


async def test_who_was_sent_home_has_not_failed(autojump_clock: object, path: Path) -> None:
    """How its last attempt ended looks like a failure on the page, unless it waits for a step."""

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(2)
        return Answered(400)

    async with world(path, app) as it:
        policy = RetryPolicy(count=0)
        run_id = still_open(await it.post(retry=policy, wait=Wait(prefer_ms=0))).run_id
        await trio.sleep(60)
        found = await TableViews(it.store).step(run_id)
        assert found is not None
        step, attempts = found
        looks = {}
        for state in (step.state, StepState.WAITING, StepState.BACKING_OFF):
            view = step_view(
                replace(step, state=state), attempts, None, Told(0, Span(0, 1, 1), 1, {})
            )
            looks[str(state)] = next(fact.look for fact in view.facts if fact.label == "last")
    assert looks == {"failed": "failed", "waiting": "waiting", "backing-off": "failed"}


@pytest.mark.parametrize("paused", [False, True])
async def test_rows_agree(paused: bool, autojump_clock: object, path: Path) -> None:
    """Backing off, the next attempt's time is told; paused, why it needs a person, since when."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500)

    async with world(path, app) as it:
        policy = RetryPolicy(back_off_ms=60_000, jitter=0)
        opened = still_open(await it.post(retry=policy, wait=Wait(prefer_ms=0)))
        await trio.sleep(1)
        if paused:
            await it.act(opened.run_id, Action.PAUSE)
        live = await it.engine.memory.get(opened.run_id)
        assert live is not None
        listed = await TableViews(it.store).tree(opened.run_id)
        assert listed is not None

        assert record_of(live.run) == replace(listed[0], at=None, reason=None)
        assert (listed[0].due_at is None) is paused
        assert (listed[0].cause is not None) is paused
        assert (listed[0].stuck_at is not None) is paused
        assert listed[0].at is not None
        assert listed[0].reason is not None
        assert listed[0].at.id == opened.run_id
