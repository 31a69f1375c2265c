"""Stopping always ends, and in time, whatever clients and handlers do."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.front.server.exchange import peer_of
from engine.front.server.server import ServerLimits, open_listeners
from tests.front.raw_http import App, connected, get, serving, settle

pytestmark = pytest.mark.usefixtures("all_ways")


async def test_idle_connections_end_at_once(mock_clock: MockClock) -> None:
    """Nobody with a request under way: stopping takes no time at all."""
    app = App()
    async with serving(app.quart, grace_s=100) as server:
        client, silent = await server.connect(), await server.connect()
        await client.send(get("/fine"))
        await client.read_answer()
        await settle()
        server.stop.set()
        await server.ended.wait()
        assert await client.read_rest() == b""
        assert await silent.read_rest() == b""


async def test_requests_under_way_are_answered(mock_clock: MockClock) -> None:
    """A held request gets its answer within the grace, says so, and its connection ends."""
    async with connected(grace_s=10) as (app, server, client):
        await client.send(get("/hold") + get("/second"))
        await settle()
        server.stop.set()
        await settle()
        mock_clock.jump(9)
        app.release.set()
        answer = await client.read_answer()
        assert (answer.body, answer.headers["connection"]) == (b"held", "close")
        await client.vanish()
        await server.ended.wait()
    assert app.calls == ["/hold"]


async def test_stream_under_way(mock_clock: MockClock) -> None:
    """An answer that began before the stop ends in the grace, and its connection with it."""
    async with connected(grace_s=10) as (app, server, client):
        await client.send(get("/feed"))
        await client.read_until(b"data: 1\n\n")
        server.stop.set()
        await settle()
        app.release.set()
        await client.read_until(b"0\r\n\r\n")
        assert await client.read_rest() == b""
        await client.vanish()
        await server.ended.wait()


@pytest.mark.parametrize("steps", range(6))
async def test_connection_of_the_last_moment(steps: int, mock_clock: MockClock) -> None:
    """A connection that is accepted while the server stops does not hold it up."""
    app = App()
    async with serving(app.quart, grace_s=10) as server:
        for _ in range(4):
            await server.connect()
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        server.stop.set()
        await server.ended.wait()


async def test_no_new_connection(mock_clock: MockClock) -> None:
    """While requests under way are waited for, nobody else gets in."""
    async with connected(grace_s=10) as (_, server, client):
        await client.send(get("/hold"))
        await settle()
        server.stop.set()
        await settle()
        with pytest.raises(OSError, match="refused"):
            await server.connect()


async def test_grace_over(mock_clock: MockClock) -> None:
    """At the end of the grace a held request is told 503 and the server ends."""
    async with connected(grace_s=10) as (app, server, client):
        await client.send(get("/hold"))
        await settle()
        server.stop.set()
        await settle()
        mock_clock.jump(10)
        answer = await client.read_answer()
        await server.ended.wait()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert b"/problems/draining" in answer.body
    assert app.cancelled == ["/hold"]


@pytest.mark.slow
async def test_stop_with_hostile_clients() -> None:
    """Unread answers, held and shielding handlers, half heads, streams: gone with the grace."""
    app = App()
    app.stuck = True
    async with serving(app.quart, ServerLimits(), grace_s=0.2) as server:
        for _ in range(10):
            unread = await server.connect(receive_buffer_bytes=4096)
            await unread.send(get("/big"))
            for raw in (get("/hold"), get("/hold") + get("/second"), get("/feed"), b"GET /", b""):
                client = await server.connect()
                await client.send(raw)
        await settle()
        began = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        took = trio.current_time() - began
    assert took < 1.2
    assert server.counters.connections_open == 0
    assert server.counters.faults_contained == 0


async def test_all_addresses_are_those_of_ipv4_too() -> None:
    """`::` takes what comes to any address of the machine, and tells an IPv4 peer by its own
    address; `::1` is itself alone."""
    (listener,) = open_listeners("::", 0, ServerLimits())
    port = listener.socket.getsockname()[1]
    async with listener:
        for host in ("127.0.0.1", "::1"):
            client = await trio.open_tcp_stream(host, port)
            async with client, await listener.accept() as stream:
                assert peer_of(stream.socket) == host
    (listener,) = open_listeners("::1", 0, ServerLimits())
    async with listener:
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])


async def test_where_one_socket_cannot_do_both_it_is_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that know no other: the engine listens all the same."""

    class OneFamily(socket.socket):
        def setsockopt(self, level: int, name: int, value: Any, *rest: Any) -> None:
            if (level, name, value) == (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0):
                raise OSError(errno.EINVAL, "Invalid argument")
            super().setsockopt(level, name, value, *rest)

    monkeypatch.setattr(socket, "socket", OneFamily)
    (listener,) = open_listeners("::", 0, ServerLimits())
    async with listener:
        v6only = listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert v6only == 1
        await (await trio.open_tcp_stream("::1", listener.socket.getsockname()[1])).aclose()


async def test_listener_options() -> None:
    """Accepted sockets inherit what the listener sets against unread answers and delay."""
    limits = ServerLimits(unread_answer_timeout_s=2.5)
    (listener,) = open_listeners("127.0.0.1", 0, limits)
    async with listener:
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        async with client, await listener.accept() as stream:
            tcp = trio.socket.IPPROTO_TCP
            assert stream.socket.getsockopt(tcp, trio.socket.TCP_USER_TIMEOUT) == 2500
            assert stream.socket.getsockopt(tcp, trio.socket.TCP_NODELAY) == 1
