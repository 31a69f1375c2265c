"""Places under the limits of requests in flight: in all, and for each host.

An attempt takes a place when its request leaves and gives it back when the request ends, or at its
first open child: a workflow that waits for its steps has none, so workflows and steps cannot
lock each other out. Who finds no place queues for its host, and is offered one that is free:
clients take turns, and each is served first come first served. What has begun goes before what has
not: of a client's eight places seven go to steps of workflows under way, while any of them waits,
and one to a new run.

With `workflows_in_flight_per_host_max` there is a second set of places, for attempts that may post:
those are kept until the attempt ends, also while it waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache

from engine.runs.limits.turns import Turns

Offer = Callable[[], bool]
"""Called with a place free; True if it was taken. Must not wait."""


NEW_ONE_IN = 8
"""New runs begin at least so often, or one with thousands of slow steps would keep all others
out. More often, and under load everything would be begun and little ended."""


@lru_cache(maxsize=4_096)
def host_of(url: str) -> str:
    """Host and port of a normalised URL: what the limit for one host counts by."""
    return url.split("/", 3)[2]


class _Queue:
    """Who of one client waits for a place at one host."""

    def __init__(self) -> None:
        self._under_way: deque[Offer] = deque()
        self._new: deque[Offer] = deque()
        self._turn = 0

    def __len__(self) -> int:
        return len(self._under_way) + len(self._new)

    def append(self, offer: Offer, *, new: bool) -> None:
        (self._new if new else self._under_way).append(offer)

    def next(self) -> Offer:
        self._turn = (self._turn + 1) % NEW_ONE_IN
        if not self._new or (self._under_way and self._turn):
            return self._under_way.popleft()
        return self._new.popleft()


class Places:
    """Counts what is in flight. All calls are synchronous: nothing comes between look and take."""

    def __init__(self, in_flight_max: int, in_flight_per_host_max: int) -> None:
        self.in_flight_max = in_flight_max
        self.in_flight_per_host_max = in_flight_per_host_max
        self.in_flight = 0
        self.by_host: dict[str, int] = {}
        self._queues: dict[str, Turns[_Queue]] = {}
        self._blocked: deque[str] = deque()
        """Hosts whose queues were stopped by the limit in all, in turn."""

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._queues.values()))

    @property
    def queued_by_host(self) -> dict[str, int]:
        """The same for each host where any do."""
        return {host: len(turns) for host, turns in self._queues.items()}

    def has_room(self, host: str) -> bool:
        """Whether there is a place for a request to `host`."""
        used = self.by_host.get(host, 0)
        return self.in_flight < self.in_flight_max and used < self.in_flight_per_host_max

    def take(self, host: str) -> bool:
        """Take a place for a request to `host`, if there is one."""
        if not self.has_room(host):
            return False
        self.in_flight += 1
        self.by_host[host] = self.by_host.get(host, 0) + 1
        return True

    def queue(self, host: str, client: str, offer: Offer, *, new: bool) -> None:
        """Ask to be offered a place, in the client's turn. `new`: for a run that has not begun."""
        if (turns := self._queues.get(host)) is None:
            turns = self._queues[host] = Turns(_Queue)
        turns.join(client).append(offer, new=new)
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
        turns = self._queues.get(host)
        while turns:
            if not self.has_room(host):
                return
            turns.take(_Queue.next)()
        if turns is not None and not turns:
            self._queues.pop(host, None)
