"""Where in a JSON text the values stand that people are not shown, found without changing the rest.

The text is read as it stands, once: members that come twice are both found, and numbers, blanks and
escapes stay as they were sent. A text that was cut is read as far as it goes. What is a value is
told by the grammar alone, so a text that breaks it is given up: then nothing of it may be shown.
It is done in slices (`process/costly.py`): small pieces of work, and a yield after each.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Generator, Iterable

from msgspec import Struct

from engine.core.text.named_values import Names
from engine.core.text.secrets import MASK

VALUE_MASK = json.dumps(MASK).encode()
"""In the place of a value."""
VALUES_A_SLICE = 100
SPANS_MAX = 100_000
"""A text of which more is not shown is shown not at all: its parts would fill memory."""
PIECE_BYTES = 65_536
"""So much of a long string, or of what has none, is looked through in one go."""
_BLANK = rb"[ \t\r\n]*+"
_BEGIN = re.compile(_BLANK + rb"(?:([\"\[{])|([^ \t\r\n\"\[\]{},:]++))")
_NEXT = re.compile(_BLANK + rb"([,\]}\"])")
_QUOTE = re.compile(_BLANK + rb'"')
_COLON = re.compile(_BLANK + rb":")
_END = re.compile(_BLANK + rb"\Z")
_SHORT_STRING = re.compile(rb'[^"\\]{0,%d}+"' % PIECE_BYTES)
_IN_STRING = re.compile(rb'(?:[^"\\]{1,256}|\\.){0,256}', re.DOTALL)
_TO_BRACKET = re.compile(
    rb'[^\["{}\]]{0,%d}+(?:"[^"\\]{0,1024}+"[^\["{}\]]{0,1024}+){0,32}+([\["{}\]])?' % PIECE_BYTES
)
"""Up to the next sign that counts, over short strings without escapes."""
_LIKE_JSON = re.compile(rb"(?:[ \t]|\\[nrt]|\\u00(?:0[9aAdD]|20))*+[\[{\\]")
"""How JSON in a string begins: with a bracket, or with an escape, as of a quotation mark."""


class Node:
    """Where pointers lead from some place of a document."""

    __slots__ = ("any", "by_token", "ends")

    def __init__(self) -> None:
        self.by_token: dict[str, Node] = {}
        self.any: Node | None = None
        """For each member and item."""
        self.ends = False
        """A pointer ends here: what stands here is masked."""

    def add(self, tokens: Iterable[str]) -> None:
        """Lead one pointer more through here."""
        node = self
        for token in tokens:
            if token == "*":
                node.any = node.any or Node()
                node = node.any
            else:
                node = node.by_token.setdefault(token, Node())
        node.ends = True


Nodes = tuple[Node, ...]


class Span(Struct, frozen=True):
    """What is not shown, and what is in its place."""

    begin: int
    end: int
    mask: bytes = VALUE_MASK


class _Frame(Struct):
    """An array or object that is open."""

    begin: int
    is_object: bool
    nodes: Nodes
    spans_before: int
    number: int = 0
    """Of items or members so far."""
    is_hidden: bool = False
    """One of its strings is a name, so one of the others is what it is given."""
    same: Nodes | None = None
    """Where pointers lead for each of its items, whichever it is."""


class _Broken(Exception):
    """It is no JSON from here on; or it ends here."""


Spans = Generator[None, None, list[Span] | None]


def spans_in(
    text: bytes,
    root: Node,
    names: Names | None,
    *,
    is_cut: bool = False,
    hits: list[int] | None = None,
) -> Spans:
    """What pointers and names find, in the text's order; None: it is no JSON.

    `is_cut`: its end may be missing. `hits`: where something stands, in rising order, that is not
    to be shown wherever it is; what holds it is found too.
    """
    scan = _Scan(text, names, hits or [])
    try:
        yield from scan.read((root,))
    except _Broken:
        if not (is_cut and scan.is_at_end):
            return None
        scan.end_all()
    return scan.found


class _Scan:
    """One reading of a text."""

    def __init__(self, text: bytes, names: Names | None, hits: list[int]) -> None:
        self._text, self._names, self._hits = text, names, hits
        self._frames: list[_Frame] = []
        self.found: list[Span] = []
        self.is_at_end = False
        """There was no more of it."""

    def read(self, root: Nodes) -> Generator[None, None, None]:
        """Raises _Broken."""
        at = 3 if self._text.startswith(b"\xef\xbb\xbf") else 0
        at = yield from self._value(at, root, is_hidden=False)
        number = 0
        while self._frames:
            number += 1
            if number % VALUES_A_SLICE == 0:
                if len(self.found) > SPANS_MAX:
                    raise _Broken
                yield
            at = yield from self._next(self._frames[-1], at)
        if not _END.match(self._text, at):
            raise _Broken

    def end_all(self) -> None:
        """The text ends within what is open."""
        while self._frames:
            self._leave(self._frames.pop(), len(self._text))

    def _next(self, frame: _Frame, at: int) -> Generator[None, None, int]:
        """The next item or member, or the end of what is open."""
        sign = _NEXT.match(self._text, at)
        if sign is not None and sign[1] == (b"}" if frame.is_object else b"]"):
            self._leave(self._frames.pop(), sign.end())
            return sign.end()
        if frame.number:
            if sign is None or sign[1] != b",":
                raise self._broken(at)
            at = sign.end()
        frame.number += 1
        if not frame.is_object:
            nodes = frame.same if frame.same is not None else self._of_item(frame)
            return (yield from self._value(at, nodes, is_hidden=False))
        quote = self._match(_QUOTE, at)
        end = yield from self._string_end(quote.end())
        if self._is_hit(at, end):
            frame.is_hidden = True
        spelled = self._text[quote.end() : end - 1]
        colon = self._match(_COLON, end)
        nodes = _led(frame.nodes, _decoded(spelled)) if frame.nodes else ()
        is_hidden = self._names is not None and self._names.are(spelled)
        return (yield from self._value(colon.end(), nodes, is_hidden=is_hidden))

    def _of_item(self, frame: _Frame) -> Nodes:
        if any(node.by_token for node in frame.nodes):
            return _led(frame.nodes, str(frame.number - 1))
        frame.same = _led(frame.nodes, "")
        return frame.same

    def _value(self, at: int, nodes: Nodes, *, is_hidden: bool) -> Generator[None, None, int]:
        """A value, of an array or object only its beginning unless it is not looked into."""
        found = self._match(_BEGIN, at)
        is_hidden = is_hidden or any(node.ends for node in nodes)
        if found[2] is not None:
            if is_hidden or self._is_hit(*found.span(2)):
                self.found.append(Span(*found.span(2)))
            return found.end()
        begin = found.start(1)
        if found[1] == b'"':
            end = yield from self._string_end(begin + 1)
            is_json = nodes and _LIKE_JSON.match(self._text, begin + 1)
            if is_hidden or is_json or self._is_hit(begin, end):
                self.found.append(Span(begin, end))
            elif self._names is not None:
                yield from self._named_in(begin, end, self._names)
            return end
        if is_hidden or not (nodes or self._names or self._hits):
            end = yield from self._container_end(begin)
            if is_hidden:
                self.found.append(Span(begin, end))
            return end
        self._frames.append(_Frame(begin, found[1] == b"{", nodes, len(self.found)))
        return begin + 1

    def _is_hit(self, begin: int, end: int) -> bool:
        at = bisect_left(self._hits, begin) if self._hits else 0
        return at < len(self._hits) and self._hits[at] < end

    def _named_in(self, begin: int, end: int, names: Names) -> Generator[None, None, None]:
        """What a name is given in a string; or the string is a name itself."""
        is_whole = self._text[end - 1 : end] == b'"' and end - 1 > begin
        inner = self._text[begin + 1 : end - 1 if is_whole else end]
        if names.are(inner):
            if self._frames:
                self._frames[-1].is_hidden = True
            return
        given = yield from names.given_in(inner)
        if given is not None:
            behind = b'"' if is_whole else b""
            self.found.append(Span(begin + 1 + given, end, MASK.encode() + behind))

    def _leave(self, frame: _Frame, end: int) -> None:
        if frame.is_hidden:
            del self.found[frame.spans_before :]
            self.found.append(Span(frame.begin, end))

    def _string_end(self, at: int) -> Generator[None, None, int]:
        """Behind a string of which all up to `at` has been seen."""
        if found := _SHORT_STRING.match(self._text, at):
            return found.end()
        seen = 0
        while self._text[at : at + 1] != b'"':
            more = _IN_STRING.match(self._text, at)
            if more is None or more.end() == at:  # it ends, perhaps within an escape
                self.is_at_end = True
                return len(self._text)
            seen += 4_096 + more.end() - at
            at = more.end()
            if seen >= PIECE_BYTES:
                seen = 0
                yield
        return at + 1

    def _container_end(self, at: int) -> Generator[None, None, int]:
        """Behind an array or object that is not looked into."""
        inside: list[bytes] = []
        number = 0
        while True:
            found = self._match(_TO_BRACKET, at)
            at, sign = found.end(), found[1]
            number += VALUES_A_SLICE if sign is None else 1
            if number >= VALUES_A_SLICE:
                number = 0
                yield
            if sign is None:
                if at == len(self._text):
                    self.is_at_end = True
                    return at
            elif sign == b'"':
                at = yield from self._string_end(at)
            elif sign in (b"[", b"{"):
                inside.append(b"]" if sign == b"[" else b"}")
            elif sign != inside.pop():
                raise self._broken(at)
            elif not inside:
                return at

    def _match(self, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes]:
        found = pattern.match(self._text, at)
        if found is None:
            raise self._broken(at)
        return found

    def _broken(self, at: int) -> _Broken:
        self.is_at_end = self.is_at_end or _END.match(self._text, at) is not None
        return _Broken()


def _led(nodes: Nodes, token: str) -> Nodes:
    """Where pointers lead from there by a member's name, or an item's number."""
    led = [node.by_token[token] for node in nodes if token in node.by_token]
    return (*led, *(node.any for node in nodes if node.any is not None))


def _decoded(spelled: bytes) -> str:
    """A member's name as it is meant."""
    if b"\\" not in spelled:
        return spelled.decode("utf-8", "replace")
    try:
        return str(json.loads(b'"%b"' % spelled, strict=False))
    except ValueError:
        return spelled.decode("utf-8", "replace")
