"""JSON as it is to be read, not as it travelled: indented, in colour, strings with line ends as
lines, and escapes as the characters that they stand for, but for those that a terminal obeys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tui.boards.cells import Cell, Part
from tui.text.sanitize import head, safe, width

INDENT_LEVELS_MAX = 40
"""Deeper JSON is indented no further, lest its indentation be most of it."""
STYLES = {"name": "json-name", "string": "json-string", "number": "json-number", "mark": "dim"}
Symbol = tuple[str, str]
"""What it is (break: a new line, with its indentation; name, string, number, word, mark), and its
text."""
_SYMBOL = re.compile(r'["{}\[\],:]|[^\s{}\[\],:"]++')
_ESCAPED = re.compile(r"\\\\|(?:\\u[0-9a-fA-F]{4})+|\\/")


def indented(text: str) -> str:
    """All of it as a text; it may end anywhere."""
    return "".join(f"\n{told}" if kind == "break" else told for kind, told in symbols(text))


def symbols(text: str) -> Iterator[Symbol]:
    """What it consists of, with the breaks between its lines; it may end anywhere."""
    depth, at = 0, 0
    opened = False
    while (match := _SYMBOL.search(text, at)) is not None:
        at = match.end() if match[0] != '"' else _string_end(text, match.end())
        symbol = text[match.start() : at]
        if symbol in ("}", "]"):
            depth = max(0, depth - 1)
            if not opened:
                yield _break(depth)
            yield "mark", symbol
            opened = False
            continue
        if opened:
            yield _break(depth)
        opened = symbol in ("{", "[")
        depth += opened
        if symbol == ",":
            yield "mark", symbol
            yield _break(depth)
        else:
            yield _kind(symbol, text, at), ": " if symbol == ":" else symbol


def _kind(symbol: str, text: str, at: int) -> str:
    if symbol[0] == '"':
        after = _SYMBOL.search(text, at)
        return "name" if after is not None and after[0] == ":" else "string"
    if symbol in ("{", "[", ":"):
        return "mark"
    return "number" if symbol[0] in "-0123456789" else "word"


def _string_end(text: str, begin: int) -> int:
    """Behind the quote that ends a string; an expression would hold the screen up for long ones."""
    at = text.find('"', begin)
    while at >= 0:
        before = at
        while before > begin and text[before - 1] == "\\":
            before -= 1
        if (at - before) % 2 == 0:
            return at + 1
        at = text.find('"', at + 1)
    return len(text)


def _break(depth: int) -> Symbol:
    return "break", "  " * min(depth, INDENT_LEVELS_MAX)


# -- strings ---------------------------------------------------------------------------------------


def string_lines(token: str) -> list[str]:
    """A string, quotes and all, as the lines that it has."""
    if "\\" not in token:
        return [token]
    try:
        value = json.loads(token)
    except (ValueError, RecursionError):  # it is cut, or no JSON
        return [token]
    if "\n" not in value.rstrip("\n"):
        return [_ESCAPED.sub(_opened, token)]
    lines = [_harmless(line.rstrip("\r").expandtabs(4)) for line in value.split("\n")]
    return [f'"{lines[0]}', *lines[1:-1], f'{lines[-1]}"']


def _opened(escaped: re.Match[str]) -> str:
    """The characters of some escapes, where they are such as can only be printed."""
    if escaped[0] == "\\\\":
        return escaped[0]
    value: str = json.loads(f'"{escaped[0]}"')
    return "".join(c if c not in '"\\' and safe(c) == c else _escape(c) for c in value)


def _harmless(line: str) -> str:
    """A line with everything that a terminal would obey escaped, as it came."""
    if safe(line) == line:
        return line
    return "".join(c if safe(c) == c else _escape(c) for c in line)


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1]


# -- lines -----------------------------------------------------------------------------------------


class _Row:
    """Parts that are put behind each other, and go on in the next line where there is no room."""

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._parts: list[Part] = []
        self.used = 0
        self._full: list[Cell] = []

    def put(self, text: str, style: str) -> None:
        """A text behind what is there."""
        for begin in range(0, len(text), self._cells):
            piece = safe(text[begin : begin + self._cells])
            while self.used + width(piece) > self._cells:
                fits = head(piece, self._cells - self.used)
                self._add(fits, style)
                self._full.append(tuple(self._parts) or ("", "plain"))
                self._parts, self.used = [], 0
                piece = piece[len(fits) :]
            self._add(piece, style)

    def _add(self, piece: str, style: str) -> None:
        if piece:
            self._parts.append((piece, style))
            self.used += width(piece)

    def end(self, indent: str) -> Iterator[Cell]:
        """The lines until now; the next one is indented so far."""
        yield from self._full
        yield tuple(self._parts) or ("", "plain")
        self._full, self._parts, self.used = [], [], 0
        self._add(indent[: self._cells // 2], "plain")


def json_lines(text: str, cells: int) -> Iterator[Cell]:
    """JSON as lines of at most so many cells; it may end anywhere."""
    row = _Row(cells)
    for kind, told in symbols(text):
        if kind == "break":
            yield from row.end(told)
            continue
        style = STYLES.get(kind, "json-word")
        first, *rest = string_lines(told) if kind == "string" else [told]
        indent = " " * (row.used + 1)
        row.put(first, style)
        for line in rest:
            yield from row.end(indent)
            row.put(line, style)
    yield from row.end("")
