"""The engine on fakes: its real core, runs and SQLite store, with a caller of the test's own.

Runs under Trio's MockClock; the store works inline, so nothing waits for a thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import trio

from engine.core.events import Actor
from engine.core.model import Run, StepSpec
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action, Done, Order
from engine.core.target import last_segment, normalise
from engine.core.text.fingerprint import fingerprint
from engine.front.api.context import Front
from engine.front.show.digests import Digests
from engine.ports.caller import ALL_TARGETS, Invocation, Targets
from engine.ports.registry import ANY_CLIENT, Clients
from engine.ports.store import Body
from engine.process.budget import Parcel
from engine.process.costly import CostlyWork
from engine.runs.engine import Engine
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Recorded, Result, StillOpen, Wait
from engine.runs.open.parent import ParentToken, ParentTokens
from engine.runs.shared import Shared
from engine.store.offload import Offload
from engine.store.sqlite.file.owner import Owner
from engine.store.sqlite.store import SqliteStore, open_store
from engine.telemetry.run_log import NOBODY, Watchers

T = TypeVar("T")
Handler = Callable[[Invocation], Awaitable[Outcome]]
EPOCH_MS = 1_700_000_000_000
NO_LIMIT = Wait()
ROOT = "http://app:9000/workflows/w/index"


async def payload_of(store: SqliteStore, step_id: str) -> bytes:
    """Its first generation's."""
    body = await store.body(step_id, 1, answer=False)
    assert isinstance(body, Body)
    return body.data


async def inline(work: Callable[[], T]) -> T:
    """The offload of tests: no thread, one checkpoint."""
    await trio.lowlevel.checkpoint()
    return work()


class FakeClock:
    """Trio's clock as steady time; chance from a seed."""

    def __init__(self, seed: int | str = 0, base_ms: int = EPOCH_MS) -> None:
        self._random = Random(seed)
        self._base_ms = base_ms

    def steady_ms(self) -> int:
        return self._base_ms + round(trio.current_time() * 1000)

    def utc_ms(self) -> int:
        return self.steady_ms()

    def trio_time(self, steady_ms: int) -> float:
        return (steady_ms - self._base_ms) / 1000

    def chance(self) -> float:
        return self._random.random()

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class FakeCaller:
    """Calls a function of the test's instead of an endpoint, and keeps what was called when."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.calls: list[tuple[float, Invocation]] = []

    async def call(self, invocation: Invocation) -> Outcome:
        self.calls.append((trio.current_time(), invocation))
        return await self.handler(invocation)

    def times(self, name: str) -> list[float]:
        """When the endpoint whose URL ends in `name` was called."""
        return [at for at, call in self.calls if call.url.endswith(name)]


def ok(body: bytes = b"{}") -> Answered:
    return Answered(200, body, "application/json")


def taking(seconds: float) -> Handler:
    """An endpoint that answers after so long."""

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(seconds)
        return ok()

    return app


class World:
    """An engine at work, and what a test says to it."""

    def __init__(self, engine: Engine, store: SqliteStore, caller: FakeCaller) -> None:
        self.engine, self.store, self.caller = engine, store, caller

    async def post(
        self,
        url: str = ROOT,
        key: str = "k",
        payload: bytes = b"null",
        *,
        client: str = "shop",
        workflow: str = "w",
        parent_token: str | None = None,
        retry: RetryPolicy | None = None,
        step_key: str | None = None,
        attempt_timeout_ms: int = 60_000,
        wait: Wait = NO_LIMIT,
    ) -> Result:
        """Post a step as the front would."""
        url = normalise(url)
        spec = StepSpec(
            workflow=workflow,
            key=key,
            url=url,
            step_key=step_key or url,
            name=last_segment(url),
            fingerprint=fingerprint(payload),
            retry=retry,
            attempt_timeout_ms=attempt_timeout_ms,
        )
        parent: ParentToken | None = (
            None if parent_token is None else self.engine.parent_tokens.read(parent_token)
        )
        result = await self.engine.submit(client, spec, Parcel(payload), parent, wait)
        if isinstance(result, Recorded) and result.room is not None:
            result.room.give_back()  # it is answered
        return result

    async def act(self, run_id: str, action: Action, **options: Any) -> tuple[Run | None, Done]:
        """What Ada does to a run, as the front would ask for it."""
        asked = {"step_id": None, "actor": Actor("ada"), "reason": None} | options
        return await self.engine.act(run_id, Order(action, **asked))


def front_of(engine: Engine) -> Front:
    """As much of a front as posts need."""
    config, costly = SimpleNamespace(json_depth_max=64), CostlyWork()
    found = SimpleNamespace(engine=engine, config=config, costly=costly, digests=Digests(b""))
    return cast(Front, found)


def recorded(result: Result) -> Recorded:
    assert isinstance(result, Recorded), result
    return result


def still_open(result: Result) -> StillOpen:
    assert isinstance(result, StillOpen), result
    return result


@asynccontextmanager
async def world(
    at: Path | SqliteStore,
    handler: Handler,
    *,
    limits: EngineLimits | None = None,
    clock: FakeClock | None = None,
    strict: bool = True,
    watch: Watchers = NOBODY,
    warn: Callable[..., None] = lambda event, **values: None,
    pressed: Callable[[], bool] | None = None,
    write_offload: Offload | None = None,
    registry: Clients = ANY_CLIENT,
    targets: Targets = ALL_TARGETS,
) -> AsyncIterator[World]:
    """An engine on the store at this path, or on one that is open. Leaving it is a crash: nothing
    is drained.

    `strict`: a bug of the engine's ends the test, and does not only park its run.
    """
    async with AsyncExitStack() as left:
        store = at
        if isinstance(store, Path):
            opening = open_store(
                store,
                Owner(pid=1, instance="test", started_at="now"),
                started_at=0,
                write_offload=write_offload or inline,
                read_offload=inline,
                synchronous="OFF",
            )
            store = await left.enter_async_context(opening)
        clock, caller = clock or FakeClock(), FakeCaller(handler)
        parent_tokens = ParentTokens(store.secret, store.epoch)
        limits = limits or EngineLimits()
        shared = Shared(store, caller, clock, parent_tokens, limits, watch, warn, pressed, registry)
        engine = Engine(shared, strict=strict, targets=targets)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            yield World(engine, store, caller)
            nursery.cancel_scope.cancel()
