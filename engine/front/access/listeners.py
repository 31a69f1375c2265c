"""Who listens to events: whose streams are open. In memory; gone with the connection."""

from __future__ import annotations

from itertools import islice

from msgspec import Struct

LISTENERS_TOLD_MAX = 100
"""Of more the latest are told: each has a connection, of which there may be thousands."""


class Listener(Struct, eq=False):
    """An open event stream."""

    listeners: Listeners
    actor: str
    """Whose: as for an action."""
    client: str | None
    """The only client that it tells of; None: it tells of every one."""
    since: int
    """Milliseconds since the epoch, UTC."""

    def give_back(self) -> None:
        """It has ended. A second time changes nothing."""
        self.listeners.open.pop(id(self), None)


class Listeners:
    """Those of an engine."""

    def __init__(self) -> None:
        self.open: dict[int, Listener] = {}
        """In the order in which they came."""

    def begins(self, actor: str, client: str | None, now: int) -> Listener:
        """A stream is opened: it is told of until it is given back."""
        listener = Listener(self, actor, client, now)
        self.open[id(listener)] = listener
        return listener

    def told(self, client: str | None = None) -> list[Listener]:
        """Who listens, the latest first; with a client those alone that see only that one."""
        latest = reversed(self.open.values())
        seen = (it for it in latest if client is None or it.client == client)
        return list(islice(seen, LISTENERS_TOLD_MAX))
