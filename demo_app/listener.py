"""Serving with Hypercorn on a socket of our own, so that one connection can be cut.

No ASGI message closes a connection without an answer. A listening socket that remembers what it
has accepted can: the framework says which peer it is answering, and the socket to that peer is
shut down. The caller sees a lost connection, the server an ordinary disconnect (it cancels the
request).
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from weakref import WeakValueDictionary

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config, Sockets
from hypercorn.typing import ASGIFramework

GRACEFUL_TIMEOUT_S = 0.5
# Longer than a caller keeps idle connections: else some calls meet one that is just being closed.
KEEP_ALIVE_TIMEOUT_S = 120
BACKLOG_CONNECTIONS = 1024


class Listener(socket.socket):
    """A bound TCP socket which knows its connections by their peer's address."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol by its number: asyncio sets TCP_NODELAY only where it reads TCP here, and
        # without it every answer on a kept connection waits 40 ms for an acknowledgement.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._accepted: WeakValueDictionary[tuple[str, int], socket.socket] = WeakValueDictionary()
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.setblocking(False)
        try:
            self.bind((host, port))
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        """The port that was really bound (0 asks for a free one)."""
        return int(self.getsockname()[1])

    def accept(self) -> tuple[socket.socket, Any]:
        """As any socket's, and remembered for as long as the server keeps the connection."""
        connection, address = super().accept()
        self._accepted[address[:2]] = connection
        return connection, address

    def drop(self, peer: tuple[str, int]) -> None:
        """Cut the connection to this peer, whatever was to be answered. Raises KeyError."""
        _cut(self._accepted[peer])

    def drop_all(self) -> None:
        """Cut every connection: a hanging request must not keep a stopping process alive."""
        for connection in list(self._accepted.values()):
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # its peer was quicker; or it is closed, and not yet collected
        connection.shutdown(socket.SHUT_RDWR)


class _OwnSocket(Config):
    """Hypercorn's configuration with our listener instead of sockets it would open itself."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.listener = listener
        self.graceful_timeout = GRACEFUL_TIMEOUT_S
        self.keep_alive_timeout = KEEP_ALIVE_TIMEOUT_S
        self.backlog = BACKLOG_CONNECTIONS
        self.loglevel = "WARNING"

    def create_sockets(self) -> Sockets:
        return Sockets([], [self.listener], [])


async def serve(app: Any, listener: Listener, wait_stop: Callable[[], Awaitable[Any]]) -> None:
    """Serve the ASGI application until `wait_stop` returns; requests still open are cut."""

    async def stop() -> None:
        await wait_stop()
        listener.drop_all()

    await hypercorn_serve(
        cast(ASGIFramework, app), _OwnSocket(listener), shutdown_trigger=stop, mode="asgi"
    )
