"""Reading an endpoint's answer off a wire: HTTP/1.1, with limits.

httptools (llhttp) judges the syntax. Where an answer ends is RFC 9112 §6.3 and is decided here,
since the parser does not say at which byte a message ended. Bytes are counted as they come; nothing
is ever inflated. Only a 2xx is read to its end: of any other answer people read the beginning, and
what lies behind it is left unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import httptools
import httpx
import trio
from msgspec import Struct

from engine.dial import Wire
from engine.ports import FREE_FLOW, SMALL_BYTES_MAX, Flow

HEAD_BYTES_MAX = 65_536
HEADER_LINES_MAX = 128
HEADS_KEPT_MAX = 256
REMEMBERED_HEAD_BYTES_MAX = 2_048
"""Of so many heads, each no longer than this, the reading is remembered: but for its date an
endpoint's head is mostly the same, and reading one costs more than sending the request."""
IDLE_S_MAX = 4.0
"""How long a connection is kept. Many servers close after 5 s; a request that crosses the close is
lost."""
KEEP_ALIVE_MARGIN_S = 1.0
"""Taken off what the server promises with `Keep-Alive: timeout=`, for the same reason."""

BODILESS = frozenset({204, 304})
HEAD_END = b"\r\n\r\n"


class BadAnswer(httpx.RemoteProtocolError):
    """Not HTTP/1.1, or cut short. `http_status` where a whole head came."""

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class AnswerTooLarge(BadAnswer):
    """Head or body of a 2xx is over its limit."""


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


class Head(Struct, frozen=True):
    """An answer's head, taken apart."""

    raw: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    fields: Mapping[bytes, bytes]
    is_http11: bool
    reuse_s: float
    """What it says of reuse, if the answer is whole and nothing lies behind it."""

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300


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


async def read_answer(
    wire: Wire, method: bytes, ok_bytes_max: int, failed_bytes_max: int, flow: Flow = FREE_FLOW
) -> Answer:
    """The final answer. Any number of 100-199 before it is skipped and costs no memory.

    A 2xx whose body is over `ok_bytes_max` is refused; of others `failed_bytes_max` are read.
    """
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
    most = ok_bytes_max if head.ok else failed_bytes_max
    size = -1
    transfer_encoding = fields.get(b"transfer-encoding")
    length_text = fields.get(b"content-length")
    if method == b"HEAD" or status in BODILESS:
        # A body against the rules may still be on its way: such a connection is not kept.
        body = b""
        clean = not rest and transfer_encoding is None and length_text in (None, b"0")
    elif transfer_encoding is not None:
        if transfer_encoding.lower() != b"chunked" or not head.is_http11:
            raise BadAnswer("the answer's Transfer-Encoding is not just chunked", status)
        body, clean, size = await _read_chunked(wire, head, rest, most, flow)
    elif length_text is not None:
        # Digits, and perhaps white space behind them: the parser has seen to that. Python reads no
        # number of thousands of digits.
        length = int(length_text.strip(b" \t").lstrip(b"0") or b"0")
        if length > most:
            _refuse_if_ok(head, most)
            body, clean, size = (await _read_length(wire, rest, most, status))[0], False, length
        elif len(rest) == length <= SMALL_BYTES_MAX:
            body, clean = rest, True
        else:
            if length > SMALL_BYTES_MAX:
                await flow.wait_room(length)
            body, clean = await _read_length(wire, rest, length, status)
    else:
        clean = False
        body, size = await _read_to_end(wire, head, rest, most, flow)
    return Answer(status, head.headers, fields, body, head.reuse_s if clean else 0.0, size)


def _refuse_if_ok(head: Head, most: int) -> None:
    """A body is over its limit: of a 2xx nothing less than all would do."""
    if head.ok:
        raise AnswerTooLarge(f"the answer's body is over {most} bytes", head.status)


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
        # The first line has told the status, also of a head that is not whole. What a gateway puts
        # before a 502 is not there the next time; a 2xx would be the same again.
        status = reader.status or reader.parser.get_status_code() or None
        kind = AnswerTooLarge if status is None or 200 <= status < 300 else BadAnswer
        raise kind(
            f"the answer's head is over {HEAD_BYTES_MAX} bytes or {HEADER_LINES_MAX} lines", status
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
    return bytes(memoryview(body)[:length]), len(body) == length


async def _read_chunked(
    wire: Wire, head: Head, data: bytes, body_bytes_max: int, flow: Flow
) -> tuple[bytes, bool, int]:
    """The body, whether nothing lay behind it, and -1, or how much came where it was cut."""
    reader = _Reader()
    reader.feed(head.raw)
    raw_bytes = 0
    has_room = False
    while True:
        if data:
            raw_bytes += len(data)
            reader.feed(data)
            # Chunk sizes, their extensions and trailers may at most double it.
            if (
                len(reader.message.body) > body_bytes_max
                or raw_bytes > 2 * body_bytes_max + HEAD_BYTES_MAX
            ):
                _refuse_if_ok(head, body_bytes_max)
                came = len(reader.message.body)
                return bytes(reader.message.body[:body_bytes_max]), False, came
            if len(reader.message.body) > SMALL_BYTES_MAX and not has_room:
                await flow.wait_room(body_bytes_max)
                has_room = True
            if reader.message.complete:
                return bytes(reader.message.body), reader.message.started == 1, -1
        data = await _receive_body(wire, head.status, len(reader.message.body))
        if not data:
            raise BadAnswer(
                f"the body was cut short after {len(reader.message.body)} bytes, within its chunks",
                head.status,
            )


async def _read_to_end(
    wire: Wire, head: Head, first: bytes, body_bytes_max: int, flow: Flow
) -> tuple[bytes, int]:
    """The body, and -1, or how much came where it was cut."""
    body = bytearray(first)
    has_room = False
    while True:
        if len(body) > SMALL_BYTES_MAX and not has_room and head.ok:
            await flow.wait_room(body_bytes_max)
            has_room = True
        if len(body) > body_bytes_max:
            _refuse_if_ok(head, body_bytes_max)
            return bytes(body[:body_bytes_max]), len(body)
        data = await _receive_body(wire, head.status, len(body))
        if not data:
            return bytes(body), -1
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
