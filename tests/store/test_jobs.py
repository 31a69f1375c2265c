"""Bulk jobs in the file: written whole, found by their keys, forgotten some runs at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.core.errors import RefusedForDamage
from engine.core.events import Actor
from engine.core.filter import parse
from engine.core.model import Move
from engine.core.rules.action import Action
from engine.core.text.ulid import first_run_id
from engine.ports.jobs import Came, CameTo, Job, JobOrder, JobRun, KeptJob
from engine.ports.views import RunQuery
from engine.store.tables import jobs as tables
from engine.store.tables.views import filter as filters
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.views.views import TableViews
from tests.store.faults import Disk
from tests.store.support import a_job, answered, change_file, new_run, rows, started, store_at

ORDER = JobOrder(
    Action.RETARGET, "is:live", 7, 20, Actor("ada (ci)", "::1"), "why", Move("http://a/", "http://b/"),
    only="shop", first=3, token="ci", key="k",
)  # fmt: skip


async def test_a_job_comes_back_as_it_was(path: Path) -> None:
    """All of it, with who asked for it, how, and how far it is."""
    job = Job("J1", ORDER, "f", 1, 2, 3, {"it is paused": 1}, {"not-possible": ["no", "never"]})
    job.done, job.aborted, job.stopped_because, job.first_completed = 1, True, "bob", True
    async with store_at(path) as store:
        jobs = TableJobs(store)
        jobs.add_runs("J1", [JobRun("R2", None), JobRun("R1", 5)])
        await jobs.record(job).wait()
    async with store_at(path) as store:
        jobs = TableJobs(store)
        assert await jobs.under_way() == [job]
        assert await jobs.job("J1") == job
        assert await jobs.to_do("J1", "", 9) == [JobRun("R1", 5), JobRun("R2", None)]
        assert await jobs.to_do("J1", "R1", 9) == [JobRun("R2", None)]
        job.ended_at = 7
        await jobs.record(job, CameTo("R1", 6, 2)).wait()
        assert await jobs.to_do("J1", "", 9) == [JobRun("R2", None)]
        assert (await jobs.under_way(), await jobs.kept()) == ([], [KeptJob("J1", "shop", 2, 7)])


async def test_jobs_are_found_by_whose_they_are(path: Path) -> None:
    """The latest first, in pages; by key those of the same client, or of all, alone."""
    async with store_at(path) as store:
        jobs = TableJobs(store)
        for number, only in enumerate(("shop", None, "cafe", "shop")):
            receipt = jobs.record(a_job(f"J{number}", only=only, key="k"))
        await receipt.wait()

        async def ids(only: str | None, cursor: str | None, limit: int = 9) -> list[str]:
            return [job.id for job in await jobs.jobs(only, cursor, limit)]

        assert await ids(None, None) == ["J3", "J2", "J1", "J0"]
        assert await ids(None, "J3", 2) == ["J2", "J1"]
        assert await ids("shop", None) == ["J3", "J0"]
        assert await ids("shop", "J3") == ["J0"]
        for only, id in (("shop", "J3"), (None, "J1"), ("cafe", "J2")):
            found = await jobs.job_of_key(only, "k")
            assert found is not None
            assert found.id == id
        assert await jobs.job_of_key("sho", "k") is None


@pytest.mark.parametrize("bad", ["{}", "no JSON", '{"id": 1}'])
async def test_a_record_that_cannot_be_read_keeps_nobody_from_the_others(
    path: Path, bad: str
) -> None:
    """The log says so, once; whoever asks for it, or for one with its key, is told so."""
    lost = first_run_id(5_000)
    async with store_at(path) as store:
        for id in ("J1", lost, "J3"):
            await TableJobs(store).record(a_job(id, key=id)).wait()
    change_file(path, f"UPDATE job SET record = '{bad}' WHERE id = '{lost}'")
    logged: list[tuple[str, str]] = []
    async with store_at(path) as store:
        jobs = TableJobs(store, lambda event, job, why: logged.append((event, job)))
        assert [job.id for job in await jobs.under_way()] == ["J1", "J3"]
        assert [job.id for job in await jobs.jobs(None, None, 2)] == ["J3", "J1"]
        assert [job.id for job in await jobs.jobs(None, None, 1)] == ["J3"]
        for call in (jobs.job(lost), jobs.job_of_key(None, lost)):
            with pytest.raises(RefusedForDamage, match=f"bulk job {lost} cannot be read"):
                await call
        # Nothing ends it: it goes as one that ended when it began.
        assert [(it.id, it.ended_at) for it in await jobs.kept()] == [(lost, 5_000)]
        await jobs.forget(lost)
        assert (await jobs.kept(), await jobs.job(lost)) == ([], None)
    assert logged == [("bulk-job-unreadable", lost)]


async def test_a_job_goes_with_all_of_its_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some with each commit; no other's go. What was never begun is found by its runs."""
    monkeypatch.setattr(tables, "SQL_FORGET_RUNS", tables.SQL_FORGET_RUNS.replace("2000", "3"))
    async with store_at(path) as store:
        jobs = TableJobs(store)
        for id in ("J1", "J2", "J3"):
            jobs.add_runs(id, [JobRun(f"R{number}", None) for number in range(7)])
        jobs.record(a_job("J1"))
        await jobs.record(a_job("J3")).wait()
        assert await jobs.unbegun() == ["J2"]
        await jobs.forget("J2")
        await jobs.forget("J3")
        await jobs.forget("J0")
        assert [job.id for job in await jobs.jobs(None, None, 9)] == ["J1"]
    assert rows(path, "SELECT job_id, count(*) FROM job_run GROUP BY 1") == [("J1", 7)]


