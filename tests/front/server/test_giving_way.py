"""While there are as many connections as may be, ones without a request make room for new ones."""

from __future__ import annotations

import pytest
from quart_trio import QuartTrio
from trio.testing import MockClock

from engine.front.server import connection
from engine.front.server.crowd import ARRIVING_SHARE, LOOK_EVERY_S
from engine.front.server.server import ServerLimits
from tests.front.raw_http import LARGE_BYTES, App, Client, Served, get, post, serving, settle

pytestmark = [
    pytest.mark.usefixtures("all_ways"),
    pytest.mark.parametrize("all_ways", ["door", "tls"], indirect=True),  # who asks is the door's
]
NOBODY, SHOP, FORUM = "", "shop", "forum"
"""Whose token a request has (as the tests' door sees it)."""


def ask(who: str, path: str = "/fine") -> bytes:
    """A request with a token of theirs; empty: without one."""
    return get(path, *([f"Authorization: {who}"] if who else []))


def asking() -> QuartTrio:
    """An application whose door asks for tokens."""
    app = App()
    app.asks_token = True
    return app.quart


async def idle(server: Served, clock: MockClock, who: str = NOBODY) -> Client:
    """A connection that has had an answer, and waits for a further request since just now."""
    client = await server.connect()
    await client.send(ask(who))
    answer = await client.read_answer()
    assert (answer.status, answer.body) == (200, b"fine")
    await settle()
    clock.jump(1)
    return client


async def is_served(client: Client, who: str = NOBODY) -> bool:
    """Whether a request is answered; False: the connection has been closed, without a word."""
    try:
        await client.send(ask(who))
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
        assert [await is_served(client) for client in strangers[1:]] == [False, False]
        assert await is_served(strangers[0])
        assert [await is_served(client) for client in come] == [True, True]
        assert server.counters.connections_refused == 0
        assert server.counters.connections_open == 3
    assert server.counters.connections_open == 0


async def test_strangers_give_way_before_who_has_a_token(mock_clock: MockClock) -> None:
    """Whoever has been idle longer, and has more."""
    async with serving(asking(), ServerLimits(connections_max=3)) as server:
        known = [await idle(server, mock_clock, SHOP) for _ in range(2)]
        stranger = await idle(server, mock_clock)
        second = await idle(server, mock_clock, FORUM)
        assert not await is_served(stranger)
        assert [await is_served(client, SHOP) for client in known] == [True, True]
        assert await is_served(second, FORUM)


async def test_of_those_with_a_token_whoever_has_most_makes_room(mock_clock: MockClock) -> None:
    """A tenant that keeps all connections keeps nobody out; who has few keeps them, however long
    they are idle. Of the tenant's it is the one that is idle longest."""
    async with serving(asking(), ServerLimits(connections_max=4)) as server:
        few = await idle(server, mock_clock, FORUM)
        many = [await idle(server, mock_clock, SHOP) for _ in range(3)]
        come = [await idle(server, mock_clock, it) for it in ("blog", "wiki")]
        assert [await is_served(client) for client in many[:2]] == [False, False]
        for client in (few, many[2], *come):
            assert await is_served(client, SHOP)
        assert server.counters.connections_refused == 0


async def test_requests_under_way_count_for_who_has_most(mock_clock: MockClock) -> None:
    """Of whoever has most it is an idle one, and one of another's only if there is none."""
    async with serving(asking(), ServerLimits(connections_max=5)) as server:
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            await client.send(ask(SHOP, "/hold"))
        spare = await idle(server, mock_clock, SHOP)
        few = [await idle(server, mock_clock, FORUM) for _ in range(2)]
        await idle(server, mock_clock, "blog")
        assert not await is_served(spare)
        await idle(server, mock_clock, "wiki")
        assert not await is_served(few[0])
        assert await is_served(few[1], FORUM)
        assert server.counters.connections_refused == 0


