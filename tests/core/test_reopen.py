"""`retry` of a failure that was not handled, and what may have compensated for it. §5."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from tests.core.states import unhandled
from tests.core.support import BAD, LETS_OUT, OK, spec, started, unchanged_by

ONE_TRY = RetryPolicy(count=0)


def test_retry_opens_the_failed_step_of_a_paused_run() -> None:
    """The workflow is resumed with a fresh budget, posts the step again, and it is called."""
    driven = unhandled()
    driven.now = 20
    assert sorted(driven.act(Action.RETRY, "bad")) == ["bad", "root"]
    assert driven.states()["root"] == "backing-off"
    assert (driven.step().failures, driven.step("bad").generation) == (0, 2)
    assert driven.step("bad").awaiting_post
    driven.start()
    driven.whole(spec("bad", payload="mended"), outcome=OK)
    assert driven.end("root", OK).state is StepState.COMPLETED


def test_what_was_recorded_since_the_failure_is_named() -> None:
    """Not what came before it: `release` is answered from the record, and the hold is gone."""
    driven = unhandled()
    driven.act(Action.RETRY, "bad")
    assert driven.recorded_after == ["release"]


def test_resume_opens_nothing_and_names_nothing() -> None:
    """The failed step keeps its outcome, so nothing that was undone is done again."""
    driven = unhandled()
    driven.act(Action.RESUME)
    assert driven.recorded_after == []
    assert driven.step("bad").state is StepState.FAILED


def test_the_causes_below_the_failure_are_opened_too() -> None:
    """Else it would fail again at once; with them what was cancelled when it failed."""
    driven = unhandled(deep=True)
    assert driven.step("beside").state is StepState.CANCELLED
    assert sorted(driven.act(Action.RETRY, "bad")) == ["bad", "beside", "root", "worse"]
    assert driven.recorded_after == ["release"]


def test_a_step_deeper_down_opens_those_above_it() -> None:
    """Only they can post it again; with what was cancelled when they failed."""
    driven = unhandled(deep=True)
    assert sorted(driven.act(Action.RETRY, "worse")) == ["bad", "beside", "root", "worse"]


def test_a_nested_workflow_that_is_paused() -> None:
    """The failure below it is opened, and that workflow is resumed; the root waits on."""
    driven = started()
    driven.begin(spec("mid", retry=ONE_TRY))
    driven.whole(spec("bad", retry=ONE_TRY), "mid", outcome=BAD)
    driven.end("mid", BAD)
    assert driven.states() == {"root": "running", "mid": "paused", "bad": "failed"}
    assert sorted(driven.act(Action.RETRY, "bad")) == ["bad", "mid"]
    driven.start("mid")
    driven.whole(spec("bad"), "mid")
    assert driven.end("mid").state is StepState.COMPLETED


def test_a_failed_run_names_what_was_recorded_after_its_cause() -> None:
    """It compensated and answered 424: what was released is not reserved again by a retry."""
    driven = unhandled()
    driven.act(Action.RESUME)
    driven.start()
    driven.flight().known_failure = driven.id("bad")
    driven.end("root", LETS_OUT)
    assert sorted(driven.act(Action.RETRY)) == ["bad", "root"]
    assert driven.recorded_after == ["release"]


@pytest.mark.parametrize(
    ("step", "reason"), [("release", "completed"), ("before", "completed"), ("root", "paused")]
)
def test_what_cannot_be_retried_in_a_paused_run(step: str, reason: str) -> None:
    """Completed steps, and the paused one itself, with the way out."""
    driven = unhandled()
    raised = unchanged_by(driven.run, lambda: driven.act(Action.RETRY, step), Refused)
    assert isinstance(raised, Refused)
    assert raised.problem is Problem.NOT_POSSIBLE
    assert reason in raised.detail


def test_a_failure_under_another_pause_is_not_opened() -> None:
    """An operator paused the run: resume it first."""
    driven = started(retry=ONE_TRY)
    driven.whole(spec("bad", retry=ONE_TRY), outcome=BAD)
    driven.drain()
    driven.act(Action.PAUSE)
    unchanged_by(driven.run, lambda: driven.act(Action.RETRY, "bad"), Refused)
