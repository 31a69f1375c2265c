"""Two runs beside each other: which steps went otherwise, those first.

A step of one run is beside the step of the other that has the same name and key below the same
step; where keys differ (they often name the order, the customer), the first of that name is beside
the first, and so on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import NamedTuple

from tui.boards.cells import Cell, Part, Seen, last_text, state_cell, why_text
from tui.boards.looks import SHAPES
from tui.boards.steptree import STILL, took_cell
from tui.data.model import Step, short_id
from tui.data.tree import Tree
from tui.text import fmt
from tui.text.sanitize import clip, fit, width

STATE_CELLS, TOOK_CELLS = 13, 7
TRIES_CELLS_MIN = 3
LAST_CELLS_MIN = 15
"""Of how the last attempt went, where there is room for it."""
LAST_FROM_CELLS = 110
STEP_CELLS_MIN = 12


class Sizes(NamedTuple):
    """How wide what is."""

    step: int
    tries: int
    last: int
    """0: it is not there."""

    @property
    def side(self) -> int:
        """Of a run: state, tries, what it took, and how its last attempt went."""
        return STATE_CELLS + self.tries + TOOK_CELLS + self.last + 3


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
    roots = list(zip_longest(lefts[None], rights[None]))  # of other workflows, too
    todo = [("", pair) for pair in roots[::-1]]
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


def in_order(left: Tree, right: Tree) -> list[Pair]:
    """The steps of both runs, what differs first."""
    return sorted(pairs(left, right), key=lambda pair: not pair.differs)


def comparison(left: Tree, right: Tree, cells: int, seen: Seen) -> list[Cell]:
    """The steps of both runs in lines of at most so many cells, what differs first."""
    found = in_order(left, right)
    alike = [pair for pair in found if not pair.differs]
    different = found[: len(found) - len(alike)]
    sizes = _sizes(found, cells)
    head = fit("STATE", STATE_CELLS + 1) + fit("TRY", sizes.tries + 1)
    head = fit(head + fit("TOOK", TOOK_CELLS + 1) + ("LAST" if sizes.last else ""), sizes.side)
    lines: list[Cell] = [
        (f"{_steps(len(found))}, {_differ(len(different))}", "strong"),
        ("", "plain"),
        (" " * sizes.step + fit(run_name(left), sizes.side) + fit(run_name(right), sizes.side),
         "plain"),
        (fit("STEP", sizes.step) + head + head, "dim"),
        *(_line(pair, sizes, seen) for pair in different),
    ]  # fmt: skip
    if alike:
        lines += [("", "plain"), (f"{_steps(len(alike))} went alike", "dim")]
        lines += [_line(pair, sizes, seen) for pair in alike]
    return lines


def _sizes(found: list[Pair], cells: int) -> Sizes:
    """Names and tries have what they need; what is left is for how the last attempts went."""
    steps = [step for pair in found for step in (pair.left, pair.right) if step is not None]
    tries = max([TRIES_CELLS_MIN, *(width(_tries(step)) for step in steps)])
    left = cells - 2 * Sizes(0, tries, 0).side
    name = max([STEP_CELLS_MIN, *(width(pair.path) + 1 for pair in found)])
    if cells < LAST_FROM_CELLS:
        return Sizes(max(STEP_CELLS_MIN, min(name, left)), tries, 0)
    name = min(name, left - 2 * LAST_CELLS_MIN)
    wanted = max([LAST_CELLS_MIN, *(width(_last(step)) + 1 for step in steps)])
    return Sizes(name, tries, min(wanted, (left - name) // 2))


def _last(step: Step) -> str:
    return why_text(step.http_status, step.error, step.excerpt)


def _tries(step: Step) -> str:
    return fmt.tries(step.attempts, step.tries_left)


def _steps(count: int) -> str:
    return f"{fmt.count(count)} step{'' if count == 1 else 's'}"


def _differ(count: int) -> str:
    return f"{fmt.count(count)} {'differs' if count == 1 else 'differ'}"


def run_name(tree: Tree) -> str:
    """Its workflow, and the end of its id."""
    return f"{tree.run.workflow} {short_id(tree.run.id)}"


def _line(pair: Pair, sizes: Sizes, seen: Seen) -> tuple[Part, ...]:
    name = fit(clip(pair.path, sizes.step - 1, middle=True), sizes.step)
    sides = (*_side(pair.left, sizes, seen), *_side(pair.right, sizes, seen))
    return ((name, "strong" if pair.differs else "plain"), *sides)


def _side(step: Step | None, sizes: Sizes, seen: Seen) -> tuple[Part, ...]:
    if step is None:
        return ((fit("—", sizes.side), "dim"),)
    state, style = state_cell(step.state)
    took = took_cell(step, seen)[0].removeprefix(STILL)
    last = fit(_last(step), sizes.last - 1) + " " if sizes.last else ""
    return (
        (fit(state, STATE_CELLS) + " ", style),
        (fit(_tries(step), sizes.tries) + " " + fit(took, TOOK_CELLS) + " ", "plain"),
        (last, "dim"),
    )
