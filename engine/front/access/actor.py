"""Who asks for an action: their token, the header `Atomic-Actor`, a claim, and their address.

`docs/reference/protocol.md` §5.
"""

from __future__ import annotations

import re

from engine import wire
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.front.server.strict import RawHeaders

HEADER = "Atomic-Actor"
_NAME = re.compile(wire.ACTOR_PATTERN)


def actor_of(headers: RawHeaders, address: str | None, token: str) -> Actor:
    """Who asks: the name of the token, with the claim in parentheses where there is one; without a
    token the claim, and without that the address. Raises Refused for what is no name."""
    claim = _claim(headers)
    if token:
        return Actor(f"{token} ({claim})" if claim else token, address)
    return Actor(claim or f"http:{address or 'unknown'}", address)


def _claim(headers: RawHeaders) -> str | None:
    claims = [value for name, value in headers if name == HEADER.lower().encode()]
    if not claims:
        return None
    name = claims[0].decode("latin1").strip(" \t")
    if len(claims) > 1 or not _NAME.fullmatch(name):
        fault = f"there are {len(claims)}" if len(claims) > 1 else f"it has {_fault_of(name)}"
        raise Refused(
            Problem.INVALID_REQUEST,
            f"The header {HEADER} says in 1 to {wire.ACTOR_CHARACTERS_MAX} printable ASCII"
            f" characters who acts; {fault}.",
            member=HEADER,
        )
    return name


def _fault_of(name: str) -> str:
    if not name or len(name) > wire.ACTOR_CHARACTERS_MAX:
        return str(len(name)) if name else "none"
    at = next(i for i, character in enumerate(name) if not " " <= character <= "~")
    return f"another at {at + 1}"
