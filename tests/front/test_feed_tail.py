"""The events that many readers watch are read once, and each reader still gets each of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.front.api import events
from engine.front.api.context import Front
from engine.front.api.events import (
    PAGE,
    TAIL_EVENTS_MAX,
    EventTail,
    Start,
    Told,
    own_stream,
    stream,
)
from engine.front.show.digests import Digests
from engine.ports.views import EventRecord, Summary, Views
from tests.world import FakeClock


class Table:
    """Events as a store has them; counts how often it is read."""

    def __init__(self) -> None:
        self.last = 0
        self.reads = 0
        self.read_at: list[float] = []

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        self.reads += 1
        self.read_at.append(trio.current_time())
        seqs = range(after + 1, min(self.last, after + limit) + 1)
        await trio.sleep(0.01)
        return [EventRecord(seq, 0, "r", "s", "running", 1, '{"kind":"acted"}') for seq in seqs]


def ids(told: list[Told]) -> list[int]:
    """The sequence numbers of their frames."""
    return [int(each.frame.split(b"id: f-")[1].split(b"\n")[0]) for each in told]


async def test_readers_that_keep_up_share_one_read(autojump_clock) -> None:
    """Each of 100 readers gets every event, in order; the table is read once for all."""
    table = Table()
    tail = EventTail(cast(Views, table), "f", Digests(b""))
    got: list[list[int]] = [[] for _ in range(100)]

    async def read(mine: list[int]) -> None:
        told, last = await tail.after(mine[-1] if mine else 0)
        mine += ids(told)
        assert mine[-1] == last

    for last in (3, 4, 50):
        table.last, table.reads = last, 0
        async with trio.open_nursery() as nursery:
            for mine in got:
                nursery.start_soon(read, mine)
        assert table.reads == 1
    assert got == [list(range(1, 51))] * 100


async def test_a_reader_that_is_far_behind(autojump_clock) -> None:
    """One comes from far back, one starts at the end: neither misses or repeats anything."""
    table = Table()
    tail = EventTail(cast(Views, table), "f", Digests(b""))
    table.last = at = 3 * TAIL_EVENTS_MAX + 7
    assert await tail.after(at) == ([], at)
    table.last += 2
    assert ids((await tail.after(at))[0]) == [at + 1, at + 2]

    seen: list[int] = []
    while seen[-1:] != [table.last]:
        told, last = await tail.after(seen[-1] if seen else 0)
        assert len(told) <= PAGE
        seen += ids(told)
        assert seen[-1] == last
    assert seen == list(range(1, table.last + 1))
    assert ids((await tail.after(at + 1))[0]) == [at + 2]


class CutTable(Table):
    """One of which the beginning goes."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = 9, 1
        self.moved = trio.Event()
        self.counts: dict[str, int] = {}
        self.cut_when_looked_at = 0

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        return await super().events(max(after, self.first - 1), limit)

    async def summary(self, now: int) -> Summary:
        found = Summary({}, 0, 0, 0, self.first, self.last)
        self.first = max(self.first, self.cut_when_looked_at)
        return found

    async def clients_of(self, run_ids: set[str]) -> dict[str, str]:
        return dict.fromkeys(run_ids, "shop")

    async def client_counts(self, client: str) -> dict[str, int]:
        return {}


def desk(table: CutTable) -> Front:
    """As much of a front as streams need."""
    return cast(
        Front,
        SimpleNamespace(
            views=table, clock=FakeClock(), file_id="f", instance="i",
            config=SimpleNamespace(heartbeat_ms=10_000),
            engine=SimpleNamespace(
                draining=False, memory=SimpleNamespace(client_of=lambda run_id: None)
            ),
            registry=SimpleNamespace(cancelling=nullcontext),
            digests=Digests(b""),
            places=SimpleNamespace(
                hidden=lambda client, at: f"f-{at}", found=lambda client, it: int(it[2:])
            ),
        ),
    )  # fmt: skip


