"""HTTP as bytes, where the engine's own readers and writers meet the simulated network.

What the engine sends and what it is sent goes through the code that does so in production: the
caller and its transport on one side, the reader of requests on the other. So the network can cut a
message anywhere, and what only looks whole is taken for whole if that code takes it so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import cast

import httpx
import msgspec
import trio
from msgspec import Struct

from engine.call.caller import HttpCaller
from engine.call.dial import CalledUrl, Dialler, Gate, Wire
from engine.call.transport import LeanTransport
from engine.core.outcome import Answered, Outcome
from engine.front.server.post import Post, read_post
from engine.front.server.strict import Phase, RawHeaders, RequestReader, ServerLimits
from engine.ports.caller import Invocation

Serve = Callable[[Invocation], Awaitable[bytes]]
"""Carries a request to its application; the bytes of the answer, as far as they come."""
SERVER_LIMITS = ServerLimits()


class Refuses(Exception):
    """Nobody listens where a call goes."""


class _Sent(Struct, rename="camel"):
    """The body of a call."""

    idempotency_key: str
    payload: msgspec.Raw


class _SimWire:
    """One connection of the engine to an application: a request, an answer, and its end."""

    def __init__(self, serve: Serve, rng: Random) -> None:
        self._serve, self._rng = serve, rng
        self._request = b""
        self._answer: deque[bytes] | None = None

    async def send(self, data: bytes) -> None:
        self._request += data

    async def receive(self) -> bytes:
        if self._answer is None:
            answer = await self._serve(read_call(self._request))
            self._answer = deque(pieces(answer, self._rng))
        await trio.lowlevel.checkpoint()
        return self._answer.popleft() if self._answer else b""

    def is_quiet(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing of it is left to close."""


class _SimDialler(Dialler):
    """Connects to the simulated network. `meet` raises Refuses where nobody listens."""

    def __init__(self, meet: Callable[[], None], serve: Serve, rng: Random) -> None:
        super().__init__()
        self._meet, self._serve, self._rng = meet, serve, rng

    async def connect(self, target: CalledUrl, gate: Gate | None = None) -> Wire:
        await trio.lowlevel.checkpoint()
        try:
            self._meet()
        except Refuses as error:
            raise httpx.ConnectError("refused (simulated)") from error
        return cast(Wire, _SimWire(self._serve, self._rng))


NEW = "v2"
"""What the paths of moved endpoints begin with."""


def plain(url: str) -> str:
    """A URL as programs have it: what has moved is the same endpoint."""
    return url.replace(f"/{NEW}/", "/", 1)


async def call(
    invocation: Invocation, meet: Callable[[], None], serve: Serve, rng: Random
) -> Outcome:
    """Send a call as the engine does in production, over a connection of its own."""
    transport = LeanTransport(_SimDialler(meet, serve, rng))
    caller = HttpCaller(transport, version="0", utc_now=lambda: 0.0)
    try:
        return await caller.call(invocation)
    finally:
        await transport.aclose()


def read_call(request: bytes) -> Invocation:
    """What an application reads in a request of the engine's."""
    head, _, body = request.partition(b"\r\n\r\n")
    start, *lines = head.decode("ascii").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(fields["content-length"]) == len(body), request
    sent = msgspec.json.decode(body, type=_Sent)
    return Invocation(
        url=f"http://{fields['host']}{start.split(' ')[1]}",
        idempotency_key=sent.idempotency_key,
        step_own_key=fields["idempotency-key"].strip('"'),
        payload=bytes(sent.payload),
        run_id=fields["atomic-run-id"],
        step_id=fields["atomic-step-id"],
        client=fields["atomic-client"],
        workflow=fields["atomic-workflow"],
        attempt=int(fields["atomic-attempt"]),
        parent_token=fields["atomic-parent"],
        traceparent=fields["traceparent"],
    )


def answer_bytes(outcome: Outcome, rng: Random, *, cut: bool = False) -> bytes:
    """An application's answer on the wire; nothing where it gave none. `cut` ends it early."""
    if not isinstance(outcome, Answered):
        return b""
    lines = [f"HTTP/1.1 {outcome.http_status} Simulated"]
    if outcome.content_type:
        lines.append(f"Content-Type: {outcome.content_type}")
    if outcome.retry_after_ms is not None:
        lines.append(f"Retry-After: {outcome.retry_after_ms // 1000}")
    if outcome.no_retry:
        lines.append("Atomic-No-Retry: true")
    if outcome.suspend:
        lines.append("Atomic-Suspend: true")
    body = outcome.body
    if body and rng.random() < 0.5:
        lines.append("Transfer-Encoding: chunked")
        middle = rng.randrange(len(body))
        body = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:middle], body[middle:]) if p)
        body += b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join((*lines, "", "")).encode("ascii")
    if cut:
        in_body = body and rng.random() < 0.9
        return (head + body[: rng.randrange(len(body))]) if in_body else head[: rng.randrange(99)]
    return head + body


def pieces(data: bytes, rng: Random) -> list[bytes]:
    """Mostly it comes at once, sometimes in two pieces."""
    if len(data) < 2 or rng.random() < 0.7:
        return [data] if data else []
    at = rng.randrange(1, len(data))
    return [data[:at], data[at:]]


def post_bytes(client: str, headers: RawHeaders, body: bytes) -> bytes:
    """A post on the wire."""
    lines = [f"POST /{client} HTTP/1.1".encode(), b"host: engine"]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def read_post_bytes(arrived: list[bytes]) -> tuple[Post, bytes] | None:
    """What the engine's connection takes up of what has come when it ends; None: nothing."""
    reader = RequestReader(SERVER_LIMITS)
    post: Post | None = None
    body = b""
    for data in arrived:
        reader.receive(data)
        checked = reader.take()
        if reader.head is not None:
            post, checked = read_post(reader.head), checked[reader.head_size :]
        body += checked
    if reader.phase is not Phase.DONE:
        return None
    assert post is not None, arrived
    return post, body
