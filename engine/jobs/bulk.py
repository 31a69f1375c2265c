"""One action on every run that a filter finds, as a job of the engine's.

A job looks for its runs first, and only then acts on them (`work.py`), one by one and no faster
than its rate: thousands of retries at once would bring down again what has just come back. Each is
an action like any other, with its own event. A run that was at rest and has moved since is left
alone: it is no longer what the operator saw. Jobs are recorded: they go on after a restart, and
tell for a month what came of their runs. `docs/reference/bulk.md`.
"""

from __future__ import annotations

import trio
from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.rules.action import Action
from engine.jobs.plan import BULK_FITS, Find, Plan, plan_of
from engine.jobs.work import ActsOnRuns, Tokens, Worker
from engine.ports.jobs import Came, Job, JobOrder, JobRun, JobStore, KeptJob
from engine.ports.receipt import Receipt
from engine.process.clock import Clock, Ids
from engine.process.tasks import Tasks
from engine.telemetry.log import Log

JOBS_UNDER_WAY_MAX = 50
"""Of those for one client alone, and of those for all."""
KEPT_MS = 30 * 86_400_000
"""How long after its end a job is remembered, and its key."""
JOBS_KEPT_MAX = 1_000
"""Of those that have ended, for one client alone, and for all."""
RUNS_KEPT_MAX = 2_000_000
"""Of theirs together: some 200 MB."""
TIDIED_EVERY_S = 3_600.0
ADDED_AT_ONCE = 2_000
"""Runs, in one commit: some milliseconds of it."""
WAITED_FOR = frozenset({Action.RETRY, Action.RESUME, Action.RETARGET})
"""What runs complete after: of no other action the first are waited for."""
COUNTED_PER_S = 5_000
"""Runs of which it is counted what came of them: of 100,000 it takes a second, whoever follows a
job asks twice a second, and so the counts are good for 20."""


class _Counted(Struct, frozen=True):
    """What came of a job's runs, as of a moment."""

    came: list[Came]
    good_until: float


