"""The one writer: group commit over a sink, which is each store's own.

A batch is committed as soon as the writer is free and somebody waits for it; what nobody waits for
gathers a moment longer. `write` puts events and bodies into the batch that gathers; the writer's
task takes it, and while the sink commits it the next gathers. What a batch holds goes into the
journal. The rows of its runs follow within `LAG_S`, with a later commit (`pending.py`), or when
somebody wants to read them (`wait_rows`).

A commit that has certainly not happened (a lock, a full disk) is made again, whole, until it has:
`away.py`. Any other that fails may have happened: the error leaves `run`, the engine stops, and the
store is read again at the next start.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from engine.core.events import Accepted, RunMoved
from engine.core.model import Run, run_of
from engine.ports.audit import AuditEntry
from engine.ports.caller import SMALL_BYTES_MAX
from engine.ports.registry import Registered
from engine.ports.store import Stopped, Write
from engine.store.away import Availability
from engine.store.commit import Commit, Unwritable
from engine.store.expiry import Expiry
from engine.store.jobs import JobWrite
from engine.store.journal import ENTRY_EVENTS_MAX, Entry, EventLine
from engine.store.pending import (
    LAG_S,
    RUNS_PER_COMMIT_MAX,
    Pending,
    absorb,
    add_counts,
    count_move,
)
from engine.store.stops import Stop, What

GATHER_S_MAX = 0.02
"""How long a batch that nobody waits for gathers: a child's acceptance is mostly committed together
with its outcome, as nothing was promised before. Also how late the event stream may be."""


class Sink(Protocol):
    """Where commits go, one at a time and in their order."""

    async def append(self, commit: Commit) -> Exception | None:
        """Return when what has happened is durable (None); or why that it is so is not known: then
        the same commit is to be tried again, and comes to one. An error ends the engine: nobody
        knows what happened.

        Rows may be written with it, where that costs nothing more.
        """

    async def follow(self, commit: Commit) -> Exception | None:
        """The same of its rows, of a commit that has some: return when they are written, which need
        not last. Those of some runs that could not be written are noted with the commit."""


class Batch:
    """Writes that will be committed together. Also the receipt of each of them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.events = 0
        self.small_bytes = 0
        self.run_counts: dict[str, int] = {}
        self.then: list[Callable[[], None]] = []
        self.durable = self.stalled = False
        self.stops: list[Stop] = []
        """What is done to the rows of runs that a bug stopped."""
        self.registered: list[Registered] = []
        """What people set."""
        self.audit: list[AuditEntry | int | str] = []
        """What they did; a time: what is older is to go."""
        self.expiries: list[Expiry] = []
        """What goes, as its time has come."""
        self.jobs: list[JobWrite] = []
        """Bulk jobs."""
        self.asked = trio.Event()
        """Somebody waits for this batch: it is committed as soon as the writer is free."""
        self._moved = trio.Event()

    @property
    def is_empty(self) -> bool:
        """There is nothing to commit."""
        others = self.registered or self.audit or self.expiries or self.jobs
        return not (self.events or others)

    def entry(self, seq: int) -> Entry:
        """The entry into which event `seq` goes."""
        if not self.entries or self.entries[-1].is_full:
            self.entries.append(Entry(seq))
        return self.entries[-1]

    async def wait(self) -> None:
        """Return when the batch is durable."""
        self.asked.set()
        while not self.durable:
            await self._moved.wait()

    async def wait_unless_away(self) -> bool:
        """Return when the batch is durable (True), or waits for a store that is away."""
        self.asked.set()
        while not self.durable and not self.stalled:
            await self._moved.wait()
        return self.durable

    def stall(self, stalled: bool) -> None:
        """Whether the store is away, with this batch waiting for it."""
        self.stalled = stalled
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    def became_durable(self) -> None:
        """The batch is durable."""
        self.durable = True
        # The run keeps its last receipt: it must not keep the records.
        then, self.then, self.entries = self.then, [], []
        for call in then:
            call()
        self._moved.set()


