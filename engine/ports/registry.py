"""The port of the registry: what people set at run time, and the store keeps.

Clients and tokens, limits and holds: few, small, and read whole at the start. What they mean is
each one's own; here they are a kind, a name and JSON. With several engines on one store they will
be shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
from msgspec import Struct

from engine.core.access.client import Client, ClientLimits
from engine.ports.receipt import Receipt

KIND_CLIENT, KIND_TOKEN, KIND_LIMITS, KIND_HOLD = "client", "token", "limits", "hold"
KIND_RETENTION = "retention"
KIND_BACKUP = "backup"
KIND_ALERTS = "alerts"
KIND_LOGIN = "login"
"""By the hash of a cookie: a browser's."""
KIND_CAUSE = "cause"
KIND_RESTORED = "restored"
KIND_REDACT = "redact"
"""By client: also of those that have gone, as their runs are there still."""


class Registered(Struct, frozen=True):
    """One of them, as set last."""

    kind: str
    name: str
    """Names it among those of its kind."""
    value: bytes | None
    """JSON; None: it was taken away."""
    at: int
    """When, in milliseconds since the epoch, UTC."""
    actor: str
    """Who set it."""


class Restored(Struct, frozen=True, rename="camel"):
    """That a file was made of a copy."""

    last_event: int
    """That the copy has: what runs have since is of this file."""


_decode_restored = msgspec.json.Decoder(Restored).decode


def restored_up_to(registered: Iterable[Registered]) -> int:
    """The last event of the copy that a file was made of last; 0: of none."""
    found = (it.value for it in registered if it.kind == KIND_RESTORED)
    return max((_decode_restored(value).last_event for value in found if value), default=0)


class RegistryStore(Protocol):
    """Where they are kept."""

    @property
    def registered(self) -> tuple[Registered, ...]:
        """All that there were when the store was opened, by kind and name."""

    def register(self, entry: Registered) -> Receipt:
        """Set or, without a value, take away; the later of two of the same name holds. It is so
        when the receipt is durable."""


class Clients(Protocol):
    """The clients that there are, as they are now."""

    @property
    def clients(self) -> Mapping[str, Client]:
        """By name; none: whoever posts is what it calls itself."""
        ...

    @property
    def limits(self) -> Mapping[str, ClientLimits]:
        """By client, of those that have any."""
        ...


class AnyClient:
    """No client is defined."""

    clients: Mapping[str, Client] = {}
    limits: Mapping[str, ClientLimits] = {}


ANY_CLIENT = AnyClient()
