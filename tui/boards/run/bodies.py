"""Payloads and answers as lines: pretty where they are JSON, as they came, as hex, and compared.

What is here has been through `redact`, and nothing of it reaches the terminal as a control.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from engine.wire import json_fault
from tui.boards.cells import Cell
from tui.boards.run.json_text import indented, json_lines
from tui.boards.said import hand_text
from tui.data.model import SET_BY_HAND, Step
from tui.text import fmt
from tui.text.redact import Redactor
from tui.text.sanitize import head, safe, width

if TYPE_CHECKING:
    from engine.client import AsyncClient, BodyPart

FIRST_BYTES = 65_536
"""So much of a body is read to begin with."""
MORE_BYTES_MAX = 1_048_576
"""As much again is read at its end, but no more than this at once."""
HEX_BYTES_A_LINE = (16, 8, 4)
"""As many as there is room for."""
DIFF_LINES_MAX = 2_000
"""Longer bodies are not compared: the time for it grows with the square."""


class BodyLook(StrEnum):
    """How a body is shown."""

    PRETTY = "pretty"
    RAW = "raw"
    HEX = "hex"
    DIFF = "diff"


class ShownBody(Struct, frozen=True):
    """What was read of a body, without its secrets."""

    data: bytes
    content_type: str
    read_bytes: int
    kept_bytes: int
    full_bytes: int
    redacted: int = 0
    """How many values were replaced."""
    hides: bool = False
    """The engine has masked what its client hides."""

    @classmethod
    def of(cls, part: BodyPart, redactor: Redactor) -> ShownBody:
        """The first part of a body without its secrets."""
        data, redacted = redactor.body(part.data, part.content_type)
        return cls(
            data, part.content_type, len(part.data), part.kept_bytes, part.full_bytes, redacted,
            part.redacted,
        )  # fmt: skip

    @property
    def is_whole(self) -> bool:
        """All of it that the engine keeps was read."""
        return self.read_bytes >= self.kept_bytes

    def text(self) -> str | None:
        """It as text; None: it is none. A character that the end of the part cuts is left out."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            if error.start < len(self.data) - 3 or self.is_whole:
                return None
            return self.data[: error.start].decode()


async def read(
    client: AsyncClient, step_id: str, attempt: int | None, first: int = 0, count: int | None = None
) -> BodyPart:
    """A step's payload (no attempt), an attempt's answer, or what was set by hand. Raises
    AtomicError."""
    if attempt == SET_BY_HAND:
        return await client.operate.result(step_id, first=first, count=count)
    if attempt is None:
        return await client.operate.payload(step_id, first=first, count=count)
    return await client.operate.answer(step_id, attempt, first=first, count=count)


def answer_name(step: Step, attempt: int | None) -> str:
    """`payload`, `answer to try 2 · 503`, `result set by ana · 200`."""
    if attempt is None:
        return "payload"
    by, status = step.by_hand, {each.number: each.http_status for each in step.answered}
    if attempt == SET_BY_HAND and by is not None:
        what, code = hand_text(by), step.http_status
    else:
        what, code = f"answer to try {attempt}", status.get(attempt)
    return what if code is None else f"{what} · {code}"


def longer(part: BodyPart, more: BodyPart) -> BodyPart:
    """Two parts that follow each other as one."""
    return msgspec.structs.replace(part, data=part.data + more.data)


def told_of(body: ShownBody) -> str:
    """How long it is, of which type, and what of it is not shown."""
    told = f"{fmt.size(body.full_bytes)} · {safe(body.content_type) or 'no content type'}"
    told += redacted_text(body.redacted)
    if body.hides:
        told += " · masked as its client hides it"
    if body.kept_bytes < body.full_bytes:
        told += f" · the engine kept the first {fmt.size(body.kept_bytes)}"
    return told if body.is_whole else told + f" · the first {fmt.size(body.read_bytes)} shown"


def redacted_text(values: int) -> str:
    """How many values were replaced, to be put behind something else."""
    return f" · {values} value{'s' if values > 1 else ''} redacted" if values else ""


def looks_of(body: ShownBody) -> list[BodyLook]:
    """The ways in which it can be shown by itself, the usual one first."""
    text = body.text()
    if text is None:
        return [BodyLook.HEX]
    return [*([BodyLook.PRETTY] if _is_json(body, text) else []), BodyLook.RAW, BodyLook.HEX]


