"""Payloads and answers: as text that does nothing, or to be kept as a file. Never rendered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.core.model import run_of
from engine.core.text.json_text import json_fault, nesting
from engine.front.access.who import Who
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS
from engine.front.ui.site import Site
from engine.shown.numbers import size

SHOWN_BYTES_MAX = 65_536
"""Of a body; all of it is in the file."""
PIECE_CHARACTERS = 200
"""Of a line: put onto the page by itself, so that the longest one is no long work at once."""
INDENTED_LEVELS_MAX = 32
"""Of JSON that nests deeper most would be blanks."""
INDENTED_BYTES_MAX = 4 * SHOWN_BYTES_MAX
"""Of JSON with its blanks; what would be longer is shown as it came."""
LINES_AT_ONCE = 500
"""Lines split between two pauses: some tenths of a millisecond."""
Read = Callable[[str | None], Awaitable[Reply]]
"""A body as `/api/v1` gives it, by the range asked for."""


class Part(Struct, frozen=True):
    """The beginning of a body, as it is shown."""

    about: str
    """How long it is, of which type, and what of it is not shown."""
    text: list[list[str]] | None
    """Lines, in pieces; None: it is no text."""


async def first_part(site: Site, read: Read, bytes_max: int) -> Part:
    """So much of a body. Raises Refused."""
    reply = await read(f"bytes=0-{bytes_max - 1}")
    if reply.room is not None:
        reply.room.give_back()
    its, data = dict(reply.headers), b"" if reply.status == 416 else reply.body
    full = int(its["atomic-full-size"])
    about = [size(full), its["atomic-content-type"] or "no content type"]
    if its["atomic-redacted"] == "true":
        about.append("masked as its client hides it")
    if len(data) < full:
        about.append(f"the first {size(len(data))} shown")
    text = _text_of(data, is_cut=len(data) < full)
    if text is None:
        return Part(" · ".join(about), None)
    lines = await site.front.costly.run(_lines(text), OPERATORS)
    return Part(" · ".join(about), lines)


async def body_page(site: Site, who: Who, step_id: str, what: str, read: Read) -> Reply:
    """The first part of a body as text. Raises Refused."""
    part = await first_part(site, read, SHOWN_BYTES_MAX)
    members = {"what": what, "step": step_id, "run": run_of(step_id), "part": part}
    return await site.page("body", who, members)


async def body_file(step_id: str, what: str, read: Read) -> Reply:
    """All of it that the engine keeps, as a file. Raises Refused."""
    reply = await read(None)
    name = re.sub(r"[^A-Za-z0-9-]", "_", f"{step_id[:60]}-{what}")
    kept = ("content-disposition", f'attachment; filename="{name}.bin"')
    return replace(reply, headers=(*reply.headers, kept))


def _text_of(data: bytes, *, is_cut: bool) -> str | None:
    """None: it is no text. JSON that is all there is indented."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if not is_cut or error.start < len(data) - 3:
            return None
        text = data[: error.start].decode()  # the last character was cut
    if not is_cut and text.lstrip()[:1] in ("{", "[") and _may_be_indented(data):
        return msgspec.json.format(data, indent=2).decode()
    return text


def _may_be_indented(data: bytes) -> bool:
    """Whether it is JSON that is not much longer with its blanks: each bracket and comma may begin
    a line, and each line begin with two blanks for each level."""
    if json_fault(data) is not None:
        return False
    depth = nesting(data, INDENTED_LEVELS_MAX)
    breaks = sum(data.count(each) for each in b",[]{}")
    longest = len(data) + (1 + 2 * depth) * breaks + data.count(b":")
    return depth <= INDENTED_LEVELS_MAX and longest <= INDENTED_BYTES_MAX


def _lines(text: str) -> Generator[None, None, list[list[str]]]:
    """The text in its lines, each in pieces."""
    found: list[list[str]] = []
    for line in text.split("\n"):
        if len(found) % LINES_AT_ONCE == LINES_AT_ONCE - 1:
            yield
        its = line.rstrip("\r").expandtabs(4)
        found.append(
            [its[at : at + PIECE_CHARACTERS] for at in range(0, len(its), PIECE_CHARACTERS)]
        )
    return found
