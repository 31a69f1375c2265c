"""The helper a user writes: the seed's `postWorkflow` and `performWorkflowStep`.

Three rules of the engine's contract are in here, and nothing else:

- The parent token (`Atomic-Parent`) of the request being answered is copied onto every post made
  meanwhile.
- Only 200, 424 and the 409 of a cancelled step are outcomes. No answer, 429, 502, 503 and 504 say
  nothing about the step: post again (the engine attaches the post to the step), at last let the
  function fail; never compensate.
  A 504 `suspended` is for this call of the function and not for this post: let it fail at once.
- A hanging post holds its connection, so the pool must not be bounded (see `open_http`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from demo_app.calls import Call

Outcome = dict[str, Any]

SAYS_NOTHING = frozenset({429, 502, 503, 504})
POSTS_MAX = 20
DELAY_FIRST_S = 0.1
DELAY_MAX_S = 2.0
RETRY_AFTER_MAX_S = 10.0
READ_TIMEOUT_S = 30.0


class StepFailed(Exception):
    """The engine has recorded that the step failed for good: the only time to compensate."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "the step failed")
        self.problem = problem


class StepCancelled(StepFailed):
    """An operator has cancelled the step, or its run: an outcome as well."""


class NoOutcome(Exception):
    """Nothing is known about the step, and we have asked often enough. Fail; never compensate."""


class Refused(Exception):
    """The engine did not take the post (it is malformed, stale, or over a limit)."""


def open_http() -> httpx.AsyncClient:
    """A client for hanging posts.

    httpx's default pool of 100 connections would lock out: 100 workflows that hang would leave none
    for the steps they wait for. A read time-out is no loss either, the post is made again. (httpx
    does for a demonstration; from some twenty at once take aiohttp, or the engine's client.)
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(5.0, read=READ_TIMEOUT_S, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
    )


class Atomic:
    """Posts to `{engine}/{client}`; `own_url` is where the engine reaches this application, and the
    first line of `token_file` the token that it asks for. A `path` may be a URL elsewhere."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        submit_url: str,
        own_url: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        token_file: Path | None = None,
    ) -> None:
        self._http = http
        self._token_file = token_file
        self._submit_url = submit_url
        self._own_url = own_url
        self._sleep = sleep

    async def workflow(
        self, name: str, path: str, key: str, payload: Any, **options: Any
    ) -> Outcome:
        """Start the workflow, or attach to it, and wait for its outcome."""
        outcome = await self._post(name, path, key, payload, options, {})
        assert outcome is not None, "only a post that prefers not to wait is answered 202"
        return outcome

    async def step(self, call: Call, path: str, payload: Any, **options: Any) -> Outcome:
        """Perform a step of the workflow whose call is being answered, and wait for its outcome."""
        outcome = await self._post(
            call.workflow, path, call.key, payload, options, _parent_token(call)
        )
        assert outcome is not None, "only a post that prefers not to wait is answered 202"
        return outcome

    async def begin_step(
        self, call: Call, path: str, payload: Any, **options: Any
    ) -> Outcome | None:
        """Begin a step without waiting: its outcome, or None while it is under way."""
        headers = {**_parent_token(call), "Prefer": "respond-async"}
        return await self._post(call.workflow, path, call.key, payload, options, headers)

    async def _post(
        self,
        name: str,
        path: str,
        key: str,
        payload: Any,
        options: dict[str, Any],
        headers: dict[str, str],
    ) -> Outcome | None:
        submission = {
            "workflowName": name,
            "stepInvokeUrl": path if "://" in path else f"{self._own_url}{path}",
            "idempotencyKey": key,
            "payload": payload,
            **options,
        }
        for n in range(POSTS_MAX):
            delay_s = min(DELAY_FIRST_S * 2**n, DELAY_MAX_S)
            headers = {**headers, **self._token()}
            try:
                answer = await self._http.post(self._submit_url, json=submission, headers=headers)
            except httpx.TransportError:
                await self._sleep(delay_s)
                continue
            if answer.status_code == 200:
                outcome: Outcome = answer.json()
                return outcome
            if answer.status_code == 202:
                return None
            if answer.status_code == 424:
                raise StepFailed(answer.json())
            if answer.status_code == 504 and "/problems/suspended" in answer.text:
                raise NoOutcome("this call is sent home; the engine calls again")
            if answer.status_code == 409 and _is_cancelled(answer):
                raise StepCancelled(answer.json())
            if answer.status_code not in SAYS_NOTHING:
                raise Refused(f"{answer.status_code} for {path}: {answer.text[:500]}")
            await self._sleep(max(delay_s, _retry_after_s(answer)))
        raise NoOutcome(f"no outcome of {path} after {POSTS_MAX} posts")

    def _token(self) -> dict[str, str]:
        """Read for each post: a file that is small, and may have another token at any time."""
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().split()[0]}"}


def _is_cancelled(answer: httpx.Response) -> bool:
    try:
        return bool(answer.json()["type"] == "/problems/run-cancelled")
    except (ValueError, KeyError, TypeError):  # not the engine's words
        return False


def _parent_token(call: Call) -> dict[str, str]:
    return {} if call.parent is None else {"Atomic-Parent": call.parent}


def _retry_after_s(answer: httpx.Response) -> float:
    seconds = answer.headers.get("Retry-After", "")
    return min(float(seconds), RETRY_AFTER_MAX_S) if seconds.isdecimal() else 0.0


async def parallel(*posts: Awaitable[Outcome]) -> list[Outcome]:
    """The seed's `Promise.all`, with no post left behind: one failure ends the waiting for all.

    The steps themselves go on in the engine; only our waiting ends. Raises the first failure by
    itself, so that `except StepFailed` reads as for a single step.
    """

    async def wait_for(post: Awaitable[Outcome]) -> Outcome:
        return await post

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(wait_for(post)) for post in posts]
    except ExceptionGroup as failures:
        # An outcome says more than a post that found none.
        failed, others = failures.split(StepFailed)
        raise (failed or others or failures).exceptions[0] from None
    return [task.result() for task in tasks]
