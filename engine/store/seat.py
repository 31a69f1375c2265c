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

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import trio

from engine.core.errors import EngineError
from engine.ports.store import StoreStopped
from engine.store.commit import Commit

T = TypeVar("T")
AGAIN_S = 0.05
"""Between two tries of what was not answered."""


class NoReply(EngineError):
    """The statement was carried out, or will be, or never: nothing is known of it."""


class Fenced(EngineError):
    """What must hold for the statement does not: it did nothing."""


class Fence(NamedTuple):
    """Who may write. A row of the database says who that is."""

    owner: str
    epoch: int
    """Rises whenever the database is taken."""


class End(NamedTuple):
    """How far a database has come."""

    first: int
    """The first event of the journal's last entry; 0: it has none."""
    seq: int
    """The last event."""
    entry: bytes
    """The journal's last entry, which has it."""
    follows: int
    """How many follows its tables have had."""
    tally: Mapping[str, int]
    """Runs by state, as its tables have them."""


EMPTY = End(0, 0, b"", 0, {})


class SharedDatabase(Protocol):
    """The statements of one seat. Each is whole, and raises NoReply, or Fenced where what must hold
    for it does not."""

    async def look(self) -> Fence:
        """Who may write, as far as can be seen. It decides nothing."""

    async def take(self, seen: Fence, fence: Fence) -> None:
        """Durably become the one who may write, in the place of who was seen to be it. Waits for a
        statement of theirs that is under way; none comes after it."""

    async def end(self, fence: Fence) -> End:
        """How far it has come, where the fence holds."""

    async def append(self, fence: Fence, before: End, commit: Commit) -> dict[str, int]:
        """Durably write what has happened, behind this end; returns how stops and expiries in it
        move the counts of runs by state."""

    async def follow(self, fence: Fence, number: int, stands_on: End, commit: Commit) -> None:
        """Write rows, as the follow of this number, with no wait for a disk. Refused where the
        events are not that they tell of: the journal's up to this end."""


class Seat:
    """The writer's `Sink`, and the way of reads, for one owner."""

    def __init__(
        self, database: SharedDatabase, owner: str, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        """`on_failure` is called at once when the engine is to end."""
        self._database, self._on_failure = database, on_failure
        self._fence = Fence(owner, 0)
        self._tried = 0
        """The highest epoch that was asked for."""
        self._end = EMPTY
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
        self.rows_again: Callable[[Fence, End], Awaitable[None]] | None = None
        """Has tables that went back know what they knew at this end, and how many follows they have
        had. None: the engine ends for it."""

    async def open(
        self,
        started_at: int,
        catch_up: Callable[[Fence], Awaitable[None]],
        give_up: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Take the database, whoever had it, and have its tables know what its journal says:
        `catch_up` does that. `give_up` is told of each try that failed, and may raise."""
        self._tried = started_at
        while True:
            try:
                await self._sit_down()
                await catch_up(self._fence)
                await self._sit_down()  # now what was caught up with lasts, too
                return
            except (NoReply, Fenced) as error:
                give_up(error)
                await trio.sleep(AGAIN_S)

    async def _sit_down(self) -> None:
        seen = await self._database.look()
        self._end = await self._take(seen)

    async def watch(self) -> None:
        """Raises why the engine is to end, once somebody who read has found that it is."""
        await self._stopped.wait()
        assert self._why is not None
        raise self._why

    # -- writing -------------------------------------------------------------------------------

    async def append(self, commit: Commit) -> Exception | None:
        """Return when what has happened is durable (None); or why that is not known: it is to be
        asked again with the same commit."""
        if self._under_way is not commit:
            self._under_way = commit
            return await self._or_doubt(self._append, commit)
        return await self._or_doubt(self._append_again, commit)

    async def follow(self, commit: Commit) -> Exception | None:
        """The same of its rows, which may be lost with the server."""
        return await self._or_doubt(self._follow, commit)

    async def _or_doubt(
        self, statement: Callable[[Commit], Awaitable[None]], commit: Commit
    ) -> Exception | None:
        try:
            if self._in_doubt:
                await self._take_again()
            await statement(commit)
            return None
        except (NoReply, Fenced) as error:
            self._in_doubt = True
            return error
        except StoreStopped:
            self._on_failure()
            raise

    async def _append(self, commit: Commit) -> None:
        if self._appended is not commit:
            if commit.has_record:
                commit.moved = await self._database.append(self._fence, self._end, commit)
            self._is_in(commit)

    def _is_in(self, commit: Commit) -> None:
        self._appended = commit
        if commit.entries:
            first, seq, entry = _end_of(commit)
            self._end = self._end._replace(first=first, seq=seq, entry=entry)

    async def _append_again(self, commit: Commit) -> None:
        """It may have been in, and the answer is lost that says how it moved the counts."""
        await self._append(commit)
        commit.tally = dict((await self._database.end(self._fence)).tally)

    async def _follow(self, commit: Commit) -> None:
        if self._followed is not commit:
            number = self._end.follows + 1
            await self._database.follow(self._fence, number, self._end, commit)
            self._have_followed(commit, number)

    def _have_followed(self, commit: Commit, number: int) -> None:
        self._followed = commit
        self._end = self._end._replace(follows=number)

    # -- reading -------------------------------------------------------------------------------

    async def read(self, ask: Callable[[Fence, int], Awaitable[T]]) -> T:
        """What is found in tables that have all that is known here to be in them. `ask` is given
        the fence and how many follows they must have had, raises as a statement does, and is called
        again until it is answered."""
        while True:
            fence = self._fence
            try:
                return await ask(fence, self._end.follows)
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

    # -- doubt ---------------------------------------------------------------------------------

    async def _take_again(self) -> None:
        """The one way out of doubt. Raises NoReply and Fenced, when it is to be tried again, and
        StoreStopped."""
        fence = self._fence
        async with self._taking:
            if self._fence != fence:
                return  # somebody else has
            seen = await self._database.look()
            if seen.owner != fence.owner:
                raise StoreStopped(
                    f"The database was taken by another engine ({seen.owner}), which goes on with"
                    " what there is. What was not recorded had not been acknowledged to anybody."
                )
            found = await self._take(seen)
            self._explain(found)
            if found.follows != self._end.follows and self.rows_again is not None:
                await self.rows_again(self._fence, self._end)

    async def _take(self, seen: Fence) -> End:
        """Take the database; returns how far it has come. From then on nothing of before comes."""
        self._tried = max(seen.epoch, self._tried) + 1
        fence = Fence(self._fence.owner, self._tried)
        await self._database.take(seen, fence)
        found = await self._database.end(fence)
        self._fence, self._in_doubt = fence, False
        return found

    def _explain(self, found: End) -> None:
        """What was under way is in, or is not. Raises StoreStopped for anything else."""
        commit, there = self._under_way, (found.seq, found.entry)
        if commit is not None and commit.entries and there == _end_of(commit)[1:]:
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
        if found.follows != self._end.follows and self.rows_again is None:
            raise StoreStopped(
                "The database has lost rows that it had, but no event: it was started anew. The"
                " next start makes them of the journal."
            )


def _end_of(commit: Commit) -> tuple[int, int, bytes]:
    """The first and the last event of the last entry of a commit that has some, and the entry as
    it is kept."""
    seq, events, _, _, packed, _ = commit.packed()[-1]
    return seq, seq + events - 1, packed