async def test_all_tokens_of_a_client_count_together(mock_clock: MockClock) -> None:
    """And of them all the one goes that is idle longest."""
    async with serving(asking(), ServerLimits(connections_max=5)) as server:
        few = [await idle(server, mock_clock, FORUM) for _ in range(2)]
        many = [await idle(server, mock_clock, f"shop.{it}") for it in (1, 2, 2)]
        await idle(server, mock_clock, "blog")
        assert not await is_served(many[0])
        for client in (*few, *many[1:]):
            assert await is_served(client, FORUM)


async def test_a_token_that_is_taken_away_makes_its_connections_a_strangers(
    mock_clock: MockClock,
) -> None:
    """They go first from then on, though they sent nothing since; also one on which an answer is
    not read."""
    app = App()
    app.asks_token = True
    async with serving(app.quart, ServerLimits(connections_max=4)) as server:
        many = [await idle(server, mock_clock, FORUM) for _ in range(2)]
        few = await idle(server, mock_clock, SHOP)
        unread = await server.connect(4_096)
        await unread.send(ask(SHOP, "/big"))
        await settle()
        app.bad_tokens |= {SHOP.encode()}
        come = []
        for left in (1, 0):
            mock_clock.jump(LOOK_EVERY_S)
            come.append(await idle(server, mock_clock, FORUM))
            assert server.counters.connections_open == 4
            assert len(await unread.read_rest()) < LARGE_BYTES if not left else True
        assert not await is_served(few)
        for client in (*many, *come):
            assert await is_served(client, FORUM)
        assert server.counters.connections_refused == 0


async def test_where_no_token_is_asked_for_all_are_one(mock_clock: MockClock) -> None:
    """The one that is idle longest gives way; before it one that has sent nothing, if later."""
    async with serving(App().quart, ServerLimits(connections_max=3)) as server:
        first, second = [await idle(server, mock_clock) for _ in range(2)]
        silent = await server.connect()
        await settle()
        mock_clock.jump(1)
        await idle(server, mock_clock)
        assert not await is_served(silent)
        await idle(server, mock_clock)
        assert not await is_served(first)
        assert await is_served(second)


@pytest.mark.parametrize("sent", [b"", ask(NOBODY)[:9], post("/echo", b"12345")[:-2]],
                         ids=["nothing", "half a head", "half a body"])  # fmt: skip
async def test_who_has_shown_nothing_yet_gives_way_first(
    mock_clock: MockClock, sent: bytes
) -> None:
    """The oldest, before whoever has a token; a stranger who opens them anew pushes out their own.
    What is half here of a stranger's is no request."""
    app = App()
    app.asks_token = True
    app.denies = False
    async with serving(app.quart, ServerLimits(connections_max=4)) as server:
        known = [await idle(server, mock_clock, SHOP) for _ in range(2)]
        strangers = []
        for _ in range(5):
            strangers.append(await server.connect())
            await strangers[-1].send(sent)
            await settle()
            mock_clock.jump(LOOK_EVERY_S)
        assert [await is_served(client) for client in strangers[:3]] == [False] * 3
        come = await idle(server, mock_clock, FORUM)
        assert not await is_served(strangers[3])
        for client in (*known, come):
            assert await is_served(client, SHOP)
        assert server.counters.connections_refused == 0


async def test_those_who_arrive_have_a_few_places(mock_clock: MockClock) -> None:
    """A tenant that opens connections without end, and uses each, pushes out its own, and not who
    is about to send their first request; only beyond those places do arrivals give way."""
    async with serving(asking(), ServerLimits(connections_max=ARRIVING_SHARE)) as server:
        many = [await idle(server, mock_clock, SHOP) for _ in range(ARRIVING_SHARE - 1)]
        arriving = await server.connect()
        await settle()
        for client in many[:2]:
            mock_clock.jump(1)
            await idle(server, mock_clock, SHOP)
            assert not await is_served(client)
        second = await server.connect()  # for which the third makes room
        await settle()
        mock_clock.jump(1)
        await idle(server, mock_clock, SHOP)
        assert not await is_served(arriving)
        assert [await is_served(client, FORUM) for client in (many[3], second)] == [True, True]


