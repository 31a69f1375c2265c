"""The connections of a server, and which of them gives its place up while they are as many as may
be (`connections_max`).

Never one with a request under way, unless a stranger's, for whom we wait: the rest of a body, or
an answer that is not read. First goes who has shown nothing yet: the oldest of those that have
sent no whole request, and, where tokens are asked for, none with a good token. Then an idle one of
whoever has most connections.

A stranger who opens connections without end would, so, only ever push out their own; and a tenant
that does would push out whoever is just arriving, if those went first always. So those who arrive
have a few places (`ARRIVING_SHARE`) for which idle ones of others go.

To find the one costs the same with ten connections and with ten thousand: those with one token are
a group, in which they stand in the order in which they began to wait. Whose a group is, is asked
again and again, as tokens are taken away and run out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from itertools import count
from typing import Protocol

import trio

LOOK_EVERY_S = 0.1
"""How old may be, while there is no room, what is known of the tokens and of how many each has. To
ask takes a millisecond for a thousand tokens that are in use."""
ARRIVING_SHARE = 16
"""One place in so many is for connections that have shown nothing yet."""
TRIES_MAX = 64
"""So many are asked to make room for one: on those that are asked in vain something has come."""


class Member(Protocol):
    """Who has a place."""

    def give_way(self) -> bool:
        """End, for want of room for others. False: something has come meanwhile."""
        ...

    def stop(self) -> None:
        """The server stops: end as soon as no request is under way."""
        ...


class Owners(Protocol):
    """Who knows tokens."""

    def token_of(self, authorization: bytes) -> bytes:
        """What tells a good token in such a header from others; empty: it has none."""
        ...

    def owner_of(self, token: bytes) -> str | None:
        """Whose connections are that came with it; None: a stranger's."""
        ...


class Crowd:
    """All that have a place."""

    def __init__(self, connections_max: int, owners: Owners | None = None) -> None:
        """`owners`: None, where all are one."""
        self.owners = owners
        self._max = connections_max
        self._arriving_max = connections_max // ARRIVING_SHARE
        self.places: set[Place] = set()
        self._arriving = _Group(None)
        self._groups: dict[bytes | None, _Group] = {None: self._arriving}
        """By token: of those that have shown a good one. Empty: of those with another, or none."""
        self._by_owner: dict[str | None, list[_Group]] = {None: [self._arriving]}
        self._most: list[tuple[int, str]] = []
        """How many each owner has, with a minus before it: a heap, as it was at the last look."""
        self._looked_at = -math.inf
        self.order: Iterator[int] = count()

    def __len__(self) -> int:
        """How many have one."""
        return len(self.places)

    @property
    def members(self) -> list[Member]:
        """Who has one, as far as they have begun."""
        return [place.member for place in self.places if place.member is not None]

    def enter(self) -> Place | None:
        """A place for one that has come; None: there is none, and nobody gives way."""
        if len(self.places) >= self._max and not self.make_room():
            return None
        place = Place(self, self._arriving)
        self.places.add(place)
        place.waits()
        return place

    def leave(self, place: Place) -> None:
        """One has ended, or given its place up."""
        self.places.discard(place)

    def group_of(self, token: bytes) -> _Group:
        """Where those with this token stand."""
        group = self._groups.get(token)
        if group is None:
            group = self._groups[token] = _Group(token)
            self._by_owner.setdefault(self.owner_of(group), []).append(group)
        return group

    def owner_of(self, group: _Group) -> str | None:
        """Whose those of a group are."""
        if group.token is None:
            return None
        return "" if self.owners is None else self.owners.owner_of(group.token)

    def _look(self) -> None:
        """See whose each group is now, and how many each has; forget those of nobody."""
        groups = [it for it in self._groups.values() if it.members or it is self._arriving]
        self._groups = {group.token: group for group in groups}
        self._by_owner = {}
        for group in groups:
            self._by_owner.setdefault(self.owner_of(group), []).append(group)
        self._most = [(-self._count(it), it) for it in self._by_owner if it is not None]
        heapify(self._most)

    def _count(self, owner: str | None) -> int:
        """How many an owner has, who has one that may go."""
        groups = self._by_owner[owner]
        if not any(group.waiting or (owner is None and group.stalled) for group in groups):
            return 0
        return sum(group.members for group in groups)

    def make_room(self) -> bool:
        """Have one give its place up. Returns whether there was one."""
        now = trio.current_time()
        if now >= self._looked_at + LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        in_vain: list[tuple[Place, _Queue]] = []
        try:
            while len(in_vain) < TRIES_MAX and (place := self._next()) is not None:
                queue = place.queue
                if place.give_way():
                    return True
                assert queue is not None
                in_vain.append((place, queue))
            return False
        finally:
            for place, queue in in_vain:
                place.stand_in(queue)

    def _next(self) -> Place | None:
        """Who is to go, of whoever is to lose one."""
        owner = self._next_owner()
        groups = self._by_owner[owner]
        queues = [group.waiting for group in groups]
        if owner is None:
            queues += [group.stalled for group in groups]
        return min((_first(it) for it in queues if it), default=(0, None))[1]

    def _next_owner(self) -> str | None:
        """Who is to lose one."""
        strangers, most = self._count(None), self._most
        while most and strangers <= self._arriving_max:
            count, owner = -most[0][0], most[0][1]
            has = self._count(owner)
            if has == count > 0:
                return owner
            if has:
                heapreplace(most, (-has, owner))
            else:
                heappop(most)
        return None


