"""While there are as many connections as may be, each with a request: who is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from engine.front.server.beyond import LEAST_S
from engine.front.server.crowd import LOOK_EVERY_S
from engine.front.server.strict import ServerLimits
from tests.front.raw_http import App, Client, Served, get, post, serving, settle

pytestmark = [
    pytest.mark.usefixtures("all_ways"),
    pytest.mark.parametrize("all_ways", ["door", "tls"], indirect=True),  # it is the door's to say
]
LET_IN = "/second"
GONE = (EOFError, OSError, trio.BrokenResourceError)


@asynccontextmanager
async def full(beyond: int = 2, grace_s: float = 1.0) -> AsyncIterator[tuple[App, Served]]:
    """A server whose two connections each have a request; `beyond`: places beside them."""
    app = App()
    limits = ServerLimits(connections_max=2, beyond_max=beyond)
    async with serving(app.quart, limits, grace_s) as server:
        for _ in range(2):
            await (await server.connect()).send(get("/hold"))
        await settle()
        yield app, server


async def answered(client: Client, request: bytes) -> int:
    """The status of the answer; 0: the connection was closed without a word."""
    try:
        await client.send(request)
        return (await client.read_answer()).status
    except GONE:
        return 0


async def is_closed(server: Served) -> bool:
    """Whether who comes now is closed without a word, over TLS in its handshake."""
    try:
        return await answered(await server.connect(), get(LET_IN)) == 0
    except GONE:
        return True


def heard(app: App) -> list[bytes | None]:
    """Of the refusals that the engine hears of, for what; None: it is not known."""
    assert {limit for limit, _ in app.refusals} <= {"connections_max"}
    return [None if head is None else head.target for _, head in app.refusals]


async def test_who_is_let_in_and_who_is_told(mock_clock: MockClock) -> None:
    """By the head of each request: one connection is let in and goes on; with a post that is not
    it ends, and the engine hears whose that was."""
    async with full() as (app, server):
        client = await server.connect()
        assert [await answered(client, get(LET_IN)) for _ in range(2)] == [200, 200]
        assert server.counters.connections_refused == 0
        assert server.counters.connections_open == 3
        assert await answered(client, post("/echo", b"{}", "Atomic-Parent: p")) == 503
        assert await client.read_rest() == b""
        assert heard(app) == [b"/echo"]
        ((_, head),) = app.refusals
        assert head is not None
        assert (b"atomic-parent", b"p") in head.fields
        assert await answered(await server.connect(), get("/fine")) == 503
        assert server.counters.connections_refused == 2
        assert "/echo" not in app.calls
        assert "/fine" not in app.calls


@pytest.mark.parametrize("more", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expects", [[], ["Expect: 100-continue"]])
async def test_a_body_is_not_read_before_it_is_told(
    mock_clock: MockClock, more: str, expects: list[str]
) -> None:
    """The head is enough, also of one that asks whether to send the rest."""
    async with full() as (app, server):
        lines = ["POST /echo HTTP/1.1", "Host: a", more, *expects, "", ""]
        assert await answered(await server.connect(), "\r\n".join(lines).encode()) == 503
        assert heard(app) == [b"/echo"]


async def test_a_post_behind_what_was_let_in(mock_clock: MockClock) -> None:
    """In one packet: each is asked for by its own head."""
    async with full() as (app, server):
        client = await server.connect()
        await client.send(get(LET_IN) + post("/echo", b"{}"))
        assert [(await client.read_answer()).status for _ in range(2)] == [200, 503]
        assert heard(app) == [b"/echo"]


async def test_the_oldest_gives_way(mock_clock: MockClock) -> None:
    """So silence keeps nobody out; nor do those who were answered and stay. Who had shown nothing
    may have been about to post: the engine hears of it."""
    async with full(beyond=3) as (app, server):
        silent = await server.connect()
        answered_before = await server.connect()
        assert await answered(answered_before, get(LET_IN)) == 200
        half = await server.connect()
        await half.send(b"POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        await settle()
        mock_clock.jump(LEAST_S)
        come = [await server.connect() for _ in range(3)]
        assert [await answered(it, get(LET_IN)) for it in come] == [200] * 3
        assert [await answered(it, b"") for it in (silent, answered_before, half)] == [0] * 3
        assert server.counters.connections_open == 5
        assert server.counters.connections_refused == 1
        assert heard(app) == [None]


async def test_each_has_its_second(mock_clock: MockClock) -> None:
    """A rush would push out everybody before they could say what they want: the newcomer is closed
    in their place."""
    async with full(beyond=1) as (app, server):
        first = await server.connect()
        await settle()
        mock_clock.jump(LEAST_S / 2)
        assert await is_closed(server)
        assert server.counters.connections_refused == 1
        assert heard(app) == [None]
        assert await answered(first, get(LET_IN)) == 200


async def test_a_stranger_gives_way_before_an_operator(mock_clock: MockClock) -> None:
    """Where tokens are asked for, and whoever came first."""
    async with full(beyond=2) as (app, server):
        app.asks_token = True
        operator, stranger = await server.connect(), await server.connect()
        assert await answered(operator, get(LET_IN, "Authorization: root")) == 200
        assert await answered(stranger, get(LET_IN)) == 200
        await settle()
        mock_clock.jump(LEAST_S)
        assert await answered(await server.connect(), get(LET_IN)) == 200
        assert await answered(stranger, get(LET_IN)) == 0
        assert await answered(operator, get(LET_IN, "Authorization: root")) == 200


async def test_a_request_that_was_let_in_is_not_cut(mock_clock: MockClock) -> None:
    """Where each place beyond has one, too, the next is closed without a word."""
    async with full(beyond=1) as (app, server):
        app.let_in |= {b"/hold"}
        busy = await server.connect()
        await busy.send(get("/hold"))
        await settle()
        mock_clock.jump(LEAST_S)
        assert await is_closed(server)
        assert server.counters.connections_refused == 1
        app.release.set()
        assert (await busy.read_answer()).status == 200


async def test_who_was_beyond_has_the_next_free_place(mock_clock: MockClock) -> None:
    """And is one like the others from then on: nobody is told that there are too many when there
    are not. Its place beyond is free again."""
    async with full(beyond=1) as (app, server):
        client = await server.connect()
        assert await answered(client, get(LET_IN)) == 200
        app.release.set()
        await settle()
        mock_clock.jump(LOOK_EVERY_S)
        assert await answered(client, get("/fine")) == 200
        await settle()
        assert server.counters.connections_open == 2
        mock_clock.jump(LOOK_EVERY_S)
        app.release = trio.Event()
        for _ in range(2):
            await (await server.connect()).send(get("/hold"))
        await settle()
        assert await answered(client, get("/fine")) == 0  # an idle one makes room, as ever
        assert await answered(await server.connect(), get(LET_IN)) == 200
        assert server.counters.connections_refused == 0


async def test_an_idle_one_holds_up_no_exit(mock_clock: MockClock) -> None:
    """It is told to end, as the others are."""
    async with full(grace_s=1000) as (app, server):
        client = await server.connect()
        assert await answered(client, get(LET_IN)) == 200
        await settle()
        app.release.set()
        server.stop.set()
        with trio.fail_after(5):
            await server.ended.wait()
