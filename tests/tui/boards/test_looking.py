"""What is looked at, without a screen: the way back, order, and the open run's lines."""

from __future__ import annotations

from tests.tui.support import RUN, step_row, store_at, tree_read
from tui.boards.looking import BACK_MAX, Looking
from tui.data.tree import Tree


def tree() -> Tree:
    """A run with a step that has one below it that failed, and one that is well."""
    store = store_at()
    store.apply(
        tree_read(
            step_row(status="waiting"),
            step_row("ship", "waiting", parent=RUN),
            step_row("label", "failed", parent=f"{RUN}-ship"),
            step_row("mail", "completed", parent=RUN),
        )
    )
    return store.trees[RUN]


def opened(step: str | None = None) -> Looking:
    """That run is open, and laid out."""
    looking = Looking()
    looking.open_run(RUN, None if step is None else f"{RUN}-{step}")
    looking.go("run")
    looking.lay_out(tree())
    return looking


def test_the_way_back_goes_by_what_was_typed_and_by_the_view_before() -> None:
    """A filter that was typed goes first, whatever was typed over it; then the views, each with the
    filters that it had; from a run that is all there is, to the runs."""
    looking = Looking(filters={"runs": "is:live", "retries": ""})
    looking.go("retries")
    looking.filter_by(" host:a ")
    looking.filter_by("host:b")
    looking.list_runs("is:stuck")
    assert (looking.view, looking.filter) == ("runs", "is:stuck")
    assert looking.go_back()
    assert (looking.view, looking.filter) == ("retries", "host:b")
    assert looking.go_back()
    assert (looking.view, looking.filter) == ("retries", "")
    assert not looking.go_back(), "a board is where one begins"
    assert Looking(view="run").go_back()


def test_a_board_is_a_floor() -> None:
    """`esc` on it stays there, wherever one was before; and it is as it was left, without what was
    gone into meanwhile."""
    looking = Looking(filters={"runs": "is:live", "retries": ""})
    looking.go("hosts")
    looking.list_runs("is:live host:a")
    looking.open_run(RUN)
    looking.go("run")
    looking.go("retries")
    assert not looking.go_back()
    assert looking.view == "retries"
    looking.go("runs")
    assert looking.filter == "is:live"
    looking.go("jobs")
    assert looking.go_back()
    assert looking.view == "runs"


def test_a_filter_typed_as_it_was_leaves_nothing_to_take_back() -> None:
    """Who types it away by hand is where it began."""
    looking = Looking(filters={"runs": "is:live", "retries": ""})
    looking.filter_by("wf:order")
    looking.filter_by("is:live")
    assert not looking.go_back()


def test_the_way_back_has_an_end() -> None:
    """Of many views the last are remembered; a view that is gone to again is none more."""
    looking = Looking()
    for _ in range(BACK_MAX):
        looking.list_runs("host:a")
        looking.open_run(RUN)
        looking.go("run")
    assert len(looking.back) == BACK_MAX


def test_another_view_is_seen_from_its_newest_row_and_nothing_of_it_is_meant() -> None:
    """Whoever marked a whole filter meant that board."""
    looking = Looking()
    looking.follow(following=False)
    looking.mark_filter(whole=True)
    before = looking.here()
    looking.go("hosts")
    assert (looking.following, looking.whole_filter) == (True, False)
    looking.go("runs")
    assert looking.here() != before


def test_a_column_sorts_and_again_the_other_way_round() -> None:
    """Words from A on at first, figures from the largest; without one as the engine lists them."""
    looking = Looking(view="hosts")
    looking.sort("rate")
    assert looking.sorted_by == {"hosts": ("rate", True)}
    looking.sort("rate")
    assert looking.sorted_by == {"hosts": ("rate", False)}
    looking.sort("host")
    assert looking.sorted_by == {"hosts": ("host", False)}
    looking.sort(None)
    assert looking.sorted_by == {}


def test_a_run_is_landed_in_once_as_soon_as_the_step_is_there() -> None:
    """A step that is not there is waited for only while the tree is to be read again; then it is
    told that it is not."""
    looking, found = opened("label"), tree()
    assert looking.land([], found) is None
    assert looking.land([*looking.lines], found) == f"{RUN}-label"
    assert looking.land([*looking.lines], found) is None
    looking = opened("late")
    found.outdated = True
    assert looking.land([RUN], found) is None
    assert looking.land([RUN, f"{RUN}-late"], found) == f"{RUN}-late"
    looking = opened("never")
    assert looking.land([RUN], tree()) == f"{RUN}-never"
    assert looking.land([RUN, f"{RUN}-never"], tree()) is None


def test_a_run_is_landed_in_at_a_step_that_was_named() -> None:
    """As it is shown before as it is called; a name that no step has stays, to be told."""
    looking, found = Looking(), tree()
    for named, step in (("mail", f"{RUN}-mail"), ("index", RUN), ("nobody", "nobody")):
        looking.open_run(RUN, named)
        looking.go("run")
        looking.lay_out(found)
        assert looking.land([*looking.lines], found) == looking.opened_at == step


def test_lines_are_folded_and_shown_again() -> None:
    """Where there is nothing to fold the step above is gone to."""
    looking = opened()
    ship, label = f"{RUN}-ship", f"{RUN}-label"
    assert looking.collapse(label) == ship
    assert looking.collapse(ship) is None
    looking.lay_out(tree())
    assert label not in looking.lines
    assert looking.collapse(ship) == RUN
    looking.expand(ship)
    looking.lay_out(tree())
    assert label in looking.lines
    assert looking.step(label) is not None
    assert looking.step("nobody") is None
    assert looking.collapse("nobody") is None


def test_problems_are_gone_to_in_a_ring() -> None:
    """In both directions, from wherever the cursor is; of a run that is well there is none."""
    looking = opened()
    ids, label = [*looking.lines], f"{RUN}-label"
    assert {looking.problem(ids, at, by) for at in range(len(ids)) for by in (1, -1)} == {label}
    looking.lay_out(None)
    assert looking.problem(ids, 0, 1) is None
