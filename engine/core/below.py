"""A failure below a step: what the record knows of it, and when it ends the step. `protocol.md` §4.

A step under which one stands failed or cancelled has something to undo perhaps, and only its
function knows whether it has. So it ends at once only when its answer says so; whatever else goes
wrong is tried again, and in the end waits for a person. The record decides, not what the attempt
was told: one that dies before it posts the failed step again was told nothing.
"""

from __future__ import annotations

from copy import copy

from engine.core.failure import Failure, FailureKind
from engine.core.model import Flight, Repair, Run, Step, StepState, step_label
from engine.core.outcome import Answered, CallError, Outcome
from engine.core.retry import OnExhausted

FAILED_DEPENDENCY = 424
"""RFC 4918 §11.4: what a function answers that lets a failure below end it."""
_STANDS = (StepState.FAILED, StepState.CANCELLED)
_HINT = ". If that ends the "
"""How a text goes on that tells of a failure below: with what its function may answer."""
_REASON_CHARS_MAX = 200
"""Of the failure's text: those of several levels would add up."""


def failure_below(run: Run, step: Step, flight: Flight) -> Step | None:
    """The failure that this step has to deal with: the one that the attempt was told of last, else
    the child that ended so last. None: no child stands failed or cancelled.

    A step that was told of need not be its child: the workflow may have recorded it elsewhere.
    """
    known = run.steps.get(flight.known_failure or "")
    if known is not None and known.state in _STANDS:
        return known
    if not any(run.counts.get(state) for state in _STANDS):
        return None  # of most runs; else a failed attempt of a wide workflow looks at each child
    children = (run.steps[id] for id in run.children.get(step.id, ()))
    stands = [child for child in children if child.state in _STANDS]
    return max(stands, key=lambda child: (child.ended_at or 0, child.ordinal), default=None)


def says_that_it_ends(step: Step, outcome: Outcome) -> bool:
    """Whether an answer says that the failure below ends the step."""
    if not isinstance(outcome, Answered):
        return False
    status = outcome.http_status
    return status == FAILED_DEPENDENCY or outcome.no_retry or status in step.policy.stop_on


def passes_on(run: Run, step: Step, flight: Flight, outcome: Outcome | None) -> bool:
    """Whether an answer says no more than that a step below failed: it is no failure of its own."""
    is_424 = isinstance(outcome, Answered) and outcome.http_status == FAILED_DEPENDENCY
    return is_424 and failure_below(run, step, flight) is not None


def may_fail(step: Step, below: Step | None) -> bool:
    """Whether the step fails when it is tried no more; else it is paused.

    With a failure below it fails only if its poster named that: nobody knows whether the function
    has compensated.
    """
    if below is None:
        return step.on_exhausted is OnExhausted.FAIL
    return step.spec.retry is not None and step.spec.retry.on_exhausted is OnExhausted.FAIL


def with_failure_below(failure: Failure, below: Step, step: Step, flight: Flight) -> Failure:
    """What an attempt came to, with the failure below that it had to deal with."""
    name = step_label(below.spec.name, below.spec.step_key)
    cancelled = below.state is StepState.CANCELLED
    stood = f"{name}, a step below it, had {'been cancelled' if cancelled else 'failed'}"
    if failure.kind is CallError.ANSWER_TOO_LARGE:  # an answer all the same, and not tried again
        what = f"{failure.text}; {stood}{_bracketed_reason(below)}"
    elif failure.kind is not FailureKind.HTTP_STATUS:
        return failure.adding(f"{stood}{_bracketed_reason(below)}")
    elif flight.known_failure == below.id:
        how = "was cancelled" if cancelled else "failed"
        what = f"{failure.detail} after it was told that {name} {how}{_bracketed_reason(below)}"
    else:
        what = failure.adding(f"{stood}{_bracketed_reason(below)}").detail
    ends = f"{_HINT}{'workflow' if step.is_root else 'step'}, answer {FAILED_DEPENDENCY}"
    return Failure(FailureKind.UNHANDLED, f"{what}{ends}")


def as_it_failed(cause: Step, at: int) -> Step:
    """The step that made another end at this time, as it stood failed then: its result may have
    been set since, and an outcome goes on saying what it said. (Where the clock was set back
    between, the last failure that a result took the place of is meant.)"""
    since = repair_since(cause.repairs, cause.state, at)
    if since is None:
        return cause
    then = copy(cause)
    then.http_status, then.error = since.was_status, since.was_error
    then.excerpt = since.was_excerpt
    return then


def repair_since(repairs: tuple[Repair, ...], state: str, at: int) -> Repair | None:
    """The repair that has kept how a step stood failed at this time; None: it stands so."""
    mended = [it for it in repairs if it.was_error is not None]
    since = [it for it in mended if it.at >= at]
    if not since and state not in _STANDS:
        since = mended[-1:]
    return since[0] if since else None


def excerpt_beside(step: Step) -> str:
    """What the answer that failed its last attempt tells, for a text that has the status already:
    `500 Internal Server Error` would tell it twice. Empty: nothing, or it was no answer."""
    if Failure.parse(step.error).kind is not FailureKind.HTTP_STATUS:
        return ""
    return (step.excerpt or "").removeprefix(f"{step.http_status} ")


def _bracketed_reason(below: Step) -> str:
    if below.state is StepState.CANCELLED or not below.error:
        return ""
    failure = Failure.parse(below.error)
    text = failure.detail if failure.kind is FailureKind.HTTP_STATUS else below.error
    reason = text.partition(_HINT)[0]
    if excerpt := excerpt_beside(below):
        reason = f"{reason}: {excerpt}"
    if len(reason) > _REASON_CHARS_MAX:
        reason = f"{reason[:_REASON_CHARS_MAX]}…"
    return f" ({reason})"
