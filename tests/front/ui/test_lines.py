"""The tree of a run as lines: order, folds, and that no part of it takes long at once."""

from __future__ import annotations

import pytest

from engine.front.ui.lines import AT_ONCE, Line, Lines, lines, rest_text, worth_most
from tests.front.ui.support import a_step


def laid_out(made: Lines) -> tuple[list[Line], int]:
    """The lines, and how many pauses were made."""
    pauses = 0
    while True:
        try:
            next(made)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


def drawn(found: list[Line]) -> list[str]:
    return [line.prefix + (rest_text(line.rest) if line.rest else line.step.name) for line in found]


def test_a_tree_as_the_dashboard_draws_it() -> None:
    """The root first, each step below its own, in the order that they were recorded."""
    steps = [a_step("R", None), a_step("a"), a_step("b"), a_step("c", "a"), a_step("d", "a")]
    assert drawn(laid_out(lines(steps))[0]) == ["R", "├─ a", "│  ├─ c", "│  └─ d", "└─ b"]


def test_a_step_whose_parent_is_gone_stands_at_the_left() -> None:
    """Somebody may have removed a row by hand."""
    assert drawn(laid_out(lines([a_step("R", None), a_step("x", "gone")]))[0]) == ["R", "x"]


@pytest.mark.parametrize(("children", "folded"), [(50, 0), (51, 51)])
def test_many_children_are_folded(children: int, folded: int) -> None:
    """Up to 50 have lines; of more those that are done are one line."""
    steps = [a_step("R", None), *(a_step(f"s{n}") for n in range(children))]
    found, _ = laid_out(lines(steps))
    assert len(found[-1].rest) == folded
    assert len(found) == 1 + (children if not folded else 1)


def test_of_a_fold_those_stand_out_that_need_looking_at() -> None:
    """Who needs a person before who fails, who fails before who runs; 20 in all, in their order."""
    states = ["running"] * 30 + ["backing-off"] * 15 + ["failed"] * 10 + ["completed"] * 10
    steps = [a_step("R", None), *(a_step(f"s{n}", state=it) for n, it in enumerate(states))]
    found, _ = laid_out(lines(steps))
    shown = [line.step.state for line in found[1:-1]]
    assert shown == ["backing-off"] * 10 + ["failed"] * 10
    assert drawn(found)[-1] == "└─ steps ×45  ▸30 ✓10 ↻5"


def test_what_was_done_by_hand_is_not_folded() -> None:
    """However much of it there is, and beside as many others as else."""
    states = ["completed"] * 30 + ["failed"] * 30 + ["completed"] * 40
    steps = [
        a_step("R", None),
        *(a_step(f"s{n}", state=it, by_hand=n % 4 == 0) for n, it in enumerate(states)),
    ]
    found, _ = laid_out(lines(steps))
    assert [line.step.name for line in found if line.step.by_hand and not line.rest] == [
        f"s{n}" for n in range(0, 100, 4)
    ]
    assert sum(line.step.state == "failed" and not line.step.by_hand for line in found) == 20
    assert drawn(found)[-1] == "└─ steps ×55  ✓52 ✗3"


def test_where_nobody_can_unfold_all_that_differ_have_lines() -> None:
    """A file: only what is just done is one line."""
    states = ["completed"] * 300 + ["failed"] * 30 + ["cancelled"] * 40
    steps = [a_step("R", None), *(a_step(f"s{n}", state=it) for n, it in enumerate(states))]
    found, _ = laid_out(lines(steps, shown_of_folded=2_000))
    assert len(found) == 1 + 70 + 1
    assert drawn(found)[-1] == "└─ steps ×300  ✓300"


@pytest.mark.parametrize(("most", "left"), [(9, "abcdefgh"), (4, "abeg"), (1, "e"), (0, "")])
def test_of_too_many_what_was_done_by_hand_stays_first(most: int, left: str) -> None:
    """Then what is at the beginning; all in their order."""
    assert "".join(worth_most("abcdefgh", most, "eg".__contains__)) == left


def test_the_page_of_a_fold_has_all_of_it() -> None:
    """Of the step that was asked for all that is right below it has lines; folds below stay."""
    own = [a_step(f"s{n}") for n in range(200)]
    deeper = [a_step(f"t{n}", "s7") for n in range(60)]
    found, _ = laid_out(lines([a_step("R", None), *own, *deeper], top="R"))
    assert len([line for line in found if not line.rest]) == 201
    assert [len(line.rest) for line in found if line.rest] == [60]
    assert len(laid_out(lines([a_step("R", None), *own], top="s7"))[0]) == 1


def test_a_step_that_was_asked_for_is_not_folded() -> None:
    """Nor those above it."""
    own = [a_step(f"s{n}") for n in range(200)]
    deeper = [a_step(f"t{n}", "s7") for n in range(60)]
    found, _ = laid_out(lines([a_step("R", None), *own, *deeper], asked="t9"))
    assert [line.step.name for line in found if not line.rest] == ["R", "s7", "t9"]


@pytest.mark.parametrize("top", [None, "R"])
def test_no_part_takes_long(top: str | None) -> None:
    """With 10,000 steps the loop is given away every few hundred of them."""
    steps = [a_step("R", None), *(a_step(f"s{n}", state="running") for n in range(9_999))]
    found, pauses = laid_out(lines(steps, top))
    assert len(found) == (10_000 if top else 22)
    assert pauses >= 3 * len(steps) // AT_ONCE


def test_a_circle_ends() -> None:
    """Steps that are each other's parents, by a damaged row, are on no page, and hang none."""
    steps = [a_step("R", None), a_step("a", "b"), a_step("b", "a")]
    assert drawn(laid_out(lines(steps, asked="a"))[0]) == ["R"]
