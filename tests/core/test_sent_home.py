"""An attempt that was sent home records and completes nothing. `protocol.md` §4."""

from __future__ import annotations

from functools import partial

import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import Count
from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.home import FORGOTTEN_MAX, note_suspended, send_home, why_it_stays
from tests.core.support import BAD, LOST, OK, SUSPEND, Driven, spec, started, unchanged_by

ONE_TRY = RetryPolicy(count=0, jitter=0.0)
WHY = "its steps cannot move soon"
WHATEVER = [
    OK,
    SUSPEND,
    BAD,
    LOST,
    Answered(424),
    Answered(500, no_retry=True),
    Answered(503, retry_after_ms=60_000),
    Unanswered(CallError.ATTEMPT_TIMEOUT, "60 s"),
    Unanswered(CallError.ANSWER_TOO_LARGE, "2 MiB"),
]


def told(*children: str, retry: RetryPolicy | None = ONE_TRY) -> Driven:
    """A run whose root was sent home while it waited for these children."""
    driven = started(*children, retry=retry)
    send_home(driven.run, "R", WHY)
    return driven


@pytest.mark.parametrize("outcome", WHATEVER)
def test_whatever_it_answers_is_no_end_and_no_failure(outcome: Outcome) -> None:
    """2xx too, or nothing: the step waits for a child's end, and no retry is used up."""
    driven = told("a")
    step = driven.end("root", outcome)
    assert (step.state, step.failures, step.due_at) == (StepState.WAITING, 0, None)
    assert step.error == f"suspended: sent home, {WHY}"
    driven.end("a")
    assert (step.state, step.due_at) == (StepState.BACKING_OFF, driven.now)
    driven.start()
    assert driven.end("root").state is StepState.COMPLETED


@pytest.mark.parametrize("outcome", WHATEVER)
def test_a_child_that_ended_since_calls_it_again_at_once(outcome: Outcome) -> None:
    """The function never heard of it: there is no back-off, whatever else is open."""
    driven = told("a", "b")
    driven.end("a")
    step = driven.end("root", outcome)
    assert (step.state, step.due_at) == (StepState.BACKING_OFF, driven.now)
    assert step.delay_by is DelayBy.INTERRUPTED


def test_a_child_that_ended_before_calls_nobody() -> None:
    """The function was told of that one: each suspension would cost an idle call."""
    driven = started("a", "b", retry=ONE_TRY)
    driven.end("a")
    send_home(driven.run, "R", WHY)
    assert driven.end("root").state is StepState.WAITING


def test_with_no_child_open_it_runs_again_at_once() -> None:
    """Nothing would ever wake it."""
    driven = told("a")
    driven.end("a")
    assert driven.end("root").due_at == driven.now


def test_cancellation_goes_before() -> None:
    """The step above failed meanwhile: this was the last attempt, also if it answers 200."""
    driven = started("a")
    driven.begin("b", "a")
    send_home(driven.run, driven.id("a"), WHY)
    driven.end("root", Answered(500, no_retry=True))
    step = driven.end("a", OK)
    assert (step.state, step.cause_id) == (StepState.CANCELLED, "R")


def test_an_operator_cancels_it() -> None:
    """The outcome is there at once; the answer comes late."""
    driven = told("a")
    driven.act(Action.CANCEL)
    driven.end_attempt("root", 1, OK)
    assert driven.step().state is StepState.CANCELLED


def test_a_pause_holds() -> None:
    """Paused while in flight: it rests paused, and waits for its child when it is resumed."""
    driven = told("a")
    driven.act(Action.PAUSE)
    step = driven.end("root")
    assert (step.state, step.pause_reason) == (StepState.PAUSED, PauseReason.OPERATOR)
    assert step.resumes_to is StepState.WAITING


def test_what_it_posts_new_is_refused_and_nothing_is_recorded() -> None:
    """A compensation of a function that swallowed the 504, or the second of a Promise.all."""
    driven = told("a")
    driven.flight(
        "a"
    ).refused_post = True  # else what has no parent token is perhaps its function's
    for posted in ("new", "a"):
        for parent in (None, driven.parent_token()):
            refused = unchanged_by(driven.run, partial(driven.post, posted, parent), Refused)
            assert isinstance(refused, Refused)
            assert refused.problem is Problem.SUSPENDED
    assert driven.states() == {"root": "running", "a": "running"}


def test_what_has_ended_is_answered_from_the_record() -> None:
    """Nothing is recorded by it, also when the payload is another."""
    driven = told("a", "b")
    driven.end("a")
    before = len(driven.events)
    placed = driven.post("a", driven.parent_token())
    assert (placed.step_id, placed.new, placed.payload_differs) == (driven.id("a"), False, False)
    assert driven.post(spec("a", payload="other")).payload_differs
    assert len(driven.events) == before


def test_its_children_go_on_posting() -> None:
    """Only this attempt was told: a step below it records its own steps."""
    driven = told("a")
    assert driven.post("below", "a").new


