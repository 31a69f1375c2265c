# Made from engine/client/aio/exchange.py by `just blocking`: change that, and not this.
"""One engine over HTTP: each call is made until its answer says something."""

from __future__ import annotations

import ssl
from time import monotonic, sleep  # noqa: TID251 - a thread has no other clock

import httpx

from engine.client.bearer import TokenFile, bearer_headers
from engine.client.blocking.events import Events
from engine.client.calls import engine_url
from engine.client.feed import Position
from engine.client.http import Requests, timeout_of
from engine.client.transport import BlockingTransport
from engine.client.tries import Answering, Call, Tries


class Exchange:
    """Calls and their answers. `http` in the place of its own connections is not closed here."""

    def __init__(
        self,
        engine: str,
        how: Answering,
        http: httpx.Client | None,
        verify: bool | ssl.SSLContext,
        token: TokenFile | None = None,
    ) -> None:
        self._engine, self._token = engine_url(engine), token
        if http is not None and verify is not True:
            raise ValueError("`verify` is for the client's own connections: give it to your `http`")
        self._how = how
        self._own = BlockingTransport(verify) if http is None else None
        self._http = http or httpx.Client(transport=self._own, trust_env=False)
        self._requests = Requests(self._engine, token)

    def close(self) -> None:
        """Close the connections."""
        if self._own is not None:
            self._http.close()

    def pause(self) -> None:
        """As long as before a first repost."""
        sleep(self._how.reposts.delay_s(1, self._how.chance()))

    def events(self, position: Position) -> Events:
        """The stream of events, from a place on."""
        return Events(self._http, str(self._engine), self._how, position, self._token)

    def answer(self, call: Call) -> httpx.Response:
        """The answer that counts. Raises NothingKnown when there is none."""
        tries = Tries(call, self._how, monotonic())
        while True:
            left_ms = tries.begin(monotonic())
            try:
                response = self._try(call, left_ms)
            except httpx.RequestError as error:
                delay = tries.broken(error, str(self._engine), monotonic())
            else:
                if response.status_code == 401 and self._has_another_token(response.request):
                    continue
                verdict = tries.answered(response, monotonic())
                if verdict is None:
                    return response
                delay = verdict
            sleep(delay)

    def _has_another_token(self, refused: httpx.Request) -> bool:
        return self._token is not None and self._token.has_another(refused.headers)

    def _try(self, call: Call, left_ms: int | None) -> httpx.Response:
        if self._own is not None:
            request, content = self._requests.of(call, left_ms)
            response = self._own.exchange(request, content)
            response.request = request
            try:
                response.read()
            finally:
                response.close()
            return response
        return self._http.request(
            call.method,
            f"{self._engine}{call.path}",
            params=call.query or None,
            content=call.content(left_ms),
            headers=bearer_headers(self._token) | call.head(left_ms),
            timeout=timeout_of(call, left_ms),
        )
