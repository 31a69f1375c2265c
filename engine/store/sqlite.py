"""The embedded store: one file, one owner, one writer, read-only readers.

Opening it takes the lock, brings the schema up to date, sets the pragmas and reads them back: a
store that is not durable is refused, not used.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct
from sqlite_utils import Database

from engine.core.errors import EngineError
from engine.ports import Body, Due, Stored, Write
from engine.store.readers import Readers
from engine.store.replay import Damaged, journal_end, replay, tally
from engine.store.schema import migrations
from engine.store.writer import Batch, Here, Offload, Writer

T = TypeVar("T")

READERS_MAX = 3
BUSY_TIMEOUT_MS = 5_000
WAL_PAGES = 20_000
"""Pages of the log at which any commit puts them into the file; the writer does so before."""
CACHE_KIB = 16_384
MIGRATIONS = "_sqlite_migrations"
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0}
"""What must hold on the writing connection, as read back. `synchronous` 2 is FULL: NORMAL may lose
the last commits in a power cut, and acknowledged means durable."""


class StoreError(EngineError):
    """The store cannot be opened; the message says why and what to do."""


class Owner(Struct, frozen=True):
    """Who has the file open, as written into the lock file."""

    pid: int
    instance: str
    started_at: str
    url: str = ""


@contextmanager
def locked(path: Path, owner: Owner) -> Iterator[None]:
    """Hold the file's lock. The system gives it back when the process ends, however it ends.

    A file beside the database, because closing any other handle on the database itself would drop
    SQLite's own POSIX locks. Raises StoreError, at once, naming the owner.
    """
    try:
        handle = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(_owned(path, os.read(handle, 4096))) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, msgspec.json.encode(owner), 0)
        yield
    finally:
        os.close(handle)


def check_unowned(path: Path) -> None:
    """Raises StoreError, naming the owner, if an engine has the file open. Changes nothing.

    Only for a better word about a start that has failed already: `locked` decides.
    """
    path = _the_file(path)
    with suppress(OSError):
        handle = os.open(_lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(_owned(path, os.read(handle, 4096))) from error
        finally:
            os.close(handle)


def _the_file(path: Path) -> Path:
    """The one name of the file: by a link to it a second engine would find another lock."""
    return Path(os.path.realpath(path))


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _owned(path: Path, text: bytes) -> str:
    try:
        owner = msgspec.json.decode(text, type=Owner)
    except msgspec.DecodeError:
        return f"{path} is in use by another engine. Stop it, or give this one another --db."
    at = f" at {owner.url}" if owner.url else ""
    return (
        f"{path} is in use by the engine with process id {owner.pid}{at}, started"
        f" {owner.started_at}. Stop it, or give this one another --db."
    )


class SqliteStore:
    """The `Store` port on SQLite, and what the front reads beside it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        writer: Writer,
        readers: Readers,
        view_readers: Readers,
        *,
        path: Path,
        file_id: str,
        secret: bytes,
        epoch: int,
    ) -> None:
        self._connection = connection
        self.writer = writer
        self.readers = readers
        self.view_readers = view_readers
        """For operators: what they ask for never stands in the engine's way, nor it in theirs."""
        self.path = path
        self.file_id = file_id
        self.secret = secret
        self.epoch = epoch

    def write(self, write: Write) -> Batch:
        """Queue a write for the next group commit."""
        return self.writer.write(write)

    @property
    def last_at(self) -> int:
        """The latest time that an owner before this one recorded."""
        return self.writer.last_at

    @property
    def backlog(self) -> int:
        """Events that wait for a commit."""
        return self.writer.gathering

    def find_run(self, client: str, workflow: str, key: str) -> str | None:
        """The id of the run with this identity."""
        found = self.writer.find((client, workflow, key))
        return found or self.readers.find_run(client, workflow, key)

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored]:
        """The runs as committed; those that are not there are left out."""
        if not run_ids:
            return []
        await self.writer.wait_rows(*run_ids)
        return await self.readers.load_runs(run_ids, until)

    async def payload(self, step_id: str, generation: int) -> bytes:
        """The payload as first received."""
        body = await self.body(step_id, generation, answer=False)
        assert body is not None, f"the payload of {step_id} is missing"
        return body.data

    async def answer(self, step_id: str, attempt: int) -> Body | None:
        """The answer that an attempt got, if one was kept."""
        return await self.body(step_id, attempt, answer=True)

    async def body(self, step_id: str, number: int, *, answer: bool) -> Body | None:
        """A payload by its generation, or an answer by its attempt."""
        entry = self.writer.body_in(step_id, number, answer=answer)
        return await self.readers.body(step_id, number, answer=answer, entry=entry)

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`.

        As the tables have them: what was written within the last `LAG_S` may be missing.
        """
        return await self.readers.due(after, until, limit)

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
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path} cannot be opened as Atomic's database: {error}. It may be another program's"
        " file, be damaged, or lie where this user cannot write."
    )


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Before anything is written, also the journal mode: the file is empty, or it is Atomic's.

    The first start may have ended between sqlite-utils' table of migrations and ours.
    """
    found = connection.execute("SELECT name FROM sqlite_schema WHERE tbl_name != ?", (MIGRATIONS,))
    names = {name for (name,) in found}
    if names and not names >= {"engine", "journal", "outcome_is_final"}:
        raise StoreError(
            f"{path} is another program's database, or of an Atomic before its first release. Give"
            " this engine another --db."
        )


def _configure(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.row_factory = sqlite3.Row
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def prepare(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open and migrate. Raises StoreError."""
    new = not path.exists()
    with _translated(path), ExitStack() as undo:
        if new:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        undo.callback(connection.close)
        _check_ours(connection, path)
        _configure(connection, synchronous)
        found = read_pragmas(connection)
        if synchronous == "FULL" and found != PRAGMAS:
            raise StoreError(f"{path} cannot be used durably: {found}, wanted {PRAGMAS}.")
        migrations.apply(Database(connection))
        connection.execute(
            "INSERT INTO engine (id, file_id, secret, epoch, owner, started_at)"
            " VALUES (1, ?, ?, 0, '', 0) ON CONFLICT (id) DO NOTHING",
            (secrets.token_hex(4), secrets.token_bytes(32)),
        )
        if new:  # the file's name must survive a power cut as its content does
            directory = os.open(path.parent, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
        undo.pop_all()
    return connection


def _begin(connection: sqlite3.Connection, owner: Owner, started_at: int) -> None:
    """Catch up with the journal, as its last owner would have; then begin this owner's epoch."""
    replay(connection)
    connection.execute(
        # By the clock, so that a restored copy does not begin an epoch that already was.
        "UPDATE engine SET epoch = max(epoch + 1, ?), owner = ?, started_at = ?",
        (max(1, started_at), owner.instance, started_at),
    )


def threads(count: int) -> Offload:
    """An offload to worker threads that no one else shares."""
    limiter = trio.CapacityLimiter(count)

    def offload(work: Callable[[], T]) -> Awaitable[T]:
        return trio.to_thread.run_sync(work, limiter=limiter)

    return offload


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
) -> AsyncIterator[SqliteStore]:
    """The store, with its writer running; leaving commits what was written and closes.

    `on_failure` is called at once when a commit fails, before the error leaves.
    `synchronous` is FULL but in simulations, which crash the engine and not the machine.
    Raises StoreError.
    """
    path = _the_file(path)
    here = Here() if write_offload is None else None
    write_offload = write_offload or threads(1)
    with locked(path, owner), closing(prepare(path, synchronous)) as connection:
        try:
            await write_offload(lambda: _begin(connection, owner, started_at))
        except (Damaged, sqlite3.DatabaseError) as error:
            raise _unusable(path, error) from error
        row = connection.execute("SELECT file_id, secret, epoch FROM engine").fetchone()
        sequence, last_at = journal_end(connection)
        writer = Writer(
            connection,
            owner=owner.instance,
            epoch=row["epoch"],
            sequence=sequence,
            last_at=last_at,
            tally=dict(tally(connection)),
            offload=write_offload,
            here=here,
            on_failure=on_failure,
        )
        with (
            closing(Readers(path, read_offload or threads(READERS_MAX))) as readers,
            closing(Readers(path, read_offload or threads(READERS_MAX))) as view_readers,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run)
                yield SqliteStore(
                    connection,
                    writer,
                    readers,
                    view_readers,
                    path=path,
                    file_id=row["file_id"],
                    secret=row["secret"],
                    epoch=row["epoch"],
                )
                writer.close()
