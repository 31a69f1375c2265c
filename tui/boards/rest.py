"""Many steps of one parent told in one line: how they stand, how long they took, which was slowest,
and which failed first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.shown import times
from tui.boards.cells import Cell, Seen, why_text
from tui.boards.looks import glyph
from tui.data.model import State, Step
from tui.text import fmt
from tui.text.sanitize import wrap

BUCKETS = 24
"""Of the histogram."""


class Rest(NamedTuple):
    """Steps that one line stands for."""

    steps: tuple[Step, ...]
    states: tuple[tuple[State, int], ...] = ()
    """How many stand how, the most first."""
    among: int = 0
    """Of so many children of their parent the rest is told."""
    took: tuple[float, ...] = ()
    """How long those took that have ended, in ms, from the shortest on."""
    slowest: Step | None = None
    first_failed: Step | None = None

    def percentile(self, share: int) -> float | None:
        """So long, or less, so many percent took (nearest rank); None: none has ended."""
        count = len(self.took)
        return self.took[max(0, -(-count * share // 100) - 1)] if count else None

    @property
    def problem(self) -> Step | None:
        """The first that a person would look at."""
        return next((step for step in self.steps if step.is_problem), None)


def began_at(step: Step) -> int:
    """When its generation was opened."""
    return step.submitted_at if step.opened_at is None else step.opened_at


def took_ms(step: Step) -> int | None:
    """From then to its end, with all that it waited; None: it has not ended, or never began."""
    if step.ended_at is None or not step.ended or not step.tries:
        return None
    return max(0, step.ended_at - began_at(step))


def rest_of(steps: Sequence[Step], among: Sequence[Step] = ()) -> Rest:
    """What there is to tell of them. `among`: all children of their parent, of which some may have
    lines of their own: which was slowest, and failed first, is asked of all."""
    among = among or steps
    timed = sorted(
        ((took, at) for at, step in enumerate(among) if (took := took_ms(step)) is not None)
    )
    failed = [step for step in among if step.state is State.FAILED]
    return Rest(
        tuple(steps),
        tuple(Counter(step.state for step in steps).most_common()),
        len(among),
        tuple(took for took, _ in timed),
        among[timed[-1][1]] if timed else None,
        min(failed, key=lambda step: step.ended_at or 0, default=None),
    )


def rest_name(rest: Rest) -> str:
    """`ship ×4,792  ✓4,790 ↻2`: how many there are, and how they stand."""
    names = {step.name for step in rest.steps}
    name = names.pop() if len(names) == 1 else "steps"
    counts = " ".join(f"{glyph(state)}{count:,}" for state, count in rest.states)
    return f"{name} ×{len(rest.steps):,}  {counts}"


def median_text(rest: Rest) -> str:
    """`p50 0.2s`; empty: none has ended."""
    median = rest.percentile(50)
    return "" if median is None else f"p50 {times.took(median)}"


def rest_in_short(rest: Rest, seen: Seen) -> list[str]:
    """What stands in the place of a chart, the most wanted first: each part as far as there is
    room."""
    told = []
    if rest.first_failed is not None:
        at = rest.first_failed.ended_at
        when = "" if at is None else f" {fmt.time_of_day(at, seen.zone)}"
        told.append(f"first {glyph(State.FAILED)}{when}")
    if rest.slowest is not None and rest.took:
        told.insert(0, f"p95 {times.took(rest.percentile(95) or 0.0)}")
        told.insert(1, f"slowest {times.took(rest.took[-1])}")
    return told


def rest_lines(rest: Rest, seen: Seen, cells: int, *, is_open: bool) -> Iterator[Cell]:
    """The same in whole, for the inspector."""
    yield rest_name(rest), "strong"
    facts: list[tuple[str, str, str]] = []
    of_all = f", of all {rest.among:,}" if rest.among != len(rest.steps) else ""
    if rest.slowest is not None:
        p50, p95 = (times.took(rest.percentile(share) or 0.0) for share in (50, 95))
        slowest = f"slowest {times.took(rest.took[-1])} ({rest.slowest.label})"
        facts.append(("took", f"p50 {p50}, p95 {p95}, {slowest}{of_all}", "plain"))
    if (step := rest.first_failed) is not None:
        at = "" if step.ended_at is None else f" {fmt.time_of_day(step.ended_at, seen.zone)}"
        why = why_text(step.http_status, step.error, step.excerpt)
        facts.append(("failed", f"first{at}: {step.label}: {why}", "failed"))
    for label, text, style in facts:
        for at_line, line in enumerate(wrap(text, cells - 7)):
            yield ((f"{'' if at_line else label:<6} ", "dim"), (line, style))
    if len(rest.took) > 1 and rest.took[-1] > rest.took[0]:
        yield "", "plain"
        yield fmt.sparkline(_histogram(rest.took)), "completed"
        ends = times.took(rest.took[0]), times.took(rest.took[-1])
        yield f"{ends[0]:<{BUCKETS - len(ends[1])}}{ends[1]}", "dim"
    yield "", "plain"
    does = "folds them" if is_open else "lists them"
    yield (("enter ", "strong"), (does, "dim"), ("  / ", "strong"), ("searches", "dim"),
           ("  s ", "strong"), ("sorts by took", "dim"))  # fmt: skip


def _histogram(took: Sequence[float]) -> list[float | None]:
    """How many took so long, in steps of the same length."""
    least, most = took[0], took[-1]
    counts = Counter(min(BUCKETS - 1, int((it - least) / (most - least) * BUCKETS)) for it in took)
    return [float(counts[at]) if counts[at] else None for at in range(BUCKETS)]