class Writer:
    """Takes writes from the engine and commits them in order."""

    def __init__(
        self,
        sink: Sink,
        availability: Availability,
        *,
        owner: str,
        epoch: int,
        sequence: int,
        last_at: int,
        run_counts: dict[str, int],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink, self._availability = sink, availability
        availability.tell(self._away_moved)
        self._owner, self._epoch = owner, epoch
        self._on_failure = on_failure
        self.stop_run: Callable[[Run, Exception], bool] = lambda run, error: False
        """Called of a run that is to stop, as its rows could not be written. False: the error is to
        end the engine."""
        self._now = trio.lowlevel.current_clock().current_time
        self._gathering = Batch()
        self._committing = self._gathering
        """The one whose commit is under way, if any is."""
        self._stirred = trio.Event()
        """Something gathers, or rows are wanted."""
        self._pending = Pending()
        self._wanted: set[str] = set()
        """Runs whose rows somebody waits for."""
        self._all_wanted = False
        self._rows_moved = trio.Event()
        self._closing = False
        self._sequence = sequence
        self.last_at = last_at
        """The latest time recorded before."""
        self.run_counts = run_counts
        """Durable runs by state."""
        self.durable_sequence = sequence
        self.moved = trio.Event()
        """Set, and replaced, whenever `durable_sequence` rises: a hint for the event stream."""
        self.commits = 0
        self.took: Callable[[float], None] = lambda seconds: None
        """Called of each commit with how long it took, its failed tries included."""
        self.backlog_bytes = 0
        """Of small bodies that are not durable yet."""

    @property
    def gathering(self) -> int:
        """How many events wait for a commit; while those fail, the one under way included."""
        return self._waiting if self._availability.is_failing else self._gathering.events

    @property
    def written(self) -> int:
        """The number of the last event that was written, durable or not."""
        return self._sequence

    def write(self, write: Write) -> Batch:
        """Add a write to the batch that gathers."""
        batch, change = self._gathering, write.change
        run, steps, events = change.run, change.run.steps, change.events
        assert events, "a write without events would never be committed"
        seq = self._sequence
        entry = batch.entry(seq + 1)
        pending = self._pending.rows_of(run, seq + 1, self._now())
        run_id, lines = run.id, entry.events
        for number, event in enumerate(events):
            if number and not number % ENTRY_EVENTS_MAX:  # bodies stay before what happened to them
                batch.entries.append(Entry(seq + 1 + number))
                lines = batch.entries[-1].events
            if isinstance(event, RunMoved):
                count_move(batch.run_counts, event)
                lines.append(EventLine(run_id, event.state, run.rev, event))
                continue
            step = steps[event.step_id]
            lines.append(EventLine(run_id, step.state, step.rev, event))
            if isinstance(event, Accepted) and step.is_root:
                self._pending.opened(run)
        self._sequence = seq = seq + len(events)
        batch.events += len(events)
        absorb(pending, change, seq, self._epoch, entry.seq, write.bodies)
        for body in write.bodies:
            size = len(body.data)
            entry.bodies.append(body)
            entry.bytes += size
            if size <= SMALL_BYTES_MAX:
                batch.small_bytes += size
                self.backlog_bytes += size
        if write.then is not None:  # callers wait for it
            batch.then.append(write.then)
            batch.asked.set()
        if write.say is not None:
            batch.then.append(write.say)
        self._stirred.set()
        return batch

    def withhold(self, run_id: str) -> bool:
        """A bug stopped the run: nothing of it is written from memory any more. True: its rows lack
        something, until its stop is recorded."""
        return self._pending.withhold(run_id)

    def stop(self, stopped: Stopped, at: int, lines: list[EventLine], what: What) -> Batch:
        """Record of a stopped run what these events say, and do to its rows what belongs to
        them."""
        batch, first = self._gathering, self._sequence + 1
        batch.entry(first).events += lines
        self._sequence += len(lines)
        batch.events += len(lines)
        behind = self._pending.first_withheld(stopped.run_id)
        batch.stops.append(Stop(stopped, at, first, self._sequence, behind, what))
        batch.asked.set()
        self._stirred.set()
        return batch

    def register(self, entry: Registered) -> Batch:
        """Have the batch that gathers set or take away what people set."""
        batch = self._gathering
        batch.registered.append(entry)
        batch.asked.set()
        self._stirred.set()
        return batch

    def audit(self, entry: AuditEntry | int | str) -> Batch:
        """Have the batch that gathers keep what was done, take away the entry of an id, or forget
        what is older than a time."""
        self._gathering.audit.append(entry)
        self._stirred.set()
        return self._gathering

    def expire(self, expiry: Expiry) -> Batch:
        """Have the batch that gathers remove runs, or keys."""
        batch = self._gathering
        batch.expiries.append(expiry)
        self._stirred.set()
        return batch

    def job(self, it: JobWrite) -> Batch:
        """Have the batch that gathers keep how a bulk job stands: with what is written in the same
        passage."""
        self._gathering.jobs.append(it)
        self._stirred.set()
        return self._gathering

    def is_settled(self, run_id: str) -> bool:
        """The tables know all of the run, and no stop of it is on its way."""
        return self._pending.is_settled(run_id)

    def find(self, identity: tuple[str, str, str]) -> str | None:
        """The id of a run (by client, workflow and key) that the tables do not know yet."""
        return self._pending.find(identity)

    def body_in(self, step_id: str, number: int, *, answer: bool) -> int | None:
        """The journal's entry that holds a body which the tables do not know yet."""
        return self._pending.body_in(run_of(step_id), step_id, number, answer=answer)

    async def wait_rows(self, *run_ids: str) -> None:
        """Return when the tables know all that was written so far of these runs (none: of all).

        At once, whatever they know, while the store is away: `run_behind` tells who is ahead.
        """
        until = self._sequence
        while (lagging := self._pending.lagging(run_ids, until)) and not self.is_away:
            if run_ids:
                self._wanted |= lagging
            else:
                self._all_wanted = True
            self._gathering.asked.set()
            self._stirred.set()
            await self._rows_moved.wait()

    def close(self) -> None:
        """Let `run` return once everything written so far is durable."""
        self._closing = True
        self._gathering.asked.set()
        self._stirred.set()

    async def run(self) -> None:
        """Commit batch after batch. Any error of the store leaves here and stops the engine."""
        while True:
            await self._wait_for_work()
            batch, self._gathering = self._gathering, Batch()
            self._committing = batch
            commit = self._commit_of(batch)
            if commit is not None:
                await self._commit_off(batch, commit)
                for found in commit.unwritable:
                    self._stop_run(found)
            if self._closing and self._gathering.is_empty and not self._pending:
                return

    async def _wait_for_work(self) -> None:
        since = self._pending.oldest_since
        with trio.move_on_at(math.inf if since is None else since + LAG_S):
            await self._stirred.wait()
            with trio.move_on_after(GATHER_S_MAX):
                await self._gathering.asked.wait()
        self._stirred = trio.Event()

    def _commit_of(self, batch: Batch) -> Commit | None:
        """What is to be committed now, turned into rows here, where nothing changes them."""
        everything = self._closing or self._all_wanted
        taken = self._pending.take(
            trio.current_time(),
            at_most=None if everything else RUNS_PER_COMMIT_MAX,
            asked=self._wanted,
        )
        self._all_wanted, self._wanted = False, set()
        if batch.is_empty and not taken:
            return None
        return Commit(
            batch.entries,
            taken,
            owner=self._owner,
            epoch=self._epoch,
            caught_up=self._pending.caught_up(self._sequence),
            stops=batch.stops,
            registered=batch.registered,
            audit=batch.audit,
            expiries=batch.expiries,
            jobs=batch.jobs,
        )

    def _stop_run(self, found: Unwritable) -> None:
        """The rows of one run do not fit the tables: that is the run's, not the store's."""
        if not found.must_be_stopped:
            return
        if found.is_lost or not self.stop_run(found.run, found.error):
            self._on_failure()
            raise found.error

    async def _commit_off(self, batch: Batch, commit: Commit) -> None:
        """What has happened first: whoever waits for that does not wait for rows."""
        began = self._now()
        while (error := await self._sink.append(commit)) is not None:
            await self._before_next_try(error)
        self._availability.succeeded()
        self.took(self._now() - began)
        self._recorded(batch, commit)
        if commit.rows.made or commit.unwritable:
            while (error := await self._sink.follow(commit)) is not None:
                await self._before_next_try(error)
            self._availability.succeeded()
            self._pending.written([it.run.id for it in commit.unwritable if it.lacking])
        elif not batch.stops:
            return
        self._tell_rows_moved()

    async def _before_next_try(self, error: Exception) -> None:
        await self._availability.wait_after(error, lambda: self._waiting)

    def _recorded(self, batch: Batch, commit: Commit) -> None:
        self.commits += 1
        for stop in batch.stops:
            self._pending.came_from_journal(stop.run_id)
        if batch.is_empty:
            return
        self.durable_sequence += batch.events
        self.backlog_bytes -= batch.small_bytes
        if commit.tally is None:
            if batch.run_counts:
                add_counts(self.run_counts, batch.run_counts)
            if commit.moved:
                add_counts(self.run_counts, commit.moved)
        else:
            self.run_counts = commit.tally
            add_counts(self.run_counts, self._pending.run_counts())
            add_counts(self.run_counts, self._gathering.run_counts, -1)
        batch.became_durable()
        stirred, self.moved = self.moved, trio.Event()
        stirred.set()

    def _tell_rows_moved(self) -> None:
        """Whoever waits for rows looks again."""
        rows_moved, self._rows_moved = self._rows_moved, trio.Event()
        rows_moved.set()

    @property
    def _waiting(self) -> int:
        """How many events wait, those of the commit under way included."""
        under_way = 0 if self._committing.durable else self._committing.events
        return under_way + self._gathering.events

    @property
    def is_away(self) -> bool:
        """The store cannot be written for now."""
        return self._availability.away is not None

    def _away_moved(self) -> None:
        """The store has gone away, or is back: whoever waits for it looks again."""
        for batch in (self._committing, self._gathering):
            batch.stall(self.is_away)
        self._tell_rows_moved()

    def firsts_behind(self) -> dict[str, int]:
        """The first event that the tables do not know, of each run of which they lack one."""
        return self._pending.firsts()

    def run_behind(self, run_id: str) -> Run | None:
        """A run that the tables know less of than was written, as it is; None: they know all."""
        return self._pending.run(run_id)


@asynccontextmanager
async def running(writer: Writer, watch: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """The writer, and a watch over its database for as long as it runs: what either raises ends the
    other, and what is within. Leaving commits what was written."""

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await writer.run()
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield
        writer.close()
