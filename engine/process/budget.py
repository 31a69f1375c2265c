"""The budget of bytes in memory: what is large waits for room before it is read.

`memory_bytes_max` is divided among the ways that bytes take: posts coming in, payloads going out to
endpoints, their answers coming back, answers to callers. Each way has a pool of its own, so that
none can take the room that would free another, and whoever has room in one pool never waits for
another. Three rules keep each pool going:

* **Room is taken whole, before the bytes are read.** Nobody has half of what it needs.
* **Nobody takes more than what is left free.** One owner (a host, a client) gets half of a pool,
  two a third each: a host that hangs leaves room to the others (dynamic thresholds, Choudhury and
  Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).
* **Who finds the pool empty gets room, whatever its size**, so that no budget is too small.

A client may have a *share* of the budget (`memory_share`): of each pool it then takes no more than
that part. Within it the same rules hold: its hosts leave each other room, and one that has nothing
of it gets room whatever its size, if the pool has it. Who waits for its client's share is in the
way of nobody else.

Whoever has room gives it back within a time of its own (`attemptTimeout`, `body_timeout_ms`,
`unread_answer_timeout_ms`, a commit): so each that waits gets its turn.
"""

from __future__ import annotations

from collections import deque

import trio

from engine.ports.caller import SMALL_BYTES_MAX
from engine.ports.registry import ANY_CLIENT, Clients

SMALL_PARTS = 64
"""What is small is at most this part of the budget: it matters for budgets of tests only."""
NEW_PART = 0.75
"""Of a pool, for what opens runs: the rest is kept for posts of runs under way."""


class Charge:
    """Room in a pool, until it is given back."""

    __slots__ = ("_pool", "owner", "sharer", "size")

    def __init__(self, pool: Pool, owner: str, size: int, sharer: str = "") -> None:
        self._pool, self.owner, self.size, self.sharer = pool, owner, size, sharer

    def give_back(self) -> None:
        """Return the room. A second time changes nothing."""
        size, self.size = self.size, 0
        if size:
            self._pool._returned(self, size)  # noqa: SLF001 - the other half of the same class


class Parcel:
    """Bytes that are handed on, and the room that they take: who has taken them out has the only
    copy, and says when the room is free."""

    __slots__ = ("_charge", "data")

    def __init__(self, data: bytes, charge: Charge | None = None) -> None:
        self.data = data
        self._charge = charge

    @property
    def has_room(self) -> bool:
        """They take room of their own, being large."""
        return self._charge is not None

    def take(self) -> bytes:
        """The bytes, which are here no more."""
        data, self.data = self.data, b""
        return data

    def let_go(self) -> None:
        """They are nowhere any more. A second time changes nothing."""
        self.data = b""
        if self._charge is not None:
            self._charge.give_back()


class _Waiter:
    __slots__ = ("charge", "size", "turn")

    def __init__(self, size: int) -> None:
        self.size = size
        self.turn = trio.Event()
        self.charge: Charge | None = None


class _Shares:
    """What clients with a share of the budget have of one pool."""

    __slots__ = ("_by_client", "_by_part", "_bytes_max", "_clients")

    def __init__(self, bytes_max: int, clients: Clients) -> None:
        self._bytes_max, self._clients = bytes_max, clients
        self._by_client: dict[str, int] = {}
        self._by_part: dict[tuple[str, str], int] = {}
        """By client and owner."""

    def _most(self, client: str) -> float | None:
        its = self._clients.limits.get(client)
        return None if its is None or its.memory_share is None else its.memory_share

    def sharer(self, client: str) -> str:
        """The client, if it has a share; else nobody."""
        return client if self._clients.limits and self._most(client) is not None else ""

    def has_part(self, sharer: str, owner: str) -> bool:
        """Whether the owner has something of this client's."""
        return (sharer, owner) in self._by_part

    def fits(self, sharer: str, owner: str, size: int) -> bool:
        """Whether the client's share has room for it."""
        has = self._by_client.get(sharer, 0)
        share = self._most(sharer) if has else None
        if share is None:
            return True
        most = share * self._bytes_max
        if owner == sharer:
            return has + size <= most
        return self._by_part.get((sharer, owner), 0) + size <= most - has

    def of(self, sharer: str) -> int:
        """Bytes that it has."""
        return self._by_client.get(sharer, 0)

    def add(self, sharer: str, owner: str, size: int) -> None:
        """It has so much more, or less."""
        part = sharer, owner
        self._by_client[sharer] = self._by_client.get(sharer, 0) + size
        self._by_part[part] = self._by_part.get(part, 0) + size
        if not self._by_client[sharer]:
            del self._by_client[sharer]
        if not self._by_part[part]:
            del self._by_part[part]


