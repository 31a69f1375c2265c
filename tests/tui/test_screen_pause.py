"""What is wished of a run however far it has come, and why it cannot be: pause, dismiss, cancel."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.wire import RunRow
from tests.tui.screen import World, line_with, run_row, showing, step_row
from tests.tui.test_screen_safety import accepted


@pytest.mark.parametrize(
    ("key", "state", "action"),
    [("P", "running", "pause"), ("C", "running", "cancel"), ("D", "failed", "dismiss")],
)
def test_a_wish_does_not_lose_against_the_clock(key: str, state: str, action: str) -> None:
    """The engine starts tries between the question and its answer, which moves revisions: what is
    wished does not depend on them, so none is sent. Every marked run is done."""

    async def test(world: World) -> None:
        world.live()
        rows = [run_row(number, state) for number in range(12)]
        world.runs(*rows)
        world.answers["/actions"] = accepted(rows[0])
        await world.shown()
        await world.press("a", key)
        world.clock.pass_s(1)
        line_with(await world.press("y"), f"{action}: 12 done")
        assert [members for _, members in world.posts] == [{"action": action}] * 12

    showing(test)


def test_a_retry_and_a_resume_are_held_against_the_revision() -> None:
    """A second start of what has just started is nobody's wish."""

    async def test(world: World) -> None:
        world.live()
        rows = [run_row(1, "failed"), run_row(2, "paused")]
        world.runs(*rows)
        world.answers["/actions"] = accepted(rows[0])
        await world.shown()
        await world.press("R", "j", "P")
        assert [members["ifRev"] for _, members in world.posts] == [4, 4]

    showing(test)


def test_the_reasons_of_refusals_are_told() -> None:
    """Why marked runs were left alone: one reason by itself, several with how often each."""

    async def test(world: World) -> None:
        world.live()
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

    showing(test, size=(140, 40))


def pausing(run: RunRow) -> RunRow:
    """A pause was asked for while the run's own call is in flight."""
    return msgspec.structs.replace(run, pause_reason="operator")


def test_a_pause_that_waits_for_a_call_is_pausing() -> None:
    """The run goes on until its call has ended: its state says so, in lists, in its own page, and
    when it is told; `P` takes it back."""

    async def test(world: World) -> None:
        world.live()
        run = run_row(1)
        world.runs(run)
        world.answers["/actions"] = accepted(pausing(run))
        await world.shown()
        line_with(await world.press("P"), "pausing: order 00000001 · z takes it back")
        world.runs(pausing(run))
        lines = await world.shown()
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

    showing(test)
