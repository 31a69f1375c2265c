"""What the tables have not caught up with: rows that will be written a moment after their events.

The journal makes a change durable; the rows of a run are written when a moment has passed, so that
a run that comes and goes within that moment costs its rows once. Rows are always written as of the
journal's end, together with it: what a reader finds in the tables was true at `run.seq`.

Oldest first, so that the journal behind `engine.caught_up` is all that a start after a
crash must fold again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from engine.core.events import AttemptEnded, LateEnd, PayloadSet, ResultSet, RunMoved, Started
from engine.core.machine import Change
from engine.core.model import Run, Step
from engine.ports.views import AttemptRecord
from engine.store import rows

LAG_S = 1.0
"""How long a run's rows may be behind its journal."""
RUNS_PER_COMMIT_MAX = 256
"""So many runs' rows go along with a commit that others wait for: some 10 ms of it. Not a few with
each commit: neighbours share pages, and a page that is touched is written whole."""


class RunRows(Struct):
    """The rows of one run that are to be written."""

    run: Run
    first: int
    """The first event that the tables do not know."""
    since: float
    """When it came, on Trio's clock."""
    seq: int = 0
    """The last one."""
    is_new: bool = False
    """The tables do not know the run at all."""
    steps: dict[str, Step] = field(default_factory=dict)
    bodies: dict[tuple[str, bool, int], int] = field(default_factory=dict)
    """Journal entries of bodies: by step, whether it is an answer, and number."""
    started: dict[tuple[str, int], AttemptRecord] = field(default_factory=dict)
    ended: list[tuple[Any, ...]] = field(default_factory=list)
    """Ends of attempts whose beginning the tables know."""
    outcomes: list[tuple[Any, ...]] = field(default_factory=list)
    run_counts: dict[str, int] = field(default_factory=dict)
    is_repaired: bool = False
    """A result or a payload was set: bodies lie elsewhere than rows of steps and attempts say."""

    def end_attempt(
        self,
        event: AttemptEnded | LateEnd,
        counts_as: str,
        delay_ms: int | None,
        delay_by: str | None,
    ) -> None:
        """Keep the end of an attempt, and where its answer lies."""
        answer_in = self.bodies.get((event.step_id, True, event.number))
        record = self.started.get((event.step_id, event.number))
        if record is None:
            self.ended.append(
                (
                    *(event.at, counts_as, event.http_status, event.error, event.excerpt),
                    *(delay_ms, delay_by, answer_in, event.step_id, event.number),
                )
            )
            return
        record.ended_at, record.counts_as = event.at, counts_as
        record.http_status, record.error = event.http_status, event.error
        record.excerpt = event.excerpt
        record.delay_ms, record.delay_by = delay_ms, delay_by
        record.answer_in = answer_in


