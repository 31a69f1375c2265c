"""An event of the stream folded into a step that is on the screen: what the engine's own fold does
with the members that a person looks at.

The stream says less than the engine knows, and later engines say things that are not known here. So
each step's revision is counted along, and a step that has skipped one is out of date: it, and what
this file cannot tell, is read again from the engine.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tui.model import ENDED, At, Attempt, Happening, Run, State, Step, ms_of, number, text

READ_AGAIN_AFTER = frozenset({"resumed", "replaced"})
"""What these change is not in the event."""


def run_after(run: Run, event: Happening) -> Run:
    """The run after a `run-moved` of its own."""
    ended = event.state in ENDED
    return replace(
        run,
        state=event.state,
        rev=event.rev,
        ended_at=event.at if ended else None,
        due_at=run.due_at if event.state is State.BACKING_OFF else None,
    )


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
            )
        case "woken":
            return replace(at, due_at=ms_of(text(members, "dueAt")) or event.at)
        case _:
            return replace(at, state=event.state)


def with_fresh_budget(parent: Step) -> Step:
    """A step whose child has completed: the workflow has come further, its failures count anew."""
    return replace(parent, failures=0) if parent.failures else parent


def step_after(step: Step, event: Happening) -> Step:
    """The step as it is after an event of its own."""
    after = replace(step, rev=event.rev, state=event.state)
    match event.kind:
        case "started":
            after = _started(after, event)
        case "attempt-ended":
            after = _attempt_ended(after, event)
        case "late-end":
            after = replace(after, tries=_closed(step.tries, event, "late"))
        case "woken":
            after = replace(
                after,
                due_at=ms_of(text(event.members, "dueAt")) or event.at,
                delay_by=text(event.members, "by"),
            )
        case "paused":
            after = replace(after, pause_reason=text(event.members, "reason"))
        case "cancelled":
            after = replace(after, cause_id=text(event.members, "causeId"))
        case "reopened":
            after = replace(
                after,
                generation=step.generation + 1,
                failures=0,
                awaiting_post=bool(event.members.get("awaitingPost")),
                ended_at=None,
                cause_id=None,
            )
        case _:
            pass
    if after.state in ENDED and event.kind != "late-end":
        after = replace(after, ended_at=step.ended_at or event.at, due_at=None, pause_reason=None)
    return after


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
    return replace(
        step,
        failures=step.failures + (counts_as == "failure"),
        http_status=number(members, "httpStatus"),
        error=text(members, "error"),
        due_at=ms_of(text(members, "dueAt")),
        delay_ms=number(members, "delayMs"),
        delay_by=text(members, "delayBy"),
        pause_reason=text(members, "pauseReason"),
        cause_id=text(members, "causeId"),
        tries=_closed(step.tries, event, counts_as),
    )


def _closed(tries: tuple[Attempt, ...], event: Happening, status: str) -> tuple[Attempt, ...]:
    members = event.members
    return tuple(
        replace(
            attempt,
            status=status,
            ended_at=event.at,
            http_status=number(members, "httpStatus"),
            error=text(members, "error"),
            delay_ms=number(members, "delayMs"),
            delay_by=text(members, "delayBy"),
        )
        if attempt.number == number(members, "number")
        else attempt
        for attempt in tries
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
        step_key=text(spec, "step_key") or url,
        url=url,
        state=event.state,
        rev=event.rev,
        generation=1,
        attempts=0,
        failures=0,
        retries_max=_retries_max(spec),
        submitted_at=event.at,
        pause_reason="operator" if event.state is State.PAUSED else None,
    )


RETRIES_MAX_DEFAULT = 10


def _retries_max(spec: dict[str, Any]) -> int:
    retry = spec.get("retry")
    count = number(retry, "count") if isinstance(retry, dict) else None
    return RETRIES_MAX_DEFAULT if count is None else count
