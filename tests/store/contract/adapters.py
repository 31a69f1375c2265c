"""The stores that there are, each as a life of the engine after the other would find it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from engine.core.model import Run, Step
from engine.ports.store import Found, Look, Stopped, Stored
from engine.ports.views import RunRecord, record_of
from engine.store.model.database import ModelDatabase, Server
from engine.store.model.store import open_model
from engine.store.seat import Fenced, NoReply
from engine.store.sqlite.file.owner import Owner
from engine.store.tables.store import TableStore
from engine.store.tables.views.views import TableViews
from tests.store.faults import Disk
from tests.store.support import store_at, the_run

T = TypeVar("T")
LIFE_S_MAX = 1_000
"""On the tests' clock: one that lasts longer waits for what never comes."""


class Crash(Exception):
    """The process is gone."""


class Adapter(Protocol):
    """One store, and the lives that it sees."""

    def life(self) -> AbstractAsyncContextManager[TableStore]:
        """It is open, by an owner that there was not before; it is left in peace."""

    def refuse(self, refuses: bool) -> None:
        """Whether nothing can be written for now."""


class Shared(Adapter, Protocol):
    """One on a server that many share, and the way there."""

    @property
    def to_come(self) -> deque[Trouble | None]:
        """What becomes of the next statements of who writes."""

    async def bring_late(self) -> None:
        """What was late arrives now."""


def as_recorded(found: Run | Stored | Stopped) -> tuple[RunRecord, list[Step]]:
    """What is recorded of a run that no bug has stopped."""
    run = found if isinstance(found, Run) else the_run(found)
    return record_of(run), list(run.steps.values())


async def told(store: TableStore) -> list[tuple[int, str]]:
    """The number and the run of every event that is told to who follows."""
    return [(it.seq, it.run_id) for it in await TableViews(store).events(0, 1_000)]


def runs_of(events: list[tuple[int, str]]) -> list[str]:
    """Whose events these are, in their order; their numbers have no gap."""
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    return [run_id for _, run_id in events]


async def who_has(store: TableStore, key: str, client: str = "shop") -> Found:
    """Who has an identity, whether that takes time or not."""
    found = store.find_run(client, "w", key)
    return await found.ask() if isinstance(found, Look) else found


@asynccontextmanager
async def crashing(adapter: Adapter) -> AsyncIterator[TableStore]:
    """A life that ends without its writer getting to catch up."""
    try:
        async with adapter.life() as store:
            yield store
            raise Crash
    except* Crash:
        pass


class InFile:
    """SQLite's."""

    def __init__(self, directory: Path) -> None:
        self._path, self._lives = directory / "a.db", count(1)
        self._disk = Disk()

    def life(self) -> AbstractAsyncContextManager[TableStore]:
        owner = Owner(pid=1, instance=f"life-{next(self._lives)}", started_at="now")
        return store_at(self._path, owner=owner, write_offload=self._disk)

    def refuse(self, refuses: bool) -> None:
        self._disk.code = sqlite3.SQLITE_FULL if refuses else None


class Trouble(Enum):
    """What becomes of a statement on its way."""

    LOST = "it does not arrive"
    UNANSWERED = "its answer is lost"
    LATE = "it arrives when nobody expects it any more"
    STRAY = "it reaches the primary of before"


class TroubledDatabase(ModelDatabase):
    """One whose way is as bad as a test says."""

    def __init__(self, *, has_standby: bool = False) -> None:
        super().__init__("00c0ffee", b"s" * 32, has_standby=has_standby)
        self.refuses = False
        self.to_come: deque[Trouble | None] = deque()
        """Of the next statements."""
        self._late: list[tuple[Server, Callable[[Server], Awaitable[object]]]] = []

    def server(self, trouble: Trouble | None) -> Server:
        """Which one a statement reaches."""
        return self.old[-1] if trouble is Trouble.STRAY and self.old else self.primary

    async def ask(self, statement: Callable[[Server], Awaitable[T]]) -> T:
        await trio.lowlevel.checkpoint()
        trouble = self.to_come.popleft() if self.to_come else None
        server = self.server(trouble)
        if trouble is Trouble.LOST or self.refuses:
            raise NoReply("nobody is there")
        if trouble is Trouble.LATE:
            self._late.append((server, statement))
            raise NoReply("no answer came")
        answer = await statement(server)
        if trouble is Trouble.UNANSWERED:
            raise NoReply("the connection broke")
        return answer

    async def bring_late(self) -> None:
        """What was late arrives now."""
        late, self._late = self._late, []
        for server, statement in late:
            with suppress(Fenced, NoReply):
                await statement(server)


class InMemory:
    """The model's."""

    def __init__(self, *, has_standby: bool = False) -> None:
        self.database = TroubledDatabase(has_standby=has_standby)
        self._lives = count(1)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[TableStore]:
        opening = open_model(self.database, f"life-{next(self._lives)}", started_at=0)
        with trio.fail_after(LIFE_S_MAX):
            async with opening as store:
                yield store

    def refuse(self, refuses: bool) -> None:
        self.database.refuses = refuses

    @property
    def to_come(self) -> deque[Trouble | None]:
        return self.database.to_come

    async def bring_late(self) -> None:
        await self.database.bring_late()
