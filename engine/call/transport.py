"""A lean HTTP/1.1 client transport: one call is one request and one whole answer, or an error.

The rules:

* **A request is never sent twice.** When a reused connection turns out to be closed, that is an
  error like any other; whether to try again is not decided here.
* **A connection is reused only after a whole answer** with nothing behind it. An error, a
  cancellation at any point, `Connection: close` or an unasked byte closes it.
* **Only a 2xx is read to its end**: of any other answer people read the beginning, and the
  connection of one that is longer than is kept of it is closed.
* **A connection belongs to the gate that let it through**, and is used under no other: what one
  client's list and certificates allow says nothing of another's, nor of its own after a change.
* No time-out: the caller cancels. Closing does not wait, so clean-up needs no shield.
* No more connections are open than `open_max`, as long as no more calls are: idle ones give way.
* Each call costs the same however many connections there are.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Mapping

import httpx
import trio
from msgspec import Struct

from engine.call.dial import CalledUrl, Dialler, Gate, Wire
from engine.core.outcome import FAILED_BODY_BYTES_MAX
from engine.http.answers import (
    HEAD_BYTES_MAX,
    AnswerHead,
    AnswerTooLarge,
    BadAnswer,
    BodyReader,
    body_of,
    read_head,
)
from engine.ports.caller import FREE_FLOW, SMALL_BYTES_MAX, Flow

ANSWER_BYTES_MAX = 1_048_576
JOINED_BYTES_MAX = 16_384
"""A request of no more bytes leaves in one piece; the pieces of a larger one are not copied."""
IDLE_PER_ORIGIN_MAX = 512
"""As many as may be in flight to one host: a full load reuses all of its connections."""
IDLE_TOTAL_MAX = 1024


class Answer(Struct, frozen=True):
    """A whole answer, or the beginning of one that is no 2xx."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """As they came; names in lower case."""
    fields: Mapping[bytes, bytes]
    """The same by name; lines of one name joined with a comma (RFC 9110 §5.3)."""
    body: bytes
    reuse_s: float
    """How long the connection may be idle and then be used again; 0: not at all."""
    size: int = -1
    """Bytes of the whole body, as far as is known, where the rest was not read; -1: all was."""


Pool = tuple[tuple[str, str, int], Gate | None]
"""Which connections are alike: of one origin, let through by one gate."""


class _Connection:
    """A wire and, while idle, until when it may be used again (`trio.current_time()`)."""

    __slots__ = ("expires", "pool", "wire")

    def __init__(self, pool: Pool, wire: Wire) -> None:
        self.pool = pool
        self.wire = wire
        self.expires = 0.0


class LeanTransport:
    """HTTP/1.1 over Trio with a keep-alive pool for each origin and gate."""

    def __init__(
        self,
        dialler: Dialler | None = None,
        *,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        open_max: int = sys.maxsize,
    ) -> None:
        self._open_max = open_max
        self._in_use = 0
        self._dialler = dialler or Dialler()
        self._answer_bytes_max = answer_bytes_max
        self._failed_bytes_max = min(answer_bytes_max, FAILED_BODY_BYTES_MAX)
        # Idle connections: newest last in each pool, and all of them in the order in which they
        # became idle. The first of all is therefore also the first of its pool.
        self._idle: dict[Pool, deque[_Connection]] = {}
        self._by_age: OrderedDict[_Connection, None] = OrderedDict()
        self._now = trio.lowlevel.current_clock().current_time
        self._closed = False
        self.connections_made = 0
        """Since the start: against the number of calls it shows how well connections are reused."""

    @property
    def idle_count(self) -> int:
        """Connections that are open and not in use."""
        return len(self._by_age)

    async def exchange(
        self,
        target: CalledUrl,
        header_lines: bytes,
        body: list[bytes],
        *,
        flow: Flow = FREE_FLOW,
        gate: Gate | None = None,
    ) -> Answer:
        """Send one POST and read its answer; redirects are not followed.

        `body` is in pieces; it is empty when they are sent, so that they are nowhere any more.
        `header_lines` are whole lines, each with its CRLF, checked by the caller; `Host`,
        `Accept-Encoding` and `Content-Length` are set here. Raises DnsError, TargetNotAllowed,
        TlsError, httpx.ConnectError (not sent); httpx.WriteError, httpx.ReadError (no whole head
        came); BadAnswer, AnswerTooLarge.
        """
        assert not self._closed, "the transport is closed"
        length = sum(map(len, body))
        head = b"%b%bAccept-Encoding: identity\r\nContent-Length: %d\r\n\r\n" % (
            target.post_start,
            header_lines,
            length,
        )
        if length <= JOINED_BYTES_MAX:
            body[:] = [b"".join((head, *body))]
        else:
            body.insert(0, head)
        pool = (target.origin, gate)
        connection = self._take_idle(pool)
        self._in_use += 1
        try:
            if connection is None:
                connection = await self._connect(target, pool, flow)
            wire = connection.wire
            try:
                is_sent = True
                try:
                    while body:
                        await wire.send(body.pop(0))
                except httpx.WriteError:
                    # A server may answer and close before it has read all. If it did not answer,
                    # reading fails too.
                    is_sent = False
                    body.clear()
                flow.sent()
                answer = await read_answer(
                    wire, self._answer_bytes_max, self._failed_bytes_max, flow
                )
            except BaseException:
                wire.close()
                raise
        finally:
            self._in_use -= 1
        if is_sent and answer.reuse_s > 0:
            self._keep(connection, answer.reuse_s)
        else:
            wire.close()
        return answer

    async def _connect(self, target: CalledUrl, pool: Pool, flow: Flow) -> _Connection:
        if self._by_age and self._in_use + len(self._by_age) > self._open_max:
            self._close_oldest()
        flow.connecting(under_way=True)
        connection = _Connection(pool, await self._dialler.connect(target, pool[1]))
        self.connections_made += 1
        flow.connecting(under_way=False)
        return connection

    def _take_idle(self, pool: Pool) -> _Connection | None:
        """The connection of this pool that was used last and is still fit."""
        now = self._now()
        self._close_expired(now)
        while (idle := self._idle.get(pool)) is not None:
            connection = idle.pop()
            if not idle:
                del self._idle[pool]
            del self._by_age[connection]
            if connection.expires > now and connection.wire.is_quiet():
                return connection
            connection.wire.close()
        return None

    def _keep(self, connection: _Connection, reuse_s: float) -> None:
        if self._closed:
            connection.wire.close()
            return
        connection.expires = self._now() + reuse_s
        idle = self._idle.setdefault(connection.pool, deque())
        idle.append(connection)
        self._by_age[connection] = None
        if len(idle) > IDLE_PER_ORIGIN_MAX:
            oldest = idle.popleft()
            del self._by_age[oldest]
            oldest.wire.close()
        elif len(self._by_age) > IDLE_TOTAL_MAX:
            self._close_oldest()

    def _close_expired(self, now: float) -> None:
        # Of any origin, or those of one that is not called again would stay for ever. Each is
        # closed once, so this is O(1) for each call. One that expires before an older one is found
        # when it is taken.
        by_age = self._by_age
        while by_age and next(iter(by_age)).expires <= now:
            self._close_oldest()

    def _close_oldest(self) -> None:
        oldest, _ = self._by_age.popitem(last=False)
        idle = self._idle[oldest.pool]
        first = idle.popleft()
        assert first is oldest
        if not idle:
            del self._idle[oldest.pool]
        oldest.wire.close()

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use as soon as it is not."""
        self._closed = True
        while self._by_age:
            self._close_oldest()


