"""The few connections beyond `connections_max`, while a request is under way on each of those.

The head of each of their requests says what becomes of it: if there is a place among the others by
then it has that from then on; health and operators are answered (`Door.lets_in`), and all others
told 503, with their attempt noted as interrupted (`protocol.md` §4).

The oldest gives way to the next, but not before it has had `LEAST_S` to show what it wants: so that
a rush of newcomers, each pushing out one whose handshake is under way, does not keep out all.
"""

from __future__ import annotations

import trio

from engine.front.server.crowd import Crowd, Owners, Place

LEAST_S = 1.0
"""So long each has for its handshake and its head: a good many round trips."""


class Beyond(Crowd):
    """Who has such a place."""

    def __init__(self, most: int, owners: Owners | None = None) -> None:
        super().__init__(most, owners)
        self._came: dict[Place, float] = {}
        """When each came, in that order."""

    def enter(self) -> Place | None:
        """A place for one that has come; None: nobody may be asked for theirs."""
        place = super().enter()
        if place is not None:
            self._came[place] = trio.current_time()
        return place

    def leave(self, place: Place) -> None:
        """One has ended, given its place up, or has one among the others."""
        super().leave(place)
        del self._came[place]

    def make_room(self) -> bool:
        """Have one give its place up, on which no request is under way, or for whose client we
        wait: a stranger first. Returns whether there was one."""
        before = trio.current_time() - LEAST_S
        idle = [it for it, came in self._came.items() if came <= before and it.queue is not None]
        for place in sorted(idle, key=lambda it: it.owner is not None):
            queue = place.queue
            if place.give_way():
                return True
            if queue is not None:
                place.stand_in(queue)  # something has come on it
        return False
