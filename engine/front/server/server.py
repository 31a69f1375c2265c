"""The HTTP server: accepts connections and serves an ASGI (Quart-trio) application on Trio.

Rules: no client can end the server, only its own connection; every wait has a limit; `serve`
returns at most about a second after the grace, whatever clients and handlers do.

It knows nothing of the engine. HTTP/1.1 and HTTP/1.0 only: nothing switches a connection to another
protocol.
"""

from __future__ import annotations

import errno
import math
import socket as stdlib_socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from hypercorn.utils import LifespanTimeoutError, wrap_app

from engine.front.server.accept import ACCEPTED_AT_ONCE_MAX, accept_all
from engine.front.server.beyond import Beyond
from engine.front.server.certificate import Certificate
from engine.front.server.connection import Connection
from engine.front.server.crowd import Crowd, Place
from engine.front.server.post import Door
from engine.front.server.refusal import SAFE_HEADERS, Refuse, linger, refusal_bytes
from engine.front.server.room import GoesFirst, Rooms, nobody_first
from engine.front.server.strict import ServerLimits
from engine.front.server.tls import HANDSHAKE_S_MAX, Handshake, HandshakeError, Sealed, sealed
from engine.process.budget import Budget
from engine.process.deadlines import Deadlines
from engine.process.platform.hang_ups import hang_ups
from engine.process.platform.sockets import unacknowledged

__all__ = ["ServerCounters", "ServerLimits", "default_refusal", "open_listeners", "serve"]

Log = Callable[[str, dict[str, object]], None]
"""(event, fields): what an operator should see."""

ANY_ADDRESS = "::"
LIFESPAN_SHUTDOWN_S = 0.5
REASONS_MAX = 32
"""That are said each once in `SAID_EVERY_S`; those beyond all together."""
SAID_EVERY_S = 60.0
"""No descriptor for a connection, ten times a second, or a client that does not trust our
certificate: a line for each would fill the log."""


class ServerCounters(msgspec.Struct):
    """What the server has seen since its start; `connections_open` is a gauge."""

    connections_open: int = 0
    connections: int = 0
    connections_refused: int = 0
    """Above `connections_max`."""
    accepts_failed: int = 0
    """The system had no descriptor or memory for one; tried again a moment later."""
    tls_failures: int = 0
    """Connections without a handshake, or that TLS has ended."""
    requests_refused: int = 0
    """Malformed, too large or too slow."""
    faults_contained: int = 0
    """Exceptions of the application or the protocol libraries that ended one connection."""


def ignore_log(event: str, fields: dict[str, object]) -> None:
    """A log for those who want none."""


def default_refusal(status: int, problem: str, detail: str, limit: str | None) -> bytes:
    """A problem document of RFC 9457; `problem` is the last segment of its type."""
    named = {} if limit is None else {"limit": limit}
    return msgspec.json.encode(
        {
            "type": f"/problems/{problem}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "errorSource": "request" if status < 500 else "engine",
            **named,
        }
    )


def open_listeners(
    host: str, port: int, limits: ServerLimits, backlog: int = 4096
) -> list[trio.SocketListener]:
    """Bind every address that the name or literal `host` has. Port 0: any free one. `::` is every
    address of IPv4 too, where the system has one socket for both.

    Raises OSError when the name is unknown or an address is in use.
    """
    listeners: list[trio.SocketListener] = []
    found = stdlib_socket.getaddrinfo(
        host, port, type=stdlib_socket.SOCK_STREAM, flags=stdlib_socket.AI_PASSIVE
    )
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = stdlib_socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEADDR, 1)
                if family == stdlib_socket.AF_INET6:
                    _take_family(sock, both=host == ANY_ADDRESS)
                # Accepted sockets inherit both. The first drops a client that leaves an answer
                # unread in the kernel's buffers, where no deadline of ours reaches.
                for option in unacknowledged(limits.unread_answer_timeout_s):
                    sock.setsockopt(*option)
                sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
                sock.bind(address)
                sock.listen(backlog)
                sock.setblocking(False)
                listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(sock)))
            except BaseException:
                sock.close()
                raise
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


def _take_family(sock: stdlib_socket.socket, *, both: bool) -> None:
    """Said, as systems differ in what is usual; some know IPv6 alone."""
    level, name = stdlib_socket.IPPROTO_IPV6, stdlib_socket.IPV6_V6ONLY
    sock.setsockopt(level, name, 1)
    if both:
        with suppress(OSError):
            sock.setsockopt(level, name, 0)


