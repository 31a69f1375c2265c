"""What was found in the tables, and of other runs in the journal's tail (`store/sqlite/tail.py`),
as one."""

from __future__ import annotations

from collections.abc import Iterable

from engine.ports.views import (
    CauseRecord,
    ClientSummary,
    DueCount,
    LateFound,
    LateRuns,
    RetriesFound,
    RetryQuery,
    RetryRecord,
    RunQuery,
    RunsFound,
    StuckOf,
    Summary,
)
from engine.store.tables.views.boards import CAUSES_MAX
from engine.store.tables.views.filter import only_states


def runs(query: RunQuery, tables: RunsFound, tail: RunsFound) -> RunsFound:
    """A page of runs, and how many match."""
    newest_first = query.newest_first
    found = sorted((*tables.runs, *tail.runs), key=lambda run: run.id, reverse=newest_first)
    ends = [part.next for part in (tables, tail) if part.next is not None]
    end = None
    if ends:  # behind it one of them was not looked at
        end = max(ends) if newest_first else min(ends)
        found = [run for run in found if (run.id >= end if newest_first else run.id <= end)]
    if len(found) > query.limit:
        found = found[: query.limit]
        end = found[-1].id
    estimate = tables.total_is_estimate or tail.total_is_estimate
    if query.filter is None or only_states(query.filter) is not None:
        return RunsFound(tuple(found), tables.total + tail.total, estimate, end)
    whole = end is None and query.cursor is None
    return RunsFound(tuple(found), len(found), not whole, end)


def causes(tables: list[CauseRecord], tail: list[CauseRecord]) -> list[CauseRecord]:
    """Why runs need a person, and how many each."""
    by_cause = {each.cause: each for each in tables}
    for each in tail:
        other = by_cause.get(each.cause)
        by_cause[each.cause] = each if other is None else _one_cause(other, each)
    found = sorted(by_cause.values(), key=lambda it: (-it.runs, -it.last_at, it.cause))
    return found[:CAUSES_MAX]


def _one_cause(a: CauseRecord, b: CauseRecord) -> CauseRecord:
    return CauseRecord(
        cause=a.cause,
        runs=a.runs + b.runs,
        new_runs=a.new_runs + b.new_runs,
        first_at=min(a.first_at, b.first_at),
        last_at=max(a.last_at, b.last_at),
        latest=max((a, b), key=lambda it: (it.last_at, it.latest.id)).latest,
    )


def stuck_of(tables: dict[str, StuckOf], tail: dict[str, StuckOf]) -> dict[str, StuckOf]:
    """How many runs need a person for each of some causes."""
    found = dict(tables)
    for cause, it in tail.items():
        other = found.get(cause, StuckOf(0, 0))
        found[cause] = StuckOf(other.runs + it.runs, max(other.last_at, it.last_at))
    return found


def retries(query: RetryQuery, tables: RetriesFound, tail: RetriesFound) -> RetriesFound:
    """Steps whose next attempt has a time, the most overdue first."""
    found = sorted((*tables.retries, *tail.retries), key=_place)
    ends = [part.next for part in (tables, tail) if part.next is not None]
    end = min(ends, default=None)
    if end is not None:
        found = [each for each in found if _place(each) <= end]
    if len(found) > query.limit:
        found = found[: query.limit]
        end = _place(found[-1])
    return RetriesFound(tuple(found), end)


def _place(record: RetryRecord) -> tuple[int, str]:
    return record.at.due_at or 0, record.at.id


def due_counts(tables: Iterable[DueCount], tail: Iterable[DueCount]) -> list[DueCount]:
    """Attempts by when they are due."""
    return [
        DueCount(a.up_to_ms, a.attempts + b.attempts) for a, b in zip(tables, tail, strict=True)
    ]


def counts(tables: dict[str, int], tail: dict[str, int]) -> dict[str, int]:
    """Runs by state, or by client."""
    return {of: tables.get(of, 0) + tail.get(of, 0) for of in {**tables, **tail}}


def client_summary(tables: ClientSummary, tail: ClientSummary) -> ClientSummary:
    """What is counted of a client, which does come from rows."""
    return ClientSummary(
        runs=counts(tables.runs, tail.runs),
        stuck=tables.stuck + tail.stuck,
        late=tables.late + tail.late,
        timed=tables.timed + tail.timed,
        due=tuple(due_counts(tables.due, tail.due)),
    )


def late_runs(tables: LateFound, tail: LateFound) -> LateFound:
    """Runs that are open for long."""
    found = {(it.client, it.workflow): it for it in tables.runs}
    for it in tail.runs:
        other = found.get((it.client, it.workflow))
        found[it.client, it.workflow] = it if other is None else LateRuns(
            it.client, it.workflow, it.runs + other.runs, min(it.first_id, other.first_id)
        )  # fmt: skip
    return LateFound(tuple(found.values()), is_cut=tables.is_cut or tail.is_cut)


def summary(tables: Summary, tail: Summary) -> Summary:
    """Counts. How runs stand, and the ends of the event sequence, do not come from rows."""
    return Summary(
        runs=tables.runs,
        stuck=tables.stuck + tail.stuck,
        late=tables.late + tail.late,
        timed=tables.timed + tail.timed,
        first_seq=tables.first_seq,
        last_seq=tables.last_seq,
    )
