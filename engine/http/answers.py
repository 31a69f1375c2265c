"""Reading HTTP/1.1 answers: bytes in, heads and bodies out, with limits on what is no body.

No clock and no event loop: the engine's caller reads endpoints' answers with it, the Python client
the engine's, blocking or not; the wire knows how to wait. httptools (llhttp) judges the syntax.
Where an answer ends is RFC 9112 §6.3 and is decided here, since the parser does not say at which
byte a message ended. Nothing is ever inflated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import httptools
import httpx
from msgspec import Struct

from engine.http.tls import PlainWire

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
    """A head is over its limits, of what may be a 2xx."""


class AnswerHead(Struct, frozen=True):
    """An answer's head, taken apart."""

    raw: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """As they came; names in lower case."""
    fields: Mapping[bytes, bytes]
    """The same by name; lines of one name joined with a comma (RFC 9110 §5.3)."""
    is_http11: bool
    length: int | None
    """Bytes of the body, where `Content-Length` says so; None: chunks, to the end, or no body."""
    reuse_s: float
    """How long the connection may be idle and then be used again, if the answer is whole and
    nothing lies behind it; 0: not at all."""

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
        if not self.head_complete:  # trailers say nothing, and there may be any number of them
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


class HeadReader:
    """Takes heads off the bytes of a connection, one after the other."""

    __slots__ = ("_parts", "_so_far", "rest")

    def __init__(self) -> None:
        self.rest = b""
        """What came behind the head that was taken last."""
        self._so_far: bytearray | None = None
        self._parts: _Reader | None = None

    def feed(self, data: bytes) -> AnswerHead | None:
        """The next head once it is whole, one of 100-199 too; `b""` says that the peer has closed.

        Raises BadAnswer, AnswerTooLarge; httpx.ReadError for an end before the head's.
        """
        end = data.find(HEAD_END) + 4
        if end < 4 or self._so_far is not None or not data.startswith(b"HTTP/1."):
            data, end = self._feed_piece(data)
            if not end:
                return None
        raw, self.rest = data[:end], data[end:]  # nearly always it came in one piece
        head = (_known_head if end <= REMEMBERED_HEAD_BYTES_MAX else _parse_head)(raw)
        if head.status < 200:
            _check_interim(head.status)
        return head

    def _feed_piece(self, data: bytes) -> tuple[bytes, int]:
        """All that came up to a head's end, and where that is, or 0. What comes before it is parsed
        at once, so that what is not HTTP is known without waiting for a time-out."""
        if self._so_far is None or self._parts is None:
            self._so_far, self._parts = bytearray(), _Reader()
        head = self._so_far
        if not data:
            where = "within the answer's head" if head else "without an answer"
            raise httpx.ReadError(f"the peer closed the connection {where}")
        seen = len(head)
        head += data
        if head[:7] != b"HTTP/1."[: len(head)]:
            raise BadAnswer("this is not HTTP/1.1")
        end = head.find(HEAD_END, max(0, seen - 3)) + 4
        if end >= 4:
            self._so_far = self._parts = None
            return bytes(head), end
        self._parts.feed(data)
        _check_head_size(self._parts, len(head))
        return data, 0


async def read_head(wire: PlainWire) -> tuple[AnswerHead, bytes]:
    """The final answer's head, and what came with it. Any number of 100-199 before it is skipped
    and costs no memory. Raises as `HeadReader.feed` and `wire.receive`."""
    reader = HeadReader()
    data = await wire.receive()
    while (head := reader.feed(data)) is None or head.status < 200:
        if head is None:
            data = await wire.receive()
        else:
            await wire.pause()  # one receive may bring thousands of these
            data = reader.rest or await wire.receive()
    return head, reader.rest


def _check_interim(status: int) -> None:
    if status < 100 or status == 101:
        raise BadAnswer(f"status {status} was not asked for", status or None)


