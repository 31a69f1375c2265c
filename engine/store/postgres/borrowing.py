"""A few connections for work in threads, each borrowed for as long as the work takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from engine.store.postgres.place import Place
from engine.store.postgres.wire import Blocking, connect

T = TypeVar("T")


class Borrowing:
    """At most so many at a time. One that was lost is made anew for who comes next."""

    def __init__(self, place: Place, at_once: int) -> None:
        self._place = place
        self._idle: list[Blocking] = []
        self._limiter = trio.CapacityLimiter(at_once)

    async def read(self, work: Callable[[Blocking], T]) -> T:
        """Run `work`, in a thread, on a connection that nobody else has meanwhile. Raises NoReply,
        and what `work` raises; within a transaction it leaves none open."""
        async with self._limiter:
            connection = self._idle.pop() if self._idle else None
            if connection is None or connection.is_lost:
                connection = (await connect(self._place)).into_thread()
            is_well = False
            try:
                found = await trio.to_thread.run_sync(partial(work, connection))
                is_well = True
                return found
            finally:
                # What failed may have left it within a transaction: no state outlives a borrower.
                if is_well and not connection.is_lost:
                    self._idle.append(connection)
                else:
                    connection.close()

    def close(self) -> None:
        """When nobody borrows any more."""
        while self._idle:
            self._idle.pop().close()
