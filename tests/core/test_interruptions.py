"""Attempts that cost no retry: crashes, drains, refused posts, cuts and suspension. §4."""

from __future__ import annotations

import pytest

from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, LOST, OK, SUSPEND, Driven, spec, started

ONE_TRY = RetryPolicy(count=0, jitter=0.0)
NO_ANSWER = [
    LOST,
    Unanswered(CallError.ATTEMPT_TIMEOUT, "60 s"),
    Answered(502),
    Answered(503),
    Answered(504),
]


@pytest.mark.parametrize("outcome", NO_ANSWER)
def test_no_answer_with_an_open_child_costs_no_retry(outcome: Outcome) -> None:
    """A proxy's cut or a time-out while a step is under way is no failure of the workflow."""
    driven = started("a", retry=ONE_TRY)
    step = driven.end("root", outcome)
    assert (step.state, step.failures, step.due_at) == (StepState.BACKING_OFF, 0, 1_000)
    assert step.delay_by is DelayBy.INTERRUPTED


@pytest.mark.parametrize("outcome", NO_ANSWER)
def test_no_answer_without_an_open_child_is_a_failure(outcome: Outcome) -> None:
    """The child had ended: nothing excuses the workflow."""
    driven = started("a", retry=ONE_TRY)
    driven.end("a")
    assert driven.end("root", outcome).state is StepState.FAILED


@pytest.mark.parametrize("status", [400, 404, 429, 500, 501])
def test_an_answer_with_an_open_child_is_a_failure(status: int) -> None:
    """The workflow itself said no: an open child is no excuse."""
    driven = started("a", retry=ONE_TRY)
    assert driven.end("root", Answered(status)).state is StepState.FAILED


@pytest.mark.parametrize("child_ends", [False, True])
def test_a_cut_post_of_an_open_child_costs_no_retry(child_ends: bool) -> None:
    """The waiting post was cut and the function answered 500; by then the child is open, or not."""
    driven = started("a", "b", retry=ONE_TRY)
    driven.flight().cut.add(driven.id("a"))
    if child_ends:
        driven.end("a")
    step = driven.end("root", BAD)
    assert step.state is (StepState.FAILED if child_ends else StepState.BACKING_OFF)


@pytest.mark.parametrize(("outcome", "is_cut"), [(LOST, False), (BAD, True)])
def test_a_child_that_ends_while_the_attempt_is_judged(outcome: Outcome, is_cut: bool) -> None:
    """It was open when the attempt ended: no retry is used up, and the step runs again at once."""
    driven = started("a", retry=ONE_TRY)
    flight = driven.flight()
    flight.open_at_end = frozenset((driven.id("a"),))
    if is_cut:
        flight.cut.add(driven.id("a"))
    driven.end("a")
    step = driven.end("root", outcome)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 0)
    assert (step.delay_ms, step.due_at) == (0, driven.now)


def test_a_refused_post_costs_no_retry() -> None:
    """The engine answered 429 or 503 to a post: the function's 500 is the engine's doing."""
    driven = started(retry=ONE_TRY)
    driven.flight().refused_post = True
    step = driven.end("root", BAD)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 0)
    driven.start_later()
    assert driven.end("root", BAD).state is StepState.FAILED


def test_a_refused_post_does_not_keep_a_2xx_from_completing() -> None:
    """An outcome comes first."""
    driven = started()
    driven.flight().refused_post = True
    assert driven.end("root", OK).state is StepState.COMPLETED


def _interrupted_again(driven: Driven) -> None:
    driven.start_later()
    driven.end("root", LOST)


def test_two_interruptions_with_nothing_new_wait_for_a_child() -> None:
    """The one that recorded a step is not counted; then two in a row, and no timer any more."""
    driven = started("a")
    driven.end("root", LOST)
    assert driven.step().interruptions == 0
    _interrupted_again(driven)
    assert driven.step().state is StepState.BACKING_OFF
    _interrupted_again(driven)
    step = driven.step()
    assert (step.state, step.due_at, step.failures) == (StepState.WAITING, None, 0)
    driven.now += 5
    driven.end("a")
    assert (step.state, step.due_at) == (StepState.BACKING_OFF, driven.now)
    assert step.delay_by is DelayBy.CHILD_ENDED
    driven.start()


