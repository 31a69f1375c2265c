"""The stream of a run's page: nothing is missed, and who may not read any more is told nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from engine.core.access.token import Role
from engine.front.access.places import Places
from engine.front.access.who import EVERYBODY, Who
from engine.front.api.events import PAGE, TAIL_EVENTS_MAX
from engine.front.show.digests import Digests
from engine.front.ui.live import (
    CHANGED,
    EVERY_MS,
    GATHER_S,
    STILL_HERE,
    Streams,
    behind,
    known_by_now,
)
from engine.ports.views import EventRecord
from tests.world import FakeClock

OWN, OTHER = "OWN", "OTHER"
HEARTBEAT_S = 10
READER = Who("reader", Role.READ, "shop")


class Table:
    """Events of two runs, by the numbers of those of one."""

    def __init__(self, last_seq: int, *own: int) -> None:
        self.last_seq, self.own, self.first = last_seq, {*own}, 1
        self.moved = trio.Event()
        self.looks = 0
        """How often it was read."""

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        self.looks += 1
        await trio.lowlevel.checkpoint()
        seqs = range(max(after + 1, self.first), min(self.last_seq, after + limit) + 1)
        return [
            EventRecord(seq, 0, OWN if seq in self.own else OTHER, "s", "running", 1, "{}")
            for seq in seqs
        ]

    def happens(self, *, own: bool = True) -> None:
        """One more event."""
        self.last_seq += 1
        if own:
            self.own.add(self.last_seq)
        self.moved.set()
        self.moved = trio.Event()


def front_of(table: Table) -> Any:
    """As much of a front as streams need."""
    return SimpleNamespace(
        views=table, clock=FakeClock(), file_id="f", digests=Digests(b""),
        config=SimpleNamespace(heartbeat_ms=HEARTBEAT_S * 1000),
        engine=SimpleNamespace(draining=False),
        registry=SimpleNamespace(cancelling=nullcontext),
        places=Places("f", b"secret", lambda count: b"p" * count),
    )  # fmt: skip


class Reader:
    """Who follows a run."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def told(self, *parts: bytes) -> float:
        """It is told these next; returns how long that took."""
        began = trio.current_time()
        for part in parts:
            assert await anext(self._parts) == part
        return trio.current_time() - began

    async def ends(self) -> float:
        """It is told no more; returns how long that took."""
        began = trio.current_time()
        assert [part async for part in self._parts] == []
        return trio.current_time() - began


@asynccontextmanager
async def following(
    table: Table, seen: int | None, may_read: Any = lambda: True
) -> AsyncIterator[Reader]:
    parts: Any = Streams(front_of(table)).about(OWN, seen, may_read)
    async with aclosing(parts):
        yield Reader(parts)


async def test_what_happened_since_the_page_was_made_is_told(autojump_clock) -> None:
    """At once, and not when something happens again; of what the page shows already nothing."""
    async with following(Table(9, 4, 8), seen=7) as reader:
        assert await reader.told(STILL_HERE, CHANGED) == 0
    async with following(Table(9, 4, 8), seen=8) as reader:
        assert await reader.told(STILL_HERE, STILL_HERE) == HEARTBEAT_S
    async with following(Table(9, 4), seen=None) as reader:  # what it shows is not known
        assert await reader.told(CHANGED, STILL_HERE) == HEARTBEAT_S


@pytest.mark.parametrize("own", [PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])
async def test_behind_a_page_of_others_events(own: int, autojump_clock) -> None:
    """More may lie there, which is not waited for until something happens."""
    async with following(Table(own, own), seen=0) as reader:
        assert await reader.told(STILL_HERE, CHANGED) < 1


async def test_once_a_second_at_most(autojump_clock) -> None:
    """However often it changes."""
    table = Table(1)
    async with following(table, seen=1) as reader:
        await reader.told(STILL_HERE)
        table.happens()
        assert await reader.told(CHANGED) == 0
        for _ in range(3):
            table.happens()
        assert await reader.told(CHANGED) == EVERY_MS / 1000
        table.happens(own=False)
        assert await reader.told(STILL_HERE) == HEARTBEAT_S


async def test_what_happens_to_others_gathers(autojump_clock) -> None:
    """A page that is open takes little of an engine that is busy with other runs."""
    table = Table(1)
    async with following(table, seen=1) as reader, trio.open_nursery() as nursery:
        await reader.told(STILL_HERE)

        @nursery.start_soon
        async def _() -> None:
            for _ in range(100):
                await trio.sleep(0.01)
                table.happens(own=False)
            table.happens()

        assert 1 <= await reader.told(CHANGED) <= 1 + GATHER_S
        assert table.looks <= 1 / GATHER_S + 2


async def test_events_that_have_gone_may_have_been_its_own(autojump_clock) -> None:
    """So the page is read again."""
    table = Table(9)
    async with following(table, seen=3) as reader:
        await reader.told(STILL_HERE)
        table.first = 6
        await reader.told(CHANGED)


@pytest.mark.parametrize("is_passing_over", [False, True])
async def test_who_may_not_read_any_more_is_told_nothing(
    is_passing_over: bool, autojump_clock
) -> None:
    """The stream ends with the next thing that happens to anybody, and between two pages of what
    happened to others."""
    table, asked = Table(9 * PAGE if is_passing_over else 1), 0

    def may_read() -> bool:
        nonlocal asked
        asked += 1
        return asked < 3

    async with following(table, table.last_seq if not is_passing_over else 0, may_read) as reader:
        await reader.told(STILL_HERE)
        async with trio.open_nursery() as nursery:
            if not is_passing_over:
                for number in (1, 2):
                    nursery.start_soon(_happens_in, table, number)
            assert await reader.ends() < HEARTBEAT_S


async def _happens_in(table: Table, seconds: int) -> None:
    await trio.sleep(seconds)
    table.happens(own=False)


@pytest.mark.parametrize("who", [EVERYBODY, READER], ids=["all", "one-client"])
def test_where_a_page_was_made(who: Who) -> None:
    """Its place is found again, up to as far back as is still at hand; who sees one client alone is
    not told how much happens in all."""
    table = Table(TAIL_EVENTS_MAX)
    front = front_of(table)
    seen = known_by_now(front, who)
    assert (str(TAIL_EVENTS_MAX) in seen) is (who is EVERYBODY)
    assert behind(front, who, seen) == TAIL_EVENTS_MAX
    table.last_seq += TAIL_EVENTS_MAX
    assert behind(front, who, seen) == TAIL_EVENTS_MAX
    table.last_seq += 1
    assert behind(front, who, seen) is None


@pytest.mark.parametrize("who", [EVERYBODY, READER], ids=["all", "one-client"])
@pytest.mark.parametrize(
    "seen", ["", "x", "g-1", "f-2", "f-01", "f--1", "f-\u0661", "f-" + "0" * 99]
)
def test_what_is_no_place_of_ours(seen: str, who: Who) -> None:
    """Of another file, not yet, in another spelling: the page is read again."""
    assert behind(front_of(Table(1)), who, seen) is None
    other = known_by_now(front_of(Table(1)), Who("other", Role.READ, "bank"))
    assert behind(front_of(Table(1)), who, other) is None
