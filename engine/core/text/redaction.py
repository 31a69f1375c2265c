"""What of a client's bodies people are not shown: what its `redact` names.

Everything that is written for people, or shown to them, passes here: bodies (`shown`), and texts
that were made of bodies (`told`). What cannot be told apart for sure is masked whole: a body that
is no JSON where pointers are set, one that is too large to be looked through, a text that came of
either. `docs/how-to/redact.md`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import AnyStr, TypeVar

from engine.core.text.json_text import declares_json, json_fault
from engine.core.text.masked_json import PIECE_BYTES, SPANS_MAX, VALUE_MASK, Node, Span, spans_in
from engine.core.text.masks_left import masks_left
from engine.core.text.named_values import Names
from engine.core.text.secrets import MASK

T = TypeVar("T")
RULES_MAX = 100
"""Of one client."""
RULE_CHARACTERS_MAX = 1_024
LOOKED_AT_BYTES_MAX = 16_777_216
"""A larger body is masked whole: it would be looked through for seconds."""
JUDGED_BYTES_MAX = 1_048_576
"""What may be JSON without anybody having said so is, if it is no larger than this and parses."""
VALUES_MAX = 1_000
"""Of a payload, that are looked for in another body, or in a text."""
COMPARED_BYTES_MAX = 67_108_864
"""A body's bytes times the values that are looked for in it: a second's work or a few."""
COMPARED_MAX = 1_000_000
"""Places where a value may stand, beyond which a body is masked whole."""
COMPARED_A_SLICE = 256
"""Places where a value may stand that are looked at in one go."""
VALUE_CHARACTERS_MIN = 3
"""A shorter one would be found in every text."""
WORD_CHARACTERS_MAX = 8
"""A value up to this is looked for as a word by itself."""
HEAD_CHARACTERS = 12
"""By so many a longer value is found: texts often have only its beginning."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,126}[A-Za-z0-9])?")
_SHORT_ESCAPES = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "/": "/"}
_ALONE = rb"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))%b(?![A-Za-z0-9])"
"""A word by itself, also behind an escape, which ends with a letter or a digit."""
ESCAPED_BYTES_MAX = 512
"""More than HEAD_CHARACTERS take, each escaped as two units, with a few backslashes each."""
_BAD_ESCAPE = re.compile(r"~(?![01])")


class BadRule(ValueError):
    """What is wrong with a rule, to be put behind it."""


def check_rule(rule: str) -> None:
    """Raises BadRule for what is no name and no pointer (RFC 6901)."""
    if len(rule) > RULE_CHARACTERS_MAX:
        raise BadRule(f"has more than {RULE_CHARACTERS_MAX:,} characters")
    if rule and not rule.startswith("/"):
        if _NAME.fullmatch(rule):
            return
        raise BadRule(
            "is neither the name of a header (letters, digits, `-` and `_`) nor a JSON pointer,"
            " which begins with `/`, as in `/card/number` or `/items/*/iban`"
        )
    if _BAD_ESCAPE.search(rule):
        raise BadRule("has `~` in it: a JSON pointer writes `~` as `~0`, and `/` as `~1`")


