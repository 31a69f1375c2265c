"""What the front answers with, before any framework has seen it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from engine import wire
from engine.budget import Charge
from engine.core.errors import Problem, Refused

JSON = ("content-type", "application/json")
PROBLEM_JSON = ("content-type", "application/problem+json")


HELD = "atomic.held"
"""An extension in a request's ASGI scope: room in memory that is given back when it is answered."""


class Reply(Struct, frozen=True):
    """Status, headers and body of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    room: Charge | None = None
    """What a large body takes in memory, until it is sent."""


def problem_reply(kind: Problem, detail: str, **members: Any) -> Reply:
    """A problem document with its status; `retryAfter` (seconds) also becomes the header."""
    headers: tuple[tuple[str, str], ...] = (PROBLEM_JSON,)
    if (seconds := members.get("retryAfter")) is not None:
        headers += (("retry-after", str(seconds)),)
    body = wire.problem(kind, detail, **members)
    return Reply(wire.PROBLEMS[kind].status, headers, body)


def refusal(refused: Refused) -> Reply:
    """The answer to what was refused."""
    return problem_reply(refused.problem, refused.detail, **refused.members)
