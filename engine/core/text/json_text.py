"""JSON by the grammar of RFC 8259, where the decoder is narrower.

The decoder takes no lone surrogates: escapes such as `\\ud83d` that stand for half a character, as
JavaScript writes them when a text is cut within one. The grammar does (§8.2), so what people send
and answer may hold them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import msgspec
from msgspec import Raw

_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
LONE = re.compile(
    rb"\\u([dD][89abAB][0-9a-fA-F]{2}(?!%b)|(?<!%b\\u)[dD][c-fC-F][0-9a-fA-F]{2})" % (_LOW, _HIGH)
)
"""The escape of a lone surrogate, where every backslash begins an escape that is no backslash."""
MARK = b"\xf4\x8f\xbf\xbf"
"""U+10FFFF, of which Unicode says that it is no character and never will be."""
_MARK_SPELLED = re.compile(rb"%b|\\u[dD][bB][fF]{2}\\u[dD][fF]{3}" % MARK)
MARKED = re.compile(rb"%b(d[89a-f][0-9a-f]{2})" % MARK)
_PRIVATE_FIRST, _PRIVATE = 0xE000, 6_400
"""U+E000 to U+F8FF: three bytes each in UTF-8."""
_STAND_IN = re.compile(f"[{chr(_PRIVATE_FIRST)}-{chr(_PRIVATE_FIRST + _PRIVATE - 1)}]{{2}}")
_judge = msgspec.json.Decoder(Raw).decode
"""Checks the grammar and makes nothing of it: a tenth of a microsecond for a small answer, 2 ms for
a MiB of numbers."""
_AT = re.compile(r"(.*) \(byte ([0-9]+)\)")
_COUNTED_FROM_1 = ("trailing characters", "invalid character in unicode escape")
"""Where the decoder names the byte behind the one it means."""
_NEVER_JSON = bytes(6)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ROUND = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def with_marks(text: bytes) -> bytes:
    """The same JSON with `MARK` and four digits, in lower case, for the escape of each lone
    surrogate; `MARK` itself becomes `MARK` and `ffff`. So the decoder takes it, and texts differ
    where their values do. Backslashes are spelled `\\u005c`. `without_marks` undoes it.
    """
    return LONE.sub(marked, ready_for_marks(text))


def without_marks(text: bytes) -> bytes:
    """Of a text with marks, written without needless escapes, the one meant."""
    return MARKED.sub(unmarked, text).replace(MARK + b"ffff", MARK)


def ready_for_marks(text: bytes) -> bytes:
    """The text in which `with_marks` looks for lone surrogates."""
    return _MARK_SPELLED.sub(MARK + b"ffff", text.replace(rb"\\", rb"\u005c"))


def marked(lone: re.Match[bytes]) -> bytes:
    """What stands for a lone surrogate in a text with marks."""
    return MARK + lone[1].lower()


def unmarked(mark: re.Match[bytes]) -> bytes:
    """The lone surrogate for which a mark stands."""
    return rb"\u" + mark[1]


def with_equal_stand_ins(text: bytes) -> bytes:
    """A text as long, with its structure, that the decoder takes: U+FFFF for each lone surrogate.

    What its strings hold is lost, but it is made a dozen times faster than `StandIns`.
    """
    return LONE.sub(rb"\\uffff", _without_backslashes(text))


def _without_backslashes(text: bytes) -> bytes:
    """The same text, as long, in which every backslash begins an escape that is no backslash."""
    return text.replace(rb"\\", b"__")


def nesting(text: bytes, at_most: int) -> int:
    """How deep JSON nests: a scalar 0, `[]` 1; what is deeper than `at_most` is `at_most` + 1.

    Level after level of the brackets is taken off from within: nothing is made of what they hold.
    """
    left = _STRING.sub(b"", text).translate(_ROUND, _NO_BRACKETS)
    depth = 0
    while left and depth <= at_most:
        left = left.replace(b"()", b"")
        depth += 1
    return depth


@lru_cache(maxsize=256)
def declares_json(content_type: str) -> bool:
    """Whether a `Content-Type` says JSON: application/json, or a type with the suffix +json
    (RFC 6839), whatever its parameters."""
    media_type = content_type.partition(";")[0].strip(" \t").lower()
    return media_type == "application/json" or media_type.endswith("+json")


def json_fault(text: bytes) -> str | None:
    """Why a text is not JSON, such as `not JSON at byte 10 (invalid character)`; None: it is.

    The byte, from 0, is the first that no JSON goes on with (of a word such as `nul` its second);
    the length where the text ends too early. White space alone is no JSON, nor are two
    documents, NaN, or a byte order mark (§8.1). That strings are UTF-8 is not looked at. Nesting is
    limited (§9 allows it) by the stack, to some 900 levels.
    """
    try:
        try:
            _judge(text)
        except msgspec.DecodeError:
            if rb"\u" not in text:
                return _first_fault(text)
            whole = with_equal_stand_ins(text)
            try:
                _judge(whole)
            except msgspec.DecodeError:
                return _first_fault(whole)
    except RecursionError:
        return "JSON nested too deep to be read"
    return None


def _first_fault(text: bytes) -> str:
    """At which byte a text ceases to be JSON."""
    try:
        _judge(text + _NEVER_JSON)  # else a text that ends early has no place
    except msgspec.DecodeError as error:
        if found := _AT.fullmatch(str(error)):
            reason = found[1].removeprefix("JSON is malformed: ")
            at = int(found[2]) - (reason in _COUNTED_FROM_1)
            if at < len(text):
                return f"not JSON at byte {at} ({reason})"
    return f"not JSON at byte {len(text)} (it ends too early)"


class StandIns:
    """A JSON text with lone surrogates, with something as long in the place of each.

    So it can be decoded with the members of it that are kept as they came (`Raw`), and every offset
    is one of the text itself. Two characters for private use stand for one surrogate: a name may
    not hold them either.
    """

    def __init__(self, text: bytes) -> None:
        self.found = 0
        """Lone surrogates; 0: there was nothing to replace."""
        self._original = text
        self._spelled: dict[str, str] = {}
        changed = bytearray(text)
        # Numbered from where nobody can have known: nothing that the text holds of this kind is
        # taken for one of ours.
        number = int.from_bytes(blake2b(text, digest_size=4).digest())
        for each in LONE.finditer(_without_backslashes(text)) if rb"\u" in text else ():
            number = (number + 1) % _PRIVATE**2
            stand_in = "".join(chr(_PRIVATE_FIRST + part) for part in divmod(number, _PRIVATE))
            self._spelled[stand_in] = text[each.start() : each.end()].decode()
            changed[each.start() : each.end()] = stand_in.encode()
            self.found += 1
        self.text = bytes(changed)
        """What can be decoded."""

    def original(self, part: bytes) -> bytes:
        """A part of `text`, as it was: there is one such part, or there are no stand-ins in it."""
        begin = self.text.find(part)
        if begin < 0:  # a default, which does not stand in the text
            return part
        return self._original[begin : begin + len(part)]

    def spelled(self, message: str) -> str:
        """What is said of the text, in the spelling that it had."""
        return _STAND_IN.sub(lambda found: self._spelled.get(found[0], found[0]), message)

    def with_halves(self, text: str) -> str:
        """A decoded text with the lone surrogates themselves."""
        halves = {it: chr(int(as_sent.lower().removeprefix("\\u"), base=16))
                  for it, as_sent in self._spelled.items()}  # fmt: skip
        return _STAND_IN.sub(lambda found: halves.get(found[0], found[0]), text)

    def first(self) -> str:
        """The first lone surrogate: `\\ud83d`."""
        return next(iter(self._spelled.values()))
