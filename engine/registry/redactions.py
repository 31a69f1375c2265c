"""What of each client's bodies people are not shown, also when the client has gone: its runs are
there still, so its rules are kept apart from it. A client of that name that is made anew has its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from engine.core.access.client import Client
from engine.core.text.redaction import Redaction, redaction_of
from engine.ports.registry import KIND_REDACT, Registered, RegistryStore

_DECODE = msgspec.json.Decoder(tuple[str, ...]).decode
BY = "engine"
"""Who keeps them: whoever set them is told with the client."""


class Redactions:
    """Those of all clients; a registry's."""

    def __init__(self, store: RegistryStore, now: Callable[[], int]) -> None:
        """`now`: milliseconds since the epoch, UTC."""
        self._store, self._now = store, now
        self._rules = {
            entry.name: _DECODE(entry.value)
            for entry in store.registered
            if entry.kind == KIND_REDACT and entry.value is not None
        }

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._rules)

    def of(self, client: str) -> Redaction | None:
        """What everything passes that was made of a client's bodies, and is written for people or
        shown to them; None: all of it may be shown."""
        rules = self._rules.get(client)
        return redaction_of(rules) if rules else None

    def follow(self, clients: Mapping[str, Client]) -> None:
        """The clients are these now."""
        for name, client in clients.items():
            if client.redact == self._rules.get(name, ()):
                continue
            value = msgspec.json.encode(client.redact) if client.redact else None
            self._store.register(Registered(KIND_REDACT, name, value, self._now(), BY))
            if client.redact:
                self._rules[name] = client.redact
            else:
                del self._rules[name]
