"""One action on every run that a filter finds, as a job of the engine's.

A job looks for its runs first, and only then acts on them, one by one and no faster than its rate:
thousands of retries at once would bring down again what has just come back. Each is an action like
any other, with its own event, so a job that an engine's end cuts short leaves nothing half done;
what it had not come to is found by the same filter. A run that was at rest and has moved since is
left alone: it is no longer what the operator saw. Jobs are kept in memory.
`docs/reference/bulk.md`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from msgspec import Struct, field

from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.core.events import Actor
from engine.core.filter import Filter
from engine.core.model import ENDED, OPEN, Move, StepState
from engine.core.rules.action import BEYOND_A_JOB, FITS, Action, Order
from engine.ports.caller import Targets
from engine.ports.views import RunQuery, RunRecord, RunsFound
from engine.process.clock import Clock, Ids
from engine.process.tasks import Tasks
from engine.telemetry.log import Log

RUNS_MAX = 100_000
"""A job's. More than an operator means, and their ids fit into a few megabytes."""
PAGE = 500
COUNTED_PAGE = 2_000
COUNTED_MAX = 1_000_000
"""Runs that a filter finds are counted up to here, which takes some tens of seconds; with more
there is no job, as nobody can have said how many they mean."""
SAMPLE_MAX = 10
"""Runs that a dry run shows."""
JOBS_KEPT_MAX = 50
"""Of those for one client alone, and of those for all."""
REASONS_KEPT_MAX = 5
"""Of each problem: different words that refused a run. They mostly differ by a client or a URL."""
REASON_CHARACTERS_MAX = 1_000
STORE_WAIT_S = 1.0
"""Before a job asks again whether the store can be written."""

AT_REST = ENDED | {StepState.PAUSED}
BULK_FITS = FITS | {Action.RETARGET: OPEN}
"""In bulk only what is open is moved: what has ended is answered under the URL that it has."""


class FoundRun(Struct, frozen=True, gc=False):
    """A run to act on. `if_rev` is the revision it was found at, if it was at rest."""

    run_id: str
    if_rev: int | None


class JobOrder(Struct, frozen=True):
    """What an operator asks for."""

    action: Action
    q: str
    """The filter as it was written."""
    filter: Filter
    expect: int
    """How many runs the operator has seen to match."""
    rate_per_s: int
    actor: Actor
    reason: str | None = None
    move: Move | None = None
    """What `retarget` does."""
    only: str | None = None
    """The only client whose runs there are for who asks."""


class Job(Struct):
    """A bulk action, under way or over."""

    id: str
    asked: JobOrder
    started_at: int
    runs: list[FoundRun]
    """What it acts on; let go when it has ended."""
    total: int
    matched: int
    skipped: dict[str, int]
    """Runs that were left alone, by why."""
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """What those were told that refused the action when their turn came, by the problem."""
    done: int = 0
    ended_at: int | None = None
    aborted: bool = False

    @property
    def state(self) -> str:
        if self.ended_at is None:
            return "running"
        return "aborted" if self.aborted else "done"

    def note(self, refused: Refused) -> None:
        """Keep what a run was refused with, so that whoever asked knows what to do."""
        said = refused.detail[:REASON_CHARACTERS_MAX]
        told = self.reasons.setdefault(refused.problem.value, [])
        if said not in told and len(told) < REASONS_KEPT_MAX:
            told.append(said)


class Plan(Struct):
    """What a job would do: the runs that it would act on, and those that it would leave alone."""

    runs: list[FoundRun] = field(default_factory=list)
    matched: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    sample: list[RunRecord] = field(default_factory=list)
    """The first of what it would act on."""

    def sort_in(self, action: Action, record: RunRecord) -> None:
        """Sort a run that the filter found."""
        self.matched += 1
        # what waits for a person may do so in a step below an open root
        waits = action is Action.RESUME and record.cause is not None
        fits = record.state in BULK_FITS[action]
        if not fits and not (waits and record.state != StepState.FAILED):
            why = f"it is {record.state}"
        elif action is Action.DISMISS and record.dismissed:
            why = "it is dismissed already"
        elif action is Action.RESTORE and not record.dismissed:
            why = "it is not dismissed"
        elif len(self.runs) >= RUNS_MAX:
            why = BEYOND_A_JOB
        else:
            if_rev = record.rev if record.state in AT_REST else None
            self.runs.append(FoundRun(record.id, if_rev))
            if len(self.sample) < SAMPLE_MAX:
                self.sample.append(record)
            return
        self.skipped[why] = self.skipped.get(why, 0) + 1


