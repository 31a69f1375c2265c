"""A reader of the event stream that holds a plain socket: it can leave at any byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from tests.e2e.harness import PATIENCE_S, EngineProcess


@dataclass
class Event:
    """One event as it came."""

    name: str
    id: str | None
    data: dict[str, Any]


class EventStream:
    """The events of one connection, in the order they come."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._raw = bytearray()
        self._text = bytearray()

    async def next(self) -> Event:
        """The next event. Fails the test if none comes, or the stream ends."""
        with trio.fail_after(PATIENCE_S):
            while (end := self._text.find(b"\n\n")) < 0:
                await self._chunk()
        block = self._text[:end].decode()
        del self._text[: end + 2]
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert set(fields) <= {"event", "id", "data"}
        return Event(fields["event"], fields.get("id"), json.loads(fields["data"]))

    async def head(self) -> str:
        """The head of the answer, in lower case."""
        return (await self._until(b"\r\n\r\n")).decode().lower()

    async def _chunk(self) -> None:
        size = int(await self._until(b"\r\n"), 16)
        assert size, "the stream ended"
        while len(self._raw) < size + 2:
            await self._more()
        self._text += self._raw[:size]
        del self._raw[: size + 2]

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._raw.find(mark)) < 0:
            await self._more()
        found = bytes(self._raw[:end])
        del self._raw[: end + len(mark)]
        return found

    async def _more(self) -> None:
        data = await self._stream.receive_some()
        assert data, "the engine closed the connection"
        self._raw += data


@asynccontextmanager
async def event_stream(
    engine: EngineProcess,
    last_event_id: str | None = None,
    token: str | None = None,
    since: str | None = None,
    path: str = "/api/v1/events",
) -> AsyncIterator[EventStream]:
    """Read the stream; with an id from behind that event on, with a time from then on."""
    query = "" if since is None else f"?since={since}"
    whose = "" if token is None else f"Authorization: Bearer {token}\r\n"
    resume = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
    connection = await trio.open_tcp_stream("127.0.0.1", int(engine.url.rpartition(":")[2]))
    async with connection:
        await connection.send_all(
            f"GET {path}{query} HTTP/1.1\r\nHost: localhost\r\n{resume}{whose}\r\n".encode()
        )
        events = EventStream(connection)
        head = await events.head()
        assert head.startswith("http/1.1 200 ")
        assert "\r\ncontent-type: text/event-stream\r\n" in head
        yield events
