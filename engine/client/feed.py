"""What an event stream says: typed events, gaps made visible. `aio/events.py` reads it.

A reader that gets a `reset` has missed events: it reads what it shows again and goes on. The engine
sends one when it no longer has what came after `Last-Event-ID`; this file makes one when an event's
`prev` is not the event that was seen before it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import Any

import anyio
import httpx
from httpx_sse import ServerSentEvent

from engine.client.answers import read_answer
from engine.client.errors import AtomicError, UnexpectedAnswer
from engine.client.http import CONNECT_S, WRITE_S
from engine.client.tries import Call, Tries
from engine.wire.events import Event, Stamped, read_event, reset
from engine.wire.routes import EVENTS

SILENCE_S = 20.0
"""Nothing for so long, where a heartbeat comes every 5 s: the connection is dead."""
RECONNECT_S_MAX = 60.0
CALL = Call(method=EVENTS.method, path=EVENTS.path, hangs=True)
TIMEOUT = httpx.Timeout(connect=CONNECT_S, write=WRITE_S, read=SILENCE_S, pool=None)


class Position:
    """Where in the stream a reader is. No I/O: both feeds share it."""

    def __init__(
        self, last_event_id: str | None, since: str | None = None, actor: str | None = None
    ) -> None:
        self.last_id = last_event_id
        self._since, self._actor = since, actor
        self.server_delay_s: float | None = None

    def headers(self) -> dict[str, str]:
        """The headers of the next request."""
        headers = {"Cache-Control": "no-store"}
        if self._actor is not None:
            headers["Atomic-Actor"] = self._actor
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        return headers

    def query(self) -> dict[str, str]:
        """The query of the next request: a time only until there is an event to go on behind."""
        return {"since": self._since} if self._since is not None and not self.last_id else {}

    def read(self, sse: ServerSentEvent) -> list[Event]:
        """The event; before it a `reset` when events are missing, or instead of it when it cannot
        be read (a later engine's): either way the reader must look again."""
        if sse.retry is not None:
            self.server_delay_s = min(sse.retry / 1000, RECONNECT_S_MAX)
        if not sse.data:
            return []
        event = read_event(sse.id, sse.event, sse.data)
        # An id that is not new is the last one's, which SSE hands on to events without their own.
        moved = bool(sse.id) and sse.id != self.last_id
        prev = event.data.prev if isinstance(event.data, Stamped) else None
        events = [event]
        if moved and self.last_id and prev not in (None, self.last_id):
            reason = f"events between {self.last_id} and {prev} are missing"
            events.insert(0, reset(prev or "", reason))
        if sse.id:
            self.last_id = sse.id
        return events


async def aclose_reader(events: AsyncGenerator[Event, None], has_begun: bool) -> None:
    """Close a generator, which may be half-way.

    By itself that leaves those of httpx inside it to the garbage collector, of which Trio
    complains. A cancelled read unwinds them all, and closes the connection.
    """
    with anyio.CancelScope() as scope, suppress(StopAsyncIteration, AtomicError):
        scope.cancel()
        while has_begun:
            await anext(events)
    await events.aclose()


def close_reader(events: Generator[Event, None, None], has_begun: bool) -> None:
    """The same, where closing unwinds what is inside."""
    events.close()


def is_stream(response: httpx.Response) -> bool:
    """Whether it is what an engine answers."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code == 200 and kind == "text/event-stream"


def delay_or_raise(response: httpx.Response, tries: Tries, now: float) -> float:
    """After what is no stream: the delay before the next try. Raises what the answer says."""
    delay = tries.answered(response, now)
    if delay is not None:
        return delay
    read_answer(response, dict[str, Any])  # raises what the answer says
    raise UnexpectedAnswer(f"{response.request.url} answered without an event stream")
