"""Keeps the store up with an engine: the event stream, and reading what events do not say.

Two tasks. One follows the stream, and when it breaks tries again, at first soon and then ever
later; each try and its reason is told to the store. The other reads what is looked at: the status
every few seconds, a board when something of it has changed, a run when its steps have moved on in a
way that events do not tell. It reads one thing at a time and no faster than the engine answers, so
that a dashboard is never the load it watches.

Runs on asyncio (under the screen) and on Trio (under the tests).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio
from msgspec import Struct

from engine.client import AsyncClient, AtomicError, NothingKnown, ProblemError
from tui.listing import Edge
from tui.store import (
    CausesRead,
    EventRead,
    Input,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
    Store,
    TreeGone,
    TreeRead,
)

PAGE_ROWS = 200
STATUS_EVERY_S = 5.0
READ_EVERY_S_MIN = 0.5
"""A board is read again at most so often, however much happens on it."""
READ_SHARE_MAX = 0.2
"""Of the time the engine may be busy with our reads: after one that took 2 s the next waits 8."""
FAILED_PAUSE_S = 1.0
BACK_OFF_S = 0.5
BACK_OFF_S_MAX = 30.0
JITTER = 0.25
REJECTED = frozenset({401, 403})


class Board(Struct, frozen=True):
    """A list that is looked at: which, and what part of it."""

    name: str
    """runs, retries, causes, jobs or hosts; the listing in the store has the same name."""
    q: str = ""
    newest_first: bool = True


NOTHING = Board("")


class Reporter(Protocol):
    """Hears of reads that were refused, for the person who asked for them."""

    def refused(self, error: ProblemError) -> None: ...


class Feed:
    """See the head of this file. `take` is given each input (the store's `apply`, recorded)."""

    def __init__(
        self,
        client: AsyncClient,
        store: Store,
        take: Callable[[Input], None],
        *,
        chance: Callable[[], float],
        reporter: Reporter | None = None,
    ) -> None:
        self._client, self._store, self._take = client, store, take
        self._chance = chance
        self._reporter = reporter
        self.board = NOTHING
        self.run_id: str | None = None
        """The run that is open on the screen."""
        self._more: tuple[Edge, str | None] | None = None
        self._visible_behind: str | None = None
        """The row above the part that is seen; None: the head."""
        self._epoch = -1
        self._status_due = 0.0
        self._board_due = 0.0
        self._tree_due = 0.0
        self._poked = anyio.Event()
        self._again = anyio.Event()

    # -- what the screen asks for --------------------------------------------------------------

    def show(self, board: Board) -> None:
        """Look at another board, filter or order: its listing begins anew."""
        if board != self.board:
            self.board, self._more, self._visible_behind = board, None, None
            self._store.listing(board.name).clear()
        self._board_due = 0.0
        self.poke()

    def open(self, run_id: str | None) -> None:
        """Look at a run's steps; None: at none."""
        self.run_id, self._tree_due = run_id, 0.0
        self.poke()

    def want_more(self, edge: Edge) -> None:
        """The cursor came near the end of what was read."""
        ids = self._store.listing(self.board.name).ids
        at = {Edge.AFTER: ids[-1:], Edge.BEFORE: ids[:1]}.get(edge, [])
        self._more = (edge, at[0] if at else None)
        self.poke()

    def sees(self, behind: str | None) -> None:
        """The screen shows the rows behind this one: those are kept up to date."""
        self._visible_behind = behind

    def resync(self) -> None:
        """Read everything again, now: also a connection that is waiting is tried."""
        self._epoch = -1
        self._again.set()
        self.poke()

    def poke(self) -> None:
        """There may be something to read."""
        self._poked.set()

    # -- the two tasks -------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self._read)

    async def _follow(self) -> None:
        tries = 0
        while True:
            lost = LinkMoved(LinkState.LOST, "the engine closed the stream")
            try:
                async with self._client.events(self._store.last_event_id) as events:
                    async for event in events:
                        if self._store.link.state is not LinkState.LIVE:
                            tries = 0
                            self._take(LinkMoved(LinkState.LIVE))
                            self._epoch = -1
                        self._take(EventRead(event.id, event.kind, event.members))
                        self.poke()
            except ProblemError as error:
                if error.status in REJECTED:
                    self._take(LinkMoved(LinkState.REJECTED, str(error)))
                    await self._until_again(None)
                    continue
                lost = LinkMoved(LinkState.LOST, str(error))
            except AtomicError as error:
                lost = LinkMoved(LinkState.LOST, str(error))
            tries += 1
            delay = min(BACK_OFF_S * 2 ** (tries - 1), BACK_OFF_S_MAX)
            delay = min(delay * (1 + JITTER * self._chance()), BACK_OFF_S_MAX)
            self._take(LinkMoved(lost.state, lost.reason, tries, delay))
            self.poke()
            await self._until_again(delay)

    async def _until_again(self, delay_s: float | None) -> None:
        """Wait, or until somebody asks for another try."""
        self._again = anyio.Event()
        with anyio.move_on_after(delay_s):
            await self._again.wait()

    async def _read(self) -> None:
        while True:
            self._poked = anyio.Event()
            if self._store.link.state is LinkState.LIVE:
                try:
                    await self._read_what_is_due()
                except ProblemError as error:
                    self._hold_off()
                    if self._reporter is not None:
                        self._reporter.refused(error)
                except NothingKnown:
                    self._hold_off()  # the stream will tell how the engine is
            with anyio.move_on_after(self._until_due()):
                await self._poked.wait()

    def _hold_off(self) -> None:
        """A read failed: nothing is read for a moment."""
        later = anyio.current_time() + FAILED_PAUSE_S
        self._status_due = self._board_due = self._tree_due = later

    def _until_due(self) -> float | None:
        """Seconds until something may be read; None: not before somebody pokes."""
        if self._store.link.state is not LinkState.LIVE:
            return None
        due = [self._status_due]
        if self._board_outdated:
            due.append(self._board_due)
        if self._tree_outdated:
            due.append(self._tree_due)
        return max(0.0, min(due) - anyio.current_time())

    @property
    def _board_outdated(self) -> bool:
        return bool(self.board.name) and self._store.listing(self.board.name).outdated

    @property
    def _tree_outdated(self) -> bool:
        if self.run_id is None:
            return False
        tree = self._store.trees.get(self.run_id)
        return tree is None or tree.outdated

    async def _read_what_is_due(self) -> None:
        anew = self._epoch != self._store.epoch
        if anew:
            self._epoch = self._store.epoch
        now = anyio.current_time()
        if anew or now >= self._status_due:
            await self._read_status()
        if self._more is not None:
            (edge, at), self._more = self._more, None
            await self._read_board(edge, at)
        elif self.board.name and (anew or (self._board_outdated and now >= self._board_due)):
            behind = self._visible_behind
            await self._read_board(Edge.PART if behind else Edge.HEAD, behind)
        if self.run_id is not None and (anew or (self._tree_outdated and now >= self._tree_due)):
            await self._read_tree(self.run_id)

    # -- reads ---------------------------------------------------------------------------------

    async def _read_status(self) -> None:
        sent = self._store.clock.monotonic()
        members = await self._client.status()
        self._take(StatusRead(members, sent, self._store.clock.monotonic()))
        self._status_due = anyio.current_time() + STATUS_EVERY_S

    async def _read_board(self, edge: Edge, at: str | None) -> None:
        board, began = self.board, anyio.current_time()
        read = await self._board_page(board, edge, at)
        if read is not None and board == self.board:  # else it came too late
            self._take(read)
        now = anyio.current_time()
        self._board_due = now + max(READ_EVERY_S_MIN, (now - began) * (1 / READ_SHARE_MAX - 1))

    async def _board_page(self, board: Board, edge: Edge, at: str | None) -> Input | None:
        match board.name:
            case "runs":
                backwards = edge in (Edge.TAIL, Edge.BEFORE)
                newest_first = board.newest_first is not backwards
                page = await self._client.run_page(
                    q=board.q or None,
                    sort="-submittedAt" if newest_first else "submittedAt",
                    limit=PAGE_ROWS,
                    cursor=at,
                )
                return RunsRead(board.name, edge, page, at if edge is Edge.PART else None)
            case "retries":
                found = await self._client.retry_page(q=board.q or None, limit=PAGE_ROWS)
                return RetriesRead(board.name, Edge.HEAD, found)
            case "causes":
                return CausesRead(await self._client.causes())
            case "jobs":
                return JobsRead(await self._client.bulk_jobs())
            case _:
                return None  # hosts come with the status

    async def _read_tree(self, run_id: str) -> None:
        began = anyio.current_time()
        try:
            self._take(TreeRead(await self._client.run(run_id)))
        except ProblemError as error:
            if error.status != 404:
                raise
            self._take(TreeGone(run_id))
            self.run_id = None if self.run_id == run_id else self.run_id
        now = anyio.current_time()
        self._tree_due = now + max(READ_EVERY_S_MIN, (now - began) * (1 / READ_SHARE_MAX - 1))
