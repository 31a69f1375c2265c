"""The event stream: typed events, connected again with `Last-Event-ID`, gaps made visible.

A reader that gets a `reset` has missed events: it reads what it shows again and goes on. The engine
sends one when it no longer has what came after `Last-Event-ID`; this file makes one when an event's
`prev` is not the event that was seen before it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, suppress
from time import monotonic, sleep  # noqa: TID251 - the blocking client has no other clock
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse, connect_sse
from msgspec import Struct

from engine.client.answers import read_answer
from engine.client.errors import AtomicError, UnexpectedAnswer
from engine.client.http import CONNECT_S, WRITE_S
from engine.client.tries import Answering, Call, Tries
from engine.wire import EventData

SILENCE_S = 20.0
"""Nothing for so long, where a heartbeat comes every 5 s: the connection is dead."""
RECONNECT_S_MAX = 60.0
CALL = Call(method="GET", path="/api/v1/events", held=True)


class Event(Struct, frozen=True):
    """One event. Kinds and members that are not known here occur: leave them alone."""

    id: str
    kind: str
    """run, step, attempt, counts, heartbeat or reset."""
    data: EventData
    members: dict[str, Any]
    """Every member of the data as it came."""


class Position:
    """Where in the stream a reader is. No I/O: both feeds share it."""

    def __init__(self, last_event_id: str | None) -> None:
        self.last_id = last_event_id
        self.server_delay_s: float | None = None

    def headers(self) -> dict[str, str]:
        """The headers of the next request."""
        headers = {"Cache-Control": "no-store"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        return headers

    def read(self, sse: ServerSentEvent) -> list[Event]:
        """The event; before it a `reset` when events are missing, or instead of it when it cannot
        be read (a later engine's): either way the reader must look again."""
        if sse.retry is not None:
            self.server_delay_s = min(sse.retry / 1000, RECONNECT_S_MAX)
        if not sse.data:
            return []
        try:
            data = msgspec.json.decode(sse.data, type=EventData)
            members = msgspec.json.decode(sse.data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            self.last_id = sse.id or self.last_id
            reason = f"event {sse.id or 'without id'} cannot be read: {error}"
            return [Event(sse.id, "reset", EventData(reason=reason), {})]
        event = Event(sse.id, sse.event, data, members)
        # An id that is not new is the last one's, which SSE hands on to events without their own.
        moved = bool(sse.id) and sse.id != self.last_id
        gap = moved and bool(self.last_id) and data.prev not in (None, self.last_id)
        events = [event]
        if gap and event.kind != "reset":
            reason = f"events between {self.last_id} and {data.prev} are missing"
            events.insert(0, Event(data.prev or "", "reset", EventData(reason=reason), {}))
        if sse.id:
            self.last_id = sse.id
        return events


def _timeout() -> httpx.Timeout:
    return httpx.Timeout(connect=CONNECT_S, write=WRITE_S, read=SILENCE_S, pool=None)


def _is_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code == 200 and kind == "text/event-stream"


class AsyncEvents:
    """An open event stream. Enter it, iterate it, leave it; it connects again by itself.

    Raises Unreachable when it cannot connect for the whole of its reposts, Refused when the engine
    does not give events to this caller.
    """

    def __init__(
        self, http: httpx.AsyncClient, engine: str, how: Answering, last_event_id: str | None
    ) -> None:
        self._http = http
        self._engine = engine
        self._how = how
        self._position = Position(last_event_id)
        self._started = False
        self.last_event_id = last_event_id
        """Of the last event that was handed out: where another stream would go on."""
        self._events: AsyncGenerator[Event, None] | None = None

    async def __aenter__(self) -> Self:
        self._events = self._generate()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._events is None:
            return
        # Closing a generator half-way leaves those of httpx inside it to the garbage collector, of
        # which Trio complains. A cancelled read unwinds them all, and closes the connection.
        with anyio.CancelScope() as scope, suppress(StopAsyncIteration, AtomicError):
            scope.cancel()
            while self._started:
                await anext(self._events)
        await self._events.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            raise RuntimeError("use it as `async with client.events() as events`")
        self._started = True
        event = await anext(self._events)
        self.last_event_id = event.id or self.last_event_id
        return event

    async def _generate(self) -> AsyncGenerator[Event, None]:
        tries = Tries(CALL, self._how, anyio.current_time())
        while True:
            tries.begin(anyio.current_time())
            delay = 0.0
            try:
                async with aconnect_sse(
                    self._http,
                    "GET",
                    self._engine + CALL.path,
                    headers=self._position.headers(),
                    timeout=_timeout(),
                ) as source:
                    refused = await self._refused(source, tries)
                    if refused is None:
                        async with aclosing(source.aiter_sse()) as stream:
                            async for sse in stream:
                                for event in self._position.read(sse):
                                    tries = Tries(CALL, self._how, anyio.current_time())
                                    yield event
                    delay = refused or 0.0
            except httpx.RequestError as error:
                delay = tries.broken(error, self._engine, anyio.current_time())
            pause = self._how.reposts.delay_s(1, self._how.chance())
            await anyio.sleep(max(delay, self._position.server_delay_s or pause))

    async def _refused(self, source: EventSource, tries: Tries) -> float | None:
        if _is_stream(source.response):
            return None
        await source.response.aread()
        return _delay_or_raise(source.response, tries, anyio.current_time())


class Events:
    """The same for scripts: `with client.events() as events: for event in events`."""

    def __init__(
        self, http: httpx.Client, engine: str, how: Answering, last_event_id: str | None
    ) -> None:
        self._http = http
        self._engine = engine
        self._how = how
        self._position = Position(last_event_id)
        self.last_event_id = last_event_id
        """Of the last event that was handed out: where another stream would go on."""
        self._events: Generator[Event, None, None] | None = None

    def __enter__(self) -> Self:
        self._events = self._generate()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if self._events is None:
            raise RuntimeError("use it as `with client.events() as events`")
        event = next(self._events)
        self.last_event_id = event.id or self.last_event_id
        return event

    def _generate(self) -> Generator[Event, None, None]:
        tries = Tries(CALL, self._how, monotonic())
        while True:
            tries.begin(monotonic())
            delay = 0.0
            try:
                with connect_sse(
                    self._http,
                    "GET",
                    self._engine + CALL.path,
                    headers=self._position.headers(),
                    timeout=_timeout(),
                ) as source:
                    if _is_stream(source.response):
                        for sse in source.iter_sse():
                            for event in self._position.read(sse):
                                tries = Tries(CALL, self._how, monotonic())
                                yield event
                    else:
                        source.response.read()
                        delay = _delay_or_raise(source.response, tries, monotonic())
            except httpx.RequestError as error:
                delay = tries.broken(error, self._engine, monotonic())
            pause = self._how.reposts.delay_s(1, self._how.chance())
            sleep(max(delay, self._position.server_delay_s or pause))


def _delay_or_raise(response: httpx.Response, tries: Tries, now: float) -> float:
    delay = tries.answered(response, now)
    if delay is not None:
        return delay
    read_answer(response, dict[str, Any])  # raises what the answer says
    raise UnexpectedAnswer(f"{response.request.url} answered without an event stream")
