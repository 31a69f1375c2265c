"""Keeps the store up with an engine: the event stream, and reading what events do not say.

Two tasks. One follows the stream, and when it breaks tries again, at first soon and then ever
later; each try and its reason is told to the store. The other reads what is looked at: the status
every few seconds, a board when something of it has changed, a run when its steps have moved on in a
way that events do not tell. It reads one thing at a time and no faster than the engine answers, so
that a dashboard is never the load it watches.

Runs on asyncio (under the screen) and on Trio (under the tests).
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import anyio
from msgspec import Struct

from engine.client import AtomicError, NothingKnown, ProblemError, UnexpectedAnswer
from engine.client.errors import without_user
from engine.wire import Problem
from tui.data.filter import moves_with_time
from tui.data.inputs import (
    CausesRead,
    Input,
    JobRead,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
    TreeGone,
    TreeRead,
)
from tui.data.listing import Edge
from tui.data.model import STUCK, is_settled
from tui.data.store import Store

if TYPE_CHECKING:
    from engine.client import AsyncClient

PAGE_ROWS = 200
STATUS_EVERY_S = 5.0
BOARD_LASTS_S = 5.0
"""A board whose filter asks for ages or times is another one after a while."""
READ_EVERY_S_MIN = 0.5
"""A board is read again at most so often, however much happens on it."""
ROWS_PER_S_MAX, SLOW_ROWS_PER_S_MAX = 8.0, 1.0
"""Nobody reads more rows a second than that. Of a list whose rows are others each time the next
reading waits, over a slow link for what it costs to draw: it stands still, and its rows follow the
events meanwhile."""
ROWS_READ = 20
"""So many of them count: a screen of 24 lines has no more."""
READ_SHARE_MAX = 0.2
"""Of the time the engine may be busy with our reads: after one that took 2 s the next waits 8."""
JOB_EVERY_S = 1.0
"""A bulk job that goes on, or whose runs do, is read so often."""
FAILED_PAUSE_S = 1.0
BACK_OFF_S = 0.5
BACK_OFF_S_MAX = 2.5
"""With its jitter: whoever watches an engine come back sees it within three seconds."""
JITTER = 0.25
OF_THE_ENGINE: dict[str, LinkState] = {
    Problem.UNAUTHORIZED: LinkState.UNAUTHORIZED,
    Problem.FORBIDDEN: LinkState.FORBIDDEN,
}
"""Why the engine itself does not let us in."""
REJECTED = frozenset({401, 403})
READ = frozenset({"home", "runs", "retries", "causes", "jobs"})
"""Boards that are read by themselves: hosts come with the status, events by the stream."""
OLDEST_ROWS = 10
"""Of home: the runs that have been running for longest; the rest of it comes with the status."""
ROWS_MIN = 100
SHORT_PAGES_MAX = 20
"""A page of a search may come short, or empty, and not be the last: while there are fewer rows than
`ROWS_MIN`, so many pages are read on without anybody asking."""
BACKWARDS = frozenset({Edge.TAIL, Edge.BEFORE})


class Board(Struct, frozen=True):
    """A list that is looked at: which, and what part of it."""

    name: str
    """home, runs, retries, causes, jobs or hosts; the listing in the store has the same name."""
    q: str = ""
    newest_first: bool = True
    dismissed: bool = False
    """Also the causes that were dismissed and have not come again."""


NOTHING = Board("")


def kept_out(error: AtomicError) -> LinkState | None:
    """Why trying again by itself would not help; None: it may."""
    if isinstance(error, ProblemError) and error.problem in OF_THE_ENGINE:
        return OF_THE_ENGINE[error.problem]
    if isinstance(error, (ProblemError, UnexpectedAnswer)) and error.status in REJECTED:
        return LinkState.REJECTED
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return LinkState.UNTRUSTED
        cause = cause.__cause__ or cause.__context__
    return None


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
        slow_link: bool = False,
    ) -> None:
        self._client, self._store, self._take = client, store, take
        self._chance = chance
        self._rows_per_s_max = SLOW_ROWS_PER_S_MAX if slow_link else ROWS_PER_S_MAX
        self._reporter = reporter
        self.board = NOTHING
        self.run_id: str | None = None
        """The run that is open on the screen."""
        self.job_id: str | None = None
        """The bulk job that is looked at."""
        self._job_due = 0.0
        self._job_turn = 0
        self._causes_due = 0.0
        self._shown: dict[str, Board] = {}
        """The boards as they were last looked at: filter and order of what is in the store."""
        self._turns = 0
        """Rises with each change of board: what was asked for before is not wanted any more."""
        self._more: Edge | None = None
        self._short_pages = 0
        self._visible_behind: str | None = None
        """The row above the part that is seen; None: the head."""
        self._asked = 1
        """Rises when everything is to be read again."""
        self._noticed = (0, 0)
        """What was asked, and the store's epoch, when this was last seen to."""
        self._status_due = 0.0
        self._status_soonest = 0.0
        """Before it the status is not read again, whatever happens."""
        self._board_due = 0.0
        self._board_lasts = math.inf
        """Until when the board is as it was read, if nothing happens."""
        self._tree_due = 0.0
        self._poked = anyio.Event()
        self._again = anyio.Event()

    # -- what the screen asks for --------------------------------------------------------------

    def show(self, board: Board) -> None:
        """Look at another board; under another filter or order its listing begins anew."""
        if board != self.board:
            self.board, self._more, self._visible_behind = board, None, None
            self.job_id = None
            self._turns += 1
            self._board_lasts = math.inf
            listing = self._store.listing(board.name)
            if board.name in READ:
                before = self._shown.get(board.name)
                if before is not None and (before.name, before.q) == (board.name, board.q):
                    if before.newest_first != board.newest_first:
                        listing.turn()
                elif before != board:
                    listing.clear()
                listing.expire()
            self._shown[board.name] = board
        self._board_due = 0.0
        self.poke()

    def look_at_job(self, job_id: str | None) -> None:
        """What came of this bulk job is looked at; None: of none."""
        if job_id != self.job_id:
            self.job_id, self._job_due = job_id, 0.0
            self.poke()

    def open(self, run_id: str | None) -> None:
        """Look at a run's steps; None: at none."""
        self.run_id, self._tree_due = run_id, 0.0
        self.poke()

    def want_more(self, edge: Edge) -> None:
        """The cursor came near the end of what was read. Only runs are read in parts."""
        jumps = self._more in (Edge.HEAD, Edge.TAIL)  # what lies at an edge now will be gone
        if self.board.name == "runs" and not (jumps and edge in (Edge.AFTER, Edge.BEFORE)):
            self._more, self._short_pages = edge, 0
            self.poke()

    def sees(self, behind: str | None) -> None:
        """The screen shows the rows behind this one: those are kept up to date."""
        self._visible_behind = behind

    def resync(self) -> None:
        """Read everything again, now: also a connection that is waiting is tried."""
        self._asked += 1
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
            reason = "the engine closed the stream"
            try:
                async with self._client.operate.events(self._store.last_event_id) as events:
                    async for event in events:
                        if self._store.link.state is not LinkState.LIVE:
                            tries = 0
                            self._asked += 1
                            self._take(LinkMoved(LinkState.LIVE))
                        self._take(event)
                        self.poke()
            except AtomicError as error:
                reason = without_user(str(error))
                if (why := kept_out(error)) is not None:
                    self._take(LinkMoved(why, reason))
                    await self._until_again(None)
                    continue
            tries += 1
            delay = min(BACK_OFF_S * 2.0 ** min(tries - 1, 60), BACK_OFF_S_MAX)
            delay = min(delay * (1 + JITTER * self._chance()), BACK_OFF_S_MAX)
            self._take(LinkMoved(LinkState.LOST, reason, tries, delay))
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
                    self._pause()
                    if self._reporter is not None:
                        self._reporter.refused(error)
                except NothingKnown:
                    self._pause()  # the stream will tell how the engine is
            with anyio.move_on_after(self._until_due()):
                await self._poked.wait()

    def _pause(self) -> None:
        """A read failed: nothing is read for a moment."""
        later = anyio.current_time() + FAILED_PAUSE_S
        self._status_due = self._board_due = self._tree_due = self._status_soonest = later
        self._job_due = self._causes_due = later

    def _until_due(self) -> float | None:
        """Seconds until something may be read; None: not before somebody pokes."""
        if self._store.link.state is not LinkState.LIVE:
            return None
        due = [self._status_soonest if self._store.status_outdated else self._status_due]
        due.append(self._board_due if self._board_outdated else self._board_lasts)
        if self._tree_outdated:
            due.append(self._tree_due)
        if self._causes_wanted:
            due.append(self._causes_due)
        if self._job_outdated is not None:
            due.append(self._job_due)
        return max(0.0, min(due) - anyio.current_time())

    @property
    def _board_outdated(self) -> bool:
        if self.board.name not in READ:
            return False
        expired = anyio.current_time() >= self._board_lasts
        return expired or self._store.listing(self.board.name).outdated

    @property
    def _tree_outdated(self) -> bool:
        if self.run_id is None:
            return False
        tree = self._store.trees.get(self.run_id)
        return tree is None or tree.outdated

    @property
    def _job_outdated(self) -> str | None:
        """The bulk job to be read: no event tells how one goes on, nor what comes of its runs. Also
        while another board is looked at, so that everybody hears of its beginning and its end."""
        if self._store.jobs_heard:
            return next(iter(self._store.jobs_heard))
        going = [job.id for job in self._store.jobs if job.state == "running"]
        looked_at = self._store.job(self.job_id)
        if looked_at is not None and not is_settled(looked_at) and looked_at.id not in going:
            going.append(looked_at.id)
        return going[self._job_turn % len(going)] if going else None

    @property
    def _causes_wanted(self) -> bool:
        """Whether home is looked at, or a run is open that needs a person: how many others do for
        the same reason."""
        if self.board.name == "causes" or not self._store.listing("causes").outdated:
            return False
        tree = self._store.trees.get(self.run_id or "")
        stuck = tree is not None and tree.run.state in STUCK
        return stuck or self.board.name == "home"

    async def _read_what_is_due(self) -> None:
        self._notice()
        now = anyio.current_time()
        soon = self._store.status_outdated and now >= self._status_soonest
        if soon or now >= self._status_due:
            await self._read_status()
        if self._more is not None:
            edge, self._more = self._more, None
            if not self._is_there(edge):
                await self._read_board(edge)
        elif self._board_outdated and anyio.current_time() >= self._board_due:
            await self._read_board(self._stale_part())
        if self._causes_wanted and anyio.current_time() >= self._causes_due:
            began = anyio.current_time()
            self._take(CausesRead(await self._client.operate.causes()))
            self._causes_due = max(anyio.current_time() + BOARD_LASTS_S, _next_read(began))
        if (job_id := self._job_outdated) is not None and anyio.current_time() >= self._job_due:
            await self._read_job(job_id)
        due = self._tree_outdated and anyio.current_time() >= self._tree_due
        if due and self.run_id is not None:
            await self._read_tree(self.run_id)

    def _is_there(self, edge: Edge) -> bool:
        """Whether nothing lies beyond that edge any more: a jump may have come first."""
        listing = self._store.listing(self.board.name)
        beyond = {Edge.AFTER: listing.at_tail, Edge.BEFORE: listing.at_head}
        return beyond.get(edge, False)

    def _notice(self) -> None:
        """Let everything be read again when that was asked for, or events were missed."""
        asked, epoch = now = (self._asked, self._store.epoch)
        if now == self._noticed:
            return
        if asked != self._noticed[0]:
            self._status_due = self._board_due = self._tree_due = 0.0
            for listing in self._store.listings.values():
                listing.expire()
            for tree in self._store.trees.values():
                tree.expire()
        if epoch != self._noticed[1]:  # the store has marked what is outdated
            soon = anyio.current_time() + READ_EVERY_S_MIN
            self._status_due = min(self._status_due, soon)
        self._noticed = now

    def _stale_part(self) -> Edge:
        """Which part of an outdated listing is looked at."""
        listing = self._store.listing(self.board.name)
        behind = self._visible_behind
        if behind is None or behind not in listing:
            behind = None if listing.at_head else next(iter(listing.ids), None)
        self._visible_behind = behind
        return Edge.HEAD if behind is None else Edge.PART

    # -- reads ---------------------------------------------------------------------------------

    async def _read_status(self) -> None:
        sent, began = self._store.clock.monotonic(), anyio.current_time()
        status = await self._client.operate.status()
        self._take(StatusRead(status, sent, self._store.clock.monotonic()))
        self._status_due = anyio.current_time() + STATUS_EVERY_S
        self._status_soonest = _next_read(began)
        self._look_who_waits()

    def _look_who_waits(self) -> None:
        """What the steps of the open run wait for is told when it is read, and by no event."""
        tree, now_ms = self._store.trees.get(self.run_id or ""), self._store.time.now_ms()
        if tree is not None and any(step.keeps_waiting(now_ms) for step in tree.steps.values()):
            tree.expire()

    async def _read_board(self, edge: Edge) -> None:
        turn, began = self._turns, anyio.current_time()
        read = await self._board_page(self.board, edge)
        if turn != self._turns:
            return  # it came too late
        before = self._store.listing(self.board.name).ids[:ROWS_READ]
        self._take(read)
        self._board_due, now = _next_read(began), anyio.current_time()
        if isinstance(read, RetriesRead) and before:
            new = len({*self._store.listing(read.listing).ids[:ROWS_READ]} - {*before})
            self._board_due = max(self._board_due, now + new / self._rows_per_s_max)
        self._board_lasts = now + BOARD_LASTS_S if moves_with_time(self.board.q) else math.inf
        if isinstance(read, RunsRead) and read.listing == "runs":
            self._read_on(edge, more=read.page.next is not None)

    def _read_on(self, edge: Edge, *, more: bool) -> None:
        """Ask for the next page if a search has found little so far."""
        self._short_pages = 1 if edge not in (Edge.AFTER, Edge.BEFORE) else self._short_pages + 1
        few = len(self._store.listing("runs")) < ROWS_MIN
        if more and few and self._short_pages <= SHORT_PAGES_MAX and self._more is None:
            self._more = Edge.BEFORE if edge in BACKWARDS else Edge.AFTER
            self.poke()

    async def _board_page(self, board: Board, edge: Edge) -> Input:
        match board.name:
            case "home":
                page = await self._client.operate.run_page(
                    filter="is:running", sort="submittedAt", limit=OLDEST_ROWS
                )
                return RunsRead(board.name, edge, page)
            case "runs":
                cursor = self._cursor(edge)
                page = await self._client.operate.run_page(
                    filter=board.q or None,
                    sort="-submittedAt" if board.newest_first != (edge in BACKWARDS)
                    else "submittedAt",
                    limit=PAGE_ROWS,
                    cursor=cursor,
                )  # fmt: skip
                return RunsRead(board.name, edge, page, cursor if edge is Edge.PART else None)
            case "retries":
                found = await self._client.operate.retry_page(
                    filter=board.q or None, limit=PAGE_ROWS
                )
                return RetriesRead(board.name, found)
            case "causes":
                return CausesRead(await self._client.operate.causes(dismissed=board.dismissed))
            case _:
                return JobsRead(await self._client.operate.bulk_jobs())

    def _cursor(self, edge: Edge) -> str | None:
        """Where a page of runs begins."""
        listing = self._store.listing("runs")
        match edge:
            case Edge.PART:
                return self._visible_behind
            case Edge.AFTER:
                return listing.after
            case Edge.BEFORE:
                return listing.ahead
            case _:
                return None

    async def _read_job(self, job_id: str) -> None:
        began = anyio.current_time()
        self._job_turn += 1
        self._store.jobs_heard.discard(job_id)  # whatever comes of this: it is asked for once
        try:
            self._take(JobRead(await self._client.operate.bulk_job(job_id)))
        except ProblemError as error:
            if error.status != 404:
                raise
            self._store.listing("jobs").expire()
        soonest = anyio.current_time() + JOB_EVERY_S
        self._job_due = max(soonest, _next_read(began))

    async def _read_tree(self, run_id: str) -> None:
        began = anyio.current_time()
        try:
            self._take(TreeRead(await self._client.operate.run(run_id)))
        except ValueError:  # what was typed can be no id
            self._gone(run_id)
        except ProblemError as error:
            if error.status != 404:
                raise
            self._gone(run_id)
        self._tree_due = _next_read(began)

    def _gone(self, run_id: str) -> None:
        self._take(TreeGone(run_id))
        self.run_id = None if self.run_id == run_id else self.run_id


def _next_read(began: float) -> float:
    """When the same may be read again, if a read that began then has just been answered."""
    now = anyio.current_time()
    return now + max(READ_EVERY_S_MIN, (now - began) * (1 / READ_SHARE_MAX - 1))
