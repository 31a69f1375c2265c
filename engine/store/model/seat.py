"""The seat of the model's database: its replay, and reads by its fence."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from engine.core.errors import Problem, Refused
from engine.ports.retention import Expired
from engine.store.commit import Commit
from engine.store.model.database import ModelDatabase, Server
from engine.store.replay import replay
from engine.store.seat import Fence, Fenced, NoReply, Seat
from engine.store.sqlite.readers import SQL, Queries
from engine.store.sqlite.sink import SqliteKept

T = TypeVar("T")


class ModelSeat(Seat):
    """A seat of the model's."""

    def __init__(
        self, database: ModelDatabase, owner: str, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(database, owner, on_failure)
        self._model = database

    async def catch_up(self, fence: Fence) -> None:
        """Have the tables know what the journal says."""
        replay(_Kept(self._model.primary, fence))

    async def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in tables that have all that is known here to be in them."""
        return await self.read(lambda fence, follows: self._model.read(fence, follows, work))

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same, where nothing may be waited for. Raises Refused where it is not known."""
        fence, follows = self._fence, self._end.follows
        try:
            return self._model.ask_now(lambda server: server.read(fence, follows, work))
        except (NoReply, Fenced) as error:
            self._in_doubt = True
            raise Refused(
                Problem.STORE_UNAVAILABLE,
                f"The database did not answer as it should: {error}.",
                retryAfter=1,
            ) from error


class _Kept(SqliteKept):
    """What a replay needs of the database."""

    def __init__(self, server: Server, fence: Fence) -> None:
        super().__init__(server.db)
        self._server, self._fence = server, fence

    def write(self, commit: Commit) -> None:
        """Commit."""
        self._server.fold(self._fence, commit)


class SeatQueries(Queries):
    """Reads by the fence of a seat."""

    def __init__(self, seat: ModelSeat) -> None:
        self.read = seat.ask  # type: ignore[method-assign]
        self._read_now = seat.read_now

    def find_run(self, client: str, workflow: str, key: str) -> str | None:
        """The id of the run with this identity, if the tables know it."""
        where = (client, workflow, key)
        row = self._read_now(lambda db: db.execute(SQL["find_run"], where).fetchone())
        return None if row is None else str(row[0])

    def find_expired(self, client: str, workflow: str, key: str) -> Expired | None:
        """The same of an expired run."""
        where = (client, workflow, key)
        row = self._read_now(lambda db: db.execute(SQL["find_expired"], where).fetchone())
        return None if row is None else Expired(*row)