@pytest.mark.parametrize("posted", ["new", "b"])
def test_a_nested_function_without_a_parent_token_does_not_fail_for_it(posted: str) -> None:
    """What it posts counts as the root's, and is told what is meant for the root: its attempt is
    interrupted, whatever it makes of that, and its step does not fail."""
    driven = started("b", retry=ONE_TRY)
    driven.begin(spec("a", retry=ONE_TRY))
    send_home(driven.run, "R", WHY)
    with pytest.raises(Refused, match="sent home"):
        driven.post(posted)
    step = driven.end("a", BAD)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 0)
    assert step.error == "interrupted: http-status: answered 500"
    driven.end("root")
    driven.start_later("a")
    assert driven.post("new").new, "none but a nested function can be the poster now"
    assert driven.end("a").state is StepState.COMPLETED


def test_who_cannot_have_posted_what_was_told_fails_as_ever() -> None:
    """With the root's parent token it was the root; nobody posts itself, or what is above it; and a
    function has posted nothing before its request has left."""
    for posted, parent, left in (("new", "root", True), ("a", None, True), ("new", None, False)):
        driven = started(retry=ONE_TRY)
        driven.begin(spec("a", retry=ONE_TRY))
        driven.begin(spec("below", retry=ONE_TRY), "a")
        send_home(driven.run, "R", WHY)
        for name in ("a", "below"):
            driven.flight(name).left = left
        with pytest.raises(Refused, match="sent home"):
            driven.post(posted, parent)
        assert driven.end("below", BAD).state is StepState.FAILED
        assert driven.end("a", Answered(424)).state is StepState.FAILED


@pytest.mark.parametrize("posts", [["b", "c"], ["a", "b"], ["a", "below"]])
def test_of_several_posts_each_but_its_own_may_be_a_nested_function_s(posts: list[str]) -> None:
    """All that are let go at once: who waits for one of them is interrupted."""
    driven = started("a", "b", "c", retry=ONE_TRY)
    driven.begin(spec("below", retry=ONE_TRY), "a")
    note_suspended(driven.run, {driven.id(name) for name in posts})
    told = {name for name in ("a", "b", "c", "below") if driven.flight(name).refused_post}
    assert told == {"a", "b", "c", "below"} - ({"below"} if posts == ["a", "below"] else set())


def test_the_next_attempt_is_free() -> None:
    """Being sent home ends with the attempt."""
    driven = told("a")
    driven.end("root")
    driven.end("a")
    driven.start()
    assert driven.post("b").new


def test_a_crash_is_an_interrupted_attempt() -> None:
    """Telling is not recorded: it runs again after its back-off."""
    driven = told("a")
    driven.crash()
    assert driven.step().state is StepState.BACKING_OFF
    assert Count.CRASH in {getattr(event, "counts_as", None) for event in driven.last}


def test_who_asks_for_none_of_its_recorded_steps_is_not_told_again() -> None:
    """Its keys differ from call to call: another call would find nothing recorded either."""
    driven = told("a")
    driven.end("root")
    driven.end("a")
    driven.start()
    driven.post("another")
    stays = why_it_stays(driven.run, "R")
    assert stays is not None
    assert "0 of the 1 steps recorded by earlier attempts" in stays
    driven.post("a")
    assert why_it_stays(driven.run, "R") is None


@pytest.mark.parametrize("calls", [FORGOTTEN_MAX - 1, FORGOTTEN_MAX])
def test_who_forgets_steps_at_each_call_is_not_told_for_ever(calls: int) -> None:
    """One key stays, one is drawn anew: a step would be recorded and run again at each call."""
    driven = told("stays", "drawn 0")
    for number in range(1, calls + 1):
        driven.end("root")
        if number > 1:
            driven.start(f"drawn {number - 1}")
        driven.end(f"drawn {number - 1}")
        driven.start()
        driven.post("stays")
        driven.post(f"drawn {number}")
        if number < calls:
            assert why_it_stays(driven.run, "R") is None
            send_home(driven.run, "R", WHY)
    stays = why_it_stays(driven.run, "R")
    assert (stays is None) == (calls < FORGOTTEN_MAX)


def test_what_a_function_below_posted_without_a_parent_token_is_not_forgotten() -> None:
    """Those steps are recorded as the root's, which never asks for them: the function below has
    ended, and is not called again."""
    driven = started("nested", "later")
    for number in range(2 * FORGOTTEN_MAX):
        driven.post(f"of the nested {number}")
        driven.start(f"of the nested {number}")
        driven.end(f"of the nested {number}")
    send_home(driven.run, "R", WHY)
    driven.end("nested")
    driven.end("root")
    driven.start()
    driven.post("nested")
    driven.post("later")
    assert why_it_stays(driven.run, "R") is None


def test_what_was_posted_from_outside_is_not_asked_for() -> None:
    """A post without parent token, no attempt in flight: no function knows of that step."""
    driven = started(retry=None)
    driven.end("root", LOST)
    driven.post("from outside")
    driven.start_later()
    driven.post("a")
    assert driven.step("from outside").recorded_by == 0
    assert why_it_stays(driven.run, "R") is None
