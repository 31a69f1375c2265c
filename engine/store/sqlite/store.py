"""The embedded store: one file, one owner, one writer, read-only readers.

Opening it takes the lock, brings the schema up to date, sets the pragmas and reads them back: a
store that is not durable is refused, not used.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path

import trio
from sqlite_utils import Database

from engine.core.model import Run
from engine.ports.audit import AuditEntry, AuditQuery
from engine.ports.retention import EndedRun, Expired, Old
from engine.ports.store import StoreError
from engine.process.platform.files import sync
from engine.store.away import WAIT_S, Availability
from engine.store.expiry import Cut
from engine.store.offload import Offload, threads
from engine.store.replay import replay
from engine.store.sqlite import cut, expiry
from engine.store.sqlite.audit import audited_before, find_audited
from engine.store.sqlite.content import check_ours, check_whole
from engine.store.sqlite.file.owner import Owner, locked, the_file
from engine.store.sqlite.file.presence import Presence
from engine.store.sqlite.file.wal import LONG_BYTES, Wal
from engine.store.sqlite.file.words import FileWords, unusable
from engine.store.sqlite.readers import (
    Queries,
    Readers,
    bytes_used,
    journal_end,
    reading,
    run_counts,
    snapshot,
)
from engine.store.sqlite.registry import read_registered
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.sink import Here, SqliteKept, SqliteSink
from engine.store.sqlite.stopped import read_again
from engine.store.sqlite.tail import Tail
from engine.store.store import JournalStore, Known
from engine.store.writer import Writer

WAL_PAGES = 20_000
"""Pages of the log at which any commit puts them into the file; the writer does so before."""
CACHE_KIB = 16_384
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0}
"""What must hold on the writing connection, as read back. `synchronous` 2 is FULL: NORMAL may lose
the last commits in a power cut, and acknowledged means durable."""


class TableReads:
    """The `Reads` of `store/store.py`: by the tables of a SQLite database, and the entries of the
    journal that they name."""

    def __init__(self, readers: Queries, view_readers: Queries) -> None:
        self._readers, self._read_view = readers, view_readers.read
        # Asked for each post and each run that is taken up: without a call in between.
        self.find_run, self.body, self.load_runs = readers.find_run, readers.body, readers.load_runs
        self.due, self.held, self.held_counts = readers.due, readers.held, readers.held_counts

    async def read_again(self, run_id: str) -> Run:
        """A stopped run as it was recorded. Raises whatever reading it raises."""

        def work(db: sqlite3.Connection) -> Run:
            with snapshot(db):  # what it is folded from may be cut at any moment
                return read_again(db, run_id)

        return await self._readers.read(work)

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""
        return await self._readers.read(lambda db: expiry.key_of_run(db, run_id))

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """Runs in this state that ended before a time, by id, from just behind `after`."""
        where = (state, ended_before, id_before, after, limit)
        return await self._read_view(lambda db: expiry.ended_runs(db, *where))

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]:
        """Expired runs that ended before a time, by their ids."""
        where = (ended_before, id_before, after, limit)
        return await self._read_view(lambda db: expiry.old_keys(db, *where))

    async def old(self, before: int, id_before: str) -> Old:
        """What there is of before a time."""
        return await self._read_view(lambda db: expiry.old(db, before, id_before))

    async def look_to_cut(self, before: int) -> Cut | None:
        """A piece of the journal's beginning that may go; None: there is none."""
        return await self._read_view(lambda db: cut.look(db, before))

    async def audited_before(self, at: int) -> int:
        """How many durable entries are older than this."""
        return await self._read_view(lambda db: audited_before(db, at))

    async def audited(self, query: AuditQuery) -> list[AuditEntry]:
        """Those that are durable, the newest first."""
        return await self._read_view(lambda db: find_audited(db, query))

    async def bytes_used(self) -> int:
        """What the pages take that hold something."""
        return await self._read_view(bytes_used)


class TableStore(JournalStore):
    """A store whose tables are those of a SQLite database, wherever that is."""

    def __init__(
        self,
        writer: Writer,
        readers: Queries,
        view_readers: Queries,
        availability: Availability,
        known: Known,
    ) -> None:
        super().__init__(writer, TableReads(readers, view_readers), availability, known)
        self.readers = readers
        self.view_readers = view_readers
        """For operators: what they ask for never stands in the engine's way, nor it in theirs."""
        self.tail = Tail()
        """For them, too."""


class SqliteStore(TableStore):
    """A store in a file."""

    def __init__(
        self,
        sink: SqliteSink,
        writer: Writer,
        readers: Readers,
        view_readers: Readers,
        availability: Availability,
        known: Known,
        path: Path,
    ) -> None:
        super().__init__(writer, readers, view_readers, availability, known)
        self.sink, self.wal, self.path = sink, sink.wal, path
        self._connection = sink.connection

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.path)

    @property
    def file_bytes(self) -> int:
        """How long the file is; 0: that cannot be seen."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @property
    def log_bytes(self) -> int:
        """How long the file of the write-ahead log is."""
        return self.wal.bytes

    def durability(self) -> dict[str, str | int]:
        """The settings that durability rests on, as SQLite reports them."""
        return {"sqlite": sqlite3.sqlite_version, **read_pragmas(self._connection)}


def read_pragmas(connection: sqlite3.Connection) -> dict[str, str | int]:
    """PRAGMAS as they are."""
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """What SQLite and the system say of the file, as StoreError."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise unusable(path, error) from error


