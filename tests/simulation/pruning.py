"""Retention in a simulated world: what has ended goes after seconds, and not after days."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import trio

from engine.core.model import ENDED, StepState
from engine.core.rules.retention import Retention
from engine.jobs.retention import Pruning
from engine.process.clock import Clock
from engine.runs.engine import Engine
from tests.simulation.history import History

HOUR_MS = 3_600_000
EVERY_S = 8.0
"""Between two passes, at most."""


class Soon(Retention, frozen=True):
    """What has ended, and what is recorded of it, is kept for so long."""

    kept_ms: int = 0
    failed_kept_ms: int = 0
    """Of what failed or was cancelled."""

    def ended_before(self, now: int) -> Mapping[str, int]:
        """By state; in an order that no hash decides, so that a seed replays."""
        before: dict[str, int] = dict.fromkeys(sorted(ENDED), now - self.failed_kept_ms)
        before[StepState.COMPLETED] = now - self.kept_ms
        return before

    def journal_before(self, now: int) -> int | None:
        """As late as what has completed."""
        return now - self.kept_ms


KEPT = tuple(
    Soon(days=1, kept_ms=kept_ms, failed_kept_ms=failed_kept_ms)
    for kept_ms, failed_kept_ms in (
        (0, 0), (500, 500), (5_000, 10_000), (30_000, 60_000), (0, 100 * HOUR_MS),
        (2_000, 100 * HOUR_MS),
    )
)  # fmt: skip


async def prune(
    engine: Engine, clock: Clock, history: History, retention: Retention, rng: Random
) -> None:
    """Let pass after pass remove what it may, as long as the engine lives."""

    def log(event: str, **values: object) -> None:
        history.note(f"situation:{event}")

    pruning = Pruning(engine.store, engine.memory, retention, clock, log, log)
    while True:
        await trio.sleep(rng.random() * EVERY_S)
        removed = pruning.events_removed
        await pruning._pass()
        if pruning.events_removed > removed:
            history.note("situation:journal-cut")
