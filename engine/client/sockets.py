"""The sockets under the client's own transport: waited on with anyio, or blocking. TCP and TLS.

Both kinds of wire have the same methods, `async` where they may wait; those of the blocking kind
never do, so that `run` drives them, and all that stands on them, to the end at once.

Foreign errors become httpx's here, at the line that touches the system.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from socket import (
    AI_NUMERICHOST,
    IPPROTO_TCP,
    MSG_PEEK,
    SHUT_RDWR,
    SO_ERROR,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    gaierror,
    getaddrinfo,
    socket,
)
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import httpx

from engine.client.http import keep_alive
from engine.http.tls import RECEIVE_BYTES_MAX, TlsWire, describe

T = TypeVar("T")

NEXT_ADDRESS_S = 0.25
"""After so long without an answer the next address is tried beside it (RFC 8305 §5)."""
LOCALHOST = ("127.0.0.1", "::1")
"""In this order: an engine listens on the first unless it was told otherwise."""
IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})
Address = tuple[Any, ...]
"""A line of `getaddrinfo`."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine over blocking wires: it never waits, so one push ends it."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("a blocking call has waited for an event loop")


class _SocketWire:
    """A connected socket, and how long it may wait."""

    __slots__ = ("_socket", "read_s", "write_s")

    def __init__(self, connected: socket, wait_s: float | None = None) -> None:
        self._socket = connected
        self.read_s = wait_s
        """How long nothing may arrive; None: for ever."""
        self.write_s = wait_s

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing unasked lies in it: fit for a request."""
        try:
            self._socket.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def cut(self) -> None:
        """End it for whoever uses it, who then closes it."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Close at once. May be called again."""
        self._socket.close()


class AsyncWire(_SocketWire):
    """A socket that is waited on with anyio, on asyncio and on Trio."""

    __slots__ = ()

    async def send(self, data: bytes) -> None:
        """Send all of it; no wait while the socket's buffer takes it.

        Raises httpx.WriteError, WriteTimeout.
        """
        rest = memoryview(data)
        while True:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise httpx.WriteError(f"sending failed: {describe(error)}") from error
            if not rest:
                return
            if not await _wait(anyio.wait_writable, self._socket, self.write_s):
                raise httpx.WriteTimeout(f"nothing could be sent for {self.write_s:g} s")

    async def receive(self) -> bytes:
        """The next bytes, `b""` at the end. Raises httpx.ReadError, ReadTimeout."""
        while True:
            if not await _wait(anyio.wait_readable, self._socket, self.read_s):
                raise httpx.ReadTimeout(f"nothing came for {self.read_s:g} s")
            try:
                return self._socket.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                continue
            except OSError as error:
                raise httpx.ReadError(f"receiving failed: {describe(error)}") from error

    async def pause(self) -> None:
        """Let others run."""
        await anyio.lowlevel.checkpoint()


