"""What stands on each board, as text, at the widths that terminals have."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.tui.golden import same
from tests.tui.scene import scene
from tests.tui.support import (
    NOW,
    FakeClock,
    event,
    head_text,
    row_text,
    standstill,
    status_read,
    store_at,
)
from tui.boards.cells import (
    NONE,
    Column,
    Seen,
    age_cell,
    event_cells,
    last_text,
    layout,
    next_cell,
    text_of,
    tries_cell,
)
from tui.boards.looks import STYLES, in_ascii
from tui.boards.rows import GRIDS, BoardRows
from tui.data.inputs import LinkMoved, LinkState
from tui.data.model import At, State
from tui.past.happened import EventRow
from tui.text.sanitize import fit

BOARDS = ("home", "runs", "retries", "causes", "hosts", "events", "jobs")
WIDTHS = (60, 80, 120, 160)


def drawn(rows: BoardRows, view: str, cells_wide: int) -> str:
    """A board as it stands on a screen so wide."""
    rows.seen_now()
    lines = [f"{view}, {cells_wide} cells", head_text(GRIDS[view], cells_wide)]
    for row_id in rows.ids(view):
        cells = rows.cells(view, row_id)
        assert cells is not None
        lines.append(row_text(GRIDS[view], cells, cells_wide))
    return "\n".join(lines) + "\n\n"


@pytest.mark.parametrize("cells_wide", WIDTHS)
def test_columns_of_boards_go_and_come_with_the_width(cells_wide: int) -> None:
    """Columns go and come with the width; none runs into another."""
    rows = BoardRows(scene())
    same(f"boards-{cells_wide}", "".join(drawn(rows, view, cells_wide) for view in BOARDS))


def test_boards_in_ascii_hold_no_glyph_of_ours() -> None:
    """Nothing of ours needs more; of other people's texts what there is of it."""
    rows = BoardRows(scene())
    same("boards-ascii", in_ascii("".join(drawn(rows, view, 80) for view in BOARDS)))


@pytest.mark.parametrize("view", GRIDS)
def test_a_layout_fills_its_width(view: str) -> None:
    """Never a cell too many, and none too few while a column could use it, at any width that there
    is a screen for."""
    for cells_wide in range(58, 210):
        sized = layout(GRIDS[view], cells_wide)
        taken = sum(cells for _, cells in sized) + len(sized) - 1
        assert taken <= cells_wide
        assert all(cells >= column.cells for column, cells in sized)
        assert all(cells <= column.most for column, cells in sized if column.most)
        could = [c for c, cells in sized if c.flex and (not c.most or cells < c.most)]
        assert taken == cells_wide or not could


def test_a_layout_gives_what_one_column_has_enough_of_to_the_others() -> None:
    """A column grows to its most; the rest of its share is not lost, and not its alone."""
    columns = (
        Column("a", "A", 5, flex=3, most=10), Column("b", "B", 5, flex=1), Column("c", "C", 3),
    )  # fmt: skip
    assert [cells for _, cells in layout(columns, 19)] == [8, 6, 3]
    assert [cells for _, cells in layout(columns, 40)] == [10, 25, 3]
    assert [cells for _, cells in layout(columns[::2], 40)] == [10, 3]


def test_hosts_do_not_take_the_whole_screen() -> None:
    """On a wide one the figures stand beside their host, not at the other end."""
    wide = {column.key: cells for column, cells in layout(GRIDS["hosts"], 199)}
    assert wide["host"] <= 48


def test_keys_are_cut_in_the_middle() -> None:
    """The end of a key tells it from the others of its kind; a name is cut at its end."""
    assert [c.key for c in GRIDS["runs"] if c.middle] == ["key"]
    assert fit("order-2026-11-28-000041", 12, middle=True) == "order…000041"
    assert fit("order-2026-11-28-000041", 12) == "order-2026-…"


def test_a_layout_without_room() -> None:
    """Columns keep the least they need: those that do not fit are left out, one stays."""
    columns = (Column("a", "A", 5, flex=1), Column("b", "B", 3), Column("c", "C", 9, from_width=20))
    assert [cells for _, cells in layout(columns, 4)] == [5]
    assert [cells for _, cells in layout(columns, 8)] == [8]
    assert [cells for _, cells in layout(columns, 9)] == [5, 3]
    assert [cells for _, cells in layout(columns, 10)] == [6, 3]
    assert [cells for _, cells in layout(columns, 20)] == [6, 3, 9]


def test_every_style_is_one_of_the_theme() -> None:
    """A cell of a style that nobody defined would stop the screen."""
    rows = BoardRows(scene())
    rows.seen_now()
    for view in BOARDS:
        for row_id in rows.ids(view):
            for cell in (rows.cells(view, row_id) or {}).values():
                parts = (cell,) if isinstance(cell[0], str) else cell
                assert {str(part[1]) for part in parts} <= set(STYLES)


def test_rows_that_are_gone_have_no_cells() -> None:
    """The list may be ahead of what is kept."""
    rows = BoardRows(store_at())
    rows.draw_run(GRIDS["run"], 80)
    rows.looking.open_run("nobody")
    rows.draw_run(GRIDS["run"], 80)
    for view in GRIDS:
        assert rows.cells(view, "nobody") is None
        assert rows.ids(view) == []


def at(
    state: State,
    *,
    attempts: int = 1,
    tries_left: int | None = 3,
    started_at: int | None = None,
    due_at: int | None = None,
) -> At:
    """A step at which a run is."""
    return At(
        "s", "ship", "acme.io", state, attempts, tries_left, started_at, due_at, None, None, None
    )


