"""A run's steps as the lines of a tree, laid out a few at a time: a run may have 10,000 steps.

Of one step that has many children most are folded into a line that leads to a page of them, as on
the dashboard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from engine.core.model import StepState
from engine.ports.views import StepOutline
from engine.shown.states import SIGNS, UNKNOWN_SIGN

CHILDREN_SHOWN_MAX = 50
"""Of one step that has more children most are folded."""
SHOWN_OF_FOLDED = 20
"""Of these so many have lines of their own: those that need a person first, then those that fail,
then those that run. What was done by hand is not folded, nor counted here."""
AT_ONCE = 500
"""Steps looked at between two pauses: some tenths of a millisecond."""
BRANCH, LAST, PIPE, BLANK = "├─ ", "└─ ", "│  ", "   "
_NEED_A_PERSON = frozenset({StepState.FAILED, StepState.PAUSED})
_FAIL = frozenset({StepState.BACKING_OFF})
_MOVE = frozenset({StepState.RUNNING, StepState.WAITING, StepState.CANCELLED})


T = TypeVar("T")


class Line(NamedTuple):
    """A line of the tree: a step, or what is folded below `step`."""

    step: StepOutline
    prefix: str
    """The branches before it."""
    rest: tuple[StepOutline, ...] = ()
    """The steps that this one line stands for; none: it is the step itself."""


Children = dict[str | None, list[StepOutline]]
Lines = Generator[None, None, list[Line]]


def lines(
    steps: Sequence[StepOutline],
    top: str | None = None,
    asked: str | None = None,
    shown_of_folded: int = SHOWN_OF_FOLDED,
) -> Lines:
    """The tree as lines, the root first, in slices. `top`: that step alone, with all that is right
    below it. `asked` has a line of its own, whatever is folded."""
    known: dict[str, StepOutline] = {}
    for at, step in enumerate(steps):
        known[step.id] = step
        if not at % AT_ONCE:
            yield
    children: Children = {}
    for at, step in enumerate(steps):
        parent = step.parent_id if step.parent_id in known else None
        children.setdefault(parent, []).append(step)
        if not at % AT_ONCE:
            yield
    never = _path_to(asked, known)
    roots = [known[top]] if top in known else children.get(None, [])
    found: list[Line] = []
    # lines, the last one first, each with what the lines below it begin with
    todo = [(Line(step, ""), "") for step in reversed(roots)]
    while todo:
        line, below = todo.pop()
        found.append(line)
        if not len(found) % AT_ONCE:
            yield
        if line.rest:
            continue
        own = children.get(line.step.id, [])
        shown: list[StepOutline] = own
        rest: tuple[StepOutline, ...] = ()
        if line.step.id != top and len(own) > CHILDREN_SHOWN_MAX:
            shown, rest = yield from _folded(own, never, shown_of_folded)
        if rest:
            todo.append((Line(line.step, below + LAST, rest), ""))
        for at, child in enumerate(reversed(shown)):
            ends = not at and not rest
            under = below + (BLANK if ends else PIPE)
            todo.append((Line(child, below + (LAST if ends else BRANCH)), under))
            if at % AT_ONCE == AT_ONCE - 1:
                yield
    return found


def _path_to(step_id: str | None, known: Mapping[str, StepOutline]) -> set[str]:
    """A step and those above it."""
    path: set[str] = set()
    while step_id is not None and step_id not in path and step_id in known:
        path.add(step_id)
        step_id = known[step_id].parent_id
    return path


def _folded(
    steps: list[StepOutline], never: Collection[str], most: int
) -> Generator[None, None, tuple[list[StepOutline], tuple[StepOutline, ...]]]:
    """Which children of many have lines of their own: those that are not just done, so many at
    most, and all that somebody had a hand in."""
    worth: dict[str, StepOutline] = {}
    for kinds in (_NEED_A_PERSON, _FAIL, _MOVE):
        for at, step in enumerate(steps):
            if step.state in kinds and not step.by_hand and len(worth) < most:
                worth[step.id] = step
            if not at % AT_ONCE:
                yield
    rest: list[StepOutline] = []
    shown: list[StepOutline] = []
    for at, step in enumerate(steps):
        is_shown = step.by_hand or step.id in worth or step.id in never
        (shown if is_shown else rest).append(step)
        if not at % AT_ONCE:
            yield
    return shown, tuple(rest)


def worth_most(found: Sequence[T], most: int, is_by_hand: Callable[[T], bool]) -> list[T]:
    """So many, in their order: what somebody had a hand in, then from the beginning."""
    first = sorted(range(len(found)), key=lambda at: not is_by_hand(found[at]))[:most]
    return [found[at] for at in sorted(first)]


def rest_text(rest: Sequence[StepOutline]) -> str:
    """`ship ×4,792  ✓4,790 ↻2`: what a folded line stands for."""
    names = {step.name for step in rest}
    states = Counter(step.state for step in rest)
    signs = (f"{SIGNS.get(it, UNKNOWN_SIGN)[0]}{n:,}" for it, n in states.most_common())
    name = rest[0].name if len(names) == 1 else "steps"
    return f"{name} ×{len(rest):,}  {' '.join(signs)}"
