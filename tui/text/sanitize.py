"""Texts from elsewhere on their way into the store, and the cells that they take there.

Every text passes through here on its way in, and only there; what comes out takes one cell a
character, or two, and says what it is. What a terminal would obey, and why: `engine/shown/text.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import is_
from typing import Any, TypeVar

import msgspec

from engine.shown.text import MARKS
from engine.shown.text import safe as one_line

T = TypeVar("T")

TEXT_CHARACTERS_MAX = 4_096
"""Of one value: longer ones are cut, with `CUT` for the rest. Bodies are fetched by themselves."""
CUT = "…"
NUMBER_MAX = 10**15
"""Beyond everything that is counted or timed, and within what can be told: JSON has numbers of
thousands of digits, which become no float and no time."""
URL_JOINT = re.compile("[^/][/?&](?!/)")
"""Behind which a URL is broken."""
DEPTH_MAX = 64
"""Of what is nested; deeper is cut, lest somebody's brackets use the stack up."""


def safe(text: str) -> str:
    """The text as one line that a terminal can only print, a cell or two for each character."""
    if len(text) > TEXT_CHARACTERS_MAX:
        text = text[: TEXT_CHARACTERS_MAX - 1] + CUT
    return one_line(text, exact=False)


def clean(value: T) -> T:
    """A decoded value with every text in it made safe, the keys of mappings too, and no number
    further from 0 than `NUMBER_MAX`.

    Takes what comes off the wire: structs, lists, tuples, mappings, texts, numbers.
    """
    cleaned: T = _clean(value, DEPTH_MAX)
    return cleaned


def _clean(value: Any, depth: int) -> Any:
    """The value itself where nothing of it is to be changed. By far most are harmless texts: those
    come first, as a run of 5,000 steps has 60,000 of them."""
    if isinstance(value, str):
        if len(value) <= TEXT_CHARACTERS_MAX and value.isascii() and value.isprintable():
            return value
        return safe(value)
    if value is None or value is msgspec.UNSET:
        return value
    if isinstance(value, msgspec.Struct):
        return _clean_struct(value, depth - 1)
    if isinstance(value, (int, float)):
        return value if -NUMBER_MAX <= value <= NUMBER_MAX else _bounded(value)
    if not depth and isinstance(value, (Mapping, list, tuple)):
        return CUT
    depth -= 1
    if isinstance(value, tuple):
        found = tuple([_clean(each, depth) for each in value])
        return value if all(map(is_, found, value)) else found
    if isinstance(value, Mapping):
        return {_clean(key, depth): _clean(each, depth) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each, depth) for each in value]
    return value


def _clean_struct(value: msgspec.Struct, depth: int) -> msgspec.Struct:
    changed: dict[str, Any] = {}
    for name in value.__struct_fields__:
        each = getattr(value, name)
        if each is not None and (cleaned := _clean(each, depth)) is not each:
            changed[name] = cleaned
    return msgspec.structs.replace(value, **changed) if changed else value


def _bounded(value: float) -> int:
    return NUMBER_MAX if value > 0 else -NUMBER_MAX


@lru_cache(maxsize=8_192)
def _width(character: str) -> int:
    if unicodedata.category(character) in MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def width(text: str) -> int:
    """How many cells a safe text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def clip(text: str, cells: int, *, middle: bool = False) -> str:
    """The text in at most so many cells, cut at its end (`middle`: in the middle, as ids are)."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    if not middle:
        return head(text, cells - 1) + CUT
    left = (cells - 1) // 2
    return head(text, left) + CUT + head(text[::-1], cells - 1 - left)[::-1]


def head(text: str, cells: int) -> str:
    """As much of a safe text as fits into so many cells."""
    if text.isascii():
        return text[:cells]
    taken = 0
    for at, character in enumerate(text):
        taken += _width(character)
        if taken > cells:
            return text[:at]
    return text


def wrap(text: str, cells: int, most: int = 0) -> list[str]:
    """The text in lines of so many cells, broken at blanks where there are any, else behind what
    parts of a URL end with.

    No more than `most` lines (0: as many as it takes); what does not fit in them ends with `…`.
    """
    lines: list[str] = []
    cells, rest = max(1, cells), text
    while width(rest) > cells and (not most or len(lines) < most - 1):
        piece = head(rest, cells) or rest[:1]
        blank = len(piece) if rest[len(piece)] == " " else piece.rfind(" ")
        joint = max((found.end() for found in URL_JOINT.finditer(piece)), default=0)
        if (at := blank if blank > cells // 3 else joint) > cells // 3:
            piece = piece[:at]
        lines.append(piece.rstrip())
        rest = rest[len(piece) :].lstrip()
    return [*lines, clip(rest, cells)]


def side_by_side(texts: Iterable[str], cells: int, *, is_cut: bool) -> list[str]:
    """As many of these texts as fit beside each other into so many cells, and a blank one for the
    rest. `is_cut`: they do not all fit, and the last one ends with `…`."""
    room = max(0, cells - is_cut)
    found: list[str] = []
    for text in texts:
        shown = head(text, room)
        room -= width(shown)
        if is_cut and shown != text:
            found.append(f"{shown}{CUT}"[:cells])
            break
        found.append(shown)
    return [*found, " " * room]


def fit(text: str, cells: int, *, right: bool = False, middle: bool = False) -> str:
    """The text in exactly so many cells; `middle`: cut there, as ids are."""
    text = clip(text, cells, middle=middle)
    blank = " " * (cells - width(text))
    return blank + text if right else text + blank
