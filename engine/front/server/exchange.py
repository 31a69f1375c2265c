"""Requests that an ASGI application answers: h11 before it, Hypercorn's `HTTPStream` behind."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import h11
import trio
from hypercorn.config import Config
from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope
from hypercorn.utils import parse_socket_addr

from engine.front.server.refusal import SAFE_HEADERS, refusal_headers
from engine.front.server.reply import ROOM, GivenBack
from engine.front.server.serving import Serving
from engine.front.server.strict import BadRequest, Phase, RequestReader

STREAM_ID = 1  # HTTP/1.1 has one stream
FAREWELL_S = 0.5
"""For a last answer to a request whose handler was cut at the end of the grace."""


class Exchange(HTTPStream):
    """One request and its answer, with ours for a handler that gave none."""

    def __init__(
        self,
        server: Serving,
        socket: trio.socket.SocketType,
        task_group: Any,
        answer: Callable[[Event], Awaitable[None]],
    ) -> None:
        """All that is called of `task_group` is `spawn_app`."""
        super().__init__(
            server.app,
            server.config,
            server.context,
            task_group,
            server.is_tls,
            _address(socket, socket.getpeername),
            _address(socket, socket.getsockname),
            answer,
            STREAM_ID,
        )
        self._server = server

    async def _send_error_response(self, status_code: int) -> None:
        if self._server.stopping:
            status_code, problem, detail = 503, "draining", "the server is stopping"
        else:
            problem, detail = "internal-error", "the request could not be answered"
        body = self._server.refuse(status_code, problem, detail, None)
        await self.send(Response(STREAM_ID, refusal_headers(status_code, body), status_code))
        await self.send(Body(STREAM_ID, body))
        await self.send(EndBody(STREAM_ID))


WRAPPED = "::ffff:"
"""Before an IPv4 address, on a socket that takes both families."""


def peer_of(socket: trio.socket.SocketType) -> str | None:
    """The address that a connection comes from; None if it has gone."""
    address = _address(socket, socket.getpeername)
    return None if address is None else address[0]


def _address(socket: trio.socket.SocketType, name: Callable[[], object]) -> tuple[str, int] | None:
    """One end of a connection, as ASGI has it; None if the client has gone."""
    try:
        found = parse_socket_addr(socket.family, name())  # type: ignore[arg-type]
    except OSError:
        return None
    if found is not None and found[0].startswith(WRAPPED) and "." in found[0]:
        return found[0].removeprefix(WRAPPED), found[1]
    return found


class RequestConnection(Protocol):
    """The connection, as the application's side of it sees it."""

    is_muted: bool
    """Nothing more may be written."""

    async def write(self, data: bytes) -> None:
        """Send, within the time a client has for reading; else the connection is given up."""
        ...

    def answered(self, close: bool) -> None:
        """The current request has its answer: read the next one, or end."""
        ...

    def wake(self) -> None:
        """Let the reader look again."""
        ...


class Application:
    """The application's side of one connection: its requests, one after the other, each in a task
    of its own."""

    def __init__(
        self,
        server: Serving,
        socket: trio.socket.SocketType,
        requests: RequestReader,
        connection: RequestConnection,
        tasks: trio.Nursery,
    ) -> None:
        self._server = server
        self._socket = socket
        self._requests = requests
        self._connection = connection
        self._tasks = tasks
        self._exchange: Exchange | None = None
        self._unsent = b""  # an answer's head that waits for its body
        # What reaches it is checked and bounded already; its own limit must not strike first.
        bytes_max = 4 * server.limits.body_bytes_max
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=bytes_max)

    @property
    def has_answered(self) -> bool:
        """An answer to the current request has begun."""
        return self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}

    async def pass_on(self, checked: bytes) -> None:
        """To the application, by way of h11."""
        self._h11.receive_data(checked)
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequest(error.error_status_hint, str(error)) from error
            if isinstance(event, h11.Request):
                await self._begin(event)
            elif isinstance(event, h11.Data):
                if self._exchange is not None:
                    await self._exchange.handle(Body(STREAM_ID, bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                if self._exchange is not None:
                    await self._exchange.handle(EndBody(STREAM_ID))
                return
            else:
                return  # NEED_DATA, or PAUSED behind an ignored Upgrade

    async def _begin(self, request: h11.Request) -> None:
        """Start the application on a request. An Upgrade is ignored (RFC 9110 §7.8)."""
        if self._h11.they_are_waiting_for_100_continue and not self._requests.buffered:
            # Before the application starts: two tasks must not write at once.
            await self._connection.write(
                self._h11.send(h11.InformationalResponse(status_code=100, headers=[]))
            )
        self._exchange = Exchange(self._server, self._socket, self, self.answer)
        await self._exchange.handle(
            Request(
                STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=ConnectionState({}),
            )
        )

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application on one request; called by Hypercorn's `HTTPStream`."""
        # Unbounded in events, bounded in bytes by the limit of the body: with a bound here, an
        # application that does not read would keep the reader from seeing that its client left.
        sender, receiver = trio.open_memory_channel[ASGIReceiveEvent](math.inf)

        async def put(event: ASGIReceiveEvent) -> None:
            sender.send_nowait(event)

        self._tasks.start_soon(self._run, app, scope, receiver.receive, send)
        return put

    async def _run(
        self,
        app: AppWrapper,
        scope: Scope,
        receive: Callable[[], Awaitable[ASGIReceiveEvent]],
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> None:
        charges: list[GivenBack] = []  # as room of a large answer, until it is sent
        assert scope["type"] == "http"
        scope["extensions"][ROOM] = {"charges": charges}
        try:
            await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        except BaseExceptionGroup as group:
            faults, rest = group.split(Exception)
            if faults is not None:
                self._server.contain(faults)
            if rest is not None:
                raise rest from None
        except Exception as error:  # noqa: BLE001 - an application's fault ends its request alone
            self._server.contain(error)
        finally:
            for charge in charges:
                charge.give_back()
            with trio.move_on_after(FAREWELL_S, shield=True):
                await send(None)

    async def answer(self, event: Event) -> None:
        """Write one event of the application's answer; called by Hypercorn's `HTTPStream`."""
        if isinstance(event, StreamClosed):
            await self.end()
        elif self._connection.is_muted:
            pass
        elif isinstance(event, Response):
            # Known length: the whole answer leaves in one packet. A stream's head leaves at once.
            self._unsent = self._h11.send(self._response(event))
            if not any(name.lower() == b"content-length" for name, _ in event.headers):
                await self._flush(b"")
        elif isinstance(event, Body):
            await self._flush(self._h11.send(h11.Data(data=event.data)))
        elif isinstance(event, EndBody):
            await self._flush(self._h11.send(h11.EndOfMessage()))

    def _response(self, event: Response) -> h11.Response:
        headers = list(event.headers)
        present = {name.lower() for name, _ in headers}
        headers += [header for header in SAFE_HEADERS if header[0] not in present]
        headers += self._server.config.response_headers("h11")
        if self._server.stopping or self._requests.phase is not Phase.DONE:
            # With a body still to come the next request could not be told from its rest.
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=event.status_code, headers=headers)

    async def _flush(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            await self._connection.write(data)

    async def end(self) -> None:
        """The current request's answer is complete, or nobody waits for it any more."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._connection.is_muted:
            self._connection.wake()
        else:
            states = (self._h11.our_state, self._h11.their_state)
            close = states != (h11.DONE, h11.DONE) or self._server.stopping
            if not close:
                self._h11.start_next_cycle()
            self._connection.answered(close)
        await exchange.handle(StreamClosed(STREAM_ID))
