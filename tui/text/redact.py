"""Secrets in bodies: what stands under a name like `password` is replaced before anybody sees it.

A body is looked at as text, not parsed: it may be cut, malformed, no JSON at all, or JSON within a
string of JSON. So a member's name is found by the colon behind it, wherever it stands, and of what
cannot be told for sure rather more is replaced than less. Members of forms and of query strings
(`password=…&`) are found too. The replaced body is the only one that is shown, copied or opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_plus

NAMES = frozenset({
    "authorization", "password", "secret", "token", "api_key", "access_token", "refresh_token",
    "client_secret", "cookie", "set-cookie", "private_key", "card_number", "cvv",
})  # fmt: skip
"""Under which secrets are expected, as they are documented."""
MASK = "••••"
"""In the place of a value, whatever it was."""

NAME_CHARACTERS_MAX = 300
"""As far before a colon or an equals sign a name is looked for, with blanks and escapes."""
_BLANK = re.compile(r"\s*+")
_OPENED = re.compile(r"""(\\*+)(["'])""")
_QUOTE = {quote: re.compile(rf"(\\*+){quote}") for quote in "\"'"}
_SYMBOL = re.compile(
    r""""[^"\\]*+(?:\\.[^"\\]*+)*+"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?|[{}\[\]]""", re.DOTALL
)
"""What counts for where an object or an array ends."""
_SCALAR = re.compile(r"""[^\n,}\]"'\\]*""")
_ESCAPED = re.compile(r"\\+u([0-9a-fA-F]{4})")
_FIELD_BEGIN = re.compile(r"""[&?=\s;,"'{(\\]|u0026""")
"""What is before the name of a field; `&` is `\\u0026` in much JSON."""
_IN_TEXT = re.compile(r"""[^&\s"'\\]*""")
_IN_FORM = re.compile(r"[^&]*")
_BRACKETED = re.compile(r"[^\[\]]+")


@lru_cache(maxsize=1_024)
def plain_name(name: str) -> str:
    """A name as names are compared: `apiKey`, `API-Key` and `api_key` are one."""
    name = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)
    return name.casefold().replace("_", "").replace("-", "").strip()


@lru_cache(maxsize=1_024)
def field_name(name: str) -> str:
    """The name of a form's field, to be compared: of `user%5Bpassword%5D` what is in brackets."""
    parts = _BRACKETED.findall(unquote_plus(name))
    return plain_name(parts[-1]) if parts else ""


class Redactor:
    """Replaces what stands under one of these names; without names nothing."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self._names = frozenset(map(plain_name, names))

    def body(self, data: bytes, content_type: str = "") -> tuple[bytes, int]:
        """A body without the secrets, and how many were replaced. What is no text stays as it is
        but for them."""
        if not self._names:
            return data, 0
        text = data.decode("utf-8", "surrogateescape")
        form = "form-urlencoded" in content_type.lower()
        text, members = self._members(text)
        text, fields = self._fields(text, _IN_FORM if form else _IN_TEXT)
        return text.encode("utf-8", "surrogateescape"), members + fields

    def _members(self, text: str) -> tuple[str, int]:
        kept: list[str] = []
        at = replaced = 0
        colon = text.find(":")
        while colon >= 0:
            quote = self._named(text, at, colon)
            if quote is not None:
                blank = _BLANK.match(text, colon + 1)
                begin = colon + 1 if blank is None else blank.end()
                opened = _OPENED.match(text, begin)
                quote = quote if opened is None else opened[0]
                end = _value_end(text, begin, quote)
                if text[begin:end] not in ("", "null"):
                    kept += [text[at:begin], quote, MASK, quote]
                    at = end
                    replaced += 1
            colon = text.find(":", max(at, colon + 1))
        return "".join([*kept, text[at:]]), replaced

    def _named(self, text: str, at: int, colon: int) -> str | None:
        """The quotes of the name before a colon, if it is one of the names; None: it is not."""
        before = text[max(at, colon - NAME_CHARACTERS_MAX) : colon].rstrip()
        quote = before[-1:]
        if quote not in ("'", '"') or not quote:
            return None
        begin = before.rfind(quote, 0, -1)
        name = before[begin + 1 : -1]
        bare = name.rstrip("\\")
        return name[len(bare) :] + quote if plain_name(bare) in self._names and begin >= 0 else None

    def _fields(self, text: str, value: re.Pattern[str]) -> tuple[str, int]:
        kept: list[str] = []
        at = before = replaced = 0
        sign = text.find("=")
        while sign >= 0:
            name = _FIELD_BEGIN.split(text[max(before, sign - NAME_CHARACTERS_MAX) : sign])[-1]
            if name and field_name(name) in self._names:
                found = value.match(text, sign + 1)
                assert found is not None  # it may be empty
                if found[0]:
                    kept += [text[at : sign + 1], MASK]
                    at = found.end()
                    replaced += 1
            before = sign + 1
            sign = text.find("=", max(at, before))
        return "".join([*kept, text[at:]]), replaced


def _value_end(text: str, begin: int, quote: str) -> int:
    """Where the value ends that begins there, between or beside such quotes; the text's end if it
    does not end."""
    slashes = len(quote) - 1
    if text.startswith(quote, begin):
        return _string_end(text, begin + len(quote), quote[-1], slashes)
    if not text.startswith(("{", "["), begin):
        found = _SCALAR.match(text, begin)
        assert found is not None  # it may be empty
        return begin + len(found[0].rstrip())
    if slashes:  # no end of an object within a string is sure: the string's is taken
        return _string_end(text, begin, quote[-1], -1)
    depth = 0
    for symbol in _SYMBOL.finditer(text, begin):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(symbol[0], 0)
        if not depth:
            return symbol.end()
    return len(text)


def _string_end(text: str, begin: int, quote: str, slashes: int) -> int:
    """Where a string ends whose quotes have so many backslashes before them.

    A quote with an even number of them ends the outermost string, whatever is within it.
    """
    for found in _QUOTE[quote].finditer(text, begin):
        before = len(found[1])
        if before == slashes or (not slashes and before % 2 == 0):
            return found.end()
        if before < slashes or before % 2 == 0:
            return found.start()
    return len(text)
