"""An answer as the server sends it, whoever made it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from engine.process.budget import Charge

ROOM = "atomic.room"
"""An extension in a request's ASGI scope: what is given back when it is answered, as room in
memory."""
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class GivenBack(Protocol):
    """What an answer takes until it is sent, or nobody waits for it any more."""

    def give_back(self) -> None:
        """It is free. A second time changes nothing."""
        ...


class Reply(Struct, frozen=True):
    """Status, headers and body of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    room: Charge | None = None
    """What a large body takes in memory, until it is sent."""


def reply_head(reply: Reply, shared: bytes, *, close: bool) -> bytes:
    """The head of an HTTP/1.1 answer; `shared` are the header lines that every answer carries."""
    own = "".join([f"{name}: {value}\r\n" for name, value in reply.headers])
    head = (
        f"HTTP/1.1 {reply.status} {_PHRASES[reply.status]}\r\n{own}"
        f"content-length: {len(reply.body)}\r\n{'connection: close' if close else ''}"
    )
    return head.encode("latin1") + (b"\r\n" if close else b"") + shared + b"\r\n"
