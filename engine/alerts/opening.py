"""Runs that the engine opens for itself: alerts. They are recorded and called as any other."""

from __future__ import annotations

from engine.core.model import Run, StepSpec
from engine.core.rules.post import open_run
from engine.runs.engine import Engine
from engine.runs.limits.refusals import draining, store_unavailable


def open_own(engine: Engine, run_id: str, client: str, spec: StepSpec, payload: bytes) -> None:
    """Open a run of a client that no post can name.

    What refuses new runs for want of room does not refuse it: it tells of that, perhaps. Raises
    Refused while nothing can be recorded.
    """
    if engine.draining:
        raise draining()
    if (away := engine.store.away) is not None:
        raise store_unavailable(away)
    now = engine.clock.steady_ms()
    run = Run(id=run_id, client=client, submitted_at=now)
    change, placed = open_run(run, spec, now)
    live = engine.memory.enter(run)
    try:
        live.commit_post(change, placed, payload, now)
    except Exception as error:
        if not engine.stopped.park(live, error):
            raise
