"""Clients take turns: each has a queue of its own, and that which has waited longest is next.

So one with thousands that wait makes another wait for one of them, and not for all. With a single
client it is that client's queue.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sized
from typing import Generic, TypeVar

Q = TypeVar("Q", bound=Sized)
T = TypeVar("T")


class Turns(Generic[Q]):
    """The queues of those clients for which somebody waits. `make` makes one."""

    __slots__ = ("_by_client", "_make")

    def __init__(self, make: Callable[[], Q]) -> None:
        self._make = make
        self._by_client: OrderedDict[str, Q] = OrderedDict()

    def __len__(self) -> int:
        """How many wait, of all clients."""
        return sum(map(len, self._by_client.values()))

    def __bool__(self) -> bool:
        return bool(self._by_client)

    def __iter__(self) -> Iterator[str]:
        """The clients, by whose turn it is."""
        return iter(self._by_client)

    def waiting(self, client: str) -> int:
        """How many wait of one client."""
        queue = self._by_client.get(client)
        return 0 if queue is None else len(queue)

    def clients_with(self, client: str) -> int:
        """How many clients take turns when this one is among them."""
        return len(self._by_client) + (client not in self._by_client)

    def join(self, client: str) -> Q:
        """The client's queue, to which the caller adds whoever waits."""
        if (queue := self._by_client.get(client)) is None:
            queue = self._by_client[client] = self._make()
        return queue

    def whose(self, may: Callable[[str], bool]) -> str | None:
        """Whose turn it is of those that may have one; the others stay where they are."""
        return next(filter(may, self._by_client), None)

    def take(self, take: Callable[[Q], T], client: str | None = None) -> T:
        """What `take` takes out of the queue whose turn it is, or that of the client; the next turn
        is another client's.

        There must be one who waits.
        """
        if client is None:
            client = next(iter(self._by_client))
        queue = self._by_client[client]
        taken = take(queue)
        if queue:
            self._by_client.move_to_end(client)
        else:
            del self._by_client[client]
        return taken

    def leave(self, client: str) -> None:
        """The caller has taken somebody out of the client's queue, out of turn."""
        if not self._by_client[client]:
            del self._by_client[client]