async def test_while_the_store_is_away_the_list_is_whole(path: Path) -> None:
    """Runs of which only the journal knows all are in it, as the others: each once."""
    disk = Disk()
    async with store_at(path, write_offload=disk) as store:
        jobs, views = TableJobs(store), TableViews(store)
        jobs.add_runs("J1", [JobRun(f"R{key}", None) for key in "abc"])
        for key in "ab":
            jobs.record(a_job("J1"), CameTo(f"R{key}", 1, 1))
        store.write(new_run("a")[1])
        await store.writer.wait_rows()
        await store.write(new_run("b")[1]).wait()
        disk.code = sqlite3.SQLITE_FULL
        assert await store.write(new_run("c")[1]).wait_unless_away() is False
        assert jobs.away is not None
        assert rows(path, "SELECT id FROM run") == [("Ra",)]
        found = await views.runs(RunQuery(filter=parse("job:J1")))
        assert [run.id for run in found.runs] == ["Rb", "Ra"]
        disk.code = None


async def test_what_came_of_runs_that_are_not_there(path: Path) -> None:
    """They were removed; those that refused, or have not had their turn, are not counted."""
    async with store_at(path) as store:
        jobs = TableJobs(store)
        jobs.add_runs("J1", [JobRun(id, None) for id in ("R1", "R2", "R3")])
        jobs.record(a_job("J1"), CameTo("R1", 1, 1))
        await jobs.record(a_job("J1"), CameTo("R2", 1, None, "not-possible")).wait()
        assert await jobs.came("J1") == [Came("expired", 1)]
        (end,) = await jobs.ends("J1", 9)
        assert (end.run_id, end.state) == ("R1", "expired")


async def test_a_first_run_that_failed_and_has_gone_is_told_without_a_reason(path: Path) -> None:
    """Retention may remove it while its job waits for the others."""
    async with store_at(path) as store:
        run, write = new_run("1")
        for each in (write, started(run, 1), answered(run, 2, 410)):
            await store.write(each).wait()
        await store.load_runs(("R1",), 0)  # its rows are written by then
        jobs = TableJobs(store)
        jobs.add_runs("J1", [JobRun("R1", None)])
        await jobs.record(a_job("J1"), CameTo("R1", 6, 1)).wait()
        (end,) = await jobs.ends("J1", 9)
        assert (end.state, end.reason is None) == ("failed", False)
        assert await store.expire(("R1",), {"failed": 9}) == 1
        (end,) = await jobs.ends("J1", 9)
        assert (end.run_id, end.state, end.reason) == ("R1", "failed", None)


async def test_a_jobs_runs_alone_are_looked_at(path: Path) -> None:
    """By the table's own key, whatever else the filter says."""
    async with store_at(path) as store:
        candidates = filters.Candidates(parse("is:live job:J1 is:stuck"), newest_first=True)
        explained = f"EXPLAIN QUERY PLAN {candidates._sql}"
        plan = store._connection.execute(explained, ("J1", "~")).fetchall()
        assert [row["detail"] for row in plan] == [
            "SEARCH job_run USING PRIMARY KEY (job_id=? AND run_id<?)"
        ]
