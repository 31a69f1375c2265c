"""Runs that ended long enough ago go, a few at a time, and then what the journal has from before;
their keys stay.

What goes is looked for among all runs of an age, in pages, by a reader of its own. Each batch is
set apart, so that nobody takes a run of it into memory meanwhile, and goes with one commit; then
the writer has a rest many times as long as that took. `docs/how-to/keep-and-prune.md`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Protocol

import msgspec
import trio
from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.rules.retention import ACTS_AFTER_MS, Retention, acts_at, ahead_ms
from engine.core.text.times import rfc3339
from engine.core.text.ulid import first_run_id
from engine.ports.registry import KIND_RETENTION, Registered
from engine.ports.retention import Acting, EndedRun, Old
from engine.ports.store import Store
from engine.process.clock import Clock
from engine.telemetry.log import Log

EVERY_S = 600.0
"""How often what has grown old enough is looked for: beside days this is at once."""
PAGE = 1_000
STEPS_AT_ONCE_MAX = 200
"""Of the runs that go with one commit: some milliseconds of it. A run with more goes alone."""
REST = 9
"""The writer has so many times as long to itself as a batch took: a tenth of its time at most."""
REST_S_MIN = 0.05
HOUR_MS = 3_600_000
NAME = "runs"
"""Of what is registered: from when on which retention acts."""
ITSELF = "engine"


_decode = msgspec.json.Decoder(Acting).decode


STEP_BYTES = 500
"""Of the rows of a step, about, with its attempts, outcomes and indexes (`bench/sizing.py`)."""
KEY_BYTES = 190
"""Of a run's key, which stays, with when the run went (7 of them)."""


class Plan(Struct, frozen=True):
    """What would go now."""

    retention: Retention
    runs: Mapping[str, int]
    """By state."""
    keys: int
    steps: int = 0
    """Of these runs."""
    old: Old = Old(0, 0, 0, 0, 0)

    @property
    def runs_go(self) -> int:
        """Of all states."""
        return sum(self.runs.values())

    @property
    def runs_carried(self) -> int:
        """Of before that stay, with what the journal has of them. Both counts are of moments of
        their own, and a run may end between."""
        return max(0, self.old.runs - self.runs_go)

    @property
    def bytes_about(self) -> int:
        """That get free in the file, if what older runs that stay have of the journal is as much as
        what those have that go."""
        share = min(1.0, self.runs_go / self.old.runs) if self.old.runs else 1.0
        freed = self.old.bytes * share + self.steps * STEP_BYTES
        return max(0, round(freed) - (self.runs_go - self.keys) * KEY_BYTES)


class Pass(Struct):
    """One look at all that has grown old enough, and what went."""

    since: int
    """In milliseconds since the epoch."""
    runs: int = 0
    keys: int = 0
    events: int = 0
    ended_at: int | None = None
    error: str | None = None
    """Why it ended before all had gone."""


class Memory(Protocol):
    """What is not to go, as somebody has it in memory."""

    def set_apart(self, run_ids: Sequence[str]) -> AbstractContextManager[list[str]]:
        """Those of these runs that are at rest; nobody takes one up until this is left."""


