"""What waits under holds: let go when they are released, and counted.

A step that a hold keeps from starting lies in the store, and its run mostly too: nothing of it is
due. So a release walks over those steps, oldest run first, and lets go of what it covers and no
other hold does, at the rate that was asked for; without one as fast as hosts take it, along the
ramp of a start (`limits/ramp.py`). When a walk finds none any more the hold is over. A restart
goes on where the last life was, as the release itself is registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import trio

from engine.core.errors import Refused
from engine.core.rules.hold import Hold
from engine.ports.store import HeldStep
from engine.runs.limits.concurrency import host_of
from engine.runs.limits.holds import HoldKey
from engine.runs.memory import TAKEN_UP_AT_ONCE, Memory
from engine.runs.shared import Shared

PAGE = 500
WALK_EVERY_S = 0.5
WALK_SHARE = 10
"""Walks that leave something behind take a tenth of the time at most."""
QUEUED_AT_HOST_MAX = 512
"""So many of a host may queue for a place; the others are left where they are, in the store."""
FULL_FOR_S = 1.0
LOOK_EVERY_S = 0.05
COUNT_EVERY_S = 2.0
COUNT_SHARE = 100
OFFERED_AT_ONCE = 100
FORGOTTEN_EVERY_S = 300.0
"""How often it is looked for what waits under no hold at all: there should be nothing."""


async def follow_holds(shared: Shared, memory: Memory) -> None:
    """Let go what released holds have held, and count what waits, until cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_count, shared)
        nursery.start_soon(_record_offered, shared)
        nursery.start_soon(_let_forgotten_go, shared, memory)
        going: set[HoldKey] = set()

        async def let_go(key: HoldKey) -> None:
            await _Release(shared, memory, key).run()
            going.discard(key)

        while True:
            stirred = shared.holds.stirred
            for hold in shared.holds.released:
                if hold.key not in going:
                    going.add(hold.key)
                    nursery.start_soon(let_go, hold.key)
            await stirred.wait()


async def _record_offered(shared: Shared) -> None:
    """Steps that queued for a place when they came to be held wait under the hold from then on."""
    holds = shared.holds
    while True:
        stirred = holds.stirred
        for _ in range(min(OFFERED_AT_ONCE, len(holds.offered))):
            holds.offered.popleft()()
        if holds.offered:
            await trio.lowlevel.checkpoint()
        else:
            await stirred.wait()


async def _count(shared: Shared) -> None:
    holds = shared.holds
    while True:
        stirred = holds.stirred
        began = trio.current_time()
        if holds.all:
            with suppress(Refused):  # damaged, or not to be read for now: as last counted
                holds.count(await shared.store.held_counts())
            pause = max(COUNT_EVERY_S, COUNT_SHARE * (trio.current_time() - began))
            with trio.move_on_after(pause):
                await stirred.wait()
        else:
            await stirred.wait()


async def _let_forgotten_go(shared: Shared, memory: Memory) -> None:
    while True:
        await _Release(shared, memory, None).walk()
        await trio.sleep(FORGOTTEN_EVERY_S)


