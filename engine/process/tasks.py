"""A nursery that can be asked for tasks before it is open, and by anybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any

import trio


class Tasks:
    """Tasks of one nursery.

    They run in the context in which it was opened, not in that of whoever asks: a run's tasks have
    nothing to do with the request that happened to open the run. What is asked for before the
    nursery is open waits; after it was closed nothing starts.
    """

    __slots__ = ("_context", "_nursery", "_waiting")

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._context: Context | None = None
        self._waiting: list[tuple[Any, ...]] = []

    def start_soon(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Start a task, now or when the nursery is open."""
        if self._nursery is None:
            self._waiting.append((work, *arguments))
        else:
            assert self._context is not None
            self._context.run(self._nursery.start_soon, work, *arguments)

    def opened(self, nursery: trio.Nursery) -> None:
        """The nursery is open."""
        self._nursery, self._context = nursery, copy_context()
        waiting, self._waiting = self._waiting, []
        for work, *arguments in waiting:
            nursery.start_soon(work, *arguments)

    def closed(self) -> None:
        """The nursery takes no more tasks."""
        self._nursery = None
