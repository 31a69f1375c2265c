"""A run's steps as a tree, and their attempts in time."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.core.text.times import rfc3339
from engine.wire import StepRow, WaitRow
from tests.tui.golden import same
from tests.tui.scene import SHIP, fan_out
from tests.tui.support import (
    NOW,
    RUN,
    STEADY,
    FakeClock,
    attempt_row,
    event,
    head_text,
    row_text,
    status_read,
    step_row,
    store_at,
    tree_read,
)
from tui.boards.cells import Seen
from tui.boards.looks import in_ascii
from tui.boards.rest import rest_name
from tui.boards.rows import GRIDS, BoardRows
from tui.boards.steptree import (
    CHILDREN_SHOWN_MAX,
    SHOWN_OF_FOLDED,
    Arranged,
    Span,
    TreeLine,
    axis,
    chart,
    lines,
    open_below,
    span_of,
    took_cell,
)
from tui.data.inputs import TreeRead
from tui.data.model import State
from tui.data.store import Store
from tui.data.tree import Tree


def tree_of(read: TreeRead) -> Tree:
    store = store_at()
    store.apply(read)
    return store.trees[RUN]


def drawn(store: Store, cells_wide: int) -> str:
    """The run as it stands on a screen so wide."""
    rows = BoardRows(store)
    rows.seen_now()
    rows.looking.open_run(RUN)
    rows.draw_run(GRIDS["run"], cells_wide + 2)
    head = head_text(GRIDS["run"], cells_wide)
    head = head.ljust(cells_wide - len(rows.chart_head)) + rows.chart_head
    told = [f"{cells_wide} cells", head.rstrip()]
    for row_id in rows.ids("run"):
        cells = rows.cells("run", row_id)
        assert cells is not None
        told.append(row_text(GRIDS["run"], cells, cells_wide))
    return "\n".join(told) + "\n\n"


def after_30_s() -> Store:
    """The run of the scene, half a minute after it began."""
    clock = FakeClock()
    store = store_at(clock)
    store.apply(status_read(NOW, clock))
    clock.pass_s(30)
    store.apply(fan_out())
    return store


def test_a_run_as_text_tells_what_waits_from_what_runs() -> None:
    """Failed attempts are of another texture, back-off is dots up to the next attempt, in the
    future too; and what waits is told apart from what runs."""
    store = after_30_s()
    told = "".join(drawn(store, cells) for cells in (60, 80, 120, 160))
    same("run", told)
    same("run-ascii", in_ascii(told))


def test_a_run_that_has_ended() -> None:
    """Its chart ends with it, and says how long it took: there is no `now` in it any more."""
    store = after_30_s()
    store.apply(event("run-moved", 9, "failed", at=30_000))
    same("run-ended", drawn(store, 80))


# -- the tree --------------------------------------------------------------------------------------


def test_what_is_collapsed_is_left_out() -> None:
    """Its line says how many are below; a step without children cannot be shut."""
    tree = tree_of(fan_out())
    names = [line.step.name for line in lines(tree) if line.step]
    assert names == ["fulfil", "charge_card", "ship", "label", "notify"]
    shut = lines(tree, Arranged({SHIP, f"{RUN}-notify"}))
    assert [line.step.name for line in shut if line.step] == [
        "fulfil", "charge_card", "ship", "notify",
    ]  # fmt: skip
    assert [(line.children, line.collapsed) for line in shut] == [
        (3, False), (0, False), (1, True), (0, False),
    ]  # fmt: skip
    (root,) = lines(tree, Arranged({RUN}))
    assert (root.children, root.collapsed) == (3, True)


def told(line: TreeLine) -> str:
    """What a line says that stands for many steps."""
    assert line.rest is not None
    return rest_name(line.rest)


def wide(count: int) -> Tree:
    """A fan-out; of 4,812 there are 18 that back off and 4 that have failed, far behind."""
    steps = [step_row(status="waiting")]
    for number in range(count):
        status = "completed"
        if number >= count - 4:
            status = "failed"
        elif number % 260 == 9 and number < 18 * 260:
            status = "backing-off"
        steps.append(step_row(f"ship{number}", status, parent=RUN, due=9_000))
    tree = tree_of(tree_read(*steps))
    for id, step in tree.steps.items():
        if step.parent_id is not None:
            tree.steps[id] = replace(step, name="ship")
    return tree


def test_a_wide_fan_out_is_folded() -> None:
    """Lines of their own have those that need a look, failed ones first; the rest is one line."""
    tree = wide(4_812)
    found = lines(tree)
    assert len(found) == 1 + SHOWN_OF_FOLDED + 1
    shown = [line.step for line in found[1:-1] if line.step]
    assert len(shown) == SHOWN_OF_FOLDED
    assert {step.state for step in shown} == {State.BACKING_OFF, State.FAILED}
    order = list(tree.steps)
    assert [order.index(step.id) for step in shown] == sorted(order.index(s.id) for s in shown)
    rest = found[-1]
    assert (rest.id, rest.step, rest.prefix) == (f"{RUN}+rest", None, "└─ ")
    assert [line.prefix for line in found[1:-1]] == ["├─ "] * SHOWN_OF_FOLDED
    assert told(rest) == "ship ×4,792  ✓4,790 ↻2"
    assert in_ascii(told(rest)) == "ship x4,792  +4,790 r2"


def test_a_step_that_was_asked_for_is_not_folded() -> None:
    """It has a line of its own where it belongs, as have those above it; the rest is counted."""
    store = store_at()
    steps = [step_row(f"s{n}", "completed", parent=RUN, ended=1) for n in range(200)]
    below = step_row("below", "completed", parent=f"{RUN}-s150", ended=1)
    store.apply(tree_read(step_row(), *steps, below))
    rows = BoardRows(store)
    rows.seen_now()
    rows.looking.open_run(RUN, below.id)
    rows.draw_run(GRIDS["run"], 80)
    assert rows.ids("run") == [RUN, f"{RUN}-s150", below.id, f"{RUN}+rest"]
    assert told(rows.looking.lines[f"{RUN}+rest"]) == "steps ×199  ✓199"


def test_nothing_to_look_at_is_one_line() -> None:
    """All done, or none begun: the fan-out is told in one line, the last below its step."""
    steps = [step_row(f"ship{n}", "completed", parent=RUN, ended=1) for n in range(200)]
    found = lines(tree_of(tree_read(step_row(), *steps)))
    assert len(found) == 2
    assert (found[1].prefix, told(found[1])) == ("└─ ", "steps ×200  ✓200")


def test_a_fan_out_that_fits_is_not_folded() -> None:
    """Fifty lines can be scrolled."""
    steps = [step_row(f"s{n}", "completed", parent=RUN) for n in range(CHILDREN_SHOWN_MAX)]
    found = lines(tree_of(tree_read(step_row(), *steps)))
    assert len(found) == 1 + CHILDREN_SHOWN_MAX
    assert [line.prefix for line in found[-2:]] == ["├─ ", "└─ "]


def test_the_rest_stands_in_the_grid() -> None:
    """With its branch, and nothing in the other columns."""
    store = store_at()
    steps = [step_row(f"s{n}", "completed", parent=RUN) for n in range(60)]
    store.apply(tree_read(step_row(), *steps))
    assert "└─ ▹ steps ×60  ✓60" in drawn(store, 80)


def test_a_step_whose_parent_is_not_known_is_a_root() -> None:
    """It came before its parent did, or the parent was missed: it is shown all the same."""
    tree = tree_of(tree_read(step_row(), step_row("lost", parent="unknown")))
    assert [line.prefix for line in lines(tree)] == ["", ""]


def test_a_circle_of_parents_ends() -> None:
    """No answer may make the dashboard go round for ever."""
    a, b = f"{RUN}-a", f"{RUN}-b"
    tree = tree_of(tree_read(step_row(), step_row("a", parent=b), step_row("b", parent=a)))
    assert [line.id for line in lines(tree)] == [RUN]


# -- the chart -------------------------------------------------------------------------------------

TIMES = st.integers(-5_000, 60_000)


@STEADY
@given(
    st.lists(st.tuples(st.sampled_from(["success", "failure", "x"]), TIMES, st.none() | TIMES)),
    st.sampled_from(["backing-off", "waiting", "running", "pending"]),
    st.none() | TIMES,
    st.integers(0, 50),
)
def test_a_chart_has_exactly_its_cells(
    tries: list[tuple[str, int, int | None]], state: str, due: int | None, cells: int
) -> None:
    """Whatever times an answer has: also such as cannot be."""
    attempts = [attempt_row(n, *told) for n, told in enumerate(tries)]
    tree = tree_of(tree_read(step_row(status=state, attempts=attempts, due=due)))
    span = span_of(tree, NOW + 30_000)
    told = "".join(text for text, _ in chart(tree.steps[RUN], span, cells))
    assert len(told) == cells
    assert len(axis(span, cells)) == cells


def test_a_short_attempt_is_seen() -> None:
    """A millisecond in an hour has a cell of its own, at the right end too."""
    tree = tree_of(
        tree_read(step_row(status="running", attempts=[
            attempt_row(1, "failure", 0, 1), attempt_row(2, "running", 3_600_000),
        ]))
    )  # fmt: skip
    span = span_of(tree, NOW + 3_600_000)
    told = "".join(text for text, _ in chart(tree.steps[RUN], span, 20))
    assert told == "╍··················━"


def test_what_lay_between_two_attempts() -> None:
    """Back-off; waiting for a step below, also when that is over; nothing while it had ended."""
    suspended = attempt_row(1, "interruption", 0, 10_000, error="suspended")
    timed = attempt_row(2, "failure", 30_000, 31_000, delay_ms=9_000, delay_by="policy")
    failed = attempt_row(3, "failure", 40_000, 41_000)
    again = attempt_row(4, "running", 50_000, generation=2)
    row = step_row(status="running", attempts=[suspended, timed, failed, again])
    tree = tree_of(tree_read(row))
    told = chart(tree.steps[RUN], span_of(tree, NOW + 60_000), 60)
    assert [(text[0], style) for text, style in told] == [
        ("╍", "dim"), ("┄", "waiting"), ("╍", "failed"), ("·", "backing-off"), ("╍", "failed"),
        (" ", "plain"), ("━", "running"),
    ]  # fmt: skip


def test_the_future_takes_a_quarter_at_most() -> None:
    """A back-off of an hour does not squeeze the minute that has been."""
    tree = tree_of(tree_read(step_row(status="backing-off", due=3_600_000)))
    span = span_of(tree, NOW + 60_000)
    assert span == Span(NOW, NOW + 80_000, NOW + 60_000)
    soon = tree_of(tree_read(step_row(status="backing-off", due=66_000)))
    assert span_of(soon, NOW + 60_000).end_ms == NOW + 66_000


def test_axis() -> None:
    """Where it began, the middle of what has been, and now."""
    assert axis(Span(NOW, NOW + 80_000, NOW + 60_000), 40) == (
        "0s             30s         now          "
    )
    assert axis(Span(NOW, NOW + 60_000, NOW + 60_000), 16) == "0s           now"
    assert axis(Span(NOW, NOW + 62_000, NOW + 62_000, over=True), 16) == "0s          1m02"
    assert axis(Span(NOW, NOW + 1, NOW + 1), 11) == " " * 11


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (step_row(status="backing-off", due=37_000), ("in 7s", "backing-off")),
        (step_row(status="backing-off", due=20_000), ("late 10s", "alarm")),
        (step_row(attempts=[attempt_row(1, "running", 5_000)]), ("25s", "running")),
        (step_row(status="pending"), ("—", "dim")),
        (step_row(status="paused", attempts=[attempt_row(1)]), ("paused", "paused")),
        (
            step_row(
                status="completed", ended=3_400, attempts=[attempt_row(1, "success", 0, 3_400)]
            ),
            ("3.4s", "dim"),
        ),
        (step_row(status="cancelled", ended=3), ("—", "dim")),
        (step_row(status="pending", held_since=rfc3339(NOW)), ("held", "paused")),
        (step_row(status="backing-off", due=20_000, waits=WaitRow("rate", "waits")),
         ("waits", "backing-off")),
        (step_row(status="backing-off", due=20_000, held_since=rfc3339(NOW),
                  waits=WaitRow("release", "held")), ("held", "paused")),
    ],
)  # fmt: skip
def test_next_or_took(row: StepRow, told: tuple[str, str]) -> None:
    """A countdown, an age, or what it took from its first attempt to its end."""
    step = tree_of(tree_read(row)).steps[RUN]
    assert took_cell(step, Seen(NOW + 30_000)) == told


def test_own_work_is_thick_and_waiting_for_steps_thin() -> None:
    """A parent covers what its children do with a line only; where two of them overlap it is one
    stretch, and what is open goes on to now."""
    begins = [attempt_row(1, "running", 0)]
    tree = tree_of(tree_read(
        step_row("order", "running", attempts=begins),
        step_row("a", "completed", parent=RUN, at=2_000, ended=4_000),
        step_row("b", "completed", parent=RUN, at=3_000, ended=6_000),
        step_row("short", "completed", parent=RUN, at=3_500, ended=4_500),
        step_row("c", "running", parent=RUN, at=8_000),
    ))  # fmt: skip
    below = open_below(tree)
    assert below == {RUN: [(NOW + 2_000, NOW + 6_000), (NOW + 8_000, inf)]}
    row = chart(tree.steps[RUN], Span(NOW, NOW + 10_000, NOW + 10_000), 10, below[RUN])
    assert row == [("━━", "running"), ("────", "dim"), ("━━", "running"), ("──", "dim")]
    assert in_ascii("".join(text for text, _ in row)) == "==----==--"


def test_names_can_be_read_ten_levels_down() -> None:
    """A level takes one cell then; where there are few levels it is drawn as wide as ever."""
    store = store_at()
    steps, parent = [step_row()], RUN
    for level in range(1, 11):
        steps.append(step_row(f"level-{level}", "running", parent=parent))
        parent = steps[-1].id
    store.apply(tree_read(*steps))
    told = drawn(store, 80)
    assert "\n         └▸ level-10 " in told
    assert "\n└▸ level-1 " in told
