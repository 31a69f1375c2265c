"""What a page of a run is laid out by, and the steps of it that are shown: the same as the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.model import PauseReason, StepState
from engine.store.tables.views.views import TableViews
from tests.store.shelf import a_run, a_step, fill
from tests.store.support import store_at

RUN = "01A"


@pytest.mark.parametrize("stopped", [None, "AssertionError: a bug"])
async def test_it_is_the_tree(path: Path, stopped: str | None) -> None:
    """State by state, parent by parent, in order; of a run that a bug stopped, as that is told."""
    run = a_run(
        RUN,
        a_step(RUN, 0, state=StepState.WAITING),
        a_step(RUN, 1, state=StepState.COMPLETED, ended_at=7),
        a_step(RUN, 2, state=StepState.BACKING_OFF, due_at=9),
    )
    run.engine_error = stopped
    await fill(path, [run, a_run("01B", a_step("01B"))])
    async with store_at(path) as store:
        views = TableViews(store)
        outline, tree = await views.outline(RUN), await views.tree(RUN)
        assert outline is not None
        assert tree is not None
        record, steps, _ = tree
        assert outline.run == record
        assert [tuple(it)[:-1] for it in outline.steps] == [
            (it.id, it.parent_id, it.spec.name, it.state, it.submitted_at, it.ended_at, it.due_at)
            for it in steps
        ]
        assert not any(it.by_hand for it in outline.steps)
        found = await views.some_steps(RUN, [f"{RUN}-2", RUN], 5)
        assert [step for step, _ in found] == [steps[0], steps[2]]
        if stopped:
            assert steps[0].pause_reason is PauseReason.ENGINE_ERROR
        assert await views.outline("01C") is None


async def test_only_steps_of_the_run(path: Path) -> None:
    """Whoever may see one run is shown no step of another by its id."""
    await fill(path, [a_run(RUN, a_step(RUN)), a_run("01B", a_step("01B"))])
    async with store_at(path) as store:
        assert await TableViews(store).some_steps(RUN, ["01B", "nothing"], 5) == []
