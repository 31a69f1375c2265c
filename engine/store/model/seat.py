"""What one owner knows of a database that others may take: its fence, and how far it has come.

Three rules keep what was promised, whatever the database or the way to it does:

1. Every statement carries its fence, reads that decide something too.
2. Seen is not durable: nothing is answered because it was found in the database, only because a
   durable statement behind it was acknowledged.
3. There is one way out of every doubt: the own seat is taken again, until that is acknowledged.
   What was under way is then in, or fenced out for ever. What cannot be explained then is not
   explained away: the engine ends, and the next start folds what there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from engine.core.errors import Problem, Refused
from engine.ports.retention import Expired
from engine.ports.store import StoreStopped
from engine.store.commit import Commit
from engine.store.model.database import End, Fence, Fenced, ModelDatabase, NoReply, Server
from engine.store.replay import replay
from engine.store.sqlite.readers import SQL, Queries
from engine.store.sqlite.sink import SqliteKept

T = TypeVar("T")
AGAIN_S = 0.05
"""Between two tries of a read that was not answered."""


class Seat:
    """The writer's `Sink`, and the way of reads, for one owner."""

    def __init__(
        self, database: ModelDatabase, owner: str, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        """`on_failure` is called at once when the engine is to end."""
        self._database, self._on_failure = database, on_failure
        self._fence = Fence(owner, 0)
        self._tried = 0
        """The highest epoch that was asked for."""
        self._end = End(0, b"", 0)
        """How far everything has come, as far as it was acknowledged."""
        self._under_way: Commit | None = None
        """The commit that was asked for last."""
        self._appended: Commit | None = None
        """The last one of which it is known that what has happened is durable."""
        self._followed: Commit | None = None
        """And the last of which it is known that its rows were written."""
        self._in_doubt = False
        self._taking = trio.Lock()
        self._stopped = trio.Event()
        self._why: StoreStopped | None = None

    async def open(self, started_at: int) -> None:
        """Take the database, whoever had it, and have its tables know what its journal says."""
        self._tried = started_at
        await self._sit_down()
        replay(_Kept(self._database.primary, self._fence))
        await self._sit_down()  # now what the replay wrote lasts, too

    async def _sit_down(self) -> None:
        while True:
            try:
                seen = await self._ask(lambda server: server.look())
                self._end = await self._take(seen)
                return
            except (NoReply, Fenced):
                await trio.sleep(AGAIN_S)

    async def watch(self) -> None:
        """Raises why the engine is to end, once somebody who read has found that it is."""
        await self._stopped.wait()
        assert self._why is not None
        raise self._why

    # -- writing -------------------------------------------------------------------------------

    async def append(self, commit: Commit) -> Exception | None:
        """Return when what has happened is durable, and the rows are written (None); or why that is
        not known: it is to be asked again with the same commit."""
        try:
            self._under_way = commit
            if self._in_doubt:
                await self._take_again()
            if self._appended is not commit and commit.has_record:
                await self._append(commit)
            self._appended = commit
            if len(commit.rows) and self._followed is not commit:
                await self._follow(commit)
            return None
        except (NoReply, Fenced) as error:
            self._in_doubt = True
            return error
        except StoreStopped:
            self._on_failure()
            raise

    async def _append(self, commit: Commit) -> None:
        fence, before = self._fence, self._end.seq
        await self._database.ask(lambda server: server.append(fence, before, commit))
        self._is_in(commit)

    def _is_in(self, commit: Commit) -> None:
        self._appended = commit
        if commit.entries:
            seq, entry = _end_of(commit)
            self._end = self._end._replace(seq=seq, entry=entry)

    async def _follow(self, commit: Commit) -> None:
        fence, number = self._fence, self._end.follows + 1
        await self._database.ask(lambda server: server.follow(fence, number, commit))
        self._have_followed(commit, number)

    def _have_followed(self, commit: Commit, number: int) -> None:
        self._followed = commit
        self._end = self._end._replace(follows=number)

    # -- reading -------------------------------------------------------------------------------

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in tables that have all that is known here to be in them."""
        while True:
            fence = self._fence
            question = partial(Server.read, fence=fence, follows=self._end.follows, work=work)
            try:
                return await self._ask(question)
            except NoReply:
                pass
            except Fenced:
                await self._doubt_of(fence)
            await trio.sleep(AGAIN_S)

    async def _doubt_of(self, fence: Fence) -> None:
        """What was to be read was not what this owner knows."""
        try:
            if self._fence == fence:
                await self._take_again()
        except (NoReply, Fenced):
            pass  # it is asked again
        except StoreStopped as why:
            self._why = why
            self._on_failure()
            self._stopped.set()
            await trio.sleep_forever()  # nobody is told what is not so

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same, where nothing may be waited for. Raises Refused where it is not known."""
        fence, follows = self._fence, self._end.follows
        try:
            return self._database.ask_now(lambda server: server.read(fence, follows, work))
        except (NoReply, Fenced) as error:
            self._in_doubt = True
            raise Refused(
                Problem.STORE_UNAVAILABLE,
                f"The database did not answer as it should: {error}.",
                retryAfter=1,
            ) from error

    async def _ask(self, question: Callable[[Server], T]) -> T:
        """A statement that takes no time at the server."""

        async def statement(server: Server) -> T:
            return question(server)

        return await self._database.ask(statement)

    # -- doubt ---------------------------------------------------------------------------------

    async def _take_again(self) -> None:
        """The one way out of doubt. Raises NoReply and Fenced, when it is to be tried again, and
        StoreStopped."""
        fence = self._fence
        async with self._taking:
            if self._fence != fence:
                return  # somebody else has
            seen = await self._ask(lambda server: server.look())
            if seen.owner != fence.owner:
                raise StoreStopped(
                    f"The database was taken by another engine ({seen.owner}), which goes on with"
                    " what there is. What was not recorded had not been acknowledged to anybody."
                )
            self._explain(await self._take(seen))

    async def _take(self, seen: Fence) -> End:
        """Take the database; returns how far it has come. From then on nothing of before comes."""
        self._tried = max(seen.epoch, self._tried) + 1
        fence = Fence(self._fence.owner, self._tried)
        await self._database.ask(lambda server: server.take(seen, fence))
        found = await self._ask(lambda server: server.read_end(fence))
        self._fence, self._in_doubt = fence, False
        return found

    def _explain(self, found: End) -> None:
        """What was under way is in, or is not. Raises StoreStopped for anything else."""
        commit, there = self._under_way, (found.seq, found.entry)
        if commit is not None and commit.entries and there == _end_of(commit):
            self._is_in(commit)
        if there != (self._end.seq, self._end.entry):
            raise StoreStopped(
                f"The database ends with event {found.seq}, and event {self._end.seq} was"
                " acknowledged: it has lost what it said would last (a fail-over to a standby that"
                " lacked it?). The next start goes on with what there is."
            )
        is_one_more = found.follows == self._end.follows + 1
        if is_one_more and commit is not None and commit is self._appended:
            self._have_followed(commit, found.follows)
        if found.follows != self._end.follows:
            raise StoreStopped(
                "The database has lost rows that it had, but no event: it was started anew. The"
                " next start makes them of the journal."
            )


def _end_of(commit: Commit) -> tuple[int, bytes]:
    """The last event of a commit that has some, and its entry as it is kept."""
    entry = commit.entries[-1]
    seq, events, _, _, packed, _ = entry.row()
    return seq + events - 1, packed


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

    def __init__(self, seat: Seat) -> None:
        self.read = seat.read  # type: ignore[method-assign]
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
