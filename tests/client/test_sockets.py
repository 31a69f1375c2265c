"""The client over real sockets: cut connections are posted again, left streams are closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
import trio

from engine.client import AsyncClient, Reposts
from tests.client.fake_engine import OUTCOME

EVENTS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"21\r\nid: 1\nevent: heartbeat\ndata: {}\n\n\r\n"
)


async def read_request(receive: Callable[[], Awaitable[bytes]]) -> bytes:
    """One request, head and body, off the wire."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0].partition(b":")[2]):
        body += await receive()
    return head + b"\r\n\r\n" + body


async def test_a_post_is_made_again_when_the_engine_cuts_it():
    """The connection breaks after the post has arrived; the same post comes again and waits."""
    bodies: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            request = await read_request(stream.receive_some)
            bodies.append(request.partition(b"\r\n\r\n")[2])
            if len(bodies) > 1:
                body = json.dumps(OUTCOME).encode()
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d"
                await stream.send_all(head % len(body) + b"\r\n\r\n" + body)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(lambda task_status: trio.serve_tcp(
            serve, 0, host="127.0.0.1", task_status=task_status
        ))  # fmt: skip
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with AsyncClient(url, reposts=Reposts(back_off_s=0.0)) as atomic:
            outcome = await atomic.submit(
                "createUser", client="shop", url="http://app/", key="k", payload={"a": 1}
            )
        nursery.cancel_scope.cancel()
    assert outcome.response == {"id": 42}
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("leave", ["break", "raise"])
async def test_a_left_stream_is_closed(leave: str):
    """The engine sees the end at once, however the loop was left."""
    closed = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await read_request(stream.receive_some)
            await stream.send_all(EVENTS)
            assert await stream.receive_some() == b""
            closed.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(lambda task_status: trio.serve_tcp(
            serve, 0, host="127.0.0.1", task_status=task_status
        ))  # fmt: skip
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with AsyncClient(url) as atomic:
            try:
                async with atomic.operate.events() as events:
                    async for event in events:
                        assert event.kind == "heartbeat"
                        if leave == "break":
                            break
                        raise KeyError("the reader's own")
            except KeyError:
                assert leave == "raise"
            await closed.wait()
        nursery.cancel_scope.cancel()


def test_a_left_stream_is_closed_on_asyncio():
    """The same on asyncio."""

    async def main() -> bool:
        closed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(lambda: reader.read(65_536))
            writer.write(EVENTS)
            assert await reader.read() == b""
            writer.close()
            closed.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with AsyncClient(f"http://127.0.0.1:{port}") as atomic:
                async with atomic.operate.events() as events:
                    await anext(events)
                await closed.wait()
        return True

    assert asyncio.run(main())