class Pending:
    """The runs whose rows are to be written, oldest first."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRows] = {}
        self._writing: dict[str, RunRows] = {}
        """Taken for a commit that has not happened yet."""
        self._withheld: dict[str, RunRows] = {}
        """Of runs that a bug stopped: what is in memory may be half changed."""
        self._identities: dict[tuple[str, str, str], str] = {}
        """Of runs that the tables do not know at all."""

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def oldest_since(self) -> float | None:
        """When the oldest run became pending."""
        for pending in self._runs.values():
            return pending.since
        return None

    def rows_of(self, run: Run, first: int, now: float) -> RunRows:
        """The pending rows of a run whose next event is `first`."""
        pending = self._runs.get(run.id)
        if pending is None:
            pending = self._runs[run.id] = RunRows(run, first, now)
        pending.run = run  # may have been let go and loaded again
        return pending

    def opened(self, run: Run) -> None:
        """A run that the tables do not know."""
        self._runs[run.id].is_new = True
        spec = run.root.spec
        self._identities[run.client, spec.workflow, spec.key] = run.id

    def find(self, identity: tuple[str, str, str]) -> str | None:
        """The id of a run that the tables do not know yet."""
        return self._identities.get(identity)

    def body_in(self, run_id: str, step_id: str, number: int, *, answer: bool) -> int | None:
        """The journal's entry that holds a body, if the tables do not know it yet."""
        for behind in (self._runs.get(run_id), self._writing.get(run_id)):
            if behind is not None:
                found = behind.bodies.get((step_id, answer, number))
                if found is not None:
                    return found
        return None

    def run(self, run_id: str) -> Run | None:
        """The run, if the tables do not know all of it yet."""
        pending = self._runs.get(run_id) or self._writing.get(run_id)
        return None if pending is None else pending.run

    def firsts(self) -> dict[str, int]:
        """The first event that the tables do not know, of each run of which they lack one."""
        found: dict[str, int] = {}
        for behind in (self._runs, self._writing, self._withheld):
            for run_id, pending in behind.items():
                found[run_id] = min(pending.first, found.get(run_id, pending.first))
        return found

    def run_counts(self) -> dict[str, int]:
        """How all that the tables do not know yet moves the counts of runs by state."""
        moved: dict[str, int] = {}
        for behind in (self._runs, self._writing, self._withheld):
            for pending in behind.values():
                add_counts(moved, pending.run_counts)
        return moved

    def is_settled(self, run_id: str) -> bool:
        """Nothing of the run waits to be written."""
        return not any(run_id in it for it in (self._runs, self._writing, self._withheld))

    def withhold(self, run_id: str) -> bool:
        """Never write what is kept of a run: its rows come from the journal, with its stop.

        True: the tables lack something of it.
        """
        if run_id in self._runs:
            later = self._runs.pop(run_id)
            first = self._withheld.setdefault(run_id, later)
            if first is not later:
                add_counts(first.run_counts, later.run_counts)
        return run_id in self._withheld

    def first_withheld(self, run_id: str) -> int | None:
        """The first event of such a run that the tables lack; None: they lack none."""
        return self._withheld[run_id].first if run_id in self._withheld else None

    def came_from_journal(self, run_id: str) -> None:
        """The rows of such a run came from the journal."""
        withheld = self._withheld.pop(run_id, None)
        if withheld is not None and run_id not in self._writing:
            self._forget_identity(withheld)

    def lagging(self, run_ids: Collection[str], until: int) -> set[str]:
        """Of which of these runs (none: of all) the tables lack events up to `until`."""
        behind = {run_id for run_id in run_ids or self._writing if run_id in self._writing}
        for run_id in run_ids or self._runs:
            pending = self._runs.get(run_id)
            if pending is not None and pending.first <= until:
                behind.add(run_id)
        return behind

    def take(self, now: float, *, at_most: int | None, asked: Iterable[str] = ()) -> list[RunRows]:
        """The rows to write now: those asked for, and the oldest if it is time.

        `at_most` None: all there are.
        """
        taken = [self._runs.pop(run_id) for run_id in asked if run_id in self._runs]
        if at_most is None:
            taken += self._runs.values()
            self._runs.clear()
        else:
            taken += self._take_due(now, at_most)
        self._writing = {pending.run.id: pending for pending in taken}
        return taken

    def _take_due(self, now: float, at_most: int) -> list[RunRows]:
        """When the oldest has waited its time, also those that have waited half of it."""
        oldest = self.oldest_since
        if oldest is None or oldest + LAG_S > now:
            return []
        due: list[RunRows] = []
        for pending in self._runs.values():
            if len(due) == at_most or pending.since + LAG_S / 2 > now:
                break
            due.append(pending)
        for pending in due:
            del self._runs[pending.run.id]
        return due

    def caught_up(self, sequence: int) -> int:
        """Up to where the tables will know every event, when what was taken is written."""
        lacking = [pending.first for pending in self._withheld.values()]
        for pending in self._runs.values():
            lacking.append(pending.first)
            break
        return min(lacking) - 1 if lacking else sequence

    def written(self, lacking: Collection[str] = ()) -> None:
        """What was taken is in the tables, but for the rows of these runs: those are withheld."""
        for run_id in lacking:
            self._withheld[run_id] = self._writing.pop(run_id)
        for pending in self._writing.values():
            self._forget_identity(pending)
        self._writing = {}

    def _forget_identity(self, pending: RunRows) -> None:
        spec = pending.run.root.spec
        self._identities.pop((pending.run.client, spec.workflow, spec.key), None)


class BodyName(Protocol):
    """Whose body something is."""

    @property
    def step_id(self) -> str: ...
    @property
    def answer(self) -> bool: ...
    @property
    def number(self) -> int: ...


def absorb(
    pending: RunRows, change: Change, seq: int, epoch: int, entry: int, bodies: Collection[BodyName]
) -> None:
    """Keep what a change means for the rows; the last of its events is number `seq`.

    `bodies` came with it, and lie in the journal's entry `entry`.
    """
    steps = change.run.steps
    for body in bodies:
        pending.bodies[body.step_id, body.answer, body.number] = entry
    pending.seq = seq
    for event in change.events:
        if isinstance(event, Started):
            pending.started[event.step_id, event.number] = AttemptRecord(
                event.step_id, event.number, steps[event.step_id].generation, event.at, epoch
            )
        elif isinstance(event, AttemptEnded):
            pending.end_attempt(event, event.counts_as, event.delay_ms, event.delay_by)
        elif isinstance(event, LateEnd):
            pending.end_attempt(event, "late", None, None)
        elif isinstance(event, RunMoved):
            count_move(pending.run_counts, event)
        elif isinstance(event, (ResultSet, PayloadSet)):
            pending.is_repaired = True
    pending.steps.update(change.touched)
    pending.outcomes += [rows.outcome_row(step) for step in change.ended]


def add_counts(run_counts: dict[str, int], moved: Mapping[str, int], times: int = 1) -> None:
    """Move the counts of runs by state."""
    for state, by in moved.items():
        run_counts[state] = run_counts.get(state, 0) + times * by


def count_move(run_counts: dict[str, int], event: RunMoved) -> None:
    """Count a run where it is now, and no longer where it was."""
    if event.before is not None:
        run_counts[event.before] = run_counts.get(event.before, 0) - 1
    run_counts[event.state] = run_counts.get(event.state, 0) + 1