def _configure(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.row_factory = sqlite3.Row
    for pragma in (
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "fullfsync=ON",  # only macOS knows it: there a sync is none without
        "checkpoint_fullfsync=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"journal_size_limit={LONG_BYTES}",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def prepare(path: Path, synchronous: str = "FULL", wait_s: float = WAIT_S) -> sqlite3.Connection:
    """Open and migrate; `wait_s` is how long others may hold a lock. Raises StoreError."""
    new = not path.exists() or not path.stat().st_size
    with _translated(path), ExitStack() as undo:
        if not path.exists():
            path.touch(0o600)
        connection = sqlite3.connect(
            path, timeout=wait_s, isolation_level=None, check_same_thread=False
        )
        undo.callback(connection.close)
        check_ours(connection, path)
        _configure(connection, synchronous)
        found = read_pragmas(connection)
        if synchronous == "FULL" and found != PRAGMAS:
            raise StoreError(f"{path} cannot be used durably: {found}, wanted {PRAGMAS}.")
        migrations.apply(Database(connection))
        check_whole(connection, path)
        connection.execute(
            "INSERT INTO engine (id, file_id, secret, epoch, owner, started_at)"
            " VALUES (1, ?, ?, 0, '', 0) ON CONFLICT (id) DO NOTHING",
            (secrets.token_hex(4), secrets.token_bytes(32)),
        )
        if new:  # the file's name must survive a power cut as its content does
            directory = os.open(path.parent, os.O_RDONLY)
            sync(directory)
            os.close(directory)
        undo.pop_all()
    return connection


def _begin_epoch(connection: sqlite3.Connection, owner: Owner, started_at: int) -> None:
    """Catch up with the journal, as its last owner would have; then begin this owner's epoch.

    From then on no lock is waited for inside SQLite: commits are made on Trio's thread, too.
    """
    replay(SqliteKept(connection))
    connection.execute(
        # By the clock, so that a restored copy does not begin an epoch that already was.
        "UPDATE engine SET epoch = max(epoch + 1, ?), owner = ?, started_at = ?",
        (max(1, started_at), owner.instance, started_at),
    )
    connection.execute("PRAGMA busy_timeout = 0")


def what_is_known(connection: sqlite3.Connection) -> Known:
    """What a store says of itself when it is open."""
    row = connection.execute("SELECT file_id, secret, epoch FROM engine").fetchone()
    registered, any_expired = read_registered(connection), expiry.has_keys(connection)
    return Known(row["file_id"], row["secret"], row["epoch"], registered, any_expired)


def _writer(
    sink: SqliteSink,
    availability: Availability,
    owner: Owner,
    epoch: int,
    on_failure: Callable[[], None],
) -> Writer:
    """A writer that goes on where the journal ends."""
    sequence, last_at = journal_end(sink.connection)
    return Writer(
        sink,
        availability,
        owner=owner.instance,
        epoch=epoch,
        sequence=sequence,
        last_at=last_at,
        run_counts=run_counts(sink.connection),
        on_failure=on_failure,
    )


async def _run(writer: Writer, watch: Callable[[], Awaitable[None]]) -> None:
    """The writer, and a watch over its files for as long as it runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await writer.run()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_store(
    path: Path,
    owner: Owner,
    *,
    started_at: int,
    write_offload: Offload | None = None,
    read_offload: Offload | None = None,
    synchronous: str = "FULL",
    on_failure: Callable[[], None] = lambda: None,
    wait_s: float = WAIT_S,
    log: Callable[..., None] = lambda event, **values: None,
) -> AsyncIterator[SqliteStore]:
    """The store, with its writer running; leaving commits what was written and closes.

    `on_failure` is called at once when a commit fails, before the error leaves.
    `synchronous` is FULL but in simulations, which crash the engine and not the machine.
    `wait_s`: how long a start waits for another program's lock, and after what time of it in the
    middle of things `log` (an event's name, and its values) is told whose it is. Raises StoreError.
    """
    path = the_file(path)
    here = Here() if write_offload is None else None
    write_offload = write_offload or threads(1)
    with (
        locked(path, owner) as handle,
        ExitStack() as after,
        closing(prepare(path, synchronous, wait_s)) as connection,
    ):
        try:
            await write_offload(lambda: _begin_epoch(connection, owner, started_at))
        except sqlite3.DatabaseError as error:
            raise unusable(path, error) from error
        known = what_is_known(connection)
        presence = Presence(path, handle)
        after.callback(presence.close)
        availability = Availability(FileWords(path), wait_s=wait_s, log=log)
        sink = SqliteSink(
            connection,
            Wal(connection, path, log),
            write_offload,
            here=here,
            look=presence.look,
            look_now=presence.look_now,
            on_failure=on_failure,
        )
        writer = _writer(sink, availability, owner, known.epoch, on_failure)
        with reading(path, read_offload, log, after) as (readers, view_readers):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_run, writer, partial(presence.watch, on_failure))
                store = SqliteStore(sink, writer, readers, view_readers, availability, known, path)
                after.callback(store.tail.close)
                yield store
                writer.close()