def test_something_new_starts_the_row_of_interruptions_anew() -> None:
    """An attempt that recorded a step came further: the next interruption has a timer again."""
    driven = started("a")
    driven.end("root", LOST)
    _interrupted_again(driven)
    driven.start_later()
    driven.post("b")
    driven.end("root", LOST)
    assert (driven.step().state, driven.step().interruptions) == (StepState.BACKING_OFF, 0)


def test_a_failure_ends_the_row_of_interruptions() -> None:
    """In a row means in a row."""
    driven = started("a")
    driven.end("root", LOST)
    _interrupted_again(driven)
    driven.start_later()
    driven.end("root", BAD)
    assert (driven.step().interruptions, driven.step().failures) == (0, 1)


def test_an_interrupted_step_runs_again_as_soon_as_a_child_ends() -> None:
    """Its back-off or a child's end, whichever is first; a failed child's end counts too."""
    driven = started()
    driven.begin(spec("a", retry=ONE_TRY))
    driven.end("root", LOST)
    driven.now = 10
    driven.end("a", BAD)
    assert driven.step().due_at == 10
    driven.start()


def test_a_failed_attempt_keeps_its_back_off_when_a_child_ends() -> None:
    """Only interrupted steps are woken: a failure is never retried early."""
    driven = started("a")
    driven.end("root", BAD)
    driven.now = 10
    driven.end("a")
    assert driven.step().due_at == 1_000


@pytest.mark.parametrize("status", [200, 202, 503, 500])
def test_a_suspended_step_waits_for_a_child(status: int) -> None:
    """`Atomic-Suspend` with an open child: invoked again when the child ends, at no cost."""
    driven = started("a")
    step = driven.end("root", Answered(status, suspend=True))
    assert (step.state, step.failures) == (StepState.WAITING, 0)
    driven.end("a")
    assert (step.state, step.due_at) == (StepState.BACKING_OFF, 0)


@pytest.mark.parametrize("other_open", [False, True])
def test_a_child_that_ends_before_the_suspension_is_not_missed(other_open: bool) -> None:
    """The function looked, a child ended, then it suspended: it is invoked again at once."""
    driven = started("a", *(["b"] if other_open else []))
    driven.end("a")
    step = driven.end("root", SUSPEND)
    assert (step.state, step.due_at) == (StepState.BACKING_OFF, 0)
    driven.start()
    if other_open:  # it has seen the end of `a`: now it waits for `b`
        assert driven.end("root", SUSPEND).state is StepState.WAITING


def test_suspension_without_a_child_is_a_failed_attempt() -> None:
    """Nothing could ever bring the step back: it is retried as a mistake of the function's."""
    step = started().end("root", SUSPEND)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 1)
    assert step.error == "Atomic-Suspend without an open child"


@pytest.mark.parametrize("end", [OK, BAD])
def test_a_crash_costs_no_retry(end: Outcome) -> None:
    """Every attempt in flight was interrupted; steps with one try go on, parents and children."""
    driven = started(retry=ONE_TRY)
    driven.begin(spec("a", retry=ONE_TRY))
    driven.crash()
    for step in (driven.step(), driven.step("a")):
        assert (step.state, step.failures, step.crashes) == (StepState.BACKING_OFF, 0, 1)
    driven.start_later("a")
    driven.end("a", end)
    driven.start_later()
    assert driven.end("root", OK).state is StepState.COMPLETED


