"""The cursor and the marks while rows come, go and are sorted anew, without a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.support import STEADY
from tui.boards.selection import LOOK_AGAIN_S, CursorMove, Selection

ABC = ["a", "b", "c"]


def of(ids: list[str], cursor: str | None = None) -> Selection:
    """These rows, with the cursor on one of them."""
    selection = Selection()
    selection.set_ids(ids, 0.0)
    if cursor is not None:
        selection.move_to_id(cursor)
    return selection


def test_the_cursor_stays_on_its_row() -> None:
    """Whatever comes before it, and however the others are sorted; the same rows move nothing."""
    selection = of(ABC, "b")
    assert selection.set_ids(["z", "c", "b", "a"], 1.0) == CursorMove(1)
    assert (selection.cursor, selection.cursor_id) == (2, "b")
    assert selection.set_ids(["z", "c", "b", "a"], 1.0) is None


def test_when_its_row_leaves_the_cursor_is_where_it_was() -> None:
    """For a moment a key was still meant for the row that left, until somebody moves it."""
    selection = of(ABC, "b")
    assert selection.set_ids(["a", "c"], 5.0) == CursorMove(1, lost=True)
    assert selection.cursor_id == "c"
    assert selection.has_just_left(5.0 + LOOK_AGAIN_S / 2)
    assert not selection.has_just_left(5.0 + LOOK_AGAIN_S)
    selection.move(0)
    assert not selection.has_just_left(5.0)
    assert selection.set_ids([], 9.0) == CursorMove(1, lost=True)
    assert selection.cursor == -1
    assert selection.set_ids(ABC, 9.0) == CursorMove(-1)
    assert selection.cursor_id == "a"


def test_a_row_that_is_to_come_stands_in_for_the_cursors() -> None:
    """Then it has not left: the last row of a list goes on to one that is read only now."""
    selection = of(ABC, "c")
    selection.stand_in("f")
    assert selection.set_ids(["d", "e", "f"], 1.0) == CursorMove(-1)
    assert selection.cursor_id == "f"


def test_marks_that_leave_are_counted_until_that_is_known() -> None:
    """Nothing marked is taken for something else: neither in silence, nor when the row is back."""
    selection = of(ABC)
    selection.mark_all()
    assert selection.set_ids(["b"], 1.0) == CursorMove(0, lost=True, marks_lost=2)
    assert selection.set_ids(ABC, 1.0) == CursorMove(0)
    assert (list(selection.marks), selection.marks_lost) == (["b"], 2)
    selection.told_of_marks()
    assert selection.marks_lost == 0


def test_marks_are_set_one_by_one_in_ranges_and_all() -> None:
    """A range goes from the last mark to the cursor; without one it begins there."""
    selection = of([*ABC, "d"], "c")
    selection.mark_range()
    assert list(selection.marks) == ["c"]
    selection.move_to_id("a")
    selection.mark_range()
    assert set(selection.marks) == {"a", "b", "c"}
    selection.toggle_mark()
    selection.unmark("c")
    assert list(selection.marks) == ["b"]
    selection.mark_all()
    assert list(selection.marks) == selection.ids
    selection.clear_marks()
    assert not selection.marks


def test_a_range_reaches_to_wherever_the_cursor_goes() -> None:
    """And back; until it is ended, or what was marked is done or gone."""
    selection = of([*ABC, "d"], "b")
    selection.mark_range()
    selection.move(2)
    assert list(selection.marks) == ["b", "c", "d"]
    selection.move(-3)
    assert list(selection.marks) == ["a", "b"]
    selection.mark_range()
    selection.move(3)
    assert list(selection.marks) == ["a", "b"]
    selection.mark_range()  # from the last mark
    assert set(selection.marks) == {"a", "b", "c", "d"}
    for ends in (selection.toggle_mark, selection.mark_all, lambda: selection.unmark("a")):
        selection.clear_marks()
        selection.move_to_id("a")
        selection.mark_range()
        selection.move(1)
        ends()
        before = list(selection.marks)
        selection.move(1)
        assert list(selection.marks) == before
    selection.clear_marks()
    selection.mark_range()
    selection.set_ids(["x", "y"], 0.0)
    selection.move(1)
    assert not selection.marks


def test_the_cursor_goes_no_further_than_the_rows() -> None:
    """At both ends; to a row that is not here, and of no rows at all, it does not go."""
    selection = of(ABC)
    selection.move(-5)
    assert selection.cursor == 0
    selection.move(99)
    assert selection.cursor == 2
    selection.move_to_id("nobody")
    assert selection.cursor == 2
    nothing = of([])
    nothing.move(1)
    nothing.toggle_mark()
    assert (nothing.cursor_id, nothing.marks) == (None, {})


def test_what_is_on_the_screen_is_told() -> None:
    """By whoever draws it."""
    selection = of(ABC)
    selection.see(1, 2)
    assert [selection.is_seen(at) for at in range(4)] == [False, True, True, False]
    assert selection.ids_seen == ["b", "c"]


def test_whoever_draws_it_is_told_of_each_move_and_mark() -> None:
    """And not of rows, which it gave itself."""
    told: list[str] = []
    selection = Selection(lambda: told.append("moved"), lambda: told.append("marked"))
    selection.set_ids(ABC, 0.0)
    selection.move(1)
    selection.toggle_mark()
    selection.clear_marks()
    assert told == ["moved", "marked", "marked"]


@STEADY
@given(
    st.lists(
        st.permutations("abcdef").flatmap(lambda ids: st.integers(0, 6).map(lambda n: ids[:n]))
    )
)
def test_the_cursor_and_marks_are_always_rows(lists: list[list[str]]) -> None:
    """Whatever comes and goes, and in whatever order."""
    selection = of(list("abcdef"), "c")
    selection.mark_all()
    for ids in lists:
        selection.set_ids(ids, 0.0)
        assert (selection.cursor_id in ids) if ids else selection.cursor_id is None
        assert set(selection.marks) <= set(ids)
        assert len(selection.marks) + selection.marks_lost == 6
