"""Steps that a limit keeps from starting: left out of what the run wants until there is room.

Changes no step, only which of them `decide` looks at.
"""

from __future__ import annotations

from heapq import heappush

from engine.core.model import Run, StepState


def set_aside(run: Run, step_id: str) -> None:
    """A limit keeps the step from starting: `decide` leaves it out until it is put back.

    Else each change of a run would look again at every step of it that queues.
    """
    run.aside[step_id] = None
    run.ready.pop(step_id, None)


def put_back(run: Run, step_id: str) -> None:
    """The limit may let the step start now, if it still wants to."""
    run.aside.pop(step_id, None)
    step = run.steps[step_id]
    if step.state is StepState.PENDING and not step.awaiting_post:
        run.ready[step_id] = None
    elif step.state is StepState.BACKING_OFF:
        assert step.due_at is not None
        heappush(run.due, (step.due_at, step_id))
