"""How far the token reaches with which the engine is asked: what it refuses is said beforehand.

Nothing is known of it before the status was read, nor of an engine that asks for no token or does
not tell: then the engine says what it refuses.
"""

from __future__ import annotations

from typing import Any

from engine.wire import Status
from engine.wire.routes import ACT, HOLD, PAYLOAD, RELEASE, Role, Route


def why_not_act(status: Status) -> str:
    """Why keys that change the engine do nothing; empty: they may."""
    return _why_not(status, ACT, "this token may read, not act")


def why_no_bodies(status: Status) -> str:
    """Why payloads and answers are not shown; empty: they are."""
    return _why_not(status, PAYLOAD, "this token may not see bodies")


def why_not_hold(status: Status) -> str:
    """Why nothing is held or released; empty: it may be."""
    if client := bound_to(status):
        takes = f"that takes the role {HOLD.role}, of a token that is bound to no client"
        return f"this token is of the client {client} alone: {takes}"
    return _why_not(status, HOLD, "this token may not hold or release")


def releasing_takes(status: Status) -> str:
    """What has to be added where it is said how a hold is released; empty: this token may."""
    if not bound_to(status) and not _why_not(status, RELEASE, ""):
        return ""
    return f", with a token of the role {RELEASE.role} that is bound to no client"


def bound_to(status: Status) -> str:
    """The only client of which the token tells; empty: it tells of all."""
    return "" if status.token is None else status.token.client or ""


def _why_not(status: Status, route: Route[Any], told: str) -> str:
    token = status.token
    role = None if token is None else next((it for it in Role if it == token.role), None)
    if role is None or route.opens_to(role):
        return ""
    return f"{told} (role {role}): that takes the role {route.role}"
