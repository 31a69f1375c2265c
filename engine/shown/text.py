"""Text from elsewhere, made harmless: what an operator's terminal must never be told to do.

Names, errors and answers are written by third parties. A terminal obeys what is in them: ESC
sequences move the cursor and change the clipboard (OSC 52), C1 bytes do the same in one character,
bidi controls turn the reading order around, accents pile up over the lines above. What is harmless
is one rule; the rest is spelled as the screen needs it.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

UNSEEN = "\u2426"
"""␦ stands for what has no picture of its own: C1, bidi, zero-width, private, unassigned."""
MARKS = frozenset({"Mn", "Me", "Mc"})
"""Categories of what is drawn onto the character before, and takes no cell of its own."""
MARKS_MAX = 2
"""Combining marks on one character; more pile up over the lines above and below."""
DISPUTED = (
    (0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0x3164, 0x3164), (0xFFA0, 0xFFA0),  # Hangul's parts
    (0x2630, 0x2637), (0x268A, 0x268F), (0x4DC0, 0x4DFF), (0x1D300, 0x1D376),  # wide of late
    (0x1F3FB, 0x1F3FF),  # skin tones: alone, or joined to what is before
    (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),  # variation selectors
)  # fmt: skip
"""Characters of which terminals do not agree how many cells they take."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: str, *, exact: bool) -> str:
    """The text as one line that a terminal can only print.

    What it would obey becomes an escape that says which character it is (`exact`: `\\u001b`, for
    lines), or its picture in as many cells as it had characters (`␛`, else `␦`, for columns).
    """
    if text.isascii() and text.isprintable():
        return text
    found: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in MARKS else 0
        if marks <= MARKS_MAX:
            found.append(_spelled(character, exact))
        elif exact:
            found.append(escaped(character))
    return "".join(found)


@lru_cache(maxsize=8_192)
def _spelled(character: str, exact: bool) -> str:
    code = ord(character)
    if character.isprintable() and not any(first <= code <= last for first, last in DISPUTED):
        return character
    if exact:
        return escaped(character)
    if character < " ":
        return chr(0x2400 + code)
    if character == "\x7f":
        return "\u2421"
    return " " if unicodedata.category(character) == "Zs" else UNSEEN


def escaped(character: str) -> str:
    """The character as JSON and most languages escape it."""
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def printable(text: str) -> str:
    """The text with escapes for what does not print and nothing else: of JSON the same values, for
    programs."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else escaped(c) for c in text)


def ascii_only(text: str) -> str:
    """The text with escapes for what a terminal without Unicode cannot show."""
    return text if text.isascii() else "".join(c if c.isascii() else escaped(c) for c in text)
