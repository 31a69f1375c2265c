"""What is wished of a run however far it has come, and why it cannot be: pause, dismiss, cancel."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.wire import RunRow
from tests.tui.on_screen import World, accepted, line_with, on_screen, run_row, step_row


@pytest.mark.parametrize(
    ("key", "state", "action"),
    [("P", "running", "pause"), ("C", "running", "cancel"), ("D", "failed", "dismiss")],
)
@on_screen()
async def test_a_wish_does_not_lose_against_the_clock(
    world: World, key: str, state: str, action: str
) -> None:
    """The engine starts tries between the question and its answer, which moves revisions: what is
    wished does not depend on them, so none is sent. Every marked run is done."""
    rows = [run_row(number, state) for number in range(12)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("a", key)
    world.clock.pass_s(1)
    line_with(await world.press("y"), f"{action}: 12 done")
    assert [members for _, members in world.posts] == [{"action": action}] * 12


@on_screen()
async def test_a_retry_and_a_resume_are_held_against_the_revision(world: World) -> None:
    """A second start of what has just started is nobody's wish."""
    rows = [run_row(1, "failed"), run_row(2, "paused")]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("R", "j", "P")
    assert [members["ifRev"] for _, members in world.posts] == [4, 4]


@on_screen(size=(140, 40))
async def test_the_reasons_of_refusals_are_told(world: World) -> None:
    """Why marked runs were left alone: one reason by itself, several with how often each."""
    rows = [run_row(number) for number in range(4)]
    world.runs(*rows)
    ended = {"type": "/problems/not-possible", "detail": "Nothing here is open and unpaused."}
    world.answers[f"{rows[0].id}/actions"] = (409, ended)
    world.answers[f"{rows[1].id}/actions"] = (409, ended)
    world.answers["/actions"] = accepted(rows[3])
    await world.shown()
    await world.press("a", "P")
    world.clock.pass_s(1)
    told = "pause: 2 done, 2 refused (still marked): Nothing here is open and unpaused."
    line_with(await world.press("y"), told)
    other = {"type": "/problems/not-possible", "detail": "It has already ended (failed)."}
    world.answers[f"{rows[1].id}/actions"] = (409, other)
    await world.press("P")
    world.clock.pass_s(1)
    lines = await world.press("y")
    line_with(lines, "0 done, 2 refused (still marked): 1: Nothing here is open and unpa")


def pausing(run: RunRow) -> RunRow:
    """A pause was asked for while the run's own call is in flight."""
    return msgspec.structs.replace(run, pause_reason="operator")


@on_screen()
async def test_a_pause_that_waits_for_a_call_is_pausing(world: World) -> None:
    """The run goes on until its call has ended: its state says so, in lists, in its own page, and
    when it is told; `P` takes it back."""
    run = run_row(1)
    world.answers["/actions"] = accepted(pausing(run))
    await world.lists(run)
    line_with(await world.press("P"), "pausing: order 00000001 · z takes it back")
    lines = await world.lists(pausing(run))
    line_with(lines, "▸ pausing")
    assert "P Resume" in lines[-1]
    root = step_row(run.id, None, "running", pause_reason="operator")
    world.tree(pausing(run), root)
    lines = await world.press("enter")
    line_with(lines, "order 00000001  ▸ pausing")
    await world.press("P")
    assert world.posts[-1][1]["action"] == "resume"
    moved: dict[str, Any] = {"status": "paused", "rev": 9}
    world.event("run", "run-moved", run.id, run.id, **moved)
    await world.press("escape")
    line_with(await world.shown(), "◫ paused")


@on_screen()
async def test_a_run_whose_call_waits_for_a_paused_step_is_paused(world: World) -> None:
    """Its function hangs while the step is paused: nothing goes on before a person says so."""
    run = pausing(run_row(1))
    assert run.at
    at = msgspec.structs.replace(run.at, status="paused", started_at=None)
    lines = await world.lists(msgspec.structs.replace(run, at=at))
    line_with(lines, "◫ paused")
    assert "pausing" not in "".join(lines)
    assert "P Resume" in lines[-1]


# -- who was quicker -------------------------------------------------------------------------------


def moved_on(run: RunRow, **members: Any) -> tuple[int, Any]:
    """The revision is another one."""
    row = msgspec.to_builtins(msgspec.structs.replace(run, rev=9, **members))
    problem = {
        "type": "/problems/revision-changed",
        "detail": "rev 9",
        "run": row | {"attempts": 4},
    }
    return 409, problem


def acted(world: World, run: RunRow, action: str, actor: str, **members: Any) -> None:
    """Somebody acts on the run."""
    what = {"action": action, "actor": actor, "rev": 5, "status": run.status}
    world.event("step", "acted", run.id, run.id, **(what | members))


@on_screen(size=(100, 24))
async def test_a_retry_that_comes_too_late_names_who_was_quicker(world: World) -> None:
    """Not the engine, but the person who pressed `R` on another dashboard."""
    run = run_row(1, "backing-off")
    world.answers["/actions"] = moved_on(run, status="running")
    await world.lists(run, run_row(2))
    line_with(await world.press("R"), "retry: order 00000001: already started: try 4 is in")
    acted(world, run_row(2), "retry", "bob")
    acted(world, run, "retry", "ana@desk")
    world.clock.pass_s(0.4)
    told = "retried by ana@desk 0.4s ago: try 4 is in flight"
    line_with(await world.press("R"), told)


@pytest.mark.parametrize("passed_s", [2, 61])
@on_screen(size=(140, 24))
async def test_what_was_cancelled_meanwhile_names_who_did_it(world: World, passed_s: float) -> None:
    """If that was just now; hostile names are told as they are."""
    run = run_row(1)
    world.runs(run)
    ended = {"type": "/problems/not-possible", "detail": "It has already ended (cancelled)."}
    world.answers["/actions"] = (409, ended)
    await world.shown()
    acted(world, run, "cancel", "ana\x1b[2J[/red]")
    await world.passes(passed_s)
    lines = await world.press("P")
    line = line_with(lines, "pause: order 00000001: It has already ended (cancelled).")
    assert ("(cancelled by ana␛[2J[/red] 2.0s ago)" in line) is (passed_s < 60)


@on_screen(size=(140, 24))
async def test_what_the_role_does_not_allow_is_told(world: World) -> None:
    """In the place of the action, with the role that it takes; whoever else acted is not named."""
    run = run_row(1)
    world.runs(run)
    why = "This takes the role operate; the token grafana has the role read."
    world.answers["/actions"] = (403, {"type": "/problems/forbidden", "detail": why})
    await world.shown()
    acted(world, run, "cancel", "ana")
    await world.passes(2)
    lines = await world.press("P")
    line = line_with(lines, f"pause: order 00000001: {why}")
    assert "ana" not in line.replace("grafana", "")
