"""TLS of one accepted connection, between the bytes of its socket and those of its requests.

OpenSSL works on memory and never sees the socket, so that a connection waits, reads and finds out
who has left as it does without TLS. Not `trio.SSLStream`: that one has a task that reads wait on
locks for each record, and hides the socket.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from contextlib import suppress

import trio

HANDSHAKE_S_MAX = 10.0
"""From the accept on. Who is slower holds a place among `connections_max` for no longer."""
HANDSHAKE_READ_BYTES = 16 * 1024
"""A hello of the usual size with one read; OpenSSL itself refuses one beyond 128 KiB."""
SEALED_AT_ONCE_BYTES = 64 * 1024
"""What is encrypted and not sent yet is in memory twice."""
UNASKED_BYTES_MAX = 16 * 1024
"""Of what OpenSSL has to say by itself (such as that it does not renegotiate). It leaves with the
next answer; who only ever makes it say more would fill the memory."""

_PLACE = re.compile(r"^\[\w+\] | \(\w+\.c:\d+\)$")
"""What Python writes around a reason that has no name of its own."""


class HandshakeError(Exception):
    """No TLS connection came about; the text says why, for the log."""

    is_http = False
    """What came looks like a request without TLS."""


class Handshake:
    """One that is under way, and what ends it: its time, the server's stop, or want of room."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope(deadline=trio.current_time() + HANDSHAKE_S_MAX)

    def give_way(self) -> bool:
        """End, for want of room for others."""
        self.scope.cancel()
        return True

    def stop(self) -> None:
        """The server stops: end."""
        self.scope.cancel()


class Sealed:
    """An accepted connection whose handshake is done.

    One task reads, one task at a time writes; they may be two.
    """

    __slots__ = (
        "_fd",
        "_incoming",
        "_is_cut",
        "_outgoing",
        "_sealed",
        "_stream",
        "_tls",
        "early",
        "is_over",
    )

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        """Use `sealed`."""
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._fd = stream.socket.fileno()
        self._sealed: bytes | memoryview = b""  # encrypted, and not sent yet
        self._is_cut = False  # part of an answer was sent, and no more will be
        self.early = b""
        """What the client said together with the end of its handshake."""
        self.is_over = False
        """The client has said that it sends nothing more."""

    async def shake_hands(self, data: bytes) -> None:
        """`data` came first. Raises HandshakeError, trio.BrokenResourceError."""
        while data:
            self._incoming.write(data)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._stream.receive_some(HANDSHAKE_READ_BYTES)
            except ssl.SSLError as error:
                with suppress(OSError, trio.BrokenResourceError):
                    await self._flush()  # the alert, which tells the client
                raise HandshakeError(reason_of(error)) from error
            else:
                await self._flush()
                return
        raise HandshakeError("the client left in the handshake")

    def open(self, data: bytes) -> bytes:
        """What the client said in these bytes: nothing, while a record is not whole or says nothing
        for us. Raises ssl.SSLError."""
        self._incoming.write(data)
        said = []
        try:
            while True:
                more = self._tls.read(SEALED_AT_ONCE_BYTES)
                if not more:
                    self.is_over = True
                    break
                said.append(more)
                if not self._incoming.pending and not self._tls.pending():
                    break  # as nearly always: to be told so by an exception takes longer
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_over = True
        if self._outgoing.pending > UNASKED_BYTES_MAX:
            raise ssl.SSLError(0, "the client has TLS answer and reads none of it")
        return said[0] if len(said) == 1 else b"".join(said)

    def send_nowait(self, data: bytes) -> bytes | memoryview:
        """Send what the kernel takes at once; returns what `send_all` has to be given then, or
        nothing. Raises OSError."""
        self._is_cut = True
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:SEALED_AT_ONCE_BYTES]) :]
            self._sealed = self._write_nowait(self._outgoing.read())
            if self._sealed:
                return rest or self._sealed
        self._is_cut = False
        return b""

    async def send_all(self, rest: bytes | memoryview) -> None:
        """Send what `send_nowait` has left. Raises OSError, trio.BrokenResourceError,
        trio.ClosedResourceError."""
        first, self._sealed = self._sealed, b""
        await self._stream.send_all(first)
        if rest is first:  # all of the rest is encrypted
            rest = b""
        while rest:
            rest = rest[self._tls.write(rest[:SEALED_AT_ONCE_BYTES]) :]
            await self._flush()
        self._is_cut = False

    def say_goodbye(self) -> None:
        """Tell the client that nothing more comes, as far as it can be told at once: an end without
        that is no end to it, but an attack (RFC 8446 §6.1). Not after half an answer."""
        if self._is_cut:
            return
        with suppress(OSError):  # it has not said so itself yet
            self._tls.unwrap()
        with suppress(OSError):  # it is gone
            os.write(self._fd, self._outgoing.read())

    async def _flush(self) -> None:
        if rest := self._write_nowait(self._outgoing.read()):
            await self._stream.send_all(rest)

    def _write_nowait(self, data: bytes) -> bytes | memoryview:
        try:
            sent = os.write(self._fd, data) if data else 0
        except BlockingIOError:
            sent = 0
        return b"" if sent == len(data) else memoryview(data)[sent:]


async def sealed(stream: trio.SocketStream, context: Callable[[], ssl.SSLContext]) -> Sealed | None:
    """Make a connection one of TLS; None: the client left without a word, as who only looks whether
    the port is open. Nothing of OpenSSL's is in memory before it has said something.

    Raises HandshakeError, trio.BrokenResourceError.
    """
    first = await stream.receive_some(HANDSHAKE_READ_BYTES)
    if not first:
        return None
    if first[:1].isupper():  # a method: a record of TLS begins with another byte
        error = HandshakeError("the client spoke plain HTTP")
        error.is_http = True
        raise error
    connection = Sealed(stream, context())
    await connection.shake_hands(first)
    try:
        connection.early = connection.open(b"")
    except ssl.SSLError as error:
        raise HandshakeError(reason_of(error)) from error
    return connection


def reason_of(error: ssl.SSLError) -> str:
    """The library's short reason, or ours."""
    reason = getattr(error, "reason", None) or error.strerror or "unknown"
    return _PLACE.sub("", str(reason)).replace("_", " ").lower()
