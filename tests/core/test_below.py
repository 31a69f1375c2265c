"""A failure below a step: it ends the step when the answer says so, and else nobody forgets it. §4.

The record decides. What the attempt itself was told chooses the cause and the words.
"""

from __future__ import annotations

import pytest

from engine.core.cause import stuck
from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, EXACT, LETS_OUT, LOST, OK, SUSPEND, Driven, spec, started

ONE_TRY = RetryPolicy(count=0)
TOO_LARGE = Unanswered(CallError.ANSWER_TOO_LARGE, "over 1 MiB")
NOT_ALLOWED = Unanswered(CallError.TARGET_NOT_ALLOWED, "not loopback")
NO_OUTCOME = [
    BAD, LOST, TOO_LARGE, NOT_ALLOWED, Answered(302), Answered(402), Answered(404), Answered(503),
    Answered(504), Answered(503, retry_after_ms=1_000), SUSPEND,
    Unanswered(CallError.ATTEMPT_TIMEOUT, "60 s"), Unanswered(CallError.BAD_ANSWER, "cut", 424),
]  # fmt: skip
"""Ends that say nothing of the failure below."""
RETRIED = [outcome for outcome in NO_OUTCOME if outcome not in (TOO_LARGE, NOT_ALLOWED, SUSPEND)]


def untold(retry: RetryPolicy | None = EXACT, *, name: str = "root") -> Driven:
    """A step in flight whose child `bad` stands failed; this attempt has asked for nothing yet."""
    driven = started(retry=retry if name == "root" else EXACT)
    if name != "root":
        driven.begin(spec(name, retry=retry))
    driven.whole(spec("bad", retry=ONE_TRY), driven.parent_token(name), outcome=Answered(402))
    driven.drain()
    if name != "root":
        driven.start_later("root")
    driven.start_later(name)
    return driven


def told(retry: RetryPolicy | None = EXACT, *, name: str = "root") -> Driven:
    """The same, and the attempt has just been told."""
    driven = untold(retry, name=name)
    driven.flight(name).known_failure = driven.id("bad")
    return driven


STOPS = RetryPolicy(stop_on=(500,))


@pytest.mark.parametrize(
    ("retry", "outcome", "ends"),
    [
        (EXACT, LETS_OUT, True),
        (EXACT, Answered(400, no_retry=True), True),
        (STOPS, BAD, True),
        (EXACT, OK, True),
        (EXACT, BAD, False),
        (ONE_TRY, BAD, False),
        (EXACT, TOO_LARGE, False),
        (EXACT, LOST, False),
    ],
)
def test_what_an_operators_pause_lets_end(retry: RetryPolicy, outcome: Outcome, ends: bool) -> None:
    """An answer that ends its step does so while it is paused, too; any other failure waits."""
    driven = told(retry)
    driven.act(Action.PAUSE)
    assert driven.end("root", outcome).ended == ends
    if not ends:
        assert driven.step().state is StepState.PAUSED


@pytest.mark.parametrize("name", ["root", "mid"])
@pytest.mark.parametrize("make", [told, untold])
@pytest.mark.parametrize(
    ("outcome", "retry"),
    [(LETS_OUT, EXACT), (LETS_OUT, None), (Answered(400, no_retry=True), EXACT), (BAD, STOPS)],
)
def test_an_answer_that_says_so_ends_the_step_at_once(
    outcome: Outcome, retry: RetryPolicy | None, make, name: str
) -> None:
    """424, `Atomic-No-Retry`, a status of `stopOn`: root or child, told in this attempt or not."""
    driven = make(retry, name=name)
    step = driven.end(name, outcome)
    assert (step.state, step.cause_id) == (StepState.FAILED, driven.id("bad"))


@pytest.mark.parametrize("make", [told, untold])
@pytest.mark.parametrize("outcome", RETRIED)
def test_every_other_end_is_a_failed_attempt(outcome: Outcome, make) -> None:
    """It backs off under the step's policy, also after other posts."""
    driven = make()
    driven.whole("release")
    step = driven.end("root", outcome)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 1)
    assert step.delay_by in (DelayBy.POLICY, DelayBy.RETRY_AFTER)


