"""One client connection: strict HTTP/1.1 in, an ASGI application behind it.

Of Hypercorn this uses the ASGI side (`HTTPStream`), of h11 the protocol's state machine. The
connection itself is ours, because Hypercorn's (0.18) stops reading while a pipelined request
waits, and so misses that the client has left; keeps its time-outs in a task that quart-trio's
cancel kills; shields `send_all`, so that one client that never reads holds up the exit; and can be
switched to HTTP/2 by any client.

The *reader* is the task that reads, answers the door's posts, starts other requests, refuses and
closes. While it answers a post it reads nothing: what is sent meanwhile waits in the kernel, and
`HangUps` tells when the client leaves. Any other request has a task of the *application* beside the
reader. It only writes its answer, and wakes the reader, by cancelling its read, when the answer is
complete; so does a time-out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable
from functools import cached_property

import h11
import trio
from hypercorn.config import Config
from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope

from engine.budget import Charge
from engine.deadlines import Timer
from engine.front.exchange import STREAM_ID, Exchange
from engine.front.host import Host
from engine.front.post import Door, Post, read_post
from engine.front.refusal import (
    SAFE_HEADERS,
    linger,
    refusal_bytes,
)
from engine.front.reply import HELD, Reply, reply_head
from engine.front.room import BodyRoom, no_room
from engine.front.strict import BadRequest, Phase, RequestReader
from engine.ports.caller import SMALL_BYTES_MAX

READ_BYTES = 64 * 1024
FAREWELL_S = 0.5
"""For a last answer to a request whose handler was cut at the end of the grace."""


class Connection:
    """Serves the requests of one client, one after the other."""

    def __init__(self, host: Host, stream: trio.SocketStream) -> None:
        self._host = host
        self._stream = stream
        self._requests = RequestReader(host.limits)
        self._exchange: Exchange | None = None
        self._post: Post | None = None  # a post for the door, while its body comes
        self._room = BodyRoom(host.rooms, self._wake)
        self._roomless: bytes | None = None  # taken, and not passed on before there is room
        self._nursery: trio.Nursery | None = None  # of the application's tasks, once it is needed
        self._for_app: bytes | None = None  # taken, and not passed on before there is a nursery
        self._fd = stream.socket.fileno()
        self._scope = trio.CancelScope()  # the reader's
        self._reading = False  # the reader waits for bytes
        self._answering = False  # the reader answers a post
        self._woken = False
        self._left = False  # the client has closed its side
        self._phase: Phase | None = None
        self._timer = Timer(self._time_out)
        self._timed_out = False
        self._unsent = b""  # an answer's head that waits for its body
        self._muted = False  # nothing more may be written
        self._over = False  # the reader is to end
        self._lingers = False  # an answer was sent that closing must not destroy

    async def run(self) -> None:
        """Serve until the client leaves, a time-out strikes or the server stops.

        Lets through what the protocol libraries raise; the caller contains it and closes the
        stream.
        """
        self._host.hang_ups.watch(self._fd, self._client_left)
        self._arm(self._host.limits.header_timeout_s, Phase.IDLE)
        try:
            await self._read()
            if self._for_app is not None:
                self._woken = True
                async with trio.open_nursery() as self._nursery:
                    await self._read()
                    await self._leave()
                    # The application had its `http.disconnect`; whoever ignores that is cancelled.
                    self._nursery.cancel_scope.cancel()
            else:
                await self._leave()
        finally:
            self._room.closed()
            self._host.deadlines.stop(self._timer)
            self._host.hang_ups.forget(self._fd)

    @cached_property
    def _h11(self) -> h11.Connection:
        """Made when it is needed: thousands of connections only ever carry posts.

        What reaches it is checked and bounded already; its own limit must not strike first.
        """
        bytes_max = 4 * self._host.limits.body_bytes_max
        return h11.Connection(h11.SERVER, max_incomplete_event_size=bytes_max)

    def stop(self) -> None:
        """The server stops: end now if no request is under way, else after its answer."""
        if self._phase is Phase.IDLE and not self._requests.buffered:
            self._over = True
            self._wake()

    async def _leave(self) -> None:
        self._over = self._muted = True
        await self._end_exchange()
        if self._lingers:
            await linger(self._stream, self._host.limits)

    # --- the reader ---

    @property
    def _reads_on(self) -> bool:
        """Neither is the connection over, nor does a request wait for a nursery: thousands of
        connections only ever carry posts, and need none."""
        return not self._over and (self._for_app is None or self._nursery is not None)

    async def _read(self) -> None:
        while self._reads_on:
            with trio.CancelScope() as self._scope:
                await self._serve()

    async def _serve(self) -> None:
        """Read and pass on until the connection is over, or the reader is woken out of a read."""
        while self._reads_on:
            try:
                if not self._woken and not await self._receive():
                    return  # woken while bytes came: the scope is cancelled and serves no further
                self._woken = False
                if self._room.is_given_up:
                    raise no_room()
                if self._timed_out:
                    await self._expire()
                elif not self._over:
                    await self._advance()
            except BadRequest as refusal:
                await self._refuse(refusal)

    async def _receive(self) -> bool:
        """Wait for bytes and take them, unless woken. Always a checkpoint: who floods us starves
        nobody. While a body has no room nothing is read. Raises BadRequest."""
        if self._roomless is not None:
            return await self._wait_room()
        room = self._requests.buffered < self._host.limits.pipelined_bytes_max
        self._reading = True
        try:
            if room:
                await trio.lowlevel.wait_readable(self._fd)
            elif not self._left:
                await trio.sleep_forever()
        finally:
            self._reading = False
        if self._woken:
            return False
        data = b""
        if room:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                pass  # the connection is lost
        if data:
            self._requests.receive(data)
        else:
            self._over = True  # The client has left; so has one that only closed its sending side.
        return True

    async def _wait_room(self) -> bool:
        self._reading = True
        try:
            await self._room.wait(self._roomless or b"")
        finally:
            self._reading = False
        return not self._woken

    def _client_left(self) -> None:
        """Told by `HangUps`. A reader that may read on comes to the end of the stream by itself."""
        self._left = True
        if self._answering:
            self._over = self._muted = True
            self._scope.cancel()
        elif self._roomless is not None:
            self._over = True
            self._wake()
        elif self._requests.buffered >= self._host.limits.pipelined_bytes_max:
            self._wake()

    async def _advance(self) -> None:
        """Pass on what is checked of the current request."""
        if self._for_app is not None:
            checked, self._for_app = self._for_app, None
            return await self._pass_on(checked)
        checked, phase = self._take(), self._requests.phase
        if phase is not self._phase:
            if phase is Phase.HEAD:
                self._arm(self._host.limits.header_timeout_s, phase)
            elif phase is Phase.BODY:
                self._arm(self._host.limits.body_timeout_s, phase)
            else:
                self._arm(math.inf, phase)
        if not checked:
            return
        if phase is Phase.DONE:
            self._room.whole()
        if self._host.door is not None and self._take_post(checked):
            if phase is Phase.DONE:
                await self._answer_post(self._host.door)
        elif self._nursery is None:
            self._for_app = checked
        else:
            await self._pass_on(checked)

    def _take(self) -> bytes:
        """What is checked of the current request, when there is room for it."""
        checked, self._roomless = self._roomless, None
        if checked is None:
            checked = self._requests.take()
            head = self._requests.head
            size = len(checked) - (0 if head is None else self._requests.head_size)
        else:
            head, size = None, 0
        if self._room.came(head, size):
            self._roomless, checked = checked, b""
        return checked

    async def _pass_on(self, checked: bytes) -> None:
        """To the application, by way of h11."""
        self._h11.receive_data(checked)
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequest(error.error_status_hint, str(error)) from error
            if isinstance(event, h11.Request):
                await self._begin_exchange(event)
            elif isinstance(event, h11.Data):
                if self._exchange is not None:
                    await self._exchange.handle(Body(STREAM_ID, bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                if self._exchange is not None:
                    await self._exchange.handle(EndBody(STREAM_ID))
                return
            else:
                return  # NEED_DATA, or PAUSED behind an ignored Upgrade

    def _take_post(self, checked: bytes) -> bool:
        """Whether these bytes are a post's, for the door."""
        head = self._requests.head
        if head is not None:
            self._post = read_post(head)
            checked = checked[self._requests.head_size :]
        if self._post is None:
            return False
        self._room.keep(checked)
        return True

    async def _answer_post(self, door: Door) -> None:
        """Answer the post that has been taken whole."""
        post, self._post = self._post, None
        assert post is not None
        body = self._room.hand_over()
        self._answering = True
        reply: Reply | None = None
        if self._left:
            self._client_left()  # it is taken up all the same, as if the client had left just now
        try:
            reply = await door.answer(post.client, post.fields, body)
            close = post.close or self._host.stopping
            if not self._muted:
                await self._write_reply(reply, close=close)
        except trio.Cancelled:
            if self._host.stopping and not self._muted:
                refusal = self._host.refuse(503, "draining", "the server is stopping", None)
                with trio.move_on_after(FAREWELL_S, shield=True):
                    await self._write(refusal_bytes(self._host.config, 503, refusal))
            raise
        finally:
            self._answering = False
            body.let_go()
            if reply is not None and reply.room is not None:
                reply.room.give_back()
        if not self._muted:
            self._next(close)
            if self._requests.buffered:
                await trio.lowlevel.checkpoint()  # pipelined posts may all be refused at once

    def _next(self, close: bool) -> None:
        """The current request has its answer: read the next one, or end."""
        if close:
            self._over = self._lingers = True
            self._wake()
            return
        self._room.give_back()
        self._requests.next_request()
        self._arm(self._host.limits.keep_alive_timeout_s, Phase.IDLE)
        if self._requests.buffered:
            self._wake()

    async def _begin_exchange(self, request: h11.Request) -> None:
        """Start the application on a request. An Upgrade is ignored (RFC 9110 §7.8)."""
        if self._h11.they_are_waiting_for_100_continue and not self._requests.buffered:
            # Before the application starts: two tasks must not write at once.
            await self._write(
                self._h11.send(h11.InformationalResponse(status_code=100, headers=[]))
            )
        self._exchange = Exchange(self._host, self._stream.socket, self, self.answer)
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

    async def _expire(self) -> None:
        """A time-out: a client that said nothing is left without a word."""
        if self._phase is Phase.IDLE:
            self._over = True
        elif self._phase is Phase.HEAD:
            await self._refuse(BadRequest(408, "the head did not come in time"))
        else:
            await self._refuse(BadRequest(408, "the body did not come in time"))

    async def _refuse(self, refusal: BadRequest) -> None:
        """Answer with a problem, if no other answer has begun, and end the connection."""
        self._host.count_refusal()
        if (door := self._host.door) is not None and refusal.status == 503:
            door.refused(refusal.limit or "", self._room.client, self._room.fields)
        elif door is not None and (refusal.head or self._phase is Phase.BODY):
            door.refused_for_good(self._room.current, refusal)
        answered = self._h11.our_state not in {h11.IDLE, h11.SEND_RESPONSE}
        self._over = self._muted = True
        self._roomless = None
        self._room.give_back()
        await self._end_exchange()
        if not answered:
            body = self._host.refuse(refusal.status, refusal.problem, refusal.detail, refusal.limit)
            await self._write(refusal_bytes(self._host.config, refusal.status, body))
            self._lingers = True

    # --- time ---

    def _arm(self, seconds: float, phase: Phase) -> None:
        self._phase = phase
        self._timed_out = False
        deadlines = self._host.deadlines
        deadlines.move(self._timer, deadlines.now() + seconds)

    def _time_out(self) -> None:
        self._timed_out = True
        self._wake()

    def _wake(self) -> None:
        self._woken = True
        if self._reading:
            self._scope.cancel()

    # --- the application's side ---

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

        assert self._nursery is not None
        self._nursery.start_soon(self._run_app, app, scope, receiver.receive, send)
        return put

    async def _run_app(
        self,
        app: AppWrapper,
        scope: Scope,
        receive: Callable[[], Awaitable[ASGIReceiveEvent]],
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> None:
        held: list[Charge] = []  # room of a large answer, until it is sent
        assert scope["type"] == "http"
        scope["extensions"][HELD] = {"charges": held}
        try:
            await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        except BaseExceptionGroup as group:
            faults, rest = group.split(Exception)
            if faults is not None:
                self._host.contain(faults)
            if rest is not None:
                raise rest from None
        except Exception as error:  # noqa: BLE001 - an application's fault ends its request alone
            self._host.contain(error)
        finally:
            for charge in held:
                charge.give_back()
            with trio.move_on_after(FAREWELL_S, shield=True):
                await send(None)

    async def answer(self, event: Event) -> None:
        """Write one event of the application's answer; called by Hypercorn's `HTTPStream`."""
        if isinstance(event, StreamClosed):
            await self._end_exchange()
        elif self._muted:
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
        headers += self._host.config.response_headers("h11")
        if self._host.stopping or self._requests.phase is not Phase.DONE:
            # With a body still to come the next request could not be told from its rest.
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=event.status_code, headers=headers)

    async def _flush(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            await self._write(data)

    async def _write_reply(self, reply: Reply, *, close: bool) -> None:
        head = reply_head(reply, self._host.shared_headers(), close=close)
        if len(reply.body) <= SMALL_BYTES_MAX:
            await self._write(head + reply.body)
        else:  # not copied
            await self._write(head)
            if not self._muted:
                await self._write(reply.body)

    async def _write(self, data: bytes) -> None:
        """Send, within the time a client has for reading; else the connection is given up."""
        whole = False
        try:
            # Nearly every answer fits into the kernel's buffer: then no scope, lock or checkpoint.
            rest = self._write_nowait(data)
            if rest:
                with trio.move_on_after(self._host.limits.unread_answer_timeout_s) as scope:
                    await self._stream.send_all(rest)
                whole = not scope.cancelled_caught
            else:
                whole = True
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left
        finally:
            if not whole:  # cancelled, too: after half an answer nothing else may follow
                self._over = self._muted = True
                self._wake()

    def _write_nowait(self, data: bytes) -> memoryview | bytes:
        """Send what the kernel takes at once; returns the rest."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        return b"" if sent == len(data) else memoryview(data)[sent:]

    async def _end_exchange(self) -> None:
        """The current request's answer is complete, or nobody waits for it any more."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._muted:
            self._wake()
        else:
            states = (self._h11.our_state, self._h11.their_state)
            close = states != (h11.DONE, h11.DONE) or self._host.stopping
            if not close:
                self._h11.start_next_cycle()
            self._next(close)
        await exchange.handle(StreamClosed(STREAM_ID))
