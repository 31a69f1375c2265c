"""Places under the limits of requests in flight: in all, and for each host.

An attempt takes a place when its request leaves and gives it back when the request ends, or at its
first open child: a workflow that waits for its steps holds none, so workflows and steps cannot
lock each other out. Who finds no place queues, first come first served for each host, and is
offered the next one that is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Offer = Callable[[], bool]
"""Called with a place free; True if it was taken. Must not wait."""


class Places:
    """Counts what is in flight. All calls are synchronous: nothing comes between look and take."""

    def __init__(self, in_flight_max: int, in_flight_per_host_max: int) -> None:
        self.in_flight_max = in_flight_max
        self.in_flight_per_host_max = in_flight_per_host_max
        self.in_flight = 0
        self.by_host: dict[str, int] = {}
        self._queues: dict[str, deque[Offer]] = {}
        self._blocked: deque[str] = deque()
        """Hosts whose queues were stopped by the limit in all, in turn."""

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._queues.values()))

    def take(self, host: str) -> bool:
        """Take a place for a request to `host`, if there is one."""
        used = self.by_host.get(host, 0)
        if self.in_flight >= self.in_flight_max or used >= self.in_flight_per_host_max:
            return False
        self.in_flight += 1
        self.by_host[host] = used + 1
        return True

    def queue(self, host: str, offer: Offer) -> None:
        """Ask to be offered a place."""
        self._queues.setdefault(host, deque()).append(offer)
        if self.in_flight >= self.in_flight_max and host not in self._blocked:
            self._blocked.append(host)

    def give_back(self, host: str) -> None:
        """Return a place, and offer what is free to those who wait."""
        self.in_flight -= 1
        self.by_host[host] -= 1
        assert self.in_flight >= 0
        if not self.by_host[host]:
            del self.by_host[host]
        self._offer(host)
        for _ in range(len(self._blocked)):
            if self.in_flight >= self.in_flight_max:
                return
            blocked = self._blocked.popleft()
            self._offer(blocked)
            if blocked in self._queues:
                self._blocked.append(blocked)

    def _offer(self, host: str) -> None:
        queue = self._queues.get(host)
        while queue:
            free = self.in_flight < self.in_flight_max
            if not free or self.by_host.get(host, 0) >= self.in_flight_per_host_max:
                return
            queue.popleft()()
        if queue is not None and not queue:
            self._queues.pop(host, None)