@pytest.mark.parametrize("name", ["root", "mid"])
@pytest.mark.parametrize("make", [told, untold])
@pytest.mark.parametrize("outcome", NO_OUTCOME)
@pytest.mark.parametrize("retry", [ONE_TRY, RetryPolicy(count=0, on_exhausted=OnExhausted.PAUSE)])
def test_what_is_used_up_is_paused(retry: RetryPolicy, outcome: Outcome, make, name: str) -> None:
    """Whatever came last, answers that are never retried too; the run is stuck, for a person."""
    driven = make(retry, name=name)
    step = driven.end(name, outcome)
    assert (step.state, step.pause_reason) == (StepState.PAUSED, PauseReason.UNHANDLED_FAILURE)
    need = stuck(driven.run)
    assert need is not None
    assert need.step_id == driven.id(name)


@pytest.mark.parametrize("outcome", [TOO_LARGE, NOT_ALLOWED])
def test_what_is_not_retried_pauses_with_retries_left(outcome: Outcome) -> None:
    """Another attempt would fare no better; the function may not have compensated yet."""
    assert told().end("root", outcome).pause_reason is PauseReason.UNHANDLED_FAILURE


def test_a_root_without_a_policy_of_its_own_says_why_it_is_paused() -> None:
    """It would be paused anyway: not `exhausted`, as the reason says what is to be done."""
    driven = told(None)
    for _ in range(10):
        driven.end("root", BAD)
        driven.start_later()
    assert driven.end("root", BAD).pause_reason is PauseReason.UNHANDLED_FAILURE


def test_max_elapsed_pauses() -> None:
    """A retry that would begin too late is not made; the step does not fail for it."""
    step = told(RetryPolicy(max_elapsed_ms=500)).end("root", BAD)
    assert step.pause_reason is PauseReason.UNHANDLED_FAILURE


@pytest.mark.parametrize("outcome", [BAD, LOST, TOO_LARGE])
def test_the_posters_own_words_hold(outcome: Outcome) -> None:
    """`onExhausted: fail` that was named fails it, with the failure below as its cause."""
    driven = told(RetryPolicy(count=0, on_exhausted=OnExhausted.FAIL))
    step = driven.end("root", outcome)
    assert (step.state, step.cause_id) == (StepState.FAILED, driven.id("bad"))


def test_a_cancelled_child_is_a_failure_below() -> None:
    """An operator cancelled a step: its 409 is an outcome, and the same rule holds."""
    driven = started("a", retry=ONE_TRY)
    driven.act(Action.CANCEL, "a")
    step = driven.end("root", BAD)
    assert step.pause_reason is PauseReason.UNHANDLED_FAILURE
    assert step.error == (
        "unhandled-failure: answered 500; a, a step below it, had been cancelled."
        " If that ends the workflow, answer 424"
    )


def test_424_with_no_failure_below_is_a_status_like_others() -> None:
    """It is retried, and when that is used up the step fails."""
    driven = started("a", retry=RetryPolicy(count=1))
    driven.end("a")
    assert driven.end("root", LETS_OUT).state is StepState.BACKING_OFF
    driven.start_later()
    assert driven.end("root", LETS_OUT).state is StepState.FAILED


@pytest.mark.parametrize("outcome", [LETS_OUT, BAD, TOO_LARGE, Answered(500, no_retry=True)])
def test_a_refused_compensation_is_posted_again(outcome: Outcome) -> None:
    """The engine answered its post with 429 or 503: an interruption, whatever the answer says."""
    driven = told(ONE_TRY)
    driven.flight().refused_post = True
    step = driven.end("root", outcome)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 0)
    assert step.delay_by is DelayBy.INTERRUPTED


def test_a_cut_compensation_does_not_excuse_a_424() -> None:
    """The function had no answer and gives up all the same: that is its decision."""
    driven = told()
    driven.post("release")
    driven.flight().cut.add(driven.id("release"))
    assert driven.end("root", LETS_OUT).state is StepState.FAILED


@pytest.mark.parametrize("outcome", [LOST, Answered(503)])
def test_no_answer_while_a_compensation_is_under_way_is_an_interruption(outcome: Outcome) -> None:
    """A child is open: as without a failure below."""
    driven = told(ONE_TRY)
    driven.post("release")
    step = driven.end("root", outcome)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 0)


