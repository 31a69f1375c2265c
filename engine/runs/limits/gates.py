"""What keeps a call to a host from beginning beside its places: limits set for it, and failure.

A host has a gate when limits are set for it by name, or while it fails (`trouble.py`). Who waits
for one queues with those that wait for a place, in the same order, and is offered both together;
retries over the budget wait apart, for first attempts go on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

import trio

from engine.core.access.limits import NO_HOST_LIMITS, HostLimits
from engine.runs.limits.concurrency import (
    ClientCalls,
    LimitedCalls,
    Offer,
    OffersPlaces,
    Places,
)
from engine.runs.limits.rates import CallRate
from engine.runs.limits.trouble import CALLS_MIN, Trouble

EVERY_S = 0.1
"""How often it is looked whether who waits may begin."""
IDLE_S = 1.0
"""The same while nobody waits: what is known of a host is forgotten some time."""

FORGOTTEN_S = 60.0
"""When a host is forgotten whose breaker is open, and that nobody waits for."""


class WaitsFor(StrEnum):
    """Why an attempt that is due has not begun."""

    PLACE = "place"
    """Requests in flight are at their limit: at its host or in all."""
    RATE = "rate"
    """`calls_per_s` of its host."""
    BREAKER = "breaker"
    """Its host fails: one attempt a second is tried."""
    RETRY_BUDGET = "retry-budget"
    """Its host fails, and enough calls there are retries."""
    RAMP = "ramp"
    """It was overdue at the start, and its host gets those a few at a time."""
    WORKFLOW_PLACE = "workflow-place"
    """`workflows_in_flight_per_host_max`."""
    CLIENT_PLACE = "client-place"
    """`in_flight_max` of its client."""


class Gate:
    """That of one host."""

    __slots__ = ("_rate", "limits", "trouble")

    def __init__(self) -> None:
        self.limits = NO_HOST_LIMITS
        self.trouble: Trouble | None = None
        self._rate: CallRate | None = None

    def set_limits(self, limits: HostLimits) -> None:
        """From now on; what is in flight goes on."""
        if limits.calls_per_s != self.limits.calls_per_s:
            self._rate = None if limits.calls_per_s is None else CallRate(limits.calls_per_s)
        self.limits = limits

    @property
    def is_needed(self) -> bool:
        """Whether it can keep anything back."""
        return self.trouble is not None or self.limits != NO_HOST_LIMITS

    @property
    def breaker_since(self) -> float | None:
        """Since when the breaker is open (Trio's clock); None: it is not."""
        trouble = self.trouble
        return trouble.opened_at if trouble is not None and trouble.room == 0 else None

    def waits_for(self, in_flight: int, in_flight_max: int, now: float) -> WaitsFor | None:
        """What keeps a first attempt from beginning."""
        if self.trouble is not None and not self.trouble.lets_through(now):
            return WaitsFor.BREAKER
        if self._rate is not None and self._rate.wait_s(now):
            return WaitsFor.RATE
        most = self.limits.in_flight_max
        if in_flight >= (in_flight_max if most is None else most):
            return WaitsFor.PLACE
        return None

    def next_call_in_s(self, now: float) -> float:
        """How long until the host's rate lets one begin."""
        return 0.0 if self._rate is None else self._rate.wait_s(now)

    @property
    def waited_for(self) -> WaitsFor:
        """The same of those who are about to be let through."""
        if self.trouble is not None and self.trouble.room is not None:
            return WaitsFor.BREAKER
        return WaitsFor.PLACE if self._rate is None else WaitsFor.RATE

    def has_retry_left(self, now: float) -> bool:
        """Whether a retry may begin, as far as the budget goes."""
        return self.trouble is None or self.trouble.has_retry_left(now)

    def call_begins(self, call: object, *, is_retry: bool) -> None:
        """It leaves."""
        now = trio.current_time()
        if self._rate is not None:
            self._rate.note(now)
        if self.trouble is not None:
            self.trouble.call_begins(call, now, is_retry=is_retry)


class HostPlaces(Places):
    """Places at hosts, of which some have gates."""

    def __init__(
        self, in_flight_max: int, in_flight_per_host_max: int, limited: LimitedCalls | None = None
    ) -> None:
        super().__init__(in_flight_max, in_flight_per_host_max)
        self.limited = limited or LimitedCalls()
        self.gates: dict[str, Gate] = {}
        self.stirred = trio.Event()
        """Set when there is a gate more, or somebody waits at one, or for a client's limit."""

    def has_room(self, host: str) -> bool:
        """Whether a call to `host` may begin."""
        used = self.by_host.get(host, 0)
        if self.gates and (gate := self.gates.get(host)) is not None:
            now = trio.current_time()
            return (
                self.in_flight < self.in_flight_max
                and gate.waits_for(used, self.in_flight_per_host_max, now) is None
            )
        return self.in_flight < self.in_flight_max and used < self.in_flight_per_host_max

    def waits_for(self, host: str) -> WaitsFor:
        """What those wait for who queue at this host."""
        gate = self.gates.get(host)
        if gate is None or self.in_flight >= self.in_flight_max:
            return WaitsFor.PLACE
        used = self.by_host.get(host, 0)
        why = gate.waits_for(used, self.in_flight_per_host_max, trio.current_time())
        return why or gate.waited_for

    def queue(self, host: str, client: str, offer: Offer, *, new: bool) -> None:
        """As for any places."""
        super().queue(host, client, offer, new=new)
        if host in self.gates:
            self.stirred.set()
        if self.limited.any:
            self.may(self, host, client)

    def call_of_limited_ends(self, calls: ClientCalls) -> None:
        """A client may have one more in flight: its hosts take turns."""
        calls.in_flight -= 1
        for _ in range(len(calls.passed_over)):
            if calls.is_full or not calls.passed_over:
                return
            places, host = next(iter(calls.passed_over))
            del calls.passed_over[places, host]
            places.offer(host)  # and last in turn, if it is passed over again

    def may(self, places: OffersPlaces, host: str, client: str) -> bool:
        """Whether a call of the client may begin, as far as its own limit goes; else it is
        remembered that one waits here."""
        calls = self.limited.of(client)
        if calls is None or not calls.is_full:
            return True
        calls.passed_over[places, host] = None
        self.stirred.set()
        return False

    def _may_of(self, host: str) -> Callable[[str], bool] | None:
        return partial(self.may, self, host) if self.limited.any else None

    def offer(self, host: str) -> None:
        """Offer what is free there to those who wait."""
        self._offer(host)


class Retries(Places):
    """Those over the budget of a host that fails."""

    def __init__(self, at_hosts: HostPlaces) -> None:
        super().__init__(sys.maxsize, sys.maxsize)
        self._at_hosts = at_hosts

    def has_room(self, host: str) -> bool:
        """Whether a retry may begin: in its turn after those who wait for a place."""
        gate = self._at_hosts.gates.get(host)
        has_left = gate is None or gate.has_retry_left(trio.current_time())
        return has_left and self._at_hosts.has_room(host)

    def queue(self, host: str, client: str, offer: Offer, *, new: bool) -> None:
        """As for any places."""
        super().queue(host, client, offer, new=new)
        self._at_hosts.stirred.set()

    def _may_of(self, host: str) -> Callable[[str], bool] | None:
        its = self._at_hosts
        return partial(its.may, self, host) if its.limited.any else None

    def offer(self, host: str) -> None:
        """Offer what is free there to those who wait."""
        self._offer(host)


class Gates:
    """All of them, and who waits at one. `warn` is told of breakers."""

    def __init__(self, at_hosts: HostPlaces, warn: Callable[..., None]) -> None:
        self.by_host = at_hosts.gates
        self.retries = Retries(at_hosts)
        self.opened = 0
        """Breakers that opened, since the start."""
        self._at_hosts, self._warn = at_hosts, warn

    @property
    def breakers_open(self) -> int:
        """Hosts whose breaker is open now."""
        return sum(gate.breaker_since is not None for gate in self.by_host.values())

    def set_limits(self, limits: Mapping[str, HostLimits]) -> None:
        """Those of all hosts, by their names in URLs, instead of what was set before."""
        for host in {*self.by_host, *limits}:
            self._of(host).set_limits(limits.get(host, NO_HOST_LIMITS))
        self._forget()
        for host in self._at_hosts.queued_by_host:
            self._at_hosts.offer(host)

    def has_retry_left(self, host: str) -> bool:
        """Whether a retry may begin, as far as the budget goes."""
        gate = self.by_host.get(host)
        return gate is None or gate.has_retry_left(trio.current_time())

    def call_ended(self, host: str, call: object, *, failed: bool) -> None:
        """An attempt was answered, or made its first post: `failed` False. Or it was refused, timed
        out, 5xx or 429."""
        now = trio.current_time()
        if not failed:
            gate = self.by_host.get(host)
            if gate is not None and gate.trouble is not None:
                self._answered(host, gate.trouble, call, now)
            return
        gate = self._of(host)
        if gate.trouble is None:
            gate.trouble = Trouble(now)
        if gate.trouble.call_failed(call, now):
            self.opened += 1
            self._warn(
                "breaker-open", host=host, why=f"nearly all of {CALLS_MIN} calls or more failed",
                hint="one attempt a second is tried; the others wait, and spend no retry",
            )  # fmt: skip

    def _answered(self, host: str, trouble: Trouble, call: object, now: float) -> None:
        if trouble.call_answered(call, now) and trouble.opened_at is not None:
            took_s = now - trouble.opened_at
            trouble.opened_at = None
            self._warn("breaker-closed", host=host, after_s=round(took_s, 1))
            self._at_hosts.stirred.set()

    def call_left(self, host: str, call: object) -> None:
        """Its place is given back, whatever it came to."""
        gate = self.by_host.get(host)
        if gate is not None and gate.trouble is not None:
            gate.trouble.calls.pop(call, None)

    async def run(self) -> None:
        """Offer what has become free with time, until cancelled."""
        places = self._at_hosts
        while True:
            if self._somebody_waits:
                await trio.sleep(EVERY_S)
            elif not self.by_host:
                await places.stirred.wait()
            else:
                with trio.move_on_after(IDLE_S):
                    await places.stirred.wait()
            places.stirred = trio.Event()
            self._forget()
            for host in list(places.queued_by_host):
                places.offer(host)
            for host in list(self.retries.queued_by_host):
                self.retries.offer(host)

    @property
    def _somebody_waits(self) -> bool:
        waiting = self._at_hosts.queued_by_host
        return (
            bool(self.retries.queued_by_host)
            or any(host in waiting for host in self.by_host)
            or self._at_hosts.limited.some_passed_over
        )

    def _of(self, host: str) -> Gate:
        if (gate := self.by_host.get(host)) is None:
            gate = self.by_host[host] = Gate()
            self._at_hosts.stirred.set()
        return gate

    def _forget(self) -> None:
        """What is not needed any more."""
        now = trio.current_time()
        waiting = self._at_hosts.queued_by_host
        for host, gate in list(self.by_host.items()):
            trouble = gate.trouble
            if trouble is not None:
                unused = host not in waiting and now > trouble.failed_at + FORGOTTEN_S
                if trouble.is_over(now) or unused:
                    gate.trouble = None
            if not gate.is_needed:
                del self.by_host[host]