class Place:
    """That of one connection, from the accept on. What is done on it is told here by whoever has
    it; a request tells it twice, and so these are short."""

    __slots__ = ("_crowd", "_group", "gave_way", "is_left", "member", "queue", "shown")

    def __init__(self, crowd: Crowd, group: _Group) -> None:
        self.member: Member | None = None
        self.is_left = False
        """Its connection has ended, or has another place."""
        self.gave_way = False
        """It is another connection's already."""
        self.shown: bytes | None = None
        """The header by which it is known whose it is; None: it is to be looked at."""
        self._crowd, self._group = crowd, group
        self.queue: _Queue | None = None
        """Where it stands, if it may be asked to give way."""
        group.members += 1

    def waits(self) -> None:
        """No request is under way on it, from now on."""
        if self.queue is None and not self.is_left:  # nearly always: without one call more
            self.queue = queue = self._group.waiting
            queue[self] = next(self._crowd.order)
        else:
            self.stand_in(self._group.waiting)

    def stalls(self) -> None:
        """One is, and it is the client that is waited for."""
        self.stand_in(self._group.stalled)

    def works(self) -> None:
        """One is."""
        if self.queue is not None:
            del self.queue[self]
            self.queue = None

    def stand_in(self, queue: _Queue) -> None:
        """As the last of these."""
        if self.queue is not None:
            del self.queue[self]
            self.queue = None
        if not self.is_left:
            self.queue = queue
            queue[self] = next(self._crowd.order)

    def shows(self, authorization: bytes) -> None:
        """A request has come with this header, empty where it has none: what the one before it had
        counts no more."""
        if self.is_left:
            return
        crowd, token = self._crowd, b""
        if authorization and crowd.owners is not None:
            token = crowd.owners.token_of(authorization)
        # Who shows one that is not good is looked at again: it may be good by then.
        self.shown = authorization if token or not authorization else None
        if token != self._group.token:
            self.works()
            self._group.members -= 1
            self._group = crowd.group_of(token)
            self._group.members += 1

    def give_way(self) -> bool:
        """Have its member end. False: something has come meanwhile."""
        self.works()
        if self.member is not None and not self.member.give_way():
            return False
        self.leave()
        self.gave_way = True
        return True

    @property
    def owner(self) -> str | None:
        """Whose it is now; None: a stranger's."""
        return self._crowd.owner_of(self._group)

    @property
    def has_shown_nothing(self) -> bool:
        """No whole request has come on it."""
        return self._group.token is None

    def leave(self) -> None:
        """It has ended. A second time, as after it gave way, changes nothing."""
        if not self.is_left:
            self.is_left = True
            self.works()
            self._group.members -= 1
            self._crowd.leave(self)
        self.member = None  # it knows this: a circle would wait for the collector


_Queue = OrderedDict[Place, int]
"""In the order in which they came to stand there, with its number."""


class _Group:
    """Those that came with the same token."""

    __slots__ = ("members", "stalled", "token", "waiting")

    def __init__(self, token: bytes | None) -> None:
        self.token = token
        """None: they have shown nothing yet."""
        self.members = 0
        self.waiting: _Queue = OrderedDict()
        """No request is under way on them."""
        self.stalled: _Queue = OrderedDict()
        """One is, and it is the client that is waited for."""


def _first(queue: _Queue) -> tuple[int, Place | None]:
    place, number = next(iter(queue.items()))
    return number, place
