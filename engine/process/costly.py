"""Time for bodies that are costly to read: some of the loop's, for all of them together.

A MiB of numbers or brackets costs up to a second, and who posts a few at once must not keep others
waiting. Such work comes as a generator that yields often. It runs on the loop's thread for a moment
at a time, and then for as long as that took the loop is everybody else's. A thread would not do: it
takes Python's lock for 5 ms whenever the loop gives it up, which is at each of its system calls.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar

import trio

T = TypeVar("T")
SLICE_S = 0.002
"""Work in one go. Another's post takes some ten passes of the loop."""
AT_ONCE_MAX = 4
"""Bodies being read: what has been read so far takes a multiple of the body's own bytes. They take
turns, so that one that is nearly cheap does not wait for all that are costly."""


class CostlyWork:
    """Runs such work, for all who have some."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(AT_ONCE_MAX)
        self._turn = trio.Lock()

    async def run(self, steps: Generator[None, None, T]) -> T:
        """What it returns, or raises. What is done within one slice waits for nobody."""
        work = _Work(steps)
        work.go_on()
        if not work.result:
            async with self._places:
                while not work.result:
                    async with self._turn:
                        await trio.sleep(work.go_on())
        return work.result[0]


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
