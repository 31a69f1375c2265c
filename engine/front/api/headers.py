"""The headers of a post that mean something, and how long its caller waits."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.rules.trace import read_traceparent
from engine.front.access.parent import parent_of
from engine.front.server.strict import HEADS_KEPT_MAX, RawHeaders
from engine.runs.open.callers import Wait

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_SF_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,7})\"?")
PREFER_WAIT_S_MAX = 86_400


class Posted(Struct, frozen=True):
    """The headers of a post that mean something."""

    key: str | None
    parent: str | None
    respond_async: bool
    wait_s: int | None
    trace: str | None = None
    """Whose trace the post is part of."""


@lru_cache(maxsize=HEADS_KEPT_MAX)
def read_headers(headers: RawHeaders) -> Posted:
    """The headers that mean something. Raises Refused for an Idempotency-Key that is none."""
    key: str | None = None
    traces: list[str] = []
    prefer = ""
    for name, value in headers:
        if name == b"idempotency-key":
            found = _header_key(value.decode("latin1").strip(" \t"))
            if key is not None and found != key:
                raise invalid("idempotencyKey", "Two different Idempotency-Key headers.")
            key = found
        elif name == b"prefer":
            prefer += "," + value.decode("latin1").lower()
        elif name == b"traceparent":
            traces.append(value.decode("latin1").strip(" \t"))
    respond_async, wait_s = False, None
    for preference in prefer.split(",") if prefer else ():
        word = preference.partition(";")[0].strip(" \t")
        if word == "respond-async":
            respond_async = True
        elif (wait := _WAIT.fullmatch(word)) and wait_s is None:
            wait_s = min(int(wait[1]), PREFER_WAIT_S_MAX)
    trace = read_traceparent(traces[0]) if len(traces) == 1 else None  # of two neither is believed
    return Posted(key, parent_of(headers), respond_async, wait_s, trace)


def _header_key(value: str) -> str:
    """RFC 8941 string (draft-ietf-httpapi-idempotency-key-header), or the bare form."""
    if quoted := _SF_STRING.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    elif value.startswith('"'):
        raise invalid("idempotencyKey", "The header Idempotency-Key is not a quoted string.")
    if not _KEY.fullmatch(value):
        raise invalid("idempotencyKey", "The header Idempotency-Key must be 1-255 printable ASCII.")
    return value


def wait_of(posted: Posted, timeout_ms: int | None) -> Wait:
    """How long the caller waits: the first of its wishes that comes ends the wait."""
    if posted.respond_async:
        return Wait(timeout_ms, 0)
    return Wait(timeout_ms, None if posted.wait_s is None else posted.wait_s * 1000)


def invalid(member: str, detail: str) -> Refused:
    """The refusal of a post for one of its members."""
    return Refused(Problem.INVALID_SUBMISSION, detail, member=member)
