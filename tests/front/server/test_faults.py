"""No fault, of application, library or client, ends more than its own connection."""

from __future__ import annotations

import os
import resource
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.front.server.beyond import LEAST_S
from engine.front.server.server import ServerLimits
from tests.front.raw_http import App, Client, get, post, serving, settle

pytestmark = pytest.mark.usefixtures("both_ways")


async def faulty(scope: Any, receive: Any, send: Any) -> None:
    """An application that breaks in each way it can; the lifespan too."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    path = scope["path"]
    if path == "/group":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise KeyError("in a group")
    if path == "/silent":
        return
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
    if path == "/deaf":
        await trio.sleep_forever()
    if path == "/stubborn":
        while (await receive())["type"] != "http.disconnect":
            pass
        with trio.CancelScope(shield=True):
            await send(start)
            await send({"type": "http.response.body", "body": b"too late"})
        return
    if path == "/slow":
        await send(start)
        await trio.sleep_forever()
    if path == "/half":
        await send({**start, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    if path == "/more":
        await send({**start, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"abc"})
    if path == "/header":
        await send({**start, "headers": [(b"a", b"b\r\nc: d")]})
    if path == "/event":
        await send({"type": "http.nonsense"})
    raise ValueError("plain")


@pytest.mark.parametrize("path", ["/group", "/silent", "/plain", "/event", "/header"])
async def test_fault_before_an_answer(path: str, mock_clock: MockClock) -> None:
    """An application's fault becomes a 500 on its own connection; the server lives on."""
    async with serving(faulty) as server:
        for _ in range(2):
            client = await server.connect()
            await client.send(get(path))
            rest = await client.read_rest()
            assert rest.startswith(b"HTTP/1.1 500 ") or path == "/header"
            assert b"plain" not in rest
        assert server.counters.faults_contained == (0 if path == "/silent" else 2)
        assert not server.ended.is_set()


@pytest.mark.parametrize("path", ["/half", "/more"])
async def test_fault_within_an_answer(path: str, mock_clock: MockClock) -> None:
    """A fault within an answer cuts it short: no client takes it for a whole one."""
    async with serving(faulty) as server:
        client = await server.connect()
        await client.send(get(path))
        rest = await client.read_rest()
        assert not rest.endswith(b"abc" if path == "/more" else b"0123456789")
        assert server.counters.faults_contained == 1


async def test_stream_head_leaves_at_once(mock_clock: MockClock) -> None:
    """The head of a stream does not wait for its first event."""
    async with serving(faulty) as server:
        client = await server.connect()
        await client.send(get("/slow"))
        assert (await client.read_head())[0] == 200


async def test_deaf_application(mock_clock: MockClock) -> None:
    """An application that does not listen for its client's leaving is cancelled by it."""
    async with serving(faulty) as server:
        client = await server.connect()
        await client.send(get("/deaf"))
        await settle()
        assert server.counters.connections_open == 1
        await client.vanish()
        await settle()
        assert server.counters.connections_open == 0


async def test_one_answer_only(mock_clock: MockClock) -> None:
    """What an application writes after its request was refused never reaches the client."""
    async with serving(faulty) as server:
        client = await server.connect()
        await client.send(
            b"POST /stubborn HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await settle()
        await client.send(b"zz\r\n")
        assert (await client.read_answer()).status == 400
        assert await client.read_rest() == b""
        assert server.counters.faults_contained == 0


async def test_fault_of_the_refusal(mock_clock: MockClock) -> None:
    """Should the engine's own refusal page fail, that too ends its connection only."""

    def broken(status: int, problem: str, detail: str, limit: str | None) -> bytes:
        raise LookupError("no such page")

    async with serving(faulty, ServerLimits(connections_max=0), refuse=broken) as server:
        turned_away = await server.connect()
        await turned_away.send(get("/fine"))
        assert await turned_away.read_rest() == b""
        assert server.counters.faults_contained == 1
        assert not server.ended.is_set()
    async with serving(faulty, refuse=broken) as server:
        client = await server.connect()
        await client.send(b"nonsense\r\n\r\n")
        assert await client.read_rest() == b""
        assert server.counters.faults_contained == 1
        assert not server.ended.is_set()


async def test_fault_of_the_protocol(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception out of a protocol library ends its connection, not the server."""
    app = App()

    def broken(self: Any) -> None:
        raise AssertionError("a fault in h11")

    async with serving(app.quart) as server:
        with monkeypatch.context() as patch:
            patch.setattr("h11.Connection.next_event", broken)
            client = await server.connect()
            await client.send(get("/fine"))
            await client.read_rest()
        assert server.counters.faults_contained == 1
        client = await server.connect()
        await client.send(get("/fine"))
        assert (await client.read_answer()).status == 200


async def test_connections_at_their_limit(mock_clock: MockClock) -> None:
    """The connection above the limit is told so; when one ends, the next is served."""
    app = App()
    async with serving(app.quart, ServerLimits(connections_max=2)) as server:
        first, second = await server.connect(), await server.connect()
        for client in (first, second):
            await client.send(get("/hold"))
        await settle()
        third = await server.connect()
        await third.send(get("/fine"))
        answer = await third.read_answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        await third.stream.send_eof()
        assert await third.read_rest() == b""  # and no reset
        await first.vanish()
        await settle()
        fourth = await server.connect()
        await fourth.send(get("/fine"))
        assert (await fourth.read_answer()).status == 200
        assert server.counters.connections_refused == 1


async def test_far_above_the_limit(mock_clock: MockClock) -> None:
    """Those who are being turned away are limited too: who says nothing is closed for the next,
    without a word."""
    limits = ServerLimits(connections_max=0, beyond_max=1)
    async with serving(faulty, limits) as server:
        silent = await server.connect()
        await settle()
        mock_clock.jump(LEAST_S)
        told = await server.connect()
        await told.send(get("/fine"))
        assert (await told.read_answer()).status == 503
        assert await silent.read_rest() == b""
        assert server.counters.connections_refused == 2


async def test_out_of_file_descriptors(mock_clock: MockClock) -> None:
    """Without descriptors the accept loop pauses; once there are some it goes on."""
    app = App()
    async with serving(app.quart) as server:
        sock = trio.socket.socket()
        server.sockets.append(sock)
        _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = os.dup(0)  # the lowest free descriptor: none is left below it
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            await sock.connect(("127.0.0.1", server.port))
            await settle()
            assert server.counters.connections == 0
            for _ in range(9):
                mock_clock.jump(0.1)
                await settle()
            assert server.counters.accepts_failed == 10
            assert server.log == [("accept-failed", {"reason": "EMFILE", "times": 1})]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        mock_clock.jump(0.1)
        client = Client(trio.SocketStream(sock))
        await client.send(get("/fine"))
        assert (await client.read_answer()).status == 200


@pytest.mark.slow
async def test_open_and_drop(mock_clock: MockClock) -> None:
    """Hundreds of connections dropped at every stage leave nothing behind."""
    app = App()
    async with serving(app.quart) as server:
        for number in range(400):
            client = await server.connect()
            raw = post("/echo", b"a" * 20)
            await client.send(raw[: number % (len(raw) + 1)])
            if number % 2:
                client.stream.socket.setsockopt(
                    trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
            await client.vanish()
        await settle()
        assert server.counters.connections == 400
        assert server.counters.connections_open == 0
        assert server.counters.faults_contained == 0
        client = await server.connect()
        await client.send(get("/fine"))
        assert (await client.read_answer()).status == 200
