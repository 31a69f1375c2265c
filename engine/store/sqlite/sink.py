"""Commits into the file: `BEGIN IMMEDIATE … COMMIT` with `synchronous=FULL`, by one connection.

One thread makes them; a small one is made on Trio's thread where the disk is fast. One that has
certainly not happened is made again by the writer. Any other that fails may have happened (a failed
fsync leaves that open): the error leaves, the engine stops, and the file is read again at the next
start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import trio

from engine.ports.store import StoreError, StoreStopped
from engine.store.commit import Commit
from engine.store.offload import Offload
from engine.store.sqlite.file.wal import PAGE_BYTES, Wal
from engine.store.sqlite.file.words import damage, is_busy, may_be_tried_again, primary_code
from engine.store.sqlite.tables import check_tables
from engine.store.tables.beside import write_beside
from engine.store.tables.connection import is_of_the_store
from engine.store.tables.kept import TableKept
from engine.store.tables.writing import JOURNAL, write_apart, write_together

SQL_CAUGHT_UP = "UPDATE engine SET caught_up = ?"
HERE_S_MAX = 0.002
"""Commits that take longer are made in a thread: meanwhile nobody else would get a turn."""
SMOOTHING = 0.2
LOOK_AGAIN_COMMITS = 500
"""After so many commits in the thread one is made here again: the disk may be fast now."""
SMALL_BYTES_MAX = 65_536
"""Of bodies."""
EXPIRED_PAGES = 2
"""What a run that goes adds to the log: its neighbours go with it, its key lies anywhere."""
JOB_RUNS_PER_PAGE = 50
SMALL_EVENTS_MAX = 512
"""Writing so many down takes a millisecond; an action on a large run makes ten thousand."""
NEW_RUN_PAGES = 0.6
KNOWN_RUN_PAGES = 6.0
"""What the rows of a run add to the log, about: new ones lie together at the tables' ends, others
anywhere."""


class SqliteSink:
    """The writer's `Sink` on the one connection that writes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        wal: Wal,
        offload: Offload,
        *,
        here: Here | None = None,
        look: Callable[[], None] = lambda: None,
        look_now: Callable[[], None] = lambda: None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """`look` is called before a commit is acknowledged, and may raise StoreStopped; so may
        `look_now`, which is called, in any thread, before the log is put into the file.
        `on_failure` is called at once when a commit fails for good."""
        self.connection, self.wal, self._offload = connection, wal, offload
        self._here, self._look, self._look_now = here, look, look_now
        self._on_failure = on_failure
        self._failed: sqlite3.Error | None = None
        """How the last try did, if it did."""

    async def append(self, commit: Commit) -> sqlite3.Error | None:
        """Commit; or say why it has not happened, and may be tried again."""
        try:
            here = self._here if _is_small(commit) and not self.wal.is_long else None
            if here is not None and here.is_fast and self._failed is None:
                with here.timed():
                    write(self.connection, commit)
            else:
                with trio.CancelScope(shield=True):  # a thread cannot be called back
                    await self._offload(partial(self._write, commit))
            self._failed = None
            self.wal.grew(_pages_added(commit))
            self._look()
        except StoreStopped:
            self._on_failure()
            raise
        except sqlite3.Error as error:
            if may_be_tried_again(error):
                self._failed = error
                return error
            self._on_failure()
            self._look_now()  # perhaps that tells what has happened
            self._tell_damage(error)
            raise
        return None

    async def follow(self, commit: Commit) -> None:
        """The rows were written with what has happened: one transaction, one sync."""

    def _write(self, commit: Commit) -> None:
        """In a thread: whatever takes longer."""
        if self._failed is not None and not is_busy(self._failed):
            self._put_into_file()  # it may begin anew then, and need no room
        write(self.connection, commit)
        if self.wal.is_long:
            self._put_into_file()

    def _put_into_file(self) -> None:
        self._look_now()  # a log that was cut would spoil the file
        self.wal.put_into_file()

    def _tell_damage(self, error: sqlite3.Error) -> None:
        """A commit has failed for good. Raises StoreStopped if the file is damaged, or its tables
        are not what the engine made."""
        path = self.wal.path
        what = damage(path, error)
        if what is None and primary_code(error) == sqlite3.SQLITE_ERROR:
            try:
                check_tables(self.connection, path)
            except (StoreError, sqlite3.Error) as found:
                what = damage(path, found) if isinstance(found, sqlite3.Error) else str(found)
        if what is not None:
            raise StoreStopped(f"{what} The commit that met it was not made.") from error


class Here:
    """Whether a small commit is made on Trio's own thread: when the disk syncs faster than the way
    to a thread and back takes, which is a millisecond and more while Trio's thread is busy."""

    def __init__(self) -> None:
        self._took_s = 0.0
        """How long commits took lately."""
        self._passed_over = 0

    @property
    def is_fast(self) -> bool:
        """Commits are fast here; or they were not, and it is time to look again."""
        if self._took_s <= HERE_S_MAX:
            return True
        self._passed_over = (self._passed_over + 1) % LOOK_AGAIN_COMMITS
        return not self._passed_over

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Around a commit: remember how long it took."""
        began = trio.current_time()
        yield
        took_s = trio.current_time() - began
        self._took_s += (took_s - self._took_s) * SMOOTHING


def _is_small(commit: Commit) -> bool:
    """It costs little but the sync."""
    if commit.rows or commit.stops or commit.expiries:
        return False
    if not all(it.is_small for it in commit.jobs):
        return False
    return commit.body_bytes <= SMALL_BYTES_MAX and commit.events <= SMALL_EVENTS_MAX


def _pages_added(commit: Commit) -> int:
    """How many pages it adds to the log, about."""
    count = 2 + len(commit.entries) + commit.body_bytes // PAGE_BYTES
    for it in commit.expiries:
        count += EXPIRED_PAGES * it.gone if it.cut is None else it.cut.pages
    count += sum(2 + (len(it.runs) + it.gone) // JOB_RUNS_PER_PAGE for it in commit.jobs)
    if not commit.rows:
        return count
    new = sum(each.is_new for each in commit.rows.made)
    return int(count + 16 + NEW_RUN_PAGES * new + KNOWN_RUN_PAGES * (len(commit.rows) - new))


def write(
    db: sqlite3.Connection, commit: Commit, *, record: bool = True, rows: bool = True
) -> None:
    """Begin, write and commit; when that fails take back what was begun. In any thread.

    Rows that only one run's damage keeps from being written fail nothing: `unwritable` says so.
    `record`, `rows`: whether what has happened is written, and what follows it.
    """
    rows = rows and len(commit.rows) > 0
    try:
        return _write(db, commit, record=record, rows=rows)
    except Exception as error:
        _roll_back(db)
        if not rows or is_of_the_store(db, error):
            raise
    try:
        _write(db, commit, record=record, rows=rows, apart=True)
    except Exception:
        _roll_back(db)
        raise


def _write(
    db: sqlite3.Connection, commit: Commit, *, record: bool, rows: bool, apart: bool = False
) -> None:
    if record:
        commit.moved = {}  # it may be tried again
    db.execute("BEGIN IMMEDIATE")
    if record:
        JOURNAL.insert(db, commit.packed())
    if rows:
        (write_apart if apart else write_together)(db, commit.rows)
        db.execute(SQL_CAUGHT_UP, (commit.caught_up,))
    if record:
        write_beside(db, commit)
    db.execute("COMMIT")


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


class SqliteKept(TableKept):
    """What a replay finds in a file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self._connection = db

    def write(self, commit: Commit) -> None:
        """Commit."""
        write(self._connection, commit)
