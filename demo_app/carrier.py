"""The carrier: a host of its own, which can go away for a while.

It is here, at a port of its own, so that the demonstration needs one process less. To the engine it
is another host: while it is away, no other host's calls wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from demo_app.listener import Listener, serve

RETRY = {"count": 60, "backOff": 1000, "factor": 1.7, "maxBackOff": 12_000}
"""Of the steps that call it: patient enough for a minute without a carrier."""
AWAY_S_MAX = 600.0


class Carrier:
    """Serves the application at this host and port (0: any that is free), and can be sent away."""

    def __init__(self, host: str, port: int) -> None:
        self._listener = Listener(host, port)
        self._address = host, self._listener.port
        self._away_s = 0.0
        self._gone, self._back = asyncio.Event(), asyncio.Event()

    @property
    def url(self) -> str:
        """Where its steps are called."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def send_away(self, seconds: float) -> None:
        """Nobody listens there for so long, from now on: connections are refused."""
        self._away_s = seconds
        self._back.clear()
        self._gone.set()

    def come_back(self) -> None:
        """End its absence, if it is away."""
        self._gone.clear()
        self._back.set()

    def drop(self, peer: tuple[str, int]) -> None:
        """Cut the connection to this peer, whatever was to be answered. Raises KeyError."""
        self._listener.drop(peer)

    async def run(self, app: Any, wait_stop: Callable[[], Awaitable[Any]]) -> None:
        """Serve, be away, and come back, until `wait_stop` returns."""
        stop = asyncio.ensure_future(wait_stop())
        try:
            while True:
                with self._listener as listener:
                    listener.listen()
                    until = partial(_first, stop, self._gone)
                    await serve(_without_lifespan(app), listener, until)
                if stop.done():
                    return
                self._gone.clear()
                await _first(stop, self._back, self._away_s)
                self._listener = Listener(*self._address)
        finally:
            stop.cancel()
            self._listener.close()


async def _first(
    stop: asyncio.Future[Any], event: asyncio.Event, timeout_s: float | None = None
) -> None:
    """Until one of both, or the time is over."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([stop, waiting], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _without_lifespan(app: Any) -> Any:
    """The application goes on when the carrier goes: it does not hear of its server's end."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    return served
