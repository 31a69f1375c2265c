"""A lean HTTP/1.1 client transport: one call is one request and one whole answer, or an error.

The rules:

* **A request is never sent twice.** When a reused connection turns out to be closed, that is an
  error like any other; whether to try again is not decided here.
* **A connection is reused only after a whole answer** with nothing behind it. An error, a
  cancellation at any point, `Connection: close` or an unasked byte closes it.
* Bytes are counted as they come. Nothing is ever inflated: an encoded answer is refused.
* No time-out: the caller cancels. Closing does not wait, so clean-up needs no shield.
* Each call costs the same however many connections there are.

httptools (llhttp) judges the syntax. Where an answer ends is RFC 9112 §6.3 and is decided here,
since the parser does not say at which byte a message ended.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from functools import lru_cache

import httptools
import httpx
import trio
from msgspec import Struct

from engine.dial import Dialler, Target, Wire, parse_target
from engine.ports import FREE_FLOW, Flow

ANSWER_BYTES_MAX = 1_048_576
HEAD_BYTES_MAX = 65_536
HEADER_LINES_MAX = 128
HEADS_KEPT_MAX = 256
REMEMBERED_HEAD_BYTES_MAX = 2_048
"""Of so many heads, each no longer than this, the reading is remembered: but for its date an
endpoint's head is mostly the same, and reading one costs more than sending the request."""
JOINED_BYTES_MAX = 16_384
"""A request of no more bytes leaves in one piece; the pieces of a larger one are not copied."""
IDLE_PER_ORIGIN_MAX = 512
"""As many as may be in flight to one host: a full load reuses all of its connections."""
IDLE_TOTAL_MAX = 1024
IDLE_S_MAX = 4.0
"""Many servers close after 5 s; a request that crosses the close is lost."""
KEEP_ALIVE_MARGIN_S = 1.0
"""Taken off what the server promises with `Keep-Alive: timeout=`, for the same reason."""

BODILESS = frozenset({204, 304})
HEAD_END = b"\r\n\r\n"


class BadAnswer(httpx.RemoteProtocolError):
    """Not HTTP/1.1, cut short, or encoded. `http_status` where a whole head came."""

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class AnswerTooLarge(BadAnswer):
    """Head or body is over its limit."""


class Answer(Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """As they came; names in lower case."""
    fields: Mapping[bytes, bytes]
    """The same by name; lines of one name joined with a comma (RFC 9110 §5.3)."""
    body: bytes
    reuse_s: float
    """How long the connection may be idle and then be used again; 0: not at all."""


class Head(Struct, frozen=True):
    """An answer's head, taken apart."""

    raw: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    fields: Mapping[bytes, bytes]
    is_http11: bool
    reuse_s: float
    """What it says of reuse, if the answer is whole and nothing lies behind it."""


class _Message:
    """What the parser says of one message. Never raises: exceptions in a callback lose their kind.

    It does not know its parser: the two would be a cycle that keeps each answer in memory until
    the garbage collector comes.
    """

    __slots__ = ("body", "complete", "head_complete", "headers", "started")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.started = 0
        self.head_complete = False
        self.complete = False

    def on_message_begin(self) -> None:
        self.started += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, data: bytes) -> None:
        if self.started == 1:
            self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


