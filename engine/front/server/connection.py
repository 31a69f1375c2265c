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
import select
import ssl

import trio

from engine.front.server.crowd import Place
from engine.front.server.exchange import FAREWELL_S, Application, peer_of
from engine.front.server.post import Door, Post, Stranger, read_post
from engine.front.server.refusal import Denied, linger, refusal_bytes
from engine.front.server.reply import Reply, reply_head
from engine.front.server.room import BodyRoom, no_room
from engine.front.server.serving import Serving
from engine.front.server.strict import BadRequest, Phase, RequestHead, RequestReader
from engine.front.server.tls import Sealed, reason_of
from engine.ports.caller import SMALL_BYTES_MAX
from engine.process.deadlines import Timer

READ_BYTES = 64 * 1024


class Connection:
    """Serves the requests of one client, one after the other."""

    def __init__(
        self,
        server: Serving,
        stream: trio.SocketStream,
        place: Place,
        tls: Sealed | None = None,
        *,
        is_beyond: bool = False,
    ) -> None:
        """`is_beyond`: its place is one beyond `connections_max` (`beyond.py`)."""
        self._server = server
        self._is_beyond = is_beyond
        self._place = place
        place.member = self
        self._stream = stream
        self._tls = tls
        self._requests = RequestReader(server.limits)
        self._post: Post | None = None  # a post for the door, while its body comes
        self._room = BodyRoom(server.rooms, self.wake)
        self._roomless: bytes | None = None  # taken, and not passed on before there is room
        self._app: Application | None = None  # once it is needed
        self._for_app: bytes | None = None  # taken, and not passed on before there is an `_app`
        self._fd = stream.socket.fileno()
        self._stranger: Stranger | None = None  # the peer, where only proxies are told more
        if server.door is not None and server.door.has_proxies:
            self._stranger = server.door.stranger(peer_of(stream.socket))
        self._scope = trio.CancelScope()  # the reader's
        self._reading = False  # the reader waits for bytes
        self._answering = False  # the reader answers a post
        self._woken = False
        self._left = False  # the client has closed its side
        self._phase: Phase | None = None
        self._timer = Timer(self._time_out)
        self._timed_out = False
        self._over = False  # the reader is to end
        self.is_muted = False
        """Nothing more may be written."""
        self._lingers = False  # an answer was sent that closing must not destroy
        self._for_client: trio.CancelScope | None = None  # around what only the client can end
        if tls is not None and tls.early:
            self._requests.receive(tls.early)
            self._woken = True

    def _peer(self) -> str | None:
        return peer_of(self._stream.socket)

    async def run(self) -> None:
        """Serve until the client leaves, a time-out strikes or the server stops.

        Lets through what the protocol libraries raise; the caller contains it and closes the
        stream.
        """
        self._server.hang_ups.watch(self._fd, self._client_left)
        self._set_timeout(self._server.limits.header_timeout_s, Phase.IDLE)
        try:
            await self._read()
            if self._for_app is not None:
                self._woken = True
                async with trio.open_nursery() as tasks:
                    socket = self._stream.socket
                    self._app = Application(self._server, socket, self._requests, self, tasks)
                    await self._read()
                    await self._leave()
                    # The application had its `http.disconnect`; whoever ignores that is cancelled.
                    tasks.cancel_scope.cancel()
            else:
                await self._leave()
        finally:
            self._place.leave()
            self._app = None  # it knows this: a circle would wait for the collector
            self._room.closed()
            self._server.deadlines.stop(self._timer)
            self._server.hang_ups.forget(self._fd)

    def stop(self) -> None:
        """The server stops: end now if no request is under way, else after its answer."""
        if self._phase is Phase.IDLE and not self._requests.buffered:
            self._over = True
            self.wake()

    def give_way(self) -> bool:
        """End, for want of room for others: as if its time were over. False: something came."""
        if self._for_client is not None:
            self._for_client.cancel()
        elif has_input(self._fd) or (self._phase is Phase.IDLE and self._requests.buffered):
            return False
        self._over = True
        self.wake()
        return True

    async def _leave(self) -> None:
        self._over = self.is_muted = True
        if self._app is not None:
            await self._app.end()
        if self._tls is not None:
            self._tls.say_goodbye()
        if self._lingers and not self._place.gave_way:
            self._place.waits()
            with trio.CancelScope() as self._for_client:
                await linger(self._stream, self._server.limits)

    # --- the reader ---

    @property
    def _reads_on(self) -> bool:
        """Neither is the connection over, nor does a request wait for the application's side:
        thousands of connections only ever carry posts, and need none."""
        return not self._over and (self._for_app is None or self._app is not None)

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
        if self._tls is not None and self._tls.is_over:
            self._over = True
            return True
        room = self._requests.buffered < self._server.limits.pipelined_bytes_max
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
                came = os.read(self._fd, READ_BYTES)
                if self._tls is None:
                    data = came
                elif came:
                    data = self._tls.open(came)
                    if not data and not self._tls.is_over:
                        return True
            except BlockingIOError:
                return True
            except ssl.SSLError as error:
                self._server.tls_failed(reason_of(error))
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
            await self._room.wait_for_room(self._roomless or b"")
        finally:
            self._reading = False
        return not self._woken

    def _client_left(self) -> None:
        """Told by `HangUps`. A reader that may read on comes to the end of the stream by itself."""
        self._left = True
        if self._answering:
            self._over = self.is_muted = True
            self._scope.cancel()
        elif self._roomless is not None:
            self._over = True
            self.wake()
        elif self._requests.buffered >= self._server.limits.pipelined_bytes_max:
            self.wake()

    async def _advance(self) -> None:
        """Pass on what is checked of the current request."""
        if self._for_app is not None and self._app is not None:
            checked, self._for_app = self._for_app, None
            return await self._app.pass_on(checked)
        checked, phase = self._take(), self._requests.phase
        if phase is not self._phase:
            if phase is Phase.HEAD:
                self._set_timeout(self._server.limits.header_timeout_s, phase)
            elif phase is Phase.BODY:
                self._set_timeout(self._server.limits.body_timeout_s, phase)
                self._place.stalls()
            else:
                self._phase, self._timed_out = phase, False
                self._timer.deadline = math.inf
                self._place.works()
        if not checked:
            return
        if phase is Phase.DONE:
            self._room.body_whole()
        if self._server.door is not None and self._take_post(checked):
            if phase is Phase.DONE:
                await self._answer_post(self._server.door)
        elif self._app is None:
            self._for_app = checked
        else:
            await self._app.pass_on(checked)

    def _take(self) -> bytes:
        """What is checked of the current request, when there is room for it."""
        checked, self._roomless = self._roomless, None
        if checked is None:
            checked = self._requests.take()
            head = self._requests.head
            if head is not None:
                if head.authorization != self._place.shown:
                    self._place.shows(head.authorization)
                self._refuse_if_denied(head, checked)
            size = len(checked) - (0 if head is None else self._requests.head_size)
        else:
            head, size = None, 0
        if self._room.bytes_came(head, size):
            self._roomless, checked = checked, b""
        if head is not None and self._is_beyond:
            self._find_place(head)
        return checked

    def _find_place(self, head: RequestHead) -> None:
        """One among the others, if there is room by now. Raises BadRequest where there is none,
        unless it is a request that is answered all the same."""
        place, door = self._server.find_place(), self._server.door
        if place is not None:
            self._place.leave()
            place.member, self._place, self._is_beyond = self, place, False
            place.shows(head.authorization)
        elif door is None or not door.lets_in(head):
            self._server.count_turned_away()
            raise BadRequest(503, "too many connections", "overloaded", "connections_max")

    def _refuse_if_denied(self, head: RequestHead, checked: bytes) -> None:
        """Raises Denied for a stranger's request, and for one with a body whose sender may not
        send it. Without a body such a one is answered like any other, and its connection goes
        on."""
        door = self._server.door
        if door is None:
            return
        if self._stranger is not None and (reply := self._stranger(head)) is not None:
            raise Denied(reply, checked[: self._requests.head_size])
        if not door.asks_token or head.body_bytes == 0:
            return
        if (reply := door.denied(head, self._peer)) is not None:
            raise Denied(reply, checked[: self._requests.head_size])

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
            reply = await door.answer(post.client, post.fields, body, self._peer)
            close = post.close or self._server.stopping
            if not self.is_muted:
                await self._write_reply(reply, close=close)
        except trio.Cancelled:
            if self._server.stopping and not self.is_muted:
                refusal = self._server.refuse(503, "draining", "the server is stopping", None)
                with trio.move_on_after(FAREWELL_S, shield=True):
                    await self.write(refusal_bytes(self._server.config, 503, refusal))
            raise
        finally:
            self._answering = False
            body.let_go()
            if reply is not None and reply.room is not None:
                reply.room.give_back()
        if not self.is_muted:
            self.answered(close)
            if self._requests.buffered:
                await trio.lowlevel.checkpoint()  # pipelined posts may all be refused at once

    def answered(self, close: bool) -> None:
        """The current request has its answer: read the next one, or end."""
        if close:
            self._over = self._lingers = True
            self.wake()
            return
        self._room.give_back()
        self._requests.next_request()
        self._set_timeout(self._server.limits.keep_alive_timeout_s, Phase.IDLE)
        self._place.waits()
        if self._requests.buffered:
            self.wake()

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
        self._server.count_refusal()
        if (door := self._server.door) is not None and refusal.status == 503:
            door.refused(refusal.limit or "", self._room.current)
        elif door is not None and (refusal.head or self._phase is Phase.BODY):
            door.refused_for_good(self._room.current, refusal)
        is_answered = self._app is not None and self._app.has_answered
        self._over = self.is_muted = True
        self._roomless = None
        self._room.give_back()
        if self._app is not None:
            await self._app.end()
        if not is_answered:
            await self.write(self._refusal_bytes(refusal))
            self._lingers = True

    def _refusal_bytes(self, refusal: BadRequest) -> bytes:
        if isinstance(refusal, Denied):
            reply = refusal.reply
            return reply_head(reply, self._server.shared_headers(), close=True) + reply.body
        body = self._server.refuse(refusal.status, refusal.problem, refusal.detail, refusal.limit)
        return refusal_bytes(self._server.config, refusal.status, body)

    # --- time ---

    def _set_timeout(self, seconds: float, phase: Phase) -> None:
        self._phase = phase
        self._timed_out = False
        deadlines = self._server.deadlines
        deadlines.move(self._timer, deadlines.now() + seconds)

    def _time_out(self) -> None:
        self._timed_out = True
        self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        self._woken = True
        if self._reading:
            self._scope.cancel()

    async def _write_reply(self, reply: Reply, *, close: bool) -> None:
        head = reply_head(reply, self._server.shared_headers(), close=close)
        if len(reply.body) <= SMALL_BYTES_MAX:
            await self.write(head + reply.body)
        else:  # not copied
            await self.write(head)
            if not self.is_muted:
                await self.write(reply.body)

    async def write(self, data: bytes) -> None:
        """Send, within the time a client has for reading; else the connection is given up."""
        whole = False
        try:
            # Nearly every answer fits into the kernel's buffer: then no scope, lock or checkpoint.
            tls = self._tls
            rest = self._write_nowait(data) if tls is None else tls.send_nowait(data)
            if rest:
                self._place.stalls()
                with trio.move_on_after(self._server.limits.unread_answer_timeout_s) as scope:
                    self._for_client = scope
                    await (self._stream if tls is None else tls).send_all(rest)
                whole = not scope.cancelled_caught
                self._place.works()
            else:
                whole = True
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left
        finally:
            self._for_client = None
            if not whole:  # cancelled, too: after half an answer nothing else may follow
                self._over = self.is_muted = True
                self.wake()

    def _write_nowait(self, data: bytes) -> memoryview | bytes:
        """Send what the kernel takes at once; returns the rest."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError:
            sent = 0
        return b"" if sent == len(data) else memoryview(data)[sent:]


def has_input(fd: int) -> bool:
    """Whether there is something to read: bytes, or the end of the stream."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
