"""Countdowns, attempts and counts on the screen tell the truth."""

from __future__ import annotations

import re
from typing import Any

from textual.geometry import Region

from engine.wire import AttemptRow, RetryPage, RetryRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, step_row
from tui.data.inputs import RetriesRead
from tui.screen.widgets.tight import TightUpdate

BACKING_OFF = {"at": {"status": "backing-off", "due_at": at(7)}}


@on_screen()
async def test_a_back_off_ticks_in_its_own_cell(world: World) -> None:
    """A second later the countdown is a second less, and nothing else was drawn again."""
    world.runs(run_row(1, "backing-off", **BACKING_OFF), run_row(2, submitted_at=at(-9_000)))
    assert "in 7s" in line_with(await world.shown(), "00000001")
    grid = world.app.grid()
    drawn: list[Region] = []
    refresh = grid.refresh

    def noted(*regions: Region, **more: Any) -> Any:
        drawn.extend(regions)
        return refresh(*regions, **more)

    grid.refresh = noted  # type: ignore[method-assign]
    assert "in 6s" in line_with(await world.passes(1), "00000001")
    rows = {region.y for region in drawn}
    assert rows == {1, 2}  # the age of the first row and the attempt's of the second tick too
    assert all(region.height == 1 and region.width < 12 for region in drawn)


@on_screen()
async def test_due_then_late_then_started(world: World) -> None:
    """At its time it is due, then late, and the event that it has started ends that."""
    world.runs(run_row(1, "backing-off", **BACKING_OFF))
    assert "due now" in line_with(await world.passes(7), "00000001")
    assert "late 1s" in line_with(await world.passes(1.5), "00000001")
    run_id = run_row(1).id
    world.event("run", "run-moved", run_id, run_id, status="running", rev=5)
    world.event("attempt", "started", run_id, f"{run_id}-step", status="running", number=3)
    line = line_with(await world.shown(), "00000001")
    assert "late" not in line
    assert "▸ 0s" in line
    assert "3/" in line


@on_screen()
async def test_a_step_ticks_in_place(world: World) -> None:
    """A second changes the countdown of a step in the tree; the tree is the same otherwise."""
    run = run_row(1, "backing-off")
    tries = (AttemptRow(1, 1, "failure", at(-5), at(-3), 503, delay_ms=10_000),)
    ship = step_row(run.id, "ship", "backing-off", due_at=at(7), attempt_rows=tries, failures=1)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"), ship)
    before = await world.open_first()
    assert "in 7s" in line_with(before, "ship")
    after = await world.passes(1)
    assert "in 6s" in line_with(after, "ship")
    assert len(before) == len(after)


@on_screen()
async def test_only_what_changed_is_written(world: World) -> None:
    """An update of one cell writes that cell: where it is, and its text, nothing beside it."""
    world.runs(run_row(1, "backing-off", **BACKING_OFF))
    at_cell = line_with(await world.shown(), "00000001").index("in 7s")
    compositor = world.app.screen._compositor
    compositor._dirty_regions = {Region(at_cell, 3, 6, 1)}
    update = compositor.render_partial_update()
    assert isinstance(update, TightUpdate)
    written = update.render_segments(world.app.console)
    assert written.startswith(f"\x1b[4;{at_cell + 1}H")
    assert re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", written) == "in 7s "


ACTED: dict[str, Any] = {"action": "retry", "dryRun": False, "step": None, "changed": []}


@on_screen()
async def test_retry_posts_once_with_step_and_revision(world: World) -> None:
    """R on a step that backs off posts that step with its revision, once; its event ends the
    countdown."""
    run = run_row(1, "backing-off")
    ship = step_row(run.id, "ship", "backing-off", due_at=at(7), rev=9)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"), ship)
    world.answers["/actions"] = (202, ACTED | {"run": _json(run)})
    await world.open_first("j")
    told = await world.press("R")
    assert world.posts == [
        (f"/api/v1/runs/{run.id}/actions",
         {"action": "retry", "step": ship.id, "ifRev": 9}),
    ]  # fmt: skip
    assert "retried" in line_with(told, "order 00000001 › ship")
    world.event("step", "woken", run.id, ship.id, status="backing-off", rev=10, by="operator")
    world.event("attempt", "started", run.id, ship.id, status="running", rev=11, number=2)
    line = line_with(await world.shown(), "ship")
    assert "▸" in line
    assert "in " not in line


@on_screen()
async def test_a_retry_that_comes_too_late_says_so(world: World) -> None:
    """When the engine has begun the attempt by itself the 409 is told as that, and nothing is
    posted again."""
    run = run_row(1, "backing-off")
    ship = step_row(run.id, "ship", "backing-off", due_at=at(1), rev=9)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"), ship)
    problem = {
        "type": "/problems/revision-changed", "title": "It has changed meanwhile",
        "status": 409, "detail": "The step is at revision 10, not 9.",
        "step": {"status": "running", "attempts": 4},
    }  # fmt: skip
    world.answers["/actions"] = (409, problem)
    await world.open_first("j")
    told = await world.press("R")
    assert "already started: try 4" in line_with(told, "already")
    assert len(world.posts) == 1


@on_screen()
async def test_retries_stand_in_the_order_they_are_due(world: World) -> None:
    """The board shows what the engine answers in its order: the most overdue first."""
    rows = [
        RetryRow(run.id, "shop", "order", 4, run.at)
        for seconds, number in ((-3, 5), (2, 1), (31, 3))
        for run in (run_row(number, at={"status": "backing-off", "due_at": at(seconds),
                                        "step_id": f"01K{number:023d}-s"}),)
        if run.at is not None
    ]  # fmt: skip
    await world.press("2")
    world.store.apply(RetriesRead("retries", RetryPage(tuple(rows))))
    shown = [line for line in await world.shown() if "order › charge" in line]
    assert ["late 3s" in shown[0], "in 2s" in shown[1], "in 31s" in shown[2]] == [True] * 3


@on_screen()
async def test_counts_are_the_engines(world: World) -> None:
    """Whatever events come, the top bar shows what the engine counted."""
    world.live(counts={"running": 3, "backing-off": 1_421}, stuckCount=512)
    for number in range(500):
        run_id = f"01K{number:023d}"
        world.event("run", "run-moved", run_id, run_id, status="running", rev=1)
    top = (await world.shown())[0]
    assert "▸ 3 " in top
    assert "↻ 1,421" in top
    assert "✗ 512" in top


def _json(run: object) -> Any:
    import msgspec

    return msgspec.to_builtins(run)
