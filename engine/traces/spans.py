"""Spans made of events: one for each attempt, from its start to its end.

An attempt that a crash ended has none: when that is found nobody knows how long it took. Nothing
waits for spans; what is not sent in time gives way, and is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from engine.core.events import AttemptEnded, Count, LateEnd, Started
from engine.core.machine import Change
from engine.core.model import Run
from engine.core.rules.trace import is_sampled, parent_span_id, span_id, trace_id
from engine.core.text.secrets import without_secrets

WAITING_MAX = 10_000
"""Some 10 MB: half a minute of attempts at a few hundred a second."""

Exemplify = Callable[[str, float, str, str], None]
"""Of a workflow: an attempt that took so many seconds, its trace and span."""


class Span(Struct, frozen=True):
    """One attempt."""

    trace_id: str
    """In hexadecimal, as all ids here."""
    span_id: str
    parent_id: str | None
    name: str
    began_ms: int
    """Since the epoch, UTC."""
    ended_ms: int
    attributes: dict[str, str | int]
    failed: str | None
    """Why, in a line whose secrets are masked; None: it did not."""


class Spans:
    """Those that wait to be sent, oldest first."""

    def __init__(self) -> None:
        self.exemplify: Exemplify = lambda workflow, seconds, trace, span: None
        """Told of each span."""
        self._began: dict[tuple[str, int], int] = {}
        """When attempts in flight began, by step and number."""
        self._waiting: deque[Span] = deque()
        self.dropped = 0
        """So many were not sent."""
        self.sent = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, change: Change) -> None:
        """Take from a change the attempts that began and ended."""
        for event in change.events:
            if isinstance(event, Started):
                self._began[event.step_id, event.number] = event.at
                if len(self._began) > 2 * WAITING_MAX:  # of runs that a bug stopped there is no end
                    del self._began[next(iter(self._began))]
            elif isinstance(event, AttemptEnded | LateEnd):
                began = self._began.pop((event.step_id, event.number), None)
                if began is not None and is_sampled(change.run):
                    self._keep(_span(change.run, event, began))

    def _keep(self, span: Span) -> None:
        self._waiting.append(span)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        seconds = (span.ended_ms - span.began_ms) / 1000
        workflow = str(span.attributes["atomic.workflow"])
        self.exemplify(workflow, seconds, span.trace_id, span.span_id)

    def take(self, at_most: int) -> list[Span]:
        """The oldest: they are whoever's who took them."""
        return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]


def _span(run: Run, event: AttemptEnded | LateEnd, began_ms: int) -> Span:
    step = run.steps[event.step_id]
    attributes: dict[str, str | int] = {
        "atomic.client": run.client,
        "atomic.workflow": run.root.spec.workflow,
        "atomic.run_id": run.id,
        "atomic.step_id": step.id,
        "atomic.step": step.spec.name,
        "atomic.attempt": event.number,
        "http.request.method": "POST",
        "url.full": step.spec.url.partition("?")[0],  # a query may have a secret
    }
    if isinstance(event, AttemptEnded):
        attributes["atomic.counts_as"] = str(event.counts_as)
    if event.http_status is not None:
        attributes["http.response.status_code"] = event.http_status
    return Span(
        trace_id=trace_id(run),
        span_id=span_id(step.id, event.number),
        parent_id=parent_span_id(run, step),
        name=step.spec.name,
        began_ms=began_ms,
        ended_ms=max(began_ms, event.at),
        attributes=attributes,
        failed=_why_failed(event),
    )


def _why_failed(event: AttemptEnded | LateEnd) -> str | None:
    if isinstance(event, AttemptEnded):
        is_ok = event.counts_as is Count.SUCCESS
    else:
        is_ok = event.http_status is not None and 200 <= event.http_status < 300
    if is_ok:
        return None
    return event.excerpt or (without_secrets(event.error) if event.error else "no success")
