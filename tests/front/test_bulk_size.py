"""Bulk jobs on more runs than one takes, or than can be counted."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem
from engine.jobs import plan
from engine.jobs.plan import RUNS_MAX
from engine.wire import BEYOND_A_JOB
from tests.front.desk import many, run, working


async def test_a_job_takes_the_first_of_too_many(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """As many as it takes, the oldest; the others are counted, and told to be left alone."""
    monkeypatch.setattr(plan, "RUNS_MAX", 5)
    desk = many(8)
    desk.runs.insert(2, run("done", "completed"))
    dry = await desk.ask(dryRun=True)
    beyond = {"it is completed": 1, BEYOND_A_JOB: 3}
    assert (dry.matched, dry.total, dry.skipped) == (9, 5, beyond)
    assert (await desk.refusal(expect=8)).problem is Problem.REVISION_CHANGED
    async with working(desk):
        done = await desk.ended((await desk.ask(expect=9)).id)
    assert (done.done, done.total, done.skipped) == (5, 5, beyond)
    assert [run_id for _, run_id in desk.acts] == [f"R{n}" for n in range(5)]
    assert f"{RUNS_MAX:,}" in BEYOND_A_JOB


async def test_more_than_can_be_counted_are_nobodys_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """What matches beyond it was not looked at, and so is not meant whatever is expected."""
    monkeypatch.setattr(plan, "COUNTED_MAX", 5)
    desk = many(10)
    refused = await desk.refusal(expect=10)
    assert "6 or more runs match now" in refused.detail
    assert len(desk.queries) == 2


async def test_steps_are_read_for_the_sample_alone() -> None:
    """They cost most of a plan: of 100,000 runs only some are told by name."""
    desk = many(20)
    dry = await desk.ask(dryRun=True)
    assert (len(dry.sample), dry.total) == (10, 20)
    assert [query.without_steps for query in desk.queries] == [False] * 4 + [True] * 3