class Bulk:
    """The jobs of this engine. `run` makes them work."""

    def __init__(
        self, find: Find, store: JobStore, engine: ActsOnRuns, tokens: Tokens, clock: Clock,
        inform: Log, warn: Log, error: Log,
    ) -> None:  # fmt: skip
        self._find, self._store, self._engine = find, store, engine
        self._now, self._inform, self._log = clock.steady_ms, inform, error
        self._worker = Worker(store, engine, tokens, clock, warn, error)
        self._ids = Ids(clock)
        self._jobs: dict[str, Job] = {}
        """Those under way."""
        self._beginning: dict[tuple[str | None, str], trio.Event] = {}
        """Keys with which a job is being asked for."""
        self._counted: dict[str, _Counted] = {}
        self._untidy = trio.Event()
        self._tasks = Tasks()
        self._scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry jobs out until `close`. It has started when those of before are known."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._tasks.opened(nursery)
                    try:
                        await self._take_up()
                    except Refused as refused:  # the next start looks again
                        self._log("bulk-jobs-unreadable", why=refused.detail)
                    task_status.started()
                    await self._tidy()
        finally:
            self._tasks.closed()

    def close(self) -> None:
        """The engine stops: jobs go on when it is back."""
        self._scope.cancel()

    async def _take_up(self) -> None:
        for job_id in await self._store.unbegun():
            self._tasks.start_soon(self._store.forget, job_id)
        for job in await self._store.under_way():
            self._jobs[job.id] = job
            left = job.matched - job.done - sum(job.skipped.values())
            self._inform("bulk-job-goes-on", job=job.id, action=job.asked.action, left=left)
            self._tasks.start_soon(self._work_off, job)

    async def _work_off(self, job: Job) -> None:
        if await self._worker.work_off(job):
            del self._jobs[job.id]  # from now on it is read

    # -- beginning -----------------------------------------------------------------------------

    async def plan(self, asked: JobOrder) -> Plan:
        """What a job would do. Raises Refused, BadFilter."""
        self._check(asked)
        return await plan_of(asked, self._find, self._now())

    async def begin(self, asked: JobOrder) -> Job:
        """Begin a job, durably, or find the one that was begun with its key. Raises Refused,
        BadFilter."""
        self._check(asked)
        if asked.key is None:
            return await self._begin(asked)
        name = asked.only, asked.key
        while (beginning := self._beginning.get(name)) is not None:  # asked for twice at once
            await beginning.wait()
        beginning = self._beginning[name] = trio.Event()
        try:
            return await self._known_job(asked, asked.key) or await self._begin(asked)
        finally:
            del self._beginning[name]
            beginning.set()

    def _check(self, asked: JobOrder) -> None:
        """Raises Refused for what would be refused of every run."""
        if asked.action not in BULK_FITS:
            raise Refused(
                Problem.INVALID_REQUEST,
                f"`{asked.action}` is not done in bulk: it needs a step.",
                member="action",
            )
        if asked.first is not None and asked.action not in WAITED_FOR:
            raise Refused(
                Problem.INVALID_REQUEST,
                f"`first` waits until the first runs have completed, and no run completes for a"
                f" `{asked.action}`: it goes with {', '.join(sorted(WAITED_FOR))}.",
                member="first",
            )
        url = None if asked.move is None else asked.move.to_url
        if url is None:
            return
        if (why := self._engine.targets.why_not_any(url, asked.only)) is not None:
            raise Refused(Problem.NOT_POSSIBLE, f"{url}: {why}.")

    async def _known_job(self, asked: JobOrder, key: str) -> Job | None:
        """The job that was begun with this key. Raises Refused if it is another one."""
        name = asked.only, key
        here = (it for it in self._jobs.values() if (it.asked.only, it.asked.key) == name)
        under_way = next(here, None)
        kept = await self._store.job_of_key(asked.only, key)
        job = under_way or kept
        if job is None:
            return None
        begun = job.asked
        if (begun.action, begun.q, begun.move, begun.first) != (
            asked.action, asked.q, asked.move, asked.first,
        ):  # fmt: skip
            raise Refused(
                Problem.KEY_REUSED,
                f"With this key the job {job.id} was begun, which is another: {begun.action} of"
                f" {begun.q!r}.",
            )
        if kept is None:  # whoever began it has hung up before it was durable
            await self._store.record(job).wait()
        return job

    async def _begin(self, asked: JobOrder) -> Job:
        plan = await plan_of(asked, self._find, self._now())
        if plan.matched > asked.expect or not plan.whole:
            raise Refused(
                Problem.REVISION_CHANGED,
                f"{plan.matching} now, not {asked.expect:,}: look again, and say how many you"
                " mean.",
                matched=plan.matched,
            )
        self._refuse_to_begin(asked)
        job = Job(
            id=self._ids.run_id(),
            asked=asked,
            file_id=self._store.file_id,
            started_at=self._now(),
            total=len(plan.runs),
            matched=plan.matched,
            skipped=plan.skipped,
        )
        await self._record(job, plan.runs)
        return job

    def _refuse_to_begin(self, asked: JobOrder) -> None:
        if self._scope.cancel_called:
            raise Refused(Problem.DRAINING, "The engine is stopping.", retryAfter=1)
        if (away := self._store.away) is not None:
            detail = f"The store cannot be written: {away.why} No job was begun."
            raise Refused(Problem.STORE_UNAVAILABLE, detail, retryAfter=1)
        under_way = sum(job.asked.only == asked.only for job in self._jobs.values())
        if under_way >= JOBS_UNDER_WAY_MAX:
            raise Refused(
                Problem.NOT_POSSIBLE,
                f"{JOBS_UNDER_WAY_MAX} jobs are under way: wait for one of them, or abort one.",
            )

    async def _record(self, job: Job, runs: list[JobRun]) -> None:
        """Its runs first, some with each commit; it is there, and begins, with the last of them."""
        try:
            while len(runs) > ADDED_AT_ONCE:
                some, runs = runs[:ADDED_AT_ONCE], runs[ADDED_AT_ONCE:]
                await self._store.add_runs(job.id, some).wait()
            self._refuse_to_begin(job.asked)  # others may have begun meanwhile
        except BaseException:
            self._tasks.start_soon(self._store.forget, job.id)
            raise
        self._store.add_runs(job.id, runs)
        receipt = self._store.record(job)
        self._jobs[job.id] = job
        self._tasks.start_soon(self._begin_work, job, receipt)
        self._untidy.set()
        await receipt.wait()

    async def _begin_work(self, job: Job, receipt: Receipt) -> None:
        await receipt.wait()
        await self._work_off(job)

    # -- looking -------------------------------------------------------------------------------

    async def jobs(self, only: str | None, cursor: str | None, limit: int) -> list[Job]:
        """The latest first, from just behind `cursor`; `only`: those for this client alone. Raises
        Refused."""
        found = await self._store.jobs(only, cursor, limit)
        return [self._jobs.get(job.id, job) for job in found]

    async def job(self, job_id: str, only: str | None = None, *, or_of_all: bool = False) -> Job:
        """One job. Raises Refused (`not-found`), also for one that is not for `only` alone, or, if
        those are meant too, for the runs of all clients."""
        job = self._jobs.get(job_id) or await self._store.job(job_id)
        theirs = (None, only) if or_of_all else (only,)
        if job is None or (only is not None and job.asked.only not in theirs):
            raise Refused(
                Problem.NOT_FOUND,
                f"There is no job {job_id[:64]!r}. Jobs are kept for {KEPT_MS // 86_400_000} days"
                f" after their end, the latest {JOBS_KEPT_MAX:,} of them at most.",
            )
        return job

    async def came(self, job: Job) -> list[Came]:
        """What came of the runs that it acted on; a moment old where that is much to count."""
        known = self._counted.get(job.id)
        if known is None or trio.current_time() >= known.good_until:
            came = await self._store.came(job.id)
            known = _Counted(came, trio.current_time() + job.done / COUNTED_PER_S)
            self._counted[job.id] = known
            while len(self._counted) > JOBS_UNDER_WAY_MAX:
                del self._counted[next(iter(self._counted))]
        return known.came

    async def abort(self, job_id: str, actor: str, only: str | None = None) -> Job:
        """Stop a job, durably: what it has done stays done. Raises Refused (`not-found`,
        `not-possible`)."""
        job = await self.job(job_id, only)
        if job.ended_at is not None:
            raise Refused(Problem.NOT_POSSIBLE, f"The job is {job.state}.")
        if not job.aborted:
            job.aborted, job.stopped_because = True, f"{actor} aborted it"
        await self._store.record(job).wait()
        return job

    # -- forgetting ----------------------------------------------------------------------------

    async def _tidy(self) -> None:
        """Forget what has been kept long enough, or is too much, until cancelled."""
        while True:
            try:
                kept = await self._store.kept()
                for each in _too_old_or_many(kept, self._now() - KEPT_MS):
                    await self._store.forget(each.id)
            except Refused:  # it cannot be read there, as the log says
                pass
            self._untidy = trio.Event()
            with trio.move_on_after(TIDIED_EVERY_S):
                await self._untidy.wait()


def _too_old_or_many(kept: list[KeptJob], ended_before: int) -> list[KeptJob]:
    """Those that go: nobody's push out another's. `kept`: the earliest first."""
    going: list[KeptJob] = []
    jobs: dict[str | None, int] = {}
    runs: dict[str | None, int] = {}
    for each in reversed(kept):
        jobs[each.only] = jobs.get(each.only, 0) + 1
        runs[each.only] = runs.get(each.only, 0) + each.total
        is_much = jobs[each.only] > JOBS_KEPT_MAX or runs[each.only] > RUNS_KEPT_MAX
        if is_much or each.ended_at < ended_before:
            going.append(each)
    return going
