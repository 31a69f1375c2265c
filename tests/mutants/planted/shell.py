"""Bugs in how the shell acts: runs, places, tokens."""

from __future__ import annotations

from engine.drive import LiveRun
from tests.mutants.catalog import KILLS, SIMULATION, Planting, plant


@plant("the answer 202 leaves before the commit", by=(SIMULATION, KILLS), rules=("R1",),
       slow_sync_ms=150)  # fmt: skip
def acknowledged_before_commit(bug: Planting) -> None:
    bug.rewrite(
        LiveRun.wait_durable, "if self.receipt is None or self.receipt.durable:", "if True:"
    )


@plant("callers are told an outcome before its commit", rules=("R1", "R2", "R3", "R4"))
def told_before_commit(bug: Planting) -> None:
    bug.rewrite(LiveRun.commit, "then = partial(self._committed, ended, promised)",
                "then = partial(self._committed, ended, promised)\n"
                "        if not promised:\n            then()")  # fmt: skip
