"""What the server's tests share: an application, a server around it, a client that speaks bytes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio
from quart import Response, request
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

from engine.front.access.parent import looks_posted_by_a_run
from engine.front.server.certificate import Certificate
from engine.front.server.post import Peer, Stranger
from engine.front.server.refusal import Refuse
from engine.front.server.reply import ROOM, Reply
from engine.front.server.server import (
    ServerCounters,
    ServerLimits,
    default_refusal,
    open_listeners,
    serve,
)
from engine.front.server.strict import BadRequest, RequestHead
from engine.process.budget import Budget, Charge, Parcel
from tests.front.certificates import shown_certificate, trusting
from tests.hung import not_hung

LARGE_BYTES = 8 * 1024 * 1024
"""More than the kernel takes of an answer that nobody reads."""
WITH_DOOR = False
"""Set by the fixture `both_ways`: posts are answered at the connection."""
WITH_TLS = False
"""Set by the fixture `all_ways`: over TLS."""


class App:
    """A Quart-trio application that notes what reaches it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cancelled: list[str] = []
        self.refusals: list[tuple[str, RequestHead | None]] = []
        """Of requests, for want of room: the limit, and what was known."""
        self.release = trio.Event()
        self.stuck = False
        self.room: Charge | None = None
        """Of the answer to /roomy."""
        quart = QuartTrio("tests")
        quart.config["RESPONSE_TIMEOUT"] = None
        quart.config["BODY_TIMEOUT"] = None
        quart.before_request(self._note)
        quart.add_url_rule("/echo", view_func=self._echo, methods=["POST"])
        quart.add_url_rule("/fine", view_func=self._fine)
        quart.add_url_rule("/none", view_func=self._none)
        quart.add_url_rule("/early/now", view_func=self._early, methods=["POST"])
        quart.add_url_rule("/hold", view_func=self._hold, methods=["GET", "POST"])
        quart.add_url_rule("/big", view_func=self._big)
        quart.add_url_rule("/roomy", view_func=self._roomy, methods=["POST"])
        quart.add_url_rule("/feed", view_func=self._feed)
        quart.add_url_rule("/second", view_func=self._fine)
        quart.tests_app = self  # type: ignore[attr-defined] # for `serving` to find the door's half
        self.quart = quart

    async def answer(
        self, client: str, headers: Iterable[tuple[bytes, bytes]], body: Parcel, peer: Peer
    ) -> Reply:
        """What a door gets: posts to one-segment paths, without Quart between."""
        self.calls.append(f"/{client}")
        text = (("content-type", "text/html; charset=utf-8"),)
        if client == "hold":
            try:
                await self.release.wait()
            except trio.Cancelled:
                self.cancelled.append("/hold")
                raise
        answers = {"echo": body.take(), "hold": b"held"}
        if client == "roomy":
            return Reply(200, text, b"x" * LARGE_BYTES, self.room)
        if client not in answers:
            return Reply(404, text, b"no such post")
        return Reply(200, text, answers[client])

    def refused(self, limit: str, head: RequestHead | None) -> None:
        """A request was refused before it was read, for want of room."""
        self.calls.append("refused")
        self.refusals.append((limit, head))

    let_in: frozenset[bytes] = frozenset({b"/second"})
    """What is answered where there are as many connections as may be."""

    def lets_in(self, head: RequestHead) -> bool:
        """By the path alone."""
        return head.target in self.let_in

    asks_token = False
    bad_tokens = frozenset({b""})
    denies = True
    strangers: frozenset[str] = frozenset()
    """Addresses whose requests are refused, but for /fine."""

    @property
    def has_proxies(self) -> bool:
        """Whether it matters where a connection comes from."""
        return bool(self.strangers)

    def stranger(self, peer: str | None) -> Stranger | None:
        """What refuses the requests of a connection from this address."""
        text = (("content-type", "text/plain"),)

        def refuse(head: RequestHead) -> Reply | None:
            return None if head.target == b"/fine" else Reply(403, text, f"not {peer}".encode())

        return refuse if peer in self.strangers else None

    def token_of(self, authorization: bytes) -> bytes:
        """Here the whole value is one, where tokens are asked for."""
        return authorization if self.asks_token and authorization not in self.bad_tokens else b""

    def owner_of(self, token: bytes) -> str | None:
        """Whose token it is: what comes before a dot."""
        if not self.asks_token:
            return ""
        return None if token in self.bad_tokens else token.decode().partition(".")[0]

    def denied(self, head: RequestHead, peer: Peer) -> Reply | None:
        """Asked of heads with a body, and only where tokens are asked for: nobody may here, unless
        that is said."""
        assert self.asks_token
        assert head.body_bytes != 0
        if not self.denies:
            return None
        text = (("content-type", "application/problem+json"), ("www-authenticate", "Bearer"))
        return Reply(401, text, b"{}")

    def refused_for_good(self, head: RequestHead | None, refusal: BadRequest) -> None:
        """A request was refused for what it is."""

    async def _note(self) -> None:
        self.calls.append(request.path)

    async def _echo(self) -> str | bytes:
        return await request.get_data()

    async def _fine(self) -> str:
        return "fine"

    async def _none(self) -> tuple[str, int]:
        return "", 204

    async def _early(self) -> str:
        """Answers without reading its body."""
        return "early"

    async def _hold(self) -> str:
        try:
            await self.release.wait()
        except trio.Cancelled:
            self.cancelled.append("/hold")
            if self.stuck:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.2)
            raise
        return "held"

    async def _big(self) -> bytes:
        return b"x" * LARGE_BYTES

    async def _roomy(self) -> bytes:
        request.scope["extensions"][ROOM]["charges"].append(self.room)
        return b"x" * LARGE_BYTES

    async def _feed(self) -> Response:
        async def events() -> AsyncIterator[bytes]:
            try:
                yield b"data: 1\n\n"
                await self.release.wait()
                yield b"data: 2\n\n"
            except BaseException:
                self.cancelled.append("/feed")
                raise

        response = Response(events(), content_type="text/event-stream")
        response.timeout = None
        return response


