"""Steps that are due and have not begun: what for is told when their run is read."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from engine.core.text.times import rfc3339
from engine.wire import RunTree, StepRow, WaitRow
from tests.tui.engine_stand_in import StandIn, fed
from tests.tui.support import NOW, RUN, event, run_row, step_row, store_at, tree_read
from tui.data.feed import STATUS_EVERY_S
from tui.data.model import step_of


@pytest.mark.parametrize(
    ("row", "waits"),
    [
        (step_row(status="pending"), True), (step_row(status="pending", at=1), False),
        (step_row(status="pending", awaiting_post=True), False),
        (step_row(status="pending", held_since=rfc3339(NOW)), False),
        (step_row(status="backing-off", due=0), True),
        (step_row(status="backing-off", due=1), False), (step_row(status="backing-off"), False),
        (step_row(status="running"), False), (step_row(status="paused", due=0), False),
        (step_row(status="completed", ended=0), False),
    ],
)  # fmt: skip
def test_what_keeps_waiting(row: StepRow, waits: bool) -> None:
    """What could have begun a second ago, and is not held."""
    assert step_of(row).keeps_waiting(NOW + 1_000) is waits


def status(_: object) -> dict[str, Any]:
    at = rfc3339(NOW + round(trio.current_time() * 1_000))
    return {"instance": "a", "counts": {}, "serverTime": at}


@pytest.mark.parametrize(("due_ms", "reads"), [(-2_000, 4), (7_000, 3), (60_000, 1)])
async def test_the_open_run_is_read_again_while_a_step_waits(
    autojump_clock: object, due_ms: int, reads: int
) -> None:
    """Along with the status: no event tells what for, nor that it is due and does not begin."""
    engine = StandIn()
    engine.answers["status"] = status
    step = step_row(status="backing-off", due=due_ms)
    engine.answers["runs/a"] = RunTree(run_row("a"), (step,), rfc3339(NOW))
    async with fed(engine) as it:
        it.feed.open("a")
        await trio.sleep(3 * STATUS_EVERY_S - 1 + STATUS_EVERY_S / 2)
        assert len(engine.reads("runs/a")) == reads


def test_what_was_waited_for_ends_with_the_next_event() -> None:
    """It was so just then: the step has gone on."""
    store = store_at()
    why = WaitRow("rate", "waits for app:9000: 2 calls a second")
    store.apply(tree_read(step_row(status="pending", waits=why)))
    assert store.trees[RUN].steps[RUN].waits == why
    store.apply(event("started", 2, "running", number=1))
    assert store.trees[RUN].steps[RUN].waits is None
