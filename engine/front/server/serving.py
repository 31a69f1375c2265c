"""What a connection needs of the server it belongs to."""

from __future__ import annotations

from typing import Protocol

from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper

from engine.front.server.crowd import Place
from engine.front.server.post import Door
from engine.front.server.refusal import Refuse
from engine.front.server.room import Rooms
from engine.front.server.strict import ServerLimits
from engine.process.deadlines import Deadlines
from engine.process.platform.hang_ups import HangUps


class Serving(Protocol):
    """The server, as its connections see it."""

    app: AppWrapper
    config: Config
    context: WorkerContext
    limits: ServerLimits
    refuse: Refuse
    door: Door | None
    """Answers posts without the application."""
    deadlines: Deadlines
    hang_ups: HangUps
    rooms: Rooms
    is_tls: bool
    stopping: bool
    """No further request is taken; answers say `Connection: close`."""

    def shared_headers(self) -> bytes:
        """Header lines that every answer of the door carries."""
        ...

    def contain(self, error: Exception) -> None:
        """Log and count an exception that must not leave its connection."""
        ...

    def tls_failed(self, reason: str) -> None:
        """Count a connection that TLS has ended, and log it now and then."""
        ...

    def find_place(self) -> Place | None:
        """One among `connections_max`, for a connection that came when there was none."""
        ...

    def count_turned_away(self) -> None:
        """A connection was refused, as there are as many as may be."""
        ...

    def count_refusal(self) -> None:
        """A request was refused before any application saw it, or cut off in its body."""
        ...
