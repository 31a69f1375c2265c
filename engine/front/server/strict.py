"""Strict reading of HTTP/1.1 requests: which bytes of a connection the parser may see.

No I/O here. Bytes go in as they come, checked bytes come out: a whole head, then the body as it
arrives, and nothing of the next request until the current one has been answered. h11 parses what
comes out. It stands behind this file because it tolerates what a proxy in front may read in another
way (bare LF, obs-fold, Content-Length beside Transfer-Encoding), and two readings of one byte
stream are how a second request is smuggled in.

Rules are of RFC 9112 (HTTP/1.1) and RFC 9110; where they leave a choice, the request is refused.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from msgspec import Struct

MIB = 1024 * 1024
HEADS_KEPT_MAX = 256
"""Readings of heads that are remembered, byte for byte: most clients send the same one for ever."""
CHUNK_LINE_BYTES_MAX = 256
"""A chunk's size and its extensions. We use no extensions; they must not become a way to send."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# No control characters but HTAB in a value; obs-text (0x80-0xFF) passes: RFC 9110 §5.5.
# White space around a value is stripped afterwards: a pattern for it could be made to backtrack.
_FIELD = re.compile(rb"(" + _TOKEN + rb"+):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_FIELD_OF_HEAD = re.compile(rb"(?<=\n)" + _FIELD.pattern)
# Upper case only: Hypercorn would turn `get` into GET, but methods are case-sensitive.
_REQUEST_LINE = re.compile(rb'([A-Z][A-Z-]{0,31}) ([!"$-~]+) HTTP/1\.([01])')
_VERSION = re.compile(rb" HTTP/[0-9]\.[0-9]\Z")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_AT_MOST_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e]*)?\r\n")
_LAST_CHUNK = re.compile(rb"0+[ \t]*(?:;[\t\x20-\x7e]*)?\r\n")


class ServerLimits(Struct, frozen=True, eq=False):
    """Limits of the HTTP server; the defaults are those of the protocol page, §6.

    Compared by identity: a head's reading is remembered for one server's limits.
    """

    header_bytes_max: int = 16 * 1024
    """Request line, header lines and the empty line, in bytes."""
    header_lines_max: int = 64
    target_bytes_max: int = 2048
    body_bytes_max: int = MIB
    header_timeout_s: float = 5.0
    """From the connect to the first byte, and from a request's first byte to its head's end."""
    body_timeout_s: float = 30.0
    """From the end of the head to the end of the body."""
    unread_answer_timeout_s: float = 30.0
    """How long a client may leave an answer unread."""
    keep_alive_timeout_s: float = 60.0
    """How long a connection may be idle after an answer."""
    linger_timeout_s: float = 1.0
    """After we close for writing: how long we go on reading, lest a reset overtake the answer."""
    linger_bytes_max: int = MIB
    pipelined_bytes_max: int = 64 * 1024
    """Read ahead while a request is unanswered; more stays in the socket."""
    connections_max: int = 12_000
    beyond_max: int = 64
    """Connections above that, on which some requests are answered, and all others told 503; those
    above these are closed without a word."""


