"""A run's steps as the lines of a tree, with a chart of their attempts in time.

A line is known by the step it shows; what is collapsed is left out, and a fan-out of many is folded
into the steps that need looking at and one line for the rest, which lists them when it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from engine.shown import times
from tui.boards.cells import HELD, NONE, WAITS, Part, Seen, due_cell
from tui.boards.looks import SHAPES
from tui.boards.rest import Rest, rest_of, took_ms
from tui.boards.sorting import sort_rows
from tui.data.model import Attempt, State, Step
from tui.data.tree import Tree

CHILDREN_SHOWN_MAX = 50
"""Of one step that has more children most are folded."""
SHOWN_OF_FOLDED = 20
"""Of these so many have lines of their own: those that need a person first, then those that fail,
then those that run."""
STILL = "still "
"""Before the age of a call that goes on though its step has ended."""
DEEP_FROM = 6
"""With so many levels below the root a level takes one cell in place of three."""
SHORT_MS = 10_000
"""The chart of a run that took less tells parts of a second."""


class TreeLine(NamedTuple):
    """A line of the tree."""

    id: str
    """The step's; of many that are told in one line their parent's with `+rest` behind it."""
    step: Step | None
    prefix: str
    """The branches before it."""
    children: int
    collapsed: bool
    """What is below it, or what it stands for, has no lines now."""
    rest: Rest | None = None
    """The steps that this one line stands for, or tells of where they are listed below it."""


class Arranged(NamedTuple):
    """What of a tree has lines, and in which order."""

    collapsed: Collection[str] = ()
    """Steps below which nothing is shown."""
    listed: Collection[str] = ()
    """Parents all of whose many children have lines of their own."""
    asked: str | None = None
    """A step that is never folded."""
    keeps: Callable[[Step], bool] | None = None
    """Which steps are looked for; those above them are shown too. None: all."""
    by: Callable[[Step], Any] | None = None
    """What children of one parent are sorted by; None: as they were recorded."""
    down: bool = False


AS_RECORDED = Arranged()
REST = "+rest"


def lines(tree: Tree, how: Arranged = AS_RECORDED) -> list[TreeLine]:
    """The tree as lines, the root first."""
    known = tree.steps
    children = _children(tree, how)
    never_folded = _path_to(how.asked, known)
    narrow = _is_deep(tree)
    branch, last, pipe, blank = (
        it[:1] if narrow else it for it in (SHAPES.branch, SHAPES.last, SHAPES.pipe, "   ")
    )
    found: list[TreeLine] = []
    # lines, the last one first, each with what the lines below it begin with
    todo = [(_line(step, "", children, how), "") for step in children.get(None, [])[::-1]]
    while todo:
        line, below = todo.pop()
        found.append(line)
        if line.step is None or line.collapsed:
            continue
        shown, rest = children.get(line.id, []), list[Step]()
        if how.keeps is None:
            shown, rest = _folded(shown, never_folded)
        is_listed = line.id in how.listed
        rows: list[Step | None] = [*shown, *([None] if rest else []), *(rest if is_listed else [])]
        for at in range(len(rows) - 1, -1, -1):
            child, ends = rows[at], at == len(rows) - 1
            prefix = below + (last if ends else branch)
            if child is None:
                told = rest_of(rest, children[line.id])
                todo.append((TreeLine(line.id + REST, None, prefix, 0, not is_listed, told), ""))
            else:
                under = below + (blank if ends else pipe)
                todo.append((_line(child, prefix, children, how), under))
    return found


def _is_deep(tree: Tree) -> bool:
    depth = {tree.run.id: 0}
    for step in tree.steps.values():  # parents come before their children
        depth[step.id] = depth.get(step.parent_id or "", -1) + 1
    return max(depth.values()) >= DEEP_FROM


def _children(tree: Tree, how: Arranged) -> dict[str | None, list[Step]]:
    """The steps below each step that have lines, in their order."""
    known = tree.steps
    kept: Collection[str] = known
    if how.keeps is not None:
        kept = {tree.run.id}
        for step in known.values():
            if step.id not in kept and how.keeps(step):
                kept |= _path_to(step.id, known)
    children: dict[str | None, list[Step]] = {}
    for step in known.values():
        if step.id in kept:
            parent = step.parent_id if step.parent_id in known else None
            children.setdefault(parent, []).append(step)
    if how.by is not None:
        for parent, steps in children.items():
            children[parent] = sort_rows(steps, how.by, down=how.down)
    return children


def _line(
    step: Step, prefix: str, children: dict[str | None, list[Step]], how: Arranged
) -> TreeLine:
    own = len(children.get(step.id, ()))
    is_shut = bool(own) and step.id in how.collapsed and how.keeps is None
    return TreeLine(step.id, step, prefix, own, is_shut)


def _path_to(step_id: str | None, known: Mapping[str, Step]) -> set[str]:
    """A step and those above it."""
    path: set[str] = set()
    while step_id is not None and step_id not in path and step_id in known:
        path.add(step_id)
        step_id = known[step_id].parent_id
    return path


def _folded(steps: list[Step], never: Collection[str]) -> tuple[list[Step], list[Step]]:
    """Which children have lines of their own: of many those that are not just done."""
    if len(steps) <= CHILDREN_SHOWN_MAX:
        return steps, []
    worth = [step for step in steps if step.state not in (State.COMPLETED, State.PENDING)]
    worth.sort(key=lambda step: (not step.is_problem, step.state is State.BACKING_OFF))
    ids = {step.id for step in worth[:SHOWN_OF_FOLDED]} | set(never)
    shown = [step for step in steps if step.id in ids]
    return shown, [step for step in steps if step.id not in ids]


# -- the chart -------------------------------------------------------------------------------------


class Span(NamedTuple):
    """The stretch of time that the chart shows."""

    begin_ms: float
    end_ms: float
    now_ms: float
    over: bool = False
    """The run has ended: `now_ms` is its end."""

    def cell(self, at_ms: float, cells: int) -> int:
        """Where a time lies, as a cell from 0 to `cells`."""
        whole = max(1.0, self.end_ms - self.begin_ms)
        return round((min(max(at_ms, self.begin_ms), self.end_ms) - self.begin_ms) / whole * cells)


def span_of(tree: Tree, now_ms: float) -> Span:
    """From the run's beginning to now, or to its end, or to the next attempt if that is soon."""
    begin = tree.run.submitted_at
    ends = [step.ended_at for step in tree.steps.values() if step.ended_at is not None]
    if tree.run.ended and not any(step.outlived_by for step in tree.steps.values()):
        end = float(max([begin + 1, tree.run.ended_at or 0, *ends]))
        return Span(begin, end, end, over=True)
    passed = max(1_000.0, now_ms - begin)
    due = [s.due_at for s in tree.steps.values() if s.state is State.BACKING_OFF and s.due_at]
    # The future may take a quarter of the chart, lest a long back-off squeeze what has been.
    ahead = min(max([0.0, *(at - now_ms for at in due)]), passed / 3)
    return Span(begin, begin + passed + ahead, now_ms)