def lines_of(
    body: ShownBody, look: BodyLook, cells: int, before: ShownBody | None = None
) -> list[Cell]:
    """A body as lines of at most so many cells, behind a head. What is no text is shown as hex."""
    lines: list[Cell] = [(told_of(body), "dim"), ("", "plain")]
    if not body.data:
        return [*lines, ("(empty)", "dim")]
    if look is BodyLook.DIFF and before is not None:
        lines += _diff(before, body, cells)
    else:
        lines += _shown(body, look, cells)
    if not body.is_whole:
        shown = f"the first {fmt.size(body.read_bytes)} of {fmt.size(body.kept_bytes)} shown"
        lines += [
            ("", "plain"),
            ((f"{shown} · ", "dim"), ("space", "strong"), (" loads more", "dim")),
        ]
    return lines


def beginning(body: ShownBody, cells: int, most: int) -> list[Cell]:
    """The first lines of a body as it is usually shown, at most so many."""
    if not body.data:
        return [("(empty)", "dim")]
    found = list(islice(_shown(body, looks_of(body)[0], cells), most + 1))
    lines = found[:most]
    if len(found) > most or not body.is_whole:
        lines.append(("…", "dim"))
    return lines


def plain_lines(body: ShownBody, cells: int) -> list[str]:
    """All that was read of a body as it is usually shown, without colours, to be compared."""
    return list(_plain(body, BodyLook.PRETTY, cells))


def _shown(body: ShownBody, look: BodyLook, cells: int) -> Iterator[Cell]:
    """Its lines in this look, JSON in colour."""
    text = body.text()
    if text is not None and look is BodyLook.PRETTY and _is_json(body, text):
        return json_lines(text, max(8, cells))
    return ((line, "plain") for line in _plain(body, look, cells))


def _plain(body: ShownBody, look: BodyLook, cells: int) -> Iterator[str]:
    text = body.text()
    if text is None or look is BodyLook.HEX:
        return _hex(body.data, cells)
    pretty = look is BodyLook.PRETTY and _is_json(body, text)
    return _wrapped(indented(text) if pretty else text, max(8, cells))


def _diff(before: ShownBody, after: ShownBody, cells: int) -> Iterator[Cell]:
    old, new = (plain_lines(each, cells - 1) for each in (before, after))
    if max(len(old), len(new)) > DIFF_LINES_MAX:
        yield (f"more than {DIFF_LINES_MAX:,} lines are not compared: m shows it alone", "alarm")
        return
    found = list(unified_diff(old, new, lineterm="", n=3))[2:]
    if not found:
        what = "all of it" if before.is_whole and after.is_whole else "what was read of it"
        yield (f"the same as the answer before, {what}", "dim")
    styles = {"+": "good", "-": "failed", "@": "dim"}
    for line in found:
        yield (line, styles.get(line[0], "plain"))


def _is_json(body: ShownBody, text: str) -> bool:
    if "json" not in body.content_type.lower():
        return False
    if not body.is_whole:
        return text.lstrip()[:1] in ("{", "[")
    return json_fault(text.encode()) is None


# -- lines -----------------------------------------------------------------------------------------


def _wrapped(text: str, cells: int) -> Iterator[str]:
    for line in text.split("\n"):
        rest = line.rstrip("\r")
        rest = rest.expandtabs(4) if "\t" in rest else rest
        piece = ""
        for begin in range(0, len(rest), cells):
            piece += safe(rest[begin : begin + cells])
            while width(piece) > cells:
                fits = head(piece, cells)
                yield fits
                piece = piece[len(fits) :]
        yield piece


def _hex(data: bytes, cells: int) -> Iterator[str]:
    fitting = (count for count in HEX_BYTES_A_LINE if 4 * count + 11 <= cells)
    count = next(fitting, HEX_BYTES_A_LINE[-1])
    for begin in range(0, len(data), count):
        row = data[begin : begin + count]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        yield f"{begin:08x}  {row.hex(' '):<{3 * count - 1}}  {shown}"


def readable(text: str) -> str:
    """A whole text with everything that a terminal would obey replaced by its picture."""
    return "\n".join(_safe_line(line) for line in text.split("\n"))


def _safe_line(line: str) -> str:
    """A whole line made safe: `safe` cuts what is long, and here nothing is left out."""
    return "".join(safe(line[at : at + 1_000]) for at in range(0, len(line), 1_000))
