"""What has happened, read from an engine: all of it and no more, or why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from engine.client import Unreachable
from tests.tui.engine_stand_in import StandIn
from tests.tui.past.support import (
    HAPPENED,
    MOMENTS,
    OTHERS,
    Telling,
    asking,
    known,
    no_progress,
    telling,
)
from tests.tui.support import NOW, RUN
from tui.past import reading
from tui.past.history import History
from tui.past.reading import PastError, events_since, happened_to


async def all_since(engine: StandIn) -> list[str]:
    client = asking(engine)
    last = (await client.operate.status()).sequence
    return [each.id async for each in events_since(client, NOW, last)]


async def test_up_to_the_last_event_of_when_it_was_asked() -> None:
    """And no further, however the stream goes on; from the time on that was asked for."""
    engine = telling()
    last = f"f-{len(engine.recorded)}"
    engine.answers["status"] = {"sequence": last}
    engine.records("started", 1, "running", OTHERS, 999, number=1)
    found = await all_since(engine)
    assert (found[0], found[-1]) == ("f-1", last)
    assert engine.queries("events") == [{"since": "2026-09-21T14:13:20.000Z"}]


async def test_nothing_has_happened_since() -> None:
    """The stream begins at its end: an engine that refuses what is no time knows times."""
    engine = Telling()
    assert await all_since(engine) == []


async def test_an_engine_that_is_too_old_is_told_apart() -> None:
    """It begins now, whatever is asked for: that nothing has happened would not be so."""
    with pytest.raises(PastError, match="too old"):
        await all_since(telling(knows_times=False))


async def test_what_retention_has_removed() -> None:
    """It is said; what is left would be taken for all."""
    engine = telling()
    engine.was_removed = True
    with pytest.raises(PastError, match="retention removes"):
        await all_since(engine)


async def test_who_sees_one_client_alone(autojump_clock) -> None:
    """Whose ids are others each time: the end is when nothing came between two heartbeats."""
    engine, found = telling(last="hidden"), list[str]()

    async def reads() -> None:
        found.extend(await all_since(engine))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reads)
        await trio.sleep(1)
        engine.say("heartbeat", sequence="f-x")
        await trio.sleep(1)
        assert not found
        engine.say("heartbeat", sequence="f-x")
    assert len(found) == len(HAPPENED) * 2


async def test_a_stream_that_breaks_is_said() -> None:
    """By the client, as ever."""
    engine = telling(last="hidden")
    engine.refuses = httpx.ConnectError("refused")
    with pytest.raises(Unreachable):
        await all_since(engine)


# -- of one run ------------------------------------------------------------------------------------


async def test_all_that_happened_to_a_run() -> None:
    """Its own events alone, from when it was submitted on, and no more than led to how it is
    known: its end is not waited for the end of all."""
    engine = telling(last="hidden")  # of which it never hears
    events = await happened_to(asking(engine), known(), no_progress)
    assert {each.run_id for each in events} == {RUN}
    assert [each.at - NOW for each in History(known(), events).moments] == MOMENTS


async def test_not_all_of_it_was_told() -> None:
    """Then nothing is shown: it would not be how it was."""
    engine = telling()
    del engine.recorded[-2:]  # and that the other one has started
    with pytest.raises(PastError, match="did not tell all of its events"):
        await happened_to(asking(engine), known(), no_progress)


def read(most: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    monkeypatch.setattr(reading, "EVENTS_PASSED_MAX", most)
    return lambda: happened_to(asking(telling()), known(), no_progress)


async def test_so_many_events_are_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit its own are found; one before, it says so, and what to do."""
    needed = len(HAPPENED) * 2 - 1
    assert len(await read(needed, monkeypatch)()) == len(HAPPENED)
    with pytest.raises(PastError, match=r"more than 18 events .* t shows when"):
        await read(needed - 1, monkeypatch)()


async def test_how_far_it_is_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then."""
    monkeypatch.setattr(reading, "TOLD_EVERY", 5)
    told = list[int]()
    await happened_to(asking(telling()), known(), told.append)
    assert told == [5, 10, 15]