def test_the_cause_is_what_the_attempt_was_told_of_last() -> None:
    """Else the child that ended so last; one that completed since, or runs again, is none."""
    driven = started(retry=EXACT)
    for name, at in (("first", 1), ("last", 2)):
        driven.begin(spec(name, retry=ONE_TRY))
        driven.now = at
        driven.end(name, BAD)
    driven.flight().known_failure = driven.id("first")
    driven.post("release")  # whoever compensates has still been told
    assert driven.end("root", LETS_OUT).cause_id == driven.id("first")
    driven.act(Action.RETRY)
    driven.start()
    driven.flight().known_failure = driven.id("first")  # is open again
    assert driven.end("root", LETS_OUT).cause_id == driven.id("last")


def test_a_caught_failure_deeper_down_is_not_below_the_root() -> None:
    """The nested workflow dealt with it and completed: the root's own failures fail it."""
    driven = told(name="mid", retry=EXACT)
    driven.end("mid", OK)
    for _ in range(10):
        driven.end("root", BAD)
        driven.start_later()
    assert driven.end("root", BAD).state is StepState.FAILED


def test_a_workflow_that_compensates_completes() -> None:
    """Told of the failed step, it answers 2xx."""
    assert told().end("root", OK).state is StepState.COMPLETED


def test_resume_gives_a_fresh_budget_and_opens_nothing() -> None:
    """The mended function is told again and compensates."""
    driven = told(ONE_TRY)
    driven.end("root", BAD)
    assert driven.act(Action.RESUME) == ["root"]
    assert (driven.step().failures, driven.step().due_at) == (0, driven.now)
    assert driven.step("bad").state is StepState.FAILED
    driven.start()
    driven.whole("release")
    assert driven.end("root", OK).state is StepState.COMPLETED


REASON = "If that ends the workflow, answer 424"


@pytest.mark.parametrize(
    ("outcome", "was_told", "error"),
    [
        (BAD, True, "unhandled-failure: answered 500 after it was told that bad failed"
                    f" (answered 402). {REASON}"),
        (BAD, False, "unhandled-failure: answered 500; bad, a step below it, had failed"
                     f" (answered 402). {REASON}"),
        (TOO_LARGE, True, "unhandled-failure: answer-too-large: over 1 MiB; bad, a step below it,"
                          f" had failed (answered 402). {REASON}"),
        (LOST, True, "connection-lost: reset by peer; bad, a step below it, had failed"
                     " (answered 402)"),
    ],
)  # fmt: skip
def test_the_attempt_says_what_it_was_told_and_answered(
    outcome: Outcome, was_told: bool, error: str
) -> None:
    """From the first one on: nobody has to wait until the retries are used up."""
    step = (told() if was_told else untold()).end("root", outcome)
    assert (step.failures, step.error) == (1, error)


def test_a_title_that_begins_with_the_status_tells_it_once() -> None:
    """Flask, nginx and others answer a page that is called `500 Internal Server Error`."""
    driven = started()
    driven.begin(spec("bad", retry=ONE_TRY))
    page = b"<html><title>500 Internal Server Error</title>"
    driven.end("bad", Answered(500, page, "text/html"))
    step = driven.end("root", BAD)
    assert step.error is not None
    assert "had failed (answered 500: Internal Server Error)" in step.error


def test_a_failure_of_several_levels_is_told_shortly() -> None:
    """The words of the level below are not repeated on each level, and never grow."""
    named = RetryPolicy(count=0, on_exhausted=OnExhausted.FAIL)
    driven = started()
    driven.begin(spec("mid", retry=named))
    driven.whole(
        spec("bad", retry=ONE_TRY),
        driven.parent_token("mid"),
        outcome=Unanswered(CallError.CONNECTION_LOST, "x" * 1_000),
    )
    driven.end("mid", BAD)
    step = driven.end("root", BAD)
    assert step.error is not None
    assert step.error.count("answer 424") == 1
    assert len(step.error) < 600


def test_a_post_that_nobody_could_read_may_have_been_its_compensation() -> None:
    """While the attempt was in flight a post was refused unread: after a failure below it was
    interrupted, also if it answers 424; else that is nothing."""
    driven = untold()
    driven.flight().maybe_refused = True
    driven.end("root", LETS_OUT)
    assert (driven.step().state, driven.step().failures) == (StepState.BACKING_OFF, 0)
    assert driven.step().error == "interrupted: http-status: answered 424"

    driven = started(retry=EXACT)
    driven.flight().maybe_refused = True
    driven.end("root", BAD)
    assert driven.step().failures == 1
