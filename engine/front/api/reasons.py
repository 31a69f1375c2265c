"""Why a post was refused, told to the attempt that made it.

A function whose post is refused mostly fails for it, with a status that says nothing: minutes of
`answered 500` for a URL with a blank in it. So the run says it itself: the reason is noted with the
attempt in flight and stands in its error when it ends. It ends nothing and decides nothing.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.model import StepSpec
from engine.front.access.parent import parent_of
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.runs.engine import Engine

TELLING = frozenset(
    {
        Problem.INVALID_SUBMISSION, Problem.TOO_LARGE, Problem.UNSUPPORTED_MEDIA_TYPE,
        Problem.HEADERS_TOO_LARGE, Problem.WOULD_DEADLOCK, Problem.KEY_REUSED,
        Problem.TARGET_MOVED, Problem.LIMIT_EXCEEDED, Problem.PARENT_ENDED,
        Problem.TARGET_NOT_ALLOWED,
    }
)  # fmt: skip
"""Refusals that posting again does not mend. The others say nothing of the post, or are outcomes,
or come from an execution that is over."""
REASON_CHARS_MAX = 240
BODY_BYTES_MAX = 65_536
"""Of a larger body that was not read, nobody asks whose it was."""


class _Whose(Struct, rename="camel"):
    """What of a body says whose post it is, whatever else is wrong with it."""

    workflow_name: str = ""
    idempotency_key: str | None = None
    step_invoke_url: str = ""
    parent: str | None = None


class _Problem(Struct):
    detail: str = ""


_decode = msgspec.json.Decoder(_Whose).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


def note_reason(
    engine: Engine,
    client: str,
    headers: RawHeaders,
    body: bytes,
    spec: StepSpec | None,
    parent_token: str | None,
    refused: Refused,
) -> None:
    """Note a refusal with the attempt whose post it was, if that can be told.

    `spec` and `parent_token` as far as they were read; without a `spec` the body is all of it.
    """
    if refused.problem not in TELLING:
        return
    whose = _whose(headers, body) if spec is None else _Whose(spec.workflow, spec.key, spec.url)
    whose.parent = parent_token or whose.parent
    _note(engine, client, whose, f"/{client}", refused.detail)


def note_denied(
    engine: Engine, client: str, headers: RawHeaders, body: bytes, denied: Reply
) -> None:
    """The same for a post that was answered so before anything of it was looked at (415, 421).

    What has no token, or too little of one, may claim what it likes: a parent token says whose it
    is, and nothing else does.
    """
    if denied.status in (401, 403):
        note_unread(engine, f"/{client}", parent_of(headers) or "", detail_of(denied))
    else:
        _note(engine, client, _whose(headers, body), f"/{client}", detail_of(denied))


def detail_of(denied: Reply) -> str:
    """What a problem document says."""
    return _decode_problem(denied.body).detail


def note_unread(engine: Engine, path: str, parent_token: str, detail: str) -> None:
    """The same for a request that was not read, by its parent token."""
    if parent_token:
        _note(engine, "", _Whose(parent=parent_token), path, detail)


def _note(engine: Engine, client: str, whose: _Whose, path: str, detail: str) -> None:
    detail = detail.removesuffix(".")
    if len(detail) > REASON_CHARS_MAX:
        detail = f"{detail[:REASON_CHARS_MAX]}…"
    why = f"its post to {path[:65]} was refused: {detail}"
    key = whose.idempotency_key or ""
    engine.note_reason(client, whose.workflow_name, key, whose.step_invoke_url, whose.parent, why)


def _whose(headers: RawHeaders, body: bytes) -> _Whose:
    whose = _Whose()
    if len(body) <= BODY_BYTES_MAX:
        try:
            whose = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            whose = _Whose()
    whose.parent = parent_of(headers) or whose.parent
    for name, value in headers:
        if name == b"idempotency-key" and whose.idempotency_key is None:
            whose.idempotency_key = value.decode("latin1").strip().strip('"')
    return whose
