"""Rows into tables: the statements of a commit, and how many rows each takes at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import fields

from engine.ports.retention import Expired
from engine.store import rows
from engine.store.commit import RowsOfRun, RowsToWrite, tally_rows
from engine.store.journal import JOURNAL_COLUMNS, Part
from engine.store.tables.connection import Tables, is_of_the_store
from engine.store.tables.jobs import JOB_COLUMNS, JOB_RUN_COLUMNS
from engine.store.tables.registry import REGISTRY_COLUMNS

ROWS_AT_ONCE = 16
"""SQLite works without Python's lock, and each statement gives it up and asks for it again: that
costs more than the row. 16 rows of the widest table are within SQLite's limit of values."""


class Table:
    """How rows get into one table."""

    def __init__(self, name: str, columns: tuple[str, ...], conflict: str = "") -> None:
        self._start = f"INSERT INTO {name} ({','.join(columns)}) VALUES "
        self._values = f"({','.join('?' * len(columns))})"
        self._conflict = conflict

    @lru_cache(maxsize=2 * ROWS_AT_ONCE)  # noqa: B019 - the tables live as long as the module
    def statement(self, count: int) -> str:
        """The INSERT of so many rows."""
        return f"{self._start}{','.join([self._values] * count)}{self._conflict}"

    def insert(self, db: Tables, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows, or overwrite what is there where the table allows that."""
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            db.execute(self.statement(len(some)), [value for row in some for value in row])


def _overwriting(table: str, columns: tuple[str, ...], kept: tuple[str, ...] = ()) -> str:
    """Of the columns in `kept` an old value stays where the new one is null."""
    changes = [
        f"{column}=coalesce(excluded.{column},{table}.{column})"
        if column in kept
        else f"{column}=excluded.{column}"
        for column in columns
        if column != "id"
    ]
    return f" ON CONFLICT (id) DO UPDATE SET {','.join(changes)}"


JOURNAL = Table("journal", JOURNAL_COLUMNS)
RUN = Table("run", rows.RUN_COLUMNS, _overwriting("run", rows.RUN_COLUMNS))
STEP = Table("step", rows.STEP_COLUMNS, _overwriting("step", rows.STEP_COLUMNS, ("payload_in",)))
ATTEMPT = Table("attempt", rows.ATTEMPT_COLUMNS)
OUTCOME = Table("outcome", rows.OUTCOME_COLUMNS)
ATTEMPT_IF_NEW = Table("attempt", rows.ATTEMPT_COLUMNS, " ON CONFLICT DO NOTHING")
OUTCOME_IF_NEW = Table("outcome", rows.OUTCOME_COLUMNS, " ON CONFLICT DO NOTHING")
BODY = Table("body", rows.BODY_COLUMNS, " ON CONFLICT DO NOTHING")
SQL_KEEP_PAYLOAD = """
INSERT INTO body (step_id, answer, number, entry)
SELECT id, 0, payload_generation, payload_in FROM step
WHERE id = ? AND payload_generation < ? AND payload_in IS NOT NULL ON CONFLICT DO NOTHING
"""
TALLY = Table(
    "tally", ("state", "runs"),
    " ON CONFLICT (state) DO UPDATE SET runs = tally.runs + excluded.runs",
)  # fmt: skip
EXPIRED_COLUMNS = tuple(field.name for field in fields(Expired))
CARRIED_COLUMNS = tuple(field.name for field in fields(Part))
CARRIED = Table("carried", CARRIED_COLUMNS)
COLUMNS = {
    "journal": JOURNAL_COLUMNS,
    "carried": CARRIED_COLUMNS,
    "run": rows.RUN_COLUMNS,
    "step": rows.STEP_COLUMNS,
    "attempt": rows.ATTEMPT_COLUMNS,
    "outcome": rows.OUTCOME_COLUMNS,
    "body": rows.BODY_COLUMNS,
    "tally": ("state", "runs"),
    "registry": REGISTRY_COLUMNS,
    "expired": EXPIRED_COLUMNS,
    "job": JOB_COLUMNS,
    "job_run": JOB_RUN_COLUMNS,
}
"""What is written to each table."""
SQL_ATTEMPT_END = (
    f"UPDATE attempt SET {','.join(f'{c}=?' for c in rows.ATTEMPT_END_COLUMNS)}"
    " WHERE step_id=? AND number=?"
)


def write_together(db: Tables, some: RowsToWrite) -> None:
    """All of them, within the caller's transaction, which is lost if this raises."""
    some.begin()
    _insert(db, some.made)


def write_apart(db: Tables, some: RowsToWrite) -> None:
    """Each run's by themselves. Raises only what is not of one run."""
    some.begin()
    for each in some.made:
        error = _try_rows_of(db, each)
        if error is not None:
            some.fail(each, error, lacking=_try_rows_of(db, each, fitting=True) is not None)


def _insert(db: Tables, some: list[RowsOfRun], *, fitting: bool = False) -> None:
    """`fitting`: attempts and outcomes that are there already stay as they are."""
    attempt, outcome = (ATTEMPT_IF_NEW, OUTCOME_IF_NEW) if fitting else (ATTEMPT, OUTCOME)
    RUN.insert(db, [each.run for each in some])
    for each in some:
        if each.payload is not None:  # before its step's row names another
            db.execute(SQL_KEEP_PAYLOAD, each.payload)
            BODY.insert(db, each.bodies)
    STEP.insert(db, [row for each in some for row in each.steps])
    attempt.insert(db, [row for each in some for row in each.attempts])
    if ends := [row for each in some for row in each.ends]:
        db.executemany(SQL_ATTEMPT_END, ends)
    outcome.insert(db, [row for each in some for row in each.outcomes])
    TALLY.insert(db, tally_rows(some))


def _try_rows_of(db: Tables, it: RowsOfRun, *, fitting: bool = False) -> Exception | None:
    """Write the rows of one run; or leave the tables as they were and return why."""
    db.execute("SAVEPOINT apart")
    try:
        _insert(db, [it], fitting=fitting)
    except Exception as error:
        if is_of_the_store(db, error):
            raise
        db.execute("ROLLBACK TO apart")
        return error
    finally:
        if db.in_transaction:
            db.execute("RELEASE apart")
    return None
