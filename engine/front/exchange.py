"""Hypercorn's ASGI side of one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.protocol.events import Body, EndBody, Event, Response
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.utils import parse_socket_addr

from engine.front.host import Host
from engine.front.refusal import refusal_headers

STREAM_ID = 1  # HTTP/1.1 has one stream


class Exchange(HTTPStream):
    """One request and its answer, with ours for a handler that gave none."""

    def __init__(
        self,
        host: Host,
        socket: trio.socket.SocketType,
        task_group: Any,
        answer: Callable[[Event], Awaitable[None]],
    ) -> None:
        """All that is called of `task_group` is `spawn_app`."""
        super().__init__(
            host.app,
            host.config,
            host.context,
            task_group,
            False,
            _address(socket, socket.getpeername),
            _address(socket, socket.getsockname),
            answer,
            STREAM_ID,
        )
        self._host = host

    async def _send_error_response(self, status_code: int) -> None:
        if self._host.stopping:
            status_code, problem, detail = 503, "draining", "the server is stopping"
        else:
            problem, detail = "internal-error", "the request could not be answered"
        body = self._host.refuse(status_code, problem, detail, None)
        await self.send(Response(STREAM_ID, refusal_headers(status_code, body), status_code))
        await self.send(Body(STREAM_ID, body))
        await self.send(EndBody(STREAM_ID))


def _address(socket: trio.socket.SocketType, name: Callable[[], object]) -> tuple[str, int] | None:
    """One end of a connection, as ASGI has it; None if the client has gone."""
    try:
        return parse_socket_addr(socket.family, name())  # type: ignore[arg-type]
    except OSError:
        return None
