"""The event stream: connected again with `Last-Event-ID`. `client/feed.py` has what it says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

import httpx
from anyio import current_time, sleep
from httpx_sse import EventSource, aconnect_sse

from engine.client.bearer import TokenFile, bearer_headers
from engine.client.feed import (
    CALL,
    TIMEOUT,
    Position,
    aclose_reader,
    delay_or_raise,
    is_stream,
)
from engine.client.tries import Answering, Tries
from engine.wire.events import Event


class AsyncEvents:
    """An open event stream. Enter it, iterate it, leave it; it connects again by itself.

    Raises Unreachable when it cannot connect for the whole of its reposts, Refused when the engine
    does not give events to this caller.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        engine: str,
        how: Answering,
        position: Position,
        token: TokenFile | None = None,
    ) -> None:
        self._http, self._token = http, token
        self._engine = engine
        self._how = how
        self._position = position
        self._has_begun = False
        self.last_event_id = position.last_id
        """Of the last event that was handed out: where another stream would go on."""
        self._events: AsyncGenerator[Event, None] | None = None

    async def __aenter__(self) -> Self:
        self._events = self._generate()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._events is not None:
            await aclose_reader(self._events, self._has_begun)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            raise RuntimeError("use it as `async with client.events() as events`")
        self._has_begun = True
        event = await anext(self._events)
        self.last_event_id = event.id or self.last_event_id
        return event

    async def _generate(self) -> AsyncGenerator[Event, None]:
        tries = Tries(CALL, self._how, current_time())
        while True:
            tries.begin(current_time())
            delay = 0.0
            try:
                async with aconnect_sse(
                    self._http,
                    "GET",
                    self._engine + CALL.path,
                    params=self._position.query(),
                    headers=bearer_headers(self._token) | self._position.headers(),
                    timeout=TIMEOUT,
                ) as source:
                    refused = await self._refused(source, tries)
                    if refused is None:
                        async with aclosing(source.aiter_sse()) as stream:
                            async for sse in stream:
                                for event in self._position.read(sse):
                                    tries = Tries(CALL, self._how, current_time())
                                    yield event
                    delay = refused or 0.0
            except httpx.RequestError as error:
                delay = tries.broken(error, self._engine, current_time())
            pause = self._how.reposts.delay_s(1, self._how.chance())
            await sleep(max(delay, self._position.server_delay_s or pause))

    async def _refused(self, source: EventSource, tries: Tries) -> float | None:
        if is_stream(source.response):
            return None
        refused, token = source.response, self._token
        await refused.aread()
        if refused.status_code == 401 and token and token.has_another(refused.request.headers):
            return 0.0
        return delay_or_raise(refused, tries, current_time())
