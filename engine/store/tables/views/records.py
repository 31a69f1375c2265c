"""Rows of runs for lists, each with the step at which the run is."""

from __future__ import annotations

from engine.core.cause import unhandled
from engine.core.failure import Failure, FailureKind
from engine.core.model import ENDED, StepState
from engine.core.retry import DEFAULT_POLICY
from engine.ports.views import Reason, RunRecord, StepAt
from engine.store import rows
from engine.store.tables.connection import SQL, Row, Tables

_NOT_FAILED = (FailureKind.SUSPENDED, FailureKind.INTERRUPTED)


def read_record(db: Tables, row: Row, *, without_steps: bool = False) -> RunRecord:
    """A row of `run_record` as a record. `without_steps`: nothing of them is read."""
    if without_steps:
        return rows.run_record_from(row, None, None)
    if row["engine_error"]:
        stopped = _stopped_at(db, row)
        return rows.run_record_from(row, stopped, _reason_of_stopped(row, stopped))
    at = _step_at(db, row)
    reason = None if at is None else _reason(db, row, at)
    return rows.run_record_from(row, None if at is None else rows.step_at_from(at), reason)


def _stopped_at(db: Tables, run: Row) -> StepAt | None:
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
    "backing-off": "step.state <> 'backing-off', step.due_at NULLS FIRST",
    "waiting": "step.held_since IS NULL, step.state <> 'waiting', step.depth DESC",
    "paused": "step.state <> 'paused', step.ordinal",
}


def _step_at(db: Tables, run: Row) -> rows.Columns | None:
    """The step at which a run is: of one that has ended the one that made it end."""
    state = run["state"]
    if state in ("running", "waiting", "backing-off") and run["cause"] is not None:
        state = "paused"  # its request is open, but a step of it waits for a person
    if (order := _AT.get(state)) is not None:
        of_run = f"{SQL['step_at']} WHERE step.id >= ?1 AND step.id < ?1 || '.'"
        row: Row | None = db.execute(f"{of_run} ORDER BY {order} LIMIT 1", (run["id"],)).fetchone()
        return row
    return _cause(db, run["id"])


def _reason_of_stopped(run: Row, at: StepAt | None) -> Reason | None:
    if at is None or run["state"] in ENDED:
        return None
    return Reason(run["id"], at.name, None, at.error, None)


def _reason(db: Tables, run: Row, at: rows.Columns) -> Reason | None:
    """What the run fails, pauses or backs off for. Of a workflow that answers 500 because a step
    below it has failed, that step's; of several steps that of one that has failed, although the run
    is at another, which was cut off, sent home, or is at work."""
    if run["state"] in ("completed", "cancelled"):
        return None
    fault = at
    if run["state"] not in ENDED and not _has_failed(at):
        fault = _failing(db, run["id"]) or at
        if fault is at and run["state"] == StepState.RUNNING:
            return None  # only interrupted, and at work again
    if unhandled(fault["pause_reason"], fault["error"]):
        fault = _failed_below(db, run["id"], fault) or fault
    if not fault["error"] or Failure.parse(fault["error"]).kind is FailureKind.SUSPENDED:
        return None
    columns = ("id", "name", "http_status", "error", "excerpt")
    return Reason(*(fault[column] for column in columns))


def _has_failed(step: rows.Columns) -> bool:
    error = step["error"] or ""
    return error != "" and Failure.parse(error).kind not in _NOT_FAILED


def _failing(db: Tables, run_id: str) -> Row | None:
    """The step that is due next of those that failed and are tried again, or are paused so."""
    failing: Row | None = db.execute(
        f"{SQL['step_at']} WHERE step.id >= ?1 AND step.id < ?1 || '.'"
        " AND step.state IN ('backing-off', 'paused') AND step.error IS NOT NULL"
        " AND step.error NOT LIKE ?2 || '%' AND step.error NOT LIKE ?3 || '%'"
        " ORDER BY step.due_at NULLS FIRST, step.ordinal LIMIT 1",
        (run_id, *(Failure(kind, "").text for kind in _NOT_FAILED)),
    ).fetchone()
    return failing


def _failed_below(db: Tables, run_id: str, at: rows.Columns) -> rows.Columns | None:
    """The step that made the last child fail that failed of this one; has none failed, the last of
    the run: it was told of a step that another has recorded."""
    child = "step.depth = 1" if at["id"] == run_id else "step.parent_id = ?2"
    failed: Row | None = db.execute(
        f"{SQL['step_at']} WHERE step.id >= ?1 AND step.id < ?1 || '.' AND step.id <> ?2"
        f" AND step.state = 'failed'"
        f" ORDER BY ({child}) DESC NULLS LAST, step.ended_at DESC, step.ordinal DESC LIMIT 1",
        (run_id, at["id"]),
    ).fetchone()
    return None if failed is None else _cause(db, failed["id"])


def _cause(db: Tables, step_id: str) -> rows.Columns | None:
    """The step that made this one fail, the one that made that one fail, and so on: as it failed
    then, if its result was set since."""
    seen: set[str] = set()
    ended_at: int | None = None
    while True:
        row: Row | None = db.execute(f"{SQL['step_at']} WHERE step.id = ?", (step_id,)).fetchone()
        if row is None or row["cause_id"] is None or row["cause_id"] in seen:
            if row is None or ended_at is None:
                return row
            was = rows.mended_since(row, ended_at)
            if was is None:
                return row
            told = {"http_status": was.was_status, "error": was.was_error}
            return dict(row) | told | {"excerpt": was.was_excerpt}
        ended_at = row["ended_at"] or 0
        seen.add(step_id := row["cause_id"])
