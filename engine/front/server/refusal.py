"""Answers that end a connection in the application's place, and how it is closed then."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import trio
from hypercorn.config import Config

from engine.front.server.reply import Reply
from engine.front.server.strict import BadRequest, ServerLimits

DRAIN_BYTES = 64 * 1024

SAFE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""On every answer, unless the application has set the header itself: an answer shown in a browser
can do nothing there."""

Refuse = Callable[[int, str, str, str | None], bytes]
"""(status, problem, detail, limit) -> an `application/problem+json` document (RFC 9457)."""


async def linger(stream: trio.SocketStream, limits: ServerLimits) -> None:
    """Close for writing and read on: unread input would make the close a reset (RFC 9112 §9.6).

    Bounded in bytes and time.
    """
    with trio.move_on_after(limits.linger_timeout_s):
        try:
            await stream.send_eof()
            drained = 0
            while drained < limits.linger_bytes_max:
                data = await stream.receive_some(DRAIN_BYTES)
                if not data:
                    break
                drained += len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # gone already


class Denied(BadRequest):
    """Who sends the request may not: it is answered so, and its body is not read."""

    def __init__(self, reply: Reply, head: bytes) -> None:
        super().__init__(reply.status, "its token does not allow it")
        self.reply = reply
        self.head = head


def refusal_headers(status: int, body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that carries `body`, a problem document, and closes."""
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    return headers


def refusal_bytes(config: Config, status: int, body: bytes) -> bytes:
    """A whole HTTP/1.1 answer that carries `body`, a problem document, and closes."""
    headers: list[tuple[bytes, Any]] = [
        *refusal_headers(status, body),
        *SAFE_HEADERS,
        *config.response_headers("h11"),
    ]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (
        status,
        HTTPStatus(status).phrase.encode(),
        lines,
        body,
    )
