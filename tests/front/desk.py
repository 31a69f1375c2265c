"""Runs that a bulk job finds and acts on, without an engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from engine import wire
from engine.core.access.token import Token
from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.rules.action import Action, Order
from engine.front.access.who import Who
from engine.front.api import bulk
from engine.jobs.bulk import Bulk
from engine.ports.caller import AllTargets
from engine.ports.jobs import Came, CameTo, Job, JobRun, KeptJob, RunEnd
from engine.ports.views import RunQuery, RunRecord, RunsFound
from engine.runs.stopped import OnActed
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from engine.telemetry.log import Log
from tests.world import FakeClock, World

_RECORD = RunRecord(
    id="", client="shop", workflow="w", key="k", state="failed", rev=1, dismissed=False, steps=1,
    open_steps=0, failed_steps=1, submitted_at=0, generation=1, ended_at=None, due_at=None,
    pause_reason=None, cause_id=None, error=None,
)  # fmt: skip


def run(id: str, state: str = "failed", **members: Any) -> RunRecord:
    """A run that a filter finds."""
    return msgspec.structs.replace(_RECORD, id=id, state=state, **members)


class NoTokens:
    """No token is asked for."""

    tokens: Mapping[str, Token] = {}


class Written:
    """What is kept at once."""

    durable = True

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_unless_away(self) -> bool:
        await trio.lowlevel.checkpoint()
        return True


class Shelved:
    """Jobs as a store keeps them, without a file."""

    def __init__(self) -> None:
        self.file_id = "f1"
        self.away = None
        self.records: dict[str, bytes] = {}
        self.lists: dict[str, dict[str, int | None]] = {}
        self.came_to: dict[str, dict[str, CameTo]] = {}
        self.states: dict[str, str | None] = {}
        """How runs have ended; one that is not here has completed."""

    def add_runs(self, job_id: str, runs: Sequence[JobRun]) -> Written:
        self.lists.setdefault(job_id, {}).update((run.run_id, run.if_rev) for run in runs)
        return Written()

    def record(self, job: Job, came_to: CameTo | None = None) -> Written:
        self.records[job.id] = msgspec.json.encode(job)
        if came_to is not None:
            self.came_to.setdefault(job.id, {})[came_to.run_id] = came_to
        return Written()

    async def forget(self, job_id: str) -> None:
        self.records.pop(job_id, None)
        self.lists.pop(job_id, None)

    def _all(self) -> list[Job]:
        return [msgspec.json.decode(it, type=Job) for _, it in sorted(self.records.items())]

    async def under_way(self) -> list[Job]:
        return [job for job in self._all() if job.ended_at is None]

    async def unbegun(self) -> list[str]:
        return [job_id for job_id in self.lists if job_id not in self.records]

    async def kept(self) -> list[KeptJob]:
        ended = [
            KeptJob(job.id, job.asked.only, job.total, job.ended_at)
            for job in self._all()
            if job.ended_at is not None
        ]
        return sorted(ended, key=lambda it: (it.ended_at, it.id))

    async def job(self, job_id: str) -> Job | None:
        return next((job for job in self._all() if job.id == job_id), None)

    async def job_of_key(self, only: str | None, key: str) -> Job | None:
        await trio.lowlevel.checkpoint()
        wanted = (only, key)
        return next((it for it in self._all() if (it.asked.only, it.asked.key) == wanted), None)

    async def jobs(self, only: str | None, cursor: str | None, limit: int) -> list[Job]:
        found = [job for job in self._all() if only in (None, job.asked.only)]
        return [job for job in reversed(found) if cursor is None or job.id < cursor][:limit]

    async def to_do(self, job_id: str, after: str, limit: int) -> list[JobRun]:
        await trio.lowlevel.checkpoint()
        done = self.came_to.get(job_id, {})
        listed = list(self.lists.get(job_id, {}).items())
        behind = 1 + [run_id for run_id, _ in listed].index(after) if after else 0
        return [JobRun(*it) for it in listed[behind:] if it[0] not in done][:limit]

    def _acted(self, job_id: str) -> list[str]:
        came_to = self.came_to.get(job_id, {})
        return [run_id for run_id, it in came_to.items() if it.refused is None]

    async def came(self, job_id: str) -> list[Came]:
        states = [self.states.get(run_id, "completed") for run_id in self._acted(job_id)]
        return [Came(it or "running", states.count(it)) for it in dict.fromkeys(states)]

    async def ends(self, job_id: str, limit: int) -> list[RunEnd]:
        acted = self._acted(job_id)[:limit]
        return [RunEnd(run_id, self.states.get(run_id, "completed")) for run_id in acted]


class Barred(AllTargets):
    """What may not be called, and why."""

    def __init__(self) -> None:
        self.starts: dict[str, str] = {}

    def why_not_any(self, start: str, only: str | None = None) -> str | None:
        return self.starts.get(start if only is None else f"{only} {start}")


class Desk:
    """Runs that are found whatever the filter is, and what was done to them when."""

    def __init__(self, *runs: RunRecord) -> None:
        self.runs = list(runs)
        self.queries: list[RunQuery] = []
        self.acts: list[tuple[float, str]] = []
        self.said: list[tuple[Action, Actor, str | None]] = []
        self.revs: dict[str, int | None] = {}
        self.troubles: dict[str, Exception] = {}
        self.targets = Barred()
        self.takes_s = 0.0
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.tokens: dict[str, Token] = {}
        self.token = ""
        """With which jobs are asked for."""
        self.store = Shelved()
        self.clock = FakeClock()
        self.bulk = self.engine()

    def engine(self) -> Bulk:
        """The jobs of another engine on the same store."""
        logs = self.log, self.log, self.log
        return Bulk(self.find, self.store, self, self, self.clock, *logs)

    async def find(self, query: RunQuery) -> RunsFound:
        """Pages that come short, as those of a filter may."""
        self.queries.append(query)
        await trio.lowlevel.checkpoint()
        begin = int(query.cursor or 0)
        end = min(begin + min(query.limit, 3), len(self.runs))
        found = tuple(self.runs[begin:end])
        return RunsFound(found, 0, True, str(end) if end < len(self.runs) else None)

    async def act(self, run_id: str, order: Order, acted: OnActed) -> None:
        self.acts.append((trio.current_time(), run_id))
        self.said.append((order.action, order.actor, order.reason))
        self.revs[run_id] = order.if_rev
        await trio.sleep(self.takes_s)
        if run_id in self.troubles:
            raise self.troubles[run_id]
        acted(1)

    def log(self, event: str, **values: Any) -> None:
        self.logged.append((event, values))

    async def ask(
        self, key: str | None = None, *, only: str | None = None, **members: Any
    ) -> wire.BulkAnswer:
        """Ask for a job: a retry of all there are, unless the members say otherwise; `only`: with a
        token that is bound to this client."""
        asked = {"action": "retry", "q": "is:failed", "expect": len(self.runs), **members}
        body = json.dumps(asked).encode()
        who = Who(client=only, token=self.token)
        return await bulk.ask(self.bulk, body, Actor("ada", "::1"), key, who)

    async def refusal(
        self, key: str | None = None, *, only: str | None = None, **members: Any
    ) -> Refused:
        """Why a job is refused."""
        with pytest.raises(Refused) as caught:
            await self.ask(key, only=only, **members)
        return caught.value

    async def ended(self, job_id: str | None) -> wire.BulkAnswer:
        """The job once it has ended."""
        assert job_id is not None
        while (await self.bulk.job(job_id)).ended_at is None:
            await trio.sleep(0.01)
        return await self.shown(job_id)

    async def shown(self, job_id: str | None) -> wire.BulkAnswer:
        """The job as it is shown."""
        job = await self.bulk.job(job_id or "")
        return bulk.answer_of(job, await self.bulk.came(job))

    async def jobs(self, only: str | None = None) -> list[str]:
        """The ids of all that are kept, the latest first."""
        return [job.id for job in await self.bulk.jobs(only, None, 1 << 20)]


@asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[Desk]:
    """The desk's jobs at work."""
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.bulk.run)
        yield desk
        desk.bulk.close()


def many(count: int) -> Desk:
    return Desk(*(run(f"R{number}") for number in range(count)))


def jobs_of(it: World) -> Bulk:
    """The jobs of a world, on its own store."""
    quiet: Log = lambda event, **values: None  # noqa: E731
    views, jobs = TableViews(it.store), TableJobs(it.store)
    return Bulk(views.runs, jobs, it.engine, NoTokens(), FakeClock(), quiet, quiet, quiet)
