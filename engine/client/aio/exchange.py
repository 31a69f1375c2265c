"""One engine over HTTP: each call is made until its answer says something."""

from __future__ import annotations

import ssl

import httpx
from anyio import current_time, sleep

from engine.client.aio.events import AsyncEvents
from engine.client.bearer import TokenFile, bearer_headers
from engine.client.calls import engine_url
from engine.client.feed import Position
from engine.client.http import Requests, timeout_of
from engine.client.transport import AsyncTransport
from engine.client.tries import Answering, Call, Tries


class AsyncExchange:
    """Calls and their answers. `http` in the place of its own connections is not closed here."""

    def __init__(
        self,
        engine: str,
        how: Answering,
        http: httpx.AsyncClient | None,
        verify: bool | ssl.SSLContext,
        token: TokenFile | None = None,
    ) -> None:
        self._engine, self._token = engine_url(engine), token
        if http is not None and verify is not True:
            raise ValueError("`verify` is for the client's own connections: give it to your `http`")
        self._how = how
        self._own = AsyncTransport(verify) if http is None else None
        self._http = http or httpx.AsyncClient(transport=self._own, trust_env=False)
        self._requests = Requests(self._engine, token)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own is not None:
            await self._http.aclose()

    async def pause(self) -> None:
        """As long as before a first repost."""
        await sleep(self._how.reposts.delay_s(1, self._how.chance()))

    def events(self, position: Position) -> AsyncEvents:
        """The stream of events, from a place on."""
        return AsyncEvents(self._http, str(self._engine), self._how, position, self._token)

    async def answer(self, call: Call) -> httpx.Response:
        """The answer that counts. Raises NothingKnown when there is none."""
        tries = Tries(call, self._how, current_time())
        while True:
            left_ms = tries.begin(current_time())
            try:
                response = await self._try(call, left_ms)
            except httpx.RequestError as error:
                delay = tries.broken(error, str(self._engine), current_time())
            else:
                if response.status_code == 401 and self._has_another_token(response.request):
                    continue
                verdict = tries.answered(response, current_time())
                if verdict is None:
                    return response
                delay = verdict
            await sleep(delay)

    def _has_another_token(self, refused: httpx.Request) -> bool:
        return self._token is not None and self._token.has_another(refused.headers)

    async def _try(self, call: Call, left_ms: int | None) -> httpx.Response:
        if self._own is not None:
            request, content = self._requests.of(call, left_ms)
            response = await self._own.exchange(request, content)
            response.request = request
            try:
                await response.aread()
            finally:
                await response.aclose()
            return response
        return await self._http.request(
            call.method,
            f"{self._engine}{call.path}",
            params=call.query or None,
            content=call.content(left_ms),
            headers=bearer_headers(self._token) | call.head(left_ms),
            timeout=timeout_of(call, left_ms),
        )
