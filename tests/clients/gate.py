"""What stands between the engine and an application, so that a test says what happens to a call."""

from __future__ import annotations

import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import cast

import trio

from tests.e2e.harness import Answer, Application, Call, Handler

OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Gate(Application):
    """Passes each call on to the application at `target`, unless a test has said otherwise for it.

    `once[name]` holds what is to happen to the next calls of an endpoint, one each. An application
    that does not answer cuts the engine's connection.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port, {})
        self.target = 0
        self.once: dict[str, deque[Handler]] = defaultdict(deque)

    async def pass_on(self, call: Call) -> Answer:
        """Ask the application, as the engine would. Raises BrokenResourceError if it does not
        answer."""
        headers = {**call.headers, "connection": "close"}
        lines = [f"POST {call.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        try:
            async with await trio.open_tcp_stream("127.0.0.1", self.target) as stream:
                await stream.send_all("\r\n".join(lines).encode() + call.body)
                answer = _parsed(b"".join([part async for part in stream]))
        except (OSError, HTTPException):
            raise trio.BrokenResourceError from None
        return answer

    async def _answer(self, call: Call) -> Answer:
        waiting = self.once[call.name]
        return await (waiting.popleft() if waiting else self.pass_on)(call)


class _Received:
    """As much of a socket as http.client reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> BytesIO:
        return BytesIO(self._data)


def _parsed(data: bytes) -> Answer:
    response = HTTPResponse(cast(socket.socket, _Received(data)))
    response.begin()
    kept = {k.title(): v for k, v in response.getheaders() if k.lower() not in OF_THE_CONNECTION}
    return Answer(response.status, response.read(), kept)


class Hold:
    """Holds one call until it is let go: before the application has it, or with its answer."""

    def __init__(self, gate: Gate, name: str, *, answered: bool = False) -> None:
        self.came, self.let_go = trio.Event(), trio.Event()
        self._gate, self._answered = gate, answered
        gate.once[name].append(self._hold)

    async def _hold(self, call: Call) -> Answer:
        answer = await self._gate.pass_on(call) if self._answered else None
        self.came.set()
        await self.let_go.wait()
        return answer or await self._gate.pass_on(call)


def answers(answer: Answer) -> Handler:
    """Answers in the application's place."""

    async def instead(call: Call) -> Answer:
        return answer

    return instead


async def hangs(call: Call) -> Answer:
    """Never answers."""
    await trio.sleep_forever()
    raise AssertionError


@asynccontextmanager
async def gate() -> AsyncIterator[Gate]:
    """A gate that listens; its `target` is set when the application has its port."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    it = Gate(listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, it.serve_connection, listeners)
        yield it
        nursery.cancel_scope.cancel()
