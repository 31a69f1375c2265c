"""A bulk job at work: its runs one by one, no faster than its rate, and what it does to each.

What it does to a run is written with how the job stands, in one commit: an engine that goes on with
the job, after whatever end of the one before, acts on no run twice and leaves none out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import trio

from engine.core.access.roles import ALLOWS
from engine.core.access.token import Role, Token
from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.core.events import Actor
from engine.core.model import StepState
from engine.core.rules.action import Order
from engine.ports.caller import Targets
from engine.ports.jobs import CameTo, Job, JobRun, JobStore, RunEnd
from engine.process.clock import Clock
from engine.telemetry.log import Log

T = TypeVar("T")
PAGE = 500
REASONS_KEPT_MAX = 5
"""Of each problem: different words that refused a run. They mostly differ by a client or a URL."""
REASON_CHARACTERS_MAX = 1_000
STORE_WAIT_S = 1.0
"""Before a job asks again whether the store can be written, or read."""
LOOK_EVERY_S = 1.0
"""At the first runs, whether they have ended."""
TOLD_MAX = 3
"""Of the first runs that did not complete: so many are named."""
STOPPED_CHARACTERS_MAX = 1_000


class ActsOnRuns(Protocol):
    """What jobs need of the engine."""

    @property
    def targets(self) -> Targets:
        """Which URLs may be called."""
        ...

    async def act(self, run_id: str, order: Order, acted: Callable[[int | None], object]) -> object:
        """Carry an order out on a run. `acted` is called in the passage that writes it, with the
        generation of the root that it leaves. Raises Refused."""
        ...


class Tokens(Protocol):
    """The access tokens that there are."""

    @property
    def tokens(self) -> Mapping[str, Token]:
        """By name."""
        ...


class Worker:
    """Carries jobs out."""

    def __init__(
        self, store: JobStore, engine: ActsOnRuns, tokens: Tokens, clock: Clock, warn: Log,
        error: Log,
    ) -> None:  # fmt: skip
        self._store, self._engine, self._tokens = store, engine, tokens
        self._clock, self._warn, self._log = clock, warn, error

    async def work_off(self, job: Job) -> bool:
        """Act on the runs whose turn has not come. True: the job has ended, and says so; False: the
        engine stops, and the next one goes on with it."""
        try:
            if await self._act_on_all(job):
                job.ended_at = self._clock.steady_ms()
                await self._store.record(job).wait()
                return True
        except _Stopping:
            pass
        return False

    async def _act_on_all(self, job: Job) -> bool:
        if job.file_id != self._store.file_id:
            self._stop(job, "the file that it was recorded in was restored from a copy")
        at, after = trio.current_time(), ""
        while not job.aborted:
            page = await self._read(job, partial(self._store.to_do, job.id, after, PAGE))
            for run in page or ():
                if not await self._may_go_on(job, more=True):
                    return True
                await trio.sleep_until(at)
                if job.aborted or self._is_forbidden(job):
                    return True
                # What was late is not caught up with.
                at = trio.current_time() + 1 / job.asked.rate_per_s
                await self._act_on(run, job)
                after = run.run_id
            if not page:
                await self._may_go_on(job, more=False)
                return True
        return True

    def _stop(self, job: Job, why: str) -> None:
        """The job stops by itself."""
        job.aborted, job.stopped_because = True, why[:STOPPED_CHARACTERS_MAX]
        self._warn("bulk-job-stopped", job=job.id, action=job.asked.action, why=why)

    def _is_forbidden(self, job: Job) -> bool:
        """Who asked for the job may not any more: it stops."""
        why = self._why_forbidden(job)
        if why is not None:
            self._stop(job, why)
        return why is not None

    def _why_forbidden(self, job: Job) -> str | None:
        name = job.asked.token
        if not name:
            return None
        token = self._tokens.tokens.get(name)
        if token is None:
            return f"the token {name} that it was asked for with was taken away"
        if token.expires_at is not None and token.expires_at <= self._clock.utc_ms():
            return f"the token {name} that it was asked for with has run out"
        if Role.OPERATE not in ALLOWS[token.role] or token.client not in (None, job.asked.only):
            return f"the token {name} that it was asked for with may not do this any more"
        return None

    async def _read(self, job: Job, read: Callable[[], Awaitable[T]]) -> T | None:
        """What is read of the store, when it can be; None: it cannot ever, or the job is aborted
        meanwhile."""
        while not job.aborted:
            try:
                return await read()
            except RefusedForDamage as refused:
                self._stop(job, refused.detail)
            except Refused:
                await trio.sleep(STORE_WAIT_S)
        return None

    # -- the first runs ------------------------------------------------------------------------

    async def _may_go_on(self, job: Job, *, more: bool) -> bool:
        """Return when the job may act on its next run, which is at once unless it has acted on
        those that it was to act on first. False: it may not. `more`: there is a next run."""
        first = job.asked.first
        if first is None or job.first_completed or (more and job.done < first):
            return not job.aborted
        while not job.aborted:
            ends = await self._read(job, partial(self._store.ends, job.id, first))
            if ends is None:
                return False
            if len(ends) >= min(first, job.done) and all(it.state for it in ends):
                return self._judge(job, ends, more=more)
            await trio.sleep(LOOK_EVERY_S)
        return False

    def _judge(self, job: Job, ends: list[RunEnd], *, more: bool) -> bool:
        """Whether all of the first runs have completed, or nothing is left that they would stop:
        what came of them is told with the job's runs."""
        bad = [it for it in ends if it.state != StepState.COMPLETED]
        if not bad:
            job.first_completed = True
            return True
        if not more:
            return True
        told = "; ".join(map(_end_text, bad[:TOLD_MAX]))
        unsaid = f"; and {len(bad) - TOLD_MAX} more" if len(bad) > TOLD_MAX else ""
        self._stop(job, f"{len(bad)} of the first {len(ends)} did not complete: {told}{unsaid}")
        return False

    # -- one run -------------------------------------------------------------------------------

    async def _act_on(self, run: JobRun, job: Job) -> None:
        while (refused := await self._refusal(run, job)) is not None:
            is_away = refused.problem is Problem.STORE_UNAVAILABLE
            if not is_away or isinstance(refused, RefusedForDamage) or job.aborted:
                self._leave_alone(run, job, refused)
                return
            await trio.sleep(STORE_WAIT_S)  # nothing was done: the job waits with the store

    def _leave_alone(self, run: JobRun, job: Job, refused: Refused) -> None:
        why = refused.problem.value
        job.skipped[why] = job.skipped.get(why, 0) + 1
        if refused.detail:
            told = job.reasons.setdefault(why, [])
            said = refused.detail[:REASON_CHARACTERS_MAX]
            if said not in told and len(told) < REASONS_KEPT_MAX:
                told.append(said)
        now = self._clock.steady_ms()
        self._store.record(job, CameTo(run.run_id, now, refused=why))

    async def _refusal(self, run: JobRun, job: Job) -> Refused | None:
        """Act on a run. Raises _Stopping."""
        asked, done = job.asked, job.done

        def acted(generation: int | None) -> None:
            job.done = done + 1
            came_to = CameTo(run.run_id, self._clock.steady_ms(), generation)
            self._store.record(job, came_to)

        try:
            actor = Actor(f"{asked.actor.name} bulk:{job.id}", asked.actor.address)
            order = Order(
                asked.action, None, actor, asked.reason, move=asked.move, if_rev=run.if_rev
            )
            await self._engine.act(run.run_id, order, acted)
        except Refused as refused:
            if refused.problem is Problem.DRAINING:
                raise _Stopping from refused
            return None if job.done > done else refused
        except Exception as error:  # noqa: BLE001 - a bug costs its run, not the engine
            self._log("bulk-action-failed", job=job.id, run_id=run.run_id, exc_info=error)
            return None if job.done > done else Refused(Problem.INTERNAL, "")
        return None


class _Stopping(Exception):
    """The engine takes no more actions."""


def _end_text(it: RunEnd) -> str:
    """`01M8… failed: 503, no room`."""
    why = it.reason
    if why is None:
        return f"{it.run_id} {it.state}"
    said = [] if why.http_status is None else [str(why.http_status)]
    said += [it for it in (why.excerpt or ("" if said else why.error),) if it]
    return f"{it.run_id} {it.state} at {why.name}: {', '.join(said)}"
