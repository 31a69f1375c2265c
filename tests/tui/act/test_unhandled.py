"""A run that is paused because it did not handle a failure: what the keys do, and what they say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.client import Action
from tests.tui.on_screen import World, line_with, on_screen, run_row, step_row
from tui.act.change.targets import Target, action_for, why_not_on
from tui.data.model import State
from tui.keys import BY_ID

ERROR = "unhandled-failure: answered 500 after it was told that charge failed (answered 402)"


@pytest.mark.parametrize(
    ("state", "action"),
    [("failed", Action.RETRY), ("paused", Action.RESUME), ("running", Action.RESUME)],
)
def test_a_cause_that_has_not_failed_is_resumed(state: str, action: Action) -> None:
    """Also where the paused step is a nested workflow, and the root above it runs."""
    target = Target("r", None, 0, State.of(state), "cause", cause="c")
    assert action_for("retry", target) is action


@pytest.mark.parametrize("is_held", [False, True])
def test_what_is_held_is_said_so(is_held: bool) -> None:
    """A step that waits under a hold is not just pending, nor is its run only running."""
    for state in ("pending", "running"):
        target = Target("r", None, 0, State.of(state), "run", is_held=is_held)
        told = why_not_on(BY_ID["retry"], target)
        assert told == f"it is {state}" + ", and held: atomic holds says by what" * is_held


async def opened(world: World, **answer: Any) -> list[str]:
    """The run's screen, with the cursor on the failed step."""
    run = run_row(1, "paused")
    root = step_row(run.id, None, "paused", pause_reason="unhandled-failure", error=ERROR)
    charge = step_row(run.id, "charge", "failed")
    release = step_row(run.id, "release", "completed")
    world.runs(run)
    world.tree(run, root, charge, release)
    row = msgspec.to_builtins(run)
    members = {"action": "retry", "dryRun": True, "run": row, "changed": [root.id, charge.id]}
    members |= {"step": msgspec.to_builtins(charge), "recordedAfter": []}
    world.answers["/actions"] = (202, members | answer)
    return await world.open_first("j")


AFTER = [{"stepId": "x", "stepName": "release"}]


@on_screen()
async def test_the_inspector_says_what_to_do(world: World) -> None:
    """What it was told, what it answered, and which key does what."""
    await opened(world)
    lines = await world.press("k")
    line_with(lines, "unhandled-failure")
    line_with(lines, "opens that.")


@on_screen()
async def test_r_on_the_paused_workflow_says_the_ways_out(world: World) -> None:
    """It cannot be retried: it is resumed, or the failed step is opened."""
    await opened(world)
    line_with(await world.press("k", "R"), "P resumes it, R on the failed step opens that")
    assert world.posts == []


@on_screen()
async def test_r_on_the_failed_step_names_what_may_have_undone_it(world: World) -> None:
    """First it asks the engine, then the operator; nothing is done before a yes."""
    await opened(world, recordedAfter=AFTER)
    asked = await world.press("R")
    line_with(asked, "Open the failed step again?")
    line_with(asked, "recorded since the failure: release")
    assert [members.get("dryRun") for _, members in world.posts] == [True]
    await world.passes(1)
    await world.press("n")
    assert len(world.posts) == 1
    await world.press("R")
    await world.passes(1)
    line_with(await world.press("y"), "not done again: release")
    assert [members.get("dryRun", False) for _, members in world.posts] == [True, True, False]


@on_screen()
async def test_r_on_a_failed_step_with_nothing_after_it_asks_nothing(world: World) -> None:
    """Nothing can have undone it: it is opened at once."""
    await opened(world)
    line_with(await world.press("R"), "retried: ")
    assert [members.get("dryRun", False) for _, members in world.posts] == [True, False]
