"""What the end of an attempt means: completed, retried, failed, and for whom else. §3, §4."""

from __future__ import annotations

import pytest

from engine.core.events import CancelAsked, LateEnd
from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.outcome import Answered, CallError, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, EXACT, OK, spec, started

HOUR_MS = 3_600_000
ONE_TRY = RetryPolicy(count=0)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_2xx_completes(status: int) -> None:
    """Any 2xx ends the step, and its attempt number says whose answer is the outcome."""
    step = started("a").end("a", Answered(status))
    assert step.state is StepState.COMPLETED
    assert (step.http_status, step.answer_attempt, step.error) == (status, 1, None)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 304, 400, 404, 409, 429, 500, 503, 599])
def test_any_other_answer_is_retried(status: int) -> None:
    """3xx, 4xx and 5xx alike are failed attempts that back off."""
    step = started("a").end("a", Answered(status))
    assert (step.state, step.failures, step.due_at) == (StepState.BACKING_OFF, 1, 1_000)
    assert step.delay_by is DelayBy.POLICY


RETRIED = set(CallError) - {CallError.ANSWER_TOO_LARGE, CallError.TARGET_NOT_ALLOWED}


@pytest.mark.parametrize("error", CallError)
def test_no_answer_is_retried_unless_another_attempt_cannot_mend_it(error: CallError) -> None:
    """Too large and not allowed fail at once; everything else that goes wrong backs off."""
    step = started("a").end("a", Unanswered(error, "why"))
    wanted = StepState.BACKING_OFF if error in RETRIED else StepState.FAILED
    interrupted = "interrupted: " if error is CallError.NO_DESCRIPTOR else ""
    assert step.state is wanted
    assert step.error == f"{interrupted}{error}: why"


def test_an_attempt_that_got_no_descriptor_costs_nothing() -> None:
    """Nobody was called: an interruption, however often, also of a step that has no retry left."""
    driven = started("a", retry=ONE_TRY)
    for number in range(1, 30):
        step = driven.end("a", Unanswered(CallError.NO_DESCRIPTOR, "why"))
        assert (step.state, step.failures, step.interruptions) == (
            StepState.BACKING_OFF,
            0,
            number,
        )
        assert step.delay_by is DelayBy.INTERRUPTED
        assert step.due_at is not None
        driven.now = step.due_at
        driven.start("a")
    assert driven.end("a", OK).state is StepState.COMPLETED


def test_no_retry_and_stop_on_fail_at_once() -> None:
    """The header `Atomic-No-Retry` and a status in `stopOn` end the step with retries left."""
    driven = started("a")
    driven.begin(spec("b", retry=RetryPolicy(stop_on=(404, 410))))
    assert driven.end("a", Answered(500, no_retry=True)).state is StepState.FAILED
    assert driven.end("b", Answered(410)).state is StepState.FAILED
    driven.begin(spec("c", retry=RetryPolicy(stop_on=(404,))))
    assert driven.end("c", Answered(410)).state is StepState.BACKING_OFF


def test_count_retries_follow_the_first_attempt() -> None:
    """`count` 3 is four attempts, each after its own delay, and then the step fails."""
    driven = started()
    driven.begin(spec("a", retry=RetryPolicy(count=3, jitter=0.0)))
    delays = []
    for _ in range(3):
        delays.append(driven.end("a", BAD).delay_ms)
        driven.start_later("a")
    assert delays == [1_000, 2_000, 4_000]
    step = driven.end("a", BAD)
    assert (step.state, step.attempts) == (StepState.FAILED, 4)


@pytest.mark.parametrize(
    ("asked", "delay", "by"),
    [
        (0, 1_000, DelayBy.POLICY),
        (999, 1_000, DelayBy.POLICY),
        (5_000, 5_000, DelayBy.RETRY_AFTER),
        (HOUR_MS, HOUR_MS, DelayBy.RETRY_AFTER),
        (24 * HOUR_MS, HOUR_MS, DelayBy.RETRY_AFTER),
    ],
)
def test_retry_after_only_lengthens(asked: int, delay: int, by: DelayBy) -> None:
    """`Retry-After` never shortens a delay and reaches one hour at most."""
    step = started("a").end("a", Answered(503, retry_after_ms=asked))
    assert (step.delay_ms, step.due_at, step.delay_by) == (delay, delay, by)


def test_retry_after_does_not_shorten_a_delay_above_an_hour() -> None:
    """The cap is on what `Retry-After` asks for, not on the policy's own delay."""
    driven = started()
    long = RetryPolicy(back_off_ms=2 * HOUR_MS, max_back_off_ms=2 * HOUR_MS, jitter=0.0)
    driven.begin(spec("a", retry=long))
    assert driven.end("a", Answered(503, retry_after_ms=HOUR_MS)).delay_ms == 2 * HOUR_MS


@pytest.mark.parametrize(
    ("name", "retry", "state"),
    [
        ("root", None, StepState.PAUSED),
        ("root", ONE_TRY, StepState.FAILED),
        ("root", RetryPolicy(count=0, on_exhausted="pause"), StepState.PAUSED),  # type: ignore[arg-type]
        ("a", None, StepState.FAILED),
        ("a", ONE_TRY, StepState.FAILED),
        ("a", RetryPolicy(count=0, on_exhausted="pause"), StepState.PAUSED),  # type: ignore[arg-type]
    ],
)
def test_what_exhausted_retries_mean(
    name: str, retry: RetryPolicy | None, state: StepState
) -> None:
    """A root without its own policy pauses; all else fails unless the policy says pause."""
    driven = started(retry=retry if name == "root" else EXACT)
    if name == "a":
        driven.begin(spec("a", retry=retry))
    for _ in range(driven.step(name).policy.count):
        driven.end(name, BAD)
        driven.start_later(name)
    step = driven.end(name, BAD)
    assert step.state is state
    assert step.pause_reason is (PauseReason.EXHAUSTED if state is StepState.PAUSED else None)


