"""An event of the stream folded into a step that is on the screen: what the engine's own fold does
with the members that a person looks at.

One change of the engine's may be several events of a step, and each of them has the state and the
revision that the step has after all of them. So revisions are counted along, one an event, and a
step whose count stays behind is out of date (`store.py` sees to that); and as later engines say
things that are not known here, an event of an unknown kind makes it so too. What is out of date is
read again from the engine.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from engine.wire import Action, PauseReason, RepairRow
from engine.wire.events import (
    Accepted,
    Acted,
    Answered,
    AttemptEnded,
    CancelAsked,
    Cancelled,
    EndedAsItIs,
    EngineErred,
    Held,
    LateEnd,
    Other,
    Paused,
    PayloadDiffered,
    PayloadSet,
    ReadAgain,
    Reopened,
    Replaced,
    ResultSet,
    Resumed,
    Retargeted,
    RunMoved,
    Spec,
    Started,
    Woken,
)
from tui.data.model import ENDED, At, Attempt, Happening, Run, State, Step, ms_of

UNTOLD = (Retargeted, EngineErred, ReadAgain, EndedAsItIs, Other)
"""What happens to a run as a whole, and so to steps that the event does not name, and what is not
known here: it is read again from the engine."""


def run_after(run: Run, event: Happening) -> Run:
    """The run after a `run-moved` of its own."""
    ended = event.state in ENDED
    ended_at = event.at if ended else None  # why it is paused is read again
    return replace(run, state=event.state, rev=event.rev, ended_at=ended_at, pause_reason=None)


def at_after(at: At, event: Happening) -> At:
    """The step at which a run is, after an event of that step."""
    match event.fact:
        case Started(number=number):
            left = None if at.tries_left is None else max(0, at.tries_left - 1)
            return replace(
                at,
                state=event.state,
                attempts=number or at.attempts + 1,
                tries_left=left,
                started_at=event.at,
                due_at=None,
            )
        case AttemptEnded() as ended:
            return replace(
                at,
                state=event.state,
                tries_left=None if event.state in ENDED else at.tries_left,
                due_at=ms_of(ended.due_at),
                delay_by=ended.delay_by,
                http_status=ended.http_status,
                error=ended.error,
                excerpt=ended.excerpt,
            )
        case Woken(due_at=due_at):
            return replace(at, due_at=ms_of(due_at) or event.at)
        case _:
            return replace(at, state=event.state)


def says_all(event: Happening) -> bool:
    """Whether nothing else has changed than what is folded here.

    A dismissal also changes the run, whose revision the event does not have, and a note what was
    said of it; a result that is set for a run that has ended, when it did.
    """
    fact = event.fact
    of_run = isinstance(fact, Acted) and (fact.dismissed is not None or fact.action == Action.NOTE)
    ends_anew = isinstance(fact, ResultSet) and event.step_id == event.run_id
    return not (of_run or ends_anew or isinstance(fact, UNTOLD))


BY_PEOPLE = (Acted, ResultSet, PayloadSet)
WELL = frozenset({"success", "interruption"})
"""What an attempt counts as that did not fail."""


def is_notable(event: Happening) -> bool:
    """An act of somebody's, a failure, a pause that nobody asked for, the end of a run, or what is
    not known here: the rest is how things go on."""
    match event.fact:
        case AttemptEnded(counts_as=counts_as):
            return counts_as not in WELL
        case RunMoved():
            return event.state in ENDED or event.state is State.PAUSED
        case Paused(reason=reason):
            return reason != PauseReason.OPERATOR
        case LateEnd() | EngineErred() | Retargeted() | Other():
            return True
        case _:
            return isinstance(event.fact, BY_PEOPLE)


def freshens_parent(event: Happening) -> bool:
    """A child has completed: the workflow has come further, its failures count anew."""
    if isinstance(event.fact, ResultSet):
        return True
    return isinstance(event.fact, AttemptEnded) and event.fact.state == State.COMPLETED


def step_after(step: Step, event: Happening) -> Step:
    """The step as it is after an event of its own."""
    after = replace(step, rev=step.rev + 1, state=event.state, waits=None)
    match event.fact:
        case Started(number=number):
            after = _started(after, number or step.attempts + 1, event.at)
        case AttemptEnded() as ended:
            after = _attempt_ended(after, ended, event.at)
        case LateEnd() as late:
            after = replace(after, tries=_closed(step.tries, late, event.at, "late", None, None))
        case Woken() as woken:
            after = _timed(after, ms_of(woken.due_at) or event.at, woken.by)
        case Held(since=since):
            told = ms_of(since)
            after = replace(after, held_since=event.at if told is None else told)
        case Paused(reason=reason):
            after = replace(after, pause_reason=reason, held_since=None)
        case Resumed(fresh=fresh):
            after = replace(after, pause_reason=None)
            if fresh:
                opened_at = _opened_at(step, event.at) if step.generation > 1 else None
                after = replace(after, failures=0, opened_at=opened_at)
                after = _timed(after, event.at, "operator")
        case Cancelled(cause_id=cause_id) | CancelAsked(cause_id=cause_id):
            after = replace(after, cause_id=cause_id)
        case Reopened(awaiting_post=awaiting_post):
            after = _reopened(after, event.at, awaiting_post=awaiting_post)
        case ResultSet(http_status=http_status) as fact:
            after = replace(after, http_status=http_status, error=None, excerpt=None, cause_id=None)
            after = _repaired(_finished(after, event.at), fact, fact.act or "")
        case PayloadSet() as fact:
            after = _reopened(after, event.at, awaiting_post=False)
            after = _repaired(after, fact, "rerun")
        case Replaced(spec=spec):
            after = after if spec is None else _replaced(after, spec, event.at)
        case Accepted() | PayloadDiffered() | Acted() | RunMoved():
            pass
        case EngineErred() | ReadAgain() | EndedAsItIs() | Retargeted() | Other():
            pass  # the run is read again
        case _:
            assert_never(event.fact)
    if after.state in ENDED and step.state not in ENDED:
        after = _finished(after, event.at)
    return after


def _timed(step: Step, due_at: int, by: str | None) -> Step:
    return replace(step, due_at=due_at, delay_ms=step.delay_ms or 0, delay_by=by)


def _started(step: Step, number: int, at: int) -> Step:
    opened = Attempt(number, step.generation, "running", at)
    return replace(
        step,
        attempts=number,
        due_at=None,
        delay_ms=None,
        delay_by=None,
        held_since=None,
        tries=(*(t for t in step.tries if t.number != number), opened),
    )


def _attempt_ended(step: Step, ended: AttemptEnded, at: int) -> Step:
    by = ended.delay_by
    delay_ms = None if by is None else ended.delay_ms or 0
    counts_as = ended.counts_as or "failure"
    return replace(
        step,
        failures=step.failures + (counts_as == "failure"),
        http_status=ended.http_status,
        error=ended.error,
        excerpt=ended.excerpt,
        due_at=ms_of(ended.due_at),
        delay_ms=delay_ms,
        delay_by=by,
        pause_reason=ended.pause_reason,
        cause_id=ended.cause_id,
        tries=_closed(step.tries, ended, at, counts_as, delay_ms, by),
    )


def _closed(
    tries: tuple[Attempt, ...],
    ended: Answered,
    at: int,
    status: str,
    delay_ms: int | None,
    delay_by: str | None,
) -> tuple[Attempt, ...]:
    return tuple(
        replace(
            attempt,
            status=status,
            ended_at=at,
            http_status=ended.http_status,
            error=ended.error,
            excerpt=ended.excerpt,
            delay_ms=delay_ms,
            delay_by=delay_by,
        )
        if attempt.number == ended.number
        else attempt
        for attempt in tries
    )


def _finished(step: Step, at: int) -> Step:
    """A generation has ended: nothing of its timers, marks or pause is left."""
    return replace(
        step,
        ended_at=at,
        due_at=None,
        delay_ms=None,
        delay_by=None,
        pause_reason=None,
        held_since=None,
        awaiting_post=False,
    )


def _reopened(step: Step, at: int, *, awaiting_post: bool) -> Step:
    """Its next generation; the last one may have ended by an event of the same change."""
    return replace(
        _finished(step, at),
        generation=step.generation + 1,
        opened_at=_opened_at(step, at),
        failures=0,
        awaiting_post=awaiting_post,
        ended_at=None,
        cause_id=None,
        http_status=None,
        error=None,
        excerpt=None,
    )


def _opened_at(step: Step, at: int) -> int | None:
    """As the engine tells it."""
    return None if at == step.submitted_at else at


def _repaired(step: Step, fact: ResultSet | PayloadSet, act: str) -> Step:
    """A person did that to it; it ended so, or begins anew."""
    repair = RepairRow(step.generation, act, fact.actor or "", fact.reason or "", fact.at)
    return replace(step, repairs=(*step.repairs, repair))


def _replaced(step: Step, spec: Spec, at: int) -> Step:
    """It was posted again, and takes what that post says."""
    return replace(
        step,
        name=spec.name or step.name,
        url=spec.url or step.url,
        retries_max=spec.retry.count,
        submitted_at=at,
        opened_at=None,
        awaiting_post=False,
    )


def step_opened(event: Happening) -> Step | None:
    """The step that an `accepted` event opened; None when its spec cannot be read."""
    accepted, spec = event.fact, event.spec
    if not isinstance(accepted, Accepted) or spec is None:
        return None
    return Step(
        id=event.step_id,
        run_id=event.run_id,
        parent_id=accepted.parent_id,
        name=spec.name,
        workflow=spec.workflow,
        key=spec.key,
        step_key=spec.step_key or spec.url,
        url=spec.url,
        state=event.state,
        rev=1,
        generation=1,
        attempts=0,
        failures=0,
        retries_max=spec.retry.count,
        submitted_at=event.at,
        pause_reason="operator" if accepted.paused else None,
    )
