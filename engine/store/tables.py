"""Rows into tables: the statements of a commit, and how many rows each takes at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from msgspec import Struct

from engine.core.model import ENDED, Run
from engine.store import rows
from engine.store.journal import JOURNAL_COLUMNS, Entry
from engine.store.pending import RunRows

ROWS_AT_ONCE = 16
"""SQLite works without Python's lock, and each statement gives it up and asks for it again: that
costs more than the row. 16 rows of the widest table are within SQLite's limit of values."""


class Table:
    """How rows get into one table."""

    def __init__(self, name: str, columns: tuple[str, ...], conflict: str = "") -> None:
        self._start = f"INSERT INTO {name} ({','.join(columns)}) VALUES "
        self._marks = f"({','.join('?' * len(columns))})"
        self._conflict = conflict

    @lru_cache(maxsize=2 * ROWS_AT_ONCE)  # noqa: B019 - the tables live as long as the module
    def statement(self, count: int) -> str:
        """The INSERT of so many rows."""
        return f"{self._start}{','.join([self._marks] * count)}{self._conflict}"

    def insert(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows, or overwrite what is there where the table allows that."""
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            db.execute(self.statement(len(some)), [value for row in some for value in row])


def _overwriting(columns: tuple[str, ...], kept: tuple[str, ...] = ()) -> str:
    """Of the columns in `kept` an old value stays where the new one is null."""
    changes = [
        f"{column}=coalesce(excluded.{column},{column})"
        if column in kept
        else f"{column}=excluded.{column}"
        for column in columns
        if column != "id"
    ]
    return f" ON CONFLICT (id) DO UPDATE SET {','.join(changes)}"


JOURNAL = Table("journal", JOURNAL_COLUMNS)
RUN = Table("run", rows.RUN_COLUMNS, _overwriting(rows.RUN_COLUMNS))
STEP = Table("step", rows.STEP_COLUMNS, _overwriting(rows.STEP_COLUMNS, ("payload_in",)))
ATTEMPT = Table("attempt", rows.ATTEMPT_COLUMNS)
OUTCOME = Table("outcome", rows.OUTCOME_COLUMNS)
ATTEMPT_IF_NEW = Table("attempt", rows.ATTEMPT_COLUMNS, " ON CONFLICT DO NOTHING")
OUTCOME_IF_NEW = Table("outcome", rows.OUTCOME_COLUMNS, " ON CONFLICT DO NOTHING")
TALLY = Table(
    "tally", ("state", "runs"),
    " ON CONFLICT (state) DO UPDATE SET runs = runs + excluded.runs",
)  # fmt: skip
COLUMNS = {
    "journal": JOURNAL_COLUMNS,
    "run": rows.RUN_COLUMNS,
    "step": rows.STEP_COLUMNS,
    "attempt": rows.ATTEMPT_COLUMNS,
    "outcome": rows.OUTCOME_COLUMNS,
    "tally": ("state", "runs"),
}
"""What is written to each table."""
SQL_ATTEMPT_END = (
    f"UPDATE attempt SET {','.join(f'{c}=?' for c in rows.ATTEMPT_END_COLUMNS)}"
    " WHERE step_id=? AND number=?"
)
SQL_CAUGHT_UP = "UPDATE engine SET caught_up = ?"
SMALL_BYTES_MAX = 65_536
"""Of bodies."""
SMALL_EVENTS_MAX = 512
"""Writing so many down takes a millisecond; an action on a large run makes ten thousand."""
PAGE_BYTES = 4_096
NEW_RUN_PAGES = 0.6
KNOWN_RUN_PAGES = 6.0
"""What the rows of a run add to the log, about: new ones lie together at the tables' ends, others
anywhere."""


class RowsOfRun(Struct):
    """The rows of one run, turned into values: nothing can change them any more."""

    run_id: str
    first: int
    """The first event that the tables do not know without them."""
    is_new: bool
    run: tuple[Any, ...]
    steps: list[tuple[Any, ...]]
    attempts: list[tuple[Any, ...]]
    ends: list[tuple[Any, ...]]
    outcomes: list[tuple[Any, ...]]
    tally: dict[str, int]


def _rows_of(it: RunRows, owner: str, epoch: int) -> RowsOfRun:
    return RowsOfRun(
        it.run.id,
        it.first,
        it.is_new,
        rows.run_row(it.run, it.seq, owner, epoch),
        [
            rows.step_row(it.run, step, it.bodies.get((step.id, False, step.payload_generation)))
            for step in it.steps.values()
        ],
        [rows.attempt_row(record) for record in it.started.values()],
        list(it.ended),
        list(it.outcomes),
        dict(it.tally),
    )


class Unwritable(Struct, frozen=True):
    """A run whose rows could not be written as they are."""

    run: Run
    first: int
    """The first event that they were to tell of."""
    error: Exception
    lacking: bool
    """Nothing of them was written. Else all that has room in the tables was: what was there already
    stays, though it should not have been there."""
    is_new: bool

    @property
    def is_lost(self) -> bool:
        """The tables know nothing of the run: there is no row to say that it was stopped."""
        return self.lacking and self.is_new

    @property
    def needs_mark(self) -> bool:
        """The run is not over, or its rows do not say so."""
        run = self.run
        return self.lacking or run.shown not in ENDED or bool(run.open_steps)


class Rows:
    """The rows of some runs. What is wrong with those of one is not felt by the others."""

    def __init__(self, pending: list[RunRows], owner: str, epoch: int) -> None:
        self._rows: list[RowsOfRun] = []
        self._runs = {each.run.id: each.run for each in pending}
        self._without: list[Unwritable] = []
        for each in pending:
            try:
                self._rows.append(_rows_of(each, owner, epoch))
            except Exception as error:  # noqa: BLE001 - whatever it is must stop this run alone
                known = Unwritable(each.run, each.first, error, True, each.is_new)
                self._without.append(known)
        self.unwritable = self._without
        """Whole when they are written."""
        self.new_runs = sum(each.is_new for each in self._rows)

    def __len__(self) -> int:
        """Of how many runs."""
        return len(self._rows) + len(self._without)

    def write(self, db: sqlite3.Connection) -> None:
        """All together, within the caller's transaction, which is lost if this raises."""
        self.unwritable = self._without
        _insert(db, self._rows)

    def write_apart(self, db: sqlite3.Connection) -> None:
        """Each run's by themselves. Raises only what is not of one run."""
        self.unwritable = list(self._without)
        for each in self._rows:
            error = _try(db, each)
            if error is not None:
                lacking = _try(db, each, fitting=True) is not None
                run = self._runs[each.run_id]
                self.unwritable.append(Unwritable(run, each.first, error, lacking, each.is_new))


def _insert(db: sqlite3.Connection, some: list[RowsOfRun], *, fitting: bool = False) -> None:
    """`fitting`: attempts and outcomes that are there already stay as they are."""
    tally: dict[str, int] = {}
    for each in some:
        for state, by in each.tally.items():
            tally[state] = tally.get(state, 0) + by
    attempt, outcome = (ATTEMPT_IF_NEW, OUTCOME_IF_NEW) if fitting else (ATTEMPT, OUTCOME)
    RUN.insert(db, [each.run for each in some])
    STEP.insert(db, [row for each in some for row in each.steps])
    attempt.insert(db, [row for each in some for row in each.attempts])
    if ends := [row for each in some for row in each.ends]:
        db.executemany(SQL_ATTEMPT_END, ends)
    outcome.insert(db, [row for each in some for row in each.outcomes])
    TALLY.insert(db, [(state, by) for state, by in tally.items() if by])


def _try(db: sqlite3.Connection, it: RowsOfRun, *, fitting: bool = False) -> Exception | None:
    """Write the rows of one run; or leave the tables as they were and return why."""
    db.execute("SAVEPOINT apart")
    try:
        _insert(db, [it], fitting=fitting)
    except Exception as error:
        if is_of_the_file(error):
            raise
        db.execute("ROLLBACK TO apart")
        return error
    finally:
        if db.in_transaction:
            db.execute("RELEASE apart")
    return None


def is_of_the_file(error: Exception) -> bool:
    """Whether SQLite speaks of the file, and not of the values that it is given."""
    of_values = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.Error) and not isinstance(error, of_values)


