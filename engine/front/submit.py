"""`POST /{client}`: a post, taken apart, done, and answered. `protocol.md` §2.

One function of (client, headers, body) that knows no framework: whichever way a post comes in, it
gets the same answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec import Raw

from engine import wire
from engine.budget import Parcel
from engine.core.below import excerpt_beside
from engine.core.errors import Problem, Refused
from engine.core.fingerprint import fingerprint
from engine.core.json_text import declares_json, nesting
from engine.core.model import Step, StepSpec, StepState
from engine.core.slices import fingerprint_in_slices
from engine.core.target import BadTarget, last_segment, normalise
from engine.front import surrogates
from engine.front.dear import Dear
from engine.front.parent import parent_of
from engine.front.reasons import note_reason
from engine.front.replies import JSON, problem_reply, refusal
from engine.front.reply import Reply
from engine.front.strict import HEADS_KEPT_MAX, RawHeaders
from engine.front.times import rfc3339
from engine.parent_tokens import ParentToken
from engine.ports.store import Body
from engine.refusals import RETRY_AFTER_S, STOPPED_RETRY_AFTER_S
from engine.supervisor import Engine
from engine.waiting import Recorded, Result, StillOpen, Wait, Why

_decode = msgspec.json.Decoder(wire.Submission).decode
_encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder(float_hook=str).decode
"""Any JSON; numbers are left as they are."""
_CLIENT = re.compile(wire.CLIENT_PATTERN)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_SF_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,7})\"?")
_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(.*?)`")
RESERVED_MEMBERS = frozenset({"delay", "notBefore", "signal", "mode"})
PREFER_WAIT_S_MAX = 86_400
READ_AT_ONCE_BYTES_MAX = 4_096
"""A payload up to this is read in one go: 2 ms at most."""


class Posted(msgspec.Struct, frozen=True):
    """The headers of a post that mean something."""

    key: str | None
    parent: str | None
    respond_async: bool
    wait_s: int | None


async def answer_submission(
    engine: Engine, dear: Dear, client: str, headers: RawHeaders, body: Parcel, depth_max: int
) -> Reply:
    """Do what a post asks, and answer it. Never raises for anything that was sent."""
    spec: StepSpec | None = None
    parent: str | None = None
    workflow, key = "", None
    try:
        check_client(client)
        posted = read_headers(headers)
        submission = decode(body.data, depth_max)
        parent, key = submission.parent or posted.parent, submission.idempotency_key or posted.key
        workflow = submission.workflow_name
        if not parent and key:
            engine.refuse_if_full(client, workflow, key)
        spec = _spec(submission, posted)
        body.data = bytes(submission.payload)
        parent_token = _parent_token(engine, submission.parent, posted.parent)
        wait = wait_of(posted, submission.timeout)
        del submission  # a caller may wait for days, and thousands do
        if len(body.data) > READ_AT_ONCE_BYTES_MAX:
            mark = await _read_in_slices(body.data, dear, depth_max)
            spec = msgspec.structs.replace(spec, fingerprint=mark)
        result = await engine.submit(client, spec, body, parent_token, wait)
    except Refused as refused:
        if refused.problem is Problem.OVERLOADED:
            told = refused.members
            engine.run_log.overloaded(
                str(told["limit"]), client, workflow, key or "", told["retryAfter"]
            )
        note_reason(engine, client, headers, body.data, spec, parent, refused)
        return refusal(refused)
    return result_reply(result, posted)


def check_client(client: str) -> None:
    """Raises Refused for a name that cannot be a client's."""
    if not _CLIENT.fullmatch(client) or client in wire.RESERVED_CLIENTS:
        reserved = client in wire.RESERVED_CLIENTS
        raise _invalid(
            "client",
            f"The name {client[:64]!r} is {'reserved' if reserved else 'not a client name'}:"
            " post to /{client}, letters, digits and ._- , at most 64, beginning with a letter or"
            " digit.",
        )


def _invalid(member: str, detail: str) -> Refused:
    return Refused(Problem.INVALID_SUBMISSION, detail, member=member)


# -- taking a post apart -------------------------------------------------------------------------


