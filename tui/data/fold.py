"""An event of the stream folded into a step that is on the screen: what the engine's own fold does
with the members that a person looks at.

One change of the engine's may be several events of a step, and each of them has the state and the
revision that the step has after all of them. So revisions are counted along, one an event, and a
step whose count stays behind is out of date (`store.py` sees to that); and as later engines say
things that are not known here, an event of an unknown kind makes it so too. What is out of date is
read again from the engine.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tui.data.model import ENDED, At, Attempt, Happening, Run, State, Step, ms_of, number, text

KINDS = frozenset(
    {
        "accepted", "started", "attempt-ended", "late-end", "cancelled", "cancel-asked", "woken",
        "paused", "resumed", "reopened", "replaced", "payload-differed", "acted", "run-moved",
    }
)  # fmt: skip
"""What can happen to a step, in the core's words."""
OF_A_RUN = frozenset({"retargeted", "engine-error", "read-again", "ended-as-it-is"})
"""What happens to a run as a whole, and so to steps that the event does not name: it is read again
from the engine."""


def run_after(run: Run, event: Happening) -> Run:
    """The run after a `run-moved` of its own."""
    ended = event.state in ENDED
    ended_at = event.at if ended else None  # why it is paused is read again
    return replace(run, state=event.state, rev=event.rev, ended_at=ended_at, pause_reason=None)


def at_after(at: At, event: Happening) -> At:
    """The step at which a run is, after an event of that step."""
    members = event.members
    match event.kind:
        case "started":
            attempt = number(members, "number") or at.attempts + 1
            left = None if at.tries_left is None else max(0, at.tries_left - 1)
            return replace(
                at,
                state=event.state,
                attempts=attempt,
                tries_left=left,
                started_at=event.at,
                due_at=None,
            )
        case "attempt-ended":
            return replace(
                at,
                state=event.state,
                tries_left=None if event.state in ENDED else at.tries_left,
                due_at=ms_of(text(members, "dueAt")),
                delay_by=text(members, "delayBy"),
                http_status=number(members, "httpStatus"),
                error=text(members, "error"),
                excerpt=text(members, "excerpt"),
            )
        case "woken":
            return replace(at, due_at=ms_of(text(members, "dueAt")) or event.at)
        case _:
            return replace(at, state=event.state)


def says_all(event: Happening) -> bool:
    """Whether nothing else has changed than what is folded here.

    A dismissal also changes the run, whose revision the event does not have.
    """
    return event.kind in KINDS and event.members.get("dismissed") is None


def freshens_parent(event: Happening) -> bool:
    """A child has completed: the workflow has come further, its failures count anew."""
    return event.kind == "attempt-ended" and event.members.get("state") == State.COMPLETED


def step_after(step: Step, event: Happening) -> Step:
    """The step as it is after an event of its own."""
    after = replace(step, rev=step.rev + 1, state=event.state)
    members = event.members
    match event.kind:
        case "started":
            after = _started(after, event)
        case "attempt-ended":
            after = _attempt_ended(after, event)
        case "late-end":
            after = replace(after, tries=_closed(step.tries, event, "late"))
        case "woken":
            after = _timed(after, ms_of(members.get("dueAt")) or event.at, text(members, "by"))
        case "paused":
            after = replace(after, pause_reason=text(members, "reason"))
        case "resumed":
            after = replace(after, pause_reason=None)
            if members.get("fresh") is True:
                after = _timed(replace(after, failures=0), event.at, "operator")
        case "cancelled" | "cancel-asked":
            after = replace(after, cause_id=text(members, "causeId"))
        case "reopened":
            after = _reopened(after, event)
        case "replaced":
            after = _replaced(after, event)
        case _:
            pass
    if after.state in ENDED and step.state not in ENDED:
        after = _finished(after, event.at)
    return after


def _timed(step: Step, due_at: int, by: str | None) -> Step:
    return replace(step, due_at=due_at, delay_ms=step.delay_ms or 0, delay_by=by)


def _started(step: Step, event: Happening) -> Step:
    attempt = number(event.members, "number") or step.attempts + 1
    opened = Attempt(attempt, step.generation, "running", event.at)
    return replace(
        step,
        attempts=attempt,
        due_at=None,
        delay_ms=None,
        delay_by=None,
        tries=(*(t for t in step.tries if t.number != attempt), opened),
    )


def _attempt_ended(step: Step, event: Happening) -> Step:
    members = event.members
    counts_as = text(members, "countsAs") or "failure"
    delay_ms, delay_by = _delay(members)
    return replace(
        step,
        failures=step.failures + (counts_as == "failure"),
        http_status=number(members, "httpStatus"),
        error=text(members, "error"),
        excerpt=text(members, "excerpt"),
        due_at=ms_of(members.get("dueAt")),
        delay_ms=delay_ms,
        delay_by=delay_by,
        pause_reason=text(members, "pauseReason"),
        cause_id=text(members, "causeId"),
        tries=_closed(step.tries, event, counts_as),
    )


def _delay(members: dict[str, Any]) -> tuple[int | None, str | None]:
    """How long until the next attempt, and what set that. A delay of 0 is left out of events."""
    by = text(members, "delayBy")
    return (None if by is None else number(members, "delayMs") or 0), by


def _closed(tries: tuple[Attempt, ...], event: Happening, status: str) -> tuple[Attempt, ...]:
    members = event.members
    delay_ms, delay_by = _delay(members)
    return tuple(
        replace(
            attempt,
            status=status,
            ended_at=event.at,
            http_status=number(members, "httpStatus"),
            error=text(members, "error"),
            excerpt=text(members, "excerpt"),
            delay_ms=delay_ms,
            delay_by=delay_by,
        )
        if attempt.number == number(members, "number")
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
        awaiting_post=False,
    )


def _reopened(step: Step, event: Happening) -> Step:
    """Its next generation; the last one may have ended by an event of the same change."""
    return replace(
        _finished(step, event.at),
        generation=step.generation + 1,
        failures=0,
        awaiting_post=event.members.get("awaitingPost") is True,
        ended_at=None,
        cause_id=None,
        http_status=None,
        error=None,
        excerpt=None,
    )


def _replaced(step: Step, event: Happening) -> Step:
    """It was posted again, and takes what that post says."""
    spec = event.members.get("spec")
    if not isinstance(spec, dict):
        return step
    return replace(
        step,
        name=text(spec, "name") or step.name,
        url=text(spec, "url") or step.url,
        retries_max=retries_max(spec),
        submitted_at=event.at,
        awaiting_post=False,
    )


def step_opened(event: Happening) -> Step | None:
    """The step that an `accepted` event opened; None when its spec cannot be read."""
    spec = event.members.get("spec")
    if not isinstance(spec, dict):
        return None
    url = text(spec, "url") or ""
    return Step(
        id=event.step_id,
        run_id=event.run_id,
        parent_id=text(event.members, "parentId"),
        name=text(spec, "name") or "",
        workflow=text(spec, "workflow") or "",
        key=text(spec, "key") or "",
        step_key=text(spec, "stepKey") or url,
        url=url,
        state=event.state,
        rev=1,
        generation=1,
        attempts=0,
        failures=0,
        retries_max=retries_max(spec),
        submitted_at=event.at,
        pause_reason="operator" if event.members.get("paused") is True else None,
    )


RETRIES_MAX_DEFAULT = 10


def retries_max(spec: dict[str, Any]) -> int:
    """How often a step with this spec is tried again."""
    retry = spec.get("retry")
    count = number(retry, "count") if isinstance(retry, dict) else None
    return RETRIES_MAX_DEFAULT if count is None else count
