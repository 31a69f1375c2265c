# Made from engine/client/aio/events.py by `just blocking`: change that, and not this.
"""The event stream: connected again with `Last-Event-ID`. `client/feed.py` has what it says."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from time import monotonic, sleep  # noqa: TID251 - a thread has no other clock
from typing import Self

import httpx
from httpx_sse import EventSource, connect_sse

from engine.client.bearer import TokenFile, bearer_headers
from engine.client.feed import (
    CALL,
    TIMEOUT,
    Position,
    close_reader,
    delay_or_raise,
    is_stream,
)
from engine.client.tries import Answering, Tries
from engine.wire.events import Event


class Events:
    """An open event stream. Enter it, iterate it, leave it; it connects again by itself.

    Raises Unreachable when it cannot connect for the whole of its reposts, Refused when the engine
    does not give events to this caller.
    """

    def __init__(
        self,
        http: httpx.Client,
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
        self._events: Generator[Event, None, None] | None = None

    def __enter__(self) -> Self:
        self._events = self._generate()
        return self

    def __exit__(self, *_: object) -> None:
        if self._events is not None:
            close_reader(self._events, self._has_begun)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if self._events is None:
            raise RuntimeError("use it as `with client.events() as events`")
        self._has_begun = True
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
                    params=self._position.query(),
                    headers=bearer_headers(self._token) | self._position.headers(),
                    timeout=TIMEOUT,
                ) as source:
                    refused = self._refused(source, tries)
                    if refused is None:
                        with nullcontext(source.iter_sse()) as stream:
                            for sse in stream:
                                for event in self._position.read(sse):
                                    tries = Tries(CALL, self._how, monotonic())
                                    yield event
                    delay = refused or 0.0
            except httpx.RequestError as error:
                delay = tries.broken(error, self._engine, monotonic())
            pause = self._how.reposts.delay_s(1, self._how.chance())
            sleep(max(delay, self._position.server_delay_s or pause))

    def _refused(self, source: EventSource, tries: Tries) -> float | None:
        if is_stream(source.response):
            return None
        refused, token = source.response, self._token
        refused.read()
        if refused.status_code == 401 and token and token.has_another(refused.request.headers):
            return 0.0
        return delay_or_raise(refused, tries, monotonic())
