"""Rows into tables: the statements of a commit, and how many rows each takes at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

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


class Rows:
    """The rows of some runs, turned into values here: nothing can change them any more."""

    def __init__(self, pending: list[RunRows], owner: str, epoch: int) -> None:
        self._runs: list[tuple[Any, ...]] = []
        self._steps: list[tuple[Any, ...]] = []
        self._attempts: list[tuple[Any, ...]] = []
        self._ends: list[tuple[Any, ...]] = []
        self._outcomes: list[tuple[Any, ...]] = []
        self.new_runs = sum(each.is_new for each in pending)
        tally: dict[str, int] = {}
        for each in pending:
            self._runs.append(rows.run_row(each.run, each.seq, owner, epoch))
            self._steps += [
                rows.step_row(
                    each.run, step, each.bodies.get((step.id, False, step.payload_generation))
                )
                for step in each.steps.values()
            ]
            self._attempts += map(rows.attempt_row, each.started.values())
            self._ends += each.ended
            self._outcomes += each.outcomes
            for state, by in each.tally.items():
                tally[state] = tally.get(state, 0) + by
        self._tally = [(state, by) for state, by in tally.items() if by]

    def __len__(self) -> int:
        """How many runs."""
        return len(self._runs)

    def write(self, db: sqlite3.Connection) -> None:
        """Within the caller's transaction."""
        RUN.insert(db, self._runs)
        STEP.insert(db, self._steps)
        ATTEMPT.insert(db, self._attempts)
        if self._ends:
            db.executemany(SQL_ATTEMPT_END, self._ends)
        OUTCOME.insert(db, self._outcomes)
        TALLY.insert(db, self._tally)


class Extra(Protocol):
    """What else is done to the rows in a commit."""

    def write(self, db: sqlite3.Connection, owner: str, epoch: int) -> dict[str, int]:
        """Do it, within the caller's transaction; returns what it moves in the tally."""
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
        """What the extras have moved in the tally, once written."""
        bodies = sum(each.bytes for each in entries)
        events = sum(len(each.events) for each in entries)
        quick = bodies <= SMALL_BYTES_MAX and events <= SMALL_EVENTS_MAX
        self.is_small = not pending and not extras and quick
        """It costs little but the sync."""

    def write(self, db: sqlite3.Connection) -> None:
        """Begin, write and commit; when that fails take back what was begun. In any thread."""
        try:
            self._write(db)
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write(self, db: sqlite3.Connection) -> None:
        self.moved = {}  # it may be tried again
        db.execute("BEGIN IMMEDIATE")
        JOURNAL.insert(db, [entry.row() for entry in self._entries])
        if self._caught_up is not None:
            self._rows.write(db)
            db.execute(SQL_CAUGHT_UP, (self._caught_up,))
        for extra in self._extras:
            for state, by in extra.write(db, self._owner, self._epoch).items():
                TALLY.insert(db, [(state, by)])
                self.moved[state] = self.moved.get(state, 0) + by
        db.execute("COMMIT")

    @property
    def pages(self) -> int:
        """How many pages it adds to the log, about."""
        bodies = sum(each.bytes for each in self._entries) // PAGE_BYTES
        new, known = self._rows.new_runs, len(self._rows) - self._rows.new_runs
        rows = 16 + NEW_RUN_PAGES * new + KNOWN_RUN_PAGES * known if self._rows else 0
        return int(2 + len(self._entries) + bodies + rows)
