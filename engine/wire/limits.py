"""Limits of clients and hosts, as they hold and as they are set."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from engine.core.access.client import ClientLimits
from engine.core.access.limits import HostLimits


class LimitKind(StrEnum):
    """Whose limits they are."""

    CLIENT = "client"
    HOST = "host"


Name = Annotated[str, Meta(min_length=1, max_length=300)]
NAMES = sorted({*ClientLimits.__struct_fields__, *HostLimits.__struct_fields__})
"""Of limits; which of them a client has, and which a host, the engine says where one is wrong."""


class LimitsRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/limits`: these hold from now on; those not named stay."""

    kind: LimitKind
    name: Name
    set: Annotated[
        dict[str, int | float],
        Meta(min_length=1, max_length=20, extra_json_schema={"propertyNames": {"enum": NAMES}}),
    ]


class ResetRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/limits/reset`: files and defaults hold again."""

    kind: LimitKind
    name: Name


class LimitRow(Struct, frozen=True, rename="camel"):
    """One limit."""

    limit: str
    value: int | float | None
    """None: there is none, or the engine's setting holds."""
    set_by: str
    """`run time`, the file that says so, `client` (as it was added), or `default`."""


class LimitsRow(Struct, frozen=True, rename="camel"):
    """Those of a client or a host."""

    kind: str
    name: str
    limits: tuple[LimitRow, ...]


class LimitUsed(LimitRow, frozen=True, rename="camel"):
    """One limit of a client, and how much of it is taken."""

    used: int | float | None = None
    """In the limit's unit. None: it is a rate, is not set, or cannot be counted now."""


class ClientUse(Struct, frozen=True, rename="camel"):
    """What a client with limits takes of them."""

    client: str
    limits: tuple[LimitUsed, ...]
    refused: int
    """Posts refused by one of them, since the start."""


class LimitsList(Struct, frozen=True, rename="camel"):
    """Clients and hosts of which a file or somebody has set something, by kind and name."""

    limits: tuple[LimitsRow, ...]
