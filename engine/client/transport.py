"""The client's own transport: HTTP/1.1 for a process with as many posts open as there are.

httpx's pool looks at every connection for each request: with 200 posts that hang it takes up to 25
times the processor that the application needs. Here a post costs the same however many hang.

* **No cap.** A workflow with a hundred posts open may need one more to go on.
* **A connection is reused only after a whole answer** with nothing behind it, and only while it is
  open, quiet and young. An error, a cancellation at any await, an answer that was left: closed.
* **A request is never sent twice** here; `Tries` posts again, and knows what may be.
* Nothing from the environment: no proxy, no .netrc.

One code for asyncio, Trio and threads: `sockets.py` says how.
"""

from __future__ import annotations

import os
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache
from time import monotonic  # noqa: TID251 - the age of idle sockets, alike in threads and loops

import anyio
import httpx

from engine.client.sockets import (
    AsyncWire,
    BlockingWire,
    connect_async,
    connect_blocking,
    run,
    secure,
)
from engine.http.answers import BodyReader, body_of, read_head
from engine.http.tls import TlsError, TlsWire, default_ssl_context

JOINED_BYTES_MAX = 65_536
"""A request of no more bytes leaves in one piece; a larger body is not copied."""
Origin = tuple[str, str, int]
EXTENSIONS = {"http_version": b"HTTP/1.1"}
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 §5.6.2."""
OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive"})
"""Lines that say how a message is framed: the transport says that."""


class _Connection:
    """A wire to an origin and, while idle, until when it may be used again."""

    __slots__ = ("expires", "origin", "plain", "wire")

    def __init__(
        self,
        origin: Origin,
        plain: AsyncWire | BlockingWire,
        wire: AsyncWire | BlockingWire | TlsWire,
    ) -> None:
        self.origin = origin
        self.plain, self.wire = plain, wire
        self.expires = 0.0


class _Connections:
    """The idle ones by origin, the newest last, and those in use.

    Each call costs the same however many there are. Threads need no lock: each change is one
    operation of a deque, a dict or a set, which no other thread gets between.
    """

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._in_use: set[_Connection] = set()
        self._pid = os.getpid()
        self._is_closed = False

    @property
    def idle_count(self) -> int:
        """Open and not in use."""
        return sum(map(len, self._idle.values()))

    @property
    def in_use_count(self) -> int:
        """With a request or an answer under way."""
        return len(self._in_use)

    def is_closed(self) -> bool:
        """Whether nothing is kept any more."""
        return self._is_closed

    def take_idle(self, origin: Origin) -> _Connection | None:
        """The one that was used last and is still fit."""
        self._look_for_fork()
        now = monotonic()
        idle = self._idle.setdefault(origin, deque())
        self._close_expired(idle, now)
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                return None
            if connection.expires > now and connection.wire.is_quiet():
                self._in_use.add(connection)
                return connection
            connection.wire.close()

    def add(self, connection: _Connection) -> None:
        """A new one, in use."""
        self._in_use.add(connection)
        if self.is_closed():
            connection.plain.cut()

    def give_back(self, connection: _Connection, reuse_s: float) -> None:
        """Its answer is whole; it may be used again for so long."""
        self._in_use.discard(connection)
        if reuse_s <= 0 or self.is_closed():
            connection.wire.close()
            return
        now = monotonic()
        connection.expires = now + reuse_s
        idle = self._idle.setdefault(connection.origin, deque())
        self._close_expired(idle, now)
        idle.append(connection)
        if self.is_closed():  # by another thread, meanwhile
            self._close_idle()

    def drop(self, connection: _Connection) -> None:
        """Close one that was in use."""
        self._in_use.discard(connection)
        connection.wire.close()

    def close(self) -> None:
        """Close the idle ones, and end those in use: their calls fail."""
        self._look_for_fork()
        self._is_closed = True
        self._close_idle()
        for connection in list(self._in_use):
            connection.plain.cut()

    def _look_for_fork(self) -> None:
        """After a fork what there is is the parent's, who goes on with it."""
        if self._pid != os.getpid():
            self._pid, self._in_use = os.getpid(), set()
            self._close_idle()

    def _close_expired(self, idle: deque[_Connection], now: float) -> None:
        # Each is closed once, so this is O(1) for each call. One that expires before an older one
        # is found when it is taken.
        while True:
            try:
                oldest = idle.popleft()
            except IndexError:
                return
            if oldest.expires > now:
                idle.appendleft(oldest)
                return
            oldest.wire.close()

    def _close_idle(self) -> None:
        for idle in list(self._idle.values()):
            while True:
                try:
                    idle.pop().wire.close()
                except IndexError:
                    break


class _AnswerBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """What of an answer was not there with its head, read as it is asked for."""

    def __init__(
        self,
        connections: _Connections,
        connection: _Connection,
        body: BodyReader,
        first: bytes,
        reuse_s: float,
    ) -> None:
        self._connections, self._connection = connections, connection
        self._body, self._first, self._reuse_s = body, first, reuse_s
        self._is_over = False

    async def _more(self) -> bytes:
        """The next bytes of it; `b""` at its end."""
        piece, self._first = self._first, b""
        try:
            while not (piece or self._body.done):
                piece = self._body.feed(await self._connection.wire.receive())
        except BaseException as error:
            self._end(0)
            if isinstance(error, TlsError):
                raise httpx.ReadError(str(error)) from error
            raise
        if self._body.done:
            self._end(self._reuse_s if self._body.clean else 0)
        return piece

    def _end(self, reuse_s: float) -> None:
        if not self._is_over:
            self._is_over = True
            if reuse_s > 0:
                self._connections.give_back(self._connection, reuse_s)
            else:
                self._connections.drop(self._connection)

    # An iterator and no generator: one that is left half-way is for the garbage collector to end.

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self._more():
            return piece
        raise StopAsyncIteration

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if piece := run(self._more()):
            return piece
        raise StopIteration

    async def aclose(self) -> None:
        """Close the connection, if the answer was left before its end."""
        self._end(0)

    def close(self) -> None:
        """As `aclose`."""
        self._end(0)


