"""What the end of an attempt means for its step and the steps around it. `protocol.md` §3, §4.

The order of the questions in `settle` is the contract's: an attempt that was sent home is
suspended, whatever it answers; then an outcome, then a target that is not allowed, then an attempt
whose post the engine refused, then an answer that says that a failure below ends the step
(`core/below.py`), then what another attempt cannot mend, then the other interruptions, then
failures.
"""

from __future__ import annotations

from msgspec.structs import replace

from engine.core.alive import may_post_after
from engine.core.below import failure_below, may_fail, says_that_it_ends, with_failure_below
from engine.core.events import AttemptEnded, CancelAsked, Cancelled, Count, LateEnd, Woken
from engine.core.failure import ENGINE_CRASHED, ENGINE_STOPPED, IN_COPY, Failure, FailureKind
from engine.core.machine import Change
from engine.core.model import ENDED, DelayBy, Flight, PauseReason, Run, Step, StepState
from engine.core.outcome import NEVER_RETRIED, Answered, CallError, Outcome, Unanswered
from engine.core.retry import RETRY_AFTER_MS_MAX, next_delay_ms
from engine.core.rules.excerpt import excerpt_of
from engine.core.rules.hold import held_since

CRASHES_IN_A_ROW_MAX = 10
"""Engine crashes with an attempt of one step in flight and nothing new recorded in its run."""
INTERRUPTIONS_IN_A_ROW_MAX = 2
"""After so many with nothing new recorded, only a child's end brings the step back."""
GATEWAY_STATUSES = frozenset({502, 503, 504})
"""What proxies answer in the application's place: says nothing about the step."""


def settle(
    change: Change, step_id: str, number: int, outcome: Outcome, *, now: int, chance: float
) -> None:
    """Record the end of attempt `number` and all that follows from it.

    `chance` in [0, 1) chooses the jitter. An attempt that is no longer its step's (the step was
    cancelled meanwhile) leaves a LateEnd and changes nothing.
    """
    step = change.run.steps[step_id]
    flight = change.run.flight(step_id, number)
    if flight is None:
        status, failure = outcome.http_status, _failure(outcome)
        error = None if failure is None else failure.text
        change.do(LateEnd(now, step_id, number, status, error, excerpt_of(outcome)))
        return
    event, failure = _verdict(change.run, step, flight, outcome, now, chance)
    if failure is not None and failure.kind is FailureKind.SUSPENDED:
        event = replace(event, error=failure.text)  # nothing has failed, whatever it answered
    elif failure is not None:
        if flight.refusal is not None:
            failure = failure.adding(flight.refusal)
        event = replace(event, error=failure.text, excerpt=excerpt_of(outcome))
    if step.is_root and event.state not in ENDED:
        event = replace(event, may_post=may_post_after(flight, outcome))
    change.do(event)
    if step.ended:
        after_end(change, step, now)


def _verdict(
    run: Run, step: Step, flight: Flight, outcome: Outcome, now: int, chance: float
) -> tuple[AttemptEnded, Failure | None]:
    """What follows for the step, and what the attempt came to; None: it has completed."""
    if flight.sent_home:
        return _went_home(run, step, flight, outcome, now, chance)
    failure = _failure(outcome)
    answered = isinstance(outcome, Answered)
    status = outcome.http_status
    open_child = step.open_children > 0 or bool(flight.open_at_end)
    if is_suspended(step, flight, outcome):
        event = _interrupted(run, step, flight, outcome, now, chance, suspended=True)
        return event, Failure(FailureKind.SUSPENDED, "to be invoked again when a child ends")
    if failure is None:
        return _ended(step, flight, outcome, now, StepState.COMPLETED), None
    if step.cancel_asked:
        return _ended(step, flight, outcome, now, StepState.CANCELLED, step.cause_id), failure
    if isinstance(outcome, Unanswered) and outcome.pauses:
        return _not_allowed(step, flight, now), failure
    nobody_called = failure.kind is CallError.NO_DESCRIPTOR
    # A post that was refused was perhaps a compensation, whatever the function made of it.
    if nobody_called or flight.refused_post:
        return _interrupted(run, step, flight, outcome, now, chance), failure.excused
    below = failure_below(run, step, flight)
    if below is not None and flight.maybe_refused:  # perhaps its compensation
        return _interrupted(run, step, flight, outcome, now, chance), failure.excused
    if below is not None and says_that_it_ends(step, outcome):
        return _ended(step, flight, outcome, now, StepState.FAILED, below.id), failure
    mendable = not _cannot_be_mended(step, outcome)
    if below is None and not mendable:
        return _ended(step, flight, outcome, now, StepState.FAILED), failure
    cut = any(child in flight.open_at_end or not run.steps[child].ended for child in flight.cut)
    no_answer = (not answered and mendable) or status in GATEWAY_STATUSES
    if open_child and (no_answer or cut):
        return _interrupted(run, step, flight, outcome, now, chance), failure.excused
    if below is not None:
        failure = with_failure_below(failure, below, step, flight)
    return _failed(step, flight, outcome, now, chance, below), failure


