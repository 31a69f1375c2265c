"""Bodies of requests have room in memory, wait for it, or are refused: over real sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from engine.core.access import client as registered
from engine.front.server.room import LOOK_AGAIN_S, SLOW_S, WAIT_S_MAX
from engine.front.server.server import ServerLimits
from engine.process.budget import Budget
from tests.front import raw_http
from tests.front.raw_http import LARGE_BYTES, App, Client, Served, post, serving, settle

pytestmark = pytest.mark.usefixtures("both_ways")

BODY = b"x" * 200_000
WHOLE = post("/echo", BODY)
HALF = WHOLE[: -len(BODY) // 2]


def room_for(bodies: float) -> Budget:
    """A budget whose part for posts is so many bodies."""
    return Budget(int(4 * bodies * len(BODY)))


async def sent(server: Served, data: bytes) -> Client:
    client = await server.connect()
    await client.send(data)
    await settle()
    return client


async def wait_for(clock: MockClock, seconds: float) -> None:
    """Let time pass in small steps, so that the server's tasks come between."""
    for _ in range(round(seconds / LOOK_AGAIN_S)):
        clock.jump(LOOK_AGAIN_S)
        await settle()


def assert_given_back(budget: Budget) -> None:
    assert (budget.posts.granted, budget.posts.waiting) == (0, 0)


async def test_a_body_waits_for_room(mock_clock: MockClock) -> None:
    """Half a body has room for all of it; the next is not read until that one is answered, while
    small ones pass; then it is served as ever, and all room is given back."""
    app, budget = App(), room_for(1)
    async with serving(app.quart, budget=budget) as server:
        first = await sent(server, HALF)
        second = await sent(server, WHOLE)
        assert (budget.posts.granted, budget.posts.waiting) == (len(BODY), 1)
        small = await sent(server, post("/echo", b"small"))
        assert (await small.read_answer()).body == b"small"
        await first.send(WHOLE[len(HALF) :])
        assert (await first.read_answer()).body == BODY
        assert (await second.read_answer()).body == BODY
        await first.send(WHOLE)
        assert (await first.read_answer()).body == BODY
        await settle()
        assert_given_back(budget)
    assert budget.refused == 0


@pytest.mark.parametrize("parent", ["header", "member"])
async def test_posts_of_runs_under_way_go_first(parent: str, mock_clock: MockClock) -> None:
    """Whether the parent token is a header or the member `parent`, as far as that has come."""
    app, budget = App(), room_for(1)
    parent_token = "01M84WPRZ8FE8XB2H4Y04XKXPK-0a1b2c.1.7.00ff00ff00ff00ff00ff"
    ours = WHOLE.replace(b"\r\n", b"\r\nAtomic-Parent: %b\r\n" % parent_token.encode(), 1)
    if parent == "member":
        member = b'{"parent": "%b", "payload": "' % parent_token.encode()
        ours = post("/echo", member + BODY[len(member) :])
    async with serving(app.quart, budget=budget) as server:
        first = await sent(server, HALF)
        new = await sent(server, WHOLE)
        mine = await sent(server, ours[: len(HALF)])
        assert budget.posts.waiting == 2
        await first.send(WHOLE[len(HALF) :])
        assert (await first.read_answer()).status == 200
        await settle()
        assert budget.posts.waiting == 1, "mine has room, and is not whole"
        await mine.send(ours[len(HALF) :])
        for client in (mine, new):
            assert (await client.read_answer()).status == 200


async def test_who_waits_long_is_refused(mock_clock: MockClock) -> None:
    """Before anything is recorded: 503 with the limit's name and Retry-After, and the attempt that
    made the post is told of."""
    app, budget = App(), room_for(1)
    async with serving(app.quart, budget=budget) as server:
        held = await sent(server, post("/hold", BODY))
        client = await sent(server, WHOLE)
        await wait_for(mock_clock, WAIT_S_MAX - LOOK_AGAIN_S)
        assert budget.refused == 0
        await wait_for(mock_clock, 2 * LOOK_AGAIN_S)
        answer = await client.read_answer()
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        problem = json.loads(answer.body)
        assert problem["type"] == "/problems/overloaded"
        assert problem["limit"] == "memory_bytes_max"
        assert answer.headers["connection"] == "close"
        assert budget.refused == 1
        assert ("refused" in app.calls) == raw_http.WITH_DOOR
        assert "/echo" not in app.calls
        await held.vanish()


