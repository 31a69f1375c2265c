"""The seat of the model's database: its replay, and reads by its fence."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

from engine.store.commit import Commit
from engine.store.model.database import ModelDatabase, Server
from engine.store.replay import fold_again, replay
from engine.store.seat import End, Fence, Seat
from engine.store.sqlite.sink import SqliteKept
from engine.store.tables.reads import Queries

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

    async def fold_again(
        self, behind: Callable[[], Mapping[str, int]], fence: Fence, end: End
    ) -> None:
        """Have tables that lost rows know what they knew."""
        kept = _Kept(self._model.primary, fence, end.follows)
        fold_again(kept, behind(), end.seq)

    async def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in tables that have all that is known here to be in them."""
        return await self.read(lambda fence, follows: self._model.read(fence, follows, work))


class _Kept(SqliteKept):
    """What a replay needs of the database."""

    def __init__(self, server: Server, fence: Fence, follows: int | None = None) -> None:
        super().__init__(server.db)
        self._server, self._fence, self._follows = server, fence, follows

    def write(self, commit: Commit) -> None:
        """Commit."""
        self._server.fold(self._fence, commit, self._follows)


class SeatQueries(Queries):
    """Reads by the fence of a seat."""

    def __init__(self, seat: ModelSeat) -> None:
        self.read = seat.ask  # type: ignore[method-assign]
