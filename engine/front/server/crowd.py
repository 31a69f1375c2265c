"""The connections of a server, and which of them gives its place up while they are as many as may
be (`connections_max`).

Never one with a request under way. First who has shown nothing yet: the oldest of those that have
sent no whole request, and, where tokens are asked for, none with a good token. Then an idle one of
whoever has most connections.

A stranger who opens connections without end would, so, only ever push out their own; and a tenant
that does would push out whoever is just arriving, if those went first always. So those who arrive
have a few places (`ARRIVING_SHARE`) for which idle ones of others go.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Protocol

import trio

LOOK_EVERY_S = 0.1
"""While there is no room: to look through ten thousand connections takes some ten milliseconds."""
ARRIVING_SHARE = 16
"""One place in so many is for connections that have shown nothing yet."""


class Member(Protocol):
    """A connection that has a place."""

    @property
    def waits_since(self) -> float | None:
        """Since when, on Trio's clock, nothing is under way on it; None: a request is, or it is
        about to end."""
        ...

    @property
    def owner(self) -> str | None:
        """Whose it is; None: it has shown nothing yet."""
        ...

    def give_way(self) -> bool:
        """End, for want of room for others. False: something has come meanwhile."""
        ...


class Crowd:
    """All that have a place."""

    def __init__(self, connections_max: int) -> None:
        self._arriving_max = connections_max // ARRIVING_SHARE
        self._members: dict[Member, None] = {}
        """In the order in which they came."""
        self._looked_at = -math.inf
        self._count: Counter[str | None] = Counter()
        """How many each has, as it was looked at, without those that gave way since."""
        self._waiting: dict[str | None, list[tuple[float, Member]]] = {}
        """Those of each on which nothing is under way, and since when: the longest is last."""

    def add(self, member: Member) -> None:
        """It has a place."""
        self._members[member] = None

    def discard(self, member: Member) -> None:
        """It has ended."""
        self._members.pop(member, None)

    def make_room(self) -> bool:
        """Have one give its place up. Returns whether there was one."""
        now = trio.current_time()
        if now >= self._looked_at + LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        while self._waiting:
            owner = self._next_owner()
            waiting = self._waiting[owner]
            since, member = waiting.pop()
            if not waiting:
                del self._waiting[owner]
            if member.waits_since == since and member.give_way():
                self._count[owner] -= 1
                return True
        return False

    def _next_owner(self) -> str | None:
        """Who is to lose one."""
        known = self._waiting.keys() - {None}
        if None in self._waiting and (not known or self._count[None] > self._arriving_max):
            return None
        return max(known, key=lambda it: (self._count[it], it or ""))

    def _look(self) -> None:
        self._count, self._waiting = Counter(), {}
        for member in self._members:
            owner = member.owner
            self._count[owner] += 1
            if (since := member.waits_since) is not None:
                self._waiting.setdefault(owner, []).append((since, member))
        for waiting in self._waiting.values():
            waiting.sort(key=lambda it: it[0])
            waiting.reverse()
