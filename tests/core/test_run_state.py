"""The state of a run: its root's outcome, else what its steps are doing. §1."""

from __future__ import annotations

import pytest

from engine.core.model import PauseReason, StepState
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, LOST, OK, SUSPEND, Driven, spec, started

ONE_TRY = RetryPolicy(count=0)


def test_the_life_of_a_run() -> None:
    """Running from the post on, also before its first request leaves; then completed."""
    driven = Driven()
    states = [driven.run.state]
    driven.start()
    states.append(driven.run.state)
    driven.end()
    states.append(driven.run.state)
    assert states == ["running", "running", "completed"]


def test_a_workflow_that_hangs_on_a_step() -> None:
    """The root's open request does not count while a child is open: the child decides."""
    driven = started("a")
    assert str(driven.run.state) == "running"
    assert driven.run.busy_leaves == 1
    driven.end("a", BAD)
    assert str(driven.run.state) == "backing-off"
    driven.start_later("a")
    driven.end("a", OK)
    assert driven.run.busy_leaves == 1, "the root's own request again"
    assert str(driven.run.state) == "running"


def test_one_request_without_open_children_makes_a_run_running() -> None:
    """Though something else is timed."""
    driven = started("a", "b")
    driven.end("a", BAD)
    assert str(driven.run.state) == "running"


def test_a_waiting_run() -> None:
    """Nothing timed, nothing in flight: only a paused child that the root waits for."""
    driven = started("a")
    driven.end("root", SUSPEND)
    driven.act(Action.PAUSE, "a")
    assert str(driven.run.state) == "running", "the request of `a` is still open"
    driven.end("a", BAD)
    assert str(driven.run.state) == "waiting"


def test_the_roots_pause_is_the_runs() -> None:
    """Noted while the request is open, a state when it is over; children do not matter."""
    driven = started("a")
    driven.act(Action.PAUSE, "root")
    assert str(driven.run.state) == "running"
    driven.end("root", LOST)
    assert str(driven.run.state) == "paused"
    assert driven.step().pause_reason is PauseReason.OPERATOR


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("complete", StepState.COMPLETED),
        ("fail", StepState.FAILED),
        ("cancel", StepState.CANCELLED),
    ],
)
def test_the_roots_outcome_is_the_runs(end: str, state: StepState) -> None:
    """Once the root has ended, children in flight change nothing."""
    driven = started("a", retry=ONE_TRY)
    if end == "cancel":
        driven.act(Action.CANCEL)
    else:
        driven.end("root", OK if end == "complete" else BAD)
    assert driven.run.state is state
    if end != "cancel":
        assert driven.run.open_steps == 1


def test_rows_count_open_and_failed_steps() -> None:
    """`openSteps` and `failedSteps`."""
    driven = started("a", "b")
    driven.whole(spec("c", retry=ONE_TRY), outcome=BAD)
    driven.end("b")
    assert (driven.run.open_steps, driven.run.failed_steps) == (2, 1)