class _Reader:
    """Parser and message of one head, an answer of 100-199 included; chunks go through it too."""

    __slots__ = ("message", "parser", "status")

    def __init__(self) -> None:
        self.message = _Message()
        self.parser = httptools.HttpResponseParser(self.message)
        self.status: int | None = None
        """None until the head is complete."""

    def feed(self, data: bytes) -> None:
        """Raises BadAnswer."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # only for 101, which is refused by its status
        except httptools.HttpParserError as error:
            if not self.message.complete:  # else it is about what lies behind the answer
                raise BadAnswer(f"this is not HTTP/1.1: {error}", self.status) from error
        if self.status is None and self.message.head_complete:
            self.status = self.parser.get_status_code()


class _Connection:
    """A wire and, while idle, until when it may be used again (`trio.current_time()`)."""

    __slots__ = ("expires", "origin", "wire")

    def __init__(self, origin: tuple[str, str, int], wire: Wire) -> None:
        self.origin = origin
        self.wire = wire
        self.expires = 0.0


class LeanTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over Trio with a keep-alive pool for each origin.

    `exchange` is the way in for the engine; `handle_async_request` serves `httpx.AsyncClient`.
    """

    def __init__(
        self, dialler: Dialler | None = None, *, answer_bytes_max: int = ANSWER_BYTES_MAX
    ) -> None:
        self._dialler = dialler or Dialler()
        self._answer_bytes_max = answer_bytes_max
        # Idle connections: newest last for each origin, and all of them in the order in which they
        # became idle. The first of all is therefore also the first of its origin.
        self._idle: dict[tuple[str, str, int], deque[_Connection]] = {}
        self._by_age: OrderedDict[_Connection, None] = OrderedDict()
        self._closed = False
        self.connections_made = 0
        """Since the start: against the number of calls it shows how well connections are reused."""

    @property
    def idle_count(self) -> int:
        """Connections that are open and not in use."""
        return len(self._by_age)

    async def exchange(
        self,
        target: Target,
        header_lines: bytes,
        body: list[bytes],
        *,
        method: bytes = b"POST",
        flow: Flow = FREE_FLOW,
    ) -> Answer:
        """Send one request and read its answer; redirects are not followed.

        `body` is in pieces; it is empty when they are sent, so that they are nowhere any more.
        `header_lines` are whole lines, each with its CRLF, checked by the caller; `Host`,
        `Accept-Encoding` and `Content-Length` are set here. Raises DnsError, TargetNotAllowed,
        TlsError, httpx.ConnectError (not sent); httpx.WriteError, httpx.ReadError (no whole head
        came); BadAnswer, AnswerTooLarge.
        """
        assert not self._closed, "the transport is closed"
        if method == b"POST":
            start = target.post_start
        else:
            start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target.path, target.host_header)
        length = sum(map(len, body))
        head = b"%b%bAccept-Encoding: identity\r\nContent-Length: %d\r\n\r\n" % (
            start,
            header_lines,
            length,
        )
        if length <= JOINED_BYTES_MAX:
            body[:] = [b"".join((head, *body))]
        else:
            body.insert(0, head)
        connection = self._take_idle(target.origin)
        if connection is None:
            connection = _Connection(target.origin, await self._dialler.connect(target))
            self.connections_made += 1
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
            answer = await _read_answer(wire, method, self._answer_bytes_max)
        except BaseException:
            wire.close()
            raise
        if is_sent and answer.reuse_s > 0:
            self._keep(connection, answer.reuse_s)
        else:
            wire.close()
        return answer

    def _take_idle(self, origin: tuple[str, str, int]) -> _Connection | None:
        """The connection of this origin that was used last and is still fit."""
        now = trio.current_time()
        self._close_expired(now)
        while (idle := self._idle.get(origin)) is not None:
            connection = idle.pop()
            if not idle:
                del self._idle[origin]
            del self._by_age[connection]
            if connection.expires > now and connection.wire.is_quiet():
                return connection
            connection.wire.close()
        return None

    def _keep(self, connection: _Connection, reuse_s: float) -> None:
        if self._closed:
            connection.wire.close()
            return
        connection.expires = trio.current_time() + reuse_s
        idle = self._idle.setdefault(connection.origin, deque())
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
        idle = self._idle[oldest.origin]
        first = idle.popleft()
        assert first is oldest
        if not idle:
            del self._idle[oldest.origin]
        oldest.wire.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The way in for `httpx.AsyncClient`. Its time-outs are not used: cancel the call."""
        body = await request.aread()
        ours = (b"host", b"accept-encoding", b"content-length", b"transfer-encoding", b"connection")
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, value in request.headers.raw
            if name.lower() not in ours
        ]
        answer = await self.exchange(
            parse_target(str(request.url)), b"".join(lines), [body], method=request.method.encode()
        )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body)
        )

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use as soon as it is not."""
        self._closed = True
        while self._by_age:
            self._close_oldest()


