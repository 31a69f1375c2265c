"""An engine with alerts, and who is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from engine.alerts.alerts import Alerts
from engine.alerts.rules import Rule
from engine.alerts.settings import AlertSettings
from engine.core.access.client import ALERTS_CLIENT, Client
from engine.core.outcome import Answered, Outcome
from engine.ports.caller import Invocation
from engine.ports.registry import Registered
from engine.runs.limits.bounds import EngineLimits
from engine.store.tables.views.views import TableViews
from engine.telemetry.run_log import Watchers
from tests.world import FakeClock, Handler, World, inline, ok, world

RECEIVER = "http://pager:80/hook"


class Said:
    """What came to the receiver."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.events: list[dict[str, Any]] = []
        self.answer: Callable[[], Outcome] = ok

    def take(self, call: Invocation) -> Outcome:
        outcome = self.answer()
        if isinstance(outcome, Answered) and outcome.ok:
            self.at.append(trio.current_time())
            self.events.append(json.loads(call.payload))
        return outcome

    @property
    def lines(self) -> list[str]:
        """Type and what is told, of each."""
        return [f"{it['type']} {it['data'].get('telling')}" for it in self.events]

    def data(self, number: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = self.events[number]["data"]
        return found


class Kept:
    """The registry of a store that is not there yet when alerts are made."""

    file_id = "F1"

    def __init__(self) -> None:
        self.entries: list[Registered] = []

    @property
    def registered(self) -> tuple[Registered, ...]:
        return tuple(self.entries[-1:])

    def register(self, entry: Registered) -> Any:
        self.entries.append(entry)


def settings(*rules: Rule, late_after_s: int = 86_400) -> AlertSettings:
    client = Client(ALERTS_CLIENT, (RECEIVER,))
    return AlertSettings(client, frozenset(rules or Rule), late_after_s)


@asynccontextmanager
async def telling(
    path: Path,
    app: Handler,
    *,
    asked: AlertSettings | None = None,
    kept: Kept | None = None,
    directory: Path | None = None,
    limits: EngineLimits | None = None,
    strict: bool = True,
) -> AsyncIterator[tuple[World, Alerts, Said]]:
    """An engine with alerts."""
    said, clock = Said(), FakeClock()

    async def answer(call: Invocation) -> Outcome:
        return said.take(call) if call.client == ALERTS_CLIENT else await app(call)

    asked = asked or settings(*(set(Rule) - {Rule.DISK}))
    inform: Callable[..., None] = lambda event, **values: None  # noqa: E731
    where = directory or path.parent
    alerts = Alerts(asked, kept or Kept(), clock, where, inform, inline)
    watch = Watchers(count=alerts.watch)
    async with world(path, answer, clock=clock, watch=watch, limits=limits, strict=strict) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alerts.run, it.engine, TableViews(it.store))
            yield it, alerts, said
            nursery.cancel_scope.cancel()


async def failing(call: Invocation) -> Outcome:
    """With a secret in its answer and in what came."""
    return Answered(500, b'{"error": "no pay, password=canary-1"}', "application/json")
