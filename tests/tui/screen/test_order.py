"""Sorting: by another column where a board is held whole; runs only newest or oldest first."""

from __future__ import annotations

import pytest

from engine.wire import CauseList, CauseRow, RunPage
from tests.tui.on_screen import World, at, line_with, on_screen, run_row
from tests.tui.support import standstill
from tui.data.inputs import CausesRead, LinkMoved, LinkState, RunsRead
from tui.data.listing import Edge
from tui.screen.widgets.grid import Grid


def causes(world: World) -> None:
    """Three causes, as the engine lists them: the one with most runs first."""
    rows = [
        CauseRow(name, runs, new, at(-9), at(-last), f"01K{runs}", workflow, "failed", None)
        for name, runs, new, last, workflow in (
            ("a", 30, 0, 5, "order"), ("b", 20, 7, 60, "report"), ("c", 10, 3, 1, "invoice"))
    ]  # fmt: skip
    world.store.apply(CausesRead(CauseList(tuple(rows), 60, 300_000)))


@on_screen()
async def test_the_board_of_hosts_says_why_one_stands_still(world: World) -> None:
    """In its row that it does, and below the board why, of the one under the cursor."""
    host = {"ended": 9, "succeeded": 9, "p95Ms": 9, "byMinute": [[9, 9]], "inFlight": 4,
            "queued": 4}  # fmt: skip
    why = "4 attempts at app:8000 wait for 4 steps that it has not accepted"
    hosts = [host | {"host": "app:8000"}, host | {"host": "b.test"}]
    world.live(hosts=hosts, standstills=[standstill("app:8000", why)])
    lines = await world.press("4")
    line_with(lines, "stands still app:8000")
    line_with(lines, f"2 hosts · {why}")
    assert why not in "".join(await world.press("j"))


@on_screen()
async def test_a_board_is_sorted_by_the_column_that_was_chosen(world: World) -> None:
    """`s` names the columns; figures begin with the largest; the same again turns it round; the
    cursor stays on its row."""
    causes(world)
    await world.press("3", "j")
    grid = world.app.grid()
    assert (grid.selection.ids, grid.selection.cursor_id) == (["a", "b", "c"], "b")
    line_with(await world.press("s"), "2  new")
    lines = await world.press("2")
    assert (grid.selection.ids, grid.selection.cursor_id) == (["b", "c", "a"], "b")
    assert "NEW ▾" in line_with(lines, "CAUSE")
    line_with(await world.press("s"), "now ▾, again turns it round")
    lines = await world.press("2")
    assert (grid.selection.ids, grid.selection.cursor_id) == (["a", "c", "b"], "b")
    assert "NEW ▴" in line_with(lines, "CAUSE")
    await world.press("s", "0")
    assert grid.selection.ids == ["a", "b", "c"]


@on_screen()
async def test_a_click_on_a_head_sorts(world: World) -> None:
    """Words begin with A; where there is nothing to sort by, that is said."""
    causes(world)
    await world.press("3")
    grid = world.app.grid()
    grid.post_message(Grid.HeadClicked("what"))
    await world.shown()
    assert grid.selection.ids == ["c", "a", "b"]
    await world.press("1")
    grid = world.app.grid()
    grid.post_message(Grid.HeadClicked("workflow"))
    line_with(await world.shown(), "runs are sorted by when they were submitted")
    line_with(await world.press("2", "s"), "retries are always sorted by when they are due")


@on_screen()
async def test_what_has_no_figure_comes_last(world: World) -> None:
    """Whichever way the others are sorted."""
    host = {"ended": 9, "succeeded": 9, "byMinute": [[9, 9]], "inFlight": 0, "queued": 0}
    hosts = [host | {"host": name, "p95Ms": p95}
             for name, p95 in (("a", 5), ("b", None), ("c", 9))]  # fmt: skip
    world.live(hosts=hosts)
    await world.press("4", "s", "4")
    assert world.app.selection().ids == ["c", "a", "b"]
    await world.press("s", "4")
    assert world.app.selection().ids == ["a", "c", "b"]