def decode(body: bytes, depth_max: int) -> wire.Submission:
    """The submission. Raises Refused naming the member at fault."""
    try:
        submission = surrogates.decode(body, _decode)
        if _bytes_of(submission.payload) <= READ_AT_ONCE_BYTES_MAX:  # else where it is read
            payload = bytes(submission.payload)
            brackets = payload.count(b"[") + payload.count(b"{")
            if brackets >= depth_max and nesting(payload, depth_max) >= depth_max:  # and the body's
                raise _too_deep(depth_max)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid("body", f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep(depth_max) from error
    return submission


def _too_deep(depth_max: int) -> Refused:
    return Refused(
        Problem.INVALID_SUBMISSION,
        f"The body nests deeper than {depth_max} levels.",
        member="payload",
        limit="json_depth_max",
    )


def _explain(message: str) -> Refused:
    """Our words for what the decoder found; its path becomes the member's name."""
    where = ""
    if at := _AT.fullmatch(message):
        message, where = at[1], at[2]
    if field := _FIELD.search(message):
        where = f"{where}.{field[1]}" if where else field[1]
        if "unknown" in message:
            kind = "is reserved for later" if field[1] in RESERVED_MEMBERS else "is not known"
            return _invalid(where, f"The member `{where}` {kind}.")
        return _invalid(where, f"The member `{where}` is missing.")
    if "matching regex" in message:
        message = "It must be printable ASCII (space to ~)"
    if not where:
        return _invalid("body", f"The body must be a JSON object. {message}.")
    return _invalid(where, f"The member `{where}` is not valid: {message}.")


def _spec(submission: wire.Submission, posted: Posted) -> StepSpec:
    try:
        url = normalise(submission.step_invoke_url)
    except BadTarget as error:
        raise _invalid("stepInvokeUrl", f"The URL {error}.") from error
    key = submission.idempotency_key
    if key is not None and posted.key is not None and key != posted.key:
        raise _invalid(
            "idempotencyKey", "The member `idempotencyKey` and the header Idempotency-Key differ."
        )
    key = key if key is not None else posted.key
    if key is None:
        raise _invalid(
            "idempotencyKey",
            "The member `idempotencyKey` (or the header Idempotency-Key) is missing.",
        )
    name = submission.step_name or last_segment(url)[:128]
    if (at := wire.unseen(name)) is not None:
        raise _invalid(
            "stepName",
            f"The member `stepName` is not valid: character {at + 1} is U+{ord(name[at]):04X}."
            " Controls, line ends, formatting and unassigned characters have no place in a name.",
        )
    mark = b""  # of a large one it comes later
    if _bytes_of(submission.payload) <= READ_AT_ONCE_BYTES_MAX:
        try:
            mark = fingerprint(bytes(submission.payload))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _no_json(error) from error
    return StepSpec(
        workflow=submission.workflow_name,
        key=key,
        url=url,
        step_key=submission.step_key or url,
        name=name,
        fingerprint=mark,
        retry=submission.retry,
        attempt_timeout_ms=submission.attempt_timeout,
    )


async def _read_in_slices(payload: bytes, dear: Dear, depth_max: int) -> bytes:
    """The fingerprint of a large payload. Raises Refused."""
    try:
        return await dear.run(fingerprint_in_slices(payload, depth_max - 1))
    except RecursionError as error:
        raise _too_deep(depth_max) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise _no_json(error) from error


def _bytes_of(raw: Raw) -> int:
    return memoryview(raw).nbytes


def _no_json(error: Exception) -> Refused:
    return _invalid("payload", f"The payload is not JSON: {error}.")


@lru_cache(maxsize=HEADS_KEPT_MAX)
def read_headers(headers: RawHeaders) -> Posted:
    """The headers that mean something. Raises Refused for an Idempotency-Key that is none."""
    key: str | None = None
    prefer = ""
    for name, value in headers:
        if name == b"idempotency-key":
            found = _header_key(value.decode("latin1").strip(" \t"))
            if key is not None and found != key:
                raise _invalid("idempotencyKey", "Two different Idempotency-Key headers.")
            key = found
        elif name == b"prefer":
            prefer += "," + value.decode("latin1").lower()
    respond_async, wait_s = False, None
    for preference in prefer.split(",") if prefer else ():
        word = preference.partition(";")[0].strip(" \t")
        if word == "respond-async":
            respond_async = True
        elif (wait := _WAIT.fullmatch(word)) and wait_s is None:
            wait_s = min(int(wait[1]), PREFER_WAIT_S_MAX)
    return Posted(key, parent_of(headers), respond_async, wait_s)


def _header_key(value: str) -> str:
    """RFC 8941 string (draft-ietf-httpapi-idempotency-key-header), or the bare form."""
    if quoted := _SF_STRING.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    elif value.startswith('"'):
        raise _invalid("idempotencyKey", "The header Idempotency-Key is not a quoted string.")
    if not _KEY.fullmatch(value):
        raise _invalid(
            "idempotencyKey", "The header Idempotency-Key must be 1-255 printable ASCII."
        )
    return value


def _parent_token(engine: Engine, member: str | None, header: str | None) -> ParentToken | None:
    if member is not None and header is not None and member != header:
        raise _invalid("parent", "The member `parent` and the header Atomic-Parent differ.")
    text = member or header
    if not text:
        return None
    return engine.parent_token(text)


def wait_of(posted: Posted, timeout_ms: int | None) -> Wait:
    """How long the caller waits: the first of its wishes that comes ends the wait."""
    if posted.respond_async:
        return Wait(timeout_ms, 0)
    return Wait(timeout_ms, None if posted.wait_s is None else posted.wait_s * 1000)


# -- answering -----------------------------------------------------------------------------------


def result_reply(result: Result, posted: Posted) -> Reply:
    """The answer to a post, or to a look at an outcome."""
    if isinstance(result, StillOpen):
        return _open_reply(result, posted)
    headers: tuple[tuple[str, str], ...] = ()
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
    told = step if cause is None else cause
    below = "" if cause is None else f" because step {cause.spec.name!r} failed"
    excerpt = excerpt_beside(told)
    why = f"{told.error} ({excerpt})" if excerpt else told.error
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
    location = ("location", f"/api/v1/steps/{result.step_id}/outcome")
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
