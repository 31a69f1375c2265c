"""Time for bodies that are costly to read: some of the loop's, for all of them together.

A MiB of numbers or brackets costs up to a second, and who posts a few at once must not keep others
waiting. Such work comes as a generator that yields often. It runs on the loop's thread for a moment
at a time, and then for as long as that took the loop is everybody else's. A thread would not do: it
takes Python's lock for 5 ms whenever the loop gives it up, which is at each of its system calls.

Clients take turns, slice by slice: one with a thousand such bodies makes another's wait for one
slice at a time, and not for all that it has sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator
from typing import Generic, TypeVar

import trio

from engine.core.access.turns import Turns

T = TypeVar("T")
SLICE_S = 0.002
"""Work in one go. Another's post takes some ten passes of the loop."""
AT_ONCE_MAX = 4
"""Bodies being read: what has been read so far takes a multiple of the body's own bytes. They take
turns, so that one that is nearly cheap does not wait for all that are costly."""
CLIENTS_AT_ONCE_MAX = 16
"""Beyond AT_ONCE_MAX one more for each client of which none is being read, up to here in all: what
fills the places of one client keeps nobody else from a first."""


class CostlyWork:
    """Runs such work, for all who have some."""

    def __init__(self) -> None:
        self._places = TurnPlaces(AT_ONCE_MAX, CLIENTS_AT_ONCE_MAX)
        self._turn = TurnPlaces(1, 1)

    async def run(
        self,
        steps: Generator[None, None, T],
        client: str,
        refuse: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """What it returns, or raises. What is done within one slice waits for nobody.

        `refuse` is asked when there was a wait before more is done, and raises what makes it
        needless by then.
        """
        work = _Work(steps)
        work.go_on()
        if not work.result:
            await self._places.take(client)
            try:
                if refuse is not None:
                    await refuse()
                await self._by_turns(work, client)
            finally:
                self._places.give_back(client)
        return work.result[0]

    async def _by_turns(self, work: _Work[T], client: str) -> None:
        await self._turn.take(client)
        while True:
            try:
                await trio.sleep(work.go_on())
            except BaseException:
                self._turn.give_back(client)
                raise
            if work.result:
                return self._turn.give_back(client)
            await self._turn.pass_on(client)


class _Work(Generic[T]):
    def __init__(self, steps: Generator[None, None, T]) -> None:
        self._steps = steps
        self.result: list[T] = []
        """Empty until there is one."""

    def go_on(self) -> float:
        """Work for SLICE_S; returns the seconds that it took."""
        began = trio.current_time()
        took = 0.0
        while took < SLICE_S:
            try:
                next(self._steps)
            except StopIteration as end:
                self.result.append(end.value)
                return 0.0
            took = trio.current_time() - began
        return took


_Queue = OrderedDict[trio.Event, None]


class TurnPlaces:
    """So many, for which clients take turns, and each is served first come first served."""

    def __init__(self, most: int, most_with_own: int) -> None:
        """`most_with_own`: so many in all, where a client that has none is given one."""
        self._most, self._most_with_own = most, most_with_own
        self._taken: dict[str, int] = {}
        """By client, those that it has."""
        self._queue: Turns[_Queue] = Turns(OrderedDict)

    async def take(self, client: str) -> None:
        """Wait for a place, and let others have the loop. Cancelled, there is none to give back."""
        await trio.lowlevel.checkpoint()
        if self._queue.waiting(client) or not self._may_take(client):
            await self._wait(client, self._join(client))
        else:
            self._take(client)

    async def pass_on(self, client: str) -> None:
        """Let whoever's turn it is have one's place, and wait for the next. One is behind them
        before it is free: whoever comes back last has the last turn. Cancelled, there is none to
        give back."""
        event = self._join(client)
        self.give_back(client)
        await self._wait(client, event)

    def give_back(self, client: str) -> None:
        """A place is free."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        while (whose := self._queue.whose(self._may_take)) is not None:
            self._take(whose)
            self._queue.take(_first, whose).set()

    def _may_take(self, client: str) -> bool:
        taken = sum(self._taken.values())
        return taken < (self._most if client in self._taken else self._most_with_own)

    def _take(self, client: str) -> None:
        self._taken[client] = self._taken.get(client, 0) + 1

    def _join(self, client: str) -> trio.Event:
        event = trio.Event()
        self._queue.join(client)[event] = None
        return event

    async def _wait(self, client: str, event: trio.Event) -> None:
        try:
            await event.wait()
        except trio.Cancelled:
            if event.is_set():
                self.give_back(client)
            else:
                del self._queue.join(client)[event]
                self._queue.leave(client)
            raise


def _first(queue: _Queue) -> trio.Event:
    return queue.popitem(last=False)[0]