Stretch = tuple[float, float]
"""From when to when, in ms."""


def open_below(tree: Tree) -> dict[str, list[Stretch]]:
    """For each step with others below it: while any of these was open, in order, none over another.
    What is open still has no end."""
    found: dict[str, list[Stretch]] = {}
    for step in sorted(tree.steps.values(), key=lambda each: each.submitted_at):
        if step.parent_id is None:
            continue
        begin, end = float(step.submitted_at), float(step.ended_at or inf)
        stretches = found.setdefault(step.parent_id, [])
        if stretches and begin <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], max(end, stretches[-1][1])
        else:
            stretches.append((begin, end))
    return found


def chart(step: Step, span: Span, cells: int, below: Sequence[Stretch] = ()) -> list[Part]:
    """A step's attempts: bars for those that succeeded or run, another texture for failed ones,
    dots for back-off (running into the future up to the next attempt). While one waits for steps
    that are open `below` it is a thin line: what is thick is its own work."""
    row: list[Part] = [(" ", "plain")] * cells
    if cells <= 0:
        return []

    def fill(begin: float, end: float, character: str, style: str, *, least: int) -> None:
        first, last = span.cell(begin, cells), span.cell(end, cells)
        last = min(cells, max(last, first + least))
        for at in range(min(first, cells - least), last):
            row[at] = (character, style)

    if step.state is State.WAITING:
        since = max((t.ended_at or t.started_at for t in step.tries), default=step.submitted_at)
        fill(since, span.now_ms, SHAPES.waits, "waiting", least=1)
    for before, after in zip(step.tries, (*step.tries[1:], None), strict=False):
        end = before.ended_at
        if end is not None and after is not None:
            character, style = _between(before, after)
            fill(end, after.started_at, character, style, least=0)
        elif end is not None and step.state is State.BACKING_OFF and step.due_at is not None:
            fill(end, max(step.due_at, span.now_ms), SHAPES.dots, "backing-off", least=0)
    for attempt in step.tries:
        character, style = _bar(step, attempt)
        thin = style if style == "failed" else "dim"
        ended_at = attempt.ended_at or span.now_ms
        fill(attempt.started_at, ended_at, character, style, least=1)
        for opened, closed in below:
            first, until = max(opened, attempt.started_at), min(closed, ended_at)
            if first < until:
                fill(first, until, SHAPES.thin, thin, least=0)
        if attempt.ended_at is not None:  # what it answered is its own work, however short
            last = max(span.cell(attempt.started_at, cells), span.cell(ended_at, cells) - 1)
            row[min(last, cells - 1)] = (character, style)
    return _joined(row)


