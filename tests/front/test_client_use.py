"""What the status tells of clients with limits: how much of each they take, and whose it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client, ClientLimits
from engine.core.errors import Refused
from engine.front.api.figures import CLIENTS_TOLD_MAX, client_rows
from engine.ports.receipt import Receipt
from engine.ports.registry import Registered
from engine.registry.limits import LimitKind, SetLimits
from engine.registry.registry import Registry
from engine.runs.open.callers import Wait
from engine.store.tables.views.views import TableViews
from engine.wire import LimitUsed
from tests.world import World, taking, world

ASYNC = Wait(prefer_ms=0)
FILE = "shop.toml"


class Kept:
    """A registry's store that forgets."""

    registered: tuple[Registered, ...] = ()

    def register(self, entry: Registered) -> Receipt:
        """Durable at once."""
        return Done()


class Done:
    """What is durable."""

    durable = True

    async def wait(self) -> None:
        """It is."""

    async def wait_unless_away(self) -> bool:
        """It is."""
        return True


@asynccontextmanager
async def at_work(path: Path, **limits: ClientLimits) -> AsyncIterator[tuple[World, SetLimits]]:
    """An engine for clients that a file defines, whose calls take ten seconds."""
    registry = Registry(Kept(), lambda: 1)
    registry.set_defined(
        [Client(name, limits=its, defined_in=FILE) for name, its in limits.items()], []
    )
    async with world(path, taking(10), registry=registry) as it:
        it.engine.new_runs.count_open = TableViews(it.store).open_runs
        yield it, SetLimits(Kept(), registry, {}, lambda hosts: None, lambda: 1)


async def test_use_is_told_beside_each_limit(autojump_clock: MockClock, path: Path) -> None:
    """In its unit, with where it comes from; of what is not set nothing is counted. Refused posts
    are counted, and a client without limits has no row."""
    limits = ClientLimits(new_runs_per_s=3, open_runs_max=9, waiting_callers_max=5)
    async with at_work(path, shop=limits, bank=ClientLimits()) as (it, its):
        for number in range(2):
            await it.post(key=f"k{number}", wait=ASYNC)
            await it.post(key=f"k{number}", client="bank", wait=ASYNC)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post, "http://app:9000/x", "waits")
            await trio.sleep(0.1)
            with pytest.raises(Refused):
                await it.post(key="beyond", wait=ASYNC)
            await its.set(LimitKind.CLIENT, "shop", {"in_flight_max": 2}, "ada")
            (row,) = await client_rows(its, it.engine)
            assert (row.client, row.refused) == ("shop", 1)
            assert row.limits == (
                LimitUsed("new_runs_per_s", 3, FILE, None),
                LimitUsed("open_runs_max", 9, FILE, 3),
                LimitUsed("in_flight_max", 2, "run time", 3),
                LimitUsed("waiting_callers_max", 5, FILE, 1),
                LimitUsed("memory_share", None, "default", None),
            )
        await trio.sleep(11)
        (row,) = await client_rows(its, it.engine)
        assert [limit.used for limit in row.limits] == [None, 0, 0, 0, None]


async def test_of_memory_the_part_of_the_whole_is_told(
    autojump_clock: MockClock, path: Path
) -> None:
    """As the limit is set: a quarter of the budget is 0.25."""
    async with at_work(path, shop=ClientLimits(memory_share=0.5)) as (it, its):
        budget = it.engine.budget
        charge = budget.posts.take("shop", budget.bytes_max // 10, client="shop")
        assert charge is not None
        (row,) = await client_rows(its, it.engine)
        assert row.limits[-1] == LimitUsed("memory_share", 0.5, FILE, 0.1)


async def test_runs_from_before_the_start_count(autojump_clock: MockClock, path: Path) -> None:
    """Also where the client has not posted since."""
    async with at_work(path) as (it, _):
        for number in range(3):
            await it.post(key=f"k{number}", wait=ASYNC)
    async with at_work(path, shop=ClientLimits(open_runs_max=9)) as (it, its):
        (row,) = await client_rows(its, it.engine)
        assert row.limits[1].used == 3


async def test_who_sees_one_client_is_told_of_that(autojump_clock: MockClock, path: Path) -> None:
    """And of no other; nothing where it has no limits. Of very many clients some are told."""
    many = {f"c{number:03}": ClientLimits(open_runs_max=1) for number in range(201)}
    async with at_work(path, **many) as (it, its):
        assert [row.client for row in await client_rows(its, it.engine, "c200")] == ["c200"]
        assert await client_rows(its, it.engine, "shop") == ()
        rows = await client_rows(its, it.engine)
        assert [row.client for row in rows] == [*many][:CLIENTS_TOLD_MAX]
