"""No socket is lost: calls that are cancelled, or that fail, at their first wait, second, ..."""

from __future__ import annotations

import asyncio
import ssl
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from socket import socket
from typing import Any, ClassVar

import anyio
import pytest
import trio
import trustme

from engine.client import AsyncClient, Client, NothingKnown, Reposts, sockets
from engine.client.transport import AsyncTransport
from engine.wire import Status
from tests.client.raw_server import Peer, RawServer, serving

CA = trustme.CA()
PIECES = (b"HTTP/1.1 200", b" OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\n{\"a\"\r\n",
          b"3\r\n:1}\r\n0\r\n\r\n")  # fmt: skip
ONCE = Reposts(count=0)


def pieces(peer: Peer) -> None:
    """An answer that comes in pieces, each for a wait of its own."""
    while peer.read_request():
        for piece in PIECES:
            peer.sock.sendall(piece)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest) -> Iterator[RawServer]:
    """Named `localhost`, so that two addresses are tried, over TLS or not."""
    tls = None
    if request.param == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert("localhost").configure_cert(tls)
    with serving(pieces, host="localhost", bind="::1", tls=tls) as it:
        yield it


@pytest.fixture(scope="module")
def verify() -> ssl.SSLContext:
    """Trusts the test's own authority."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


class Watched(socket):
    """A socket of the client's; `made` has all of them, `left` counts operations down to an end."""

    made: ClassVar[list[Watched]] = []
    left: ClassVar[int] = 0

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        Watched.made.append(self)

    def _count(self) -> None:
        Watched.left -= 1
        if Watched.left == 0:
            raise Interrupted

    def connect(self, address: Any) -> None:
        self._count()
        super().connect(address)

    def sendall(self, *words: Any) -> None:
        self._count()
        super().sendall(*words)

    def recv(self, *words: Any) -> bytes:
        self._count()
        return super().recv(*words)

    def setsockopt(self, *words: Any) -> None:
        self._count()
        super().setsockopt(*words)


class Interrupted(BaseException):
    """As Ctrl-C."""


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sockets of the client are watched."""
    monkeypatch.setattr(sockets, "socket", Watched)
    Watched.made.clear()
    Watched.left = 0


def left_open() -> int:
    """How many sockets the client has not closed."""
    return sum(sock.fileno() != -1 for sock in Watched.made)


def engine_of(server: RawServer) -> str:
    """The address without a path."""
    return server.url.rpartition("/")[0]


@types.coroutine
def counted(work: Awaitable[Any], wait: int, at: Callable[[], None]) -> Generator[Any, Any, Any]:
    """Does the work, and calls `at` just before it waits for the so manieth time."""
    steps = work.__await__()
    told, failed = None, None
    for number in range(1_000):
        try:
            trap = steps.throw(failed) if failed else steps.send(told)
        except StopIteration as end:
            return end.value
        if number == wait:
            at()
        told, failed = None, None
        try:
            told = yield trap
        except BaseException as error:
            failed = error
    raise AssertionError("it never ends")


async def on_trio(work: Awaitable[Any], wait: int) -> bool:
    with trio.CancelScope() as scope:
        await counted(work, wait, scope.cancel)
    return scope.cancelled_caught


async def on_asyncio(work: Awaitable[Any], wait: int) -> bool:
    async def whole() -> None:
        task = asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            task.cancel()

        await counted(work, wait, cancel)

    try:
        await asyncio.create_task(whole())
    except asyncio.CancelledError:
        return True
    return False


async def cancel_at_every_wait(
    server: RawServer,
    verify: ssl.SSLContext,
    cancelled: Callable[[Awaitable[Any], int], Awaitable[bool]],
) -> None:
    """Cancel at the first wait, the second, ... until the call gets through."""
    for warm in (False, True):
        for wait in range(100):
            async with AsyncClient(engine_of(server), reposts=ONCE, verify=verify) as client:
                own = client._exchange._own
                assert isinstance(own, AsyncTransport)
                if warm:
                    await client.operate.status()
                was_cancelled = await cancelled(client.operate.status(), wait)
                assert left_open() == own.connections.idle_count
                assert await client.operate.status() == Status()
                assert own.connections.idle_count == 1
            assert left_open() == 0
            if not was_cancelled:
                break
        assert wait >= (1 if warm else 4)


@pytest.mark.slow
async def test_cancelled_at_every_wait_on_trio(server: RawServer, verify: ssl.SSLContext):
    """Connecting, TLS, the answer's pieces: nothing is left open, the next call is right."""
    await cancel_at_every_wait(server, verify, on_trio)


@pytest.mark.slow
def test_cancelled_at_every_wait_on_asyncio(server: RawServer, verify: ssl.SSLContext):
    """The same on asyncio, by its own cancellation."""
    asyncio.run(cancel_at_every_wait(server, verify, on_asyncio))


async def fail_at_every_wait(
    server: RawServer, verify: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses the first wait, the second, ... until the call gets through."""
    left = 0

    def failing(wait: Callable[[socket], Awaitable[None]]) -> Callable[[socket], Awaitable[None]]:
        async def instead(sock: socket) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(5, "broken wire")
            await wait(sock)

        return instead

    for name in ("wait_readable", "wait_writable"):
        monkeypatch.setattr(anyio, name, failing(getattr(anyio, name)))
    for wait in range(1, 100):
        async with AsyncClient(engine_of(server), reposts=ONCE, verify=verify) as client:
            left = wait
            with suppress(NothingKnown, OSError):
                await client.operate.status()
            was_reached, left = left <= 0, 0
            assert client._exchange._own is not None
            assert left_open() == client._exchange._own.connections.idle_count
            assert await client.operate.status() == Status()
        assert left_open() == 0
        if not was_reached:
            break
    assert wait >= 3


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_failure_at_every_wait(
    server: RawServer, verify: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, backend: str
):
    """Whatever goes wrong and wherever, the socket is closed."""
    anyio.run(fail_at_every_wait, server, verify, monkeypatch, backend=backend)


@pytest.mark.slow
def test_a_blocking_call_interrupted_at_every_operation(server: RawServer, verify: ssl.SSLContext):
    """Ctrl-C in the first operation of a socket, the second, ...: it is closed."""
    for operation in range(1, 200):
        with Client(engine_of(server), reposts=ONCE, verify=verify) as client:
            Watched.left = operation
            was_interrupted = False
            try:
                client.operate.status()
            except Interrupted:
                was_interrupted = True
            Watched.left = 0
            assert client._exchange._own is not None
            assert left_open() == client._exchange._own.connections.idle_count
            assert client.operate.status() == Status()
        assert left_open() == 0
        if not was_interrupted:
            break
    assert operation >= 8
