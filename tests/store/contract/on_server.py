"""PostgreSQL's store, on a server that the tests have for themselves; and troubles of the way
there, made with it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import TypeVar

import trio

from engine.store.postgres.database import PostgresDatabase
from engine.store.postgres.place import Place
from engine.store.postgres.store import open_postgres
from engine.store.postgres.values import Found, Param
from engine.store.postgres.wire import LOST, Blocking, NotNow, Said
from engine.store.seat import Fenced, NoReply
from engine.store.tables.store import TableStore
from tests.postgres import Postgres
from tests.store.contract.adapters import Trouble

T = TypeVar("T")
LIFE_S_MAX = 30
"""One that lasts longer waits for what never comes."""


class TroubledServer(PostgresDatabase):
    """One whose way is as bad as a test says."""

    def __init__(self, place: Place, to_come: deque[Trouble | None]) -> None:
        super().__init__(place)
        self._to_come = to_come
        self.late: list[Callable[[], Awaitable[object]]] = []

    async def _run(self, sql: str, params: Sequence[Param] = ()) -> Found:
        return await self._on_its_way(partial(super()._run, sql, params))

    async def _transact(self, work: Callable[[Blocking], T]) -> T:
        return await self._on_its_way(partial(super()._transact, work))

    async def _on_its_way(self, statement: Callable[[], Awaitable[T]]) -> T:
        trouble = self._to_come.popleft() if self._to_come else None
        if trouble is None:
            return await statement()
        if trouble is Trouble.UNANSWERED:
            await statement()
        if trouble is Trouble.LATE:
            self.late.append(statement)
        if self._writing is not None:
            self._writing.close()
        raise NotNow(LOST, "the connection broke")


class OnServer:
    """PostgreSQL's."""

    def __init__(self, server: Postgres) -> None:
        self.server, self.url = server, server.database()
        self.name = self.url.partition("@/")[2].partition("?")[0]
        self.to_come = deque[Trouble | None]()
        """Of the next statements of who writes."""
        self._lives = count(1)
        self._databases: list[TroubledServer] = []

    @asynccontextmanager
    async def life(self) -> AsyncIterator[TableStore]:
        """It is open, by an owner that there was not before."""

        def made(place: Place) -> TroubledServer:
            self._databases.append(TroubledServer(place, self.to_come))
            return self._databases[-1]

        owner = f"life-{next(self._lives)}"
        with trio.fail_after(LIFE_S_MAX):
            async with open_postgres(self.url, owner, started_at=0, made=made) as store:
                yield store

    def refuse(self, refuses: bool) -> None:
        """Nothing can be written: it was made read-only, and who was connected has to come anew."""
        value = "on" if refuses else "off"
        self.server.sql(f"ALTER DATABASE {self.name} SET default_transaction_read_only = {value}")
        self.end_sessions()

    def end_sessions(self) -> None:
        """Whoever waits gets no reply."""
        self.server.sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'"
        )

    def sql(self, statement: str) -> str:
        """What another program does to its tables, or sees there."""
        return self.server.sql(statement, self.name)

    async def bring_late(self) -> None:
        """What was late arrives now."""
        for database in self._databases:
            late, database.late = database.late, []
            for statement in late:
                with suppress(NoReply, Said, Fenced):
                    await statement()
