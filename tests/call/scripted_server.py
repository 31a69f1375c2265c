"""A peer on 127.0.0.1 that does exactly what a test's script says, and counts what it saw."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from engine.call.dial import CalledUrl, Dialler, called_url
from engine.call.transport import Answer, LeanTransport
from engine.ports.caller import Invocation

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
POST_LINES = b"Content-Type: application/json\r\n"


class Peer:
    """One accepted connection."""

    def __init__(self, stream: trio.abc.Stream, server: ScriptedServer) -> None:
        self.stream = stream
        self._server = server
        self._received = b""

    async def read_request(self) -> bytes:
        """The next whole request; b"" when the client has closed."""
        data = bytearray(self._received)
        while (end := data.find(b"\r\n\r\n") + 4) < 4:
            if not await self._more(data):
                return b""
        lines = dict(line.split(b": ", 1) for line in bytes(data[: end - 4]).split(b"\r\n")[1:])
        end += int(lines.get(b"Content-Length", b"0"))
        while len(data) < end:
            if not await self._more(data):
                return b""
        self._received = bytes(data[end:])
        self._server.requests.append(bytes(data[:end]))
        return self._server.requests[-1]

    async def _more(self, data: bytearray) -> bool:
        received = await self.stream.receive_some()
        data += received
        return bool(received)

    async def answer(self, *pieces: bytes) -> None:
        """Read one request, then send these."""
        assert await self.read_request()
        for piece in pieces:
            await self.stream.send_all(piece)

    async def wait_closed(self) -> None:
        """Until the client has closed, whatever it sends before."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass

    async def reset(self) -> None:
        """Close with a TCP reset."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.stream.aclose()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """What a test sees of its server."""

    def __init__(self, port: int, scheme: str, host: str) -> None:
        self.port = port
        self.url = f"{scheme}://{host}:{port}/hook"
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def target(self) -> CalledUrl:
        return called_url(self.url)


@asynccontextmanager
async def serving(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    bind: str = "127.0.0.1",
    url_host: str | None = None,
    scheme: str | None = None,
) -> AsyncIterator[ScriptedServer]:
    """Run `script` for each connection; the connection is closed when it returns."""
    listeners = await trio.open_tcp_listeners(0, host=bind)
    port = listeners[0].socket.getsockname()[1]
    scheme = scheme or ("https" if tls else "http")
    server = ScriptedServer(port, scheme, url_host or (f"[{bind}]" if ":" in bind else bind))

    async def handle(stream: trio.SocketStream) -> None:
        server.connections += 1
        wrapped = trio.SSLStream(stream, tls, server_side=True) if tls else stream
        try:
            async with stream:
                await script(Peer(wrapped, server))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away: what it makes of that is what the test looks at

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield server
        nursery.cancel_scope.cancel()


def answering(*answers: bytes) -> Script:
    """One request, one of these; then close."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            if await peer.read_request():
                await peer.stream.send_all(answer)

    return script


async def always_ok(peer: Peer) -> None:
    """Answers `ok` for as long as the client likes."""
    while await peer.read_request():
        await peer.stream.send_all(OK)


@asynccontextmanager
async def lean(
    dialler: Dialler | None = None,
    *,
    answer_bytes_max: int = 1_048_576,
    open_max: int = 1_000,
) -> AsyncIterator[LeanTransport]:
    """A transport that is closed at the end and then holds nothing."""
    transport = LeanTransport(dialler, answer_bytes_max=answer_bytes_max, open_max=open_max)
    try:
        yield transport
    finally:
        await transport.aclose()
        assert transport.idle_count == 0


async def post(transport: LeanTransport, server: ScriptedServer, body: bytes = b"{}") -> Answer:
    """One exchange with the server."""
    return await transport.exchange(server.target, POST_LINES, [body])


def fixed_resolver(*addresses: str) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver that answers every name with these addresses."""

    async def resolve(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return list(addresses)

    return resolve


def invocation(url: str = "http://127.0.0.1:1/") -> Invocation:
    """An attempt like any other."""
    return Invocation(
        url=url,
        idempotency_key='order "7"',
        step_own_key='k-"1"\\x',
        payload=b'{"a" : 1.0}',
        run_id="01RUN",
        step_id="01STEP",
        client="shop",
        workflow="createUser",
        attempt=3,
        parent_token="01STEP.3",
        traceparent=TRACEPARENT,
    )
