"""What operators ask for, out of a request's body: whatever is wrong with it is told in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from engine.core.errors import Problem, Refused
from engine.core.text.json_text import StandIns

Asked = TypeVar("Asked")
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


def _why_no_text(body: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        stand_ins = StandIns(body)
        if stand_ins.found:
            return f"`{stand_ins.first()}` is half of a surrogate pair, and no character"
    return str(error)
