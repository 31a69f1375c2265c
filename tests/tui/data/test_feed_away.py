"""The feed while the engine is away, says no, or has missed events to tell."""

from __future__ import annotations

import ssl

import httpx
import pytest
import trio

from engine.wire import Event, Problem
from tests.client.fake_engine import refusal
from tests.tui.engine_stand_in import StandIn, fed, links
from tui.data.feed import BACK_OFF_S_MAX, Board
from tui.data.inputs import LinkState

RUNS = Board("runs", "is:live")


async def test_a_lost_stream_is_tried_again_ever_later(autojump_clock) -> None:
    """Half a second, then twice as long each time, with jitter, up to a bound; and it goes on
    behind the last event."""
    engine = StandIn()
    async with fed(engine, chance=0.999) as it:
        await trio.sleep(1)
        engine.happens("started")
        await trio.sleep(1)
        engine.refuses = httpx.ConnectError("refused")
        engine.breaks()
        await trio.sleep(300)
        delays = [link.delay_s for link in links(it) if link.state is LinkState.LOST]
        assert delays[0] == pytest.approx(0.5 * 1.25, abs=0.01)
        assert delays[1] == pytest.approx(1.0 * 1.25, abs=0.01)
        assert sorted(delays) == delays
        assert max(delays) == BACK_OFF_S_MAX
        assert it.store.link.tries == len(delays)
        assert "refused" in it.store.link.reason
        assert it.store.stale

        engine.refuses = None
        reads = len(engine.reads("status"))
        await trio.sleep(3)
        assert it.is_live
        assert {h.get("last-event-id") for h in engine.headers[1:]} == {"f-1"}
        assert len(engine.reads("status")) > reads


@pytest.mark.parametrize("away_s", [0.1, 1, 7.3, 28, 61.9, 3_600])
async def test_an_engine_that_is_back_is_seen_within_three_seconds(
    autojump_clock, away_s: float
) -> None:
    """However long it was away: its first half minute is the one that people look at."""
    engine = StandIn()
    async with fed(engine, chance=0.999) as it:
        await trio.sleep(1)
        engine.refuses = httpx.ConnectError("refused")
        engine.breaks()
        await trio.sleep(away_s)
        assert it.store.stale
        engine.refuses = None
        await trio.sleep(3)
        assert it.is_live
        assert engine.reads("status")[-1] > 1 + away_s


@pytest.mark.slow
async def test_an_engine_may_be_away_for_days(autojump_clock) -> None:
    """The delay stays within its bound, however often it was tried."""
    engine = StandIn()
    engine.refuses = httpx.ConnectError("refused")
    async with fed(engine) as it:
        await trio.sleep(1_200 * BACK_OFF_S_MAX)
        assert it.store.link.tries > 1_100
        assert links(it)[-1].delay_s == BACK_OFF_S_MAX


async def test_the_first_delay_is_short_again(autojump_clock) -> None:
    """Once the engine was heard of, a new loss is a new one."""
    engine = StandIn()
    async with fed(engine) as it:
        for _ in range(3):
            await trio.sleep(2)
            engine.breaks()
            await trio.sleep(0.1)
        assert [link.tries for link in links(it) if link.state is LinkState.LOST] == [1, 1, 1]


@pytest.mark.parametrize("kind", [Problem.UNAUTHORIZED, Problem.FORBIDDEN])
async def test_who_is_not_let_in_does_not_knock_again(autojump_clock, kind) -> None:
    """It is told as what it is, until a person asks for another try."""
    engine = StandIn()
    engine.refuses = refusal(kind, "No.")
    async with fed(engine) as it:
        await trio.sleep(3_600)
        assert len(engine.headers) == 1
        assert it.store.link.state == kind.value
        engine.refuses = None
        it.feed.resync()
        await trio.sleep(1)
        assert it.is_live


@pytest.mark.parametrize("status", [401, 403])
async def test_a_proxy_that_does_not_let_us_in(autojump_clock, status) -> None:
    """It answers in its own way, which is no problem document; asking again would not help."""
    engine = StandIn()
    engine.refuses = httpx.Response(status, content=b"<h1>Log in</h1>")
    async with fed(engine) as it:
        await trio.sleep(3_600)
        assert len(engine.headers) == 1
        assert it.store.link.state is LinkState.REJECTED
        assert f"HTTP {status}" in it.store.link.reason


async def test_a_certificate_that_is_not_trusted(autojump_clock) -> None:
    """It will not be trusted in a second either: it is told as what it is."""
    engine = StandIn()
    engine.refuses = httpx.ConnectError("certificate verify failed: self-signed certificate")
    engine.refuses.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    async with fed(engine) as it:
        await trio.sleep(3_600)
        assert len(engine.headers) == 1
        assert it.store.link.state is LinkState.UNTRUSTED


async def test_what_cannot_be_read_is_counted_and_read_again(autojump_clock) -> None:
    """A line of rubbish on the stream: something was missed, so everything is looked at anew."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        await trio.sleep(1)
        engine.say_raw("id: f-1\ndata: {no json\n\n: a comment\nretry: x\n\n\x00\xff\n\n")
        await trio.sleep(1)
        assert it.is_live
        assert it.store.link.missed_events == 1
        assert len(engine.reads("runs")) == 2
        assert len(engine.reads("status")) == 2
        engine.say("step", id="f-2", prev="f-1", kind="acted")
        await trio.sleep(1)
        assert it.store.link.unreadable == 1
        assert [t.kind for _, t in it.taken if isinstance(t, Event)][-1] == "step"


async def test_a_gap_is_read_over(autojump_clock) -> None:
    """Events that did not come are noticed by their ids."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        it.feed.open("a")
        await trio.sleep(1)
        engine.seq += 5
        engine.happens("acted", rev=1)
        await trio.sleep(1)
        assert it.store.epoch == 1
        assert len(engine.reads("runs")) == len(engine.reads("runs/a")) == 2


async def test_resync_reads_everything_now(autojump_clock) -> None:
    """And a connection that waits for its next try is tried."""
    engine = StandIn()
    async with fed(engine) as it:
        it.feed.show(RUNS)
        it.feed.open("a")
        await trio.sleep(2)
        it.feed.resync()
        await trio.sleep(0.1)
        for path in ("status", "runs", "runs/a"):
            assert len(engine.reads(path)) == 2, path
        engine.refuses = httpx.ConnectError("refused")
        engine.breaks()
        await trio.sleep(40)
        tried = len(engine.headers)
        engine.refuses = None
        it.feed.resync()
        await trio.sleep(0.1)
        assert len(engine.headers) == tried + 1
        assert it.is_live


async def test_a_password_in_the_address_is_not_told(autojump_clock) -> None:
    """The reason goes to the screen and into recordings."""
    engine = StandIn()
    engine.refuses = httpx.ConnectError("refused")
    async with fed(engine, url="http://ada:sesame@engine:8420") as it:
        await trio.sleep(1)
        assert "sesame" not in repr(it.taken)
        assert "http://engine:8420" in it.store.link.reason