class _Release:
    """The letting go of what one released hold has held; None: of what no hold is over."""

    def __init__(self, shared: Shared, memory: Memory, key: HoldKey | None) -> None:
        self._shared, self._memory, self._key = shared, memory, key
        self._holds, self._store = shared.holds, shared.store
        self._full: set[tuple[str, str]] = set()
        """Hosts that have taken nothing for FULL_FOR_S, or a client and host (`waits_with`): their
        steps are left to the next walk, or those of others would wait behind them."""
        self._client_waits_s = 0.0
        """For clients that are at their limit, in this walk: FULL_FOR_S in all, however they get
        on."""
        self._waited_s = 0.0
        """For hosts and for the rate, in this walk."""
        self._next_at = 0.0
        """When the next may start, under a rate."""

    async def run(self) -> None:
        """Until nothing waits under it, or it is held again."""
        if (hold := self._released()) is not None and hold.rate_per_s is None:
            self._shared.places.ramp.begin_again()
        while (hold := self._released()) is not None:
            began = trio.current_time()
            if await self.walk() and self._released() == hold:
                self._holds.drained(hold, self._shared.clock.steady_ms())
                return
            took = trio.current_time() - began
            worked = took - self._waited_s
            await trio.sleep(max(WALK_EVERY_S, WALK_SHARE * worked if self._full else 0.0))

    def _released(self) -> Hold | None:
        hold = None if self._key is None else self._holds.get(self._key)
        return hold if hold is not None and hold.released_at is not None else None

    async def walk(self) -> bool:
        """Let go of what may start. True: nothing waits under it, as far as the store knows."""
        after, is_done = "", True
        self._full.clear()
        self._waited_s = self._client_waits_s = 0.0
        while not self._shared.draining and self._store.away is None:
            try:
                page = await self._store.held(after, PAGE)
            except Refused:
                return False
            for part in _parts([step for step in page if self._is_its(step)]):
                if self._memory.is_full or not await self._let_go(part):
                    return False
                is_done = False
            if len(page) < PAGE:
                return is_done and self._store.away is None
            after = page[-1].step_id
        return False

    def _is_its(self, step: HeldStep) -> bool:
        what = (step.client, step.workflow, step.url)
        if self._holds.over(*what) is not None:
            return False
        pacing = self._holds.pacing(*what)
        return (None if pacing is None else pacing.key) == self._key

    async def _let_go(self, steps: list[HeldStep]) -> bool:
        """Of some runs. False: it is not released any more."""
        hold = self._released()
        if hold is None and self._key is not None:
            return False
        if hold is not None and hold.rate_per_s is not None:
            return await self._let_go_at_rate(steps)
        going = [it for it in steps if await self._takes(it, self._queues_few)]
        with suppress(Refused):
            await self._memory.get_all(list(dict.fromkeys(it.run_id for it in going)))
        for step in going:
            await self._start(step)
        return True

    async def _let_go_at_rate(self, steps: list[HeldStep]) -> bool:
        """One by one, and only where there is a place now: what queued would start together."""
        for step in steps:
            hold = self._released()
            if hold is None:
                return False
            if not await self._takes(step, self._has_room):
                continue
            if self._next_at > trio.current_time():
                self._waited_s += self._next_at - trio.current_time()
                await trio.sleep_until(self._next_at)
                if (hold := self._released()) is None:
                    return False
            if self._is_its(step) and await self._start(step, if_room=True):
                pause = 0.0 if hold.rate_per_s is None else 1 / hold.rate_per_s
                self._next_at = trio.current_time() + pause
        return True

    async def _start(self, step: HeldStep, *, if_room: bool = False) -> bool:
        """True if it was let go: it starts, or (not with `if_room`) queues for a place."""
        try:
            live = await self._memory.get(step.run_id)
        except Refused:  # a bug has stopped it, or it cannot be read
            return False
        if live is None or (if_room and not self._has_room(step)):
            return False
        return live.let_go(step.step_id)

    async def _takes(self, step: HeldStep, is_free: Callable[[HeldStep], bool]) -> bool:
        """Whether its host takes the step now: it is waited for while it goes on taking others, so
        that a walk is as quick as the host."""
        its = host_of(step.url), self._shared.places.waits_with(step.client)
        if its in self._full:
            return False
        queued, tries = self._shared.places.queued_at(*its), 0
        while tries < FULL_FOR_S / LOOK_EVERY_S:
            if is_free(step):
                return True
            if its[1] and self._client_waits_s >= FULL_FOR_S:
                break
            await trio.sleep(LOOK_EVERY_S)
            self._waited_s += LOOK_EVERY_S
            self._client_waits_s += LOOK_EVERY_S if its[1] else 0.0
            before, queued = queued, self._shared.places.queued_at(*its)
            tries = 0 if queued < before else tries + 1
        self._full.add(its)
        return False

    def _queues_few(self, step: HeldStep) -> bool:
        places = self._shared.places
        queued = places.queued_at(host_of(step.url), places.waits_with(step.client))
        return queued < QUEUED_AT_HOST_MAX

    def _has_room(self, step: HeldStep) -> bool:
        return self._shared.places.has_room(host_of(step.url), step.client)


def _parts(steps: list[HeldStep]) -> Iterator[list[HeldStep]]:
    """As many as are taken up at once: in between others have their turns, and what has nothing to
    do leaves memory again."""
    size = TAKEN_UP_AT_ONCE - 1
    for first in range(0, len(steps), size):
        yield steps[first : first + size]
