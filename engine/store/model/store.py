"""A store on a database in memory: the `Store` port above the model of a server."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from engine.ports.store import BackedUp, StoreError
from engine.store.away import WAIT_S, Availability
from engine.store.model.database import ModelDatabase
from engine.store.model.seat import ModelSeat, SeatQueries
from engine.store.sqlite.tail import Tail
from engine.store.tables.reading import journal_end, run_counts
from engine.store.tables.store import TableStore, what_is_known
from engine.store.writer import Writer, running

PLACE = "memory"


def new_database(*, has_standby: bool = False) -> ModelDatabase:
    """One with nothing in it."""
    return ModelDatabase(secrets.token_hex(4), secrets.token_bytes(32), has_standby=has_standby)


class ModelStore(TableStore):
    """A store in memory."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return PLACE

    @property
    def file_bytes(self) -> int:
        """There is no file."""
        return 0

    @property
    def log_bytes(self) -> int:
        """Nor a log."""
        return 0

    def durability(self) -> dict[str, str | int]:
        """It lasts as long as the process."""
        return {"sqlite": sqlite3.sqlite_version, "journal_mode": "memory", "synchronous": 0}


class Words:
    """What is said while the database does not answer."""

    place = PLACE

    def why_not(self, error: Exception) -> str:
        """As a sentence."""
        return f"The database in memory did not answer as it should: {error}."

    def who_keeps_it_away(self, error: Exception) -> str | None:
        """No process does."""
        return None


@asynccontextmanager
async def open_model(
    database: ModelDatabase,
    owner: str,
    *,
    started_at: int,
    on_failure: Callable[[], None] = lambda: None,
    wait_s: float = WAIT_S,
    log: Callable[..., None] = lambda event, **values: None,
) -> AsyncIterator[ModelStore]:
    """The store, with its writer running; leaving commits what was written.

    `owner` is a name that no other opening has. The database is taken from whoever has it.
    """
    seat = ModelSeat(database, owner, on_failure)
    await seat.open(started_at, seat.catch_up)
    known = await seat.ask(what_is_known)
    sequence, last_at = await seat.ask(journal_end)
    availability = Availability(Words(), wait_s=wait_s, log=log)
    writer = Writer(
        seat,
        availability,
        owner=owner,
        epoch=known.epoch,
        sequence=sequence,
        last_at=last_at,
        run_counts=await seat.ask(run_counts),
        on_failure=on_failure,
    )
    seat.rows_again = partial(seat.fold_again, writer.firsts_behind)
    queries = SeatQueries(seat)
    store = ModelStore(writer, queries, queries, availability, known, Tail())
    try:
        async with running(writer, seat.watch):
            yield store
    finally:
        store.tail.close()


class NoCopies:
    """Nothing that could be copied."""

    async def back_up(self, target: Path, told: Callable[[int, int], None]) -> BackedUp:
        """Raises StoreError."""
        raise StoreError(
            "This engine keeps everything in memory, for tests: there is no file to copy."
        )
