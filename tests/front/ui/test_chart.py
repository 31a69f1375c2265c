"""The chart: where each attempt lies, how it looks, and what lies between two."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.model import Step, StepSpec, StepState
from engine.front.ui import chart
from engine.front.ui.chart import LEAST, WIDE, Shape, Span
from engine.ports.views import AttemptRecord, StepOutline
from tests.front.ui.support import a_step

SPAN = Span(0, 10_000, 10_000)


def step(state: StepState, **more: Any) -> Step:
    spec = StepSpec("w", "k", "http://a/", "http://a/", "s", b"")
    return Step("R-1", "R", "R", 1, 1, spec, 0, 1, state, **more)


def tried(number: int, begin: int, end: int | None, came_to: str | None, **more: Any) -> Any:
    return AttemptRecord("R-1", number, 1, begin, 7, end, came_to, **more)


def drawn(it: Step, *tries: AttemptRecord, span: Span = SPAN) -> list[Shape]:
    return chart.shapes(it, tries, span, epoch=7)


def test_attempts_with_back_off_between() -> None:
    """Lines between attempts lie below them; each is where it was in time."""
    shapes = drawn(
        step(StepState.COMPLETED),
        tried(1, 0, 1_000, "failure", delay_by="policy"),
        tried(2, 3_000, 5_000, "success"),
    )
    assert shapes == [
        Shape("pause", 100, 200), Shape("failed", 0, 100), Shape("done", 300, 200),
    ]  # fmt: skip


def test_the_next_attempt_lies_in_the_future() -> None:
    """Back-off reaches to when the next one is due, and at least to now."""
    it = step(StepState.BACKING_OFF, due_at=9_000)
    first = tried(1, 0, 1_000, "failure", delay_by="policy")
    assert drawn(it, first, span=Span(0, 10_000, 5_000))[0] == Shape("pause", 100, 800)
    assert drawn(it, first)[0] == Shape("pause", 100, 900)


def test_a_quick_attempt_is_seen_also_at_the_end() -> None:
    """It has a least width, and stays within the chart."""
    assert drawn(step(StepState.COMPLETED), tried(1, 10_000, 10_000, "success")) == [
        Shape("done", WIDE - LEAST, LEAST)
    ]


@pytest.mark.parametrize(
    ("state", "epoch", "came_to", "kind"),
    [
        (StepState.RUNNING, 7, None, "running"),
        (StepState.CANCELLED, 7, None, "still"),
        (StepState.RUNNING, 6, None, "lost"),
        (StepState.RUNNING, 7, "interruption", "lost"),
    ],
)
def test_what_has_not_simply_ended(
    state: StepState, epoch: int, came_to: str | None, kind: str
) -> None:
    """In flight, also though its step has ended; lost with an engine of before; interrupted."""
    one = AttemptRecord("R-1", 1, 1, 2_000, epoch, None, came_to)
    (shape,) = drawn(step(state), one)
    assert (shape.kind, shape.x) == (kind, 200)


def test_waiting_is_no_back_off() -> None:
    """For a step below nothing has set a time; between generations nothing is waited for."""
    it = step(StepState.WAITING)
    assert drawn(it, tried(1, 0, 1_000, "interruption"))[0] == Shape("waits", 100, 900)
    again = AttemptRecord("R-1", 2, 2, 4_000, 7, 5_000, "success")
    kinds = [s.kind for s in drawn(step(StepState.COMPLETED), tried(1, 0, 1_000, "failure"), again)]
    assert kinds == ["failed", "done"]


def span(steps: list[StepOutline], **of_run: Any) -> Span:
    record: Any = type("R", (), {"submitted_at": 0, "ended_at": None, "open_steps": 1, **of_run})
    made = chart.span_of(record, steps, 9_000)
    while True:
        try:
            next(made)
        except StopIteration as end:
            found: Span = end.value
            return found


def test_the_stretch_of_time() -> None:
    """From the beginning to now; the future takes a quarter at most; what has ended ends there."""
    due = a_step("s", state="backing-off")._replace(due_at=10_000)
    assert span([due]) == Span(0, 10_000, 9_000)
    assert span([due._replace(due_at=3_600_000)]) == Span(0, 12_000, 9_000)
    assert span([a_step("s")], ended_at=4_000, open_steps=0) == Span(0, 4_000, 4_000, over=True)


def test_the_axis() -> None:
    """Its beginning, middle and end, as short as times are told."""
    assert chart.axis(Span(0, 4_000, 4_000, over=True)) == ("0s", "2.0s", "4.0s")
    assert chart.axis(Span(0, 10_000, 9_000)) == ("0s", "5.0s", "now + 1.0s")
    assert chart.axis(Span(0, 9_000, 9_000)) == ("0s", "4.5s", "now")
