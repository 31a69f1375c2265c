"""Keep-alive: what is reused, what never is, and that cancelling leaves the pool sound."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx
import pytest
import trio
from trio.testing import MockClock

import engine.call.transport as transport_module
from engine.call.transport import LeanTransport
from engine.http.answers import BadAnswer
from tests.call.scripted_server import (
    OK,
    POST_LINES,
    Peer,
    always_ok,
    answering,
    lean,
    post,
    serving,
)


async def test_one_connection_serves_many_calls() -> None:
    """Calls one after another share a connection."""
    async with serving(always_ok) as server, lean() as transport:
        for _ in range(20):
            await post(transport, server)
        assert (server.connections, transport.connections_made, transport.idle_count) == (1, 1, 1)
    assert len(server.requests) == 20


async def test_concurrent_calls_reuse_what_they_opened() -> None:
    """A second wave of 50 calls opens no connection."""
    async with serving(always_ok) as server, lean() as transport:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(post, transport, server)
        assert transport.connections_made == transport.idle_count == 50


async def test_origins_do_not_share() -> None:
    """A connection to one origin is never used for another."""
    async with serving(always_ok) as one, serving(always_ok) as two, lean() as transport:
        for server in (one, two, one, two):
            await post(transport, server)
        assert (one.connections, two.connections) == (1, 1)


async def test_idle_connections_give_way() -> None:
    """Where three may be open, calls to five hosts leave three idle; a call to a sixth closes one,
    and two at once to two more leave no more than one beside them."""
    async with AsyncExitStack() as servers, lean(open_max=3) as transport:
        five = [await servers.enter_async_context(serving(always_ok)) for _ in range(5)]
        for server in five:
            await post(transport, server)
            assert transport.idle_count <= 3
        assert transport.idle_count == 3

        came, go_on = list[Peer](), trio.Event()

        async def answers_late(peer: Peer) -> None:
            while await peer.read_request():
                came.append(peer)
                await go_on.wait()
                await peer.stream.send_all(OK)

        late = [await servers.enter_async_context(serving(answers_late)) for _ in range(2)]
        async with trio.open_nursery() as nursery:
            for server in late:
                nursery.start_soon(post, transport, server)
            with trio.fail_after(10):
                while len(came) < 2:
                    await trio.sleep(0.001)
            assert transport.idle_count == 1
            go_on.set()
        await post(transport, five[-1])
        assert transport.connections_made == 7, "the newest were kept"


NEVER_REUSED = {
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "close among others": b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "garbage behind": OK + b"garbage",
    "another answer behind": OK + OK,
    "another behind chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK
    ),
    "garbage behind chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\ngarbage"
    ),
    "204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
    "a promise of 1 s": b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("case", NEVER_REUSED)
async def test_never_reused(case: str) -> None:
    """A whole answer is taken, but its connection is closed and the next call opens another."""
    raw = NEVER_REUSED[case]
    async with serving(answering(raw, OK)) as server, lean() as transport:
        assert (await post(transport, server)).body == (b"ok" if b"ok" in raw else b"")
        assert transport.idle_count == 0
        await post(transport, server)
        assert server.connections == 2


async def test_a_second_answer_that_comes_later_answers_nothing() -> None:
    """Bytes that arrive while the connection is idle are noticed before it is used again."""
    sent = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.stream.send_all(OK.replace(b"ok", b"no"))
        sent.set()
        await peer.wait_closed()

    async with serving(script) as server, lean() as transport:
        await post(transport, server)
        await sent.wait()
        assert (await post(transport, server)).body == b"ok"
        assert server.connections == 2


async def test_a_stale_connection_is_noticed() -> None:
    """A connection that the peer has closed while idle is not used for a request."""
    closed = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.stream.aclose()
        closed.set()

    async with serving(script) as server, lean() as transport:
        await post(transport, server)
        await closed.wait()
        assert (await post(transport, server)).status == 200
        assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("reset", [True, False])
async def test_no_request_is_sent_twice(reset: bool) -> None:
    """A reused connection lost after the request was read: an error, and one request was seen."""

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.read_request()
        if reset:
            await peer.reset()

    async with serving(script) as server, lean() as transport:
        await post(transport, server, b"first")
        with pytest.raises(httpx.ReadError):
            await post(transport, server, b"second")
        assert [r.rpartition(b"\r\n")[2] for r in server.requests] == [b"first", b"second"]
        assert (server.connections, transport.idle_count) == (1, 0)


@pytest.mark.parametrize(
    ("keep_alive", "limit_s"),
    [(b"", 4), (b"Keep-Alive: timeout=3, max=9\r\n", 2), (b"Keep-Alive: timeout=99\r\n", 4)],
)
async def test_idle_time(keep_alive: bytes, limit_s: int, mock_clock: MockClock) -> None:
    """Reused before our limit or the server's promise less a margin, never after."""
    raw = OK.replace(b"\r\n\r\n", b"\r\n" + keep_alive + b"\r\n")
    async with serving(answering(raw, raw, raw)) as server, lean() as transport:
        await post(transport, server)
        mock_clock.jump(limit_s - 0.1)
        await post(transport, server)
        assert server.connections == 1
        mock_clock.jump(limit_s + 0.1)
        await post(transport, server)
        assert server.connections == 2


