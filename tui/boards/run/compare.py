"""Two runs beside each other: which steps went otherwise, those first.

A step of one run is beside the step of the other that has the same name and key below the same
step; where keys differ (they often name the order, the customer), the first of that name is beside
the first, and so on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tui.boards.cells import Cell, Part, Seen, last_text, state_cell, why_text
from tui.boards.looks import SHAPES
from tui.boards.steptree import STILL, took_cell
from tui.data.model import Step, short_id
from tui.data.tree import Tree
from tui.text import fmt
from tui.text.sanitize import clip, fit

SIDE_CELLS = 27
"""Of a run: state, tries and what it took."""
LAST_CELLS = 15
"""And how its last attempt went, where there is room for it."""
LAST_FROM_CELLS = 110
STEP_CELLS_MIN = 12


class Pair(NamedTuple):
    """A step of each run; None: one of them has none there."""

    path: str
    left: Step | None
    right: Step | None

    @property
    def differs(self) -> bool:
        """Whether it went otherwise: times alone are no difference, they always differ."""
        return _how(self.left) != _how(self.right)


def _how(step: Step | None) -> object:
    if step is None:
        return None
    return step.state, step.attempts, step.http_status, last_text(step.http_status, step.error)


def pairs(left: Tree, right: Tree) -> list[Pair]:
    """The steps of both, each below its own; those that differ are not put first here."""
    lefts, rights = _children(left), _children(right)
    found: list[Pair] = []
    todo = [("", pair) for pair in _matched(lefts[None], rights[None])[::-1]]
    while todo:
        before, (mine, theirs) = todo.pop()
        step = mine or theirs
        assert step is not None  # a pair has one at least
        path = f"{before}{step.label}"
        found.append(Pair(path, mine, theirs))
        below = _matched(lefts[mine.id] if mine else [], rights[theirs.id] if theirs else [])
        # the root goes without saying
        above = "" if step.parent_id is None else f"{path} {SHAPES.into} "
        todo += [(above, pair) for pair in below[::-1]]
    return found


def _children(tree: Tree) -> defaultdict[str | None, list[Step]]:
    found: defaultdict[str | None, list[Step]] = defaultdict(list)
    for step in tree.steps.values():
        found[step.parent_id if step.parent_id in tree.steps else None].append(step)
    return found


KINDS: tuple[Callable[[Step], object], ...] = (
    lambda step: (step.name, step.step_key, step.key),
    lambda step: (step.name, step.step_key),
    lambda step: step.name,
)
"""By what steps are the same, the surest first."""


def _matched(
    lefts: Iterable[Step], rights: Iterable[Step]
) -> list[tuple[Step | None, Step | None]]:
    """Steps of one parent, side by side: by name and key, then by name and order."""
    lefts, rights = list(lefts), list(rights)
    partner: dict[str, Step] = {}
    free = {step.id: step for step in rights}
    for kind in KINDS:
        waiting: defaultdict[object, list[Step]] = defaultdict(list)
        for step in free.values():
            waiting[kind(step)].append(step)
        for step in lefts:
            if step.id not in partner and waiting[kind(step)]:
                partner[step.id] = waiting[kind(step)].pop(0)
                del free[partner[step.id].id]
    return [(step, partner.get(step.id)) for step in lefts] + [(None, s) for s in free.values()]


def comparison(left: Tree, right: Tree, cells: int, seen: Seen) -> list[Cell]:
    """The steps of both runs in lines of at most so many cells, what differs first."""
    found = pairs(left, right)
    different = [pair for pair in found if pair.differs]
    alike = [pair for pair in found if not pair.differs]
    last = LAST_CELLS if cells >= LAST_FROM_CELLS else 0
    side = SIDE_CELLS + last
    wide = max(STEP_CELLS_MIN, cells - 2 * side)
    head = fit("STATE         TRY  TOOK    " + ("LAST" if last else ""), side)
    lines: list[Cell] = [
        (f"{_steps(len(found))}, {_differ(len(different))}", "strong"),
        ("", "plain"),
        (" " * wide + fit(_run(left), side) + fit(_run(right), side), "plain"),
        (fit("STEP", wide) + head + head, "dim"),
        *(_line(pair, wide, last, seen) for pair in different),
    ]
    if alike:
        lines += [("", "plain"), (f"{_steps(len(alike))} went alike", "dim")]
        lines += [_line(pair, wide, last, seen) for pair in alike]
    return lines


def _steps(count: int) -> str:
    return f"{fmt.count(count)} step{'' if count == 1 else 's'}"


def _differ(count: int) -> str:
    return f"{fmt.count(count)} {'differs' if count == 1 else 'differ'}"


def _run(tree: Tree) -> str:
    return f"{tree.run.workflow} {short_id(tree.run.id)}"


def _line(pair: Pair, wide: int, last: int, seen: Seen) -> tuple[Part, ...]:
    name = fit(clip(pair.path, wide - 1, middle=True), wide)
    sides = (*_side(pair.left, last, seen), *_side(pair.right, last, seen))
    return ((name, "strong" if pair.differs else "plain"), *sides)


def _side(step: Step | None, last: int, seen: Seen) -> tuple[Part, ...]:
    if step is None:
        return ((fit("—", SIDE_CELLS + last), "dim"),)
    state, style = state_cell(step.state)
    took = took_cell(step, seen)[0].removeprefix(STILL)
    tries = fmt.tries(step.attempts, step.tries_left)
    told = why_text(step.http_status, step.error, step.excerpt)
    return (
        (fit(state, 13) + " ", style),
        (fit(tries, 4) + " " + fit(took, 7) + " ", "plain"),
        (fit(told, last - 1) + " " if last else "", "dim"),
    )
