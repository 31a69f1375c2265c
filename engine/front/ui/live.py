"""What keeps the page of a run fresh: a stream that says when it has changed, and not how.

The page's script reads the page again then. Of a run that changes all the time it is told once a
second; a reader that comes back is told at once, as it may have missed something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import trio

from engine.core.errors import Problem, Refused
from engine.front.api.context import Front
from engine.front.api.events import EventTail, frame, is_cut

EVERY_MS = 1_000
"""A page is told no more often."""
STREAMS_MAX = 20
"""Of one login, or of one address where none is needed."""
CHANGED = frame("changed", b"{}", "1")
STILL_HERE = frame("heartbeat", b"{}", "1")
"""The id says no more than that somebody has read before: who comes back sends it along."""


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
        self, run_id: str, may_read: Callable[[], bool], *, comes_back: bool
    ) -> AsyncIterator[bytes]:
        """What is said of a run, to who may see it."""
        async with aclosing(self._stream(run_id, comes_back=comes_back)) as parts:
            async for part in parts:
                if not may_read():
                    return
                yield part

    async def _stream(self, run_id: str, *, comes_back: bool) -> AsyncGenerator[bytes, None]:
        front = self._front
        at = (await front.views.summary(front.clock.steady_ms())).last_seq
        yield CHANGED if comes_back else STILL_HERE
        heard = front.clock.steady_ms()
        while not front.engine.draining:
            moved = front.views.moved
            told, last = await self._tail.after(at)
            lost = is_cut(told, at)
            if lost:
                last = (await front.views.summary(front.clock.steady_ms())).last_seq
            at = last
            if lost or any(it.record.run_id == run_id for it in told):
                yield CHANGED
                heard = front.clock.steady_ms()
                await trio.sleep(EVERY_MS / 1000)
                continue
            left_ms = heard + front.config.heartbeat_ms - front.clock.steady_ms()
            if left_ms <= 0:
                yield STILL_HERE
                heard = front.clock.steady_ms()
                continue
            with trio.move_on_after(left_ms / 1000) as scope, front.registry.cancelling(scope):
                await moved.wait()
