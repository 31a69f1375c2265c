"""The embedded store: one file, one owner, one writer, read-only readers.

Opening it takes the lock, brings the schema up to date, sets the pragmas and reads them back: a
store that is not durable is refused, not used.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path

from sqlite_utils import Database

from engine.ports.store import StoreError
from engine.process.platform.files import sync
from engine.store.away import WAIT_S, Availability
from engine.store.offload import Offload, threads
from engine.store.replay import replay
from engine.store.sqlite.content import check_ours, check_whole
from engine.store.sqlite.file.owner import Owner, locked, the_file
from engine.store.sqlite.file.presence import Presence
from engine.store.sqlite.file.wal import LONG_BYTES, Wal
from engine.store.sqlite.file.words import FileWords, unusable
from engine.store.sqlite.readers import Readers, reading
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.sink import Here, SqliteKept, SqliteSink
from engine.store.sqlite.tail import Tail
from engine.store.store import Known
from engine.store.tables.reading import journal_end, run_counts
from engine.store.tables.store import TableStore, what_is_known
from engine.store.writer import Writer, running

WAL_PAGES = 20_000
"""Pages of the log at which any commit puts them into the file; the writer does so before."""
CACHE_KIB = 16_384
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0}
"""What must hold on the writing connection, as read back. `synchronous` 2 is FULL: NORMAL may lose
the last commits in a power cut, and acknowledged means durable."""


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
        super().__init__(writer, readers, view_readers, availability, known, Tail())
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
            async with running(writer, partial(presence.watch, on_failure)):
                store = SqliteStore(sink, writer, readers, view_readers, availability, known, path)
                after.callback(store.tail.close)
                yield store