class Extra(Protocol):
    """What else is done to the rows in a commit."""

    def write(self, db: sqlite3.Connection, owner: str, epoch: int) -> dict[str, int]:
        """Do it, within the caller's transaction; returns how it moves the counts in memory."""
        ...


class Commit:
    """What goes into the file in one transaction."""

    def __init__(
        self,
        entries: list[Entry],
        pending: list[RunRows],
        *,
        owner: str,
        epoch: int,
        caught_up: int,
        extras: Sequence[Extra] = (),
    ) -> None:
        self._entries = entries
        self._owner, self._epoch = owner, epoch
        self._caught_up = caught_up if pending else None
        self._extras = extras
        self._rows = Rows(pending, owner, epoch)
        self.moved: dict[str, int] = {}
        """How the extras move the counts of runs by state, once written."""
        bodies = sum(each.bytes for each in entries)
        events = sum(len(each.events) for each in entries)
        quick = bodies <= SMALL_BYTES_MAX and events <= SMALL_EVENTS_MAX
        self.is_small = not pending and not extras and quick
        """It costs little but the sync."""

    def write(self, db: sqlite3.Connection) -> None:
        """Begin, write and commit; when that fails take back what was begun. In any thread.

        Rows that only one run's damage keeps from being written fail nothing: `unwritable` says so.
        """
        try:
            return self._write(db)
        except Exception as error:
            _roll_back(db)
            if not self._rows or is_of_the_file(error):
                raise
        try:
            self._write(db, apart=True)
        except Exception:
            _roll_back(db)
            raise

    def _write(self, db: sqlite3.Connection, *, apart: bool = False) -> None:
        self.moved = {}  # it may be tried again
        db.execute("BEGIN IMMEDIATE")
        JOURNAL.insert(db, [entry.row() for entry in self._entries])
        if self._caught_up is not None:
            if apart:
                self._rows.write_apart(db)
            else:
                self._rows.write(db)
            lacking = [it.first - 1 for it in self.unwritable if it.lacking]
            db.execute(SQL_CAUGHT_UP, (min([self._caught_up, *lacking]),))
        for extra in self._extras:
            for state, by in extra.write(db, self._owner, self._epoch).items():
                self.moved[state] = self.moved.get(state, 0) + by
        db.execute("COMMIT")

    @property
    def unwritable(self) -> list[Unwritable]:
        """The runs whose rows this commit could not write, once it is made."""
        return self._rows.unwritable

    @property
    def pages(self) -> int:
        """How many pages it adds to the log, about."""
        bodies = sum(each.bytes for each in self._entries) // PAGE_BYTES
        new, known = self._rows.new_runs, len(self._rows) - self._rows.new_runs
        rows = 16 + NEW_RUN_PAGES * new + KNOWN_RUN_PAGES * known if self._rows else 0
        return int(2 + len(self._entries) + bodies + rows)


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