# --- Reading an answer -----------------------------------------------------------------------


async def _read_answer(wire: Wire, method: bytes, body_bytes_max: int) -> Answer:
    """The final answer. Any number of 100-199 before it is skipped and costs no memory."""
    rest = b""
    while True:
        head, rest = await _read_head(wire, rest)
        status = head.status
        if status >= 200:
            break
        if status < 100 or status == 101:
            raise BadAnswer(f"status {status} was not asked for", status or None)
        # One receive may bring thousands of these: let others run between them.
        await trio.lowlevel.checkpoint()
    fields = head.fields
    if fields.get(b"content-encoding", b"").lower() not in (b"", b"identity"):
        raise BadAnswer("the answer is encoded though identity was asked for", status)

    transfer_encoding = fields.get(b"transfer-encoding")
    length_text = fields.get(b"content-length")
    if method == b"HEAD" or status in BODILESS:
        # A body against the rules may still be on its way: such a connection is not kept.
        body = b""
        clean = not rest and transfer_encoding is None and length_text in (None, b"0")
    elif transfer_encoding is not None:
        if transfer_encoding.lower() != b"chunked" or not head.is_http11:
            raise BadAnswer("the answer's Transfer-Encoding is not just chunked", status)
        body, clean = await _read_chunked(wire, head, rest, body_bytes_max)
    elif length_text is not None:
        # Digits, and perhaps white space behind them: the parser has seen to that. Python reads no
        # number of thousands of digits.
        length = int(length_text.strip(b" \t").lstrip(b"0") or b"0")
        if length > body_bytes_max:
            raise AnswerTooLarge(f"the answer's body is over {body_bytes_max} bytes", status)
        if len(rest) == length:
            body, clean = rest, True
        else:
            body, clean = await _read_length(wire, rest, length, status)
    else:
        body, clean = await _read_to_end(wire, rest, body_bytes_max, status), False
    return Answer(status, head.headers, fields, body, head.reuse_s if clean else 0.0)


async def _read_head(wire: Wire, data: bytes) -> tuple[Head, bytes]:
    """One head and the bytes behind it; `data` is what has come of it so far."""
    data = data or await wire.receive()
    end = data.find(HEAD_END) + 4
    if end < 4 or not data.startswith(b"HTTP/1."):
        data, end = await _read_split_head(wire, data)
    raw = data[:end]  # nearly always it came in one piece
    return (_known_head if end <= REMEMBERED_HEAD_BYTES_MAX else _parse_head)(raw), data[end:]


async def _read_split_head(wire: Wire, data: bytes) -> tuple[bytes, int]:
    """All that came up to a head's end, and where that is. What came before it is parsed at once,
    so that what is not HTTP is known without waiting for a time-out."""
    reader = _Reader()
    head = bytearray()
    while True:
        if not data:
            if head:
                raise httpx.ReadError("the peer closed the connection within the answer's head")
            raise httpx.ReadError("the peer closed the connection without an answer")
        seen = len(head)
        head += data
        if head[:7] != b"HTTP/1."[: len(head)]:
            raise BadAnswer("this is not HTTP/1.1")
        end = head.find(HEAD_END, max(0, seen - 3)) + 4
        if end >= 4:
            return bytes(head), end
        reader.feed(data)
        _check_head_size(reader, len(head))
        data = await wire.receive()


