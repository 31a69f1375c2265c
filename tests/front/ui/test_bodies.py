"""Bodies as text: what is indented, what is shown as it came, and that no part takes long."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, PackageLoader

from engine.front.server.reply import Reply
from engine.front.ui import bodies
from engine.front.ui.bodies import INDENTED_BYTES_MAX, LINES_AT_ONCE, PIECE_CHARACTERS, first_part
from engine.process.costly import CostlyWork


def deep(levels: int, numbers: int = 0) -> bytes:
    return b"[" * levels + b"1," * numbers + b"1" + b"]" * levels


async def shown(data: bytes) -> list[str] | None:
    """The lines that a page has of a body."""

    async def read(byte_range: str | None) -> Reply:
        its = {"atomic-full-size": str(len(data)), "atomic-content-type": "", "atomic-redacted": ""}
        return Reply(200, tuple(its.items()), data)

    site: Any = SimpleNamespace(front=SimpleNamespace(costly=CostlyWork()))
    part = await first_part(site, read, bodies.SHOWN_BYTES_MAX)
    return None if part.text is None else ["".join(line) for line in part.text]


@pytest.mark.parametrize(("levels", "is_indented"), [(32, True), (33, False)])
async def test_json_is_indented_up_to_32_levels(levels: int, is_indented: bool) -> None:
    """What nests deeper stands there as it came."""
    data = deep(levels)
    lines = await shown(data)
    assert lines is not None
    assert "".join(line.strip() for line in lines) == data.decode()
    assert (len(lines) > 1) is is_indented


@pytest.mark.parametrize("data", [deep(900, 7_000), deep(5_000), deep(30, 7_000), b'["\n",[[1]]]'])
async def test_a_page_is_not_much_longer_than_its_body(data: bytes) -> None:
    """Blanks that would be megabytes are left out; nothing fails for the nesting, nor for what is
    no JSON."""
    lines = await shown(data)
    assert lines == data.decode().split("\n")


async def test_what_is_indented_has_a_bound() -> None:
    """It is reckoned before the blanks are made."""
    fits = [n for n in range(0, 20_000, 500) if bodies._may_be_indented(deep(16, n))]
    numbers = fits[-1]
    text = json.dumps(json.loads(deep(16, numbers)), indent=2)
    assert INDENTED_BYTES_MAX // 2 < len(text) <= INDENTED_BYTES_MAX


def test_lines_are_split_a_few_at_a_time() -> None:
    """A body of nothing but line ends gives the loop away, too."""
    pauses = sum(1 for _ in bodies._lines("\n" * 65_535))
    assert pauses == 65_536 // LINES_AT_ONCE


def test_each_piece_is_put_onto_the_page_by_itself() -> None:
    """Of a template that were called as a macro all would be one piece of work."""
    environment = Environment(loader=PackageLoader("engine.front.ui"), trim_blocks=True)
    environment.globals["engine"] = {"base": "/ui"}
    for wrap in (
        '{% include "text.html" %}',
        '{% with lines = its %}{% include "text.html" %}{% endwith %}',
    ):
        template = environment.from_string(wrap)
        pieces = [["x" * PIECE_CHARACTERS] * 3] * 40
        made = list(template.generate(lines=pieces, its=pieces))
        assert len(made) > 120
        assert max(map(len, made)) <= PIECE_CHARACTERS
