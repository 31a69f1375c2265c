"""A bulk job of a real engine that ends at every moment: each run is acted on once, none is left
out, and what came of them is told."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from engine import wire
from engine.core.events import Acted, Actor
from engine.core.filter import parse
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.repair import Given
from engine.front.access.who import Who
from engine.front.api import bulk
from engine.jobs.bulk import Bulk
from engine.ports.caller import Invocation
from engine.ports.views import RunQuery
from engine.store.journal import unpack
from engine.store.offload import Offload
from engine.store.tables.views.views import TableViews
from tests.front.desk import jobs_of
from tests.world import World, inline, ok, recorded, world

T = TypeVar("T")
RUNS = 4
ONCE = RetryPolicy(count=0)


class Endpoint:
    """Fails until it is mended; of some keys always."""

    def __init__(self) -> None:
        self.mended = False
        self.always: dict[str, int] = {}
        self.holds_back: set[str] = set()

    async def __call__(self, call: Invocation) -> Outcome:
        if call.idempotency_key in self.holds_back:
            await trio.sleep_forever()
        if (status := self.always.get(call.idempotency_key)) is not None:
            return Answered(status)
        return ok() if self.mended else Answered(500)


class Crash(Exception):
    """The process is gone."""


def dying(at: int, *, after: bool) -> Offload:
    """The writer's thread of an engine that ends with a commit: before it, or when it has happened
    and nobody knows."""
    commits = 0

    async def offload(work: Callable[[], T]) -> T:
        nonlocal commits
        commits += 1
        if commits == at and not after:
            raise Crash
        found = await inline(work)
        if commits == at:
            raise Crash
        return found

    return offload


async def fail_some(path: Path, app: Endpoint, count: int = RUNS) -> None:
    """A file with failed runs."""
    async with world(path, app) as it:
        for number in range(count):
            recorded(await it.post(key=f"k{number}", retry=ONCE))
    app.mended = True


async def ask(jobs: Bulk, **members: object) -> wire.BulkAnswer:
    asked = {"action": "retry", "q": "is:failed", "expect": 1_000, **members}
    return await bulk.ask(jobs, json.dumps(asked).encode(), Actor("ada"), "once", Who())


async def shown(jobs: Bulk, job_id: str | None) -> wire.BulkAnswer:
    job = await jobs.job(job_id or "")
    return bulk.answer_of(job, await jobs.came(job))


async def to_the_end(it: World, **members: object) -> wire.BulkAnswer:
    """The job, asked for with its key until it has ended, and its runs with it."""
    jobs = jobs_of(it)
    async with trio.open_nursery() as nursery:
        await nursery.start(jobs.run)
        begun = await ask(jobs, **members)
        while (answer := await shown(jobs, begun.id)).state == "running":
            await trio.sleep(0.1)
        await trio.sleep(5)
        answer = await shown(jobs, begun.id)
        jobs.close()
    return answer


def acts(path: Path) -> Counter[str]:
    """How often a job has acted on each run, as the journal tells."""
    with closing(sqlite3.connect(path)) as db:
        entries = [unpack(packed)[0] for (packed,) in db.execute("SELECT packed FROM journal")]
    events = [(line.run_id, line.event) for lines in entries for line in lines]
    return Counter(
        run_id for run_id, event in events if isinstance(event, Acted) and " bulk:" in event.actor
    )


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("first", [None, 2])
async def test_every_run_once_whenever_the_engine_ends(
    path: Path, tmp_path: Path, autojump_clock: object, first: int | None, *, after: bool
) -> None:
    """With each of its commits in turn, until it comes to an end without one."""
    whole = 0
    for at in range(2, 200):  # the first begins an epoch
        file, app = tmp_path / f"{at}.db", Endpoint()
        await fail_some(file, app)
        died = True
        with suppress(BaseExceptionGroup):
            async with world(file, app, write_offload=dying(at, after=after)) as it:
                await to_the_end(it, first=first)
                died = False
        async with world(file, app) as it:
            job = await to_the_end(it, first=first)
        assert (job.state, job.done, job.skipped, job.runs) == (
            "done", RUNS, {}, {"completed": RUNS},
        ), at  # fmt: skip
        found = acts(file)
        assert (len(found), set(found.values())) == (RUNS, {1}), at
        whole += not died
        if whole == 2:
            break
    assert whole == 2
    assert at > 2 * RUNS


async def test_what_came_of_them(path: Path, autojump_clock: object) -> None:
    """By the generation that the job left each run in, whatever was done to it since: how it has
    ended, with which status, or how it stands. The filter finds those that it acted on."""
    app = Endpoint()
    await fail_some(path, app, 7)
    app.always = {"k1": 503, "k2": 503, "k3": 402}
    app.holds_back = {"k4"}
    async with world(path, app) as it:
        jobs, views = jobs_of(it), TableViews(it.store)
        ids = [run.id for run in (await views.runs(RunQuery(newest_first=False))).runs]
        async with trio.open_nursery() as nursery:
            await nursery.start(jobs.run)
            begun = await ask(jobs, ratePerS=1)
            await it.act(ids[6], Action.RETRY)  # so it has moved when its turn comes
            await trio.sleep(60)
            job = await shown(jobs, begun.id)
            assert (job.state, job.done, job.skipped) == ("done", 6, {"revision-changed": 1})
            assert job.runs == {"completed": 2, "failed": 3, "running": 1}
            assert job.failures == (
                wire.FailedRuns(503, None, 2), wire.FailedRuns(402, None, 1),
            )  # fmt: skip
            app.always = {}
            await it.act(ids[1], Action.RETRY)
            await it.act(ids[4], Action.CANCEL)
            await trio.sleep(10)
            job = await shown(jobs, begun.id)
            assert job.runs == {"completed": 2, "failed": 3, "cancelled": 1}
            jobs.close()
        for text, wanted in (
            (f"job:{begun.id}", ids[:6]),
            (f"job:{begun.id}/refused", ids[6:]),
            (f"job:{begun.id} is:completed", [ids[0], ids[1], ids[5]]),
            (f"!job:{begun.id}", ids[6:]),
            (f"!job:{begun.id} !job:{begun.id}/refused", []),
            ("job:none", []),
        ):
            found: list[str] = []
            cursor = None
            while True:
                query = RunQuery(filter=parse(text), newest_first=False, limit=2, cursor=cursor)
                page = await views.runs(query)
                found += [run.id for run in page.runs]
                if (cursor := page.next) is None:
                    break
            assert found == wanted, text
            newest = await views.runs(RunQuery(filter=parse(text)))
            assert [run.id for run in newest.runs] == wanted[::-1]


async def test_of_a_workflow_the_step_at_fault_is_told(path: Path, autojump_clock: object) -> None:
    """A workflow that fails because a step of it does is told by that step's status, also when
    that step has been answered otherwise since."""
    status = 503

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return Answered(status)
        await it.post("http://app:9000/step", "k", parent_token=call.parent_token, retry=ONCE)
        return ok() if status == 200 else Answered(424)

    async with world(path, app) as it:
        recorded(await it.post(retry=ONCE))
        job = await to_the_end(it)
        assert job.failures == (wire.FailedRuns(503, None, 1),)
        status = 200
        (run,) = (await TableViews(it.store).runs(RunQuery())).runs
        await it.act(run.id, Action.RETRY)
        await trio.sleep(5)
        (run,) = (await TableViews(it.store).runs(RunQuery())).runs
        assert run.state == "completed"
        told = await shown(jobs_of(it), job.id)
        assert (told.runs, told.failures) == ({"failed": 1}, job.failures)


async def test_another_payload_for_one_of_the_first(path: Path, autojump_clock: object) -> None:
    """The generation that the job left it in is given up, and has no outcome: what is waited for,
    and told, is that of the next."""
    app = Endpoint()
    slow = RetryPolicy(count=1, back_off_ms=600_000, jitter=0)
    async with world(path, app) as it:
        for key, retry in (("k0", slow), ("k1", ONCE)):
            recorded(await it.post(key=key, retry=retry))
        app.mended, app.always = True, {"k0": 503}
        jobs = jobs_of(it)
        async with trio.open_nursery() as nursery:
            await nursery.start(jobs.run)
            begun = await ask(jobs, first=1)
            await trio.sleep(10)
            assert (await shown(jobs, begun.id)).runs == {"backing-off": 1}
            app.always = {}
            runs = await TableViews(it.store).runs(RunQuery(newest_first=False))
            given = Given(200, b"2", None, b"2", "application/json", json=True)
            await it.act(
                runs.runs[0].id, Action.RERUN, step_id=runs.runs[0].id, given=given, reason="a typo"
            )
            await trio.sleep(60)
            job = await shown(jobs, begun.id)
            assert (job.state, job.done, job.runs) == ("done", 2, {"completed": 2})
            jobs.close()


async def test_what_retention_has_removed_is_told_so(path: Path, autojump_clock: object) -> None:
    """It was acted on; what came of it is not known any more."""
    app = Endpoint()
    await fail_some(path, app, 3)
    async with world(path, app) as it:
        job = await to_the_end(it)
        now = it.engine.clock.steady_ms()
        ids = [run.id for run in (await TableViews(it.store).runs(RunQuery())).runs]
        assert await it.store.expire(ids[:2], {"completed": now}) == 2
        assert (await shown(jobs_of(it), job.id)).runs == {"expired": 2, "completed": 1}
        found = await TableViews(it.store).runs(RunQuery(filter=parse(f"job:{job.id}")))
        assert [run.id for run in found.runs] == ids[2:]
