"""The `Store` port above the tables of a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from engine.store.away import Availability
from engine.store.store import JournalStore, Known
from engine.store.tables import expiry
from engine.store.tables.connection import Tables, snapshot
from engine.store.tables.reads import Queries, TableReads
from engine.store.tables.registry import read_registered
from engine.store.writer import Writer

T = TypeVar("T")


class Tail(Protocol):
    """What is durable and not in the tables, for who reads while rows cannot follow. In the
    readers' threads."""

    def of_run(self, db: Any, run_id: str, work: Callable[..., T]) -> T:
        """What `work` finds of a run with a connection to where its rows are whole."""

    def of_all(self, db: Any, work: Callable[..., T], join: Callable[[T, T], T]) -> T:
        """What `work` finds in the tables of the runs whose rows are whole there, and here of the
        others, both of one moment. `join` makes one of them."""

    def forget(self) -> None:
        """The tables know all again."""

    def close(self) -> None:
        """Nobody reads any more."""


class NoTail:
    """Where only rows are read: they are as of the last that could follow."""

    def of_run(self, db: Any, run_id: str, work: Callable[..., T]) -> T:
        return work(db)

    def of_all(self, db: Any, work: Callable[..., T], join: Callable[[T, T], T]) -> T:
        with snapshot(db):
            return work(db)

    def forget(self) -> None:
        """There is nothing."""

    close = forget


class TableStore(JournalStore):
    """A store whose rows are in the tables of a database, wherever that is."""

    def __init__(
        self,
        writer: Writer,
        readers: Queries,
        view_readers: Queries,
        availability: Availability,
        known: Known,
        tail: Tail,
    ) -> None:
        super().__init__(writer, TableReads(readers, view_readers), availability, known)
        self.readers = readers
        self.view_readers = view_readers
        """For operators: what they ask for never stands in the engine's way, nor it in theirs."""
        self.tail = tail
        """For them, too."""


def what_is_known(db: Tables) -> Known:
    """What a store says of itself when it is open."""
    row = db.execute("SELECT file_id, secret, epoch FROM engine").fetchone()
    registered, any_expired = read_registered(db), expiry.has_keys(db)
    return Known(row["file_id"], row["secret"], row["epoch"], registered, any_expired)
