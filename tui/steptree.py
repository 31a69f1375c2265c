"""A run's steps as the lines of a tree, with a chart of their attempts in time.

Lines are told by the step they show; what is collapsed is left out, and a fan-out of many is folded
into the steps that need looking at and one line for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from tui import fmt
from tui.looks import glyph, shapes
from tui.model import Attempt, State, Step
from tui.store import Tree

FOLDED_FROM = 50
"""Children of one step from here on are folded."""
SHOWN_OF_FOLDED = 20
SHORT_MS = 10_000
"""The chart of a run that took less tells parts of a second."""


class Line(NamedTuple):
    """A line of the tree."""

    id: str
    """The step's; of a folded rest its parent's with `+rest` behind it."""
    step: Step | None
    prefix: str
    """The branches before it."""
    children: int
    collapsed: bool
    rest: tuple[Step, ...] = ()
    """The steps that this one line stands for."""


def lines(tree: Tree, collapsed: Collection[str], *, ascii_only: bool = False) -> list[Line]:
    """The tree as lines, the root first."""
    draw = shapes(ascii_only=ascii_only)
    children: dict[str | None, list[Step]] = {}
    known = tree.steps
    for step in known.values():
        parent = step.parent_id if step.parent_id in known else None
        children.setdefault(parent, []).append(step)
    found: list[Line] = []
    # (step, its own branch, what its children's lines begin with)
    todo = [(step, "", "") for step in reversed(children.get(None, []))]
    while todo:
        step, branch, below = todo.pop()
        own = children.get(step.id, [])
        shut = step.id in collapsed and bool(own)
        found.append(Line(step.id, step, branch, len(own), shut))
        if shut:
            continue
        shown, rest = _folded(own, step.id in collapsed)
        last = len(shown) - 1
        following = []
        for at, child in enumerate(shown):
            ends = at == last and not rest
            following.append(
                (
                    child,
                    below + (draw.last if ends else draw.branch),
                    below + ("   " if ends else draw.pipe),
                )
            )
        if rest:
            found.append(Line(f"{step.id}+rest", None, below + draw.branch, 0, False, tuple(rest)))
        todo += reversed(following)
    return found


def _folded(steps: list[Step], _shut: bool) -> tuple[list[Step], list[Step]]:
    """Which children have lines of their own: of many those that are not just done."""
    if len(steps) <= FOLDED_FROM:
        return steps, []
    worth = [step for step in steps if step.state not in (State.COMPLETED, State.PENDING)]
    shown = worth[:SHOWN_OF_FOLDED]
    ids = {step.id for step in shown}
    return shown, [step for step in steps if step.id not in ids]


def rest_text(rest: Iterable[Step], *, ascii_only: bool = False) -> str:
    """`ship ×4,792  ✓4,790 ↻2`: what a folded line stands for."""
    steps = list(rest)
    names = Counter(step.name for step in steps)
    name, _ = names.most_common(1)[0]
    states = Counter(step.state for step in steps)
    counts = " ".join(
        f"{glyph(state, ascii_only=ascii_only)}{count:,}" for state, count in states.most_common()
    )
    times = "x" if ascii_only else "×"
    return f"{name if len(names) == 1 else 'steps'} {times}{len(steps):,}  {counts}"


# -- the chart -------------------------------------------------------------------------------------


class Span(NamedTuple):
    """The stretch of time that the chart shows."""

    begin_ms: float
    end_ms: float
    now_ms: float

    def cell(self, at_ms: float, cells: int) -> int:
        """Where a time lies, as a cell from 0 to `cells`."""
        whole = max(1.0, self.end_ms - self.begin_ms)
        return round((min(max(at_ms, self.begin_ms), self.end_ms) - self.begin_ms) / whole * cells)


def span_of(tree: Tree, now_ms: float) -> Span:
    """From the run's beginning to now, or to its end, or to the next attempt if that is soon."""
    begin = tree.run.submitted_at
    ends = [step.ended_at for step in tree.steps.values() if step.ended_at is not None]
    if tree.run.ended:
        end = float(max([begin + 1, *ends]))
        return Span(begin, end, end)
    passed = max(1_000.0, now_ms - begin)
    due = [s.due_at for s in tree.steps.values() if s.state is State.BACKING_OFF and s.due_at]
    # The future may take a quarter of the chart, lest a long back-off squeeze what has been.
    ahead = min(max([0.0, *(at - now_ms for at in due)]), passed / 3)
    return Span(begin, begin + passed + ahead, now_ms)


