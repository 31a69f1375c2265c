"""The chart of a run: of each step its attempts in time, as shapes for SVG.

Numbers alone: what a shape looks like is its class's affair (`static/ui.css`), so that no page has
a style of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from engine.core.model import ENDED, Step, StepState
from engine.front.ui.lines import AT_ONCE
from engine.ports.views import AttemptRecord, RunRecord, StepOutline
from engine.shown import times

WIDE = 1_000
"""So many units is a chart wide."""
LEAST = 4
"""The narrowest attempt, lest a quick one is not seen."""
SHORT_MS = 10_000
"""The chart of a run that took less tells parts of a second."""


class Span(NamedTuple):
    """The stretch of time that the chart shows."""

    begin_ms: float
    end_ms: float
    now_ms: float
    over: bool = False
    """The run has ended: `now_ms` is its end."""

    def at(self, at_ms: float) -> float:
        """Where a time lies, from 0 to `WIDE`."""
        whole = max(1.0, self.end_ms - self.begin_ms)
        into = min(max(at_ms, self.begin_ms), self.end_ms) - self.begin_ms
        return round(into / whole * WIDE, 1)


class Shape(NamedTuple):
    """A piece of a step's line in the chart."""

    kind: str
    """done, failed, running, still (though its step has ended), lost, waits, or pause: until the
    next attempt."""
    x: float
    width: float


def span_of(
    run: RunRecord, steps: Sequence[StepOutline], now_ms: float
) -> Generator[None, None, Span]:
    """From the run's beginning to now, or to its end, or to the next attempt if that is soon. In
    slices: a run may have 10,000 steps."""
    ended = due = 0
    for at, step in enumerate(steps):
        ended = max(ended, step.ended_at or 0)
        if step.state == StepState.BACKING_OFF:
            due = max(due, step.due_at or 0)
        if not at % AT_ONCE:
            yield
    begin = run.submitted_at
    if run.ended_at is not None and not run.open_steps:
        end = float(max(begin + 1, run.ended_at, ended))
        return Span(begin, end, end, over=True)
    passed = max(1_000.0, now_ms - begin)
    # The future may take a quarter of the chart, lest a long pause squeeze what has been.
    ahead = min(max(0.0, due - now_ms), passed / 3)
    return Span(begin, begin + passed + ahead, now_ms)


def shapes(step: Step, tries: Sequence[AttemptRecord], span: Span, epoch: int) -> list[Shape]:
    """A step's line, what lies below first. `epoch`: of the engine that is asked."""
    return [*_between_all(step, tries, span), *_attempts(step, tries, span, epoch)]


def _shape(span: Span, kind: str, begin: float, end: float, least: float = 0) -> Shape:
    first = span.at(begin)
    width = max(least, span.at(end) - first)
    return Shape(kind, round(min(first, WIDE - width), 1), round(width, 1))


def _between_all(step: Step, tries: Sequence[AttemptRecord], span: Span) -> Iterator[Shape]:
    if step.state is StepState.WAITING:
        since = max((it.ended_at or it.started_at for it in tries), default=step.submitted_at)
        yield _shape(span, "waits", since, span.now_ms)
    for before, after in zip(tries, (*tries[1:], None), strict=False):
        if before.ended_at is None:
            continue
        if after is not None:
            if before.generation == after.generation:
                yield _shape(span, _kind_between(before), before.ended_at, after.started_at)
        elif step.state is StepState.BACKING_OFF and step.due_at is not None:
            yield _shape(span, "pause", before.ended_at, max(step.due_at, span.now_ms))


def _kind_between(before: AttemptRecord) -> str:
    """Back-off, or the wait for a step below, which set no time."""
    is_wait = before.counts_as == "interruption" and before.delay_by is None
    return "waits" if is_wait else "pause"


def _attempts(
    step: Step, tries: Sequence[AttemptRecord], span: Span, epoch: int
) -> Iterator[Shape]:
    for it in tries:
        is_open = it.counts_as is None and it.epoch == epoch
        if is_open:
            kind = "still" if step.state in ENDED else "running"
        else:
            kind = {"success": "done", "failure": "failed"}.get(it.counts_as or "", "lost")
        end = it.ended_at or (span.now_ms if is_open else it.started_at)
        yield _shape(span, kind, it.started_at, end, LEAST)


def axis(span: Span) -> tuple[str, str, str]:
    """What stands above the chart: its beginning, its middle, its end."""
    whole = span.end_ms - span.begin_ms
    end = f"now{_ahead(span)}" if not span.over else _passed(whole)
    return "0s", _passed(whole / 2), end


def _ahead(span: Span) -> str:
    ahead = span.end_ms - span.now_ms
    return f" + {_passed(ahead)}" if ahead >= 1_000 else ""


def _passed(ms: float) -> str:
    return times.took(ms) if ms < SHORT_MS else times.span(ms)
