"""A run as one file: what is left out of it, and that it is no larger than it may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from engine.front.access.who import Who
from engine.front.server.reply import Reply
from engine.front.ui import export
from engine.front.ui.bodies import Part


def row(name: str) -> dict[str, Any]:
    return {"step": SimpleNamespace(id=name)}


def test_what_is_left_out_is_said() -> None:
    """Steps that are folded or had no room, and bodies."""
    rows = [*map(row, "abc"), {"rest": "steps ×9"}]
    assert export._left_out(12, rows, {}, wants=False) == [
        "Left out: 9 of 12 steps.",
        "Left out: payloads and answers.",
    ]
    assert export._left_out(3, rows, {"a": 1}, wants=True) == [
        "Left out: payloads and answers of 2 steps.",
        "Of each payload and answer there are 16.0 KiB at most.",
    ]
    assert export._left_out(3, rows, {"a": 1, "b": 1, "c": 1}, wants=True)[:-1] == []


@pytest.mark.parametrize(("line_bytes", "lines"), [(1 << 20, 5), ((1 << 20) + 1, 2)])
async def test_it_is_no_larger_than_5_mib(line_bytes: int, lines: int) -> None:
    """What is just as large is taken; of what is a byte larger half of the lines are left out."""

    async def page(name: str, who: Who, members: dict[str, Any]) -> Reply:
        return Reply(200, (), bytes(line_bytes * len(members["rows"])))

    site: Any = SimpleNamespace(page=page)
    run: Any = SimpleNamespace(run=SimpleNamespace(id="R", steps=5))
    members = {"rows": [*map(row, "abcde")]}
    with (
        mock.patch.object(export, "outline_of", mock.AsyncMock(return_value=run)),
        mock.patch.object(export, "members_of", mock.AsyncMock(return_value=members)),
    ):
        reply = await export.run_file(site, Who(), "R", {})
    assert len(reply.body) == line_bytes * lines


async def test_no_more_bodies_are_read_than_have_room() -> None:
    """Those that no longer fit are left out, of a step both or none."""
    asked: list[str] = []

    async def first_part(site: Any, read: Any, bytes_max: int) -> Part:
        asked.append(read.args[-1])
        return Part("about", [["x" * (export.BODIES_CHARACTERS_MAX // 4 - 1)]])

    with mock.patch.object(export, "first_part", first_part):
        found = await export._bodies(mock.Mock(), Who(), [*map(row, "abcde")])
    assert list(found) == ["a", "b"]
    assert asked == [*"aabbcc"]
