"""A file with runs, and its engine days later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from engine.core.outcome import Answered, Outcome
from engine.core.retry import DAY_MS, RetryPolicy
from engine.core.rules.retention import Retention
from engine.jobs.retention import Pruning
from engine.ports.caller import Invocation
from tests.world import EPOCH_MS, FakeClock, Handler, World, ok, recorded, world

STEP = "http://app:9000/workflows/w/steps/a"
ONCE = RetryPolicy(count=0)
MONTH = Retention(30)


async def app(it: World, call: Invocation) -> Outcome:
    """A workflow of one step, which ends as its key says."""
    key = call.idempotency_key
    if not call.url.endswith("/index"):
        return Answered(400, b"no") if key == "fails" else ok(b'"step"')
    await it.post(STEP, key=key, parent_token=call.parent_token, retry=ONCE, client=call.client)
    return Answered(424, b"{}", "application/json") if key == "fails" else ok(b'{"a": 1}')


def app_of(it: World) -> Handler:
    """The application of this engine."""
    return lambda call: app(it, call)


class Later(NamedTuple):
    """An engine some days after its file was written."""

    it: World
    pruning: Pruning
    said: list[tuple[str, dict[str, Any]]]

    async def prune(self) -> None:
        """One pass, at once."""
        await self.pruning._pass()


@asynccontextmanager
async def later(
    path: Path, days: float, retention: Retention = MONTH, handler: Handler | None = None
) -> AsyncIterator[Later]:
    """The next life of the file, so many days after it was written."""
    clock = FakeClock(base_ms=EPOCH_MS + round(days * DAY_MS))
    said: list[tuple[str, dict[str, Any]]] = []

    def log(event: str, **values: Any) -> None:
        said.append((event, values))

    async with world(path, lambda call: (handler or app_of(it))(call), clock=clock) as it:
        yield Later(it, Pruning(it.store, it.engine.memory, retention, clock, log, log), said)


async def fill(path: Path, *keys: str) -> dict[str, str]:
    """A file with these runs, ended; their ids by key."""
    ids: dict[str, str] = {}
    async with world(path, lambda call: app(it, call)) as it:
        for key in keys:
            ids[key] = recorded(await it.post(key=key, retry=ONCE)).step.id
        await trio.sleep(5)
    return ids