async def serve(
    app: ASGIFramework,
    listeners: list[trio.SocketListener],
    limits: ServerLimits,
    stop: trio.Event,
    *,
    grace_s: float,
    log: Log = ignore_log,
    refuse: Refuse = default_refusal,
    counters: ServerCounters | None = None,
    door: Door | None = None,
    budget: Budget | None = None,
    goes_first: GoesFirst = nobody_first,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop`; then requests under way get `grace_s` seconds, idle clients none.

    With a `door`, posts are answered there and never reach `app`. `budget` bounds the bytes in
    memory (without one there is room for everything), and `goes_first` says for whom some is kept.
    With a `certificate` nothing but TLS is spoken.
    Takes the listeners over and closes them. Raises what the application's lifespan start-up
    raises, in a group.
    """
    server = _Server(
        app,
        limits,
        log,
        refuse,
        counters or ServerCounters(),
        door,
        budget,
        goes_first,
        certificate,
    )
    lifespan = Lifespan(server.app, server.config, {})
    async with trio.open_nursery() as lifespan_nursery:
        try:
            await lifespan_nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            await server.run(listeners, stop, grace_s, task_status)
        finally:
            for listener in listeners:
                listener.socket.close()
        try:
            await lifespan.wait_for_shutdown()
        except LifespanTimeoutError:
            log("lifespan-shutdown-cut", {"after_s": LIFESPAN_SHUTDOWN_S})
        lifespan_nursery.cancel_scope.cancel()


class _Server:
    """The connections of one `serve`, and what they share (see `serving.Serving`)."""

    def __init__(
        self,
        app: ASGIFramework,
        limits: ServerLimits,
        log: Log,
        refuse: Refuse,
        counters: ServerCounters,
        door: Door | None,
        budget: Budget | None,
        goes_first: GoesFirst,
        certificate: Certificate | None,
    ) -> None:
        self.config = Config()
        self.config.include_server_header = False
        self.config.errorlog = None  # faults go to `log`, accesses nowhere
        self.config.shutdown_timeout = LIFESPAN_SHUTDOWN_S
        self.app = wrap_app(app, limits.body_bytes_max, "asgi")
        self.context = WorkerContext(None)
        self.limits = limits
        self.refuse = refuse
        self.door = door
        self.deadlines = Deadlines()
        self.hang_ups = hang_ups()
        self.budget = budget or Budget(1 << 50)
        self.rooms = Rooms(self.budget, limits, goes_first)
        self.is_tls = certificate is not None
        self.stopping = False
        self._certificate = certificate
        self._shared = (-1, b"")  # the second it was made in, and the lines
        self._log = log
        self._counters = counters
        self._said_at: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._crowd = Crowd(limits.connections_max, door)
        self._beyond = Beyond(limits.beyond_max, door)

    @property
    def _accepted_at_once_max(self) -> int:
        return max(1, min(ACCEPTED_AT_ONCE_MAX, self.limits.beyond_max // 2))

    def shared_headers(self) -> bytes:
        second = int(self.deadlines.now())
        if self._shared[0] != second:
            headers = [*SAFE_HEADERS, *self.config.response_headers("h11")]
            self._shared = (second, b"".join(b"%s: %s\r\n" % header for header in headers))
        return self._shared[1]

    def contain(self, error: Exception) -> None:
        self._counters.faults_contained += 1
        self._log("connection-failed", {"error": error})

    def count_refusal(self) -> None:
        self._counters.requests_refused += 1

    def count_turned_away(self) -> None:
        self._counters.connections_refused += 1

    def find_place(self) -> Place | None:
        return self._crowd.enter()

    def _count_open(self) -> None:
        self._counters.connections_open = len(self._crowd) + len(self._beyond)

    def _turned_away_unheard(self) -> None:
        """One was closed without a word, and before it could say what it wanted: perhaps a post of
        any attempt."""
        self.count_turned_away()
        if self.door is not None:
            self.door.refused("connections_max", None)

    async def run(
        self,
        listeners: list[trio.SocketListener],
        stop: trio.Event,
        grace_s: float,
        task_status: trio.TaskStatus[None],
    ) -> None:
        try:
            async with trio.open_nursery() as watchers:
                watchers.start_soon(self.deadlines.run)
                watchers.start_soon(self.hang_ups.run)
                watchers.start_soon(self.rooms.run)
                if self._certificate is not None:
                    watchers.start_soon(self._certificate.run)
                await self._serve_all(listeners, stop, grace_s, task_status)
                watchers.cancel_scope.cancel()
        finally:
            self.hang_ups.close()

    async def _serve_all(
        self,
        listeners: list[trio.SocketListener],
        stop: trio.Event,
        grace_s: float,
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:

                def start(stream: trio.SocketStream) -> None:
                    # Counted here, in the order they came: tasks begin in any order.
                    self._counters.connections += 1
                    place = self._crowd.enter()
                    is_beyond = place is None
                    if place is None:
                        place = self._beyond.enter()
                    self._count_open()
                    connections.start_soon(self._handle, stream, place, is_beyond)

                for listener in listeners:
                    await accepting.start(
                        accept_all, listener, start, self._no_room, self._accepted_at_once_max
                    )
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            # Each connection accepted till then has been started: it is a member.
            self.stopping = True
            connections.cancel_scope.deadline = trio.current_time() + grace_s
            for member in (*self._crowd.members, *self._beyond.members):
                member.stop()

    async def _handle(self, stream: trio.SocketStream, place: Place | None, beyond: bool) -> None:
        """Serve one connection, and close it. No exception but a cancel leaves here."""
        try:
            if place is not None:
                try:
                    await self._serve(stream, place, beyond)
                finally:
                    place.leave()
                    self._count_open()
                    if beyond and place.gave_way and place.has_shown_nothing:
                        self._turned_away_unheard()
            else:
                self._turned_away_unheard()
        except BaseExceptionGroup as group:
            faults, rest = group.split(Exception)
            if faults is not None:
                self.contain(faults)
            if rest is not None:
                raise rest from None
        except Exception as error:  # noqa: BLE001 - one connection's fault must not end the server
            self.contain(error)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream, place: Place, beyond: bool) -> None:
        if place.gave_way:
            return
        tls = None
        if self._certificate is not None:
            tls = await self._shake_hands(stream, place, self._certificate)
            if tls is None:
                return
        await Connection(self, stream, place, tls, is_beyond=beyond).run()

    async def _shake_hands(
        self, stream: trio.SocketStream, place: Place, certificate: Certificate
    ) -> Sealed | None:
        """The connection with TLS, or None: it is over."""
        handshake = place.member = Handshake()
        try:
            with handshake.scope:
                tls = await sealed(stream, certificate.context)
                return None if place.gave_way or self.stopping else tls
        except HandshakeError as error:
            self.tls_failed(str(error))
            if error.is_http:
                await self._tell(stream, 400, "bad-request", "This port speaks TLS: https://")
        except trio.BrokenResourceError:
            self.tls_failed("the client left in the handshake")
        if handshake.scope.cancelled_caught and not (place.gave_way or self.stopping):
            self.tls_failed(f"no handshake in {HANDSHAKE_S_MAX:g} s")
        return None

    def tls_failed(self, reason: str) -> None:
        self._counters.tls_failures += 1
        self._say("tls-failed", reason)

    def _no_room(self, error: OSError) -> None:
        self._counters.accepts_failed += 1
        self._say("accept-failed", errno.errorcode[error.errno or 0])

    def _say(self, event: str, reason: str) -> None:
        now = trio.current_time()
        key = event, reason
        if key not in self._said_at and len(self._said_at) >= REASONS_MAX:
            self._said_at = {it: at for it, at in self._said_at.items() if now < at + SAID_EVERY_S}
            key = key if len(self._said_at) < REASONS_MAX else (event, "")
        self._unsaid[key] += 1
        if now >= self._said_at.get(key, -math.inf) + SAID_EVERY_S:
            self._said_at[key] = now
            self._log(event, {"reason": key[1] or "others", "times": self._unsaid.pop(key)})

    async def _tell(
        self,
        stream: trio.SocketStream,
        status: int,
        problem: str,
        detail: str,
    ) -> None:
        """Answer a client that gets no connection of ours."""
        body = self.refuse(status, problem, detail, None)
        try:
            with trio.move_on_after(self.limits.linger_timeout_s):
                await stream.send_all(refusal_bytes(self.config, status, body))
            await linger(stream, self.limits)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # gone already