class Redaction:
    """What one client's rules come to. Made once for each list of rules: `redaction_of`."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Rules that have been checked. The empty one points at all of a body."""
        rules = tuple(rules)
        pointers = [rule for rule in rules if not rule or rule.startswith("/")]
        names = [rule for rule in rules if rule and not rule.startswith("/")]
        self._points = bool(pointers)
        self._root = Node()
        for pointer in pointers:
            tokens = pointer.split("/")[1:]
            self._root.add(token.replace("~1", "/").replace("~0", "~") for token in tokens)
        self._names = Names(names) if names else None

    def shown(
        self,
        data: bytes,
        content_type: str = "",
        *,
        is_json: bool = False,
        is_cut: bool = False,
        values: Sequence[str] | None = (),
    ) -> Generator[None, None, bytes]:
        """A body as people are shown it; the same object, if nothing of it is masked.

        `is_json`: it is known to be; `is_cut`: there was more of it. `values`: what of another body
        is not shown, wherever it stands in this one (`values_in`); None: that cannot be told.
        """
        declared = is_json or declares_json(content_type)
        if not data or not (self._points or self._names):
            return data
        work = len(data) * len(values or ())
        if values is None or len(data) > LOOKED_AT_BYTES_MAX or work > COMPARED_BYTES_MAX:
            return _all_masked(declared=declared)
        if declared or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            spans = None
            if is_json or is_cut or _is_json(data):
                hits = yield from _hits(data, values)
                if hits is None:
                    return _all_masked(declared=declared)
                if values and is_cut:
                    hits.append(len(data) - 1)  # of one only its beginning may be there
                spans = yield from spans_in(data, self._root, self._names, is_cut=is_cut, hits=hits)
            if spans is not None:
                return _spliced(data, spans)
        if self._points or self._names is None:
            return _all_masked(declared=declared)
        return (yield from self._text_shown(data, values, declared=declared, is_cut=is_cut))

    def _text_shown(
        self, data: bytes, values: Sequence[str], *, declared: bool, is_cut: bool
    ) -> Generator[None, None, bytes]:
        """What is no JSON, where only names are hidden."""
        assert self._names is not None
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if not is_cut or error.start < len(data) - 3:
                return _all_masked(declared=declared)
            text = data[: error.start].decode()
        left = yield from _without_values(text, values, is_cut=is_cut)
        if left is None:
            return _all_masked(declared=declared)
        masked = yield from self._names.masked(left)
        return data if masked == text else masked.encode()

    def told(self, text: str, values: Iterable[str] = ()) -> str:
        """A text, of one line mostly, without what the names are given in it and without these
        values, as they stand in the body that it speaks of."""
        left = at_once(_without_values(text, values))
        if left is None:
            return MASK
        return left if self._names is None else at_once(self._names.masked(left))

    def values_in(
        self, payload: bytes, most: int = VALUES_MAX
    ) -> Generator[None, None, list[str] | None]:
        """What the rules find in a payload, the longest first: not to be told in another body or
        text. None: it is more to look for than `most`, or the payload too large to look through."""
        if len(payload) > LOOKED_AT_BYTES_MAX:
            return None
        spans = yield from spans_in(payload, self._root, self._names)
        if spans is None or len(spans) > most:
            return None
        found: set[str] = set()
        for span in spans:
            yield
            found.update(_texts_of(payload[span.begin : span.end]))
        values = [each for each in found if len(each) >= VALUE_CHARACTERS_MIN]
        return sorted(values, key=_longest_first) if len(values) <= most else None

    def masks_in(self, data: bytes, *, is_json: bool) -> Generator[None, None, list[str]]:
        """Where in a body that somebody gives a mask stands in the place of a value, as JSON
        pointers: it was read as people are shown it. Of a text that is all of it. A value whose
        asterisks are escaped (`"\\u002a**"`) is no mask."""
        mask = MASK.encode()
        if not (self._points or self._names) or mask not in data:
            return []
        if is_json:
            return (yield from masks_left(data, self._names))
        if data.strip() == mask:
            return [""]
        named = self._names is not None and (yield from self._names.are_given_masks(data.decode()))
        return [""] if named else []


def _longest_first(value: str) -> tuple[int, str]:
    return -len(value), value


@lru_cache(maxsize=1_024)
def redaction_of(rules: tuple[str, ...]) -> Redaction:
    """What checked rules come to."""
    return Redaction(rules)


def _is_json(data: bytes) -> bool:
    text = data.removeprefix(b"\xef\xbb\xbf")
    return len(data) <= JUDGED_BYTES_MAX and json_fault(text) is None


def _all_masked(*, declared: bool) -> bytes:
    return VALUE_MASK if declared else MASK.encode()


def _spliced(data: bytes, spans: list[Span]) -> bytes:
    if not spans:
        return data
    parts: list[bytes] = []
    at = 0
    for span in spans:
        parts += (data[at : span.begin], span.mask)
        at = span.end
    return b"".join((*parts, data[at:]))