def test_a_drain_costs_no_retry_and_is_no_crash() -> None:
    """A graceful stop interrupts what is in flight; deploys never use up a workflow."""
    driven = started("a", retry=ONE_TRY)
    for _ in range(12):
        driven.drain()
        for name in ("root", "a"):
            step = driven.step(name)
            assert (step.failures, step.crashes) == (0, 0)
            assert step.error == "interrupted: the engine was stopped"
        driven.start_later("a")
        if driven.step().state is StepState.BACKING_OFF:
            driven.start_later()
    driven.end("a")
    if "R" not in driven.run.flights:
        driven.start_later()
    assert driven.end("root", OK).state is StepState.COMPLETED


def test_ten_crashes_with_nothing_new_poison_a_step() -> None:
    """The tenth pauses it; resume starts it at once with a fresh budget."""
    driven = started()
    for crash in range(1, 10):
        driven.crash()
        assert (driven.step().state, driven.step().crashes) == (StepState.BACKING_OFF, crash)
        driven.start_later()
    driven.crash()
    assert driven.step().pause_reason is PauseReason.POISONED
    driven.act(Action.RESUME)
    assert (driven.step().crashes, driven.step().due_at) == (0, driven.now)
    driven.start()
    driven.crash()
    assert (driven.step().state, driven.step().crashes) == (StepState.BACKING_OFF, 1)


def test_what_a_copy_has_in_flight_is_no_crash() -> None:
    """It costs no retry and poisons nothing, and its function may be at work in another place."""
    driven = started("a", retry=ONE_TRY)
    for _ in range(9):
        driven.crash()
        driven.start_later("a")
        driven.start_later()
    assert driven.step().crashes == 9
    driven.crash(of_copy=True)
    for name in ("root", "a"):
        step = driven.step(name)
        assert (step.state, step.failures, step.crashes) == (StepState.BACKING_OFF, 0, 0)
        assert step.error == "interrupted: in flight in the copy that was restored"
    assert driven.step().may_post


@pytest.mark.parametrize("new", ["step", "outcome", "answer", "drain"])
def test_crashes_are_counted_in_a_row_with_nothing_new(new: str) -> None:
    """A step or an outcome recorded in the run, or an attempt that came to an end, starts anew."""
    driven = started("a")
    for _ in range(9):
        driven.crash()
        driven.start_later("a")
    if new == "step":
        driven.post("b")
    elif new == "outcome":
        driven.whole(spec("c", retry=ONE_TRY), outcome=BAD)
    elif new == "answer":
        driven.end("a", BAD)
        driven.start_later("a")
    else:
        driven.drain()
        driven.start_later("a")
    driven.crash()
    assert (driven.step("a").state, driven.step("a").crashes) == (StepState.BACKING_OFF, 1)


def test_recovery_clamps_a_back_off_to_its_own_length() -> None:
    """The wall clock was set back by an hour over a restart: one back-off more, not an hour."""
    driven = started("a")
    driven.now = 3_600_000
    driven.end("a", BAD)
    assert driven.step("a").due_at == 3_601_000
    driven.now = 0
    driven.crash()
    step = driven.step("a")
    assert (step.due_at, step.delay_ms, step.delay_by) == (1_000, 1_000, DelayBy.POLICY)
    driven.now = 500
    driven.crash()
    assert step.due_at == 1_000, "a time that can be right is left alone"


def test_recovery_clamps_the_back_off_of_a_paused_step() -> None:
    """It would otherwise wait the hour when it is resumed; it stays paused."""
    driven = started("a")
    driven.now = 3_600_000
    driven.end("a", BAD)
    driven.act(Action.PAUSE, "a")
    driven.now = 0
    driven.crash()
    step = driven.step("a")
    assert (step.state, step.due_at) == (StepState.PAUSED, 1_000)


def test_retry_after_lengthens_an_interrupted_back_off() -> None:
    """A 503 with Retry-After while a child is open: later, but a child's end still wakes it."""
    driven = started("a")
    driven.end(outcome=Answered(503, retry_after_ms=120_000))
    assert driven.run.root.delay_ms == 120_000
    driven.end("a")
    assert driven.run.root.due_at == driven.now
