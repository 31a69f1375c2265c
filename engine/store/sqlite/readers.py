"""Read-only connections, and what is read through them.

They see what is committed and nothing else, never checkpoint, and have a limiter of their own, so
that neither a slow listing nor a stuck resolver takes a place from the writer.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from engine.core.errors import Problem, Refused, RefusedForDamage, what_was_wrong
from engine.core.model import Run, Step, StepState, run_of
from engine.ports.report import RESTORE
from engine.ports.retention import Expired
from engine.ports.store import (
    Body,
    Due,
    Found,
    HeldCount,
    HeldStep,
    Larger,
    Look,
    Stopped,
    Stored,
    StoreError,
)
from engine.ports.views import EventRecord
from engine.store import journal, rows
from engine.store.offload import Offload, threads
from engine.store.sqlite.file.words import is_damage, primary_code
from engine.store.sqlite.tables import check_tables

T = TypeVar("T")
READERS_MAX = 3
DAMAGED_RETRY_AFTER_S = 60
"""Only a person can mend it."""
UNREADABLE_RETRY_AFTER_S = 5
_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)
"""What keeps a file from being read. Other errors are of the statement, and so of ours."""
COUNT_MAX = 1 << 53
"""No count of a step comes near it; one that is beyond was not written by an engine."""
ENTRIES_KEPT_MAX = 8
"""Of the journal, unpacked, while runs are loaded together."""
LATEST_AMONG_EVENTS = 50_000
"""How far back the latest time is looked for: what one recovery may have written."""


def named_queries(text: str) -> dict[str, str]:
    """The statements of queries.sql by the name in the comment above each."""
    found = re.findall(r"^-- (\w+):[^\n]*\n(.*?);\s*$", text, flags=re.MULTILINE | re.DOTALL)
    return dict(found)


SQL = named_queries((resources.files("engine.store.sqlite") / "queries.sql").read_text())


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also not by mistake."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        add_functions(connection)
        connection.execute("PRAGMA query_only=1")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # opens the log too
    except BaseException:
        connection.close()
        raise
    return connection


def open_resting(path: Path) -> sqlite3.Connection:
    """A reader of a file that no engine has open. Beside one without a log nothing is made."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        return connect_read_only(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    return connection


def add_functions(connection: sqlite3.Connection) -> None:
    """What statements over the rows need beside SQLite's own: `lower_case(text)`."""
    connection.create_function("lower_case", 1, _lower_case, deterministic=True)


def _lower_case(text: str | None) -> str | None:
    """SQLite's own `lower` knows ASCII alone."""
    return None if text is None else text.lower()


def _is_of_the_file(error: sqlite3.Error) -> bool:
    """And not of the statement. One that writes, here, is told `SQLITE_READONLY` and no more."""
    return primary_code(error) in _OF_THE_FILE and error.sqlite_errorcode != sqlite3.SQLITE_READONLY


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All that is read within it is of one moment; what it does to the temporary schema is undone.

    For a connection that cannot write to the file.
    """
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


class StoredRun(Struct, frozen=True):
    """A run, as its rows have it."""

    run: Run
    seq: int
    """The last event that they know."""
    payload_in: dict[str, int | None]
    """By step, the journal's entry with its payload."""


