"""The `Store` port above every adapter: the writer, and what the adapter finds in its tables.

An adapter gives a `Sink` for the writer, a `Kept` for the replay, and `Reads`; the order of events,
group commit, what waits, what follows, and what may be read while the store is away are here and in
the files beside this one, once for all. `docs/design.md`, A store's adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from engine.core.events import Actor
from engine.core.model import Run
from engine.ports.audit import AuditEntry, AuditQuery
from engine.ports.registry import Registered
from engine.ports.retention import EndedRun, Expired, Old
from engine.ports.store import (
    Away,
    Body,
    Due,
    Found,
    HeldCount,
    HeldStep,
    Larger,
    Look,
    Stopped,
    Stored,
    Write,
)
from engine.store.away import Availability
from engine.store.expiry import Cut, Expiry
from engine.store.stops import What, acted_line, end_lines, stop_lines
from engine.store.writer import Batch, Writer


class Known(Struct, frozen=True):
    """What a store says of itself when it is open."""

    file_id: str
    """Its own name: what was recorded elsewhere has other numbers."""
    secret: bytes
    """What parent tokens are signed with."""
    epoch: int
    """Of this owner: higher than of every one before it."""
    registered: tuple[Registered, ...]
    """What people had set."""
    any_expired: bool
    """False: no key of an expired run can be here."""


class Reads(Protocol):
    """What an adapter finds in its tables, and in the journal where they name an entry.

    All of it is committed. What the tables have not caught up with is the writer's to know. Where a
    connection is lost, or what it finds may be older than what this owner has written, it waits
    until it knows better: who asks is told what is so, or nothing.
    """

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Found | Look:
        """Who has this identity; or how to ask, where it takes time. Asked in the passage that
        opens a run. A run that goes meanwhile is found there, or as expired.

        `or_expired` False: nobody has it who has expired, as far as is known now.
        """

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """As of `Store`."""

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None, entry: int | None
    ) -> Body | Larger | None:
        """`entry` is the journal's where it is known to lie; None: the tables say which."""

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """As of `Store`."""

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        """Steps that a hold keeps from starting, by id, from just behind this one."""

    async def held_counts(self) -> list[HeldCount]:
        """How many of them there are."""

    async def read_again(self, run_id: str) -> Run:
        """A stopped run as it was recorded. Raises whatever reading it raises."""

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""

    async def expired_of_key(
        self, key: str, client: str | None, workflow: str | None, limit: int
    ) -> list[Expired]:
        """Expired runs with this key, the latest first."""

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """As of `RetainingStore`, like `old_keys` and `old`."""

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]: ...

    async def old(self, before: int, id_before: str) -> Old: ...

    async def look_to_cut(self, before: int) -> Cut | None:
        """A piece of the journal's beginning that may go; None: there is none."""

    async def audited_before(self, at: int) -> int:
        """As of `AuditStore`, like `audited`."""

    async def audited(self, query: AuditQuery) -> list[AuditEntry]: ...

    async def bytes_used(self) -> int:
        """What all that it keeps takes."""


