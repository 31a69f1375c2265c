"""Places under the limits of requests in flight: in all, and for each host.

An attempt takes a place when its request leaves and gives it back when the request ends. It has
none while a post of it hangs: what it waits for may need it, so workflows and steps cannot lock
each other out. When none hangs any more it has one again, also beyond the limit: nobody fails for
it, and nothing begins before there are fewer. Beyond its client's own it counts for that alone.

Who finds no place queues for its host, and is offered one that is free: clients take turns, and
each is served first come first served. What has begun goes before what has not: of a client's eight
places seven go to steps of workflows under way, while any of them waits, and one to a new run.

A client may have a limit of its own (`in_flight_max`). One that is at it keeps its turn at each
host and is passed over, and those of other clients that wait behind it are served.

With `workflows_in_flight_per_host_max` there is a second set of places, for attempts that may post:
those are kept until the attempt ends, also while it waits.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from engine.core.access.client import ClientLimits
from engine.core.access.turns import Turns
from engine.ports.registry import ANY_CLIENT, Clients

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


class ClientCalls:
    """What is in flight of one client that has a limit for it."""

    __slots__ = ("beyond", "hanging", "in_flight", "most", "passed_over")

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0
        self.beyond = 0
        """Of these: they have no place at their host (`hanging.py`)."""
        self.hanging = 0
        """Beside those: attempts that have given their place up (`hanging.py`)."""
        self.passed_over: dict[tuple[OffersPlaces, str], None] = {}
        """Queues, and hosts in them, where it was its turn and it had no room; in their order."""

    @property
    def is_full(self) -> bool:
        """Whether no more of it may begin."""
        return self.in_flight >= self.most


class OffersPlaces(Protocol):
    """A queue, of which a host's part can be asked to go on."""

    def offer(self, host: str) -> None:
        """Offer what is free there to those who wait."""

    def queued_by_client(self, host: str) -> dict[str, int]:
        """How many wait there of each client."""
        ...


class HasCalls(Protocol):
    """A call, and whose limit it counts under."""

    calls: ClientCalls | None
    is_hanging: bool
    """It has given its place up while a post of it hangs."""
    is_beyond: bool
    """It counts for its client alone."""


class LimitedCalls:
    """Those of all clients that have such a limit; of the others nothing is counted."""

    def __init__(self, clients: Clients = ANY_CLIENT) -> None:
        self._clients = clients
        self._known: Mapping[str, ClientLimits] = {}
        self._by_client: dict[str, ClientCalls] = {}
        self.in_flight: Callable[[], Iterable[tuple[str, HasCalls]]] = tuple
        """All calls that have a place or gave it up, each with its client: asked when a limit
        comes."""

    @property
    def any(self) -> bool:
        """Whether any client has one."""
        limits = self._clients.limits
        if limits is not self._known:
            self._follow(limits)
        return bool(self._by_client)

    def of(self, client: str) -> ClientCalls | None:
        """Those of a client; None: it has no limit."""
        return self._by_client.get(client) if self.any else None

    @property
    def by_client(self) -> dict[str, int]:
        """What is in flight of each that has one, as known now; asked from other threads too."""
        return {name: calls.in_flight for name, calls in list(self._by_client.items())}

    def is_full(self, client: str) -> bool:
        """Whether no more of the client may begin."""
        calls = self.of(client)
        return calls is not None and calls.is_full

    def _follow(self, limits: Mapping[str, ClientLimits]) -> None:
        """Limits have changed: what is in flight of a client that had none is counted. What still
        has places under one that was taken away is beyond none any more."""
        self._known, before, self._by_client = limits, self._by_client, {}
        come: dict[str, ClientCalls] = {}
        for client, its in limits.items():
            if its.in_flight_max is not None:
                calls = before.get(client)
                if calls is None:
                    calls = come[client] = ClientCalls(its.in_flight_max)
                calls.most = its.in_flight_max
                self._by_client[client] = calls
        for client in before.keys() - self._by_client.keys():
            before[client].most = sys.maxsize
        if not come:
            return
        for client, call in self.in_flight():
            if client in come:
                its_calls = call.calls = come[client]
                if call.is_hanging:
                    its_calls.hanging += 1
                else:
                    its_calls.in_flight += 1
                    its_calls.beyond += call.is_beyond

    @property
    def some_passed_over(self) -> bool:
        """Whether anybody waits for such a limit."""
        found = False
        for client, calls in self._by_client.items():
            for places, host in list(calls.passed_over):
                if client in places.queued_by_client(host):
                    found = True
                else:
                    del calls.passed_over[places, host]  # what waited there was cancelled
        return found


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
        self.take_back(host)
        return True

    def take_back(self, host: str) -> None:
        """Have a place again, whether one is free or not."""
        self.in_flight += 1
        self.by_host[host] = self.by_host.get(host, 0) + 1

    def queued_by_client(self, host: str) -> dict[str, int]:
        """How many wait there of each client, by whose turn it is."""
        turns = self._queues.get(host)
        return {} if turns is None else {client: turns.waiting(client) for client in turns}

    def queue(self, host: str, client: str, offer: Offer, *, new: bool) -> None:
        """Ask to be offered a place, in the client's turn. `new`: for a run that has not begun."""
        if (turns := self._queues.get(host)) is None:
            turns = self._queues[host] = Turns(_Queue)
        turns.join(client).append(offer, new=new)
        self._note_blocked(host)

    def _note_blocked(self, host: str) -> None:
        if self.in_flight >= self.in_flight_max and host not in self._blocked:
            self._blocked.append(host)

    def give_back(self, host: str, before: Callable[[], None] | None = None) -> None:
        """Return a place, and offer what is free to those who wait. `before`: done in between."""
        self.in_flight -= 1
        self.by_host[host] -= 1
        assert self.in_flight >= 0
        if not self.by_host[host]:
            del self.by_host[host]
        if before is not None:
            before()
        if self._queues:
            self._offer(host)
        for _ in range(len(self._blocked)):
            if self.in_flight >= self.in_flight_max:
                return
            blocked = self._blocked.popleft()
            self._offer(blocked)
            if blocked in self._queues and blocked not in self._blocked:
                self._blocked.append(blocked)

    def _offer(self, host: str) -> None:
        turns = self._queues.get(host)
        if turns is None:
            return
        may = self._may_of(host)
        while turns:
            if not self.has_room(host):
                self._note_blocked(host)
                return
            client = None if may is None else turns.whose(may)
            if may is not None and client is None:
                return
            turns.take(_Queue.next, client)()
        self._queues.pop(host, None)

    def _may_of(self, host: str) -> Callable[[str], bool] | None:
        """Whose turn may come at the host; None: anybody's."""
        return None
