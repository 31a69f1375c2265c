"""Bulk jobs in a simulated world: asked for now and then, and gone on with by the next life.

    R34  a run that a job acted on twice, or of which it says something else than what happened
    R35  a job acted on more runs although not all of its first had completed

What a job did is read in the journal: each action on a run names the job as its actor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec.structs import replace

from engine.core.access.token import Token
from engine.core.errors import Refused
from engine.core.events import Acted, Actor, AttemptEnded, Event, Reopened, Started
from engine.core.model import Run, Step, StepState
from engine.core.rules.action import Action, Order
from engine.jobs.bulk import WAITED_FOR, Bulk
from engine.ports.caller import Targets
from engine.ports.jobs import Job, JobOrder
from engine.process.clock import Clock
from engine.runs.engine import Engine
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from tests.simulation.history import Act, History
from tests.simulation.life import Died, Life

if TYPE_CHECKING:
    from tests.simulation.net import Net

ASKED = (
    *[(Action.PAUSE, "is:live")] * 2, *[(Action.RESUME, "")] * 3, (Action.RESUME, "is:paused"),
    *[(Action.RETRY, "is:failed")] * 2, (Action.RETRY, ""), (Action.RETRY, "is:backing-off"),
    (Action.DISMISS, "is:ended"), (Action.RETRY, "is:ended"),
)  # fmt: skip
BY, STOPPED = " bulk:", "did not complete"
_job = msgspec.json.Decoder(Job).decode


class _Acting:
    """The engine, as jobs see it: what they do is noted among what operators did."""

    def __init__(self, engine: Engine, life: Life) -> None:
        self._engine, self._life = engine, life

    @property
    def targets(self) -> Targets:
        """Those of the engine."""
        return self._engine.targets

    async def act(self, run_id: str, order: Order, acted: Callable[[int | None], object]) -> object:
        """Carry it out."""
        history = self._life.history
        record = Act(history.place(), run_id, order.action)
        history.acts.append(record)
        history.log("job-acts", run_id, order.action)
        try:
            result = await self._engine.act(run_id, order, acted)
        except Refused:
            if not self._life.dead:
                record.done, record.ended = False, history.place()
            raise
        if not self._life.dead:
            record.done, record.ended = True, history.place()
            history.note("situation:job-acted")
        return result


class _NoTokens:
    """Nobody has any."""

    tokens: Mapping[str, Token] = MappingProxyType({})


def bulk_of(engine: Engine, life: Life, clock: Clock) -> Bulk:
    """The jobs of a life."""
    store, history = engine.store, life.history
    assert isinstance(store, SqliteStore)

    def said(event: str, **values: object) -> None:
        history.note(f"situation:{event}")

    def erred(event: str, **values: object) -> None:
        history.fail("engine", f"{event} {values}")

    jobs = TableJobs(store, erred)
    acting, tokens = _Acting(engine, life), _NoTokens()
    return Bulk(TableViews(store).runs, jobs, acting, tokens, clock, said, said, erred)


async def ask(net: Net, rng: Random) -> None:
    """Ask for a job now and then; again, with its key, where nobody has told that it has begun."""
    count = 0
    while True:
        await trio.sleep(2 + rng.random() * 20)
        count += 1
        action, q = rng.choice(ASKED)
        first = rng.choice((None, 1, 2)) if action in WAITED_FOR else None
        rate = rng.choice((1, 50))
        asked = JobOrder(action, q, 1_000, rate, Actor("operator"), "so", first=first)
        asked = replace(asked, key=f"job-{count}")
        for _ in range(3):
            if await _begin(net, asked):
                break
            await trio.sleep(rng.random() * 5)


async def _begin(net: Net, asked: JobOrder) -> bool:
    """True if it is known to have begun."""
    life, history = net.life, net.history
    if life is None or life.bulk is None:
        return False
    place = history.place()
    history.log("job", asked.action, asked.q, asked.first)
    with trio.CancelScope() as scope:
        life.requests[place] = scope
        try:
            job = await life.bulk.begin(asked)
        except (Died, Refused):
            return False
        finally:
            del life.requests[place]
        if not life.dead:
            history.jobs.append(job.id)
            history.note("situation:job")
            life.promised()
            return True
    return False


class JobRecords:
    """What jobs did, as the journal has it, and whether they may have."""

    def __init__(self, db: sqlite3.Connection, history: History) -> None:
        self._db, self._history = db, history
        self._acted: dict[str, list[str]] = {}
        """The runs that each job acted on, in order."""
        self._left: dict[tuple[str, str], int] = {}
        """In which generation of its root a job has left a run."""
        self._acting: dict[str, tuple[str, str]] = {}
        """Runs of which the next events are what a job did."""
        self._ended: dict[str, dict[int, StepState]] = {}
        """How the generations of each root have ended."""

    def saw(self, run: Run, event: Event) -> None:
        """An event, before it is folded."""
        if isinstance(event, Acted):
            self._acting.pop(run.id, None)
            if BY in event.actor:
                self._acts(event.actor.partition(BY)[2], run)
        elif isinstance(event, Started | AttemptEnded):
            self._acting.pop(run.id, None)
        elif isinstance(event, Reopened) and event.step_id == run.id and run.id in self._acting:
            self._left[self._acting[run.id]] = run.root.generation + 1

    def ended(self, root: Step) -> None:
        """A generation of a root has ended."""
        self._ended.setdefault(root.id, {}).setdefault(root.generation, root.state)

    def _acts(self, job_id: str, run: Run) -> None:
        its, name = self._acted.setdefault(job_id, []), (job_id, run.id)
        if run.id in its:
            self._wrong("R34", f"job {job_id} acted on {run.id} twice")
        first = self._job(job_id).asked.first
        if first is not None and len(its) >= first:
            there = [it for it in its[:first] if self._is_there(it)]  # what has gone ended somehow
            bad = [it for it in there if self._end(job_id, it) != StepState.COMPLETED]
            if bad:
                self._wrong("R35", f"job {job_id} acts on {run.id}; of its first, {bad} has not"
                            " completed")  # fmt: skip
        its.append(run.id)
        self._left[name], self._acting[run.id] = run.root.generation, name

    def _end(self, job_id: str, run_id: str) -> StepState | None:
        """Of the generation that the job has left, or of the first behind it that has ended: one
        that a rerun with a payload cut off never does."""
        ends, left = self._ended.get(run_id, {}), self._left[job_id, run_id]
        return next((ends[it] for it in sorted(ends) if it >= left), None)

    def _is_there(self, run_id: str) -> bool:
        query = "SELECT 1 FROM run WHERE id = ?"
        return self._db.execute(query, (run_id,)).fetchone() is not None

    def _job(self, job_id: str) -> Job:
        (record,) = self._db.execute("SELECT record FROM job WHERE id = ?", (job_id,)).fetchone()
        return _job(record)

    def _wrong(self, rule: str, what: str) -> None:
        self._history.fail(rule, what)

    def is_waiting(self, job: Job) -> bool:
        """It has acted on its first runs, and not all of those have ended."""
        first = job.asked.first
        if first is None or job.first_completed:
            return False
        has_more = job.done + sum(job.skipped.values()) < job.matched
        its = self._acted.get(job.id, [])[:first]
        is_open = any(self._end(job.id, it) is None for it in its)
        return is_open and (job.done >= first or not has_more)

    def at_work(self, life: Life) -> bool:
        """A job will act still, whatever becomes of the runs."""
        jobs = () if life.bulk is None else life.bulk._jobs.values()
        return any(not self.is_waiting(job) for job in jobs)

    def check(self) -> None:
        """R34, R35: each job says what it did, has left nothing out, and stopped where it must."""
        jobs = [_job(record) for (record,) in self._db.execute("SELECT record FROM job")]
        if lost := set(self._history.jobs) - {job.id for job in jobs}:
            self._wrong("R34", f"jobs {lost} were told to have begun, and are not there")
        keys = [job.asked.key for job in jobs]
        if len(set(keys)) < len(keys):
            self._wrong("R34", f"of one key there are two jobs: {keys}")
        for job in jobs:
            self._check(job)

    def _check(self, job: Job) -> None:
        rows = self._db.execute("SELECT * FROM job_run WHERE job_id = ?", (job.id,)).fetchall()
        turned = [row for row in rows if row["at"] is not None]
        said = {row["run_id"] for row in turned if row["refused"] is None}
        did = set(self._acted.get(job.id, ()))
        if said != did or job.done != len(did):
            self._wrong("R34", f"job {job.id} says that it acted on {job.done}: {said}; it did on"
                        f" {did}")  # fmt: skip
        for row in turned:
            is_other = row["generation"] not in (None, self._left.get((job.id, row["run_id"])))
            if row["refused"] is None and is_other:
                self._wrong("R34", f"job {job.id} left {row['run_id']} in another generation than"
                            f" {row['generation']}")  # fmt: skip
        if job.ended_at is None:
            if not self.is_waiting(job):
                self._wrong("R34", f"job {job.id} stands still")
        elif not job.aborted and len(turned) < len(rows):
            self._wrong("R34", f"job {job.id} is over, and left runs out")
        if job.asked.first is not None and job.ended_at is not None:
            first = self._acted.get(job.id, [])[: job.asked.first]
            self._check_first(job, first, some_follow=len(rows) > len(first))

    def _check_first(self, job: Job, its: list[str], *, some_follow: bool) -> None:
        its = [it for it in its if self._is_there(it)]
        bad = [it for it in its if self._end(job.id, it) in (StepState.FAILED, StepState.CANCELLED)]
        if bad and not job.aborted and some_follow:
            self._wrong("R35", f"job {job.id} is done, though of its first {bad} did not complete")
        if STOPPED in (job.stopped_because or ""):
            self._history.note("situation:canary-stopped")
            if all(self._end(job.id, it) == StepState.COMPLETED for it in its) and its:
                self._wrong("R35", f"job {job.id} stopped, and its first {its} have completed")
            if any(self._end(job.id, it) is None for it in its):
                self._wrong("R35", f"job {job.id} stopped while of its first {its} some were open")
