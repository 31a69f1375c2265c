"""From which event on a stream begins that asks for a time; also where the clock was set back."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.ports.views import EventRecord
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views import times
from engine.store.tables.views.views import TableViews
from tests.store.support import new_run, started, store_at

LATE = 1 << 50


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few entries are many pieces."""
    monkeypatch.setattr(times, "ENTRIES_AT_ONCE", 5)
    monkeypatch.setattr(times, "ENTRIES_APART", 3)


async def put(store: SqliteStore, count: int, chance: Random, name: str) -> None:
    """Commits of one, two or three writes, each at a time of its own: it rises, but where the
    clock was set back or forward, and within a commit there is no order at all."""
    at = 50
    for number in range(count):
        at += chance.choice((0, 1, 1, 5, 20, -60, 60) if not number % 9 else (0, 1, 1, 5))
        receipt = None
        for part in range(chance.randint(1, 3)):
            run, write = new_run(f"{name}{number}.{part}", max(0, at - chance.randint(0, 2)))
            receipt = store.write(write)
            store.write(started(run, max(0, at)))
        assert receipt is not None
        await receipt.wait()


async def events(views: TableViews) -> list[EventRecord]:
    return await views.events(0, 10_000)


def first_since(told: list[EventRecord], at: int) -> int:
    """The number before that of the first event that is so late; of the last, if none is."""
    return next((it.seq - 1 for it in told if it.at >= at), told[-1].seq)


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_since_then_is_left_out(path: Path, seed: int) -> None:
    """Of each time it is the very first event that happened then or later, whatever the clock did,
    also of what comes after the first look, and in another life."""
    chance = Random(seed)
    async with store_at(path) as store:
        views = TableViews(store)
        assert await views.events_from(7) == 0, "there is nothing yet"
        for part in range(3):
            await put(store, 25, chance, f"{part}.")
            told = await events(views)
            asked = [-5, 0, *(it.at + chance.randint(-1, 1) for it in told), LATE]
            chance.shuffle(asked)
            for at in asked:
                assert await views.events_from(at) == first_since(told, at), at
    async with store_at(path) as store:
        views = TableViews(store)
        for at in asked:
            assert await views.events_from(at) == first_since(told, at), at


@pytest.mark.parametrize("looked_before", [False, True])
async def test_what_may_have_been_cut_is_told(path: Path, looked_before: bool) -> None:
    """None for a time from which the first event that is kept is not the first for certain; for a
    later one as ever. The latest of all is behind the last event."""
    async with store_at(path) as store:
        views = TableViews(store)
        for number in range(40):
            await store.write(new_run(str(number), 10 * number)[1]).wait()
        await store.writer.wait_rows()
        if looked_before:
            assert await views.events_from(0) == 0
        assert await store.cut_journal(200)
        while await store.cut_journal(200):
            pass
        told = await views.events(0, 10_000)
        assert told[0].at == 200
        for at in (-1, 0, 150, 199, 200):
            assert await views.events_from(at) is None, at
        for at in (201, 210, 215, 390, 391, LATE):
            assert await views.events_from(at) == first_since(told, at), at
