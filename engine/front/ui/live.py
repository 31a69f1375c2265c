"""What keeps the page of a run fresh: a stream that says when it has changed, and not how.

The page's script reads the page again then. A page says how far it knew the events, and its stream
begins there: nothing is missed between the two. Of a run that changes all the time it is told once
a second; a reader that comes back is told at once, as it may have missed something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import trio

from engine.core.errors import Problem, Refused
from engine.front.access.who import Who
from engine.front.api.context import Front
from engine.front.api.events import (
    PAGE,
    PASSED_OVER_REST_S,
    TAIL_EVENTS_MAX,
    EventTail,
    frame,
    is_cut,
    position,
)

EVERY_MS = 1_000
"""A page is told no more often."""
GATHER_S = 0.1
"""How long what happens gathers before it is looked at: all pages that are open look through the
events of all runs, and one look for each commit would take a caller of the engine half its rate."""
STREAMS_MAX = 20
"""Of one login, or of one address where none is needed."""
CHANGED = frame("changed", b"{}", "1")
STILL_HERE = frame("heartbeat", b"{}", "1")
"""The id says no more than that somebody has read before: who comes back sends it along."""


def known_by_now(front: Front, who: Who) -> str:
    """How far events are known to a page that is read from now on: the id of the last one, as its
    stream sends it back (`seen`)."""
    seq = front.views.last_seq
    return f"{front.file_id}-{seq}" if who.client is None else front.places.hidden(who.client, seq)


def behind(front: Front, who: Who, seen: str) -> int | None:
    """The sequence number behind which the stream of a page begins; None: what has happened since
    is not to be known, or too much to look through, so the page is to be read again."""
    last = front.views.last_seq
    if who.client is None:
        found = position(front, seen, 0, last)
    else:
        found = front.places.found(who.client, seen)
    return found if found is not None and 0 <= last - found <= TAIL_EVENTS_MAX else None


class Place:
    """What an open stream takes of those that somebody may have."""

    def __init__(self, taken: Counter[str], whose: str) -> None:
        self._taken, self._whose = taken, whose
        taken[whose] += 1

    def give_back(self) -> None:
        """It is free. A second time changes nothing."""
        taken, whose, self._whose = self._taken, self._whose, ""
        if whose:
            taken[whose] -= 1
            if not taken[whose]:
                del taken[whose]


class Streams:
    """Those that are open, of whom."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._tail = EventTail(front.views, front.file_id, front.digests)
        self._taken: Counter[str] = Counter()

    def take(self, whose: str) -> Place:
        """A place for one more. Raises Refused for one too many."""
        if self._taken[whose] >= STREAMS_MAX:
            detail = f"{STREAMS_MAX} pages of this login follow a run already: close some."
            raise Refused(Problem.RATE_LIMITED, detail, retryAfter=5)
        return Place(self._taken, whose)

    async def about(
        self, run_id: str, seen: int | None, may_read: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """What is said of a run, to who may see it. `seen`: as of `behind`."""
        async with aclosing(self._stream(run_id, seen)) as parts:
            async for part in parts:
                if not may_read():
                    return
                if part:
                    yield part

    async def _stream(self, run_id: str, seen: int | None) -> AsyncGenerator[bytes, None]:
        """Parts of it; empty ones where it is to be asked whether the reader still may."""
        front = self._front
        at = front.views.last_seq if seen is None else seen
        yield CHANGED if seen is None else STILL_HERE
        heard = front.clock.steady_ms()
        while not front.engine.draining:
            moved = front.views.moved
            told, last = await self._tail.after(at)
            lost = is_cut(told, at)
            at = front.views.last_seq if lost else last
            if lost or any(it.record.run_id == run_id for it in told):
                yield CHANGED
                heard = front.clock.steady_ms()
                await trio.sleep(EVERY_MS / 1000)
            elif heard + front.config.heartbeat_ms <= front.clock.steady_ms():
                yield STILL_HERE
                heard = front.clock.steady_ms()
            elif len(told) == PAGE:  # of others alone, and there may be more
                await trio.sleep(PASSED_OVER_REST_S)
                yield b""
            else:
                left_ms = heard + front.config.heartbeat_ms - front.clock.steady_ms()
                with trio.move_on_after(left_ms / 1000) as scope, front.registry.cancelling(scope):
                    await moved.wait()
                    await trio.sleep(GATHER_S)
                yield b""
