"""What a name that people read may hold."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""ZWNJ and ZWJ: not seen themselves, but Persian, Indic scripts and emoji are written with them."""


def unseen(text: str) -> int | None:
    """Where the first character stands that no name may hold, from 0; None: there is none.

    Letters, marks, digits, signs and spaces of any script may stand in a name, and JOINERS. Of the
    Unicode categories these may not: controls with tabs and line ends (Cc), line and paragraph
    separators (Zl, Zp), formatting such as bidi overrides, zero-width spaces and byte order marks
    (Cf), surrogates, private use and what is not assigned (Cs, Co, Cn).
    """
    if text.isprintable():
        return None
    for at, character in enumerate(text):
        if character.isprintable() or character in JOINERS:
            continue
        if unicodedata.category(character) != "Zs":
            return at
    return None
