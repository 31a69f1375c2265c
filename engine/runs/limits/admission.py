"""Lets new runs in while that makes the engine do more, and says no at once when too many queue.

More runs under way get more done only as long as Trio's loop has idle moments. Beyond, they take
turns: each gets slower, memory grows and nothing is found in the processor's caches, the
application's either. So while the loop never sleeps new runs queue, and are let in as others end:
as many are under way as keep the loop busy. Clients take turns. The queue of each is bounded by the
time that its last would wait. Posts for runs that there are already do not queue.

`run` makes it work; without it everybody is let in at once.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from engine.core.access.turns import Turns
from engine.core.errors import Refused
from engine.runs.limits.refusals import overloaded

UNDER_WAY_ALWAYS = 128
"""So many runs may be under way however busy the loop is."""
PULSE_S = 0.05
"""How often it is looked how idle the loop is, while nobody queues."""
QUEUE_PULSE_S = 0.01
"""The same while somebody does."""
SMOOTHED_OVER_S = 0.25
IDLE_SHARE_LOW = 0.15
"""A loop that sleeps less than this share of its time is busy: fewer runs do as much. With just
enough runs under way it sleeps for a tenth, when commits and answers come at the wrong moment."""
IDLE_SHARE_HIGH = 0.3
"""One that sleeps more than this has time for more runs."""
DOUBLES_IN_S = 0.25
HALVES_IN_S = 0.5
LIMIT_MAX = 1e9
RATE_OVER_S = 0.5
"""Over how long the rate at which runs are let in is taken."""
QUEUE_ALWAYS = 2_000
"""So many may queue before any rate is known: a burst is no overload."""


class Idle(trio.abc.Instrument):
    """Counts how long Trio's loop slept."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.slept_s = 0.0
        self._now, self._since = now, 0.0

    def before_io_wait(self, timeout: float) -> None:
        """The loop has nothing to do but wait."""
        self._since = self._now() if timeout > 0 else math.inf

    def after_io_wait(self, timeout: float) -> None:
        """It goes on."""
        self.slept_s += max(0.0, self._now() - self._since)


_Queue = OrderedDict[trio.Event, None]
"""Of one client, in the order they came."""


class Admission:
    """The queue of posts that will open runs."""

    def __init__(
        self, wait_s_max: float, under_way: Callable[[], int], idle: Idle | None = None
    ) -> None:
        """`under_way` says how many runs have a request open or wait for a place."""
        self.wait_s_max = wait_s_max
        self.limit = LIMIT_MAX
        """How many runs may be under way before new ones queue."""
        self.refused = 0
        self._under_way = under_way
        self._idle = idle or Idle(trio.lowlevel.current_clock().current_time)
        self._queue: Turns[_Queue] = Turns(OrderedDict)
        self._entering = 0
        """Let in, and not under way yet."""
        self._per_s = 0.0

    def __len__(self) -> int:
        """How many posts queue."""
        return len(self._queue)

    def is_full(self, client: str) -> bool:
        """Whether a post of the client that joins now would wait longer than `wait_s_max`."""
        return self._ahead(client) >= max(QUEUE_ALWAYS, self._per_s * self.wait_s_max)

    def _ahead(self, client: str) -> int:
        """How many turns come before one that joins now."""
        return self._queue.waiting(client) * self._queue.clients_with(client)

    @property
    def room(self) -> float:
        """How many more may be under way now."""
        return self.limit - self._under_way() - self._entering

    async def enter(self, client: str) -> bool:
        """Wait for one's turn, if the engine is busy; returns whether there was a wait.

        Raises Refused (`overloaded`) when it would be too long.
        """
        if not self._queue and self.room > 0:
            return False
        if self.is_full(client):
            raise self.refuse(client)
        turn = trio.Event()
        queue = self._queue.join(client)
        queue[turn] = None
        try:
            await turn.wait()
        finally:
            if turn in queue:
                del queue[turn]  # it leaves before its turn
                self._queue.leave(client)
            else:
                self._entering -= 1
        return True

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Around what takes time to somebody who was let in, before they are under way."""
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1

    def refuse(self, client: str) -> Refused:
        """Count a refusal, and say when to ask again."""
        self.refused += 1
        wait_s = math.ceil(self._ahead(client) / max(1.0, self._per_s))
        return overloaded("new_runs_wait_ms_max", min(wait_s, math.ceil(self.wait_s_max)))

    def let_all_in(self) -> None:
        """Nobody queues any longer: the engine stops, and tells each so."""
        self._let_in(len(self._queue))

    def _let_in(self, count: int) -> int:
        for _ in range(count):
            turn = self._queue.take(_first)
            self._entering += 1
            turn.set()
        return count

    async def run(self) -> None:
        """Watch the loop, and let in who queues, until cancelled."""
        trio.lowlevel.add_instrument(self._idle)
        try:
            await self._run()
        finally:
            trio.lowlevel.remove_instrument(self._idle)

    async def _run(self) -> None:
        self.limit, idle_share = UNDER_WAY_ALWAYS, 0.0
        entered, since = 0, trio.current_time()
        looked_at, slept_s = since, self._idle.slept_s
        while True:
            await trio.sleep(QUEUE_PULSE_S if self._queue else PULSE_S)
            now = trio.current_time()
            took_s, idle_s = now - looked_at, self._idle.slept_s - slept_s
            looked_at, slept_s = now, self._idle.slept_s
            weight = min(1.0, took_s / SMOOTHED_OVER_S)
            idle_share += (min(1.0, idle_s / took_s) - idle_share) * weight
            self._set_limit(idle_share, took_s)
            if self._queue and self.room > 0:
                entered += self._let_in(math.ceil(min(self.room, len(self._queue))))
            if now - since >= RATE_OVER_S:
                self._per_s, entered, since = entered / (now - since), 0, now

    def _set_limit(self, idle_share: float, took_s: float) -> None:
        """More runs while there is time for them, fewer while there is none."""
        if idle_share > IDLE_SHARE_HIGH:
            self.limit *= 2 ** (took_s / DOUBLES_IN_S)
        elif idle_share < IDLE_SHARE_LOW:
            under_way = self._under_way() + self._entering
            self.limit = min(self.limit, under_way) * 0.5 ** (took_s / HALVES_IN_S)
        self.limit = min(max(self.limit, UNDER_WAY_ALWAYS), LIMIT_MAX)


def _first(queue: _Queue) -> trio.Event:
    return queue.popitem(last=False)[0]
