"""`POST /{client}`: a post, taken apart, done, and answered. `protocol.md` §2.

One function of (client, headers, body) that knows no framework: whichever way a post comes in, it
gets the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from msgspec import Raw

from engine import wire
from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.core.model import StepSpec
from engine.core.target import BadTarget, last_segment, normalise
from engine.core.text.fingerprint import fingerprint
from engine.core.text.json_text import nesting
from engine.core.text.slices import fingerprint_in_slices
from engine.front.access.who import Who
from engine.front.api import surrogates
from engine.front.api.context import Front
from engine.front.api.headers import Posted, invalid, read_headers, wait_of
from engine.front.api.outcome import result_reply
from engine.front.api.read import shown_outcome
from engine.front.api.reasons import note_reason
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.front.show.digests import Digests
from engine.front.show.replies import refusal
from engine.process.budget import Parcel
from engine.process.costly import CostlyWork
from engine.runs.engine import Engine
from engine.runs.limits.refusals import unknown_parent_token
from engine.runs.open.callers import Recorded, Result, Wait
from engine.runs.open.parent import ParentToken

_decode = msgspec.json.Decoder(wire.Submission).decode
_CLIENT = re.compile(wire.CLIENT_PATTERN)
_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(.*?)`")
FOR_WANT_OF_ROOM = frozenset({Problem.OVERLOADED, Problem.RATE_LIMITED, Problem.TOO_MANY_RUNS})
"""What an operator is told in the log: the engine's room, or what a client may take of it."""
RESERVED_MEMBERS = frozenset({"delay", "notBefore", "signal", "mode"})
READ_AT_ONCE_BYTES_MAX = 4_096
"""A payload up to this is read in one go: 2 ms at most."""


async def answer_submission(
    front: Front, who: Who, client: str, headers: RawHeaders, body: Parcel
) -> Reply:
    """Do what a post asks, and answer it. Never raises for anything that was sent."""
    engine, depth_max = front.engine, front.config.json_depth_max
    spec: StepSpec | None = None
    parent: str | None = None
    workflow, key = "", None
    try:
        check_client(client)
        posted = read_headers(headers)
        submission = decode(body.data, depth_max)
        parent, key = submission.parent or posted.parent, submission.idempotency_key or posted.key
        workflow = submission.workflow_name
        if not parent and key and engine.is_full(client):
            await engine.refuse_new(client, workflow, key)
        spec = _spec(submission, posted)
        body.data = bytes(submission.payload)
        parent_token = _parent_token(engine, submission.parent, posted.parent)
        wait = wait_of(posted, submission.timeout)
        del submission  # a caller may wait for days, and thousands do
        if len(body.data) > READ_AT_ONCE_BYTES_MAX:
            refuse = partial(_refuse_if_full, engine, client, spec, parent_token, wait)
            digest = await _read_in_slices(body.data, front.costly, depth_max, client, refuse)
            spec = msgspec.structs.replace(spec, fingerprint=digest)
        result = await engine.submit(client, spec, body, parent_token, wait)
        shown = await shown_outcome(front, result) if _is_of_a_person(result, who) else result
    except Refused as refused:
        if refused.problem in FOR_WANT_OF_ROOM:
            members = refused.members
            engine.run_log.overloaded(
                str(members["limit"]), client, workflow, key or "", members["retryAfter"]
            )
        if who.client is not None and "parentTokenClient" in refused.members:
            refused, parent = unknown_parent_token(), None  # whose it is they do not learn
        note_reason(engine, client, headers, body.data, spec, parent, refused)
        return refusal(_without_digests(refused, front.digests))
    return result_reply(shown, posted, redacted=shown is not result)


def _is_of_a_person(result: Result, who: Who) -> bool:
    """Whether an outcome is for somebody who is shown no more than people are: who posts with
    another role than an application's, and without the payload."""
    if not who.token or who.role is Role.SUBMIT:
        return False
    return isinstance(result, Recorded) and result.payload_differs


