"""Which steps waited for another try, at each moment of a past hour: made of its events.

An event says in which state its step is since, and the end of an attempt when the next is due. A
step that waited before the hour began is due when its next attempt began, if one has since; else it
waits still, and when is known of now. Time only goes on: to go back is to begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from engine.wire import RetryRow, RunRow, StepAt, StepRow
from engine.wire.events import Accepted, AttemptEnded, Event, Fact, RunMoved, Started
from tui.data.model import State


class Waiting:
    """See the head of this file."""

    def __init__(
        self,
        lines: Sequence[object],
        runs: Mapping[str, RunRow],
        steps: Mapping[str, Iterable[StepRow]],
    ) -> None:
        """`lines`: what there is of the hour, events among it, in its order; `runs` and `steps`: as
        they were when it began, or when they were posted."""
        self._lines = lines
        self._runs = runs
        self._known: dict[str, RetryRow] = {}
        """Each step of which it is known what it is, as it was last seen to wait."""
        began: dict[str, str] = {}
        for line in lines:
            if isinstance(line, Event) and isinstance(line.data, Started):
                began.setdefault(line.data.step_id, line.data.at)
        self._at_first: list[str] = []
        for run_id, rows in steps.items():
            for row in rows:
                self._known[row.id] = _row_of(runs[run_id], row, began.get(row.id))
                if row.status == State.BACKING_OFF:
                    self._at_first.append(row.id)
        self._before = dict(self._known)
        self._waits: dict[str, None] = dict.fromkeys(self._at_first)
        self._taken = 0

    def rows(self, upto: int) -> list[RetryRow]:
        """Those that waited after so many lines, what was due first at the top."""
        if upto < self._taken:
            self._known, self._taken = dict(self._before), 0
            self._waits = dict.fromkeys(self._at_first)
        for line in self._lines[self._taken : upto]:
            if isinstance(line, Event) and isinstance(line.data, Fact):
                self._take(line.data)
        self._taken = max(self._taken, upto)
        found = [self._known[step_id] for step_id in self._waits]
        return sorted(found, key=lambda row: row.at.due_at or "")

    def _take(self, fact: Fact) -> None:
        if isinstance(fact, RunMoved):
            return
        run, step_id = self._runs.get(fact.run_id), fact.step_id
        if isinstance(fact, Accepted) and fact.spec is not None and run is not None:
            spec = fact.spec
            at = StepAt(step_id, spec.name, spec.url, fact.status, 0, 0, spec.retry.count)
            self._known[step_id] = RetryRow(
                fact.run_id, run.client, run.workflow_name, fact.rev, at
            )
        row = self._known.get(step_id)
        if row is None:  # of a run of which only the id is known
            return
        at = replace(row.at, status=fact.status)
        if isinstance(fact, AttemptEnded):
            failed = fact.counts_as == "failure"
            at = replace(
                at, attempts=fact.number or at.attempts, failures=at.failures + failed,
                due_at=fact.due_at, delay_by=fact.delay_by, http_status=fact.http_status,
                error=fact.error, excerpt=fact.excerpt,
            )  # fmt: skip
        elif isinstance(fact, Started):
            at = replace(at, started_at=fact.at, due_at=None)
        elif (due_at := getattr(fact, "due_at", None)) is not None:
            at = replace(at, due_at=due_at)
        self._known[step_id] = replace(row, rev=fact.rev, at=at)
        if fact.status == State.BACKING_OFF:
            self._waits[step_id] = None
        else:
            self._waits.pop(step_id, None)


def _row_of(run: RunRow, step: StepRow, began: str | None) -> RetryRow:
    """A step as one that waits. `began`: its next attempt."""
    at = StepAt(
        step.id, step.name, step.url, step.status, step.attempts, step.failures, step.retries_max,
        due_at=began or step.due_at, delay_by=step.delay_by, http_status=step.http_status,
        error=step.error, excerpt=step.excerpt,
    )  # fmt: skip
    return RetryRow(run.id, run.client, run.workflow_name, step.rev, at)
