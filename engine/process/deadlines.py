"""Time-outs by the thousand, kept by one task.

A Trio scope with a deadline costs a request more than the sending does, each time the deadline
moves: here most moves are a number that changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

import trio

LATE_S = 0.1
"""So late is only a process that stood still: its machine was moved, or somebody stopped it."""
TURNS_FIRST = 3
"""Of the loop, in which what came meanwhile is read."""
STOPPED_MAX = 1_000
"""So many timers that will never strike may queue; beyond, they are at most half of all."""


class Timer:
    """One time-out: set `deadline` by `Deadlines.move`."""

    __slots__ = ("deadline", "queued", "strike")

    def __init__(self, strike: Callable[[], None]) -> None:
        self.deadline = math.inf
        """In `trio.current_time()`; infinite: none."""
        self.queued = math.inf
        """When it will be looked at."""
        self.strike: Callable[[], None] | None = strike
        """What is called when the time is over."""


class Deadlines:
    """The time-outs of all connections, or of all runs.

    A deadline that moves back is only noted: its timer is looked at when it would have struck, and
    queued anew. So a connection that is busy is looked at once for each time-out, not once for
    each request.
    """

    def __init__(self) -> None:
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        """`trio.current_time()` at a third of the price: a workflow asks some sixty times."""
        self._queue: list[tuple[float, int, Timer]] = []
        self._stopped = 0
        """How many in the queue are stopped."""
        self._order = count()  # timers themselves cannot be compared
        self._sleep = trio.CancelScope()

    def __len__(self) -> int:
        """How many timers queue, stopped ones among them."""
        return len(self._queue)

    def move(self, timer: Timer, deadline: float) -> None:
        """Let the timer strike at `deadline` and not at another time, unless it is stopped."""
        timer.deadline = deadline
        if deadline < timer.queued and timer.strike is not None:
            timer.queued = deadline
            heappush(self._queue, (deadline, next(self._order), timer))
            if deadline < self._sleep.deadline:
                self._sleep.deadline = deadline

    def stop(self, timer: Timer) -> None:
        """It never strikes again, and keeps nothing in memory while it is still queued."""
        timer.strike = None
        if timer.queued == math.inf:
            return
        self._stopped += 1
        if self._stopped > STOPPED_MAX and 2 * self._stopped > len(self._queue):
            self._queue = [entry for entry in self._queue if entry[2].strike is not None]
            heapify(self._queue)
            self._stopped = 0

    async def run(self) -> None:
        """Call the `strike` of each timer whose time is over."""
        while True:
            self._strike_due()
            first = self._queue[0][0] if self._queue else math.inf
            with trio.CancelScope(deadline=first) as self._sleep:
                await trio.sleep_forever()
            if self.now() > self._sleep.deadline + LATE_S:
                for _ in range(TURNS_FIRST):  # what lies in the sockets came in time
                    await trio.lowlevel.checkpoint()

    def _strike_due(self) -> None:
        now = self.now()
        while self._queue and self._queue[0][0] <= now:
            at, _, timer = heappop(self._queue)
            if at != timer.queued:
                continue  # it was queued again for an earlier time
            timer.queued = math.inf
            if timer.strike is None:
                self._stopped -= 1
            elif timer.deadline <= now:
                timer.strike()
            else:
                self.move(timer, timer.deadline)