def is_suspended(step: Step, flight: Flight, outcome: Outcome | None) -> bool:
    """Whether the attempt is neither a success nor a failure: it was sent home, or asks to be
    invoked again when a child ends. `outcome` None: no answer in time."""
    if step.cancel_asked:
        return False
    if flight.sent_home:
        return True
    has_child = step.open_children > 0 or flight.child_ended or bool(flight.open_at_end)
    return has_child and isinstance(outcome, Answered) and outcome.suspend


def _went_home(
    run: Run, step: Step, flight: Flight, outcome: Outcome, now: int, chance: float
) -> tuple[AttemptEnded, Failure | None]:
    """It was told 504 `suspended`: whatever it answers, or nothing, it is suspended. §4.

    A function that swallows the 504 and answers 2xx has not done its work.
    """
    if step.cancel_asked:
        event = _ended(step, flight, outcome, now, StepState.CANCELLED, step.cause_id)
        return event, _failure(outcome)
    event = _interrupted(run, step, flight, outcome, now, chance, suspended=True)
    return event, Failure(FailureKind.SUSPENDED, f"sent home, {flight.sent_home}")


def _not_allowed(step: Step, flight: Flight, now: int) -> AttemptEnded:
    """The list of its client's targets keeps it from being called. It spends no retry and waits for
    a person: a slip in a list must not end the runs that it meets."""
    return AttemptEnded(
        now, step.id, flight.number, Count.INTERRUPTION, StepState.PAUSED, due_at=now,
        pause_reason=PauseReason.TARGET_NOT_ALLOWED, interruptions=step.interruptions,
    )  # fmt: skip


def _cannot_be_mended(step: Step, outcome: Outcome) -> bool:
    if isinstance(outcome, Unanswered):
        return outcome.error in NEVER_RETRIED
    return outcome.no_retry or outcome.http_status in step.policy.stop_on


def _failure(outcome: Outcome) -> Failure | None:
    """How the attempt failed, by its outcome alone; None: it did not."""
    if isinstance(outcome, Unanswered):
        return Failure(outcome.error, outcome.detail)
    if outcome.fault is not None:
        return Failure(CallError.BAD_ANSWER, outcome.fault)
    if outcome.ok:
        no_child = "Atomic-Suspend without an open child"
        return Failure(FailureKind.OTHER, no_child) if outcome.suspend else None
    where = outcome.location
    more = "" if where is None else f" with Location: {where} (redirects are not followed)"
    return Failure.answered(outcome.http_status, more)


def _ended(
    step: Step,
    flight: Flight,
    outcome: Outcome,
    now: int,
    state: StepState,
    cause_id: str | None = None,
) -> AttemptEnded:
    return AttemptEnded(
        now,
        step.id,
        flight.number,
        Count.SUCCESS if state is StepState.COMPLETED else Count.FAILURE,
        state,
        outcome.http_status,
        cause_id=cause_id,
    )


