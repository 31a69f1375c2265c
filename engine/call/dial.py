"""From a URL to a connection: parse, resolve, check the address, connect, TLS.

The rules:

* **The address that was checked is the address that is dialled.** Names are resolved here, every
  address of the answer must pass the gate, and the socket connects to one of exactly these.
  `Host` and the TLS server name stay the URL's host.
* Which addresses pass is the gate's to say, one for each client (`policy.py`); without any it is
  loopback. What `address.py` says is never dialled passes none.
* A look-up cannot be cancelled, only abandoned: each holds a worker thread until the system's
  resolver gives up. They have places of their own, few for each host, so that one dead name
  server stops neither other hosts nor the store.
* No time-out: the caller cancels. Nothing from the environment: no proxy, no .netrc.
* Foreign errors are translated once, at the line that touches the library.
"""

from __future__ import annotations

import errno
import os
import ssl
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from select import POLLIN, poll
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_ERROR,
    SO_LINGER,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    gaierror,
    socket,
)
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import trio
from msgspec import Struct

from engine.call.address import (
    IPAddress,
    is_never_dialled,
    judged_address,
    literal_address,
    loopback_only,
)
from engine.call.names import Resolver, SystemResolver
from engine.core.target import BadTarget, normalise
from engine.http.tls import RECEIVE_BYTES_MAX, TlsWire, default_ssl_context, describe
from engine.process.platform.sockets import keep_alive, unacknowledged

TARGETS_CACHED_MAX = 1024
ADDRESSES_TRIED_MAX = 8
"""Of one name. All are checked, more than these are not tried in one call."""

# A peer that vanished without a FIN is found after about 30 s, on the idle and on the sending side.
GONE = (*keep_alive(idle_s=15, interval_s=5, probes=3), *unacknowledged(30))
"""Half a minute after a host has gone without a word its connections end."""

AddressGate = Callable[[IPAddress], bool]
"""May this address be dialled? Asked with IPv4 where IPv6 only wraps it (`::ffff:127.0.0.1`)."""


class TargetNotAllowed(httpx.TransportError):
    """The URL cannot be dialled by our rules, or one of its addresses may not be."""


class DnsError(httpx.ConnectError):
    """The host's name was not resolved."""


class NoDescriptor(httpx.ConnectError):
    """This process has no descriptor or memory for a connection: nobody was called."""


OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say nothing of the other side."""


class CalledUrl(Struct, frozen=True):
    """The parts of a URL, made ready once for all its requests."""

    scheme: str
    host: str
    """Lower case, IPv6 without brackets; also the TLS server name."""
    port: int
    origin: tuple[str, str, int]
    authority: str
    """`host:port` for people."""
    post_start: bytes
    """Request line and Host of a POST, with their line ends."""


@lru_cache(maxsize=TARGETS_CACHED_MAX)
def called_url(url: str) -> CalledUrl:
    """Take an endpoint's URL apart. Raises TargetNotAllowed for what can be none."""
    try:
        parts = urlsplit(normalise(url))
    except BadTarget as error:
        raise TargetNotAllowed(f"the URL {error}") from error
    scheme, host = parts.scheme, parts.hostname or ""
    if ":" in host and literal_address(host) is None:
        raise TargetNotAllowed("the URL's host is neither a name nor an IP address")
    port = parts.port or (443 if scheme == "https" else 80)
    bracketed = f"[{host}]" if ":" in host else host
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return CalledUrl(
        scheme=scheme,
        host=host,
        port=port,
        origin=(scheme, host, port),
        authority=f"{bracketed}:{port}",
        post_start=f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode("ascii"),
    )


class Gate(Protocol):
    """What of the network one client may reach, and by whose certificates."""

    def why_not(self, ip: IPAddress, target: CalledUrl) -> str | None:
        """Why this address of the target may not be dialled, or None. Asked with IPv4 where IPv6
        only wraps it."""
        ...

    def ssl_context(self) -> ssl.SSLContext | None:
        """What its servers are verified by; None: the system's certificates. Raises TlsError."""
        ...


# --- Connections -----------------------------------------------------------------------------


