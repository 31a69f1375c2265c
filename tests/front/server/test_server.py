"""The server's promises over real sockets: answers, limits in time, clients that leave."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.front.server.server import ServerLimits
from tests.front.raw_http import App, Client, Served, connected, get, post, serving, settle

pytestmark = pytest.mark.usefixtures("all_ways")


async def close_of(client: Client, clock: MockClock, seconds: float) -> bytes:
    """What the client still gets when exactly `seconds` pass; not a moment less closes it."""
    await settle()
    clock.jump(seconds - 0.01)
    await settle()
    with trio.move_on_after(0) as scope:
        await client.stream.receive_some()
    assert scope.cancelled_caught, "closed too early"
    clock.jump(0.02)
    return await client.read_rest()


async def test_safe_headers(mock_clock: MockClock) -> None:
    """Every answer, refusals and 404 too, carries the headers that disarm it in a browser."""
    app = App()
    async with serving(app.quart) as server:
        for request in (get("/fine"), get("/nothing"), get("/fine", "Host: b")):
            client = await server.connect()
            await client.send(request)
            headers = (await client.read_answer()).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == (
                "default-src 'none'; frame-ancestors 'none'"
            )
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "date" in headers
            assert "server" not in headers


async def test_keep_alive(mock_clock: MockClock) -> None:
    """One connection serves request after request."""
    async with connected() as (_, server, client):
        for number in range(20):
            body = b"x" * number
            await client.send(post("/echo", body))
            assert (await client.read_answer()).body == body
    assert server.counters.connections == 1


async def test_head_and_no_content(mock_clock: MockClock) -> None:
    """Answers without a body end where they should, and the connection goes on."""
    async with connected() as (_, _, client):
        await client.send(get("/fine").replace(b"GET", b"HEAD"))
        status, headers = await client.read_head()
        assert (status, headers["content-length"]) == (200, "4")
        await client.send(get("/none"))
        assert (await client.read_head())[0] == 204
        await client.send(get("/fine"))
        assert (await client.read_answer()).body == b"fine"


async def test_pipelining(mock_clock: MockClock) -> None:
    """Requests sent in one piece are answered one after the other, in their order."""
    app = App()
    requests = post("/echo", b"one"), get("/fine"), post("/echo", b"two")
    async with serving(app.quart) as server:
        client = await server.connect()
        await client.send(b"".join(requests))
        bodies = [(await client.read_answer()).body for _ in requests]
    assert bodies == [b"one", b"fine", b"two"]


async def test_pipelined_head_is_checked(mock_clock: MockClock) -> None:
    """A bad request behind a good one in the same piece: the good one is answered first."""
    async with connected() as (app, _, client):
        await client.send(get("/fine") + get("/fine", "A: b", " c") + get("/second"))
        assert (await client.read_answer()).status == 200
        assert (await client.read_answer()).status == 400
        assert await client.read_rest() == b""
    assert app.calls == ["/fine"]


async def test_every_split(mock_clock: MockClock) -> None:
    """A request may come in any two pieces, and byte by byte."""
    app = App()
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = chunked + b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nA: b\r\n\r\n"
    splits = [[raw[:cut], raw[cut:]] for cut in range(1, len(raw))]
    splits.append([raw[i : i + 1] for i in range(len(raw))])
    async with serving(app.quart) as server:
        client = await server.connect()
        for pieces in splits:
            for piece in pieces:
                await client.send(piece)
                await wait_all_tasks_blocked()  # until the server has read it
            answer = await client.read_answer()
            assert (answer.status, answer.body) == (200, b"abc0123456789")


async def test_100_continue(mock_clock: MockClock) -> None:
    """A client that asks first is told to go on, and refused before it sends too much."""
    app = App()
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    async with serving(app.quart, ServerLimits(body_bytes_max=10)) as server:
        client = await server.connect()
        await client.send(head % 3)
        assert (await client.read_head())[0] == 100
        await client.send(b"abc")
        assert (await client.read_answer()).body == b"abc"
        await client.send(head % 11)
        assert (await client.read_answer()).status == 413


async def test_answer_before_the_body(mock_clock: MockClock) -> None:
    """A handler may answer without its body; what follows is not taken for a request."""
    async with connected() as (app, _, client):
        raw = post("/early/now", get("/second"))
        await client.send(raw[:-5])
        answer = await client.read_answer()
        assert (answer.body, answer.headers["connection"]) == (b"early", "close")
        await client.send(raw[-5:])
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.calls == ["/early/now"]


async def test_stream(mock_clock: MockClock) -> None:
    """A stream's head and events leave at once, and it ends with its generator."""
    async with connected() as (app, _, client):
        await client.send(get("/feed"))
        status, headers = await client.read_head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        await client.read_until(b"data: 1\n\n")
        mock_clock.jump(3600)  # No time-out is for a stream.
        app.release.set()
        await client.read_until(b"data: 2\n\n")
        await client.read_until(b"0\r\n\r\n")
        await client.send(get("/fine"))
        assert (await client.read_answer()).status == 200