async def test_a_short_promise_behind_a_longer_one(mock_clock: MockClock) -> None:
    """A connection that expires before an older one of another origin is not used after that."""
    short = OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=3\r\n\r\n")
    async with serving(always_ok) as older, serving(answering(short, short)) as server:
        async with lean() as transport:
            await post(transport, older)
            await post(transport, server)
            mock_clock.jump(3)
            await post(transport, server)
            await post(transport, older)
            assert (server.connections, older.connections) == (2, 1)


async def test_expired_connections_of_other_origins_are_closed(mock_clock: MockClock) -> None:
    """An origin that is never called again leaves no connection open behind it."""
    gone = trio.Event()

    async def script(peer: Peer) -> None:
        await always_ok(peer)
        gone.set()

    async with serving(script) as once, serving(always_ok) as other, lean() as transport:
        await post(transport, once)
        mock_clock.jump(5)
        await post(transport, other)
        assert transport.idle_count == 1
        await gone.wait()


async def test_idle_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one origin and for all: the oldest goes first."""
    monkeypatch.setattr(transport_module, "IDLE_PER_ORIGIN_MAX", 3)
    monkeypatch.setattr(transport_module, "IDLE_TOTAL_MAX", 5)
    async with serving(always_ok) as one, serving(always_ok) as two, lean() as transport:
        for server, idle in ((one, 3), (two, 5)):
            async with trio.open_nursery() as nursery:
                for _ in range(6):
                    nursery.start_soon(post, transport, server)
            assert transport.idle_count == idle


async def test_closing_while_a_call_is_under_way() -> None:
    """aclose() lets the call end, and its connection is closed, not kept."""
    go_on = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await transport.aclose()
        go_on.set()
        await peer.stream.send_all(OK)
        await peer.wait_closed()

    transport = LeanTransport()
    async with serving(script) as server:
        assert (await post(transport, server)).status == 200
        assert go_on.is_set()
        assert transport.idle_count == 0


CANCELLED_AT = {
    "before the head": b"",
    "within the head": b"HTTP/1.1 200 OK\r\nCont",
    "within the body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "before the end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab",
}


@pytest.mark.parametrize("case", CANCELLED_AT)
async def test_cancelled_in_an_exchange(case: str) -> None:
    """Wherever the answer stands still: the connection is closed at once and never reused."""
    sent, closed = trio.Event(), trio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(CANCELLED_AT[case])
        sent.set()
        await peer.wait_closed()
        closed.set()

    async with serving(script) as server, lean() as transport:
        await post(transport, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server)
            await sent.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await closed.wait()
        assert transport.idle_count == 0
        await post(transport, server)
        assert server.connections == 2


async def test_cancelled_at_every_checkpoint_in_turn() -> None:
    """Cancel at the first checkpoint, the second, … until the call gets through; then all is well.

    After each: nothing idle but whole connections, and a following call gets its own answer.
    """

    async def script(peer: Peer) -> None:
        while request := await peer.read_request():
            body = request.rpartition(b"\r\n")[2]
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            for piece in (head[:9], head[9:], body):
                await peer.stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()

    async with serving(script) as server, lean() as transport:
        for steps in range(100):
            with trio.CancelScope() as scope:
                instrument = _CancelAfter(scope, steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await post(transport, server, b"cancelled?")
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert (await post(transport, server, b"%d" % steps)).body == b"%d" % steps
            if not scope.cancelled_caught:
                break
        else:
            pytest.fail("never got through")
        assert steps >= 3


class _CancelAfter(trio.abc.Instrument):
    """Cancels when the task that made it has been scheduled `steps` times."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope, self._left = scope, steps
        self._task = trio.lowlevel.current_task()
        if not steps:
            scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and self._left:
            self._left -= 1
            if not self._left:
                self._scope.cancel()


async def test_an_error_costs_only_its_own_connection() -> None:
    """Beside a bad answer, the other idle connections of the origin stay."""
    n = 0

    async def script(peer: Peer) -> None:
        nonlocal n
        while await peer.read_request():
            n += 1
            await peer.stream.send_all(b"garbage\r\n\r\n" if n == 3 else OK)

    async with serving(script) as server, lean() as transport:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server)
            nursery.start_soon(post, transport, server)
        with pytest.raises(BadAnswer):
            await post(transport, server)
        assert transport.idle_count == 1
        await post(transport, server)
        assert transport.connections_made == 2


async def test_a_large_body_is_sent_whole() -> None:
    """A body far larger than the sockets' buffers arrives whole."""
    body = bytes(range(256)) * 40_000
    async with serving(always_ok) as server, lean() as transport:
        assert (await transport.exchange(server.target, POST_LINES, [body])).status == 200
    assert server.requests[0].endswith(body)
