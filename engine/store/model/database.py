"""A database server in memory, as far as a store rests on one: its log, what shows, a standby.

What shows and what lasts are two things, and neither follows from the other:

- *Durable, not visible*: a statement that is to last is in the log, and shows when the standby has
  it. Until then nobody sees it, and it holds its lock.
- *Visible, not durable*: its session was ended, or the server started anew, while it waited for the
  standby; or it never was to be durable. Everybody sees it, and a fail-over takes it away.
- *An old primary lives on*: after a fail-over it answers whoever reaches it, from what it has.

So only the reply to a durable statement says that it, and all that it saw, lasts. Each statement is
whole, carries what must hold for it (its fence), and is refused where that does not hold.

The tables are SQLite's, in memory: what a row says is described once. Nothing blocks, and only a
wait for the standby or for a lock takes time.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio
from sqlite_utils import Database

from engine.store.commit import Commit
from engine.store.seat import EMPTY, End, Fence, Fenced, NoReply
from engine.store.sqlite.readers import add_functions
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.sink import write
from engine.store.tables.reading import run_counts

T = TypeVar("T")
SQL_LAST_ENTRY = "SELECT seq, seq + events - 1, packed FROM journal ORDER BY seq DESC LIMIT 1"


class Server:
    """One server. With a standby it keeps its log, and made anew from that it is what it was."""

    def __init__(self, log: list[Effect], standby: Standby | None = None) -> None:
        self.log, self.standby = list(log), standby
        self.flushed = len(log)
        """So much of the log is on its own disk."""
        self.follows = 0
        """How many follows its tables have had: what is read carries how many it must have had."""
        self.moved: dict[str, int] = {}
        """How the last append moved the counts: only who gets its answer knows."""
        self.db = _tables()
        weakref.finalize(self, self.db.close)  # nobody else knows when a server is gone for good
        self._seat = trio.Lock()
        """On the row that says who may write."""
        self._sessions = 0
        self._moved = trio.Event()
        for effect in self.log:
            effect(self)

    # -- statements ----------------------------------------------------------------------------

    async def append(self, fence: Fence, before: int, commit: Commit) -> dict[str, int]:
        """Durably write what has happened, behind event `before`; returns how that moved the counts
        of runs by state, but for its rows."""
        async with self._row(fence):
            if commit.entries and self.end().seq != before:
                raise Fenced(f"the journal ends with event {self.end().seq}, not {before}")
            await self._last(partial(_record, commit=commit))
            return self.moved

    async def follow(self, fence: Fence, number: int, commit: Commit) -> None:
        """Write rows, as the follow of this number, with no wait for a disk. Refused where the
        events that they tell of are not."""
        async with self._row(fence):
            if self.follows != number - 1:
                raise Fenced(f"the tables have had {self.follows} follows, not {number - 1}")
            if self.end().seq < commit.caught_up:
                raise Fenced("the journal lacks events that the rows would tell of")
            self._show(partial(_follow, commit=commit))

    async def take(self, seen: Fence, fence: Fence) -> None:
        """Durably become the one who may write, in the place of who was seen to be it. Waits for a
        statement of theirs that is under way; none comes after it."""
        async with self._row(seen):
            await self._last(partial(_take, fence=fence))

    def fold(self, fence: Fence, commit: Commit, follows: int | None = None) -> None:
        """What the journal says and the tables lack, at a start or where rows were lost, with no
        wait. Then the tables count as having had so many follows."""
        self._check(fence)
        self._show(partial(_fold, commit=commit, follows=follows))

    def read(self, fence: Fence, follows: int, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds, where the fence holds and the tables have had so many follows."""
        self._check(fence)
        if self.follows < follows:
            raise Fenced(f"the tables have had {self.follows} follows, and should have {follows}")
        self.db.execute("PRAGMA query_only=1")
        try:
            return work(self.db)
        finally:
            self.db.execute("PRAGMA query_only=0")

    def read_end(self, fence: Fence) -> End:
        """How far everything has come, where the fence holds."""
        self._check(fence)
        return self.end()

    def look(self) -> Fence:
        """Who may write, as far as can be seen here. It decides nothing."""
        row = self.db.execute("SELECT owner, epoch FROM engine").fetchone()
        return Fence(row["owner"], row["epoch"])

    def end(self) -> End:
        """How far everything has come, as far as can be seen here."""
        first, seq, entry = self.db.execute(SQL_LAST_ENTRY).fetchone() or EMPTY[:3]
        return End(first, seq, entry, self.follows, run_counts(self.db))

    # -- what becomes of it ----------------------------------------------------------------------

    def end_sessions(self) -> None:
        """Whoever waits gets no reply. What waited for the standby shows, and may not last."""
        self._sessions += 1
        self.stir()

    def stir(self) -> None:
        """The standby has more, or sessions have ended: whoever waits looks again."""
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    def _check(self, fence: Fence) -> None:
        if (found := self.look()) != fence:
            raise Fenced(f"{found.owner} may write, of epoch {found.epoch}")

    @asynccontextmanager
    async def _row(self, fence: Fence) -> AsyncIterator[None]:
        """With the row locked that says who may write, if it is as it should be."""
        sessions = self._sessions
        async with self._seat:
            if self._sessions != sessions:
                raise NoReply("the session was ended while it waited for a lock")
            self._check(fence)
            yield

    def _show(self, effect: Effect) -> None:
        if self.standby is not None:
            self.log.append(effect)
        effect(self)

    async def _last(self, effect: Effect) -> None:
        """Return when it shows, and lasts."""
        if self.standby is None:
            effect(self)
            return
        self.log.append(effect)
        self.flushed = position = len(self.log)
        sessions = self._sessions
        try:
            while self.standby.has(self) < position:
                await self._moved.wait()
                if self._sessions != sessions:
                    raise NoReply("the session was ended while the standby lacked its commit")
        finally:
            effect(self)