def stored_run(db: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """The run, if the tables know it."""
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    return None if row is None else _with_steps(db, row)


def _with_steps(db: sqlite3.Connection, row: sqlite3.Row) -> StoredRun:
    steps = db.execute(SQL["steps"], (row["id"],)).fetchall()
    found = [rows.step_from(step) for step in steps]
    assert any(step.is_root for step in found), f"the row of the root of run {row['id']} is gone"
    assert all(max(step.attempts, step.failures, step.rev) < COUNT_MAX for step in found)
    run = rows.run_from(row, found)
    return StoredRun(run, row["seq"], {step["id"]: step["payload_in"] for step in steps})


def stored_body(
    db: sqlite3.Connection,
    step_id: str,
    number: int,
    *,
    answer: bool,
    bytes_max: int | None = None,
    entry: int | None = None,
) -> Body | Larger | None:
    """A body of the journal, found by the row of its step or attempt unless its entry is known."""
    if entry is None:
        entry = _entry_of(db, step_id, number, answer=answer)
    run_id = run_of(step_id)
    bodies = _bodies_of_entry(db, entry) or _carried_bodies(db, run_id, entry)
    extent = None if bodies is None else bodies.find(step_id, number, answer=answer)
    if extent is None:
        return None
    if bytes_max is not None and extent.line.length > bytes_max:
        return Larger(extent.line.length)
    data = extent.data
    if data is None:
        part = (extent.offset + 1, extent.line.length)
        row = db.execute(SQL["large"], (*part, entry)).fetchone()
        if row is None:  # its entry was cut
            row = db.execute(SQL["carried_large"], (*part, run_id, entry)).fetchone()
        if row is None:  # and its run has gone
            return None
        data = row[0]
    return journal.body_of(extent, data)


def _entry_of(db: sqlite3.Connection, step_id: str, number: int, *, answer: bool) -> int | None:
    """The journal's entry with a body, as the tables know it."""
    query = SQL["answer_in"] if answer else SQL["payload_in"]
    row = db.execute(query, (step_id, number)).fetchone()
    if row is None:
        row = db.execute(SQL["body_in"], (step_id, number, answer)).fetchone()
    return None if row is None else row[0]


def _bodies_of_entry(db: sqlite3.Connection, entry: int | None) -> journal.EntryBodies | None:
    row = None if entry is None else db.execute(SQL["packed"], (entry,)).fetchone()
    return None if row is None else journal.EntryBodies(row[0])


def _carried_bodies(
    db: sqlite3.Connection, run_id: str, entry: int | None
) -> journal.EntryBodies | None:
    """What an entry that was cut had of a run."""
    row = None if entry is None else db.execute(SQL["carried_packed"], (run_id, entry)).fetchone()
    return None if row is None else journal.EntryBodies(row[0])


def _is_called_by(step: Step, until: int) -> bool:
    if step.state is StepState.BACKING_OFF:
        return step.due_at is not None and step.due_at <= until
    return step.state in (StepState.PENDING, StepState.RUNNING)


def _loaded_run(
    db: sqlite3.Connection,
    run_id: str,
    until: int,
    bodies_in: Callable[[int | None], journal.EntryBodies | None],
) -> Stored | Stopped | None:
    """A run with its small payloads; or that a bug stopped it, now or before.

    `bodies_in` remembers entries: runs of one time lie in the same.
    """
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    if row is not None and row["engine_error"]:  # empty: it is to be read again
        return _stopped_run(db, row, row["engine_error"], recorded=True)
    try:
        found = None if row is None else _with_steps(db, row)
        return None if found is None else _with_payloads(db, found, until, bodies_in)
    except sqlite3.Error:
        raise  # the file's, not the run's
    except Exception as error:  # noqa: BLE001 - whatever it is must stop this run alone
        return _stopped_run(db, row, what_was_wrong(error), recorded=False)


def _stopped_run(
    db: sqlite3.Connection, row: sqlite3.Row, error: str, *, recorded: bool
) -> Stopped:
    root = db.execute(SQL["root_called"], (row["id"],)).fetchone()
    state, rev = (row["state"], 0) if root is None else (root["state"], root["rev"])
    return Stopped(row["id"], row["client"], row["state"], row["rev"], state, rev, error, recorded)


def _with_payloads(
    db: sqlite3.Connection,
    stored: StoredRun,
    until: int,
    bodies_in: Callable[[int | None], journal.EntryBodies | None],
) -> Stored:
    payloads: dict[str, bytes] = {}
    for step in stored.run.steps.values():
        if _is_called_by(step, until):
            entry = stored.payload_in[step.id]
            bodies = bodies_in(entry) or _carried_bodies(db, step.run_id, entry)
            extent = bodies and bodies.find(step.id, step.payload_generation, answer=False)
            if extent and extent.data is not None:
                payloads[step.id] = extent.data
    return Stored(stored.run, payloads)


def who_has(db: sqlite3.Connection, identity: tuple[str, str, str], *, or_expired: bool) -> Found:
    """Who has an identity, by client, workflow and key. The run first: one that goes in between is
    found as expired."""
    row = db.execute(SQL["find_run"], identity).fetchone()
    if row is not None:
        return str(row[0])
    row = db.execute(SQL["find_expired"], identity).fetchone() if or_expired else None
    return None if row is None else Expired(*row)


class Queries:
    """What a run is looked for by, and loaded. How a connection is had is a subclass's."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a connection."""
        raise NotImplementedError

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Found | Look:
        """Who has this identity, as far as the tables know it."""
        raise NotImplementedError

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs, and the small payloads of their steps that are to be called by `until`."""

        def work(db: sqlite3.Connection) -> list[Stored | Stopped]:
            bodies_in = lru_cache(ENTRIES_KEPT_MAX)(partial(_bodies_of_entry, db))
            with snapshot(db):
                found = [_loaded_run(db, run_id, until, bodies_in) for run_id in run_ids]
            return [each for each in found if each is not None]

        return await self.read(work)

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None, entry: int | None
    ) -> Body | Larger | None:
        """`entry` is the journal's where it is known to lie; None: the tables say which."""

        def work(db: sqlite3.Connection) -> Body | Larger | None:
            with snapshot(db):  # its entry may be cut at any moment
                return stored_body(
                    db, step_id, number, answer=answer, bytes_max=bytes_max, entry=entry
                )

        return await self.read(work)

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        where = (after.wake_at, after.step_id, until, limit)
        found = await self.read(lambda db: db.execute(SQL["due"], where).fetchall())
        return [Due(row["wake_at"], row["id"], run_of(row["id"])) for row in found]

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        found = await self.read(lambda db: db.execute(SQL["held"], (after, limit)).fetchall())
        return [
            HeldStep(row["id"], run_of(row["id"]), row["client"], row["workflow"], row["url"])
            for row in found
        ]

    async def held_counts(self) -> list[HeldCount]:
        found = await self.read(lambda db: db.execute(SQL["held_counts"]).fetchall())
        return [HeldCount(*row) for row in found]

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        def work(db: sqlite3.Connection) -> list[EventRecord]:
            found: list[EventRecord] = []
            with closing(db.execute(SQL["journal_from"], (after,))) as entries:
                for seq, packed in entries:
                    found += (e for e in journal.event_records(seq, packed) if e.seq > after)
                    if len(found) >= limit:
                        break
            return found[:limit]

        return await self.read(work)


class Readers(Queries):
    """A stack of read-only connections; each query borrows one.

    `at_once`: so many queries run at a time. All are opened here: later there might be no
    descriptor for one, and what reads the store is not to fail for that.
    """

    def __init__(
        self,
        path: Path,
        offload: Offload,
        at_once: int,
        log: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self._path, self._offload, self._log = path, offload, log
        self._damage: set[str] = set()
        """What was said of it, and of why it could not be read."""
        self._all: list[sqlite3.Connection] = []
        try:
            for _ in range(at_once + 1):
                self._all.append(connect_read_only(path))
        except BaseException:
            self.close()
            raise
        self._own, *self._idle = self._all

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a read-only connection, off Trio's thread."""

        def borrowed() -> T:
            connection = self._idle.pop()
            try:
                with self._names_damage(connection):
                    return work(connection)
            finally:
                self._idle.append(connection)

        return await self._offload(borrowed)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Found:
        """One look into one index, on Trio's own thread: it takes some 10 µs, the way to a worker
        thread and back ten times that, and every new run is looked for first."""
        try:
            return who_has(self._own, (client, workflow, key), or_expired=or_expired)
        except sqlite3.Error as error:
            self._refuse_if_damaged(error, self._own)
            raise

    @contextmanager
    def _names_damage(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A file that turns out to be damaged, or cannot be read, is called so: nobody is told of
        a bug."""
        try:
            yield
        except sqlite3.Error as error:
            self._refuse_if_damaged(error, connection)
            raise

    def _refuse_if_damaged(self, error: sqlite3.Error, connection: sqlite3.Connection) -> None:
        """Raises Refused, and logs it once, if the error is of the file."""
        words = f"{error}, {error.sqlite_errorname}" if primary_code(error) else str(error)
        if is_damage(error) or self._is_changed(error, connection):
            self._say("store-damaged", words, mend=RESTORE)
            raise RefusedForDamage(
                Problem.STORE_UNAVAILABLE,
                f"The database is damaged where this is kept ({words}); its operator must restore a"
                " copy.",
                retryAfter=DAMAGED_RETRY_AFTER_S,
            ) from error
        if _is_of_the_file(error):
            self._say("store-unreadable", words)
            raise Refused(
                Problem.STORE_UNAVAILABLE,
                f"The database cannot be read where this is kept ({words}).",
                retryAfter=UNREADABLE_RETRY_AFTER_S,
            ) from error

    def _is_changed(self, error: sqlite3.Error, connection: sqlite3.Connection) -> bool:
        """A statement does not fit the tables, as they are not what the engine made."""
        if primary_code(error) != sqlite3.SQLITE_ERROR:
            return False
        try:
            check_tables(connection, self._path)
        except StoreError:
            return True
        except sqlite3.Error as other:
            return is_damage(other)
        return False

    def _say(self, event: str, words: str, **values: str) -> None:
        if words not in self._damage:
            self._damage.add(words)
            self._log(event, db=str(self._path), error=words, **values)


@contextmanager
def reading(
    path: Path, offload: Offload | None, log: Callable[..., None], after: ExitStack
) -> Iterator[tuple[Readers, Readers]]:
    """The engine's and the operators'. Closed before the writer; or after it, with an error.

    The last connection of all puts the log into the file when it closes, if it may write. After an
    error nobody shall: the log may be the matter, and both are read at the next start.
    """
    with ExitStack() as undo:
        found = []
        for _ in range(2):
            found.append(Readers(path, offload or threads(READERS_MAX), READERS_MAX, log))
            undo.callback(found[-1].close)
        try:
            yield found[0], found[1]
        except BaseException:
            after.push(undo.pop_all())
            raise


def journal_end(db: sqlite3.Connection) -> tuple[int, int]:
    """The number of the last event, and the latest time among the last (0, 0: there are none).

    Not the last event's: a life with its clock set back may have begun to recover, and died in it.
    """
    last = latest = looked_at = 0
    with closing(db.execute(SQL["journal_back"])) as entries:
        for seq, events, at in entries:
            last = last or seq + events - 1
            latest = max(latest, at)
            looked_at += events
            if looked_at >= LATEST_AMONG_EVENTS:
                break
    return last, latest


def run_counts(db: sqlite3.Connection) -> dict[str, int]:
    """Runs by state."""
    return {row["state"]: row["runs"] for row in db.execute(SQL["tally"])}


def bytes_used(db: sqlite3.Connection) -> int:
    """What the pages take that hold something: those that were freed are used again."""
    size, pages, free = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return int(size * (pages - free))