async def read_answer(
    wire: Wire, ok_bytes_max: int, failed_bytes_max: int, flow: Flow = FREE_FLOW
) -> Answer:
    """The final answer, without the 100-199 before it.

    A 2xx whose body is over `ok_bytes_max` is refused; of others `failed_bytes_max` are read.
    """
    head, rest = await read_head(wire)
    most = ok_bytes_max if head.ok else failed_bytes_max
    size, clean = -1, True
    if head.length != len(rest) or len(rest) > min(most, SMALL_BYTES_MAX):
        body = body_of(head, b"POST")
        rest, size = await _read_body(wire, head, body, rest, most, flow)
        clean = body.clean and size < 0
    return Answer(
        head.status, head.headers, head.fields, rest, head.reuse_s if clean else 0.0, size
    )


async def _read_body(
    wire: Wire, head: AnswerHead, body: BodyReader, rest: bytes, most: int, flow: Flow
) -> tuple[bytes, int]:
    """The body, and -1, or how long it is (or how much came) where it was cut."""
    length = body.length
    if length is not None and length > most:
        _refuse_if_ok(head, most)
    has_room = not head.ok
    if length is not None and length > SMALL_BYTES_MAX and not has_room:
        await flow.wait_room(length)
        has_room = True
    content, raw_bytes, data = bytearray(), 0, rest
    while True:
        if data:
            raw_bytes += len(data)
            content += body.feed(data)
        # Chunk sizes, their extensions and trailers may at most double it.
        if len(content) > most or raw_bytes > 2 * most + HEAD_BYTES_MAX:
            _refuse_if_ok(head, most)
            return bytes(memoryview(content)[:most]), length or len(content)
        if length is not None and len(content) == most < length:
            return bytes(content), length
        if len(content) > SMALL_BYTES_MAX and not has_room:
            await flow.wait_room(most)
            has_room = True
        if body.done:
            return bytes(content), -1
        data = await _receive_body(wire, head.status, len(content))
        if not data:
            body.feed(data)  # the end, or a body cut short


def _refuse_if_ok(head: AnswerHead, most: int) -> None:
    """A body is over its limit: of a 2xx nothing less than all would do."""
    if head.ok:
        raise AnswerTooLarge(f"the answer's body is over {most} bytes", head.status)


async def _receive_body(wire: Wire, status: int, so_far: int) -> bytes:
    """More of the body, or b"" at the end. A connection lost here is an answer cut short."""
    try:
        return await wire.receive()
    except httpx.ReadError as error:
        raise BadAnswer(f"the body was cut short after {so_far} bytes: {error}", status) from error