Find = Callable[[RunQuery], Awaitable[RunsFound]]


def _matching(plan: Plan) -> str:
    if plan.matched == 1:
        return "1 run matches"
    return f"{plan.matched:,}{'' if plan.whole else ' or more'} runs match"


class ActsOnRuns(Protocol):
    """What jobs need of the engine."""

    @property
    def targets(self) -> Targets:
        """Which URLs may be called."""
        ...

    async def act(self, run_id: str, order: Order) -> object:
        """Carry an order out on a run. Raises Refused."""
        ...


class Bulk:
    """The jobs of this engine. `run` makes them work."""

    def __init__(self, find: Find, engine: ActsOnRuns, clock: Clock, log: Log) -> None:
        self._find, self._engine, self._now, self._log = find, engine, clock.steady_ms, log
        self._ids = Ids(clock)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._by_key: dict[tuple[str | None, str], str] = {}
        """Jobs by the idempotency key they were asked for with, and for which client alone."""
        self._tasks = Tasks()
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Carry jobs out until `close`."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._tasks.opened(nursery)
                    await trio.sleep_forever()
        finally:
            self._tasks.closed()

    def close(self) -> None:
        """The engine stops: jobs end where they are."""
        self._scope.cancel()

    async def plan(self, asked: JobOrder) -> Plan:
        """What a job would do. Raises Refused."""
        self._check(asked)
        return await self._plan(asked)

    async def begin(self, asked: JobOrder, key: str | None) -> Job:
        """Begin a job, or find the one that was begun with this key. Raises Refused."""
        self._check(asked)
        if (known := self._known_job(asked, key)) is not None:
            return known
        plan = await self._plan(asked)
        if plan.matched > asked.expect or not plan.whole:
            raise Refused(
                Problem.REVISION_CHANGED,
                f"{_matching(plan)} now, not {asked.expect:,}: look again, and say how many you"
                " mean.",
                matched=plan.matched,
            )
        if (known := self._known_job(asked, key)) is not None:
            return known  # asked for twice at once
        job = self._begin(asked, plan, key)
        self._tasks.start_soon(self._work_off, job)
        return job

    def _check(self, asked: JobOrder) -> None:
        """Raises Refused for what would be refused of every run."""
        if asked.action not in BULK_FITS:
            raise Refused(
                Problem.INVALID_REQUEST,
                f"`{asked.action}` is not done in bulk: it needs a step.",
                member="action",
            )
        url = None if asked.move is None else asked.move.to_url
        if url is None:
            return
        if (why := self._engine.targets.why_not_any(url, asked.only)) is not None:
            raise Refused(Problem.NOT_POSSIBLE, f"{url}: {why}.")

    def _known_job(self, asked: JobOrder, key: str | None) -> Job | None:
        """The job that was begun with this key. Raises Refused if it is another one."""
        job = None if key is None else self._jobs.get(self._by_key.get((asked.only, key), ""))
        if job is None:
            return None
        begun = job.asked
        if (begun.action, begun.q, begun.move) != (asked.action, asked.q, asked.move):
            raise Refused(
                Problem.KEY_REUSED,
                f"With this key the job {job.id} was begun, which is another: {begun.action} of"
                f" {begun.q!r}.",
            )
        return job

    async def _plan(self, asked: JobOrder) -> Plan:
        plan, cursor = Plan(), None
        now = self._now()
        while True:
            is_sampled = len(plan.sample) == SAMPLE_MAX  # of the sample more is shown
            found = await self._find(
                RunQuery(
                    only=asked.only,
                    filter=asked.filter, now=now, newest_first=False, cursor=cursor,
                    limit=COUNTED_PAGE if is_sampled else PAGE, without_steps=is_sampled,
                )
            )  # fmt: skip
            for record in found.runs:
                plan.sort_in(asked.action, record)
            cursor = found.next
            if cursor is None:
                return plan
            if plan.matched >= COUNTED_MAX:
                plan.whole = False
                return plan

    def _begin(self, asked: JobOrder, plan: Plan, key: str | None) -> Job:
        if self._scope.cancel_called:
            raise Refused(Problem.DRAINING, "The engine is stopping.", retryAfter=1)
        self._make_room(asked.only)
        job = Job(
            id=self._ids.run_id(),
            asked=asked,
            started_at=self._now(),
            runs=plan.runs,
            total=len(plan.runs),
            matched=plan.matched,
            skipped=plan.skipped,
        )
        self._jobs[job.id] = job
        if key is not None:
            self._by_key[asked.only, key] = job.id
        return job

    def _make_room(self, only: str | None) -> None:
        """Forget the oldest job that has ended of those for the same client alone (None: of those
        for all), when there are as many as are kept: nobody's push out another's."""
        own = [job for job in self._jobs.values() if job.asked.only == only]
        if len(own) < JOBS_KEPT_MAX:
            return
        oldest = next((job.id for job in own if job.ended_at is not None), None)
        if oldest is None:
            raise Refused(
                Problem.NOT_POSSIBLE,
                f"{JOBS_KEPT_MAX} jobs are under way: wait for one of them, or abort one.",
            )
        del self._jobs[oldest]
        self._by_key = {key: id for key, id in self._by_key.items() if id != oldest}

    async def _work_off(self, job: Job) -> None:
        at = trio.current_time()
        for found in job.runs:
            await trio.sleep_until(at)
            if job.aborted:
                break
            # What was late is not caught up with.
            at = trio.current_time() + 1 / job.asked.rate_per_s
            await self._act_on(found, job)
        job.runs = []
        job.ended_at = self._now()

    async def _act_on(self, found: FoundRun, job: Job) -> None:
        while True:
            why, may_wait = await self._left_alone(found, job)
            if not may_wait or job.aborted:
                break
            await trio.sleep(STORE_WAIT_S)  # nothing was done: the job waits with the store
        if why is None:
            job.done += 1
        else:
            job.skipped[why] = job.skipped.get(why, 0) + 1

    async def _left_alone(self, found: FoundRun, job: Job) -> tuple[str | None, bool]:
        """Act on a run; returns why it was left alone (None: it was not), and whether that will
        pass."""
        asked = job.asked
        try:
            actor = Actor(f"{asked.actor.name} bulk:{job.id}", asked.actor.address)
            order = Order(
                asked.action, None, actor, asked.reason, move=asked.move, if_rev=found.if_rev
            )
            await self._engine.act(found.run_id, order)
        except Refused as refused:
            job.aborted = job.aborted or refused.problem is Problem.DRAINING
            is_away = refused.problem is Problem.STORE_UNAVAILABLE
            may_wait = is_away and not isinstance(refused, RefusedForDamage)
            if not may_wait:
                job.note(refused)
            return refused.problem.value, may_wait
        except Exception as error:  # noqa: BLE001 - a bug costs its run, not the engine
            self._log("bulk-action-failed", job=job.id, run_id=found.run_id, exc_info=error)
            return Problem.INTERNAL.value, False
        return None, False

    def jobs(self, only: str | None = None) -> list[Job]:
        """Every job that is remembered, the latest first; `only`: those for this client alone."""
        jobs = reversed(self._jobs.values())
        return [job for job in jobs if only is None or job.asked.only == only]

    def abort(self, job_id: str, only: str | None = None) -> Job:
        """Stop a job: what it has done stays done. Raises Refused (`not-found`, `not-possible`)."""
        job = self.job(job_id, only)
        if job.ended_at is not None:
            raise Refused(Problem.NOT_POSSIBLE, f"The job is {job.state}.")
        job.aborted = True
        return job

    def job(self, job_id: str, only: str | None = None) -> Job:
        """One job. Raises Refused (`not-found`), also for one that is not for `only` alone."""
        job = self._jobs.get(job_id)
        if job is None or (only is not None and job.asked.only != only):
            raise Refused(
                Problem.NOT_FOUND,
                f"There is no job {job_id[:64]!r}. The engine remembers {JOBS_KEPT_MAX} for each"
                f" client and {JOBS_KEPT_MAX} for all, and none from before it started.",
            )
        return job