def test_max_elapsed_ends_the_retries() -> None:
    """A retry that would begin after `maxElapsed` is not made."""
    driven = started()
    driven.begin(spec("a", retry=RetryPolicy(jitter=0.0, max_elapsed_ms=2_999)))
    assert driven.end("a", BAD).state is StepState.BACKING_OFF
    driven.start_later("a")
    assert driven.end("a", BAD).state is StepState.FAILED  # 1,000 + 2,000 > 2,999


@pytest.mark.parametrize("in_flight", [False, True])
def test_max_elapsed_stands_still_while_paused(in_flight: bool) -> None:
    """The time between pause and resume does not count, with a request open or without."""
    driven = started()
    driven.begin(spec("a", retry=RetryPolicy(jitter=0.0, max_elapsed_ms=3_000)))
    if in_flight:
        driven.act(Action.PAUSE, "a")
        driven.now += HOUR_MS
        assert driven.end("a", BAD).state is StepState.PAUSED
        driven.now += HOUR_MS
    else:
        driven.end("a", BAD)
        driven.act(Action.PAUSE, "a")
        driven.now += 2 * HOUR_MS
    driven.act(Action.RESUME, "a")
    driven.now = 2 * HOUR_MS + 1_000
    driven.start("a")
    assert driven.end("a", BAD).state is StepState.BACKING_OFF, "1,000 + 2,000 is within 3,000"
    driven.start_later("a")
    assert driven.end("a", BAD).state is StepState.FAILED


@pytest.mark.parametrize(
    ("answered_at", "state"), [(11_000, StepState.BACKING_OFF), (11_001, StepState.FAILED)]
)
def test_a_pause_lifted_while_the_request_is_open(answered_at: int, state: StepState) -> None:
    """`maxElapsed` stood still from pause to resume, though the step never came to rest."""
    driven = started()
    driven.begin(spec("a", retry=RetryPolicy(jitter=0.0, max_elapsed_ms=2_000)))
    driven.act(Action.PAUSE, "a")
    driven.now = 10_000
    driven.act(Action.RESUME, "a")
    driven.now = answered_at
    assert driven.end("a", BAD).state is state


def test_the_budget_is_fresh_after_a_childs_completion() -> None:
    """A child that completed since the last failure starts the parent's retry count anew."""
    driven = started("a", retry=RetryPolicy(count=1, jitter=0.0))
    driven.end("a", BAD)
    driven.end("root", BAD)
    driven.start_later()
    driven.start_later("a")
    driven.end("a")
    step = driven.end("root", BAD)
    assert (step.state, step.failures) == (StepState.BACKING_OFF, 1)
    driven.start_later()
    assert driven.end("root", BAD).state is StepState.FAILED, "nothing completed since"


def test_a_failed_child_gives_no_fresh_budget() -> None:
    """Only a completion does."""
    driven = started(retry=RetryPolicy(count=1, jitter=0.0))
    driven.end("root", BAD)
    driven.start_later()
    driven.whole(spec("a", retry=ONE_TRY), outcome=BAD)
    assert driven.end("root", BAD).state is StepState.PAUSED


def test_a_failed_step_cancels_what_is_below_it() -> None:
    """Open descendants end with it; one in flight finishes its attempt, and that is recorded."""
    driven = started("a", "b", "c", retry=ONE_TRY)
    driven.end("a", BAD)
    driven.post("deep", "b")
    driven.post("pending")
    driven.end("root", BAD)
    assert driven.states() == {
        "root": "failed", "a": "cancelled", "b": "running", "c": "running", "deep": "cancelled",
        "pending": "cancelled",
    }  # fmt: skip
    assert [type(e) for e in driven.last].count(CancelAsked) == 2
    assert driven.end("b", OK).state is StepState.COMPLETED
    step = driven.end("c", BAD)
    assert (step.state, step.http_status, step.cause_id) == (StepState.CANCELLED, 500, "R")


@pytest.mark.parametrize("how", ["crash", "drain"])
def test_an_attempt_that_was_the_last_does_not_come_back(how: str) -> None:
    """The engine stopped before a cancelled step's last attempt ended: it stays cancelled."""
    driven = started("a", retry=ONE_TRY)
    driven.end("root", BAD)
    assert driven.step("a").cancel_asked
    driven.crash() if how == "crash" else driven.drain()
    assert driven.step("a").state is StepState.CANCELLED


def test_children_go_on_when_their_parent_has_completed() -> None:
    """The run's tree closes when root and every child have ended; nobody cancels on success."""
    driven = started("a", "b")
    driven.end("a", BAD)
    driven.end("root", OK)
    assert driven.states() == {"root": "completed", "a": "backing-off", "b": "running"}
    driven.start_later("a")
    driven.end("a")
    driven.end("b")
    assert driven.run.open_steps == 0


def test_a_late_answer_of_a_cancelled_step_changes_nothing() -> None:
    """It is kept as a LateEnd; the outcome stays."""
    driven = started("a")
    driven.act(Action.CANCEL)
    step = driven.end("a", OK)
    assert step.state is StepState.CANCELLED
    assert driven.last == [LateEnd(0, step.id, 1, 200, None)]


def test_a_late_answer_does_not_end_a_newer_attempt() -> None:
    """The request of a cancelled generation answers while the next one's is open."""
    driven = started("a")
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    driven.start()
    driven.post("a")
    assert driven.start("a") == 2
    assert driven.end_attempt("a", 1, OK).state is StepState.RUNNING
    assert driven.end("a", OK).answer_attempt == 2