_Key = tuple[bool, str, str]
"""Of those who wait together: whether for what opens a run, their owner, and their client if it has
a share."""


class Pool:
    """Room for the bytes of one way."""

    def __init__(self, bytes_max: int, clients: Clients = ANY_CLIENT) -> None:
        self.bytes_max = bytes_max
        self.granted = 0
        """Bytes of room taken, whether they have come or not."""
        self.small = 0
        """Bytes in memory without having been asked for: whoever changes it changes it back."""
        self.returned_bytes = 0
        """Bytes of room given back, since the start."""
        self._by_owner: dict[str, int] = {}
        self._shares = _Shares(bytes_max, clients)
        self._waiting: dict[_Key, deque[_Waiter]] = {}

    @property
    def used(self) -> int:
        """Bytes that count."""
        return self.granted + self.small

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return sum(map(len, self._waiting.values()))

    def of_client(self, client: str) -> int:
        """Bytes of room that a client with a share has."""
        return self._shares.of(client)

    @property
    def waiting_for_share(self) -> dict[str, int]:
        """How many wait for nothing but their own client's share, of each client."""
        found: dict[str, int] = {}
        for (_, owner, sharer), queue in self._waiting.items():
            if not self._shares.fits(sharer, owner, queue[0].size):
                found[sharer] = found.get(sharer, 0) + len(queue)
        return found

    def lacks_share(self, client: str, owner: str, size: int) -> bool:
        """Whether the client's own share keeps it from so many bytes now."""
        return not self._shares.fits(self._shares.sharer(client), owner, size)

    def take(self, owner: str, size: int, *, new: bool = False, client: str = "") -> Charge | None:
        """Room for `size` bytes of `owner`, if there is some and nobody is overtaken by it.

        `new`: for what opens a run. `client`: under whose share it counts, if it has one.
        """
        sharer = self._shares.sharer(client)
        if self._waiting and self._overtakes(owner, sharer, new=new):
            return None
        if not self._fits(owner, size, sharer, new=new):
            return None
        return self._grant(owner, size, sharer)

    async def wait(self, owner: str, size: int, *, new: bool = False, client: str = "") -> Charge:
        """Room for `size` bytes, as soon as there is some."""
        charge = self.take(owner, size, new=new, client=client)
        if charge is not None:
            return charge
        waiter, key = _Waiter(size), (new, owner, self._shares.sharer(client))
        self._waiting.setdefault(key, deque()).append(waiter)
        try:
            await waiter.turn.wait()
        except BaseException:
            self._left(waiter, key)
            raise
        assert waiter.charge is not None
        return waiter.charge

    def _left(self, waiter: _Waiter, key: _Key) -> None:
        """It waits no longer, perhaps just as it got its room."""
        if waiter.charge is not None:
            return waiter.charge.give_back()
        queue = self._waiting[key]
        queue.remove(waiter)
        if not queue:
            del self._waiting[key]
        self._offer()

    def _overtakes(self, owner: str, sharer: str, *, new: bool) -> bool:
        """Whether others wait who come first."""
        for (waits_new, other, its), queue in self._waiting.items():
            if waits_new > new:
                continue
            if self._shares.fits(its, other, queue[0].size):
                if other == owner or other not in self._by_owner:
                    return True
            elif its == sharer and (other == owner or not self._shares.has_part(its, other)):
                return True
        return False

    def _fits(self, owner: str, size: int, sharer: str, *, new: bool) -> bool:
        if sharer and not self._shares.fits(sharer, owner, size):
            return False
        bytes_max = self.bytes_max * NEW_PART if new else self.bytes_max
        has = self._by_owner.get(owner, 0)
        return not self.granted or has + size <= bytes_max - self.used

    def _grant(self, owner: str, size: int, sharer: str) -> Charge:
        self.granted += size
        self._by_owner[owner] = self._by_owner.get(owner, 0) + size
        if sharer:
            self._shares.add(sharer, owner, size)
        return Charge(self, owner, size, sharer)

    def _returned(self, charge: Charge, size: int) -> None:
        owner = charge.owner
        self.granted -= size
        self.returned_bytes += size
        self._by_owner[owner] -= size
        assert self.granted >= 0
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if charge.sharer:
            self._shares.add(charge.sharer, owner, -size)
        if self._waiting:
            self._offer()

    def _offer(self) -> None:
        """Give what is free to those who wait: runs under way first, each owner in its turn."""
        kept_back: set[str] = set()
        """Clients of which one that has nothing waits for their share."""
        stopped: set[tuple[bool, str]] = set()
        """Owners of which one waits for room in the pool."""
        for key in sorted(self._waiting, key=lambda key: key[0]):
            new, owner, sharer = key
            if sharer in kept_back or (new, owner) in stopped:
                continue
            queue = self._waiting[key]
            while queue and self._fits(owner, queue[0].size, sharer, new=new):
                waiter = queue.popleft()
                waiter.charge = self._grant(owner, waiter.size, sharer)
                waiter.turn.set()
                self._waiting[key] = self._waiting.pop(key)  # others of its owner are before it now
            if not queue:
                del self._waiting[key]
            elif not self._shares.fits(sharer, owner, queue[0].size):
                if not self._shares.has_part(sharer, owner):
                    kept_back.add(sharer)
            elif owner not in self._by_owner:
                return  # who has nothing is not overtaken
            else:
                stopped.add((new, owner))