async def test_stream_ends_with_its_client(mock_clock: MockClock) -> None:
    """A stream's generator is cancelled when its client leaves, though it sends nothing."""
    async with connected() as (app, server, client):
        await client.send(get("/feed"))
        await client.read_until(b"data: 1\n\n")
        await client.vanish()
        await settle()
        assert app.cancelled == ["/feed"]
        assert server.counters.connections_open == 0


async def test_head_in_time(mock_clock: MockClock) -> None:
    """A head that drips is refused at the limit, however often a byte comes."""
    async with connected(ServerLimits(header_timeout_s=5)) as (app, _, client):
        await settle()
        mock_clock.jump(4.9)  # The time before the first byte is not the head's.
        raw = get("/fine")
        for byte in raw[:9]:
            await client.send(bytes([byte]))
            await settle()
            mock_clock.jump(0.5)
        rest = await close_of(client, mock_clock, 0.5)
        assert b" 408 " in rest
    assert app.calls == []


async def test_silent_connection(mock_clock: MockClock) -> None:
    """A connection that never sends a byte is closed after the header time, without a word."""
    async with connected(ServerLimits(header_timeout_s=5)) as (_, _, client):
        assert await close_of(client, mock_clock, 5) == b""


async def test_idle_connection(mock_clock: MockClock) -> None:
    """An idle connection is closed after the keep-alive time; each answer starts it anew."""
    async with connected(ServerLimits(keep_alive_timeout_s=7)) as (_, _, client):
        for _ in range(2):
            await client.send(post("/echo", b"a"))
            await client.read_answer()
            await settle()
            mock_clock.jump(6)
        await client.send(post("/echo", b"a"))
        await client.read_answer()
        assert await close_of(client, mock_clock, 7) == b""


async def test_body_in_time(mock_clock: MockClock) -> None:
    """A body that does not come is refused at the limit, and its handler is cancelled."""
    async with connected(ServerLimits(body_timeout_s=30)) as (_, server, client):
        await client.send(post("/echo", b"0123456789")[:-5])
        rest = await close_of(client, mock_clock, 30)
        assert b" 408 " in rest
        assert server.counters.requests_refused == 1
        await settle()
        assert server.counters.connections_open == 1  # It lingers, lest the answer be lost,
        mock_clock.jump(1)
        await settle()
        assert server.counters.connections_open == 0  # but not for long.


async def test_held_request_has_no_time_out(mock_clock: MockClock) -> None:
    """A caller may wait for its answer for a day."""
    async with connected() as (app, _, client):
        await client.send(get("/hold"))
        await settle()
        mock_clock.jump(86_400)
        await settle()
        app.release.set()
        assert (await client.read_answer()).body == b"held"


async def test_unread_answer(mock_clock: MockClock) -> None:
    """A client that leaves its answer unread is dropped after the limit."""
    app = App()
    async with serving(app.quart, ServerLimits(unread_answer_timeout_s=30)) as server:
        client = await server.connect(receive_buffer_bytes=4096)
        await client.send(get("/big"))
        await settle()
        mock_clock.jump(29.9)
        await settle()
        assert server.counters.connections_open == 1
        mock_clock.jump(0.2)
        await settle()
        assert server.counters.connections_open == 0


async def hold(server: Served, behind: bytes) -> Client:
    client = await server.connect()
    await client.send(get("/hold"))
    await settle()
    await client.send(behind)
    await settle()
    return client


@pytest.mark.parametrize("behind", [b"", get("/second"), b"GET /sec"])
async def test_vanished_client(behind: bytes, mock_clock: MockClock) -> None:
    """A held request's handler is cancelled when its client leaves, whatever it sent behind it."""
    app = App()
    async with serving(app.quart) as server:
        client = await hold(server, behind)
        assert app.cancelled == []
        await client.vanish()
        await settle()
        assert app.cancelled == ["/hold"]
        assert server.counters.connections_open == 0
    assert app.calls == ["/hold"]


async def test_vanished_client_behind_a_full_buffer(mock_clock: MockClock) -> None:
    """The same when so much was sent behind that the server has stopped reading."""
    app = App()
    async with serving(app.quart, ServerLimits(pipelined_bytes_max=1000)) as server:
        client = await hold(server, get("/second") * 1000)
        await client.vanish()
        mock_clock.jump(1)
        await settle()
        assert app.cancelled == ["/hold"]
        assert server.counters.connections_open == 0
    assert app.calls == ["/hold"]


async def test_full_buffer_is_served(mock_clock: MockClock) -> None:
    """Requests beyond what is read ahead wait in the socket and are all answered."""
    app = App()
    async with serving(app.quart, ServerLimits(pipelined_bytes_max=1000)) as server:
        client = await hold(server, get("/fine") * 300)
        app.release.set()
        bodies = [(await client.read_answer()).body for _ in range(301)]
    assert bodies == [b"held"] + [b"fine"] * 300


async def test_half_closed_client(mock_clock: MockClock) -> None:
    """Closing the sending side counts as leaving: the kernel tells us no difference."""
    async with connected() as (app, _, client):
        await client.send(get("/hold"))
        await client.stream.send_eof()
        assert await client.read_rest() == b""
    assert app.cancelled == ["/hold"]