class SocketWire:
    """A connected TCP socket. One task at a time; it sends, then receives."""

    __slots__ = ("_poll", "_socket")

    def __init__(self, connected: socket) -> None:
        self._socket = connected
        self._poll = poll()
        self._poll.register(connected, POLLIN)

    async def send(self, data: bytes) -> None:
        """Send all of it; no checkpoint while the socket's buffer takes it. Raises WriteError."""
        try:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
            while rest:
                await trio.lowlevel.wait_writable(self._socket)
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    continue
        except OSError as error:
            raise httpx.WriteError(f"sending failed: {describe(error)}") from error

    async def receive(self) -> bytes:
        """The next bytes, at most `RECEIVE_BYTES_MAX`, `b""` at the end. Raises ReadError.

        Always a checkpoint: a peer that floods us starves nobody.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                continue
            except OSError as error:
                raise httpx.ReadError(f"receiving failed: {describe(error)}") from error

    async def pause(self) -> None:
        """Let others run."""
        await trio.lowlevel.checkpoint()

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing unasked lies in it: fit for a request."""
        return not self._poll.poll(0)  # an end and an error are told like bytes

    def close(self) -> None:
        """Close at once. May be called again."""
        self._socket.close()


Wire = SocketWire | TlsWire


class Dialler:
    """Makes connections to targets that may be dialled."""

    def __init__(
        self,
        *,
        allowed: AddressGate = loopback_only,
        resolve: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve or SystemResolver()
        self._ssl_context = ssl_context

    async def connect(self, target: CalledUrl, gate: Gate | None = None) -> Wire:
        """A fresh connection. `gate` None: only where `allowed` says.

        Raises DnsError, TargetNotAllowed, TlsError, httpx.ConnectError.
        """
        addresses = await self._addresses(target.host)
        for ip in addresses:
            if (why := self._why_not_address(ip, target, gate)) is not None:
                raise TargetNotAllowed(why)
        wire = await _connect_first(addresses[:ADDRESSES_TRIED_MAX], target.port)
        if target.scheme == "http":
            return wire
        try:
            context = None if gate is None else gate.ssl_context()
            tls = TlsWire(wire, context or self._systems_context(), target.host)
            await tls.handshake()
        except BaseException:
            wire.close()
            raise
        return tls

    def why_not(self, url: str, gate: Gate | None = None) -> str | None:
        """Why the URL may not be called, as far as it can be told without a look-up of its name."""
        try:
            target = called_url(url)
        except TargetNotAllowed as error:
            return str(error)
        ip = literal_address(target.host)
        return None if ip is None else self._why_not_address(ip, target, gate)

    def _why_not_address(self, ip: IPAddress, target: CalledUrl, gate: Gate | None) -> str | None:
        judged = judged_address(ip)
        if not is_never_dialled(judged):
            if gate is not None:
                return gate.why_not(judged, target)
            if self._allowed(judged):
                return None
        return f"the address {ip} may not be called"

    def _systems_context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            # Not at construction: it reads the system's certificates, which takes a while.
            self._ssl_context = default_ssl_context()
        return self._ssl_context

    async def _addresses(self, host: str) -> list[IPAddress]:
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        try:
            addresses = [ip_address(text) for text in await self._resolve(host)]
        except (OSError, UnicodeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in OURS:
                raise NoDescriptor(f"no look-up of the name: {describe(error)}") from error
            why = error.strerror if isinstance(error, gaierror) else str(error)
            raise DnsError(f"the name was not resolved: {why}") from error
        if not addresses:
            raise DnsError("the name has no address")
        return addresses


async def _connect_first(addresses: Sequence[IPAddress], port: int) -> SocketWire:
    """Try in turn. Raises httpx.ConnectError with the last address' reason."""
    last: OSError | None = None
    for ip in addresses:
        try:
            return SocketWire(await _connect_socket(ip, port))
        except OSError as error:
            if error.errno in OURS:
                raise NoDescriptor(f"no connection: {describe(error)}") from error
            last = error
    assert last is not None
    raise httpx.ConnectError(f"no connection: {describe(last)}") from last


async def _connect_socket(ip: IPAddress, port: int) -> socket:
    family = AF_INET if ip.version == 4 else AF_INET6
    sock = socket(family, SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        for option in GONE:
            sock.setsockopt(*option)
        try:
            sock.connect((str(ip), port))
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if sock.getsockname()[:2] == (str(ip), port):
            # Nobody listens, and the system chose the port we dial as our own: TCP connects to
            # itself. Reset it, lest it keep the port from the application that is about to start.
            sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionRefusedError("nobody listens")
    except BaseException:
        sock.close()
        raise
    return sock
