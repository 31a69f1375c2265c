"""What takes several statements: commits that have more than events, rows of which some cannot be
kept, and what a start catches up with.

They look before they write (what may expire, what the rows of a stopped run lack), by the same
functions as SQLite's. So they are one transaction, on a connection of their own; it carries its
fence as a statement does, and nothing of it outlives its end, whatever pooler stands between. They
are rare, and a statement for each of them would be a second description of what they do.

The price: who is stopped in the middle of one keeps the seat's row locked, until whoever takes the
seat ends it (`database.py`), or the server after `IDLE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.store.commit import Commit
from engine.store.postgres.tables import Transaction
from engine.store.postgres.wire import Blocking, Said
from engine.store.seat import End, Fence, Fenced
from engine.store.tables.beside import write_beside
from engine.store.tables.connection import is_of_the_store
from engine.store.tables.kept import TableKept
from engine.store.tables.writing import write_apart, write_together

IDLE = "10s"
"""So long may a transaction wait for its next statement."""
LASTING = """
set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
    ELSE current_setting('synchronous_commit') END, true)
"""
"""Whoever is told of its success may rely on it, whatever the sessions' default is: `off` answers
before anything is on a disk."""
SQL_LASTS = f"SELECT set_config('idle_in_transaction_session_timeout', $1, true), {LASTING}"
SQL_AT_ONCE = """
SELECT set_config('idle_in_transaction_session_timeout', $1, true),
    set_config('synchronous_commit', 'off', true)
"""
SQL_HELD = "SELECT FROM seat WHERE id = 0 AND owner = $1 AND epoch = $2 FOR SHARE"
SQL_MARK = "SELECT follows FROM mark WHERE seat = 0 AND owner = $1 AND epoch = $2 FOR UPDATE"
SQL_STANDS = "SELECT FROM journal WHERE seq = $1 AND seat = 0 AND seq + events - 1 = $2"
SQL_EMPTY = "SELECT WHERE NOT EXISTS (SELECT FROM journal WHERE seat = 0)"
SQL_ENTRY = """
INSERT INTO journal (seat, epoch, seq, events, at, size, packed, large)
VALUES (0, $1, $2, $3, $4, $5, $6, $7)
"""
SQL_FOLLOWED = "UPDATE mark SET caught_up = $1, follows = $2 WHERE seat = 0"
THERE_ALREADY = "23505"


def write_record(db: Blocking, *, fence: Fence, before: End, commit: Commit) -> dict[str, int]:
    """Durably write what has happened, all of it, behind this end; returns how that moves the
    counts of runs by state."""
    commit.moved = {}  # it may be tried again
    with _transaction(db, SQL_LASTS) as tables:
        _hold(db, fence)
        if commit.entries:
            _check_end(db, before)
            _insert_entries(db, fence, commit)
        write_beside(tables, commit)
    return commit.moved


def write_rows_apart(
    db: Blocking, *, fence: Fence, number: int, stands_on: End, commit: Commit
) -> None:
    """Write rows, each run's by themselves: what is wrong with those of one is noted there."""
    with _transaction(db, SQL_AT_ONCE) as tables:
        if _follows(db, fence) != number - 1:
            raise Fenced(f"the tables have not had {number - 1} follows")
        _check_end(db, stands_on)
        write_apart(tables, commit.rows)
        db.execute(SQL_FOLLOWED, (commit.caught_up, number))


class PostgresKept(TableKept):
    """What a replay needs of the database."""

    def __init__(self, db: Blocking, fence: Fence, follows: int | None = None) -> None:
        """`follows`: how many the tables have had with what is written; None: one more."""
        super().__init__(Transaction(db))
        self._connection, self._fence, self._become = db, fence, follows

    def write(self, commit: Commit) -> None:
        """Commit. It lasts when a durable statement behind it does."""
        with _transaction(self._connection, SQL_AT_ONCE) as tables:
            _hold(self._connection, self._fence)
            follows = _follows(self._connection, self._fence)
            _insert_entries(self._connection, self._fence, commit)
            _write_rows(tables, commit)
            write_beside(tables, commit)
            become = follows + 1 if self._become is None else self._become
            self._connection.execute(SQL_FOLLOWED, (commit.caught_up, become))


@contextmanager
def _transaction(db: Blocking, settings: str) -> Iterator[Transaction]:
    """Committed when it is left well. Else its connection is closed by who has lent it, and so it
    is taken back."""
    db.script("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    db.execute(settings, (IDLE,))
    yield Transaction(db)
    db.script("COMMIT")


def _hold(db: Blocking, fence: Fence) -> None:
    if not db.execute(SQL_HELD, fence).rowcount:
        raise Fenced(f"it is no longer {fence.owner}'s, of epoch {fence.epoch}")


def _follows(db: Blocking, fence: Fence) -> int:
    row = db.execute(SQL_MARK, fence).fetchone()
    if row is None:
        raise Fenced(f"it is no longer {fence.owner}'s, of epoch {fence.epoch}")
    return int(row[0])


def _check_end(db: Blocking, end: End) -> None:
    found = db.execute(SQL_STANDS, (end.first, end.seq)) if end.first else db.execute(SQL_EMPTY)
    if not found.rowcount:
        raise Fenced(f"the journal does not end with event {end.seq}")


def _insert_entries(db: Blocking, fence: Fence, commit: Commit) -> None:
    try:
        for entry in commit.packed():
            db.execute(SQL_ENTRY, (fence.epoch, *entry))
    except Said as error:
        if error.state == THERE_ALREADY:
            raise Fenced("another entry is in its place") from error
        raise


def _write_rows(tables: Transaction, commit: Commit) -> None:
    """Together; where that cannot be, each run's by themselves."""
    if not commit.rows:
        return
    tables.execute("SAVEPOINT together")
    try:
        write_together(tables, commit.rows)
    except Exception as error:
        if is_of_the_store(tables, error):
            raise
        tables.execute("ROLLBACK TO together")
        write_apart(tables, commit.rows)