async def test_what_stands_in_the_handshake_gives_way(mock_clock: MockClock) -> None:
    """Its place has brought no request yet. That is no failure of TLS."""
    async with serving(asking(), ServerLimits(connections_max=2)) as server:
        if not server.is_tls:
            return
        waiting = []
        for _ in range(2):
            waiting.append(await server.bare())
            await settle()
            mock_clock.jump(1)
        come = await idle(server, mock_clock, SHOP)
        assert await waiting[0].read_rest() in (b"", b"<reset>")
        assert await is_served(come, SHOP)
        assert server.counters.connections_open == 2
        assert server.counters.tls_failures == 0
    assert server.counters.connections_open == 0


@pytest.mark.parametrize("who", [NOBODY, SHOP])
@pytest.mark.parametrize("state", ["held", "body"])
async def test_a_request_under_way_is_never_cut(
    mock_clock: MockClock, state: str, who: str
) -> None:
    """However long it takes; nor is a body that comes, of whoever may send it."""
    app = App()
    app.asks_token = who is SHOP
    app.denies = False
    token = f"Authorization: {who}"
    sent = {"held": ask(who, "/hold"), "body": post("/echo", b"12345", token)[:-2]}[state]
    async with serving(app.quart, ServerLimits(connections_max=1)) as server:
        busy = await idle(server, mock_clock, who)
        await busy.send(sent)
        await settle()
        mock_clock.jump(LOOK_EVERY_S)
        await check_refused(server)
        app.release.set()
        if state == "body":
            await busy.send(b"45")
        assert (await busy.read_answer()).status == 200


@pytest.mark.parametrize("way", ["get", "post"])
async def test_a_stranger_who_does_not_read_gives_way(mock_clock: MockClock, way: str) -> None:
    """At once, and whatever they send meanwhile: there is no request that somebody could miss."""
    app = App()
    app.asks_token, app.denies = True, False
    asked = {"get": ask(NOBODY, "/big"), "post": post("/roomy", b"{}")}[way]
    async with serving(app.quart, ServerLimits(connections_max=1)) as server:
        unread = await server.connect(4_096)
        await unread.send(asked + asked)
        await settle()
        come = await idle(server, mock_clock, SHOP)
        assert len(await unread.read_rest()) < LARGE_BYTES
        assert await is_served(come, SHOP)
        assert server.counters.connections_refused == 0
    assert server.counters.connections_open == 0


async def test_who_has_a_token_may_take_its_time_to_read(mock_clock: MockClock) -> None:
    """All of it, also while there is no room for others."""
    limits = ServerLimits(connections_max=1)
    async with serving(asking(), limits) as server:
        slow = await server.connect(4_096)
        await slow.send(ask(SHOP, "/big"))
        await settle()
        mock_clock.jump(limits.unread_answer_timeout_s - 1)
        await check_refused(server)
        assert len((await slow.read_answer()).body) == LARGE_BYTES


async def test_one_that_lingers_after_its_answer_gives_way(mock_clock: MockClock) -> None:
    """Nothing more is asked on it."""
    async with serving(asking(), ServerLimits(connections_max=1)) as server:
        refused = await server.connect()
        await refused.send(post("/echo", b"12345")[:-2])
        assert (await refused.read_answer()).status == 401
        await settle()
        assert server.counters.connections_open == 1
        assert await is_served(await idle(server, mock_clock, SHOP), SHOP)
        assert server.counters.connections_refused == 0


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
    """A request on a new connection is turned away."""
    client = await server.connect()
    await client.send(ask(NOBODY))
    assert (await client.read_answer()).status == 503
    assert server.counters.connections_refused == 1
