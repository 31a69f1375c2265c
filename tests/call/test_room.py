"""What the transport says of its bytes: what it has sent, and before it reads a large answer."""

from __future__ import annotations

import pytest
import trio

from engine.ports.caller import SMALL_BYTES_MAX, FreeFlow
from tests.call.scripted_server import POST_LINES, Peer, answering, lean, serving

MOST = 100_000


class Asked(FreeFlow):
    """Notes what is said, and lets an answer wait until `room` is set."""

    def __init__(self) -> None:
        self.said: list[str | int] = []
        self.room = trio.Event()
        self.room.set()

    def sent(self) -> None:
        self.said.append("sent")

    async def wait_room(self, size: int) -> None:
        self.said.append(size)
        await self.room.wait()


def framed(framing: str, size: int, status: str = "200 OK") -> bytes:
    """An answer of so many bytes."""
    body = b"x" * size
    head = b"HTTP/1.1 %b\r\n" % status.encode()
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (size, body)
    if framing == "chunked":
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    return head + b"Connection: close\r\n\r\n" + body


@pytest.mark.parametrize("framing", ["length", "chunked", "to the end"])
@pytest.mark.parametrize("more", [0, 1, 60_000])
async def test_a_large_answer_waits_for_room(framing: str, more: int) -> None:
    """One over the bound is asked for, once, for what may come in all; it comes whole. One within
    it is not asked for."""
    size, flow = SMALL_BYTES_MAX + more, Asked()
    async with serving(answering(framed(framing, size))) as server:
        async with lean(answer_bytes_max=MOST) as transport:
            answer = await transport.exchange(server.target, POST_LINES, [b"{}"], flow=flow)
            assert answer.body == b"x" * size
            bound = size if framing == "length" else MOST
            assert flow.said == (["sent", bound] if more else ["sent"])


@pytest.mark.parametrize("framing", ["length", "chunked", "to the end"])
async def test_a_failure_needs_no_room(framing: str) -> None:
    """Of what is no 2xx only the beginning is read."""
    flow = Asked()
    async with serving(answering(framed(framing, 60_000, "503 Busy"))) as server:
        async with lean() as transport:
            answer = await transport.exchange(server.target, POST_LINES, [b"{}"], flow=flow)
            assert (answer.status, flow.said) == (503, ["sent"])


async def test_no_byte_is_read_while_there_is_no_room() -> None:
    """What an endpoint sends meanwhile waits in the kernel; it comes when there is room."""
    size, flow, done = 8_000_000, Asked(), trio.Event()
    flow.room = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.stream.send_all(framed("length", size))
        done.set()

    async with serving(script) as server, lean(answer_bytes_max=size) as transport:
        async with trio.open_nursery() as nursery:

            async def call() -> None:
                answer = await transport.exchange(server.target, POST_LINES, [b"{}"], flow=flow)
                assert len(answer.body) == size

            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert flow.said == ["sent", size]
            assert not done.is_set()
            flow.room.set()


async def test_the_pieces_of_a_request_are_let_go_as_they_are_sent() -> None:
    """Small or large, the endpoint gets the same bytes, and the list of pieces is empty then."""
    for size in (10, SMALL_BYTES_MAX, 500_000):
        pieces = [b'{"payload":"', b"x" * size, b'"}']
        whole, flow = b"".join(pieces), Asked()
        async with serving(answering(framed("length", 2))) as server, lean() as transport:
            await transport.exchange(server.target, POST_LINES, pieces, flow=flow)
            assert (pieces, flow.said) == ([], ["sent"])
            assert server.requests[0].endswith(b"\r\n\r\n" + whole)
