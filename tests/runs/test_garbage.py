"""What is over is gone at once: nothing of a run waits for Python's collector."""

from __future__ import annotations

import gc
from pathlib import Path

import trio

from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.ports.caller import Invocation
from tests.world import ok, recorded, world

STEP = "http://app:9000/workflows/w/steps/a"


async def test_a_run_leaves_no_circle(autojump_clock, path: Path) -> None:
    """A circle of references costs a tenth of the engine's work, and its pauses double the p99."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            recorded(await it.post(STEP, key=call.idempotency_key, parent_token=call.parent_token))
        return ok()

    async with world(path, app) as it:
        recorded(await it.post(key="first"))  # what is made once is made now
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for number in range(5):
                assert recorded(await it.post(key=f"{number}")).step.state is StepState.COMPLETED
            await trio.sleep(5)
            assert not it.engine.memory.live
            it.caller.calls.clear()  # what was called is kept for tests
            gc.collect()
            kinds = {type(found).__qualname__ for found in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not kinds & {"LiveRun", "Attempt", "AttemptFlow", "Step", "Run", "Slot", "Body"}, kinds