def _without_digests(refused: Refused, digests: Digests) -> Refused:
    """The refusal of another payload says that it is another, and nothing else of the recorded."""
    members = refused.members
    if "recordedFingerprint" not in members:
        return refused
    told = {
        name: digests.shown(str(members["runId"]), bytes.fromhex(str(members[name]))).hex()
        for name in ("recordedFingerprint", "postedFingerprint")
    }
    return Refused(refused.problem, refused.detail, **members | told)


def check_client(client: str) -> None:
    """Raises Refused for a name that cannot be a client's."""
    if not _CLIENT.fullmatch(client) or client in wire.RESERVED_CLIENTS:
        reserved = client in wire.RESERVED_CLIENTS
        raise invalid(
            "client",
            f"The name {client[:64]!r} is {'reserved' if reserved else 'not a client name'}:"
            " post to /{client}, letters, digits and ._- , at most 64, beginning with a letter or"
            " digit.",
        )


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
        raise invalid("body", f"The body is not JSON: {error}.") from error
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
            return invalid(where, f"The member `{where}` {kind}.")
        return invalid(where, f"The member `{where}` is missing.")
    if "matching regex" in message:
        message = "It must be printable ASCII (space to ~)"
    if not where:
        return invalid("body", f"The body must be a JSON object. {message}.")
    return invalid(where, f"The member `{where}` is not valid: {message}.")


def _spec(submission: wire.Submission, posted: Posted) -> StepSpec:
    try:
        url = normalise(submission.step_invoke_url)
    except BadTarget as error:
        raise invalid("stepInvokeUrl", f"The URL {error}.") from error
    key = submission.idempotency_key
    if key is not None and posted.key is not None and key != posted.key:
        raise invalid(
            "idempotencyKey", "The member `idempotencyKey` and the header Idempotency-Key differ."
        )
    key = key if key is not None else posted.key
    if key is None:
        raise invalid(
            "idempotencyKey",
            "The member `idempotencyKey` (or the header Idempotency-Key) is missing.",
        )
    name = submission.step_name or last_segment(url)[:128]
    if (at := wire.unseen(name)) is not None:
        raise invalid(
            "stepName",
            f"The member `stepName` is not valid: character {at + 1} is U+{ord(name[at]):04X}."
            " Controls, line ends, formatting and unassigned characters have no place in a name.",
        )
    digest = b""  # of a large one it comes later
    if _bytes_of(submission.payload) <= READ_AT_ONCE_BYTES_MAX:
        try:
            digest = fingerprint(bytes(submission.payload))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _no_json(error) from error
    return StepSpec(
        workflow=submission.workflow_name,
        key=key,
        url=url,
        step_key=submission.step_key or url,
        name=name,
        fingerprint=digest,
        retry=submission.retry,
        attempt_timeout_ms=submission.attempt_timeout,
        trace=posted.trace,
    )


async def _refuse_if_full(
    engine: Engine, client: str, spec: StepSpec, parent: ParentToken | None, wait: Wait
) -> None:
    """Raises Refused for what would be refused when it has been read: of many that come together
    most would be read for nothing."""
    waits = wait.prefer_ms != 0
    if parent is None and engine.is_full(client, waits=waits):
        await engine.refuse_new(client, spec.workflow, spec.key, waits=waits)


async def _read_in_slices(
    payload: bytes,
    costly: CostlyWork,
    depth_max: int,
    client: str,
    refuse: Callable[[], Awaitable[None]],
) -> bytes:
    """The fingerprint of a large payload. `refuse` is asked before, and again after a wait. Raises
    Refused."""
    await refuse()
    try:
        return await costly.run(fingerprint_in_slices(payload, depth_max - 1), client, refuse)
    except RecursionError as error:
        raise _too_deep(depth_max) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise _no_json(error) from error


def _bytes_of(raw: Raw) -> int:
    return memoryview(raw).nbytes


def _no_json(error: Exception) -> Refused:
    return invalid("payload", f"The payload is not JSON: {error}.")


def _parent_token(engine: Engine, member: str | None, header: str | None) -> ParentToken | None:
    if member is not None and header is not None and member != header:
        raise invalid("parent", "The member `parent` and the header Atomic-Parent differ.")
    text = member or header
    if not text:
        return None
    return engine.parent_token(text)