def _failed(
    step: Step, flight: Flight, outcome: Outcome, now: int, chance: float, below: Step | None
) -> AttemptEnded:
    """A failed attempt that counts: back off, or the retries are exhausted."""
    policy = step.policy
    retry = step.failures + 1
    delay, by = _asked_for(outcome, next_delay_ms(policy, retry, chance), DelayBy.POLICY)
    still_since = now if step.paused_at is None else min(now, step.paused_at)
    if flight.held_since is not None:  # what a pause and a hold both take counts once
        still_since = min(still_since, held_since(flight.held_since, step, now))
    elapsed = still_since + delay - step.opened_at - step.paused_ms
    too_long = policy.max_elapsed_ms is not None and elapsed > policy.max_elapsed_ms
    if retry > policy.count or too_long or _cannot_be_mended(step, outcome):
        if may_fail(step, below) and not step.pause_asked:  # paused: a failure waits
            cause_id = None if below is None else below.id
            return _ended(step, flight, outcome, now, StepState.FAILED, cause_id)
        reason = PauseReason.EXHAUSTED if below is None else PauseReason.UNHANDLED_FAILURE
        return AttemptEnded(
            now, step.id, flight.number, Count.FAILURE, StepState.PAUSED, outcome.http_status,
            due_at=now, pause_reason=reason,
        )  # fmt: skip
    return AttemptEnded(
        now, step.id, flight.number, Count.FAILURE, _resting(step), outcome.http_status,
        due_at=now + delay, delay_ms=delay, delay_by=by,
        pause_reason=step.pause_reason if step.pause_asked else None,
    )  # fmt: skip


def _asked_for(outcome: Outcome | None, delay: int, by: DelayBy) -> tuple[int, DelayBy]:
    """The delay, or the longer one that `Retry-After` asks for (RFC 9110 §10.2.3)."""
    if isinstance(outcome, Answered) and outcome.retry_after_ms is not None:
        asked = min(outcome.retry_after_ms, RETRY_AFTER_MS_MAX)
        if asked > delay:
            return asked, DelayBy.RETRY_AFTER
    return delay, by


def _resting(step: Step) -> StepState:
    """Where a step with a due time rests: an operator's pause waits for no attempt."""
    return StepState.PAUSED if step.pause_asked else StepState.BACKING_OFF


def _interrupted(
    run: Run,
    step: Step,
    flight: Flight,
    outcome: Outcome | None,
    now: int,
    chance: float,
    *,
    suspended: bool = False,
) -> AttemptEnded:
    """An attempt that costs no retry: again after its back-off or when a child ends."""
    in_a_row = 0 if run.progress > flight.progress_at_start else step.interruptions + 1
    at_once = suspended or any(run.steps[child].ended for child in flight.open_at_end)
    wait = step.open_children > 0 and (
        # a child that ended after the function had looked must not be missed
        not flight.child_ended
        if suspended
        else not at_once and in_a_row >= INTERRUPTIONS_IN_A_ROW_MAX
    )
    delay, by = 0, DelayBy.INTERRUPTED
    if not at_once:
        delay = next_delay_ms(step.policy, max(1, in_a_row), chance)
        delay, _ = _asked_for(outcome, delay, by)  # a child's end still cuts it short
    state = StepState.WAITING if wait and not step.pause_asked else _resting(step)
    return AttemptEnded(
        now,
        step.id,
        flight.number,
        Count.INTERRUPTION,
        state,
        None if outcome is None else outcome.http_status,
        due_at=None if wait else now + delay,
        delay_ms=0 if wait else delay,
        delay_by=by,
        pause_reason=step.pause_reason if step.pause_asked else None,
        interruptions=in_a_row,
    )