def test_next_counts_down() -> None:
    """`in 7s`, `in 6s`, and only that cell's text is another."""
    retry = at(State.BACKING_OFF, due_at=NOW + 7_000)
    assert next_cell(State.BACKING_OFF, retry, Seen(NOW)) == ("in 7s", "backing-off")
    assert next_cell(State.BACKING_OFF, retry, Seen(NOW + 1_000)) == ("in 6s", "backing-off")
    assert next_cell(State.BACKING_OFF, retry, Seen(NOW + 7_000)) == ("due now", "backing-off")
    assert next_cell(State.BACKING_OFF, retry, Seen(NOW + 8_500)) == ("late 1s", "alarm")


def test_next_of_other_states() -> None:
    """An attempt in flight has an age; what has ended, or has no time, has nothing."""
    flies = at(State.RUNNING, started_at=NOW - 29_000)
    assert next_cell(State.RUNNING, flies, Seen(NOW)) == ("▸ 29s", "running")
    for state in State:
        assert next_cell(state, None, Seen(NOW)) == NONE
    for state in set(State) - {State.PAUSED}:
        assert next_cell(state, at(State.WAITING), Seen(NOW)) == NONE
    late = at(State.BACKING_OFF, due_at=NOW - 9_000)
    assert next_cell(State.FAILED, late, Seen(NOW)) == NONE


def test_next_of_what_is_paused() -> None:
    """Nothing happens next, whatever its step was about to do: neither when the run is paused nor
    when the step is at which it is."""
    late = at(State.BACKING_OFF, due_at=NOW - 9_000)
    assert next_cell(State.PAUSED, late, Seen(NOW)) == ("paused", "paused")
    assert next_cell(State.WAITING, at(State.PAUSED), Seen(NOW)) == ("paused", "paused")


def test_countdowns_of_a_lost_engine_are_guesses() -> None:
    """`≈7s`, and never behind zero."""
    clock = FakeClock()
    store = scene(clock)
    store.apply(LinkMoved(LinkState.LOST, "reset", 1, 0.5))
    rows = BoardRows(store)
    told = drawn(rows, "retries", 80)
    assert "≈due" in told
    assert "≈14m55" in told
    assert "late" not in told


def test_ages_move_seldom_when_they_are_old() -> None:
    """Each change of a cell is drawn and sent: a run of two hours need not tick."""
    shown = [age_cell(NOW, Seen(NOW + ms))[0] for ms in range(0, 10_800_000, 1_000)]
    assert shown[:3] == ["0s", "1s", "2s"]
    changes = sum(one != two for one, two in pairwise(shown[3_600:]))
    assert changes == 2 * 60 - 1
    assert age_cell(None, Seen(NOW)) == NONE
    assert age_cell(NOW + 9_000, Seen(NOW))[0] == "0s"


def test_tries() -> None:
    """The last one that may be made is told apart by a mark, not by colour alone."""
    assert tries_cell(at(State.BACKING_OFF, attempts=7, tries_left=1)) == ("7/8!", "alarm")
    assert tries_cell(at(State.RUNNING)) == ("1/4", "plain")
    assert tries_cell(at(State.PENDING, attempts=0)) == NONE
    assert tries_cell(None) == NONE


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (503, "http-status", "503"),
        (None, "connection-refused: no", "connection-refused"),
        (200, None, "200"),
        (None, None, "—"),
    ],
)
def test_last(status: int | None, error: str | None, told: str) -> None:
    """A status, or what kept one from coming."""
    assert last_text(status, error) == told


def test_a_host_that_stands_still_is_marked() -> None:
    """In words, before its name: that is what is cut on a narrow screen."""
    store, clock = store_at(), FakeClock()
    host = {"ended": 1, "succeeded": 1, "p95Ms": 1, "byMinute": [[1, 1]], "inFlight": 4,
            "queued": 4}  # fmt: skip
    hosts = [host | {"host": "app:8000"}, host | {"host": "b"}]
    store.apply(status_read(NOW, clock, hosts=hosts, standstills=[standstill("app:8000")]))
    rows = BoardRows(store)
    told = [text_of((rows.cells("hosts", id) or {})["host"]) for id in rows.ids("hosts")]
    assert told == ["stands still app:8000", "b"]


@pytest.mark.parametrize(
    ("kind", "members", "told"),
    [
        ("accepted", {}, "submitted"),
        ("started", {"number": 2}, "try 2 started"),
        ("started", {}, "try started"),
        ("attempt-ended", {"number": 2, "countsAs": "success"}, "try 2 succeeded"),
        ("attempt-ended", {"number": 2, "countsAs": "crash"}, "try 2 lost in a crash"),
        ("attempt-ended", {"number": 2, "countsAs": "interruption"}, "try 2 interrupted"),
        ("late-end", {"number": 2}, "try 2 answered late"),
        ("acted", {"action": "pause"}, "pause"),
        ("woken", {}, "due now"),
        ("cancel-asked", {}, "to be cancelled"),
        ("payload-differed", {}, "other payload"),
        ("reopened", {}, "reopened"),
        ("run-moved", {}, "run failed"),
    ],
)
def test_events_in_words(kind: str, members: dict[str, Any], told: str) -> None:
    """Whatever happens is told; also what a later engine calls otherwise."""
    store = store_at()
    store.apply(event(kind, 1, "failed", **members))
    cells = event_cells(EventRow(store.events[0]), "w", Seen(NOW))
    sign = "✎" if kind == "acted" else "✗"
    assert text_of(cells["what"]) == f"{sign} {told}"
