"""What a client is, and what it may take."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict

NAMES_TO_COME = frozenset({"peer", "signals", "ui"})
"""Addresses that a later version answers itself. No new client is called so, and no run is opened
under one; what there is under it, from before, goes on."""
ALERTS_CLIENT = "_alerts"
"""Whose runs the engine's own alerts are. No path can name it, and so no post: the names of clients
begin with a letter or digit."""


class ClientLimits(Struct, frozen=True):
    """What one client may take; None: as much as there is."""

    new_runs_per_s: float | None = None
    open_runs_max: int | None = None
    in_flight_max: int | None = None
    """Calls of its steps that are open at once."""
    waiting_callers_max: int | None = None
    memory_share: float | None = None
    """Of `memory_bytes_max`, 0 to 1: so much of each of its parts."""


NO_LIMITS = ClientLimits()


class Client(Struct, frozen=True):
    """A tenant: who may post under its name, and where its steps may be called."""

    name: str
    targets: tuple[str, ...] = ()
    """Prefixes, of whole path segments, that its steps' URLs begin with."""
    private_targets: bool = False
    """Whether names with a dot may have private addresses."""
    steps_need_parent: bool | None = None
    """None: as the engine's setting of that name says."""
    signing_secrets: tuple[bytes, ...] = ()
    """Calls are signed with each of them; none: they are not signed."""
    ca_file: str | None = None
    """Certificates that its targets are trusted by, besides the system's."""
    limits: ClientLimits = NO_LIMITS
    redact: tuple[str, ...] = ()
    """Names of headers, and JSON pointers: what of its bodies people are not shown."""
    disabled: bool = False
    """Its posts are refused; it stays known, and its steps are called."""
    defined_in: str = ""
    """The file that has it, for people; empty: it is in the store."""

    def __repr__(self) -> str:
        """Without its secrets: what is printed ends in logs."""
        shown = {**asdict(self), "signing_secrets": len(self.signing_secrets)}
        return f"Client({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
