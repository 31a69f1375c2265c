"""The event stream: typed events, reconnection, gaps."""

from __future__ import annotations

import asyncio
import json

import anyio
import httpx
import msgspec
import pytest

from engine.client import Refused, UnexpectedAnswer, Unreachable
from engine.wire import Problem
from tests.client.fake_engine import FakeEngine, client, refusal, script


def event(id: str | None, name: str, /, **data: object) -> str:
    """One event as it travels."""
    return (f"id: {id}\n" if id else "") + f"event: {name}\ndata: {json.dumps(data)}\n\n"


def stream(*events: str) -> httpx.Response:
    """A stream that ends after these."""
    content = "".join(events).encode()
    return httpx.Response(200, content=content, headers={"content-type": "text/event-stream"})


async def take(engine: FakeEngine, count: int, last_event_id: str | None = None):
    """The first events of the stream."""
    taken = []
    async with client(engine).operate.events(last_event_id) as events:
        async for it in events:
            taken.append(it)
            if len(taken) == count:
                assert events.last_event_id == next((e.id for e in taken[::-1] if e.id), None)
                return taken
    raise AssertionError("the stream ended")


async def test_events_are_typed():
    """What is known has a type, unknown kinds and members are handed on."""
    engine = FakeEngine(
        stream(
            event("1", "run", prev="0", at="t", runId="01A", status="running", rev=2),
            event("2", "attempt", prev="1", kind="attempt-ended", number=3, countsAs="failure"),
            event(None, "heartbeat", serverTime="t2"),
            event("3", "weather", prev="2", sunny=True),
        )
    )
    run, attempt, heartbeat, weather = await take(engine, 4)
    assert (run.id, run.kind, run.data.at) == ("1", "run", "t")
    assert (run.data.run_id, run.data.status, run.data.rev) == ("01A", "running", 2)
    assert (attempt.data.kind, attempt.data.number) == ("attempt-ended", 3)
    assert attempt.data.counts_as == "failure"
    assert msgspec.json.decode(attempt.raw)["countsAs"] == "failure"
    with pytest.raises(AttributeError, match=r"Event\.members is now the members of event\.data"):
        _ = attempt.members
    assert heartbeat.data.server_time == "t2"
    assert weather.data.members == {"prev": "2", "sunny": True}


async def test_it_connects_again_after_the_last_event(autojump_clock):
    """A broken or ended stream goes on where it was."""
    engine = FakeEngine(
        stream(event("1", "run")),
        httpx.ConnectError("refused"),
        refusal(Problem.DRAINING, "Stopping.", {"Retry-After": "1"}),
        stream(event("2", "run", prev="1")),
    )
    first, second = await take(engine, 2, "0")
    assert (first.id, second.id) == ("1", "2")
    assert [r.headers["last-event-id"] for r in engine.requests] == ["0", "1", "1", "1"]


async def test_a_gap_is_made_visible():
    """An event that does not follow the last one seen comes after a `reset`."""
    engine = FakeEngine(
        stream(event("1", "run"), event("5", "run", prev="4")),
    )
    first, reset, third = await take(engine, 3)
    assert [it.kind for it in (first, reset, third)] == ["run", "reset", "run"]
    assert reset.data.reason == "events between 1 and 4 are missing"


async def test_a_reset_of_the_engine_is_handed_on_once():
    """The engine's own reset begins a new count; no second one is made up."""
    engine = FakeEngine(
        stream(
            event("7", "reset", prev="6", reason="the history is gone"),
            event("8", "run", prev="7"),
        )
    )
    reset, run = await take(engine, 2, "1")
    assert (reset.kind, reset.data.reason, run.kind) == ("reset", "the history is gone", "run")


async def test_an_event_that_cannot_be_read_is_a_reset():
    """A later engine's event stops no reader: it looks again and goes on."""
    engine = FakeEngine(
        stream("id: 3\ndata: no json\n\n", event("4", "run", runId=1), event("5", "run", prev="4")),
    )
    unread, other, run = await take(engine, 3, "2")
    assert (unread.kind, unread.id, other.kind, run.kind) == ("reset", "3", "reset", "run")
    assert "cannot be read" in (unread.data.reason or "")


async def test_what_is_no_stream_is_told(autojump_clock):
    """A refusal, another server and an engine that stays away are three different errors."""
    with pytest.raises(Refused, match="403 forbidden"):
        await take(FakeEngine(refusal(Problem.FORBIDDEN, "No.")), 1)
    with pytest.raises(UnexpectedAnswer):
        await take(FakeEngine(httpx.Response(200, text="<html>")), 1)
    with pytest.raises(Unreachable):
        await take(FakeEngine(*[httpx.ConnectError("refused")] * 9), 1)


async def test_it_must_be_entered():
    """Without `async with` nothing would close the connection."""
    with pytest.raises(RuntimeError, match="async with"):
        await anext(client(FakeEngine()).operate.events())


def test_it_runs_on_asyncio_too():
    """The stream is left half-way without a trace on asyncio."""
    engine = FakeEngine(stream(event("1", "run"), event("2", "run")))
    assert asyncio.run(take(engine, 1))[0].id == "1"


class EndlessStream(httpx.AsyncByteStream):
    """A stream that says one thing and then nothing, as a quiet engine does."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.closed = False

    async def __aiter__(self):
        yield self.first.encode()
        await anyio.sleep_forever()

    async def aclose(self) -> None:
        self.closed = True


async def leave_a_quiet_stream() -> bool:
    """Read one event, leave; returns whether the connection was closed."""
    quiet = EndlessStream(event("1", "run"))
    kind = {"content-type": "text/event-stream"}
    engine = FakeEngine(httpx.Response(200, stream=quiet, headers=kind))
    await take(engine, 1)
    return quiet.closed


async def test_a_quiet_stream_can_be_left():
    """Leaving does not wait for another event, and closes the connection."""
    assert await leave_a_quiet_stream()


def test_a_quiet_stream_can_be_left_on_asyncio():
    """The same on asyncio."""
    assert asyncio.run(leave_a_quiet_stream())


async def test_a_stream_that_was_not_read_can_be_left():
    """Nothing is asked for on the way out."""
    async with client(FakeEngine()).operate.events():
        pass


def test_the_blocking_stream_does_the_same():
    """A script iterates, and the stream connects again."""
    engine = FakeEngine(
        stream(event("1", "run")),
        httpx.ReadError("reset"),
        httpx.Response(503),
        stream(event("4", "run", prev="3")),
    )
    with script(engine).operate.events() as events:
        kinds = [next(events).kind for _ in range(3)]
    assert kinds == ["run", "reset", "run"]
    assert engine.requests[1].headers["last-event-id"] == "1"


async def test_who_listens_is_said():
    """Each time it connects; nothing where the client has no name."""
    one = event("1", "run", prev="0")
    for actor, said in ((None, None), ("ana@laptop", "ana@laptop")):
        engine = FakeEngine(stream(one))
        async with client(engine, actor=actor).operate.events() as events:
            await anext(events)
        (asked,) = engine.requests
        assert asked.headers.get("atomic-actor") == said
