"""Which posts may open a run, as far as the limits of their client say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.core.access.client import NO_LIMITS, ClientLimits
from engine.core.events import RunMoved
from engine.core.machine import Change
from engine.core.model import OPEN
from engine.ports.registry import Clients
from engine.runs.limits.rates import Rates
from engine.runs.limits.refusals import (
    rate_limited,
    too_many_callers,
    too_many_runs,
    too_many_waiting,
)

RECOUNT_MS = 30_000
"""How old the count of a client's open runs may be when it is refused for it: then the next post
has it counted anew, so that no difference from the record stays."""


async def _none(client: str) -> int:
    return 0


class NewRuns:
    """Made once, for an engine. Not asked while no client has limits."""

    def __init__(self, registry: Clients, now: Callable[[], int]) -> None:
        """`now`: milliseconds on a clock that never goes back."""
        self._registry, self._now = registry, now
        self._rates = Rates()
        self.count_open: Callable[[str], Awaitable[int]] = _none
        """Says how many open runs of a client are recorded."""
        self.open: dict[str, int] = {}
        """By client, its open runs; of those whose limit asks for it."""
        self._counted_at: dict[str, int] = {}
        self._counting = trio.Lock()
        self.waiting: dict[str, int] = {}
        """By client, callers that wait; of those that have a limit for it."""
        self.refused: dict[str, int] = {}
        """By client, how many posts were refused."""

    async def enter(self, client: str, *, waits: bool) -> bool:
        """Let a post pass that will open a run. True: there was a wait, while the open runs of its
        client were counted; whether it opens one has to be looked at again. `waits`: for an
        outcome. Raises Refused."""
        limits = self._limits_of(client)
        if limits.open_runs_max is None or client in self._counted_at:
            self.check(client, waits=waits)
            return False
        await self.open_now(client)
        return True

    async def open_now(self, client: str) -> int:
        """How many runs of a client with a limit for that are open; they are counted, if they have
        not been. Raises Refused when they cannot be."""
        async with self._counting:
            if client not in self._counted_at:
                await self._count(client)
        return self.open[client]

    def may_open(self, client: str, *, waits: bool = False) -> bool:
        """Whether a post of this client may open a run now, and wait, as far as it is known."""
        limits = self._limits_of(client)
        if limits is NO_LIMITS:
            return True
        if self._has_too_many(client, limits) or self._rate_wait_s(client, limits):
            return False
        return not (waits and self._has_too_many_callers(client, limits))

    def check(self, client: str, *, waits: bool) -> None:
        """Raises Refused for a post of this client that would open a run, and perhaps wait."""
        limits = self._limits_of(client)
        if limits is NO_LIMITS:
            return
        if limits.open_runs_max is not None and self._has_too_many(client, limits):
            if self._now() - self._counted_at[client] > RECOUNT_MS:
                del self._counted_at[client], self.open[client]
            self._count_refused(client)
            raise too_many_runs(client, limits.open_runs_max)
        most = limits.waiting_callers_max
        if most is not None and waits and self._has_too_many_callers(client, limits):
            self._count_refused(client)
            raise too_many_callers(client, most)
        wait_s = self._rate_wait_s(client, limits)
        if limits.new_runs_per_s is not None and wait_s:
            self._count_refused(client)
            raise rate_limited(client, limits.new_runs_per_s, wait_s)

    def opened(self, client: str) -> None:
        """It has opened one."""
        if (per_s := self._limits_of(client).new_runs_per_s) is not None:
            self._rates.take(client, per_s, self._now() / 1000)

    def check_waiting(self, client: str) -> None:
        """Raises Refused for who would wait, and does not post."""
        limits = self._limits_of(client)
        most = limits.waiting_callers_max
        if most is not None and self._has_too_many_callers(client, limits):
            raise too_many_waiting(client, most)

    def stream_begins(self, client: str) -> Waiting | None:
        """Count an event stream for one client among its callers that wait; None: it has no limit.
        Raises Refused where there are as many as may be."""
        self.check_waiting(client)
        return Waiting(self, client) if self.caller_waits(client) else None

    def caller_waits(self, client: str) -> bool:
        """A caller begins to wait. True if it counts, and `caller_leaves` is to follow."""
        if self._limits_of(client).waiting_callers_max is None:
            return False
        self.waiting[client] = self.waiting.get(client, 0) + 1
        return True

    def caller_leaves(self, client: str) -> None:
        """One that counted waits no more."""
        self.waiting[client] -= 1

    def note(self, change: Change) -> None:
        """Follow what becomes of a run; asked while `open` has anybody."""
        client = change.run.client
        if client in self.open:
            for event in change.events:
                if isinstance(event, RunMoved):
                    self.open[client] += (event.state in OPEN) - (event.before in OPEN)

    async def _count(self, client: str) -> None:
        self.open[client] = 0  # what moves meanwhile is noted
        try:
            self.open[client] += await self.count_open(client)
            self._counted_at[client] = self._now()
        except BaseException:
            del self.open[client]
            raise

    def _count_refused(self, client: str) -> None:
        self.refused[client] = self.refused.get(client, 0) + 1

    def _limits_of(self, client: str) -> ClientLimits:
        return self._registry.limits.get(client, NO_LIMITS)

    def _has_too_many(self, client: str, limits: ClientLimits) -> bool:
        most = limits.open_runs_max
        return most is not None and client in self._counted_at and self.open[client] >= most

    def _has_too_many_callers(self, client: str, limits: ClientLimits) -> bool:
        most = limits.waiting_callers_max
        return most is not None and self.waiting.get(client, 0) >= most

    def _rate_wait_s(self, client: str, limits: ClientLimits) -> float:
        per_s = limits.new_runs_per_s
        return 0.0 if per_s is None else self._rates.wait_s(client, per_s, self._now() / 1000)


class Waiting:
    """A caller that counts as one that waits, until it leaves."""

    __slots__ = ("_client", "_new_runs")

    def __init__(self, new_runs: NewRuns, client: str) -> None:
        self._new_runs: NewRuns | None = new_runs
        self._client = client

    def give_back(self) -> None:
        """It waits no more. A second time changes nothing."""
        new_runs, self._new_runs = self._new_runs, None
        if new_runs is not None:
            new_runs.caller_leaves(self._client)
