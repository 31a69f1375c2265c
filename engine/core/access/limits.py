"""What calls to one host may take: as values."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from engine.core.target import BadTarget, normalise


class HostLimits(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What calls to one host may take; None: as the engine's settings say, or any number."""

    in_flight_max: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    """Requests in flight at once, instead of `in_flight_per_host_max`."""
    calls_per_s: Annotated[float, Meta(ge=0.001, le=10_000)] | None = None
    """Calls that begin within any second; below one, one in so many seconds."""


NO_HOST_LIMITS = HostLimits()


def host_name(text: str) -> str:
    """Host and port as they are counted by: as in a normalised URL, and without port 80 or 443.
    Raises BadTarget with what is wrong."""
    if not text or any(sign in text for sign in "/?#@"):
        raise BadTarget("is no host: write name and port, `api.example:8443`, `[::1]:9000`")
    host = normalise(f"http://{text}/").split("/", 3)[2]
    return host.removesuffix(":443")
