"""Two watchers for all connections: of time-outs, and of clients that leave.

Each costs a request next to nothing, where a cancel scope for each read and a second task for each
request would cost more than reading and answering it.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import trio

POLLRDHUP = getattr(select, "EPOLLRDHUP", 0x2000)


class Timer:
    """One connection's time-out: set `deadline` by `Deadlines.move`."""

    __slots__ = ("deadline", "queued", "strike")

    def __init__(self, strike: Callable[[], None]) -> None:
        self.deadline = math.inf
        """In `trio.current_time()`; infinite: none."""
        self.queued = math.inf
        """When it will be looked at."""
        self.strike: Callable[[], None] | None = strike
        """What is called when the time is over."""

    def stop(self) -> None:
        """It never strikes again, and keeps nothing in memory while it is still queued."""
        self.strike = None


class Deadlines:
    """The time-outs of all connections, kept by one task.

    A deadline that moves back is only noted: its timer is looked at when it would have struck, and
    queued anew. So a connection that is busy is looked at once for each time-out, not once for
    each request.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Timer]] = []
        self._order = count()  # timers themselves cannot be compared
        self._sleep = trio.CancelScope()

    def move(self, timer: Timer, deadline: float) -> None:
        """Let the timer strike at `deadline` and not at another time."""
        timer.deadline = deadline
        if deadline < timer.queued:
            timer.queued = deadline
            heappush(self._queue, (deadline, next(self._order), timer))
            if deadline < self._sleep.deadline:
                self._sleep.deadline = deadline

    async def run(self) -> None:
        """Call the `strike` of each timer whose time is over."""
        while True:
            self._strike_due()
            first = self._queue[0][0] if self._queue else math.inf
            with trio.CancelScope(deadline=first) as self._sleep:
                await trio.sleep_forever()

    def _strike_due(self) -> None:
        now = trio.current_time()
        while self._queue and self._queue[0][0] <= now:
            at, _, timer = heappop(self._queue)
            if at != timer.queued or timer.strike is None:
                continue  # it was queued again for an earlier time, or has ended
            timer.queued = math.inf
            if timer.deadline <= now:
                timer.strike()
            else:
                self.move(timer, timer.deadline)


class HangUps:
    """Says when the other side of a socket has closed it, also while nobody reads from it.

    The kernel keeps the sockets in a set of their own, whose one descriptor becomes readable when
    one of them was closed. Unread bytes before the end hide nothing.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._left: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, left: Callable[[], None]) -> None:
        """Call `left` once, when the other side closes or resets, until `forget`."""
        self._epoll.register(fd, POLLRDHUP | select.EPOLLONESHOT)
        self._left[fd] = left

    def forget(self, fd: int) -> None:
        """Must come before the descriptor is closed: its number is given to another one."""
        del self._left[fd]
        self._epoll.unregister(fd)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0):
                self._left[fd]()

    def close(self) -> None:
        """Give the set's own descriptor back."""
        self._epoll.close()