def _check_head_size(reader: _Reader, size: int) -> None:
    if size > HEAD_BYTES_MAX or len(reader.message.headers) > HEADER_LINES_MAX:
        # The first line has told the status, also of a head that is not whole. What a gateway puts
        # before a 502 is not there the next time; a 2xx would be the same again.
        status = reader.status or reader.parser.get_status_code() or None
        kind = AnswerTooLarge if status is None or 200 <= status < 300 else BadAnswer
        raise kind(
            f"the answer's head is over {HEAD_BYTES_MAX} bytes or {HEADER_LINES_MAX} lines", status
        )


def _parse_head(raw: bytes) -> AnswerHead:
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
    length = None
    if reader.status not in BODILESS and b"transfer-encoding" not in fields:
        length = _length(fields)
    return AnswerHead(
        *(raw, reader.status, tuple(headers), fields, is_http11, length),
        reuse_s=_reuse_s(fields, is_http11),
    )


def _length(fields: Mapping[bytes, bytes]) -> int | None:
    """What `Content-Length` says: digits, and perhaps white space behind them, the parser has seen
    to that. (Python reads no number of thousands of digits.)"""
    text = fields.get(b"content-length")
    return None if text is None else int(text.strip(b" \t").lstrip(b"0") or b"0")


_known_head = lru_cache(maxsize=HEADS_KEPT_MAX)(_parse_head)


class BodyReader:
    """What follows a head, taken off the connection's bytes until it is `done`."""

    __slots__ = ("clean", "done", "length")

    def __init__(self, length: int | None, *, done: bool = False, clean: bool = True) -> None:
        self.length = length
        """Its bytes, where they are known before its end."""
        self.done = done
        """It is whole."""
        self.clean = clean
        """Nothing lies behind it; once it is whole the connection may be used again."""

    def feed(self, data: bytes) -> bytes:
        """What of the body is in these bytes; `b""` says that the peer has closed.

        Raises BadAnswer.
        """
        raise NotImplementedError


class _SizedBody(BodyReader):
    """As long as the head says; no body where that is 0."""

    __slots__ = ("_left", "_status")

    def __init__(self, status: int, length: int, *, clean: bool = True) -> None:
        super().__init__(length, done=not length, clean=clean)
        self._left, self._status = length, status

    def feed(self, data: bytes) -> bytes:
        if not data and self._left:
            raise self._cut_short()
        self._left -= len(data)
        if self._left > 0:
            return data
        self.done = True
        if self._left < 0:
            data, self._left, self.clean = data[: self._left], 0, False
        return data

    def _cut_short(self) -> BadAnswer:
        came = (self.length or 0) - self._left
        return BadAnswer(f"the body was cut short: {came} of {self.length} bytes", self._status)


class _ChunkedBody(BodyReader):
    """In chunks, the last of which is empty."""

    __slots__ = ("_came", "_reader", "_status")

    def __init__(self, head: AnswerHead) -> None:
        super().__init__(None)
        self._reader, self._status, self._came = _Reader(), head.status, 0
        self._reader.feed(head.raw)

    def feed(self, data: bytes) -> bytes:
        if not data:
            raise self._cut_short()
        message = self._reader.message
        self._reader.feed(data)
        piece = bytes(message.body)
        message.body.clear()
        self._came += len(piece)
        if message.complete:
            self.done, self.clean = True, message.started == 1
        return piece

    def _cut_short(self) -> BadAnswer:
        text = f"the body was cut short after {self._came} bytes, within its chunks"
        return BadAnswer(text, self._status)


class _RestBody(BodyReader):
    """All that comes until the peer closes."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, clean=False)

    def feed(self, data: bytes) -> bytes:
        self.done = not data
        return data


def body_of(head: AnswerHead, method: bytes) -> BodyReader:
    """How the body behind this final head is read (RFC 9112 §6.3). Raises BadAnswer."""
    coding = head.fields.get(b"transfer-encoding")
    if method == b"HEAD" or head.status in BODILESS:
        # A body against the rules may still be on its way: such a connection is not kept.
        return _SizedBody(head.status, 0, clean=coding is None and not _length(head.fields))
    if coding is not None:
        if coding.lower() != b"chunked" or not head.is_http11:
            raise BadAnswer("the answer's Transfer-Encoding is not just chunked", head.status)
        return _ChunkedBody(head)
    return _RestBody() if head.length is None else _SizedBody(head.status, head.length)


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
