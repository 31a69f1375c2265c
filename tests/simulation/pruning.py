"""Retention in a simulated world: what has ended goes after seconds, and not after days."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import trio

from engine.core.model import ENDED
from engine.core.rules.retention import Retention
from engine.jobs.retention import Pruning
from engine.process.clock import Clock
from engine.runs.engine import Engine
from tests.simulation.history import History

KEPT_MS = (0, 500, 5_000, 30_000)
EVERY_S = 8.0
"""Between two passes, at most."""


class Soon(Retention, frozen=True):
    """What has ended is kept for so long."""

    kept_ms: int = 0

    def ended_before(self, now: int) -> Mapping[str, int]:
        """Whatever its state; in an order that no hash decides, so that a seed replays."""
        return dict.fromkeys(sorted(ENDED), now - self.kept_ms)


async def prune(engine: Engine, clock: Clock, history: History, kept_ms: int, rng: Random) -> None:
    """Let pass after pass remove what it may, as long as the engine lives."""
    retention = Soon(days=1, kept_ms=kept_ms)

    def log(event: str, **values: object) -> None:
        history.note(f"situation:{event}")

    pruning = Pruning(engine.store, engine.memory, retention, clock, log, log)
    while True:
        await trio.sleep(rng.random() * EVERY_S)
        await pruning._pass()
