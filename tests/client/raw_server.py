"""A server of threads that does what a test's script says, and a client on each of three ways."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from engine.client.transport import AsyncTransport, BlockingTransport

WAYS = ("asyncio", "trio", "threads")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Peer:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, server: RawServer) -> None:
        self.sock = sock
        self._server = server
        self._data = b""

    def read_request(self) -> bytes:
        """The next whole request; b"" when the client has closed."""
        while (end := self._data.find(b"\r\n\r\n") + 4) < 4:
            if not self._more():
                return b""
        lines = self._data[:end].lower().split(b"\r\n")
        lengths = [line for line in lines if line.startswith(b"content-length:")]
        end += int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(self._data) < end:
            if not self._more():
                return b""
        request, self._data = self._data[:end], self._data[end:]
        self._server.requests.append(request)
        return request

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65_536)
        except OSError:
            return False
        self._data += data
        return bool(data)

    def answer(self, *pieces: bytes) -> None:
        """Read one request, then send these."""
        assert self.read_request()
        for piece in pieces:
            self.sock.sendall(piece)

    def wait_closed(self) -> None:
        """Until the client has closed."""
        while self._more():
            pass

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Peer], None]


class RawServer:
    """What a test sees of its server."""

    def __init__(self, url: str, port: int) -> None:
        self.url, self.port = url, port
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)
        """Once for each connection whose script is over."""


@contextmanager
def serving(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    bind: str = "127.0.0.1",
) -> Iterator[RawServer]:
    """Run `script` for each connection, in a thread; the connection is closed when it returns."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.create_server((bind, 0), family=family, backlog=1024)
    port = listener.getsockname()[1]
    server = RawServer(f"http{'s' if tls else ''}://{host}:{port}/hook", port)
    threads: list[threading.Thread] = []
    peers: list[socket.socket] = []

    def handle(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            if tls is None:
                script(Peer(sock, server))
            else:
                with tls.wrap_socket(sock, server_side=True) as wrapped:
                    peers.append(wrapped)
                    script(Peer(wrapped, server))
        server.closed.release()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            peers.append(sock)
            threads.append(threading.Thread(target=handle, args=(sock,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for sock in peers:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


def always(answer: bytes = OK) -> Script:
    """The same answer for as long as the client likes."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.sock.sendall(answer)

    return script


class Way:
    """An httpx client over our transport, called from a test's thread."""

    def __init__(self, portal: BlockingPortal | None, verify: bool | ssl.SSLContext) -> None:
        self._portal = portal
        self.transport: AsyncTransport | BlockingTransport
        self._http: Any
        if portal is None:
            self.transport = BlockingTransport(verify)
            self._http = httpx.Client(transport=self.transport, trust_env=False)
        else:
            self.transport = AsyncTransport(verify)
            self._http = httpx.AsyncClient(transport=self.transport, trust_env=False)

    def _call(self, function: Callable[..., Any], *words: Any, **named: Any) -> Any:
        if self._portal is None:
            return function(*words, **named)
        return self._portal.call(partial(function, *words, **named))

    def request(self, method: str, url: str, **named: Any) -> httpx.Response:
        """A whole answer."""
        answer: httpx.Response = self._call(self._http.request, method, url, **named)
        return answer

    def post(self, server: RawServer, content: bytes = b"{}", **named: Any) -> httpx.Response:
        """A post to the server."""
        return self.request("POST", server.url, content=content, **named)

    def stream(self, url: str, pieces: int) -> list[bytes]:
        """The first pieces of an answer, which is then left."""
        request, step, close = httpx.Request("GET", url), cast(Any, None), cast(Any, None)
        if isinstance(self.transport, BlockingTransport):
            answer = self.transport.handle_request(request)
            step, close = partial(next, iter(cast(Iterator[bytes], answer.stream))), answer.close
        else:
            answer = self._call(self.transport.handle_async_request, request)
            step, close = cast(AsyncIterator[bytes], answer.stream).__anext__, answer.aclose
        got = [self._call(step) for _ in range(pieces)]
        self._call(close)
        return got

    def close(self) -> None:
        """Close the client."""
        self._call(self._http.close if self._portal is None else self._http.aclose)

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        return self.transport.connections.idle_count


@contextmanager
def way_of(name: str, verify: bool | ssl.SSLContext = True) -> Iterator[Way]:
    """One of WAYS. At the end no connection is open."""
    if name == "threads":
        way = Way(None, verify)
        yield way
        way.close()
    else:
        with start_blocking_portal(name) as portal:
            way = Way(portal, verify)
            yield way
            way.close()
    assert (way.idle, way.transport.connections.in_use_count) == (0, 0)
