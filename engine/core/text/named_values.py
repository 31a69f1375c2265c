"""What a header, or a member called as one, is given: in a text, and in the strings of JSON.

Texts quote headers in many ways: `X-Key: abc`, `HTTP_X_KEY=abc`, `"xKey": "abc"`, `('x-key',
'abc')`. Where a value ends is not told: what stands behind the name on its line is masked, or in a
string of JSON all of it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

from engine.core.text.secrets import MASK

WINDOW_BYTES = 65_536
"""So much of a long string is looked through in one go."""
OVERLAP_BYTES = 512
"""More than the longest name with what is between it and its value."""
LINE_CHARACTERS_MAX = 1_048_576
"""A longer line is not looked through."""
_GIVEN = r"[\s\"'\\]{0,16}(?:[:=]|%3[AaDd])|\\{0,8}[\"'][\s]{0,4},"
"""What stands between a name and its value: a comma only behind a closing quotation mark."""
_ESCAPED = re.compile(rb"\\+u00([2-7][0-9a-fA-F])")
"""The escape of an ASCII character that prints, however often it was escaped again."""
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n|$)")


class Names:
    """Some names, each spelled in any case, with `-`, `_` or nothing between its words."""

    def __init__(self, names: Iterable[str]) -> None:
        """Names of letters, digits, `-` and `_`."""
        spelled = (
            "[-_]?".join(map(re.escape, filter(None, re.split("[-_]", name)))) for name in names
        )
        any_of = f"(?:http[-_]?)?(?:{'|'.join(spelled)})"
        given = rf"(?<![A-Za-z0-9])(?:{any_of})(?:{_GIVEN})"
        self._alone = re.compile(rf"\s*{any_of}\s*".encode(), re.IGNORECASE)
        self._given = re.compile(given.encode(), re.IGNORECASE)
        self._given_text = re.compile(rf"({given}\s{{0,4}})[^\s][^\r\n]*", re.IGNORECASE)

    def are(self, spelled: bytes) -> bool:
        """Whether a string, as JSON spells it, is one of the names."""
        if len(spelled) > OVERLAP_BYTES:
            return False
        return self._alone.fullmatch(_unescaped(spelled)) is not None

    def given_in(self, spelled: bytes) -> Generator[None, None, int | None]:
        """From which byte of a string, as JSON spells it, a name's value stands; None: nowhere."""
        for begin in range(0, max(1, len(spelled)), WINDOW_BYTES):
            if begin:
                yield
            window = spelled[begin : begin + WINDOW_BYTES + OVERLAP_BYTES]
            plain = _unescaped(window)
            if found := self._given.search(plain):
                return 0 if plain is not window else begin + found.end()
        return None

    def masked(self, text: str) -> Generator[None, None, str]:
        """A text with a mask in the place of the rest of each line behind a name that is given
        something."""
        parts: list[str] = []
        seen = 0
        for line in _LINE.finditer(text):
            seen += len(line[0])
            if seen >= WINDOW_BYTES:
                seen = 0
                yield
            if len(line[0]) > LINE_CHARACTERS_MAX:
                parts.append(MASK)
            else:
                parts.append(self._given_text.sub(rf"\g<1>{MASK}", line[0]))
        return "".join(parts)

    def are_given_masks(self, text: str) -> Generator[None, None, bool]:
        """Whether a name is given a mask in a text, as `masked` leaves it."""
        seen = 0
        for line in _LINE.finditer(text):
            seen += len(line[0])
            if seen >= WINDOW_BYTES:
                seen = 0
                yield
            if len(line[0]) > LINE_CHARACTERS_MAX:
                continue  # `masked` leaves nothing of it
            for found in self._given_text.finditer(line[0]):
                if found[0].removeprefix(found[1]).strip() == MASK:
                    return True
        return False


def _unescaped(spelled: bytes) -> bytes:
    """A string with ASCII instead of its escapes: the same object, if there are none."""
    if b"\\u00" not in spelled:
        return spelled
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), spelled)
    return spelled if plain == spelled else plain