@on_screen()
async def test_turning_the_runs_round_keeps_cursor_and_marks(world: World) -> None:
    """The list is held whole: every row is still there."""
    world.runs(*map(run_row, range(60)))
    await world.press("space", "j")
    grid = world.app.grid()
    cursor, marks = grid.selection.cursor_id, dict(grid.selection.marks)
    lines = await world.press("s")
    assert grid.selection.ids[0] == run_row(59).id
    assert (grid.selection.cursor_id, grid.selection.marks) == (cursor, marks)
    assert "AGE ▴" in line_with(lines, "STATE")
    assert any(line.startswith("▌") for line in lines), "the cursor is seen"


@on_screen()
async def test_a_part_is_not_turned_without_the_engine(world: World) -> None:
    """The arrow would say what the rows do not."""
    world.runs(*map(run_row, range(60)), total=900)
    world.store.listing("runs").at_tail = False
    world.store.apply(LinkMoved(LinkState.LOST, "reset", 1, 2.0))
    lines = await world.press("s")
    line_with(lines, "not connected: the other end of the list cannot be read")
    assert "AGE ▾" in line_with(lines, "STATE")
    assert world.app.selection().ids[0] == run_row(0).id


@on_screen()
async def test_a_run_that_is_further_down_in_the_other_order_is_told(world: World) -> None:
    """Until the first page of the new order is there the old rows stay; then that is said."""
    world.runs(*map(run_row, range(60)), total=900)
    world.store.listing("runs").at_tail = False
    await world.press("space")
    await world.press("s")
    assert len(world.app.selection().ids) == 60
    world.runs(*map(run_row, range(200, 260)), total=900)
    line_with(await world.shown(), "further down in this order")
    assert world.app.selection().cursor_id in world.app.selection().ids
    assert not world.app.selection().marks


def ends(n: int) -> tuple[RunsRead, RunsRead]:
    """The first page and the last of so many runs; a search looks no further than a page."""
    rows = [run_row(number) for number in range(n)]
    head = RunPage(tuple(rows[:20]), 20, True, rows[19].id)
    tail = RunPage(tuple(rows[: -20 - 1 : -1]), 20, True, rows[-20].id)
    return RunsRead("runs", Edge.HEAD, head), RunsRead("runs", Edge.TAIL, tail)


@pytest.mark.parametrize(("n", "place"), [(30, "30 of 30 runs"), (300, "20 of 20+ runs")])
@on_screen()
async def test_the_end_of_the_list_is_its_last_row(world: World, n: int, place: str) -> None:
    """`G`, when the last page is there: where it meets the first page, and where it does not."""
    first, last = ends(n)
    world.store.apply(first)
    line_with(await world.press("g"), "1 of 20+ runs")
    line_with(await world.press("G"), "20 of 20+ runs")
    world.store.apply(last)
    lines = await world.shown()
    line_with(lines, place)
    assert "has left the list" not in "".join(lines)
    assert world.app.selection().cursor_id == run_row(n - 1).id


@on_screen()
async def test_who_has_moved_on_is_not_taken_to_the_end(world: World) -> None:
    """The last page came late."""
    first, last = ends(30)
    world.store.apply(first)
    await world.press("G", "k")
    world.store.apply(last)
    line_with(await world.shown(), "19 of 30 runs")


@on_screen()
async def test_in_a_long_list_the_arrow_keys_move_the_cursor(world: World) -> None:
    """They do not scroll past it."""
    world.runs(*(run_row(number) for number in range(100)))
    for key, place in (("down", "2"), ("up", "1"), ("end", "100"), ("home", "1")):
        line_with(await world.press(key), f"{place} of 100 runs")
    await world.press("pagedown")
    assert world.app.selection().cursor > 1
