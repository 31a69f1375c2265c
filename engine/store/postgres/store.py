"""A store on a PostgreSQL server: opening it, and the `Store` port above its tables.

Who opens it takes it: whoever had it before finds, at the next statement, that it is out, and ends.
A server that would answer before anything is on its disk is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from engine.ports.store import BackedUp, StoreError
from engine.store.away import PAUSE_S_MAX, WAIT_S, Availability
from engine.store.postgres.away import ServerWords
from engine.store.postgres.borrowing import Borrowing
from engine.store.postgres.database import PostgresDatabase
from engine.store.postgres.place import Place
from engine.store.postgres.readers import SeatQueries
from engine.store.postgres.schema import migrate
from engine.store.postgres.wire import Blocking, Said, place_of
from engine.store.seat import NoReply, Seat
from engine.store.store import Known
from engine.store.tables.reading import journal_end, run_counts
from engine.store.tables.store import NoTail, TableStore, what_is_known
from engine.store.writer import Writer, running

READERS_MAX, VIEW_READERS_MAX = 2, 3
"""Connections beside those that write: for the engine, and for people."""
SQL_DURABILITY = """
SELECT current_setting('server_version') AS postgresql, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names
"""
MUST_BE_ON = ("fsync", "full_page_writes")


class PostgresStore(TableStore):
    """A store on a server."""

    def __init__(
        self,
        writer: Writer,
        readers: SeatQueries,
        view_readers: SeatQueries,
        availability: Availability,
        known: Known,
        place: Place,
        durability: dict[str, str | int],
    ) -> None:
        super().__init__(writer, readers, view_readers, availability, known, NoTail())
        self._place, self._durability = place, durability

    @property
    def place(self) -> str:
        """The server and the database, without a password."""
        return str(self._place)

    @property
    def file_bytes(self) -> int:
        """There is no file that could be seen from here."""
        return 0

    @property
    def log_bytes(self) -> int:
        """Nor a log."""
        return 0

    def durability(self) -> dict[str, str | int]:
        """What durability rests on, as the server said when the store was opened."""
        return self._durability


class NoCopies:
    """A server has its own ways."""

    async def back_up(self, target: Path, told: Callable[[int, int], None]) -> BackedUp:
        """Raises StoreError."""
        raise StoreError(
            "This engine keeps everything in a PostgreSQL database: have its own tools copy it"
            " (pg_dump, pg_basebackup)."
        )


class _Opening:
    """The time that a server has to answer, while a store is opened."""

    def __init__(self, place: Place, wait_s: float) -> None:
        self._place, self._until = place, trio.current_time() + wait_s

    def again(self, error: Exception) -> None:
        """A try has failed. Raises StoreError when there is to be no other."""
        if trio.current_time() >= self._until:
            why = ServerWords(self._place).why_not(error)
            raise StoreError(f"the store cannot be opened. {why}") from error


def _durability(db: Blocking, place: Place) -> dict[str, str | int]:
    """Raises StoreError for a server that would lose in a crash what it said is there."""
    (row,) = db.execute(SQL_DURABILITY)
    found = {name: row[name] for name in row.keys()}  # noqa: SIM118 - no mapping
    for name in MUST_BE_ON:
        if found[name] != "on":
            raise StoreError(
                f"{place} cannot be used durably: its server runs with {name} = off, and may lose"
                " everything when it crashes. Set it to on (postgresql.conf), and reload."
            )
    return found


def _prepare(db: Blocking, place: Place) -> dict[str, str | int]:
    found = _durability(db, place)
    migrate(db, str(place))
    return found


async def _prepared(database: PostgresDatabase, opening: _Opening) -> dict[str, str | int]:
    """With its schema as this version has it, by a server that answers."""
    place = database.place
    while True:
        try:
            return await database.borrowing.read(partial(_prepare, place=place))
        except NoReply as error:
            opening.again(error)
        except Said as error:
            raise StoreError(f"{place} cannot be used: {error}.") from error
        await trio.sleep(PAUSE_S_MAX)


@asynccontextmanager
async def open_postgres(
    url: str,
    owner: str,
    *,
    started_at: int,
    on_failure: Callable[[], None] = lambda: None,
    wait_s: float = WAIT_S,
    log: Callable[..., None] = lambda event, **values: None,
    made: Callable[[Place], PostgresDatabase] = PostgresDatabase,
) -> AsyncIterator[PostgresStore]:
    """The store, with its writer running; leaving commits what was written.

    `owner` is a name that no other opening has. `wait_s`: how long a start waits for the server.
    `made` gives the statements. Raises StoreError.
    """
    place = place_of(url)
    database = made(place)
    reading, viewing = Borrowing(place, READERS_MAX), Borrowing(place, VIEW_READERS_MAX)
    try:
        opening = _Opening(place, wait_s)
        durability = await _prepared(database, opening)
        seat = Seat(database, owner, on_failure)
        await seat.open(started_at, database.catch_up, opening.again)
        readers = SeatQueries(seat, reading)
        view_readers = SeatQueries(seat, viewing, patient=False)
        availability = Availability(ServerWords(place), wait_s=wait_s, log=log)
        known = await readers.read(what_is_known)
        sequence, last_at = await readers.read(journal_end)
        writer = Writer(
            seat,
            availability,
            owner=owner,
            epoch=known.epoch,
            sequence=sequence,
            last_at=last_at,
            run_counts=await readers.read(run_counts),
            on_failure=on_failure,
        )
        seat.rows_again = partial(database.fold_again, writer.firsts_behind)
        store = PostgresStore(writer, readers, view_readers, availability, known, place, durability)
        async with running(writer, seat.watch):
            yield store
    finally:
        for each in (database, reading, viewing):
            each.close()
