"""Limits set at run time: recorded, above what files say, until they are reset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.core.access.client import Client, ClientLimits
from engine.core.access.limits import HostLimits
from engine.core.errors import Problem, Refused
from engine.ports.store import OpenStore
from engine.registry.limits import Limit, LimitKind, SetLimits
from engine.registry.registry import Registry
from tests.store.support import store_at

HOST, CLIENT = LimitKind.HOST, LimitKind.CLIENT
FILE = {"app:9000": HostLimits(in_flight_max=8, calls_per_s=5)}
SHOP = Client("shop", limits=ClientLimits(new_runs_per_s=50), defined_in="atomic.toml")


class Desk:
    """Limits on a real file, and what calls and clients are kept to."""

    def __init__(self, store: OpenStore) -> None:
        self.hosts: Mapping[str, HostLimits] = {}
        self.registry = Registry(store, lambda: 1)
        self.registry.set_defined([SHOP], [])
        self.limits = SetLimits(store, self.registry, FILE, self.apply, lambda: 1)

    def apply(self, hosts: Mapping[str, HostLimits]) -> None:
        self.hosts = hosts


async def refused(awaitable: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


async def test_of_a_host_what_is_set_wins_until_it_is_reset(path: Path) -> None:
    """Value by value, also after a restart; each says where it comes from."""
    async with store_at(path) as store:
        desk = Desk(store)
        assert desk.hosts == FILE
        await desk.limits.set(HOST, "APP:9000", {"calls_per_s": 0.5}, "ada")
        await desk.limits.set(HOST, "api.example:443", {"in_flight_max": 1}, "ada")
    async with store_at(path) as store:
        desk = Desk(store)
        assert desk.hosts == {
            "app:9000": HostLimits(in_flight_max=8, calls_per_s=0.5),
            "api.example": HostLimits(in_flight_max=1),
        }
        assert desk.limits.of(HOST, "app:9000") == [
            Limit("in_flight_max", 8, "file"),
            Limit("calls_per_s", 0.5, "run time"),
        ]
        assert desk.limits.of(HOST, "api.example")[1] == Limit("calls_per_s", None, "default")
        await desk.limits.reset(HOST, "app:9000", "ada")
        await desk.limits.reset(HOST, "api.example", "ada")
    async with store_at(path) as store:
        assert Desk(store).hosts == FILE


async def test_of_a_client_what_is_set_wins_until_it_is_reset(path: Path) -> None:
    """Of one that a file defines, and of one that nobody has defined; neither asks for tokens."""
    async with store_at(path) as store:
        desk = Desk(store)
        await desk.limits.set(CLIENT, "shop", {"new_runs_per_s": 1, "open_runs_max": 9}, "ada")
        await desk.limits.set(CLIENT, "bank", {"in_flight_max": 1, "memory_share": 1}, "ada")
        assert desk.registry.limits == {
            "shop": ClientLimits(new_runs_per_s=1, open_runs_max=9),
            "bank": ClientLimits(in_flight_max=1, memory_share=1),
        }
        assert [*desk.registry.clients] == ["shop"]
        assert desk.limits.all == [(CLIENT, "bank"), (CLIENT, "shop"), (HOST, "app:9000")]
        assert desk.limits.of(CLIENT, "shop")[:2] == [
            Limit("new_runs_per_s", 1, "run time"),
            Limit("open_runs_max", 9, "run time"),
        ]
        await desk.limits.reset(CLIENT, "shop", "ada")
        await desk.limits.reset(CLIENT, "bank", "ada")
        assert desk.registry.limits == {"shop": SHOP.limits}
        assert desk.limits.of(CLIENT, "shop")[0] == Limit("new_runs_per_s", 50, "atomic.toml")
        desk.registry.set_defined([], [])
        assert desk.registry.limits == {}


@pytest.mark.parametrize(
    ("kind", "name", "limit", "value", "why"),
    [
        (HOST, "app:9000", "in_flight_max", 0, ">= 1"),
        (HOST, "app:9000", "in_flight_max", 1.5, "int"),
        (HOST, "app:9000", "calls_per_s", 10_001, "<= 10000"),
        (HOST, "app:9000", "new_runs_per_s", 1, "no limit 'new_runs_per_s'; there are in_flight"),
        (HOST, "http://app/", "calls_per_s", 1, "write name and port"),
        (CLIENT, "shop", "new_runs_per_s", 0.001, ">= 0.01"),
        (CLIENT, "shop", "in_flight_max", 0, ">= 1"),
        (CLIENT, "shop", "memory_share", 1.01, "<= 1"),
        (CLIENT, "shop", "memory_share", 0.009, ">= 0.01"),
        (CLIENT, "shop", "calls_per_s", 1, "no limit 'calls_per_s'; there are new_runs_per_s"),
    ],
)
async def test_a_slip_changes_nothing(
    path: Path, kind: LimitKind, name: str, limit: str, value: float, why: str
) -> None:
    """And is told with its limit."""
    async with store_at(path) as store:
        desk = Desk(store)
        what = await refused(desk.limits.set(kind, name, {limit: value}, "ada"))
        assert what.problem is Problem.INVALID_REQUEST
        assert why in what.detail
        assert (desk.hosts, desk.registry.limits) == (FILE, {"shop": SHOP.limits})
        nothing = await refused(desk.limits.reset(HOST, "app:9000", "ada"))
        assert nothing.problem is Problem.NOT_FOUND