@asynccontextmanager
async def reading(
    table: CutTable, last_id: str | None, whose: str = "all"
) -> AsyncIterator[Callable[[], Awaitable[list[str]]]]:
    """A stream. Yields what asks for its next part with an id, but for heartbeats: what each event
    of it is, and its id."""
    front, tail = desk(table), EventTail(cast(Views, table), "f", Digests(b""))
    if whose == "all":
        parts = await stream(front, tail, Start(last_id), lambda: True)
    else:
        parts = await own_stream(front, tail, Start(last_id), lambda: True, whose)

    async def told() -> list[str]:
        while True:
            events = (await anext(parts)).decode().strip().split("\n\n")
            found = [dict(line.split(": ", 1) for line in it.splitlines()) for it in events]
            if with_id := [f"{it['event']} {it['id']}" for it in found if "id" in it]:
                return [it for it in with_id if "heartbeat" not in it]

    async with aclosing(cast(AsyncGenerator[bytes, None], parts)):
        yield told


@pytest.mark.parametrize("whose", ["all", "shop"])
@pytest.mark.parametrize("at", [None, 9, 7])
async def test_a_reader_that_the_journal_was_cut_before_starts_anew(
    autojump_clock, whose: str, at: int | None
) -> None:
    """It reads so slowly that what it wanted next has gone: `reset`, and then what comes. One whose
    place is the last that went has missed nothing."""
    table = CutTable()
    async with reading(table, None if at is None else f"f-{at}", whose) as told:
        assert await told() == [f"step f-{seq}" for seq in range((at or 9) + 1, 10)]
        table.last, table.first = 10, 10
        assert await told() == ["step f-10"]
        table.last, table.first = 4_000, 3_990
        assert await told() == ["reset f-4000"]
        table.last = 4_001
        assert await told() == ["step f-4001"]


async def test_a_reader_that_comes_back_as_its_place_goes_starts_anew(autojump_clock) -> None:
    """It was there when it was looked for, and is gone when it is read."""
    table = CutTable()
    async with reading(table, "f-3") as told:
        assert await told() == [f"step f-{seq}" for seq in range(4, 10)]
    table.cut_when_looked_at = 8
    async with reading(table, "f-3") as told:
        assert (await told(), await told()) == ([], ["reset f-9"])


async def test_others_events_are_passed_over(
    autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a reader of one client no frame is made of them, and others have their turn between the
    pages; its place moves on. Who may not read any more goes on through none."""
    made: list[EventRecord] = []

    def event_frame(file_id: str, record: EventRecord, digests: Digests) -> bytes:
        made.append(record)
        return plain(file_id, record, digests)

    plain = events.event_frame
    monkeypatch.setattr(events, "event_frame", event_frame)
    table = CutTable()
    table.last = 4 * PAGE
    began_at = trio.current_time()
    async with reading(table, "f-0", "cafe") as told:
        assert (await told(), await told()) == ([], [])
        assert trio.current_time() - began_at >= 10
    assert (made, table.reads) == ([], 6)
    pages = [later - at for at, later in pairwise(table.read_at[1:5])]
    assert min(pages) == pytest.approx(0.01 + events.PASSED_OVER_REST_S)
    front, tail = desk(table), EventTail(cast(Views, table), "f", Digests(b""))
    table.reads, table.last, may_read = 0, 100 * PAGE, [True, False]
    parts = await own_stream(front, tail, Start("f-0"), lambda: may_read.pop(0), "cafe")
    assert len([part async for part in parts]) == 1
    assert table.reads == 2
    (first, *_), _ = await tail.after(0)
    assert first.frame is first.frame


class Damaged:
    """A store of which one look is refused."""

    def __init__(self, look: str) -> None:
        self.look = look

    def _refuse(self, look: str) -> None:
        if look == self.look:
            raise Refused(Problem.STORE_UNAVAILABLE, "The database is damaged where this is kept.")

    async def summary(self, now: int) -> Summary:
        self._refuse("summary")
        return Summary({}, 0, 0, 0, 1, 9)

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        self._refuse("events")
        return []


@pytest.mark.parametrize("look", ["summary", "events"])
async def test_a_stream_that_cannot_begin_is_refused_before_its_head(look: str) -> None:
    """503, and not a 200 that is cut."""
    views = cast(Views, Damaged(look))
    front = cast(Front, SimpleNamespace(views=views, clock=FakeClock(), file_id="f", instance="i"))
    with pytest.raises(Refused, match="damaged"):
        await stream(front, EventTail(views, "f", Digests(b"")), Start("f-3"), lambda: True)
