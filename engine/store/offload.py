"""Blocking work off Trio's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking work: a thread in production, inline in the simulation."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


def threads(count: int) -> Offload:
    """An offload to worker threads that no one else shares."""
    limiter = trio.CapacityLimiter(count)

    def offload(work: Callable[[], T]) -> Awaitable[T]:
        return trio.to_thread.run_sync(work, limiter=limiter)

    return offload
