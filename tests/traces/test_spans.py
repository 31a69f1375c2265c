"""Spans made of what happens in an engine, and what gives way."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.core.events import AttemptEnded, Count, LateEnd, Started
from engine.core.machine import Change
from engine.core.model import Run, StepState
from engine.core.rules.post import open_run
from engine.core.rules.trace import span_id, trace_id
from engine.traces.spans import WAITING_MAX, Span, Spans
from tests.core.support import spec

TOLD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


def _run(trace: str | None = None) -> Run:
    run = Run(id="R1", client="shop", submitted_at=0)
    said = replace(spec("root", url="http://app:9000/w?token=canary"), trace=trace)
    change, _ = open_run(run, said, 0)
    change.close(0)
    return run


def _watch(spans: Spans, run: Run, *events: Started | AttemptEnded | LateEnd) -> None:
    change = Change(run)
    change.events += events
    spans.watch(change)


def _ended(number: int, counts_as: Count, **members: object) -> AttemptEnded:
    return AttemptEnded(1_500, "R1", number, counts_as, StepState.COMPLETED, **members)  # type: ignore[arg-type]


def _only(spans: Spans) -> Span:
    (span,) = spans.take(10)
    return span


def test_an_attempt_is_a_span() -> None:
    """With what finds its run, and no query: that may have a secret."""
    run, spans = _run(), Spans()
    examples: list[tuple[str, float, str, str]] = []
    spans.exemplify = lambda *example: examples.append(example)
    _watch(spans, run, Started(1_000, "R1", 1))
    assert len(spans) == 0
    _watch(spans, run, _ended(1, Count.SUCCESS, http_status=201))
    span = _only(spans)
    assert (span.began_ms, span.ended_ms, span.failed) == (1_000, 1_500, None)
    assert (span.trace_id, span.span_id, span.parent_id) == (trace_id(run), span_id("R1", 1), None)
    assert span.attributes == {
        "atomic.client": "shop", "atomic.workflow": run.root.spec.workflow,
        "atomic.run_id": "R1", "atomic.step_id": "R1", "atomic.step": run.root.spec.name,
        "atomic.attempt": 1, "http.request.method": "POST", "url.full": "http://app:9000/w",
        "atomic.counts_as": "success", "http.response.status_code": 201,
    }  # fmt: skip
    assert examples == [(run.root.spec.workflow, 0.5, span.trace_id, span.span_id)]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"http_status": 503, "excerpt": "vendor down"}, "vendor down"),
        ({"error": "refused: token=canary0canary0"}, "refused: token=***"),
        ({"http_status": 500}, "no success"),
    ],
)
def test_a_failure_says_why(members: dict[str, object], why: str) -> None:
    """As people are told it: secrets are masked."""
    run, spans = _run(), Spans()
    _watch(spans, run, Started(1_000, "R1", 1), _ended(1, Count.FAILURE, **members))
    assert _only(spans).failed == why


def test_an_answer_that_came_late_is_a_span_too() -> None:
    """Of a step that was cancelled meanwhile."""
    run, spans = _run(), Spans()
    _watch(spans, run, Started(1_000, "R1", 1), Started(1_000, "R1", 2))
    _watch(spans, run, LateEnd(1_600, "R1", 1, 200), LateEnd(1_700, "R1", 2, 500))
    good, bad = spans.take(10)
    assert (good.ended_ms, good.failed) == (1_600, None)
    assert (bad.ended_ms, bad.failed) == (1_700, "no success")


def test_what_nobody_asked_for_is_no_span() -> None:
    """A trace that its submitter does not collect; an attempt whose beginning is not known."""
    run, spans = _run(f"{TOLD}00"), Spans()
    _watch(spans, run, Started(1_000, "R1", 1), _ended(1, Count.SUCCESS))
    assert len(spans) == 0
    _watch(spans, _run(f"{TOLD}01"), _ended(2, Count.CRASH))
    assert len(spans) == 0


def test_the_oldest_give_way() -> None:
    """A collector that is away costs no more memory than this, and the figures tell."""
    run, spans = _run(), Spans()
    for number in range(WAITING_MAX + 1):
        _watch(spans, run, Started(number, "R1", number), _ended(number, Count.SUCCESS))
    assert (len(spans), spans.dropped) == (WAITING_MAX, 1)
    assert spans.take(1)[0].attributes["atomic.attempt"] == 1
