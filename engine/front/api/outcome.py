"""The answer to a post, or to a look at an outcome: what is recorded, or that it is open still."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from engine import wire
from engine.core.below import excerpt_beside
from engine.core.errors import Problem
from engine.core.model import Step, StepState
from engine.core.text.json_text import declares_json
from engine.core.text.times import rfc3339
from engine.front.api.headers import Posted
from engine.front.server.reply import Reply
from engine.front.show.replies import JSON, problem_reply
from engine.ports.store import Body
from engine.runs.limits.refusals import RETRY_AFTER_S, STOPPED_RETRY_AFTER_S
from engine.runs.open.callers import Recorded, Result, StillOpen, Why
from engine.wire.routes import OUTCOME

_encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder(float_hook=str).decode
"""Any JSON; numbers are left as they are."""


def result_reply(result: Result, posted: Posted, *, redacted: bool = False) -> Reply:
    """The answer to a post, or to a look at an outcome. `redacted`: a part of it is masked."""
    if isinstance(result, StillOpen):
        return _open_reply(result, posted)
    headers: tuple[tuple[str, str], ...] = (("atomic-redacted", "true"),) if redacted else ()
    if result.replayed:
        headers += (("idempotent-replayed", "true"),)
    if result.payload_differs:
        headers += (("atomic-payload-differs", "true"),)
    step = result.step
    if step.state is StepState.COMPLETED:
        return Reply(200, (JSON, *headers), _outcome_body(result), result.room)
    if step.state is StepState.CANCELLED:
        reply = problem_reply(
            Problem.RUN_CANCELLED, "The step was cancelled.", **_outcome_members(result)
        )
    else:
        reply = problem_reply(
            Problem.STEP_FAILED, _failed_text(step, result.cause), **_outcome_members(result)
        )
    return msgspec.structs.replace(reply, headers=reply.headers + headers)


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _outcome_body(result: Recorded) -> bytes:
    step, body = result.step, result.body
    answer = wire.OutcomeAnswer(
        id=step.id,
        run_id=step.run_id,
        workflow_name=step.spec.workflow,
        step_invoke_url=step.ended_url or step.spec.url,
        idempotency_key=step.spec.key,
        generation=step.generation,
        status=step.state,
        http_status=step.http_status or 0,
        response=_response(body),
        attempts=step.attempts,
        submitted_at=rfc3339(step.submitted_at),
        finished_at=rfc3339(step.ended_at or 0),
    )
    if (repair := step.set_by) is not None:
        answer = msgspec.structs.replace(answer, set_by=repair.act)
    return _encode(answer)


def _response(body: Body | None) -> Raw:
    """An endpoint's answer as a JSON value: nothing is null, JSON stays as it is, text a string."""
    if body is None or not body.data:
        return Raw(b"null")
    if body.json:
        return Raw(body.data)
    return as_recorded_before(body.data, body.content_type)


def as_recorded_before(data: bytes, content_type: str) -> Raw:
    """An answer that is not recorded as JSON: other text, or one of an engine that did not look at
    its end. What that one told is told again: what msgspec does not take was a string to it."""
    if declares_json(content_type):
        try:
            _parse(data)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return Raw(data)
    return Raw(_encode(data.decode()))


def _failed_text(step: Step, cause: Step | None) -> str:
    """Why it failed: for the reason of the step below that made it fail, where there is one. Its
    own last answer tells that only in other words, or not at all."""
    failed = step if cause is None else cause
    below = "" if cause is None else f" because step {cause.spec.name!r} failed"
    excerpt = excerpt_beside(failed)
    why = f"{failed.error} ({excerpt})" if excerpt else failed.error
    return f"Step {step.spec.name!r} failed after {_times(step.attempts)}{below}: {why}."


def _outcome_members(result: Recorded) -> dict[str, object]:
    step, cause = result.step, result.cause
    return {
        "id": step.id,
        "runId": step.run_id,
        "stepId": step.id,
        "generation": step.generation,
        "attempts": step.attempts,
        "cause": None if cause is None else wire.Cause(cause.id, cause.spec.name),
        "lastAttempt": wire.LastAttempt(step.http_status, step.error, step.excerpt)
        if step.attempts
        else None,
        "submittedAt": rfc3339(step.submitted_at),
        "finishedAt": rfc3339(step.ended_at or 0),
    }


def _open_reply(result: StillOpen, posted: Posted) -> Reply:
    location = ("location", OUTCOME.path.format(id=result.step_id))
    ids = {"id": result.step_id, "runId": result.run_id}
    if result.why in (Why.ASYNC, Why.WAIT):
        applied = "respond-async" if posted.respond_async else f"wait={posted.wait_s}"
        body = _encode(wire.OpenAnswer(result.step_id, result.run_id, result.state))
        return Reply(202, (JSON, location, ("preference-applied", applied)), body)
    kind, detail = {
        Why.TIMEOUT: (
            Problem.WAIT_TIMEOUT,
            "The time this caller waits is over; the work goes on. Post again, or read Location.",
        ),
        Why.DRAINING: (
            Problem.DRAINING,
            "The engine is stopping; the work goes on when it is back. Post again with the same"
            " key.",
        ),
        Why.SUSPENDED: (
            Problem.SUSPENDED,
            "The attempt that waits for this step is sent home: let the function fail. It is called"
            " again when one of its steps has ended.",
        ),
        Why.PARKED: (
            Problem.ENGINE_ERROR,
            "The engine could not go on with this run; it is paused. Post again with the same key.",
        ),
    }[result.why]
    retry_after = {Why.DRAINING: RETRY_AFTER_S, Why.PARKED: STOPPED_RETRY_AFTER_S}.get(result.why)
    members = {**ids, "stepId": result.step_id, "stepStatus": result.state}
    reply = problem_reply(kind, detail, **members, retryAfter=retry_after)
    return msgspec.structs.replace(reply, headers=(*reply.headers, location))
