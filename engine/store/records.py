"""Rows of runs for lists, each with the step at which the run is."""

from __future__ import annotations

import sqlite3

from engine.core.model import StepState
from engine.core.retry import DEFAULT_POLICY
from engine.ports import RunRecord, StepAt
from engine.store import rows
from engine.store.readers import SQL


def record_of(db: sqlite3.Connection, row: sqlite3.Row) -> RunRecord:
    """A row of `run_record` as a record."""
    at = _step_at(db, row) if not row["engine_error"] else _stopped_at(db, row)
    return rows.run_record_from(row, at)


def _stopped_at(db: sqlite3.Connection, run: sqlite3.Row) -> StepAt | None:
    """The root of a run that a bug stopped: of the others nothing is read."""
    root = db.execute(SQL["root_called"], (run["id"],)).fetchone()
    if root is None:
        return None
    return StepAt(
        run["id"],
        root["name"],
        root["url"],
        state=StepState.PAUSED,
        attempts=root["attempts"],
        failures=root["failures"],
        retries_max=DEFAULT_POLICY.count,
        started_at=None,
        due_at=None,
        delay_by=None,
        http_status=None,
        error=run["engine_error"],
    )


_AT = {
    # where an operator would look, by the run's state
    "running": "step.state <> 'running', step.depth DESC, step.ordinal DESC",
    "backing-off": "step.state <> 'backing-off', step.due_at",
    "waiting": "step.state <> 'waiting', step.depth DESC",
    "paused": "step.state <> 'paused', step.ordinal",
}


def _step_at(db: sqlite3.Connection, run: sqlite3.Row) -> StepAt | None:
    """The step at which a run is: of one that has ended the one that made it end."""
    state = run["state"]
    if state in ("running", "waiting", "backing-off") and run["cause"] is not None:
        state = "paused"  # its request is open, but a step of it waits for a person
    if (order := _AT.get(state)) is not None:
        of_run = f"{SQL['step_at']} WHERE step.id >= ?1 AND step.id < ?1 || '.'"
        row = db.execute(f"{of_run} ORDER BY {order} LIMIT 1", (run["id"],)).fetchone()
    else:
        row = _cause(db, run["id"])
    return None if row is None else rows.step_at_from(row)


def _cause(db: sqlite3.Connection, step_id: str) -> sqlite3.Row | None:
    """The step that made this one fail, the one that made that one fail, and so on."""
    seen: set[str] = set()
    while True:
        row: sqlite3.Row | None = db.execute(
            f"{SQL['step_at']} WHERE step.id = ?", (step_id,)
        ).fetchone()
        if row is None or row["cause_id"] is None or row["cause_id"] in seen:
            return row
        seen.add(step_id := row["cause_id"])