class Answer:
    """One parsed answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class SealedStream:
    """A client's side of TLS, with the socket stream's calls. An end without the server's
    close_notify is a BrokenResourceError."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.raw = stream
        self.tls = trio.SSLStream(stream, context, server_hostname="localhost")
        self.socket = stream.socket

    async def send_all(self, data: bytes) -> None:
        """Encrypt and send."""
        await self.tls.send_all(data)

    async def receive_some(self) -> bytes:
        """Decrypted bytes, `b""` at the end."""
        return bytes(await self.tls.receive_some())

    async def send_eof(self) -> None:
        """Close the sending side of the socket, without a close_notify."""
        await self.raw.send_eof()

    async def aclose(self) -> None:
        """Close with a close_notify."""
        await self.tls.aclose()


class Client:
    """A connection that sends exactly the bytes it is given."""

    def __init__(self, stream: trio.SocketStream | SealedStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (lower case) of the next answer."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in fields}

    async def read_answer(self) -> Answer:
        """The next answer; its body must have a Content-Length."""
        status, headers = await self.read_head()
        length = int(headers["content-length"])
        while len(self._buffer) < length:
            await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(status, headers, body)

    async def read_until(self, mark: bytes) -> None:
        while mark not in self._buffer:
            await self._more()
        self._buffer = self._buffer.partition(mark)[2]

    async def read_rest(self) -> bytes:
        """Everything up to the end of the stream."""
        try:
            while True:
                data = await self.stream.receive_some()
                if not data:
                    break
                self._buffer += data
        except trio.BrokenResourceError:
            self._buffer += b"<reset>"
        rest, self._buffer = self._buffer, b""
        return rest

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise EOFError(f"the server closed; unparsed: {self._buffer[:200]!r}")
        self._buffer += data

    async def vanish(self) -> None:
        await self.stream.aclose()


class Served:
    """A running server."""

    def __init__(self, port: int, *, is_tls: bool = False) -> None:
        self.port = port
        self.is_tls = is_tls
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.counters = ServerCounters()
        self.log: list[tuple[str, dict[str, object]]] = []
        self.sockets: list[trio.socket.SocketType] = []

    async def connect(
        self, receive_buffer_bytes: int | None = None, context: ssl.SSLContext | None = None
    ) -> Client:
        """A connection; over TLS by `context`, or as a client that trusts us."""
        client = await self.bare(receive_buffer_bytes)
        if self.is_tls and isinstance(client.stream, trio.SocketStream):
            client.stream = SealedStream(client.stream, context or trusting())
            await client.stream.tls.do_handshake()
        return client

    async def bare(self, receive_buffer_bytes: int | None = None) -> Client:
        """A connection without a handshake."""
        sock = trio.socket.socket()
        self.sockets.append(sock)
        if receive_buffer_bytes is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer_bytes)
        await sock.connect(("127.0.0.1", self.port))
        return Client(trio.SocketStream(sock))


@asynccontextmanager
async def serving(
    app: Any,
    limits: ServerLimits | None = None,
    grace_s: float = 1.0,
    refuse: Refuse = default_refusal,
    budget: Budget | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[Served]:
    """Run a server around an ASGI application; it is cut off at the end of the block."""
    limits = limits or ServerLimits()
    if WITH_TLS and certificate is None:
        certificate = shown_certificate()
    listeners = open_listeners("127.0.0.1", 0, limits)
    served = Served(listeners[0].socket.getsockname()[1], is_tls=certificate is not None)

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(
            app,
            listeners,
            limits,
            served.stop,
            grace_s=grace_s,
            log=lambda event, fields: served.log.append((event, fields)),
            refuse=refuse,
            counters=served.counters,
            door=getattr(app, "tests_app", None) if WITH_DOOR else None,
            budget=budget,
            goes_first=looks_posted_by_a_run,
            certificate=certificate,
            task_status=task_status,
        )
        served.ended.set()

    try:
        with not_hung():
            async with trio.open_nursery() as nursery:
                await nursery.start(run)
                yield served
                nursery.cancel_scope.cancel()
    finally:
        for sock in served.sockets:
            sock.close()


@asynccontextmanager
async def connected(*limits: Any, **how: Any) -> AsyncIterator[tuple[App, Served, Client]]:
    """An application, a server around it, and a client of that."""
    app = App()
    async with serving(app.quart, *limits, **how) as server:
        yield app, server, await server.connect()


async def settle() -> None:
    """Until server and clients have done all they can without time passing."""
    await wait_all_tasks_blocked(0.005)


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def post(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body
