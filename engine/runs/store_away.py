"""While the store cannot be written: what is refused, what waits, and how all goes on.

Posts that would record something are refused, and no attempt starts, so that what memory holds and
the store does not is bounded by what was under way. What is recorded is answered. `protocol.md` §4.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from engine.core.model import Run, StepSpec
from engine.core.rules.post import Parent
from engine.ports.store import Store
from engine.runs.live import LiveRun

WOKEN_AT_ONCE = 200
"""So many runs look again before others get their turn: some milliseconds."""


async def follow_store(store: Store, live_runs: Mapping[str, LiveRun]) -> None:
    """Whenever the store is back let every run start what it may."""
    while True:
        await store.wait_away_moved()
        for number, live in enumerate(list(live_runs.values()), 1):
            if store.away is not None:
                break
            live.wake()
            if not number % WOKEN_AT_ONCE:
                await trio.lowlevel.checkpoint()


def would_record(run: Run, parent: Parent | None, spec: StepSpec) -> bool:
    """Whether a post to this run is of a step that is not there, or that begins anew with it."""
    if parent is None and spec.url == run.root.spec.url:
        return False
    found = run.by_identity.get(spec.identity)
    return found is None or run.steps[found].awaiting_post
