"""The embedded store: one file, one owner, one writer, read-only readers.

Opening it takes the lock, brings the schema up to date, sets the pragmas and reads them back: a
store that is not durable is refused, not used.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path

import trio
from sqlite_utils import Database

from engine.core.events import Actor
from engine.core.model import Run
from engine.ports.audit import AuditEntry, AuditQuery
from engine.ports.registry import Registered
from engine.ports.retention import EndedRun, Expired, Old
from engine.ports.store import (
    Away,
    Body,
    Due,
    HeldCount,
    HeldStep,
    Larger,
    Stopped,
    Stored,
    StoreError,
    Write,
)
from engine.process.platform.files import sync
from engine.store.away import WAIT_S, Availability
from engine.store.expiry import Expiry
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
from engine.store.stops import What, acted_line, end_lines, stop_lines
from engine.store.writer import Batch, Writer

WAL_PAGES = 20_000
"""Pages of the log at which any commit puts them into the file; the writer does so before."""
CACHE_KIB = 16_384
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0}
"""What must hold on the writing connection, as read back. `synchronous` 2 is FULL: NORMAL may lose
the last commits in a power cut, and acknowledged means durable."""


class SqliteStore:
    """The `Store` port on SQLite, and what the front reads beside it."""

    def __init__(
        self,
        sink: SqliteSink,
        writer: Writer,
        readers: Readers,
        view_readers: Readers,
        availability: Availability,
        *,
        path: Path,
        file_id: str,
        secret: bytes,
        epoch: int,
    ) -> None:
        self.sink = sink
        self._connection = sink.connection
        self.writer = writer
        self.readers = readers
        self.view_readers = view_readers
        """For operators: what they ask for never stands in the engine's way, nor it in theirs."""
        self.tail = Tail()
        """For them, too."""
        self.availability = availability
        self.wal = sink.wal
        self.registered = read_registered(sink.connection)
        """What people had set, as the store was opened."""
        self.any_expired = expiry.has_keys(sink.connection)
        """False: no key of an expired run can be here."""
        self.path = path
        self.file_id = file_id
        self.secret = secret
        self.epoch = epoch

    def write(self, write: Write) -> Batch:
        """Queue a write for the next group commit."""
        return self.writer.write(write)

    def register(self, entry: Registered) -> Batch:
        """Set or take away what people set; it is so when the receipt is durable."""
        return self.writer.register(entry)

    def audit(self, entry: AuditEntry) -> Batch:
        """Keep what was done; durable no later than whatever is written after it."""
        return self.writer.audit(entry)

    def unaudit(self, entry_id: str) -> Batch:
        """Take one away again."""
        return self.writer.audit(entry_id)

    def forget_audit(self, before: int) -> Batch:
        """Take away some of the oldest entries, if they are older than this."""
        return self.writer.audit(before)

    async def audited_before(self, at: int) -> int:
        """How many durable entries are older than this."""
        return await self.view_readers.read(lambda db: audited_before(db, at))

    async def audited(self, query: AuditQuery) -> list[AuditEntry]:
        """Those that are durable, the newest first."""
        return await self.view_readers.read(lambda db: find_audited(db, query))

    @property
    def last_at(self) -> int:
        """The latest time that an owner before this one recorded."""
        return self.writer.last_at

    @property
    def backlog(self) -> int:
        """Events that wait for a commit."""
        return self.writer.gathering

    @property
    def away(self) -> Away | None:
        """Why the file cannot be written for now; None: it can."""
        return self.availability.away

    async def wait_away_moved(self) -> None:
        """Return when `away` has come or gone."""
        await self.availability.wait_moved()

    @property
    def backlog_bytes(self) -> int:
        """Of the small bodies that wait for a commit."""
        return self.writer.backlog_bytes

    def find_run(self, client: str, workflow: str, key: str) -> str | None:
        """The id of the run with this identity."""
        found = self.writer.find((client, workflow, key))
        return found or self.readers.find_run(client, workflow, key)

    def find_expired(self, client: str, workflow: str, key: str) -> Expired | None:
        """The expired run with this identity, for who found no run that there is."""
        return self.readers.find_expired(client, workflow, key) if self.any_expired else None

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""
        if not self.any_expired:
            return None
        return await self.readers.read(lambda db: expiry.key_of_run(db, run_id))

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """Runs in this state that ended before a time, by id, from just behind `after`."""
        where = (state, ended_before, id_before, after, limit)
        return await self.view_readers.read(lambda db: expiry.ended_runs(db, *where))

    async def expire(self, run_ids: Sequence[str], ended_before: Mapping[str, int]) -> int:
        """Remove runs that nobody has in memory, and keep their keys; returns how many went."""
        if run_ids:
            await self.writer.wait_rows(*run_ids)
        settled = tuple(filter(self.writer.is_settled, run_ids))
        if not settled or self.away is not None:
            return 0
        self.any_expired = True  # before they go: who finds none of them any more must look
        return await self._expire(Expiry(settled, ended_before))

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]:
        """Expired runs that ended before a time, by their ids."""
        where = (ended_before, id_before, after, limit)
        return await self.view_readers.read(lambda db: expiry.old_keys(db, *where))

    async def forget_keys(self, run_ids: Sequence[str], ended_before: int) -> int:
        """Forget the keys of expired runs; returns how many."""
        return await self._expire(Expiry(key_ids=tuple(run_ids), keys_before=ended_before))

    async def old(self, before: int, id_before: str) -> Old:
        """What there is of before a time."""
        return await self.view_readers.read(lambda db: expiry.old(db, before, id_before))

    async def cut_journal(self, before: int) -> int:
        """Cut a piece off the journal's beginning; returns how many events went."""
        found = await self.view_readers.read(lambda db: cut.look(db, before))
        return 0 if found is None or self.away else await self._expire(Expiry(cut=found))

    async def _expire(self, what: Expiry) -> int:
        await self.writer.expire(what).wait()
        return what.gone

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs as committed; those that are not there are left out."""
        if not run_ids:
            return []
        await self.writer.wait_rows(*run_ids)
        if self.away is None:
            return await self.readers.load_runs(run_ids, until)
        # Let go with all durable, but for the rows: those cannot follow now.
        behind = {run_id: run for run_id in run_ids if (run := self.writer.run_behind(run_id))}
        rest = [run_id for run_id in run_ids if run_id not in behind]
        found = {it.run_id: it for it in await self.readers.load_runs(rest, until)}
        found |= {run_id: Stored(run, {}) for run_id, run in behind.items()}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def tell_unwritable(self, stop_run: Callable[[Run, Exception], bool]) -> None:
        """Have this called of a run whose rows could not be written. False: the engine is to end.

        Its events are durable, and of its rows what has room in the tables, or nothing.
        """
        self.writer.stop_run = stop_run

    def withhold(self, run_id: str) -> bool:
        """A bug stopped the run: nothing of it is written from memory any more. True: its rows lack
        something, until its stop is recorded."""
        return self.writer.withhold(run_id)

    def stop(self, stopped: Stopped, at: int) -> Batch:
        """Record that a bug stopped a run, without a look at what the bug may have broken."""
        return self.writer.stop(stopped, at, stop_lines(stopped, at), What.STOP)

    def end_stopped(self, stopped: Stopped, at: int, actor: Actor, reason: str | None) -> Batch:
        """End a stopped run as it is: all that is open of it is cancelled."""
        lines = end_lines(stopped, at, actor, reason)
        return self.writer.stop(stopped, at, lines, What.END)

    def let_go_on(
        self, stopped: Stopped, at: int, action: str, actor: Actor, reason: str | None
    ) -> Batch:
        """A stopped run is to be loaded like any other, with `Run.engine_error` empty."""
        lines = [acted_line(stopped, at, action, actor, reason)]
        return self.writer.stop(stopped, at, lines, What.LET_GO_ON)

    async def read_again(self, run_id: str) -> Run:
        """A stopped run as it was recorded. Raises whatever reading it raises."""
        await self.writer.wait_rows(run_id)

        def work(db: sqlite3.Connection) -> Run:
            with snapshot(db):  # what it is folded from may be cut at any moment
                return read_again(db, run_id)

        return await self.readers.read(work)

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None = None
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt; `Larger` beyond `bytes_max`."""
        entry = self.writer.body_in(step_id, number, answer=answer)
        return await self.readers.body(
            step_id, number, answer=answer, bytes_max=bytes_max, entry=entry
        )

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`.

        As the tables have them: what was written within the last `LAG_S` may be missing.
        """
        return await self.readers.due(after, until, limit)

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        """Steps that a hold keeps from starting, by id, from just behind this one; from the
        beginning (empty) with all that was written before, unless the store is away."""
        if not after:
            await self.writer.wait_rows()
        return await self.readers.held(after, limit)

    async def held_counts(self) -> list[HeldCount]:
        """How many of them there are. What was written within the last second may be missing."""
        return await self.readers.held_counts()

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.path)

    def give_up_at(self, at: float) -> None:
        """After this, on Trio's clock, it ends the engine rather than wait while it is away."""
        self.availability.give_up_at = at

    def tell_commits(self, took: Callable[[float], None]) -> None:
        """Have this called of each commit with how long it took, its failed tries included."""
        self.writer.took = took

    async def bytes_used(self) -> int:
        """What the pages take that hold something."""
        return await self.view_readers.read(bytes_used)

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

    @property
    def last_seq(self) -> int:
        """The number of the last event that is durable."""
        return self.writer.durable_sequence

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
        row = connection.execute("SELECT file_id, secret, epoch FROM engine").fetchone()
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
        writer = _writer(sink, availability, owner, row["epoch"], on_failure)
        with reading(path, read_offload, log, after) as (readers, view_readers):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_run, writer, partial(presence.watch, on_failure))
                store = SqliteStore(
                    sink,
                    writer,
                    readers,
                    view_readers,
                    availability,
                    path=path,
                    file_id=row["file_id"],
                    secret=row["secret"],
                    epoch=row["epoch"],
                )
                after.callback(store.tail.close)
                yield store
                writer.close()
