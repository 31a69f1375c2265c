"""What operators ask for, out of a request's body or the query of its address: whatever is wrong
with it is told in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from engine.core.errors import Problem, Refused
from engine.core.filter import duration_ms
from engine.core.text.json_text import StandIns
from engine.wire.access import NoMembers

Asked = TypeVar("Asked")
PAGE_LIMIT_MAX = 500
PAGE_LIMIT_DEFAULT = 50
NUMBER_MAX = 10**15
"""What a larger number from outside is taken for: above everything that is counted here, and within
what SQLite and Python take."""
_decode_none = msgspec.json.Decoder(NoMembers).decode
_PATTERN = re.compile(r"Expected `str` matching regex .* - at", re.DOTALL)


def decode_asked(
    body: bytes, decode: Callable[[bytes], Asked], what: str, *, names_are: str = ""
) -> Asked:
    """The request in a body: no lone surrogate is taken in it. Raises Refused.

    `names_are`: what texts with a pattern must be, for people.
    """
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = _why_no_text(body, error)
        if names_are:
            text = _PATTERN.sub(f"Expected {names_are} - at", text)
        raise Refused(Problem.INVALID_REQUEST, f"The {what} is not valid: {text}.") from error


def check_no_members(body: bytes) -> None:
    """Raises Refused for a body that has members where the address says all. None is one, too."""
    if body:
        decode_asked(body, _decode_none, "request")


def _why_no_text(body: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        stand_ins = StandIns(body)
        if stand_ins.found:
            return f"`{stand_ins.first()}` is half of a surrogate pair, and no character"
    return str(error)


def check_names(query: Mapping[str, str], known: Collection[str]) -> None:
    """Raises Refused for a parameter that is not known."""
    if unknown := sorted(set(query) - set(known)):
        raise Refused(Problem.INVALID_REQUEST, f"The parameter `{unknown[0][:64]}` is not known.")


def page_limit(query: Mapping[str, str]) -> int:
    """How many rows a page is to have. Raises Refused."""
    limit = whole_number(query.get("limit", str(PAGE_LIMIT_DEFAULT)))
    if not 1 <= limit <= PAGE_LIMIT_MAX:
        raise Refused(
            Problem.INVALID_REQUEST, f"`limit`: a whole number from 1 to {PAGE_LIMIT_MAX}."
        )
    return limit


def since_ms(text: str, now: int) -> int:
    """Milliseconds since the epoch, UTC, of a time or of so long before now. Raises Refused."""
    if (ago := duration_ms(text)) is not None:
        return max(0, now - ago)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`since`: {text[:64]!r} is no time: write 2026-11-23T12:00:00Z, or 12h or 90d for so"
            " long before now.",
            member="since",
        ) from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def whole_number(text: str) -> int:
    """A whole number from outside, at most NUMBER_MAX; -1: it is none."""
    if not text.isascii() or not text.isdigit():
        return -1
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= 15 else NUMBER_MAX