class Pruning:
    """`run` does it; the rest is for operators."""

    def __init__(
        self,
        store: Store,
        memory: Memory,
        retention: Retention,
        clock: Clock,
        inform: Log,
        warn: Log,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_held`: whether everything is, as after a restore: somebody looks at what there is."""
        self._is_held = is_held
        self._store, self._memory, self._clock = store, memory, clock
        self.retention = retention
        self._log, self._warn = inform, warn
        self.acts_at = 0
        """From when on it acts, in milliseconds since the epoch."""
        self.runs_expired = self.keys_forgotten = self.events_removed = 0
        """Since the start."""
        self.under_way: Pass | None = None
        self.last: Pass | None = None
        """That has ended since the start."""
        self._waits = self._is_asked = False
        self._clock_ahead_ms = 0
        """Why it waits, if it is for the clock."""
        self._keys_before = 0
        self._asked = trio.Event()
        self._scope = trio.CancelScope()
        self._take_up()

    def _take_up(self) -> None:
        before, latest = Acting(0, 0, 0), self._store.last_at
        for entry in self._store.registered:
            if entry.kind == KIND_RETENTION and entry.value is not None:
                before, latest = _decode(entry.value), max(latest, entry.at)
        now, known = self._clock.steady_ms(), Retention(before.days, before.keys_days)
        if self.retention.is_on:
            self.acts_at = acts_at(self.retention, known, before.acts_at, now, latest)
            still = before.clock_ahead_ms if 0 < before.acts_at - now <= ACTS_AFTER_MS else 0
            self._clock_ahead_ms = ahead_ms(now, latest) or still
        self._waits = self.retention.is_on and self.acts_at > now
        self._keys_before = before.keys_before
        if (known, before.acts_at) != (self.retention, self.acts_at):
            self._register(now, ITSELF)

    def _register(self, now: int, actor: str) -> None:
        holds = self.retention
        acting = Acting(
            holds.days, holds.keys_days, self.acts_at, self._keys_before, self._clock_ahead_ms
        )
        value = msgspec.json.encode(acting)
        self._store.register(Registered(KIND_RETENTION, NAME, value, now, actor))

    # -- for operators -------------------------------------------------------------------------

    async def plan(self, retention: Retention) -> Plan:
        """What would go now if this held and acted. Raises Refused."""
        now, runs, steps = self._now(), {}, 0
        for state, before in retention.ended_before(now).items():
            runs[state] = 0
            async with aclosing(self._ended(state, before)) as pages:
                async for page in pages:
                    runs[state] += len(page)
                    steps += sum(it.steps for it in page)
        keys = 0
        if (keys_before := retention.keys_before(now)) is not None:
            async with aclosing(self._old_keys(keys_before)) as found:
                async for ids in found:
                    keys += len(ids)
        before = retention.journal_before(now) or 0
        return Plan(
            retention, runs, keys, steps, await self._store.old(before, first_run_id(before))
        )

    def begin(self, actor: str) -> int:
        """Act now, whatever is left of the time that a shorter retention waits: the pass that does
        it begins no earlier than the time that is returned. Raises Refused, also while it waits as
        the clock may be wrong: nobody could take that back."""
        if not self.retention.is_on:
            raise Refused(
                Problem.NOT_POSSIBLE,
                "Nothing is removed here: `retention_days` is not set. Set it, in days, and start"
                " the engine anew; `dryRun` with `retentionDays` says what would go.",
            )
        now = self._clock.steady_ms()
        if self.acts_at > now:
            if self._clock_ahead_ms:
                raise _clock_may_be_wrong(self._clock_ahead_ms, self.acts_at)
            self.acts_at = now
            self._register(now, actor)
        self._is_asked = True
        self._asked.set()
        return now

    # -- at work -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remove what has grown old enough, until `close`."""
        if not self.retention.is_on:
            return
        with self._scope:
            if self._waits:
                await self._say_what_will_go()
            while True:
                wait_s = (self.acts_at - self._clock.steady_ms()) / 1000
                if wait_s <= 0:
                    if self._is_asked or not self._is_held():
                        self._is_asked = False
                        await self._pass()
                    wait_s = EVERY_S
                with trio.move_on_after(wait_s):
                    await self._asked.wait()
                self._asked = trio.Event()

    def close(self) -> None:
        """The engine stops."""
        self._scope.cancel()

    async def _say_what_will_go(self) -> None:
        try:
            plan = await self.plan(self.retention)
        except Refused:  # it cannot be read there, as the log says
            return
        self._warn(
            "retention-set",
            retention_days=self.retention.days,
            keys_kept_days=self.retention.keys_days or "for ever",
            runs_that_go=plan.runs_go,
            keys_that_go=plan.keys,
            events_that_go=plan.old.events,
            acts_in_s=max(0, (self.acts_at - self._clock.steady_ms()) // 1000),
        )

    async def _pass(self) -> None:
        """Everything that has grown old enough; as far as it can be read."""
        a_pass = self.under_way = Pass(self._clock.steady_ms())
        now = self._now()
        try:
            await self._expire_runs(a_pass, self.retention.ended_before(now))
            if (before := self.retention.keys_before(now)) is not None:
                await self._forget_keys(a_pass, before)
            if (before := self.retention.journal_before(now)) is not None:
                await self._cut_journal(a_pass, before)
        except Refused as refused:
            a_pass.error = refused.detail
        a_pass.ended_at = self._clock.steady_ms()
        self.under_way, self.last = None, a_pass
        if a_pass.runs or a_pass.keys or a_pass.events:
            self._log(
                "runs-expired",
                runs=a_pass.runs,
                keys_forgotten=a_pass.keys,
                events_removed=a_pass.events,
                took_ms=a_pass.ended_at - a_pass.since,
            )

    def _now(self) -> int:
        """By which runs are old: the earlier of two clocks. The engine's own stays as wrong as the
        machine's was at its start, and that one may be set wrong since."""
        return min(self._clock.steady_ms(), self._clock.utc_ms())

    async def _expire_runs(self, it: Pass, before: Mapping[str, int]) -> None:
        for state, ended_before in before.items():
            async with aclosing(self._ended(state, ended_before)) as pages:
                async for page in pages:
                    await self._expire_page(it, page, before)

    async def _expire_page(
        self, it: Pass, page: Sequence[EndedRun], before: Mapping[str, int]
    ) -> None:
        for batch in _batches(page):
            began = trio.current_time()
            with self._memory.set_apart(batch) as at_rest:
                went = await self._store.expire(at_rest, before, self._clock.steady_ms())
            it.runs += went
            self.runs_expired += went
            await _rest(began)

    async def _forget_keys(self, it: Pass, before: int) -> None:
        async with aclosing(self._old_keys(before)) as pages:
            async for page in pages:
                if self._keys_before < before:  # known before the first of them has gone
                    self._keys_before = before
                    self._register(self._clock.steady_ms(), ITSELF)
                await self._forget_page(it, page, before)

    async def _forget_page(self, it: Pass, page: Sequence[str], before: int) -> None:
        for first in range(0, len(page), STEPS_AT_ONCE_MAX):
            some, began = page[first : first + STEPS_AT_ONCE_MAX], trio.current_time()
            went = await self._store.forget_keys(some, before)
            it.keys += went
            self.keys_forgotten += went
            await _rest(began)

    async def _cut_journal(self, it: Pass, before: int) -> None:
        """Last of all: what is of runs that have gone by then is not carried on."""
        while True:
            began = trio.current_time()
            events = await self._store.cut_journal(before)
            if not events:
                return
            it.events += events
            self.events_removed += events
            await _rest(began)

    async def _ended(self, state: str, before: int) -> AsyncGenerator[list[EndedRun], None]:
        after, id_before = "", first_run_id(before)
        while page := await self._store.ended_runs(state, before, id_before, after, PAGE):
            yield page
            after = page[-1].run_id

    async def _old_keys(self, before: int) -> AsyncGenerator[list[str], None]:
        after, id_before = "", first_run_id(before)
        while page := await self._store.old_keys(before, id_before, after, PAGE):
            yield page
            after = page[-1]


def _clock_may_be_wrong(ahead: int, acts_at: int) -> Refused:
    return Refused(
        Problem.NOT_POSSIBLE,
        f"At its start the engine's clock was {ahead // HOUR_MS:,} hours ahead of all that was"
        f" recorded before: what looks old may not be, so nothing is removed before"
        f" {rfc3339(acts_at)}. If the clock is wrong, set it and start the engine anew; if it is"
        " right, wait until then.",
    )


def _batches(runs: Sequence[EndedRun]) -> Iterator[list[str]]:
    batch: list[str] = []
    steps = 0
    for run in runs:
        if batch and steps + run.steps > STEPS_AT_ONCE_MAX:
            yield batch
            batch, steps = [], 0
        batch.append(run.run_id)
        steps += run.steps
    if batch:
        yield batch


async def _rest(began: float) -> None:
    await trio.sleep(max(REST_S_MIN, REST * (trio.current_time() - began)))
