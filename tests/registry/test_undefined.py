"""Who defines the first client in a file is told of open runs that are nobody's then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from engine.core.access.client import Client
from engine.core.errors import Problem, Refused
from engine.registry.registry import Registry
from engine.registry.undefined import LOOK_EVERY_S, tell_of_undefined
from tests.store.support import store_at

SHOP = Client("shop", defined_in="/etc/atomic.toml")


class Log:
    """What was said, and the open runs that there are."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.open_runs: dict[str, int] = {}
        self.is_away = False

    def warning(self, event: str, **members: Any) -> None:
        assert members.pop("hint").endswith("define clients of these names, and resume them")
        self.said.append((event, members))

    async def open_by_client(self) -> dict[str, int]:
        if self.is_away:
            raise Refused(Problem.STORE_UNAVAILABLE, "away")
        return self.open_runs


@asynccontextmanager
async def telling(path: Path) -> AsyncIterator[Log]:
    async with store_at(path) as store, trio.open_nursery() as nursery:
        registry = Registry(store, lambda: 0)
        log = Log(registry)
        nursery.start_soon(tell_of_undefined, registry, log.open_by_client, log.warning)
        yield log
        nursery.cancel_scope.cancel()


async def test_open_runs_of_names_without_a_definition_are_told_once(
    autojump_clock: object, path: Path
) -> None:
    """When there is a first client; again only after there was none. Of a defined name nothing."""
    async with telling(path) as log:
        log.open_runs = {"shop": 9, "default": 2, "mail": 3}
        await trio.sleep(2 * LOOK_EVERY_S)
        assert log.said == [], "any name is good"
        for times in (1, 2):
            log.registry.set_defined([SHOP], [])
            await trio.sleep(3 * LOOK_EVERY_S)
            told = ("clients-undefined", {"open_runs": 5, "clients": ["mail", "default"]})
            assert log.said == [told] * times
            log.registry.set_defined([], [])
            await trio.sleep(2 * LOOK_EVERY_S)
        log.open_runs = {"shop": 9}
        log.registry.set_defined([SHOP], [])
        await trio.sleep(2 * LOOK_EVERY_S)
        assert len(log.said) == 2


async def test_a_store_that_is_away_is_asked_again(autojump_clock: object, path: Path) -> None:
    """And ends nothing."""
    async with telling(path) as log:
        log.open_runs, log.is_away = {"mail": 1}, True
        log.registry.set_defined([SHOP], [])
        await trio.sleep(2 * LOOK_EVERY_S)
        assert log.said == []
        log.is_away = False
        await trio.sleep(LOOK_EVERY_S + 1)  # not at the very moment of a look
        assert [event for event, _ in log.said] == ["clients-undefined"]