def drain(change: Change, step_id: str, *, now: int, chance: float) -> None:
    """The engine stops while an attempt is in flight: interrupted, and no crash."""
    run = change.run
    step, flight = run.steps[step_id], run.flights[step_id]
    if step.cancel_asked:
        change.do(Cancelled(now, step_id, step.cause_id))
        after_end(change, step, now)
        return
    event = _interrupted(run, step, flight, None, now, chance)
    may_post = flight.left if step.is_root else None
    failure = Failure(FailureKind.INTERRUPTED, ENGINE_STOPPED)
    change.do(replace(event, error=failure.text, may_post=may_post))


def recover(
    change: Change, *, now: int, chance: float, why: str = ENGINE_CRASHED, of_copy: bool = False
) -> None:
    """Bring a run back after a crash: what was in flight was interrupted. `of_copy`: the run is as
    in the copy that was restored, and its engine need not have crashed.

    Back-offs are clamped to their own length, so that a clock set back by an hour delays a retry
    by no more than its back-off.
    """
    run = change.run
    for step in list(run.steps.values()):
        if step.state is not StepState.RUNNING:
            _clamp(change, step, now)
            continue
        if step.cancel_asked:
            change.do(Cancelled(now, step.id, step.cause_id))
            after_end(change, step, now)
            continue
        crashes = step.crashes + 1 if run.progress == step.crash_mark else 1
        delay = next_delay_ms(step.policy, 1, chance)
        poisoned = crashes >= CRASHES_IN_A_ROW_MAX and not of_copy
        change.do(
            AttemptEnded(
                now,
                step.id,
                step.attempts,
                Count.INTERRUPTION if of_copy else Count.CRASH,
                StepState.PAUSED if poisoned or step.pause_asked else StepState.BACKING_OFF,
                error=Failure(FailureKind.INTERRUPTED, IN_COPY if of_copy else why).text,
                due_at=now + delay,
                delay_ms=delay,
                delay_by=DelayBy.INTERRUPTED,
                pause_reason=PauseReason.POISONED if poisoned else step.pause_reason,
                interruptions=step.interruptions,
                crashes=0 if of_copy else crashes,
                may_post=True if of_copy and step.is_root else None,
            )
        )


def _clamp(change: Change, step: Step, now: int) -> None:
    # a hold keeps only what was due: it stays so, or a release would find it waiting again
    latest = now if step.held_since is not None else now + step.delay_ms
    if step.due_at is not None and step.delay_by is not None and step.due_at > latest:
        change.do(Woken(now, step.id, step.delay_by, due_at=latest))


def after_end(change: Change, step: Step, now: int) -> None:
    """A step has ended: its descendants, and the parent that may wait for it."""
    if step.state is StepState.COMPLETED:
        drop_unposted(change, step, now)
    else:
        cancel_descendants(change, step, now, by_operator=False)
    wake_parent(change, step, now)


def wake_parent(change: Change, step: Step, now: int) -> None:
    """A waiting or interrupted parent runs again when a child ends."""
    if step.parent_id is None:
        return
    parent = change.run.steps[step.parent_id]
    resting = parent.resumes_to if parent.state is StepState.PAUSED else parent.state
    if resting is StepState.WAITING or (
        resting is StepState.BACKING_OFF and parent.delay_by is DelayBy.INTERRUPTED
    ):
        change.do(Woken(now, parent.id, DelayBy.CHILD_ENDED))


def drop_unposted(change: Change, step: Step, now: int) -> None:
    """The workflow completed without posting these again: nobody will ask for them."""
    for child in [change.run.steps[id] for id in change.run.children.get(step.id, ())]:
        if child.awaiting_post:
            change.do(Cancelled(now, child.id, step.id))
            cancel_descendants(change, child, now, by_operator=False)


def cancel_descendants(change: Change, step: Step, now: int, *, by_operator: bool) -> None:
    """Structured concurrency: no open step stays under one that failed or was cancelled.

    A request in flight finishes its attempt: its result is recorded, unless an operator cancelled.
    """
    for other in change.run.below(step.id):
        if other.ended:
            continue
        if other.state is StepState.RUNNING and not by_operator:
            if not other.cancel_asked:
                change.do(CancelAsked(now, other.id, step.id))
        else:
            change.do(Cancelled(now, other.id, step.id))
