"""A run as one file: what is left out of it, and that it is no larger than it may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.front.access.who import Who
from engine.front.server.reply import Reply
from engine.front.ui import export
from engine.front.ui.bodies import Part
from engine.front.ui.export import Exports
from engine.front.ui.site import TooLong
from engine.process.budget import Budget


def row(name: str) -> dict[str, Any]:
    return {"step": SimpleNamespace(id=name, by_hand="skipped by ana" if name in "yz" else "")}


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

    async def html(name: str, who: Who, members: dict[str, Any], bytes_max: int) -> bytes:
        if (size := line_bytes * len(members["rows"])) > bytes_max:
            raise TooLong
        return bytes(size)

    with of_rows("abcde"):
        reply = await Exports(site_of(html, Budget(1 << 30))).run_file(Who(), "R", {})
    assert len(reply.body) == line_bytes * lines


async def test_what_was_done_by_hand_is_left_out_last() -> None:
    """Whoever reads the file looks for it."""

    async def html(name: str, who: Who, members: dict[str, Any], bytes_max: int) -> bytes:
        if len(members["rows"]) > 3:
            raise TooLong
        return "".join(row["step"].id for row in members["rows"]).encode()

    with of_rows("abcdefgz"):
        reply = await Exports(site_of(html, Budget(1 << 30))).run_file(Who(), "R", {})
    assert reply.body == b"az"


@contextmanager
def of_rows(names: str) -> Iterator[None]:
    """A run of these steps, whichever is asked for."""
    run: Any = SimpleNamespace(run=SimpleNamespace(id="R", steps=len(names)))
    members = {"rows": [*map(row, names)]}
    with (
        mock.patch.object(export, "outline_of", mock.AsyncMock(return_value=run)),
        mock.patch.object(export, "members_of", mock.AsyncMock(return_value=members)),
    ):
        yield


def site_of(html: Any, budget: Budget) -> Any:
    return SimpleNamespace(html=html, front=SimpleNamespace(engine=SimpleNamespace(budget=budget)))


class Made:
    """Files that are being made."""

    def __init__(self, size: int, takes_s: float = 1.0) -> None:
        self._size, self._takes_s = size, takes_s
        self.now = self.most = 0

    async def html(self, name: str, who: Who, members: dict[str, Any], bytes_max: int) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        await trio.sleep(self._takes_s)
        self.now -= 1
        return bytes(self._size)


async def _ask(exports: Exports, who: str, got: list[Any]) -> None:
    try:
        got.append(await exports.run_file(Who(who), "R", {}))
    except Refused as error:
        got.append(error.problem)


@pytest.mark.parametrize(("people", "at_once"), [(("ana",), 1), (("ana", "ben", "cem"), 2)])
async def test_many_are_made_one_after_the_other(
    people: tuple[str, ...], at_once: int, autojump_clock
) -> None:
    """Another person's does not wait for all of them; what is made has room until it is sent."""
    made, budget, got = Made(1_000_000), Budget(256 << 20), list[Any]()
    exports = Exports(site_of(made.html, budget))
    with of_rows("a"):
        async with trio.open_nursery() as nursery:
            for number in range(9):
                nursery.start_soon(_ask, exports, people[number % len(people)], got)
    assert (made.most, len(got)) == (at_once, 9)
    assert budget.replies.used == 9_000_000
    for reply in got:
        reply.room.give_back()
    assert budget.replies.used == 0


async def test_what_has_no_room_is_not_made_in_heaps(autojump_clock) -> None:
    """Who does not read what they asked for keeps the room of the budget, and no more."""
    made, budget, got = Made(5 << 20), Budget(128 << 20), list[Any]()
    exports = Exports(site_of(made.html, budget))
    with of_rows("a"):
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(_ask, exports, "ana", got)
        rooms = [it.room for it in got if isinstance(it, Reply) and it.room is not None]
        taken = sum(it.size for it in rooms)
        assert taken == budget.replies.used
        assert 0 < taken <= budget.replies.bytes_max
        refused = {it for it in got if not isinstance(it, Reply)}
        assert refused == {Problem.OVERLOADED, Problem.RATE_LIMITED}
        for room in rooms:
            room.give_back()
        await _ask(exports, "ana", got)
    assert isinstance(got[-1], Reply)


async def test_a_small_one_takes_no_room(autojump_clock) -> None:
    """As small answers everywhere."""
    budget, got = Budget(256 << 20), list[Any]()
    exports = Exports(site_of(Made(budget.small_bytes_max).html, budget))
    with of_rows("a"):
        await _ask(exports, "ana", got)
    assert (got[0].room, budget.replies.used) == (None, 0)


async def test_without_room_for_a_body_no_more_are_waited_for() -> None:
    """Each would be waited for in vain; how many are left out is said."""
    read = mock.AsyncMock(side_effect=Refused(Problem.OVERLOADED, "no room"))
    with mock.patch.object(export, "first_part", read):
        assert await export._bodies(mock.Mock(), Who(), [*map(row, "abcde")]) == {}
    assert read.call_count == 1


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