class JournalStore:
    """Where runs are kept, whatever keeps them."""

    def __init__(
        self, writer: Writer, reads: Reads, availability: Availability, known: Known
    ) -> None:
        self.writer, self.reads, self.availability = writer, reads, availability
        self.registered = known.registered
        """What people had set, as the store was opened."""
        self.any_expired = known.any_expired
        """False: no key of an expired run can be here."""
        self.file_id, self.secret, self.epoch = known.file_id, known.secret, known.epoch

    def write(self, write: Write) -> Batch:
        """Queue a write for the next group commit."""
        return self.writer.write(write)

    def register(self, entry: Registered) -> Batch:
        """Set or take away what people set; it is so when the receipt is durable."""
        return self.writer.register(entry)

    def audit(self, entry: AuditEntry) -> Batch:
        """Keep what was done; durable no later than whatever is written after it."""
        return self.writer.audit(entry)

    def unaudit(self, entry_id: str) -> Batch:
        """Take one away again."""
        return self.writer.audit(entry_id)

    def forget_audit(self, before: int) -> Batch:
        """Take away some of the oldest entries, if they are older than this."""
        return self.writer.audit(before)

    async def audited_before(self, at: int) -> int:
        """How many durable entries are older than this."""
        return await self.reads.audited_before(at)

    async def audited(self, query: AuditQuery) -> list[AuditEntry]:
        """Those that are durable, the newest first."""
        return await self.reads.audited(query)

    @property
    def last_at(self) -> int:
        """The latest time that an owner before this one recorded."""
        return self.writer.last_at

    @property
    def backlog(self) -> int:
        """Events that wait for a commit."""
        return self.writer.gathering

    @property
    def away(self) -> Away | None:
        """Why the store cannot be written for now; None: it can."""
        return self.availability.away

    async def wait_away_moved(self) -> None:
        """Return when `away` has come or gone."""
        await self.availability.wait_moved()

    @property
    def backlog_bytes(self) -> int:
        """Of the small bodies that wait for a commit."""
        return self.writer.backlog_bytes

    def find_run(self, client: str, workflow: str, key: str) -> Found | Look:
        """Who has this identity; or how to ask, where that takes time."""
        found = self.writer.find((client, workflow, key))
        if found is not None:
            return found
        return self.reads.find_run(client, workflow, key, or_expired=self.any_expired)

    async def expired(self, run_id: str) -> Expired | None:
        """The expired run of this id."""
        if not self.any_expired:
            return None
        return await self.reads.expired(run_id)

    async def expired_of_key(
        self, key: str, client: str | None, workflow: str | None, limit: int
    ) -> list[Expired]:
        """Expired runs with this key, the latest first."""
        if not self.any_expired:
            return []
        return await self.reads.expired_of_key(key, client, workflow, limit)

    async def ended_runs(
        self, state: str, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[EndedRun]:
        """Runs in this state that ended before a time, by id, from just behind `after`."""
        return await self.reads.ended_runs(state, ended_before, id_before, after, limit)

    async def expire(
        self, run_ids: Sequence[str], ended_before: Mapping[str, int], now: int | None = None
    ) -> int:
        """Remove runs that nobody has in memory, and keep their keys; returns how many went."""
        if run_ids:
            await self.writer.wait_rows(*run_ids)
        settled = tuple(filter(self.writer.is_settled, run_ids))
        if not settled or self.away is not None:
            return 0
        self.any_expired = True  # before they go: who finds none of them any more must look
        return await self._expire(Expiry(settled, ended_before, now))

    async def old_keys(
        self, ended_before: int, id_before: str, after: str, limit: int
    ) -> list[str]:
        """Expired runs that ended before a time, by their ids."""
        return await self.reads.old_keys(ended_before, id_before, after, limit)

    async def forget_keys(self, run_ids: Sequence[str], ended_before: int) -> int:
        """Forget the keys of expired runs; returns how many."""
        return await self._expire(Expiry(key_ids=tuple(run_ids), keys_before=ended_before))

    async def old(self, before: int, id_before: str) -> Old:
        """What there is of before a time."""
        return await self.reads.old(before, id_before)

    async def cut_journal(self, before: int) -> int:
        """Cut a piece off the journal's beginning; returns how many events went."""
        found = await self.reads.look_to_cut(before)
        return 0 if found is None or self.away else await self._expire(Expiry(cut=found))

    async def _expire(self, what: Expiry) -> int:
        await self.writer.expire(what).wait()
        return what.gone

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs as committed; those that are not there are left out."""
        if not run_ids:
            return []
        await self.writer.wait_rows(*run_ids)
        if self.away is None:
            return await self.reads.load_runs(run_ids, until)
        # Let go with all durable, but for the rows: those cannot follow now.
        behind = {run_id: run for run_id in run_ids if (run := self.writer.run_behind(run_id))}
        rest = [run_id for run_id in run_ids if run_id not in behind]
        found = {it.run_id: it for it in await self.reads.load_runs(rest, until)}
        found |= {run_id: Stored(run, {}) for run_id, run in behind.items()}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def tell_unwritable(self, stop_run: Callable[[Run, Exception], bool]) -> None:
        """Have this called of a run whose rows could not be written. False: the engine is to end.

        Its events are durable, and of its rows what has room in the tables, or nothing.
        """
        self.writer.stop_run = stop_run

    def withhold(self, run_id: str) -> bool:
        """A bug stopped the run: nothing of it is written from memory any more. True: its rows lack
        something, until its stop is recorded."""
        return self.writer.withhold(run_id)

    def stop(self, stopped: Stopped, at: int) -> Batch:
        """Record that a bug stopped a run, without a look at what the bug may have broken."""
        return self.writer.stop(stopped, at, stop_lines(stopped, at), What.STOP)

    def end_stopped(self, stopped: Stopped, at: int, actor: Actor, reason: str | None) -> Batch:
        """End a stopped run as it is: all that is open of it is cancelled."""
        lines = end_lines(stopped, at, actor, reason)
        return self.writer.stop(stopped, at, lines, What.END)

    def let_go_on(
        self, stopped: Stopped, at: int, action: str, actor: Actor, reason: str | None
    ) -> Batch:
        """A stopped run is to be loaded like any other, with `Run.engine_error` empty."""
        lines = [acted_line(stopped, at, action, actor, reason)]
        return self.writer.stop(stopped, at, lines, What.LET_GO_ON)

    async def read_again(self, run_id: str) -> Run:
        """A stopped run as it was recorded. Raises whatever reading it raises."""
        await self.writer.wait_rows(run_id)
        return await self.reads.read_again(run_id)

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None = None
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt; `Larger` beyond `bytes_max`."""
        entry = self.writer.body_in(step_id, number, answer=answer)
        return await self.reads.body(
            step_id, number, answer=answer, bytes_max=bytes_max, entry=entry
        )

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`.

        As the tables have them: what was written within the last `LAG_S` may be missing.
        """
        return await self.reads.due(after, until, limit)

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        """Steps that a hold keeps from starting, by id, from just behind this one; from the
        beginning (empty) with all that was written before, unless the store is away."""
        if not after:
            await self.writer.wait_rows()
        return await self.reads.held(after, limit)

    async def held_counts(self) -> list[HeldCount]:
        """How many of them there are. What was written within the last second may be missing."""
        return await self.reads.held_counts()

    def give_up_at(self, at: float) -> None:
        """After this, on Trio's clock, it ends the engine rather than wait while it is away."""
        self.availability.give_up_at = at

    def tell_commits(self, took: Callable[[float], None]) -> None:
        """Have this called of each commit with how long it took, its failed tries included."""
        self.writer.took = took

    async def bytes_used(self) -> int:
        """What all that it keeps takes."""
        return await self.reads.bytes_used()

    @property
    def last_seq(self) -> int:
        """The number of the last event that is durable."""
        return self.writer.durable_sequence
