"""A world whose disk is full for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import Problem, Refused
from engine.ports.caller import Invocation
from engine.runs.open.callers import Wait
from engine.store.tables.views.views import TableViews
from tests.store.faults import Disk
from tests.world import World, world

FIRST = "http://other:9000/workflows/first"
ASYNC = Wait(prefer_ms=0)


class Away:
    """A world whose disk is full from `begin` to `end`."""

    def __init__(self, it: World, disk: Disk) -> None:
        self.it, self.disk = it, disk
        self.views = TableViews(it.store)

    async def begin(self) -> None:
        """The disk is full, and something is written: the store is away when this returns."""
        self.disk.code = sqlite3.SQLITE_FULL
        with pytest.raises(Refused):
            await self.it.post(FIRST, key="the first to find out", wait=ASYNC)
        assert self.it.store.away is not None

    async def end(self) -> None:
        """There is room again; returns when all is written."""
        self.disk.code = None
        while self.it.store.away is not None:
            await self.it.store.wait_away_moved()
        await self.it.store.writer.wait_rows()

    async def refused(self, **options: Any) -> Refused:
        """How a post is refused."""
        with pytest.raises(Refused) as caught:
            await self.it.post(**options)
        assert caught.value.problem is Problem.STORE_UNAVAILABLE
        assert caught.value.members["retryAfter"] == 1
        return caught.value


@asynccontextmanager
async def away_world(
    path: Path, handler: Callable[[Invocation], Any]
) -> AsyncIterator[tuple[World, Away]]:
    """A world whose disk can be full."""
    disk = Disk()
    async with world(path, handler, write_offload=disk) as it:
        yield it, Away(it, disk)