Effect = Callable[[Server], None]
"""What a statement does to the tables: an entry of the log."""


def _tables() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    add_functions(db)
    migrations.apply(Database(db))
    return db


def _create(server: Server, file_id: str, secret: bytes) -> None:
    server.db.execute(
        "INSERT INTO engine (id, file_id, secret, epoch, owner, started_at)"
        " VALUES (1, ?, ?, 0, '', 0)",
        (file_id, secret),
    )


def _record(server: Server, commit: Commit) -> None:
    write(server.db, commit, rows=False)
    server.moved, commit.moved = commit.moved, {}


def _follow(server: Server, commit: Commit) -> None:
    write(server.db, commit, record=False)
    server.follows += 1


def _fold(server: Server, commit: Commit, follows: int | None) -> None:
    write(server.db, commit)
    server.follows = server.follows if follows is None else follows


def _take(server: Server, fence: Fence) -> None:
    server.db.execute("UPDATE engine SET owner = ?, epoch = ?", fence)


class Standby:
    """Has the beginning of a primary's log; takes over with what it has."""

    def __init__(self) -> None:
        self.receives = True
        self._length = 0

    def has(self, primary: Server) -> int:
        """How much of its log it has: while it receives, all that is on its disk."""
        if self.receives:
            self._length = primary.flushed
        return self._length


class ModelDatabase:
    """A server, with a standby if asked for, and the way there."""

    def __init__(self, file_id: str, secret: bytes, *, has_standby: bool = False) -> None:
        create = partial(_create, file_id=file_id, secret=secret)
        self._has_standby = has_standby
        self.primary = self._server([create])
        self.old: list[Server] = []
        """Primaries of before: each lives on."""

    async def ask(self, statement: Callable[[Server], Awaitable[T]]) -> T:
        """Have the primary carry a statement out. Raises NoReply and Fenced."""
        await trio.lowlevel.checkpoint()
        return await statement(self.primary)

    # -- `SharedDatabase` ------------------------------------------------------------------------

    async def look(self) -> Fence:
        """Who may write."""
        return await self._ask_at_once(Server.look)

    async def take(self, seen: Fence, fence: Fence) -> None:
        """Become the one who may."""
        await self.ask(lambda server: server.take(seen, fence))

    async def end(self, fence: Fence) -> End:
        """How far it has come."""
        return await self._ask_at_once(lambda server: server.read_end(fence))

    async def append(self, fence: Fence, before: End, commit: Commit) -> dict[str, int]:
        """What has happened."""
        return await self.ask(lambda server: server.append(fence, before.seq, commit))

    async def follow(self, fence: Fence, number: int, stands_on: End, commit: Commit) -> None:
        """Rows. On which events they stand is the commit's to say."""
        await self.ask(lambda server: server.follow(fence, number, commit))

    async def read(self, fence: Fence, follows: int, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds."""
        return await self._ask_at_once(lambda server: server.read(fence, follows, work))

    async def _ask_at_once(self, question: Callable[[Server], T]) -> T:
        """A statement that takes no time at the server."""

        async def statement(server: Server) -> T:
            return question(server)

        return await self.ask(statement)

    # -- what becomes of it ----------------------------------------------------------------------

    def restart(self) -> None:
        """The primary starts anew: what is on its disk shows, whether the standby has it or not;
        what was not to be durable is gone where nothing durable came behind it."""
        before = self.primary
        assert before.standby is not None
        self.primary = Server(before.log[: before.flushed], before.standby)
        before.end_sessions()

    def fail_over(self, lacks: int = 0) -> None:
        """The standby takes over with what it has. The old primary lives on, with nobody to wait
        for who would ever have more. `lacks`: so many statements that the primary did not wait for
        it with, as an asynchronous standby may."""
        old = self.primary
        assert old.standby is not None
        has = old.standby.has(old) - lacks
        old.standby.receives = False
        self.old.append(old)
        self.primary = self._server(old.log[:has])

    def standby_receives(self, receives: bool) -> None:
        """Whether the standby gets what is written."""
        assert self.primary.standby is not None
        self.primary.standby.has(self.primary)
        self.primary.standby.receives = receives
        self.primary.stir()

    def _server(self, log: list[Effect]) -> Server:
        return Server(log, Standby() if self._has_standby else None)