class BadRequest(Exception):
    """The request is refused and the connection ends. `problem` names the type of RFC 9457.

    `limit` names the setting that bounds what was sent.
    """

    def __init__(
        self, status: int, detail: str, problem: str = "bad-request", limit: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problem = problem
        self.limit = limit
        self.head = b""
        """What came of the request's head, where it is refused for that."""


class Phase(Enum):
    """How far the current request has been read."""

    IDLE = "idle"
    """Not one byte of it is here."""
    HEAD = "head"
    BODY = "body"
    DONE = "done"
    """It is whole. Further bytes wait for `next_request`."""


RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, values without the white space around them."""


class RequestHead(Struct, frozen=True, gc=False):
    """A request's head, checked and taken apart."""

    method: bytes
    target: bytes
    is_http11: bool
    """Else it is HTTP/1.0."""
    fields: RawHeaders
    body_bytes: int | None
    """None: the body is chunked."""
    authorization: bytes
    """The value of that header; empty: it has none, or more than one."""


class RequestReader:
    """Reads one connection's requests, one at a time."""

    __slots__ = (
        "_buffer", "_chunks", "_limits", "_line_checked", "_remaining", "_scanned", "head",
        "head_size", "phase",
    )  # fmt: skip

    def __init__(self, limits: ServerLimits) -> None:
        self.phase = Phase.IDLE
        self.head: RequestHead | None = None
        """The head with which begins what `take` last handed out."""
        self.head_size = 0
        """Its bytes."""
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0  # no line end and no fault before this offset of an incomplete head
        self._line_checked = False
        self._remaining = 0  # of a body with Content-Length
        self._chunks: ChunkScanner | None = None

    @property
    def buffered(self) -> int:
        """Bytes received and not yet handed out."""
        return len(self._buffer)

    def receive(self, data: bytes | bytearray) -> None:
        """Take bytes off the wire."""
        self._buffer += data

    def next_request(self) -> None:
        """The current request has been answered: the next may be read."""
        assert self.phase is Phase.DONE
        self.phase = Phase.IDLE

    def take(self) -> bytes:
        """Hand out what is checked of the current request; b'' until more bytes come.

        Raises BadRequest; the reader must not be used after that.
        """
        out = b""
        self.head = None
        if self.phase is Phase.IDLE and self._buffer:
            self.phase = Phase.HEAD
        if self.phase is Phase.HEAD:
            out = self._take_head()
        if self.phase is Phase.BODY:
            out += self._take_body()
        return out

    def _take_head(self) -> bytes:
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        size = len(self._buffer) if end < 0 else end + 4
        if size > self._limits.header_bytes_max:
            refusal = BadRequest(
                431,
                f"the head is longer than {self._limits.header_bytes_max} bytes",
                "headers-too-large",
                "header_bytes_max",
            )
            refusal.head = bytes(self._buffer[: self._limits.header_bytes_max])
            raise refusal
        if end < 0:
            self._check_incomplete()
            return b""
        head = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._scanned = 0
        self._line_checked = False
        try:
            self.head = read_head(head, self._limits)
        except BadRequest as refusal:
            refusal.head = head
            raise
        self.head_size = size
        length = self.head.body_bytes
        if length is None:
            self._chunks = ChunkScanner(self._limits)
            self.phase = Phase.BODY
        else:
            self._remaining = length
            self.phase = Phase.BODY if length else Phase.DONE
        return head

    def _check_incomplete(self) -> None:
        """Refuse at once what no further byte can mend, instead of at the time-out."""
        if _BARE_LF.search(self._buffer, max(0, self._scanned - 1)):
            raise BadRequest(400, "a line ends in LF without CR")
        if not self._line_checked:
            line_end = self._buffer.find(b"\r\n")
            if line_end >= 0:
                read_request_line(bytes(self._buffer[:line_end]), self._limits)
                self._line_checked = True
            elif not 0x41 <= self._buffer[0] <= 0x5A:
                # Not a letter A-Z: a TLS hello, say, that would never send a line end.
                raise BadRequest(400, "this is not an HTTP/1.1 request")
        self._scanned = len(self._buffer)

    def _take_body(self) -> bytes:
        if self._chunks is not None:
            size, ended = self._chunks.scan(self._buffer)
            if ended:
                self._chunks = None
        else:
            size = min(self._remaining, len(self._buffer))
            self._remaining -= size
            ended = not self._remaining
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        if ended:
            self.phase = Phase.DONE
        return body


class ChunkScanner:
    """Finds the end of a chunked body (RFC 9112 §7.1), checking each byte of its framing."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._data_left = 0  # of the current chunk, with its CRLF
        self._body_bytes = 0
        self._framing_bytes = 0
        self._in_trailers = False
        self._trailer_lines = 0

    def scan(self, buffer: bytearray) -> tuple[int, bool]:
        """Return how many bytes at the start of `buffer` are checked, and whether they end it."""
        position = 0
        while position < len(buffer):
            if self._data_left:
                taken = self._scan_data(buffer, position)
                if not taken:
                    break
                position += taken
                continue
            end = buffer.find(b"\n", position)
            longest = self._limits.header_bytes_max if self._in_trailers else CHUNK_LINE_BYTES_MAX
            if (end if end >= 0 else len(buffer)) - position >= longest:
                raise BadRequest(400, "a line of the chunked body is too long")
            if end < 0:
                break
            line = bytes(buffer[position : end + 1])
            position = end + 1
            self._framing_bytes += len(line)
            # Tiny chunks with long lines would otherwise be read for ever.
            if self._framing_bytes > self._limits.body_bytes_max + self._limits.header_bytes_max:
                raise BadRequest(413, "too much chunk framing", "too-large", "body_bytes_max")
            if self._in_trailers:
                if line == b"\r\n":
                    return position, True
                self._check_trailer(line)
            else:
                self._open_chunk(line)
        return position, False

    def _scan_data(self, buffer: bytearray, position: int) -> int:
        """Return how many bytes of the chunk's data, and its CRLF, stand at `position`."""
        if self._data_left > 2:
            taken = min(self._data_left - 2, len(buffer) - position)
            self._data_left -= taken
            return taken
        ending = buffer[position : position + self._data_left]
        if not b"\r\n"[2 - self._data_left :].startswith(ending):
            raise BadRequest(400, "a chunk is not followed by CRLF")
        self._data_left -= len(ending)
        return len(ending)

    def _open_chunk(self, line: bytes) -> None:
        if _LAST_CHUNK.fullmatch(line):
            self._in_trailers = True
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadRequest(400, "a chunk's size line is malformed")
        size = int(match[1], 16)
        self._body_bytes += size
        if self._body_bytes > self._limits.body_bytes_max:
            raise _too_large(self._limits)
        self._data_left = size + 2

    def _check_trailer(self, line: bytes) -> None:
        self._trailer_lines += 1
        if self._trailer_lines > self._limits.header_lines_max:
            raise BadRequest(431, "too many trailer lines", "headers-too-large", "header_lines_max")
        if not _FIELD.fullmatch(line):
            raise BadRequest(400, "a trailer line is malformed")


def read_request_line(line: bytes, limits: ServerLimits) -> tuple[bytes, bytes, bool]:
    """Check a request line without its CRLF: method, target, and whether it is HTTP/1.1."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        version = _VERSION.search(line)
        if version and version[0] not in {b" HTTP/1.0", b" HTTP/1.1"}:
            raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        raise BadRequest(400, "the request line is malformed")
    method, target, minor = match.groups()
    if method in {b"CONNECT", b"PRI"}:
        raise BadRequest(400, f"{method.decode()} is not served")
    if len(target) > limits.target_bytes_max:
        raise BadRequest(414, f"the target is longer than {limits.target_bytes_max} bytes")
    if target[0] != 0x2F:
        raise BadRequest(400, "the target must be a path that starts with '/'")
    return method, target, minor == b"1"


@lru_cache(maxsize=HEADS_KEPT_MAX)
def read_head(head: bytes, limits: ServerLimits) -> RequestHead:
    """Check a head, from the request line through the empty line, and take it apart."""
    line_end = head.find(b"\r\n")
    if line_end <= 0:
        raise BadRequest(400, "an empty line stands before the request")
    method, target, is_http11 = read_request_line(head[:line_end], limits)
    found = _FIELD_OF_HEAD.findall(head, line_end)
    # Each match is one whole line. So none is missing if there are as many as there are LFs
    # between that of the request line and that of the empty line.
    lines = head.count(b"\n", line_end) - 2
    if len(found) != lines:
        raise BadRequest(400, _describe_bad_field(head[line_end + 2 : -2]))
    if lines > limits.header_lines_max:
        raise BadRequest(
            431,
            f"more than {limits.header_lines_max} header lines",
            "headers-too-large",
            "header_lines_max",
        )
    fields: list[tuple[bytes, bytes]] = []
    values: dict[bytes, bytes] = {}
    authorization: bytes | None = None
    for written, padded in found:
        name, value = written.lower(), padded.strip(b" \t")
        if name in _AT_MOST_ONCE:
            if name in values:
                raise BadRequest(400, f"more than one {name.decode()} header")
            values[name] = value
        elif name == b"authorization":
            authorization = value if authorization is None else b""
        fields.append((name, value))
    if not _HOST.fullmatch(values.get(b"host", b"")):
        raise BadRequest(400, "exactly one host header with a valid name is required")
    expectation = values.get(b"expect")
    if expectation is not None and expectation.lower() != b"100-continue":
        raise BadRequest(417, "the only expectation that is met is 100-continue")
    body_bytes = _body_length(values, is_http11, limits)
    return RequestHead(method, target, is_http11, tuple(fields), body_bytes, authorization or b"")


def _body_length(values: dict[bytes, bytes], is_http11: bool, limits: ServerLimits) -> int | None:
    coding = values.get(b"transfer-encoding")
    length = values.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadRequest(400, "content-length and transfer-encoding exclude each other")
        if not is_http11:
            raise BadRequest(400, "HTTP/1.0 has no transfer-encoding")
        if coding.lower() != b"chunked":
            raise BadRequest(501, "the only transfer-encoding that is served is chunked")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadRequest(400, "content-length is not a number of bytes")
    if int(length) > limits.body_bytes_max:
        raise _too_large(limits)
    return int(length)


def _describe_bad_field(fields: bytes) -> str:
    """Say what is wrong with the first header line that is not one; the value is not repeated."""
    for number, line in enumerate(fields.split(b"\r\n"), 1):
        if line and not _FIELD.fullmatch(line + b"\r\n"):
            if line[:1] in {b" ", b"\t"}:
                return f"header line {number} is folded"
            if b"\n" in line or b"\r" in line:
                return f"header line {number} holds a bare CR or LF"
            return f"header line {number} is malformed"
    return "a header line is malformed"


def _too_large(limits: ServerLimits) -> BadRequest:
    detail = f"the body is longer than {limits.body_bytes_max} bytes"
    return BadRequest(413, detail, "too-large", "body_bytes_max")
