"""After a start, or a hold, what waited for its end does not reach a host all at once.

Calls that are overdue when the engine comes back (it was down, or their host was) would all be
dialled in the same moment: a small server drops most of those connections, and the system's own
back-off brings them back later and later. So they begin with few places at each host, and get more
with every answer that is as quick as others were. One that is not takes half of them away:
connections were dropped. A host that is silent, for its calls take long, gets more with time.

What was in flight when the engine ended is not counted: its host had room for it all at once. Nor
is what was submitted since.
"""

from __future__ import annotations

import math
import sys
from typing import Protocol

import trio
from msgspec import Struct, field

from engine.core.model import DelayBy, Step, StepState
from engine.runs.limits.concurrency import Offer, Places

FIRST_PLACES = 16
"""At each host. A server of one process with a backlog of 5 takes so many."""
ANSWERS_FOR_A_PLACE = 8
SLOW_AT = 4.0
"""So many times as long as the quickest answer."""
QUICK_MS = 100.0
"""Quicker ones are not told apart: neither engine nor host is steadier than that."""
HALVED_EVERY_S = 1.0
"""What has been dropped comes back after a second: it must not count twice."""
EVERY_S = 0.1
SILENT_S = 0.5
GROWTH = 1.2
"""Each EVERY_S of silence: 500 places within two seconds."""
STUCK_S = 0.5
"""A connection that takes so long was dropped: then silence means nothing else."""
LASTS_S = 60.0
"""Then the start is over."""


class RampCall(Protocol):
    """A call on the ramp."""

    @property
    def dialling_since(self) -> float | None:
        """When its connection began to be made (`trio.current_time()`); None: it is not."""
        ...

    @property
    def took_ms(self) -> float:
        """Since it left."""
        ...


class _Host(Struct):
    answered_at: float
    """When it last gave a sign, or was first called."""
    places: float = FIRST_PLACES
    quickest_ms: float = math.inf
    halved_at: float = -math.inf
    calls: dict[RampCall, None] = field(default_factory=dict)

    def answered(self, took_ms: float) -> None:
        """It has taken a call, and answered it or made a post of its own for it."""
        now = self.answered_at = trio.current_time()
        self.quickest_ms = min(self.quickest_ms, took_ms)
        if took_ms <= SLOW_AT * max(self.quickest_ms, QUICK_MS):
            self.places += 1 / ANSWERS_FOR_A_PLACE
        elif now >= self.halved_at + HALVED_EVERY_S:
            self.halved_at = now
            self.places = max(FIRST_PLACES, self.places / 2)

    @property
    def is_slow(self) -> bool:
        """It takes connections, and answers nothing for now."""
        now = trio.current_time()
        return now > self.answered_at + SILENT_S and not any(
            call.dialling_since is not None and call.dialling_since < now - STUCK_S
            for call in self.calls
        )


class Ramp(Places):
    """Places for calls that were overdue at the start."""

    def __init__(self, began_at: int, in_flight_per_host_max: int) -> None:
        super().__init__(sys.maxsize, in_flight_per_host_max)
        self._began_at = began_at
        self._hosts: dict[str, _Host] = {}
        self._stirred = trio.Event()
        self._over = False
        self._begun = trio.Event()
        self._ends = trio.CancelScope()

    def was_overdue(self, step: Step) -> bool:
        """Whether the step's next call was overdue at the start, or has waited under a hold."""
        if self._over:
            return False
        if step.held_since is not None:
            return True
        if step.submitted_at >= self._began_at:
            return False
        if step.state is StepState.BACKING_OFF:
            assert step.due_at is not None
            return step.due_at <= self._began_at and step.delay_by is not DelayBy.INTERRUPTED
        return step.state is StepState.PENDING

    def has_room(self, host: str) -> bool:
        """As for any places, but for a limit that grows."""
        return self._over or self.by_host.get(host, 0) < self.most(host)

    def most(self, host: str) -> float:
        """How many places the host has now."""
        known = self._hosts.get(host)
        return min(FIRST_PLACES if known is None else known.places, self.in_flight_per_host_max)

    def queue(self, host: str, client: str, offer: Offer, *, new: bool) -> None:
        """As for any places."""
        super().queue(host, client, offer, new=new)
        self._stirred.set()

    def call_begins(self, host: str, call: RampCall) -> None:
        """Whose call it is that has taken a place."""
        known = self._hosts.get(host)
        if known is None:
            known = self._hosts[host] = _Host(answered_at=trio.current_time())
        known.calls[call] = None

    def call_ends(self, host: str, call: RampCall, *, answered: bool) -> None:
        """It gives its place back; `answered`: the host could take it."""
        known = self._hosts[host]
        del known.calls[call]
        if answered:
            known.answered(call.took_ms)
        self.give_back(host)

    def begin_again(self) -> None:
        """A hold was released: what has waited under it is as much at once as after a start."""
        self._hosts = {name: host for name, host in self._hosts.items() if host.calls}
        self._ends.deadline = trio.current_time() + LASTS_S
        if self._over:
            self._over = False
            self._begun.set()

    async def run(self) -> None:
        """Give more places where none is given back, until the start is over; the same again after
        each release."""
        while True:
            await self._run()
            await self._begun.wait()
            self._begun = trio.Event()

    async def _run(self) -> None:
        with trio.CancelScope(deadline=trio.current_time() + LASTS_S) as self._ends:
            while True:
                await self._stirred.wait()
                await trio.sleep(EVERY_S)
                self._stirred = trio.Event()
                for host in list(self.queued_by_host):
                    self._stirred.set()
                    if self._hosts[host].is_slow:
                        self._hosts[host].places *= GROWTH
                        self._offer(host)
        self._over = True
        for host in list(self.queued_by_host):
            self._offer(host)
