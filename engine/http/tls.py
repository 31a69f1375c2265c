"""TLS for connections that are kept, without an event loop: for the engine's caller and the client.

Foreign errors are translated once, at the line that touches the library.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Protocol

import httpx

RECEIVE_BYTES_MAX = 65_536
SEND_BYTES_MAX = 65_536
"""Encrypted together: what is encrypted and not sent yet is in memory twice."""


class TlsError(httpx.ConnectError):
    """No trusted TLS connection: certificate, version, or what came was not TLS."""


class PlainWire(Protocol):
    """A connection that bytes go over as they are. One task at a time; it sends, then receives."""

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises WriteError."""
        ...

    async def receive(self) -> bytes:
        """The next bytes, at most `RECEIVE_BYTES_MAX`, `b""` at the end. Raises ReadError."""
        ...

    async def pause(self) -> None:
        """Let others run."""
        ...

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing unasked lies in it: fit for a request."""
        ...

    def close(self) -> None:
        """Close at once. May be called again."""
        ...


class TlsWire:
    """TLS over a wire.

    Not `trio.SSLStream` or anyio's `TLSStream`: those cannot say whether undecrypted bytes are left
    behind an answer, and a connection with such bytes must not be reused (they would answer the
    next request).
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "_wire")

    def __init__(self, wire: PlainWire, context: ssl.SSLContext, host: str) -> None:
        self._wire = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        except ValueError as error:  # such as an empty label
            raise TlsError("no certificate can have this host's name") from error

    async def handshake(self) -> None:
        """Raises TlsError, ReadError, WriteError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise TlsError("the peer ended the connection in the TLS handshake") from None
            except ssl.SSLError as error:
                # What is left to send is the alert that tells the peer why.
                with suppress(httpx.WriteError):
                    await self._flush()
                raise TlsError(describe_tls(error)) from error
            else:
                return await self._flush()

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises TlsError, WriteError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.write(rest[:SEND_BYTES_MAX]) :]
            except ssl.SSLError as error:
                raise TlsError(describe_tls(error)) from error
            await self._flush()

    async def receive(self) -> bytes:
        """As `PlainWire.receive`; an end without close_notify is a ReadError (RFC 9112 §9.8)."""
        while True:
            try:
                data = self._tls.read(RECEIVE_BYTES_MAX)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise httpx.ReadError("the TLS connection was cut off") from None
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise TlsError(describe_tls(error)) from error
            else:
                await self._wire.pause()
                return data

    async def pause(self) -> None:
        """Let others run."""
        await self._wire.pause()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._wire.send(self._outgoing.read())

    async def _fill(self) -> int:
        return self._incoming.write(await self._wire.receive())

    def is_quiet(self) -> bool:
        """As `PlainWire.is_quiet`, the bytes already received included."""
        return not self._incoming.pending and not self._tls.pending() and self._wire.is_quiet()

    def close(self) -> None:
        """Close at once, without close_notify: whoever closes has the whole answer or an error."""
        self._wire.close()


def default_ssl_context() -> ssl.SSLContext:
    """Verifies chain and host name against the system's certificates; TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def describe(error: OSError) -> str:
    """What happened, in a few words, without numbers of the system."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def describe_tls(error: Exception) -> str:
    """The certificate's fault, or the library's short reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS failed: {error.reason.replace('_', ' ').lower()}"
    return f"TLS failed: {type(error).__name__}"