class _Lean:
    """What both transports are."""

    def __init__(
        self,
        connect: Callable[[str, int, float | None], Awaitable[AsyncWire | BlockingWire]],
        verify: bool | ssl.SSLContext,
    ) -> None:
        self.connections = _Connections()
        self._connect_plain = connect
        self._verify = verify

    async def awaited_exchange(self, request: httpx.Request, content: bytes) -> httpx.Response:
        """Send one request and read its answer's head; redirects are not followed."""
        if self.connections.is_closed():
            raise RuntimeError("the client is closed")
        url = request.url
        scheme, host = url.scheme, url.raw_host.decode("ascii")
        if scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{scheme!r} is not http or https")
        method = request.method.encode("ascii")
        data = _request_bytes(method, url.raw_path, request.headers.raw, content)
        seconds = request.extensions.get("timeout", {})
        origin = (scheme, host, url.port or (443 if scheme == "https" else 80))
        connection = self.connections.take_idle(origin)
        if connection is None:
            connection = await self.connect(origin, seconds.get("connect"))
            self.connections.add(connection)
        connection.plain.read_s = seconds.get("read")
        connection.plain.write_s = seconds.get("write")
        try:
            is_sent = await _send(connection.wire, data)
            head, rest = await read_head(connection.wire)
            body = body_of(head, method)
            first = body.feed(rest) if rest else b""
        except BaseException as error:
            self.connections.drop(connection)
            if isinstance(error, TlsError):  # which is a ConnectError: but this may have arrived
                raise httpx.ReadError(str(error)) from error
            raise
        reuse_s = head.reuse_s if is_sent else 0.0
        stream: httpx.ByteStream | _AnswerBody
        if body.done:  # nearly always: it came with its head
            self.connections.give_back(connection, reuse_s if body.clean else 0.0)
            stream = httpx.ByteStream(first)
        else:
            stream = _AnswerBody(self.connections, connection, body, first, reuse_s)
        return httpx.Response(
            head.status, headers=head.headers, stream=stream, extensions=EXTENSIONS
        )

    async def connect(self, origin: Origin, seconds: float | None) -> _Connection:
        """A new one. Raises httpx.ConnectError, ConnectTimeout."""
        scheme, host, port = origin
        context = self._context() if scheme == "https" else None
        plain = await self._connect_plain(host, port, seconds)
        if context is None:
            return _Connection(origin, plain, plain)
        return _Connection(origin, plain, await secure(plain, context, host))

    def _context(self) -> ssl.SSLContext:
        """Made when it is first needed: the system's certificates take a while to read."""
        if not isinstance(self._verify, ssl.SSLContext):
            context = default_ssl_context()
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._verify = context
        return self._verify


class AsyncTransport(_Lean, httpx.AsyncBaseTransport):
    """For asyncio and Trio. `verify` as httpx has it: the system's certificates (`SSL_CERT_FILE`
    and `SSL_CERT_DIR` say where others lie), none (False), or a context of your own."""

    def __init__(self, verify: bool | ssl.SSLContext = True) -> None:
        super().__init__(connect_async, verify)

    async def connect(self, origin: Origin, seconds: float | None) -> _Connection:
        """As `_Lean.connect`; look-up, addresses and TLS together within the seconds."""
        with anyio.move_on_after(seconds):
            return await super().connect(origin, None)
        raise httpx.ConnectTimeout(f"no connection within {seconds:g} s")

    exchange = _Lean.awaited_exchange

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's exceptions, as its own transports do."""
        return await self.awaited_exchange(request, await request.aread())

    async def aclose(self) -> None:
        """Close the connections; calls that are under way fail."""
        self.connections.close()


class BlockingTransport(_Lean, httpx.BaseTransport):
    """For threads, any number of them. `verify` as of `AsyncTransport`."""

    def __init__(self, verify: bool | ssl.SSLContext = True) -> None:
        super().__init__(connect_blocking, verify)

    def exchange(self, request: httpx.Request, content: bytes) -> httpx.Response:
        """As of `AsyncTransport`."""
        return run(self.awaited_exchange(request, content))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's exceptions, as its own transports do."""
        return run(self.awaited_exchange(request, request.read()))

    def close(self) -> None:
        """Close the connections; calls that are under way in other threads fail."""
        self.connections.close()


async def _send(wire: AsyncWire | BlockingWire | TlsWire, data: list[bytes]) -> bool:
    """Whether all of it was sent. A server may answer and close before it has read all; if it did
    not answer, reading fails too."""
    try:
        for piece in data:
            await wire.send(piece)
    except httpx.WriteError:
        return False
    return True


def _request_bytes(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], content: bytes
) -> list[bytes]:
    """Raises httpx.LocalProtocolError for what no header may hold."""
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    for name, value in headers:
        if _is_ours(name):
            continue
        lines.append(name + b": " + value)
    if content or method not in (b"GET", b"HEAD"):
        lines.append(b"Content-Length: %d" % len(content))
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds a line end or NUL")
    return [head + content] if len(content) <= JOINED_BYTES_MAX else [head, content]


@lru_cache(maxsize=256)
def _is_ours(name: bytes) -> bool:
    """Whether a line is the transport's to send. Raises httpx.LocalProtocolError."""
    if not _NAME.fullmatch(name):
        raise httpx.LocalProtocolError(f"{name!r} is not a header's name")
    return name.lower() in OURS
