"""The fingerprint of a large payload, in slices: many small pieces of work, and a yield after each.

A MiB of numbers or brackets costs a second to bring into its canonical form, and whoever does it in
one go stands still for so long. The text is cut where that can be seen without reading it all: at
the commas of its large arrays and objects. What lies between two cuts is read and written by the
decoder, as `fingerprint` does with the whole, so the value is the same.

Whoever runs it decides how much is done at a time; see `process/costly.py`.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Callable, Generator, Iterator

import msgspec
from msgspec import Struct, field

from engine.core.text.fingerprint import canonical, canonical_value, encode
from engine.core.text.json_text import (
    LONE,
    MARK,
    MARKED,
    marked,
    ready_for_marks,
    unmarked,
    with_marks,
    without_marks,
)

PIECE_BYTES = 2_048
"""A container up to this is read as a part of what surrounds it; a large one is cut into pieces of
some such size: a piece of numbers takes a millisecond."""
SYMBOLS_A_SLICE = 1_000
NAMES_A_SLICE = 500
STRING_PARTS_A_SLICE = 50
REPLACED_A_SLICE = 1_000
LARGE_STRING_BYTES = 4 * PIECE_BYTES
"""A piece larger than this holds a string that cannot be cut."""
_SYMBOL = re.compile(
    rb'"[^"\\]*",?'  # a string without escapes
    rb'|[\[{][^"\[\]{}]{0,64}[\]}],?'  # a small container without strings or others in it
    rb'|["\[\]{}]'
    rb'|[^"\[\]{}]{1,512}'  # numbers, words, what stands between
)
_IN_STRING = re.compile(rb'(?:[^"\\]{1,4096}|\\.){0,256}')
_OPEN, _OPEN_OBJECT, _CLOSE, _QUOTE, _COMMA = b"[{", 0x7B, b"]}", 0x22, 0x2C
_MARK = MARK.decode()
Slices = Generator[None, None, bytes]


class _Container(Struct):
    """An array or an object of which it is known where to cut it."""

    start: int
    is_object: bool
    pieces: list[tuple[int, int] | _Item] = field(default_factory=list)
    piece_start: int | None = None
    """Where the piece that is growing began; None: behind a large container, before a comma."""
    item_start: int = 0

    def comma(self, text: bytes, start: int, end: int) -> None:
        """There are commas of this container between `start` and `end`, or none."""
        last = text.rfind(b",", start, end)
        if last < 0:
            return
        if self.piece_start is None:
            self.piece_start = text.index(b",", start, end) + 1
        if last - self.piece_start >= PIECE_BYTES:
            self.pieces.append((self.piece_start, last))
            self.piece_start = last + 1
        self.item_start = last + 1

    def large(self, container: _Container) -> None:
        """A large container in this one has ended."""
        if self.piece_start is not None and self.item_start > self.piece_start:
            self.pieces.append((self.piece_start, self.item_start - 1))
        self.pieces.append(_Item(self.item_start, container))
        self.piece_start = None

    def end(self, text: bytes, at: int) -> None:
        """It has ended."""
        if self.piece_start is not None and text[self.piece_start : at].strip():
            self.pieces.append((self.piece_start, at))


class _Item(Struct):
    """A large container in another one, and where its element or member begins."""

    start: int
    container: _Container


def fingerprint_in_slices(payload: bytes, depth_max: int) -> Slices:
    """What `fingerprint` gives, for JSON whose grammar has been checked.

    Raises as `fingerprint` does, and RecursionError for what nests deeper than `depth_max`.
    """
    container = yield from _containers(payload, depth_max)
    if container is None:
        text = yield from _canonical(payload)
    else:
        text = yield from _written(payload, container)
    return hashlib.sha256(text).digest()


def _containers(text: bytes, depth_max: int) -> Generator[None, None, _Container | None]:
    """The outermost container, if it is large, with all large ones in it."""
    inside: list[_Container] = []
    outermost: _Container | None = None
    at = number = 0
    while symbol := _SYMBOL.match(text, at):
        start, at = symbol.span()
        first = text[start]
        number += 1
        if number % SYMBOLS_A_SLICE == 0:
            yield
        if first in _OPEN and len(inside) == depth_max:
            raise RecursionError(f"nested deeper than {depth_max} levels")
        if at - start > 1 and (first == _QUOTE or first in _OPEN):
            if text[at - 1] == _COMMA and inside:
                inside[-1].comma(text, at - 1, at)
        elif first == _QUOTE:
            at = yield from _string_end(text, at)
        elif first in _OPEN:
            inside.append(_Container(start, first == _OPEN_OBJECT, [], at, at))
        elif first in _CLOSE:
            ended = inside.pop()
            if at - ended.start > PIECE_BYTES:
                ended.end(text, start)
                if inside:
                    inside[-1].large(ended)
                else:
                    outermost = ended
        elif inside:
            inside[-1].comma(text, start, at)
    return outermost


def _string_end(text: bytes, at: int) -> Generator[None, None, int]:
    """Behind a string with escapes of which all up to `at` has been seen."""
    number = 0
    while text[at] != _QUOTE:
        found = _IN_STRING.match(text, at)
        assert found is not None
        assert found.end() > at, "the grammar has been checked"
        at = found.end()
        number += 1
        if number % STRING_PARTS_A_SLICE == 0:
            yield
    return at + 1


def _written(text: bytes, container: _Container) -> Slices:
    """The canonical form of a large container."""
    if container.is_object:
        return (yield from _object(text, container))
    parts: list[bytes] = []
    for piece in container.pieces:
        yield
        if isinstance(piece, _Item):
            parts.append((yield from _written(text, piece.container)))
        else:
            start, end = piece
            written = yield from _canonical(b"[%b]" % text[start:end])
            parts.append(written[1:-1])
    return b"[%b]" % b",".join(parts)


def _object(text: bytes, container: _Container) -> Slices:
    members: dict[str, bytes] = {}  # of several members with one name the last holds
    for piece in container.pieces:
        yield
        if isinstance(piece, _Item):
            spelled = text[piece.start : piece.container.start].rstrip(b" \t\r\n:")
            (name,) = yield from _members(b"{%b:0}" % spelled)
            members[name] = yield from _written(text, piece.container)
        else:
            start, end = piece
            members.update((yield from _members(b"{%b}" % text[start:end])))
    parts: list[bytes] = []
    for each in _sorted(members):
        if each is None:
            yield
        else:
            name_written = yield from _without_marks(encode(each))
            parts.append(b"%b:%b" % (name_written, members[each]))
    return b"{%b}" % b",".join(parts)


def _sorted(names: dict[str, bytes]) -> Iterator[str | None]:
    """The names in their order, and None now and then."""
    left = list(names)
    runs: list[list[str]] = []
    for start in range(0, len(left), NAMES_A_SLICE):
        runs.append(sorted(left[start : start + NAMES_A_SLICE]))
        yield None
    for number, name in enumerate(heapq.merge(*runs)):
        if number % NAMES_A_SLICE == 0:
            yield None
        yield name


def _canonical(piece: bytes) -> Slices:
    """The canonical form of a piece. One string may make it large."""
    if len(piece) <= LARGE_STRING_BYTES:
        return canonical(piece)
    try:
        value = canonical_value(piece)
        yield
        return encode(value)
    except msgspec.DecodeError:
        if rb"\u" not in piece:
            raise
    value = canonical_value((yield from _with_marks(piece)))
    return (yield from _without_marks(encode(value)))


def _members(piece: bytes) -> Generator[None, None, dict[str, bytes]]:
    """The members of an object by their names, which hold marks for lone surrogates."""
    try:
        found = canonical_value(piece)
        yield
    except msgspec.DecodeError:
        if rb"\u" not in piece:
            raise
        members: dict[str, bytes] = {}
        for name, value in canonical_value((yield from _with_marks(piece))).items():
            members[name] = yield from _without_marks(encode(value))
        return members
    if MARK in piece or rb"\u" in piece:
        return {name.replace(_MARK, _MARK + "ffff"): encode(it) for name, it in found.items()}
    return {name: encode(value) for name, value in found.items()}


def _with_marks(text: bytes) -> Slices:
    if len(text) <= LARGE_STRING_BYTES:
        return with_marks(text)
    return (yield from _replaced(LONE, marked, ready_for_marks(text)))


def _without_marks(text: bytes) -> Slices:
    if len(text) <= LARGE_STRING_BYTES:
        return without_marks(text)
    replaced = yield from _replaced(MARKED, unmarked, text)
    return replaced.replace(MARK + b"ffff", MARK)


def _replaced(
    pattern: re.Pattern[bytes], by: Callable[[re.Match[bytes]], bytes], text: bytes
) -> Slices:
    """What `pattern.sub` gives."""
    parts: list[bytes] = []
    at = 0
    for number, found in enumerate(pattern.finditer(text)):
        if number % REPLACED_A_SLICE == 0:
            yield
        parts += (text[at : found.start()], by(found))
        at = found.end()
    return b"".join((*parts, text[at:]))