Run = tuple[str, str]
"""A stretch of the chart: its text, and the name of its style."""


def chart(step: Step, span: Span, cells: int, *, ascii_only: bool = False) -> list[Run]:
    """A step's attempts: bars for those that succeeded or run, another texture for failed ones,
    dots for back-off (running into the future up to the next attempt)."""
    draw = shapes(ascii_only=ascii_only)
    row: list[tuple[str, str]] = [(" ", "plain")] * cells
    if cells <= 0:
        return []

    def fill(begin: float, end: float, character: str, style: str, *, least: int) -> None:
        first, last = span.cell(begin, cells), span.cell(end, cells)
        last = min(cells, max(last, first + least))
        for at in range(min(first, cells - least), last):
            row[at] = (character, style)

    if step.state is State.WAITING:
        since = max((t.ended_at or t.started_at for t in step.tries), default=step.submitted_at)
        fill(since, span.now_ms, draw.waits, "waiting", least=1)
    for before, after in zip(step.tries, (*step.tries[1:], None), strict=True):
        end = before.ended_at
        if end is not None and after is not None:
            fill(end, after.started_at, draw.dots, "backing-off", least=0)
        elif end is not None and step.state is State.BACKING_OFF and step.due_at is not None:
            fill(end, max(step.due_at, span.now_ms), draw.dots, "backing-off", least=0)
    for attempt in step.tries:
        character, style = _bar(attempt, ascii_only=ascii_only)
        fill(attempt.started_at, attempt.ended_at or span.now_ms, character, style, least=1)
    return _joined(row)


def _bar(attempt: Attempt, *, ascii_only: bool) -> tuple[str, str]:
    draw = shapes(ascii_only=ascii_only)
    match attempt.status:
        case "running":
            return draw.bar, "running"
        case "success":
            return draw.bar, "completed"
        case "failure":
            return draw.failed_bar, "failed"
        case _:
            return draw.failed_bar, "dim"


def _joined(row: list[tuple[str, str]]) -> list[Run]:
    found: list[Run] = []
    for character, style in row:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + character, style)
        else:
            found.append((character, style))
    return found


def axis(span: Span, cells: int) -> str:
    """The chart's head: `0s`, half of it, and `now` where now is."""
    if cells < 12:
        return " " * max(0, cells)
    row = [" "] * cells
    now = span.cell(span.now_ms, cells)
    middle = span.begin_ms + (span.now_ms - span.begin_ms) / 2
    marks = [(0, "0s")]
    if now >= 16:
        passed = middle - span.begin_ms
        shown = fmt.took(passed) if passed < SHORT_MS else fmt.span(passed)
        marks.append((span.cell(middle, cells), shown))
    marks.append((max(3, now - 3), "now"))
    for at, label in marks:
        row[at : at + len(label)] = label
    return "".join(row)[:cells]


def took_cell(step: Step, now_ms: float, *, estimated: bool = False) -> tuple[str, str]:
    """NEXT / TOOK of a step: a countdown, the age of the attempt in flight, or what it took."""
    if step.state is State.BACKING_OFF and step.due_at is not None:
        shown = fmt.countdown(step.due_at - now_ms, estimated=estimated)
        return shown, "alarm" if shown.startswith("late") else "backing-off"
    if step.state is State.RUNNING and step.tries:
        return fmt.span(now_ms - step.tries[-1].started_at), "running"
    if step.ended and step.tries:
        end = step.ended_at or step.tries[-1].ended_at or now_ms
        return fmt.took(end - step.tries[0].started_at), "dim"
    return "—", "dim"