class Budget:
    """The pools, and what they come to."""

    def __init__(self, bytes_max: int, clients: Clients = ANY_CLIENT) -> None:
        """`clients`: some of them may have a share of their own."""
        self.bytes_max = bytes_max
        self.small_bytes_max = min(SMALL_BYTES_MAX, bytes_max // SMALL_PARTS)
        """What is no larger is read without asking for room."""
        self.posts = Pool(bytes_max // 4, clients)
        """Requests of callers, from their first bytes until what they posted is durable."""
        self.payloads = Pool(bytes_max // 4, clients)
        """From when they are recorded, or read from the store, until they are sent."""
        self.answers = Pool(bytes_max // 4, clients)
        """Of endpoints, from their head until they are durable."""
        self.replies = Pool(bytes_max // 8, clients)
        """Answers to callers, from when they are read from the record until they are sent."""
        self.backlog_bytes_max = bytes_max // 8
        """Of small bodies that wait for a commit; new runs are refused from half of it."""
        self.refused = 0
        """Posts refused for want of memory."""

    @property
    def returned_bytes(self) -> int:
        """Bytes of room given back, since the start."""
        return sum(pool.returned_bytes for pool in self.pools.values())

    def of_client(self, client: str) -> int:
        """Bytes of room that a client with a share has, in all pools."""
        return sum(pool.of_client(client) for pool in self.pools.values())

    @property
    def pools(self) -> dict[str, Pool]:
        """By their names in metrics and status."""
        return {
            "posts": self.posts,
            "payloads": self.payloads,
            "answers": self.answers,
            "replies": self.replies,
        }
