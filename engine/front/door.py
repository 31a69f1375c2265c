"""The door: posts answered at the connection, without a framework between.

`POST /{client}` is what the engine lives by. A connection that reads one (whole, with a
Content-Length, checked by `strict.py` like every request) hands it here; it is answered by the same
`submit.answer_submission`, behind the same access checks, that Quart's route calls. Anything else,
and whatever is unusual about a post (chunked, `Expect`, HTTP/1.0), goes to Quart: one function, two
ways to it.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from engine.core.errors import Problem
from engine.front.access import RawHeaders
from engine.front.context import Front
from engine.front.reply import Reply, problem_reply
from engine.front.submit import answer_submission
from engine.wire import RESERVED_CLIENTS

_POST = re.compile(rb"POST /([A-Za-z0-9][A-Za-z0-9._-]{0,63}) HTTP/1\.1\r\n")
_ELSEWHERE = frozenset({b"transfer-encoding", b"expect"})
_RESERVED = frozenset(name.encode() for name in RESERVED_CLIENTS)


class Post(Struct, frozen=True):
    """A post's head, taken apart."""

    client: str
    fields: list[tuple[bytes, bytes]]
    """Names in lower case, values without the white space around them."""
    close: bool
    """The client wants the connection closed afterwards."""


def read_post(head: bytes) -> Post | None:
    """The head as a post that the door answers, or None. The head has been checked already."""
    line = _POST.match(head)
    if line is None or line[1] in _RESERVED:
        return None
    fields: list[tuple[bytes, bytes]] = []
    close = False
    for field in head[line.end() : -4].split(b"\r\n"):
        name, _, value = field.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name in _ELSEWHERE:
            return None
        if name == b"connection":
            close = close or b"close" in value.lower()
        fields.append((name, value))
    return Post(line[1].decode(), fields, close)


def reply_bytes(reply: Reply, shared: bytes, *, close: bool) -> bytes:
    """A whole HTTP/1.1 answer; `shared` are the header lines that every answer carries."""
    own = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    head = (
        f"HTTP/1.1 {reply.status} {_PHRASES[reply.status]}\r\n{own}"
        f"content-length: {len(reply.body)}\r\n{'connection: close' if close else ''}"
    )
    return head.encode("latin1") + (b"\r\n" if close else b"") + shared + b"\r\n" + reply.body


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Door(Protocol):
    """Answers posts."""

    async def answer(self, client: str, headers: RawHeaders, body: bytes) -> Reply:
        """The answer to a post. Raises nothing but a cancel."""
        ...


class EngineDoor:
    """Answers posts for one engine."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def answer(self, client: str, headers: RawHeaders, body: bytes) -> Reply:
        """The answer to a post. Raises nothing but a cancel."""
        front = self._front
        reply = front.access.check("POST", headers)
        if reply is None:
            try:
                reply = await answer_submission(
                    front.engine, client, headers, body, front.config.json_depth_max
                )
            except Exception as error:  # noqa: BLE001 - a bug ends its request, not the server
                reply = internal_error(front, error, f"/{client}")
        front.metrics.request("POST", reply.status)
        return reply


def internal_error(front: Front, error: Exception, path: str) -> Reply:
    """The answer to a request that met a bug of ours: an id that finds the log's traceback."""
    incident = front.clock.token_bytes(6).hex()
    front.log("request-failed", incident=incident, path=path, exc_info=error)
    return problem_reply(
        Problem.INTERNAL,
        "The engine has a bug; its log has the details. Post again with the same key.",
        incident=incident,
    )
