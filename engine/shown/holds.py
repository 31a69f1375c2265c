"""A hold in one line, and the command that ends it."""

from __future__ import annotations

import shlex

ALL = "all"
"""The kind of the hold on everything."""


def hold_name(kind: str, name: str) -> str:
    """What it holds: `client shop`, `everything`."""
    return "everything" if kind == ALL else f"{kind} {name}"


def held_text(what: str, since: str, actor: str, reason: str | None) -> str:
    """`held: client shop since 12:00:00 by ada: bad deploy`. `what`: its kind and name."""
    return f"held: {what} since {since} by {actor}" + (f": {reason}" if reason else "")


def released_text(what: str, at: str, rate_per_s: int | None) -> str:
    """`released: client shop at 12:00:05, 5 a second`: it lets go of what has waited."""
    rate = "" if rate_per_s is None else f", {rate_per_s:,} a second"
    return f"released: {what} at {at}{rate}"


def release_command(kind: str, name: str) -> str:
    """What is typed in a shell to end a hold."""
    if kind == ALL:
        return "atomic release --all"
    return f"atomic release {kind} {shlex.quote(name)}"
