"""What operators watch beside the list of runs: why runs are stuck, and what is tried next when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.core.text.ulid import first_run_id
from engine.ports.views import (
    CauseRecord,
    DueCount,
    LateFound,
    LateRuns,
    RetriesFound,
    RetryQuery,
    RetryRecord,
    RunRecord,
    StuckOf,
)
from engine.store import rows
from engine.store.tables.connection import SQL, Row, Tables
from engine.store.tables.views.filter import (
    CHUNK_ROWS,
    LATE_AFTER_MS,
    ROWS_LOOKED_AT_MAX,
    condition,
)
from engine.store.tables.views.records import read_record

CAUSES_MAX = 200
DUE_COUNTED_MAX = 10_000
"""Attempts of one class are counted up to here."""
LATE_LOOKED_AT_MAX = 10_000
"""Open runs of an age, for when they were opened last."""
DUE_CLASSES_MS = (10_000, 60_000, 600_000, None)
"""Upper ends, from now. None: any time later."""


def causes(db: Tables, new_since: int, but: str) -> list[CauseRecord]:
    """Why runs need a person, and how many each; what most need it for first. `but`: none of those
    in this JSON."""
    return causes_from(db, db.execute(SQL["causes"], (new_since, but, CAUSES_MAX)).fetchall())


def causes_from(db: Tables, found: list[Row]) -> list[CauseRecord]:
    """Rows of causes as records."""
    return [
        CauseRecord(
            cause=row["cause"],
            runs=row["runs"],
            new_runs=row["new_runs"],
            first_at=row["first_at"],
            last_at=row["last_at"],
            latest=_run(db, row["id"]),
        )
        for row in found
    ]


def _run(db: Tables, run_id: str) -> RunRecord:
    row = db.execute(f"{SQL['run_record']} WHERE run.id = ?", (run_id,)).fetchone()
    return read_record(db, row)


def stuck_of(db: Tables, causes: str) -> dict[str, StuckOf]:
    """How many runs need a person for each of the causes in this JSON."""
    return stuck_from(db.execute(SQL["stuck_of"], (causes,)))


def stuck_from(found: Iterable[Row]) -> dict[str, StuckOf]:
    """Rows of them as records."""
    return {row["cause"]: StuckOf(row["runs"], row["last_at"]) for row in found}


def known_causes(db: Tables, among: str | None) -> frozenset[str]:
    """Causes for which runs need a person; `among`: of those in this JSON."""
    if among is None:
        found = db.execute(SQL["known_causes"])
    else:
        found = db.execute(SQL["causes_left"], (among,))
    return frozenset(row[0] for row in found)


def late_runs(db: Tables, opened_before: int) -> LateFound:
    """Runs that are open since before a time."""
    asked = (first_run_id(opened_before), opened_before, LATE_LOOKED_AT_MAX)
    rows = db.execute(SQL["late_runs"], asked).fetchall()
    late = (
        LateRuns(row["client"], row["workflow"], row["runs"], row["id"])
        for row in rows
        if row["runs"]
    )
    looked_at = sum(row["looked_at"] for row in rows)
    return LateFound(tuple(late), is_cut=looked_at >= LATE_LOOKED_AT_MAX)


def stuck_count(db: Tables) -> int:
    """How many runs need a person."""
    return int(db.execute(SQL["stuck_count"]).fetchone()[0])


def due_counts(db: Tables, now: int) -> list[DueCount]:
    """Attempts by when they are due, without those that are late."""
    counts: list[DueCount] = []
    begin = now - LATE_AFTER_MS
    for up_to_ms in DUE_CLASSES_MS:
        end = 1 << 62 if up_to_ms is None else now + up_to_ms
        counted = db.execute(SQL["due_between"], (begin, end, DUE_COUNTED_MAX)).fetchone()[0]
        counts.append(DueCount(up_to_ms, counted))
        begin = end
    return counts


def retries(db: Tables, query: RetryQuery) -> RetriesFound:
    """Steps whose next attempt has a time, the most overdue first."""
    conditions = [condition(term, query.now) for term in query.filter or ()]
    where = " AND ".join(sql for sql, _ in conditions) or "TRUE"
    values: list[Any] = [value for _, each in conditions for value in each]
    found: list[Row] = []
    at, step_id = query.after
    for _ in range(ROWS_LOOKED_AT_MAX // CHUNK_ROWS):
        part = db.execute(SQL["timed_behind"], (at, step_id, CHUNK_ROWS)).fetchall()
        if part:
            found += db.execute(
                f"{SQL['retries']} WHERE step.wake_at IS NOT NULL AND (step.wake_at, step.id)"
                f" > (?, ?) AND (step.wake_at, step.id) <= (?, ?) AND {where}"
                " ORDER BY step.wake_at, step.id LIMIT ?",
                (at, step_id, *part[-1], *values, query.limit + 1 - len(found)),
            ).fetchall()
            at, step_id = part[-1]
        if len(found) > query.limit:
            last = found[query.limit - 1]
            return retries_found(found[: query.limit], (last["due_at"], last["id"]))
        if len(part) < CHUNK_ROWS:
            return retries_found(found, None)
    return retries_found(found, (at, step_id))


def retries_found(found: list[Row], behind: tuple[int, str] | None) -> RetriesFound:
    """Rows of steps that have a time as a page of them."""
    records = tuple(
        RetryRecord(row["client"], row["run_workflow"], row["rev"], rows.step_at_from(row))
        for row in found
    )
    return RetriesFound(records, behind)
