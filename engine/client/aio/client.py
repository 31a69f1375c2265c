"""The asynchronous client, one code for asyncio and Trio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from random import random  # noqa: TID251 - tests hand `chance` in
from types import TracebackType
from typing import Any, Self, Unpack, overload

import httpx
from anyio import current_time, sleep

from engine.client.aio.events import AsyncEvents
from engine.client.answers import (
    BodyPart,
    Open,
    Outcome,
    read_answer,
    read_body,
    read_outcome,
)
from engine.client.calls import (
    BULK_JOBS,
    CAUSES,
    DEFAULT_ENGINE,
    SubmitOptions,
    abort_call,
    action_call,
    body_call,
    bulk_call,
    bulk_job_call,
    checked_actor,
    engine_url,
    outcome_call,
    parent_of,
    retries_call,
    run_call,
    runs_call,
    status_call,
    step_call,
    still_open,
    submission,
    urls_of,
)
from engine.client.http import Requests, timeout_of
from engine.client.transport import AsyncTransport
from engine.client.tries import Answering, Call, Repost, Reposts, Tries
from engine.wire import (
    Action,
    ActionAnswer,
    ActionRequest,
    BulkAnswer,
    BulkList,
    BulkRequest,
    CauseList,
    RetryPage,
    RunPage,
    RunRow,
    RunTree,
    StepRow,
)


class AsyncClient:
    """Submits, waits, looks and acts. Use it as `async with`, one for a whole process.

    `engine` is the engine's address. `reposts` bounds how often a call that told nothing is made
    again, `on_repost` hears of each, `chance` draws their jitter. `verify` says whose certificates
    are trusted: the system's, those of an `ssl.SSLContext`, or anybody's (False). `http` is an
    httpx client of your own in the place of the client's connections, say for a proxy; it is not
    closed here. `actor` is recorded with actions and bulk jobs as who asked for them, a claim in
    1 to 64 printable ASCII characters. Raises ValueError for an address or an actor that is none.
    """

    def __init__(
        self,
        engine: str = DEFAULT_ENGINE,
        *,
        reposts: Reposts | None = None,
        on_repost: Callable[[Repost], None] | None = None,
        http: httpx.AsyncClient | None = None,
        chance: Callable[[], float] = random,
        actor: str | None = None,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self._engine = engine_url(engine)
        self._actor = checked_actor(actor)
        if http is not None and verify is not True:
            raise ValueError("`verify` is for the client's own connections: give it to your `http`")
        self._how = Answering(reposts or Reposts(), chance, on_repost)
        self._own = AsyncTransport(verify) if http is None else None
        self._http = http or httpx.AsyncClient(transport=self._own, trust_env=False)
        self._requests = Requests(self._engine)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own is not None:
            await self._http.aclose()

    async def _exchange(self, call: Call) -> httpx.Response:
        tries = Tries(call, self._how, current_time())
        while True:
            left_ms = tries.begin(current_time())
            try:
                response = await self._try(call, left_ms)
            except httpx.RequestError as error:
                delay = tries.broken(error, str(self._engine), current_time())
            else:
                verdict = tries.answered(response, current_time())
                if verdict is None:
                    return response
                delay = verdict
            await sleep(delay)

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
            headers=call.head(left_ms),
            timeout=timeout_of(call, left_ms),
        )

    @overload
    async def submit(
        self,
        client: str,
        workflow_name: str,
        url: str,
        key: str,
        payload: Any = None,
        *,
        prefer: None = None,
        **options: Unpack[SubmitOptions],
    ) -> Outcome: ...
    @overload
    async def submit(
        self,
        client: str,
        workflow_name: str,
        url: str,
        key: str,
        payload: Any = None,
        *,
        prefer: str,
        **options: Unpack[SubmitOptions],
    ) -> Outcome | Open: ...
    async def submit(
        self,
        client: str,
        workflow_name: str,
        url: str,
        key: str,
        payload: Any = None,
        *,
        prefer: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Outcome | Open:
        """Submit a workflow and wait for its outcome.

        `prefer` is "respond-async" (return as soon as it is durable) or "wait=N" (seconds); then an
        `Open` may come back. Raises StepFailed, RunCancelled, Refused, WaitTimeout (`timeout` ms
        have passed), Unreachable, NothingKnown.
        """
        call = submission(client, workflow_name, url, key, payload, prefer=prefer, options=options)
        return read_outcome(await self._exchange(call))

    async def step(
        self,
        client: str,
        workflow_name: str,
        url: str,
        key: str,
        payload: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        parent: str | None = None,
        suspend: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> Outcome:
        """Post a step from inside a workflow function, and wait for its outcome.

        `headers` are those of the request that invoked the function (its `Atomic-Parent` is taken),
        or give the parent token as `parent`. With `suspend` it does not wait: Suspended is raised
        while the step is open. Raises like `submit`; ValueError without a parent token.
        """
        parent_token, prefer = parent_of(headers, parent), "respond-async" if suspend else None
        call = submission(
            client,
            workflow_name,
            url,
            key,
            payload,
            parent=parent_token,
            prefer=prefer,
            options=options,
        )
        outcome = read_outcome(await self._exchange(call))
        if suspend and not isinstance(outcome, Outcome):
            raise still_open(outcome)
        return outcome if isinstance(outcome, Outcome) else await self.outcome(outcome.id)

    def workflow(
        self,
        client: str,
        workflow_name: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        parent: str | None = None,
        suspend: bool = False,
    ) -> AsyncWorkflow:
        """What a workflow function posts its steps with. Raises ValueError without a parent token.

        With `suspend` no step is waited for: Suspended is raised while one is open, to be let out
        and answered with `Atomic-Suspend` (`pass_on` does). The engine then calls again.
        """
        parent_token = parent_of(headers, parent)
        return AsyncWorkflow(self, client, workflow_name, key, parent_token, suspend=suspend)

    @overload
    async def outcome(self, step_id: str, *, wait: None = None) -> Outcome: ...
    @overload
    async def outcome(self, step_id: str, *, wait: int) -> Outcome | Open: ...
    async def outcome(self, step_id: str, *, wait: int | None = None) -> Outcome | Open:
        """The outcome of a step (or of a run: its id is its root's). Raises like `submit`.

        Waits for it; with `wait` at most so many seconds, and then an `Open` may come back, or
        NothingKnown if the engine said nothing in that time.
        """
        while True:
            answer = read_outcome(await self._exchange(outcome_call(step_id, wait)))
            if isinstance(answer, Outcome) or wait is not None:
                return answer
            await sleep(self._how.reposts.delay_s(1, self._how.chance()))

    async def run_page(
        self,
        *,
        client: str | None = None,
        workflow: str | None = None,
        key: str | None = None,
        status: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        q: str | None = None,
    ) -> RunPage:
        """One page of runs; `next` of the answer is the `cursor` of the one after it.

        `q` is a filter (`docs/reference/filter.md`); with one a page may come short and not be the
        last.
        """
        call = runs_call(
            client=client,
            workflow=workflow,
            key=key,
            status=status,
            sort=sort,
            limit=limit,
            cursor=cursor,
            q=q,
        )
        return read_answer(await self._exchange(call), RunPage)

    async def runs(
        self,
        *,
        client: str | None = None,
        workflow: str | None = None,
        key: str | None = None,
        status: str | None = None,
        sort: str | None = None,
        q: str | None = None,
    ) -> AsyncIterator[RunRow]:
        """Every run that fits, page after page as they are needed."""
        cursor: str | None = None
        while True:
            page = await self.run_page(
                client=client,
                workflow=workflow,
                key=key,
                status=status,
                sort=sort,
                cursor=cursor,
                q=q,
            )
            for row in page.runs:
                yield row
            if page.next is None:
                return
            cursor = page.next

    async def run(self, run_id: str) -> RunTree:
        """A run with its steps and their attempts."""
        return read_answer(await self._exchange(run_call(run_id)), RunTree)

    async def step_row(self, step_id: str) -> StepRow:
        """One step as it stands, with its attempts."""
        return read_answer(await self._exchange(step_call(step_id)), StepRow)

    async def causes(self) -> CauseList:
        """Why runs need a person, what most need it for first."""
        return read_answer(await self._exchange(CAUSES), CauseList)

    async def retry_page(
        self, *, q: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> RetryPage:
        """What is tried next, by time. `q` is a filter of the runs."""
        call = retries_call(q=q, limit=limit, cursor=cursor)
        return read_answer(await self._exchange(call), RetryPage)

    async def bulk(
        self,
        action: Action | str,
        q: str,
        *,
        expect: int = 0,
        dry_run: bool = False,
        rate_per_s: int = 20,
        reason: str | None = None,
        key: str | None = None,
        from_url: str | None = None,
        to_url: str | None = None,
    ) -> BulkAnswer:
        """One action on every run that the filter `q` finds, as a job of the engine's.

        `expect` is how many you mean: more, and it is Refused. With a `key` of yours the job is
        begun once, however often the call is made.
        """
        request = BulkRequest(
            *(Action(action), q, expect, dry_run, rate_per_s, reason),
            *urls_of(from_url, to_url),
        )
        return read_answer(await self._exchange(bulk_call(request, key, self._actor)), BulkAnswer)

    async def bulk_jobs(self) -> tuple[BulkAnswer, ...]:
        """The bulk jobs that the engine remembers, the latest first."""
        return read_answer(await self._exchange(BULK_JOBS), BulkList).jobs

    async def bulk_job(self, job_id: str) -> BulkAnswer:
        """How a bulk job stands."""
        return read_answer(await self._exchange(bulk_job_call(job_id)), BulkAnswer)

    async def bulk_abort(self, job_id: str) -> BulkAnswer:
        """Stop a bulk job; what it has done stays done."""
        return read_answer(await self._exchange(abort_call(job_id, self._actor)), BulkAnswer)

    async def payload(self, step_id: str, *, first: int = 0, count: int | None = None) -> BodyPart:
        """A step's payload, or `count` bytes of it."""
        return read_body(await self._exchange(body_call(step_id, None, first, count)))

    async def answer(
        self, step_id: str, attempt: int, *, first: int = 0, count: int | None = None
    ) -> BodyPart:
        """What an attempt was answered, or `count` bytes of it."""
        return read_body(await self._exchange(body_call(step_id, attempt, first, count)))

    async def act(
        self,
        run_id: str,
        action: Action | str,
        *,
        step: str | None = None,
        if_rev: int | None = None,
        dry_run: bool = False,
        reason: str | None = None,
        from_url: str | None = None,
        to_url: str | None = None,
    ) -> ActionAnswer:
        """Retry, pause, resume, cancel, rerun, dismiss or restore; or `retarget`, from a URL (or
        what URLs begin with) to another. Raises Refused when the state does not allow it, or when
        it has moved on from `if_rev`."""
        request = ActionRequest(
            *(Action(action), step, if_rev, dry_run, reason), *urls_of(from_url, to_url)
        )
        call = action_call(run_id, request, self._actor)
        return read_answer(await self._exchange(call), ActionAnswer)

    async def status(self) -> dict[str, Any]:
        """How the engine is: counts by state, limits, durability. Members are added over time."""
        return read_answer(await self._exchange(status_call()), dict[str, Any])

    def events(self, last_event_id: str | None = None) -> AsyncEvents:
        """What happens, as it happens: `async with client.events() as events: async for …`."""
        return AsyncEvents(self._http, str(self._engine), self._how, last_event_id)


class AsyncWorkflow:
    """The steps of one execution of a workflow function: engine, names, key, parent token."""

    def __init__(
        self,
        engine: AsyncClient,
        client: str,
        workflow_name: str,
        key: str,
        parent: str,
        *,
        suspend: bool = False,
    ) -> None:
        self._engine = engine
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
        return await self._engine.step(
            self.client,
            self.workflow_name,
            url,
            key or self.key,
            payload,
            parent=self.parent,
            suspend=self.suspend,
            **options,
        )