def _check_head_size(reader: _Reader, size: int) -> None:
    if size > HEAD_BYTES_MAX or len(reader.message.headers) > HEADER_LINES_MAX:
        raise AnswerTooLarge(
            f"the answer's head is over {HEAD_BYTES_MAX} bytes or {HEADER_LINES_MAX} lines",
            reader.status,
        )


def _parse_head(raw: bytes) -> Head:
    """Take a whole head apart. Raises BadAnswer, AnswerTooLarge."""
    reader = _Reader()
    reader.feed(raw)
    _check_head_size(reader, len(raw))
    if reader.status is None:
        raise BadAnswer("this is not HTTP/1.1: the head has no valid end")
    headers = reader.message.headers
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = {}
        for name, value in headers:
            fields[name] = fields[name] + b", " + value if name in fields else value
    is_http11 = reader.parser.get_http_version() == "1.1"
    reuse_s = _reuse_s(fields, is_http11)
    return Head(raw, reader.status, tuple(headers), fields, is_http11, reuse_s)


_known_head = lru_cache(maxsize=HEADS_KEPT_MAX)(_parse_head)


async def _receive_body(wire: Wire, status: int, so_far: int) -> bytes:
    """More of the body, or b"" at the end. A connection lost here is an answer cut short."""
    try:
        return await wire.receive()
    except httpx.ReadError as error:
        raise BadAnswer(f"the body was cut short after {so_far} bytes: {error}", status) from error


async def _read_length(wire: Wire, first: bytes, length: int, status: int) -> tuple[bytes, bool]:
    """The body, and whether nothing lay behind it."""
    body = bytearray(first)
    while len(body) < length:
        data = await _receive_body(wire, status, len(body))
        if not data:
            raise BadAnswer(f"the body was cut short: {len(body)} of {length} bytes", status)
        body += data
    return bytes(body[:length]), len(body) == length


async def _read_chunked(
    wire: Wire, head: Head, data: bytes, body_bytes_max: int
) -> tuple[bytes, bool]:
    """The body, and whether nothing lay behind it."""
    reader = _Reader()
    reader.feed(head.raw)
    raw_bytes = 0
    while True:
        if data:
            raw_bytes += len(data)
            reader.feed(data)
            # Chunk sizes, their extensions and trailers may at most double it.
            if (
                len(reader.message.body) > body_bytes_max
                or raw_bytes > 2 * body_bytes_max + HEAD_BYTES_MAX
            ):
                raise AnswerTooLarge(
                    f"the answer's body is over {body_bytes_max} bytes", head.status
                )
            if reader.message.complete:
                return bytes(reader.message.body), reader.message.started == 1
        data = await _receive_body(wire, head.status, len(reader.message.body))
        if not data:
            raise BadAnswer(
                f"the body was cut short after {len(reader.message.body)} bytes, within its chunks",
                head.status,
            )


async def _read_to_end(wire: Wire, first: bytes, body_bytes_max: int, status: int) -> bytes:
    body = bytearray(first)
    while True:
        if len(body) > body_bytes_max:
            raise AnswerTooLarge(f"the answer's body is over {body_bytes_max} bytes", status)
        data = await _receive_body(wire, status, len(body))
        if not data:
            return bytes(body)
        body += data


def _reuse_s(fields: Mapping[bytes, bytes], is_http11: bool) -> float:
    """How long the connection may be kept (RFC 9112 §9.3); 0: not at all.

    `Keep-Alive: timeout=5, max=100` is not in the standard, and many servers send it.
    """
    options = {option.strip() for option in fields.get(b"connection", b"").lower().split(b",")}
    if b"close" in options:
        return 0.0
    if b"keep-alive" not in options and not is_http11:
        return 0.0
    for parameter in fields.get(b"keep-alive", b"").lower().split(b","):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"timeout" and value.isdigit():
            return min(IDLE_S_MAX, max(0.0, int(value[:9]) - KEEP_ALIVE_MARGIN_S))
    return IDLE_S_MAX
