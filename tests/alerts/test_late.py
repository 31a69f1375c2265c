"""Runs that are open for long: how many, of what, and when that is over."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from engine.alerts.alerts import COUNT_EVERY_S
from engine.alerts.cloud_event import trouble_of
from engine.alerts.rules import Rule, Trouble
from engine.alerts.windows import OTHERS, Incident
from engine.core.outcome import Outcome
from engine.core.retry import DAY_MS
from engine.ports.caller import Invocation
from engine.ports.views import LateFound, LateRuns
from engine.store.tables.views.views import TableViews
from tests.alerts.receiver import failing, settings, telling
from tests.world import EPOCH_MS, ok


async def test_a_run_that_is_open_for_long_is_late(autojump_clock: object, path: Path) -> None:
    """And no more when it has ended."""

    async def slow(call: Invocation) -> Outcome:
        await trio.sleep(1_000)
        return ok()

    async with telling(path, slow, asked=settings(Rule.LATE, late_after_s=600)) as (it, _, said):
        async with trio.open_nursery() as nursery:
            for key in ("k1", "k2"):
                nursery.start_soon(partial(it.post, key=key, attempt_timeout_ms=3_600_000))
            await trio.sleep(590)
            assert said.events == []
            await trio.sleep(120)
            assert said.data()["summary"] == (
                "2 runs of w (client shop) are open for longer than 600 s."
            )
        await trio.sleep(120)
        assert said.lines == ["dev.atomic.run.late first", "dev.atomic.run.late over"]


async def test_late_runs_that_cannot_all_be_looked_at_are_not_over(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are at least so many, and may be late still while others are looked at."""
    runs = (LateRuns("shop", "w", 2, "R1"),)
    there = [LateFound(runs, is_cut=True), LateFound((), is_cut=True), LateFound()]
    asked: list[int] = []

    async def late_runs(self: TableViews, opened_before: int) -> LateFound:
        asked.append(opened_before)
        return there[min(len(asked) - 1, 5) // 2]

    monkeypatch.setattr(TableViews, "late_runs", late_runs)
    async with telling(path, failing, asked=settings(Rule.LATE)) as (_, _alerts, said):
        await trio.sleep(1)
        assert said.data()["summary"] == (
            "At least 2 runs of w (client shop) are open for longer than 86400 s."
        )
        await trio.sleep(3 * COUNT_EVERY_S)
        assert (len(asked), len(said.lines)) == (4, 1)
        await trio.sleep(COUNT_EVERY_S)
        assert said.lines[1:] == ["dev.atomic.run.late over"]
        assert asked[0] == EPOCH_MS - DAY_MS


def test_of_workflows_that_are_not_told_apart_no_name_is_said() -> None:
    """But what they have in common."""
    trouble = Trouble(Rule.LATE, OTHERS, {"client": "shop", "afterS": 60})
    assert trouble_of(Incident(trouble, 0, 0, count=2)) == (
        "2 runs of other workflows are open for longer than 60 s."
    )
