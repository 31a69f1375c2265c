"""While there are as many connections as may be, idle ones of strangers give way to new ones."""

from __future__ import annotations

import pytest
from quart_trio import QuartTrio
from trio.testing import MockClock

from engine.front.server import connection
from engine.front.server.server import LOOK_FOR_IDLE_EVERY_S, ServerLimits
from tests.front.raw_http import App, Client, Served, get, serving, settle

pytestmark = [
    pytest.mark.usefixtures("all_ways"),
    pytest.mark.parametrize("all_ways", ["door", "tls"], indirect=True),  # who asks is the door's
]
KNOWN, UNKNOWN = get("/none"), get("/fine")
"""A request with a good token (as the tests' door sees it), and one without."""


def asking() -> QuartTrio:
    """An application whose door asks for tokens."""
    app = App()
    app.asks_token = True
    return app.quart


async def idle(server: Served, clock: MockClock, request: bytes = UNKNOWN) -> Client:
    """A connection that has had an answer, and waits for a further request since just now."""
    client = await server.connect()
    await client.send(request)
    assert (await client.read_head())[0] in (200, 204)
    if request is UNKNOWN:
        await client.read_until(b"fine")
    await settle()
    clock.jump(1)
    return client


async def is_served(client: Client) -> bool:
    """Whether a request is answered; False: the connection has been closed, without a word."""
    try:
        await client.send(UNKNOWN)
        answer = await client.read_answer()
    except (EOFError, OSError):
        return False
    assert answer.status == 200
    return True


async def test_the_one_that_is_idle_longest_gives_way(mock_clock: MockClock) -> None:
    """One for each that comes, without a word; the others are served on, and as many are open as
    may be. A stranger who keeps them all keeps nobody out."""
    async with serving(asking(), ServerLimits(connections_max=3)) as server:
        strangers = [await idle(server, mock_clock) for _ in range(3)]
        assert await is_served(strangers[0])  # so it is idle shortest
        await settle()
        mock_clock.jump(1)
        come = [await idle(server, mock_clock) for _ in range(2)]
        assert [await client.read_rest() for client in strangers[1:]] == [b"", b""]
        assert await is_served(strangers[0])
        assert [await is_served(client) for client in come] == [True, True]
        assert server.counters.connections_refused == 0
        assert server.counters.connections_open == 3
    assert server.counters.connections_open == 0


async def test_who_has_a_token_keeps_their_place(mock_clock: MockClock) -> None:
    """Whoever has been idle longer: they are strangers who give way, and then nobody."""
    async with serving(asking(), ServerLimits(connections_max=2)) as server:
        known = await idle(server, mock_clock, KNOWN)
        stranger = await idle(server, mock_clock)
        second = await idle(server, mock_clock, KNOWN)
        assert await stranger.read_rest() == b""
        await check_refused(server)
        assert [await is_served(client) for client in (known, second)] == [True, True]


async def test_where_no_token_is_asked_for_nobody_gives_way(mock_clock: MockClock) -> None:
    """There is nobody who would be more welcome."""
    async with serving(App().quart, ServerLimits(connections_max=1)) as server:
        client = await idle(server, mock_clock)
        await check_refused(server)
        assert await is_served(client)


@pytest.mark.parametrize("state", ["new", "held", "head"])
async def test_what_is_not_idle_does_not_give_way(mock_clock: MockClock, state: str) -> None:
    """Neither one that has just come, nor one with a request under way, however slow."""
    sent = {"new": b"", "held": get("/hold"), "head": UNKNOWN[:9]}[state]
    async with serving(asking(), ServerLimits(connections_max=1)) as server:
        if state == "new":
            busy = await server.connect()
        else:
            busy = await idle(server, mock_clock)
            await busy.send(sent)
        await settle()
        mock_clock.jump(LOOK_FOR_IDLE_EVERY_S)
        await check_refused(server)
        if state == "new":
            assert await is_served(busy)


async def test_one_whose_request_is_on_its_way_does_not_give_way(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come and is not read yet is answered, and not cut off."""
    monkeypatch.setattr(connection, "has_input", lambda fd: True)
    async with serving(asking(), ServerLimits(connections_max=1)) as server:
        client = await idle(server, mock_clock)
        await check_refused(server)
        assert await is_served(client)


async def check_refused(server: Served) -> None:
    """A new connection is turned away: over TLS without a word."""
    client = await server.bare()
    told = await client.read_rest()
    assert told.startswith(b"HTTP/1.1 503") is not server.is_tls
    assert server.counters.connections_refused == 1