async def test_slow_bodies_give_way(mock_clock: MockClock) -> None:
    """Half bodies keep their room while nobody wants it. When somebody does, those that are slow
    are refused, oldest first and no more than need be."""
    app, budget = App(), room_for(7)
    async with serving(app.quart, budget=budget) as server:
        slow = [await sent(server, HALF) for _ in range(2)]
        await wait_for(mock_clock, 2 * SLOW_S)
        assert budget.refused == 0
        fresh = await sent(server, HALF)
        waiting = await sent(server, WHOLE)
        await wait_for(mock_clock, LOOK_AGAIN_S)
        assert (await waiting.read_answer()).body == BODY
        refused = await slow[0].read_answer()
        assert refused.status == 503
        assert json.loads(refused.body)["limit"] == "memory_bytes_max"
        assert budget.refused == 1
        for each in (slow[1], fresh):
            await each.send(WHOLE[len(HALF) :])
            assert (await each.read_answer()).body == BODY
        await settle()
        assert_given_back(budget)


class Sharing:
    """The client `hold` has a share of the budget."""

    clients: Mapping[str, registered.Client] = {}

    def __init__(self, share: float) -> None:
        self.limits = {"hold": registered.ClientLimits(memory_share=share)}


async def test_a_client_over_its_share_waits_alone(mock_clock: MockClock) -> None:
    """With a share of one body a second waits, and is refused by the share's name; another client's
    is served meanwhile, and its slow one does not give way to it, as the client's own would."""
    app, budget = App(), room_for(8)
    budget = Budget(budget.bytes_max, Sharing(1 / 8))
    async with serving(app.quart, budget=budget) as server:
        others = await sent(server, HALF)
        held = await sent(server, post("/hold", BODY))
        beyond = await sent(server, post("/hold", BODY))
        assert budget.posts.waiting_for_share == {"hold": 1}
        served = await sent(server, WHOLE)
        assert (await served.read_answer()).body == BODY
        await wait_for(mock_clock, WAIT_S_MAX + LOOK_AGAIN_S)
        answer = await beyond.read_answer()
        assert answer.status == 503
        assert json.loads(answer.body)["limit"] == "memory_share"
        assert "the client's share" in json.loads(answer.body)["detail"]
        await others.send(WHOLE[len(HALF) :])
        assert (await others.read_answer()).body == BODY
        await held.vanish()


async def test_of_a_client_over_its_share_its_own_slow_bodies_give_way(
    mock_clock: MockClock,
) -> None:
    """Its oldest, and no other's."""
    app = App()
    budget = Budget(room_for(8).bytes_max, Sharing(1 / 8))
    async with serving(app.quart, budget=budget) as server:
        others = await sent(server, HALF)
        slow = await sent(server, post("/hold", BODY)[: len(HALF)])
        await wait_for(mock_clock, 2 * SLOW_S)
        await sent(server, post("/hold", BODY))
        await wait_for(mock_clock, LOOK_AGAIN_S)
        assert (await slow.read_answer()).status == 503
        await others.send(WHOLE[len(HALF) :])
        assert (await others.read_answer()).body == BODY


async def test_unfinished_bodies_are_bounded(mock_clock: MockClock) -> None:
    """Forty clients that send half a body and fall silent hold no more than the budget, whether
    the body has a length or comes in chunks; when they leave, nothing is held."""
    app, budget = App(), room_for(8)
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"%x\r\n" % len(BODY) + BODY
    async with serving(app.quart, budget=budget) as server:
        clients = [await server.connect() for _ in range(40)]
        async with trio.open_nursery() as nursery:
            for number, client in enumerate(clients):
                nursery.start_soon(client.send, chunked if number % 2 else HALF)
            await settle()
            nursery.cancel_scope.cancel()
        assert budget.posts.granted <= budget.posts.bytes_max
        assert budget.posts.waiting > 20
        for client in clients:
            await client.vanish()
        await settle()
        assert_given_back(budget)


@pytest.mark.parametrize("end", ["read", "left", "never read"])
async def test_an_answer_has_room_until_it_is_sent(end: str, mock_clock: MockClock) -> None:
    """The room of a large answer is given back when the client has read it, has left, or was cut
    off because it does not read; not before."""
    app, budget = App(), room_for(1)
    app.room = budget.replies.take("c", 1)
    async with serving(app.quart, budget=budget) as server:
        client = await server.connect(receive_buffer_bytes=4096)
        await client.send(post("/roomy", b""))
        await settle()
        assert budget.replies.granted == 1
        if end == "read":
            assert len((await client.read_answer()).body) == LARGE_BYTES
        elif end == "left":
            await client.vanish()
        else:
            mock_clock.jump(ServerLimits().unread_answer_timeout_s + 0.1)
        await settle()
        assert budget.replies.granted == 0
