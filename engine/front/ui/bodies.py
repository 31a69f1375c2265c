"""Payloads and answers: as text that does nothing, or to be kept as a file. Never rendered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.core.model import run_of
from engine.front.access.who import Who
from engine.front.server.reply import Reply
from engine.front.ui.site import Site
from engine.shown.numbers import size

SHOWN_BYTES_MAX = 65_536
"""Of a body; all of it is in the file."""
PIECE_CHARACTERS = 200
"""Of a line: put onto the page by itself, so that the longest one is no long work at once."""
Read = Callable[[str | None], Awaitable[Reply]]
"""A body as `/api/v1` gives it, by the range asked for."""


class Part(Struct, frozen=True):
    """The beginning of a body, as it is shown."""

    about: str
    """How long it is, of which type, and what of it is not shown."""
    text: list[list[str]] | None
    """Lines, in pieces; None: it is no text."""


async def first_part(read: Read, bytes_max: int) -> Part:
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
    return Part(" · ".join(about), None if text is None else _lines(text))


async def body_page(site: Site, who: Who, step_id: str, what: str, read: Read) -> Reply:
    """The first part of a body as text. Raises Refused."""
    part = await first_part(read, SHOWN_BYTES_MAX)
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
    if not is_cut and text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.format(data, indent=2).decode()
        except msgspec.DecodeError:
            pass
    return text


def _lines(text: str) -> list[list[str]]:
    """The text in its lines, each in pieces."""
    return [
        [line[at : at + PIECE_CHARACTERS] for at in range(0, len(line), PIECE_CHARACTERS)]
        for line in (line.rstrip("\r").expandtabs(4) for line in text.split("\n"))
    ]
