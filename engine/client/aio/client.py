"""The asynchronous client, one code for asyncio and Trio."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from os import PathLike
from random import random  # noqa: TID251 - tests hand `chance` in
from typing import Any, Self, Unpack, overload

import httpx

from engine.client.aio.admin import AsyncAdmin
from engine.client.aio.exchange import AsyncExchange
from engine.client.aio.operate import AsyncOperations
from engine.client.answers import Open, Outcome, read_outcome
from engine.client.calls import (
    checked_actor,
    outcome_call,
    parent_of,
    run_client,
    still_open,
    submission,
)
from engine.client.environ import client_of, engine_of, token_of
from engine.client.renamed import Renamed, async_new_form, new_form
from engine.client.tries import Answering, Repost, Reposts
from engine.wire import SubmitOptions


class AsyncClient(Renamed):
    """Submits workflows and waits for them. Use it as `async with`, one for a whole process.

    `engine` is the engine's address, else ATOMIC_URL, else this machine's. `reposts` bounds how
    often a call that told nothing is made again, `on_repost` hears of each, `chance` draws their
    jitter. `verify` says whose certificates are trusted: the system's, those of an
    `ssl.SSLContext`, or anybody's (False). `http` is an httpx client of your own in the place of
    the client's connections, say for a proxy; it is not closed here. `actor` is recorded with
    actions and bulk jobs as who asked for them, and told of event streams as who listens: a claim,
    in 1 to 64 printable ASCII characters.
    `token_file`, else ATOMIC_TOKEN_FILE, names the file with the token that the engine asks for;
    "" is none. Raises ValueError for an address, an actor or a token file that is none.
    """

    def __init__(
        self,
        engine: str | None = None,
        *,
        reposts: Reposts | None = None,
        on_repost: Callable[[Repost], None] | None = None,
        http: httpx.AsyncClient | None = None,
        chance: Callable[[], float] = random,
        actor: str | None = None,
        verify: bool | ssl.SSLContext = True,
        token_file: str | PathLike[str] | None = None,
    ) -> None:
        how = Answering(reposts or Reposts(), chance, on_repost)
        self._exchange = AsyncExchange(engine_of(engine), how, http, verify, token_of(token_file))
        self.operate = AsyncOperations(self._exchange, checked_actor(actor))
        """What operators ask: look at runs, and act on them."""
        self.admin = AsyncAdmin(self._exchange, actor)
        """What admins ask: clients and tokens."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    @overload
    async def submit(
        self,
        workflow: str,
        *,
        client: str | None = None,
        url: str,
        key: str,
        payload: Any = None,
        prefer: None = None,
        **options: Unpack[SubmitOptions],
    ) -> Outcome: ...
    @overload
    async def submit(
        self,
        workflow: str,
        *,
        client: str | None = None,
        url: str,
        key: str,
        payload: Any = None,
        prefer: str,
        **options: Unpack[SubmitOptions],
    ) -> Outcome | Open: ...
    @async_new_form
    async def submit(
        self,
        workflow: str,
        *,
        client: str | None = None,
        url: str,
        key: str,
        payload: Any = None,
        prefer: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Outcome | Open:
        """Submit a workflow and wait for its outcome.

        `client` is whose run it is, else ATOMIC_CLIENT, else "default".
        `prefer` is "respond-async" (return as soon as it is durable) or "wait=N" (seconds); then an
        `Open` may come back. Raises StepFailed, RunCancelled, Refused, WaitTimeout (`timeout` ms
        have passed), Unreachable, NothingKnown.
        """
        call = submission(
            workflow,
            client=client_of(client),
            url=url,
            key=key,
            payload=payload,
            prefer=prefer,
            options=options,
        )
        return read_outcome(await self._exchange.answer(call))

    @new_form
    def workflow(
        self,
        name: str,
        *,
        client: str | None = None,
        key: str,
        headers: Mapping[str, str] | None = None,
        parent: str | None = None,
        suspend: bool = False,
    ) -> AsyncWorkflow:
        """What a workflow function posts its steps with.

        `headers` are those of the request that invoked the function (its `Atomic-Parent` is taken,
        and its `Atomic-Client` unless `client` is given), or give the parent token as `parent`:
        ValueError without one. With `suspend` no step is
        waited for: Suspended is raised while one is open, to be let out and answered with
        `Atomic-Suspend` (`pass_on` does). The engine then calls again.
        """
        parent_token, whose = parent_of(headers, parent), client_of(run_client(headers, client))
        return AsyncWorkflow(self._exchange, whose, name, key, parent_token, suspend=suspend)

    @overload
    async def outcome(self, step_id: str, *, wait: None = None) -> Outcome: ...
    @overload
    async def outcome(self, step_id: str, *, wait: int) -> Outcome | Open: ...
    async def outcome(self, step_id: str, *, wait: int | None = None) -> Outcome | Open:
        """The outcome of a step (or of a run: its id is its root's). Raises like `submit`.

        Waits for it; with `wait` at most so many seconds, and then an `Open` may come back, or
        NothingKnown if the engine said nothing in that time.
        """
        if wait is None:
            return await _outcome(self._exchange, step_id)
        return read_outcome(await self._exchange.answer(outcome_call(step_id, wait)))


class AsyncWorkflow:
    """The steps of one execution of a workflow function: engine, names, key, parent token."""

    def __init__(
        self,
        exchange: AsyncExchange,
        client: str,
        workflow_name: str,
        key: str,
        parent: str,
        *,
        suspend: bool,
    ) -> None:
        self._exchange = exchange
        self.client = client
        self.workflow_name = workflow_name
        self.key = key
        self.parent = parent
        self.suspend = suspend

    async def step(
        self,
        url: str,
        payload: Any = None,
        *,
        key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Outcome:
        """Post a step and wait for its outcome. `key` is the workflow's own unless given: a loop
        over one URL needs a `key` or `step_key` for each turn. Raises like `AsyncClient.submit`;
        Suspended while the step is open, if that was chosen."""
        call = submission(
            self.workflow_name,
            client=self.client,
            url=url,
            key=key or self.key,
            payload=payload,
            parent=self.parent,
            prefer="respond-async" if self.suspend else None,
            options=options,
        )
        answer = read_outcome(await self._exchange.answer(call))
        if isinstance(answer, Outcome):
            return answer
        if self.suspend:
            raise still_open(answer)
        return await _outcome(self._exchange, answer.id)


async def _outcome(exchange: AsyncExchange, step_id: str) -> Outcome:
    """Asked for again and again, until there is one."""
    while True:
        answer = read_outcome(await exchange.answer(outcome_call(step_id, None)))
        if isinstance(answer, Outcome):
            return answer
        await exchange.pause()