class BlockingWire(_SocketWire):
    """A socket that blocks its thread."""

    __slots__ = ()

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises httpx.WriteError, WriteTimeout."""
        self._socket.settimeout(self.write_s)
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise httpx.WriteTimeout(f"not sent within {self.write_s:g} s") from error
        except OSError as error:
            raise httpx.WriteError(f"sending failed: {describe(error)}") from error

    async def receive(self) -> bytes:
        """The next bytes, `b""` at the end. Raises httpx.ReadError, ReadTimeout."""
        self._socket.settimeout(self.read_s)
        try:
            return self._socket.recv(RECEIVE_BYTES_MAX)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"nothing came for {self.read_s:g} s") from error
        except OSError as error:
            raise httpx.ReadError(f"receiving failed: {describe(error)}") from error

    async def pause(self) -> None:
        """Other threads run anyway."""

    def is_quiet(self) -> bool:
        """As `_SocketWire.is_quiet`."""
        self._socket.settimeout(0)
        return super().is_quiet()


async def _wait(
    ready: Callable[[socket], Awaitable[None]], sock: socket, seconds: float | None
) -> bool:
    """Whether it was ready in time."""
    if seconds is None:
        await ready(sock)
        return True
    with anyio.move_on_after(seconds) as scope:
        await ready(sock)
    return not scope.cancelled_caught


# --- Connecting ------------------------------------------------------------------------------


async def connect_async(host: str, port: int, seconds: float | None) -> AsyncWire:
    """A connection to the first address that takes one. Raises httpx.ConnectError."""
    addresses = _literal(host, port)
    if not addresses:
        try:
            addresses = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise not_resolved(error) from error
    addresses = _in_turn(addresses)
    if len(addresses) == 1:
        try:
            return AsyncWire(await _connect(addresses[0]), seconds)
        except OSError as error:
            raise not_connected(error) from error
    return AsyncWire(await _race(addresses), seconds)


async def _race(addresses: Sequence[Address]) -> socket:
    """The first of several that connects; each begins when those before it failed or are slow."""
    winner: socket | None = None
    errors: list[OSError] = []

    async def attempt(address: Address, over: anyio.Event) -> None:
        nonlocal winner
        try:
            connected = await _connect(address)
        except OSError as error:
            errors.append(error)
        else:
            if winner is None:
                winner = connected
                group.cancel_scope.cancel()
            else:
                connected.close()
        over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(attempt, address, over)
                with anyio.move_on_after(NEXT_ADDRESS_S):
                    await over.wait()
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    if winner is None:
        raise not_connected(errors[0]) from errors[0]
    return winner


async def _connect(address: Address) -> socket:
    """Raises OSError."""
    sock = _new_socket(address)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address[4])
        if code in IN_PROGRESS:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        _check_connected(sock, code)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_blocking(host: str, port: int, seconds: float | None) -> BlockingWire:
    """The same, one address after the other, each for so long at most."""
    try:
        addresses = _literal(host, port) or getaddrinfo(host, port, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise not_resolved(error) from error
    errors: list[OSError] = []
    for address in addresses:
        try:
            sock = _new_socket(address)
            try:
                sock.settimeout(seconds)
                sock.connect(address[4])
                _check_connected(sock, 0)
            except BaseException:
                sock.close()
                raise
            return BlockingWire(sock, seconds)
        except OSError as error:
            errors.append(error)
    if isinstance(errors[0], TimeoutError):
        raise httpx.ConnectTimeout(f"no connection within {seconds} s") from errors[0]
    raise not_connected(errors[0]) from errors[0]


async def secure(wire: AsyncWire | BlockingWire, context: ssl.SSLContext, host: str) -> TlsWire:
    """TLS over it; closes it where that fails. Raises httpx.ConnectError, ConnectTimeout."""
    try:
        tls = TlsWire(wire, context, host)
        await tls.handshake()
    except BaseException as error:
        wire.close()
        if isinstance(error, httpx.TimeoutException):
            raise httpx.ConnectTimeout(f"no TLS connection: {error}") from error
        if isinstance(error, (httpx.ReadError, httpx.WriteError)):
            raise httpx.ConnectError(f"no TLS connection: {error}") from error
        raise
    return tls


def _literal(host: str, port: int) -> list[Address]:
    """An address needs no look-up, which would cost a thread. Nor does `localhost`, which is always
    both of these (RFC 6761 §6.3), also where the system knows one alone."""
    found: list[Address] = []
    for address in LOCALHOST if host == "localhost" else (host,):
        with suppress(OSError, UnicodeError):
            found += getaddrinfo(address, port, type=SOCK_STREAM, flags=AI_NUMERICHOST)
    return found


def _in_turn(addresses: Iterable[Address]) -> list[Address]:
    """The families in turn, each in the system's order (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    ordered = []
    while families:
        for family in list(families):
            ordered.append(families[family].pop(0))
            if not families[family]:
                del families[family]
    return ordered


def _new_socket(address: Address) -> socket:
    sock = socket(*address[:3])
    try:
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        for option in keep_alive():
            sock.setsockopt(*option)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_connected(sock: socket, code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
    if sock.getsockname() == sock.getpeername():
        # Nobody listens, and the system chose the port we dial as our own: TCP connects to itself.
        raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")


# --- Words -----------------------------------------------------------------------------------


def not_resolved(error: OSError | UnicodeError) -> httpx.ConnectError:
    """For a name without an address."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return not_connected(error)
    why = error.strerror if isinstance(error, gaierror) else str(error)
    return httpx.ConnectError(f"the name was not resolved: {why}")


def not_connected(error: OSError) -> httpx.ConnectError:
    """For a connection that was not made. Of descriptors it says how many there may be."""
    if error.errno == errno.ENFILE:
        return httpx.ConnectError(
            "too many open files in the whole system: raise its limit (fs.file-max of Linux)"
        )
    if error.errno == errno.EMFILE:
        return httpx.ConnectError(
            f"too many open files: this process may have {_files_max()} open at once, and each post"
            " that waits holds one. Raise the limit (`ulimit -n`, LimitNOFILE= of systemd,"
            " --ulimit nofile of a container)"
        )
    return httpx.ConnectError(describe(error))


def _files_max() -> str:
    try:
        import resource
    except ImportError:  # not POSIX
        return "no more"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return "any number" if soft == resource.RLIM_INFINITY else str(soft)
