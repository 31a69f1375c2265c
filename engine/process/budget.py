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

Whoever has room gives it back within a time of its own (`attemptTimeout`, `body_timeout_ms`,
`unread_answer_timeout_ms`, a commit): so each that waits gets its turn.
"""

from __future__ import annotations

from collections import deque

import trio

from engine.ports.caller import SMALL_BYTES_MAX

SMALL_PARTS = 64
"""What is small is at most this part of the budget: it matters for budgets of tests only."""
NEW_PART = 0.75
"""Of a pool, for what opens runs: the rest is kept for posts of runs under way."""


class Charge:
    """Room in a pool, until it is given back."""

    __slots__ = ("_pool", "owner", "size")

    def __init__(self, pool: Pool, owner: str, size: int) -> None:
        self._pool, self.owner, self.size = pool, owner, size

    def give_back(self) -> None:
        """Return the room. A second time changes nothing."""
        size, self.size = self.size, 0
        if size:
            self._pool._returned(self.owner, size)  # noqa: SLF001 - the other half of the same class


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


class Pool:
    """Room for the bytes of one way."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.granted = 0
        """Bytes of room taken, whether they have come or not."""
        self.small = 0
        """Bytes in memory without having been asked for: whoever changes it changes it back."""
        self.returned_bytes = 0
        """Bytes of room given back, since the start."""
        self._by_owner: dict[str, int] = {}
        self._waiting: dict[tuple[bool, str], deque[_Waiter]] = {}

    @property
    def used(self) -> int:
        """Bytes that count."""
        return self.granted + self.small

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return sum(map(len, self._waiting.values()))

    def take(self, owner: str, size: int, *, new: bool = False) -> Charge | None:
        """Room for `size` bytes of `owner`, if there is some and nobody is overtaken by it.

        `new`: for what opens a run.
        """
        for waits_new, other in self._waiting:
            if waits_new <= new and (other == owner or other not in self._by_owner):
                return None
        return self._grant(owner, size) if self._fits(owner, size, new=new) else None

    async def wait(self, owner: str, size: int, *, new: bool = False) -> Charge:
        """Room for `size` bytes, as soon as there is some."""
        charge = self.take(owner, size, new=new)
        if charge is not None:
            return charge
        waiter = _Waiter(size)
        self._waiting.setdefault((new, owner), deque()).append(waiter)
        try:
            await waiter.turn.wait()
        except BaseException:
            self._left(waiter, new, owner)
            raise
        assert waiter.charge is not None
        return waiter.charge

    def _left(self, waiter: _Waiter, new: bool, owner: str) -> None:
        """It waits no longer, perhaps just as it got its room."""
        if waiter.charge is not None:
            return waiter.charge.give_back()
        queue = self._waiting[new, owner]
        queue.remove(waiter)
        if not queue:
            del self._waiting[new, owner]
        self._offer()

    def _fits(self, owner: str, size: int, *, new: bool) -> bool:
        bytes_max = self.bytes_max * NEW_PART if new else self.bytes_max
        has = self._by_owner.get(owner, 0)
        return not self.granted or has + size <= bytes_max - self.used

    def _grant(self, owner: str, size: int) -> Charge:
        self.granted += size
        self._by_owner[owner] = self._by_owner.get(owner, 0) + size
        return Charge(self, owner, size)

    def _returned(self, owner: str, size: int) -> None:
        self.granted -= size
        self.returned_bytes += size
        self._by_owner[owner] -= size
        assert self.granted >= 0
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if self._waiting:
            self._offer()

    def _offer(self) -> None:
        """Give what is free to those who wait: runs under way first, each owner in its turn."""
        for new, owner in sorted(self._waiting, key=lambda key: key[0]):
            queue = self._waiting[new, owner]
            while queue and self._fits(owner, queue[0].size, new=new):
                waiter = queue.popleft()
                waiter.charge = self._grant(owner, waiter.size)
                waiter.turn.set()
            if not queue:
                del self._waiting[new, owner]
            elif owner not in self._by_owner:
                return  # who has nothing is not overtaken


class Budget:
    """The pools, and what they come to."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.small_bytes_max = min(SMALL_BYTES_MAX, bytes_max // SMALL_PARTS)
        """What is no larger is read without asking for room."""
        self.posts = Pool(bytes_max // 4)
        """Requests of callers, from their first bytes until what they posted is durable."""
        self.payloads = Pool(bytes_max // 4)
        """From when they are recorded, or read from the store, until they are sent."""
        self.answers = Pool(bytes_max // 4)
        """Of endpoints, from their head until they are durable."""
        self.replies = Pool(bytes_max // 8)
        """Answers to callers, from when they are read from the record until they are sent."""
        self.backlog_bytes_max = bytes_max // 8
        """Of small bodies that wait for a commit; new runs are refused from half of it."""
        self.refused = 0
        """Posts refused for want of memory."""

    @property
    def returned_bytes(self) -> int:
        """Bytes of room given back, since the start."""
        return sum(pool.returned_bytes for pool in self.pools.values())

    @property
    def pools(self) -> dict[str, Pool]:
        """By their names in metrics and status."""
        return {
            "posts": self.posts,
            "payloads": self.payloads,
            "answers": self.answers,
            "replies": self.replies,
        }
