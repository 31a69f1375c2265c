"""What one client's people see of the store: its runs, and nothing of the others'.

Every statement here begins with the client, and goes through its rows alone: what it finds, and how
long it takes, has nothing to do with who else is there. So nothing is counted for ever: a client
may have a million runs, and its status is asked for each second.
"""

from __future__ import annotations

from typing import Any

from engine.core.model import OPEN, StepState
from engine.ports.views import (
    CauseRecord,
    ClientSummary,
    DueCount,
    RetriesFound,
    RetryQuery,
    StuckOf,
)
from engine.store.tables.connection import SQL, Tables
from engine.store.tables.views.boards import (
    CAUSES_MAX,
    DUE_CLASSES_MS,
    causes_from,
    retries_found,
    stuck_from,
)
from engine.store.tables.views.filter import LATE_AFTER_MS, ROWS_LOOKED_AT_MAX, condition

COUNTED_MAX = 10_000
"""Runs of a state, runs that need a person and attempts are counted up to here."""
_OPEN = ", ".join(f"'{state}'" for state in sorted(OPEN))
_OWN_TIMED = (
    f"(SELECT id, client, workflow FROM run WHERE client = ? AND state IN ({_OPEN})"
    " LIMIT {runs}) AS run JOIN step ON step.id >= run.id AND step.id < run.id || '.'"
)


def counts(db: Tables, client: str) -> dict[str, int]:
    """Runs by state, each up to `COUNTED_MAX`."""
    found = {
        state.value: db.execute(SQL["client_runs"], (client, state, COUNTED_MAX)).fetchone()[0]
        for state in StepState
    }
    return {state: runs for state, runs in found.items() if runs}


def summary(db: Tables, client: str, now: int, stuck_beside: int) -> ClientSummary:
    """All that is counted, so many of the runs that need a person beside the bound."""
    due: list[DueCount] = []
    begin = now - LATE_AFTER_MS
    late, timed = _timed(db, client, 1, begin), _timed(db, client, 1, 1 << 62)
    for up_to_ms in DUE_CLASSES_MS:
        end = 1 << 62 if up_to_ms is None else now + up_to_ms
        due.append(DueCount(up_to_ms, _timed(db, client, begin, end)))
        begin = end
    stuck = db.execute(SQL["client_stuck"], (client, COUNTED_MAX + stuck_beside)).fetchone()[0]
    return ClientSummary(counts(db, client), stuck, late, timed, tuple(due))


def _timed(db: Tables, client: str, begin: int, end: int) -> int:
    """Attempts that are due from `begin` to before `end`."""
    own = _OWN_TIMED.format(runs=COUNTED_MAX)
    found = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {own}"
        " WHERE +step.wake_at >= ? AND +step.wake_at < ? LIMIT ?) AS found",
        (client, begin, end, COUNTED_MAX),
    ).fetchone()
    return int(found[0])


def causes(db: Tables, client: str, new_since: int, but: str) -> list[CauseRecord]:
    """Why its runs need a person; what most need it for first. `but`: none of those in this
    JSON."""
    asked = (new_since, client, but, CAUSES_MAX)
    return causes_from(db, db.execute(SQL["client_causes"], asked).fetchall())


def stuck_of(db: Tables, client: str, causes: str) -> dict[str, StuckOf]:
    """How many of its runs need a person for each of the causes in this JSON."""
    return stuck_from(db.execute(SQL["client_stuck_of"], (causes, client)))


def retries(db: Tables, client: str, query: RetryQuery) -> RetriesFound:
    """Steps of its open runs whose next attempt has a time, the most overdue first."""
    conditions = [condition(term, query.now) for term in query.filter or ()]
    values: list[Any] = [value for _, each in conditions for value in each]
    where = "(+step.wake_at, step.id) > (?, ?) AND +step.wake_at < 1 << 62"
    if conditions:
        terms = " AND ".join(sql for sql, _ in conditions)
        where += f" AND EXISTS (SELECT 1 FROM run WHERE run.id = step.run_id AND {terms})"
    own = _OWN_TIMED.format(runs=ROWS_LOOKED_AT_MAX)
    found = db.execute(
        f"{_SELECT_RETRIES.format(own=own)} WHERE {where} ORDER BY +step.wake_at, step.id LIMIT ?",
        (client, *query.after, *values, query.limit + 1),
    ).fetchall()
    if len(found) <= query.limit:
        return retries_found(found, None)
    last = found[query.limit - 1]
    return retries_found(found[: query.limit], (last["due_at"], last["id"]))


_SELECT_RETRIES = (
    "SELECT step.id, step.name, step.url, step.state, step.attempts, step.failures, step.retry,"
    " step.rev, step.due_at, step.delay_by, step.pause_reason, step.http_status, step.error,"
    " step.excerpt, attempt.started_at, run.client, run.workflow AS run_workflow FROM {own}"
    " LEFT JOIN attempt ON attempt.step_id = step.id AND attempt.number = step.attempts"
)