def _between(before: Attempt, after: Attempt) -> Part:
    """What lies between two attempts: back-off; waiting for a step below, which set no time; or
    nothing, while the step had ended."""
    if before.generation != after.generation:
        return " ", "plain"
    if before.status == "interruption" and before.delay_by is None:
        return SHAPES.waits, "waiting"
    return SHAPES.dots, "backing-off"


def _bar(step: Step, attempt: Attempt) -> Part:
    match attempt.status:
        case "running" if step.ended:
            return SHAPES.failed_bar, str(step.state)
        case "running":
            return SHAPES.bar, "running"
        case "success":
            return SHAPES.bar, "completed"
        case "failure":
            return SHAPES.failed_bar, "failed"
        case _:
            return SHAPES.failed_bar, "dim"


def _joined(row: list[Part]) -> list[Part]:
    found: list[Part] = []
    for character, style in row:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + character, style)
        else:
            found.append((character, style))
    return found


def axis(span: Span, cells: int) -> str:
    """The chart's head: `0s`, half of it, and where now is `now` (or how long the run took)."""
    if cells < 12:
        return " " * max(0, cells)
    row = [" "] * cells
    now = span.cell(span.now_ms, cells)
    middle = span.begin_ms + (span.now_ms - span.begin_ms) / 2
    end = _axis_time(span.end_ms - span.begin_ms) if span.over else "now"
    half = _axis_time(middle - span.begin_ms)
    marks = [(0, "0s"), (max(3, now - len(end)), end)]
    if now >= 20:
        marks.append((span.cell(middle, cells), half))
    for at, label in marks:
        row[at : at + len(label)] = label
    return "".join(row)[:cells]


def _axis_time(passed_ms: float) -> str:
    return times.took(passed_ms) if passed_ms < SHORT_MS else times.span(passed_ms)


def took_cell(step: Step, seen: Seen) -> Part:
    """NEXT / TOOK of a step: a countdown, the age of the attempt in flight, that it is held, waits
    or is paused, or what it took."""
    if step.held_since is not None:
        return HELD
    if step.waits is not None:
        return WAITS
    if step.state is State.BACKING_OFF and step.due_at is not None:
        return due_cell(step.due_at, seen)
    if step.state is State.RUNNING and step.tries:
        return times.span(seen.now_ms - step.tries[-1].started_at), "running"
    if step.state is State.PAUSED:
        return "paused", "paused"
    if (attempt := step.outlived_by) is not None:
        return f"{STILL}{times.span(seen.now_ms - attempt.started_at)}", str(step.state)
    took = took_ms(step)
    return NONE if took is None else (times.took(took), "dim")