def at_once(steps: Generator[None, None, T]) -> T:
    """What small work comes to, in one go."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found


def _hits(data: bytes, values: Sequence[str]) -> Generator[None, None, list[int] | None]:
    """Where one of the values begins, however JSON spells it; None: in too many places."""
    if not values:
        return []
    found: set[int] = set()
    places = _escaped_places(data, values) if b"\\" in data else _plain_places(data, values)
    for compared, at in enumerate(places, 1):
        if at is not None:
            found.add(at)
        if at is None or compared % COMPARED_A_SLICE == 0:
            yield
        if len(found) > SPANS_MAX or compared > COMPARED_MAX:
            return None
    return sorted(found)


def _plain_places(data: bytes, values: Sequence[str]) -> Iterator[int | None]:
    """As `_places`, of all the values in a body in which nothing is escaped."""
    heads: set[tuple[bytes, bool]] = set()
    for value in values:
        spelled = value.encode("utf-8", "surrogatepass")
        heads.add((spelled[:HEAD_CHARACTERS].lower(), len(spelled) <= WORD_CHARACTERS_MAX))
    lower = data.lower()
    for head, is_word in heads:
        yield from _places(lower, head, is_word=is_word)


def _escaped_places(data: bytes, values: Sequence[str]) -> Iterator[int | None]:
    """As `_places`, of all the values in a body in which each sign may be escaped, or none."""
    patterns: set[bytes] = set()
    for value in values:
        pattern = _escapable(value)
        if pattern in patterns:
            continue
        patterns.add(pattern)
        sign = re.compile(pattern, re.IGNORECASE)
        for begin in range(0, len(data), PIECE_BYTES):
            for place in sign.finditer(data, begin, begin + PIECE_BYTES + ESCAPED_BYTES_MAX):
                yield place.start()
            yield None


def _escapable(value: str) -> bytes:
    """A pattern of how a value begins, however JSON spells it: PHP escapes each slash, Go `&`, and
    JSON in a string escapes the backslashes again."""
    pattern = b""
    before = ""
    for sign in value[:HEAD_CHARACTERS]:
        units = sign.encode("utf-16-be", "surrogatepass").hex()
        escape = rb"\\{0,16}+" if before == "\\" else rb"\\{1,16}+"
        escaped = b"".join(
            escape + b"u" + units[at : at + 4].encode() for at in (0, 4)[: len(units) // 4]
        )
        plain = re.escape(sign.encode("utf-8", "surrogatepass"))
        if sign != "\\":
            ways = [plain, escaped]
            if sign in _SHORT_ESCAPES:
                ways.append(escape + re.escape(_SHORT_ESCAPES[sign].encode()))
            pattern += b"(?:%b)" % b"|".join(ways)
        elif before != sign:
            pattern += rb"(?:\\{1,16}+u005c|\\{1,16}+)"
        before = sign
    return _ALONE % pattern if len(value) <= WORD_CHARACTERS_MAX else pattern


def _places(lower: AnyStr, head: AnyStr, *, is_word: bool) -> Iterator[int | None]:
    """Where it stands; None after each piece that was looked through, and where it is a part of a
    word."""
    for begin in range(0, len(lower), PIECE_BYTES):
        end = begin + PIECE_BYTES + len(head) - 1
        at = lower.find(head, begin, end)
        while at >= 0:
            counts = not is_word or _is_word(lower, at, at + len(head))
            yield at if counts else None
            at = lower.find(head, at + 1, end)
        yield None


def _is_word(text: AnyStr, begin: int, end: int) -> bool:
    return not (text[max(0, begin - 1) : begin].isalnum() or text[end : end + 1].isalnum())


def _texts_of(part: bytes) -> Iterator[str]:
    """The texts and numbers that a part of a JSON text holds, each also as JSON spells it."""
    try:
        values = [json.loads(part, strict=False, parse_int=str, parse_float=str)]
    except (ValueError, RecursionError):
        yield " ".join(part.decode("utf-8", "replace").rstrip('"').split())
        return
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str):
            yield value
            yield " ".join(value.split())
            yield json.dumps(value, ensure_ascii=False)[1:-1]


def _without_values(
    text: str, values: Iterable[str], *, is_cut: bool = False
) -> Generator[None, None, str | None]:
    """A text without some values, in any case of letters, also where only their beginnings stand;
    None: they stand in too many places. `is_cut`: it may end with the first letters of one."""
    by_head: dict[str, list[str]] = {}
    for value in map(_lower, values):
        head = value if len(value) <= WORD_CHARACTERS_MAX else value[:HEAD_CHARACTERS]
        by_head.setdefault(head, []).append(value)
    if not by_head:
        return text
    lower = _lower(text)
    ends = {max(0, len(text) - HEAD_CHARACTERS + 1): len(text)} if is_cut else {}
    compared = 0
    for head, those in by_head.items():
        for at in _places(lower, head, is_word=len(head) <= WORD_CHARACTERS_MAX):
            end = 0
            if at is None:
                yield
            for value in those:
                compared += 1
                if compared % COMPARED_A_SLICE == 0:
                    yield
                if at is not None:
                    end = max(end, _end_of_same(lower, at, len(head), value))
            if at is not None:
                ends[at] = max(end, ends.get(at, 0))
            if len(ends) > SPANS_MAX or compared > COMPARED_MAX:
                return None
    parts: list[str] = []
    shown_from = 0
    for number, (at, end) in enumerate(sorted(ends.items())):
        if number % COMPARED_A_SLICE == 0:
            yield
        if at >= shown_from:
            parts += (text[shown_from:at], MASK)
        shown_from = max(shown_from, end)
    return "".join((*parts, text[shown_from:]))


def _end_of_same(text: str, at: int, same: int, value: str) -> int:
    """How far a text goes on as a value does, of which so many characters stand there."""
    step = 1
    while step:
        part = value[same : same + step]
        if part and text.startswith(part, at + same):
            same += len(part)
            step *= 2
        else:
            step //= 2
    return at + same


def _lower(text: str) -> str:
    """In small letters, each in its place: of one the small one is two, of one it depends."""
    return text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()
