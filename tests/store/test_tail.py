"""What is read while the store is away: all that is durable, as a start would find it."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from engine.core.errors import Problem, Refused
from engine.core.filter import parse
from engine.core.model import Run
from engine.ports.store import Stopped
from engine.ports.views import RetriesFound, RetryQuery, RunQuery, RunsFound
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.tail import Tail, _hide
from engine.store.tables.connection import SQL, snapshot
from engine.store.tables.views import boards
from engine.store.tables.views import filter as filters
from engine.store.tables.views.views import TableViews
from tests.store.faults import Disk
from tests.store.support import HOT, answered, new_run, parameters, rows, started, store_at

FAILS, FAILS_FOR_GOOD = 500, 410
BEFORE = {"a": (), "b": (410,), "c": (200,), "d": (500,), "h": (500,), "x": (410,)}
"""Runs whose rows are in the tables, and how they were answered."""
SINCE = {"a": (410,), "d": (500, 200), "e": (200,), "f": (410,), "g": (500,), "i": ()}
"""What is only in the journal, of some of them and of runs that the tables do not know at all."""
RUNS = sorted(f"R{key}" for key in BEFORE | SINCE)
NOW = 2_000
FILTERS = (
    *("is:stuck", "is:live", "is:ended", "!is:stuck", "is:late", "try:>1", "code:410"),
    *("due:<1h", "w", "step:w", "cause:http-status*", "!key:a is:failed"),
    *(
        "error:ANSWERED*410",
        "!error:answered",
        "error:broke",
        "!error:broke is:stuck",
        "error:\u00fc",
    ),
)


async def fill(store: SqliteStore) -> None:
    """Write all of that, and stop a run; of the last part no rows have followed yet."""
    at, runs = 0, dict[str, Run]()
    for part in (BEFORE, SINCE):
        for key, answers in part.items():
            if key not in runs:
                runs[key], write = new_run(key, at)
                receipt = store.write(write)
            for status in answers:
                at += 10
                store.write(started(runs[key], at))
                receipt = store.write(answered(runs[key], at + 5, status))
        await (store.writer.wait_rows() if part is BEFORE else receipt.wait())
    store.withhold("Rx")
    x = runs["x"]
    stopped = Stopped("Rx", "shop", "failed", x.rev, x.root.state, x.root.rev, "it broke")
    await store.stop(stopped, at + 10).wait()


@asynccontextmanager
async def away(path: Path) -> AsyncIterator[tuple[TableViews, SqliteStore]]:
    """The views of a store that is away, with the rows of some runs behind."""
    disk = Disk()
    async with store_at(path / "a.db", write_offload=disk) as store:
        await fill(store)
        disk.code = sqlite3.SQLITE_FULL
        later = store.write(new_run("later")[1])
        assert await later.wait_unless_away() is False
        yield TableViews(store), store
        disk.code = None
        await later.wait()


@asynccontextmanager
async def away_and_restarted(path: Path) -> AsyncIterator[tuple[TableViews, TableViews]]:
    """The same, and what a start makes of a copy of the file."""
    async with away(path) as (views, _):
        known = [run_id for (run_id,) in rows(path / "a.db", "SELECT id FROM run ORDER BY id")]
        assert known == sorted(f"R{key}" for key in BEFORE), "the rows of the others are behind"
        (path / "copy").mkdir()
        for name in ("a.db", "a.db-wal"):
            shutil.copy(path / name, path / "copy" / name)
        async with store_at(path / "copy" / "a.db") as restarted:
            yield views, TableViews(restarted)


async def pages(views: TableViews, query: RunQuery) -> list[RunsFound]:
    """What a query finds, page after page."""
    found = [await views.runs(query)]
    while (cursor := found[-1].next) is not None:
        found.append(await views.runs(replace(query, cursor=cursor)))
    return found


async def test_lists_are_whole(autojump_clock, tmp_path: Path) -> None:
    """The same runs on the same pages, and as many of them, as after a start."""
    async with away_and_restarted(tmp_path) as (views, after):
        everything = await views.runs(RunQuery())
        assert [run.id for run in everything.runs] == RUNS[::-1]
        assert (everything.total, everything.total_is_estimate) == (len(RUNS), False)
        states = ((), ("failed",), ("completed", "backing-off"))
        for some, limit, newest, client in product(
            states, (1, 2, 5, 50), (True, False), (None, "shop", "other")
        ):
            query = RunQuery(client, states=some, newest_first=newest, limit=limit)
            assert await pages(views, query) == await pages(after, query), query


async def test_filters_look_at_all(autojump_clock, tmp_path: Path) -> None:
    """The same runs in the same order, and as many; also when a page comes short, because so many
    rows were looked at."""
    async with away_and_restarted(tmp_path) as (views, after):
        for text, limit, newest in product(FILTERS, (1, 3, 50), (True, False)):
            query = RunQuery(filter=parse(text), now=NOW, newest_first=newest, limit=limit)
            assert await pages(views, query) == await pages(after, query), query
        with (
            mock.patch.object(filters, "CHUNK_ROWS", 2),
            mock.patch.object(filters, "ROWS_LOOKED_AT_MAX", 2),
        ):
            for text, newest in product(FILTERS, (True, False)):
                query = RunQuery(filter=parse(text), now=NOW, newest_first=newest)
                found = [[r for page in await pages(each, query) for r in page.runs]
                         for each in (views, after)]  # fmt: skip
                assert found[0] == found[1], query


async def retry_pages(views: TableViews, query: RetryQuery) -> list[RetriesFound]:
    """What is tried next, page after page."""
    found = [await views.retries(query)]
    while (behind := found[-1].next) is not None:
        found.append(await views.retries(replace(query, after=behind)))
    return found


async def test_what_one_client_sees_is_whole(autojump_clock, tmp_path: Path) -> None:
    """Lists, counts, causes and what is tried next, for who sees one client alone."""
    async with away_and_restarted(tmp_path) as (views, after):
        for client in ("shop", "other"):
            query = RunQuery(only=client, limit=3)
            assert await pages(views, query) == await pages(after, query)
            assert await views.client_counts(client) == await after.client_counts(client)
            for now in (0, 500, 10 * NOW):
                here = await views.client_summary(client, now)
                assert here == await after.client_summary(client, now)
            causes = await views.causes(0, client)
            assert causes == await after.causes(0, client)
            known = [it.cause for it in causes]
            assert await views.stuck_of(known, client) == await after.stuck_of(known, client)
            retry = RetryQuery(now=NOW, only=client)
            assert await retry_pages(views, retry) == await retry_pages(after, retry)


async def test_boards_are_whole(autojump_clock, tmp_path: Path) -> None:
    """Why runs are stuck, what is tried next when, and what is counted for the status."""
    async with away_and_restarted(tmp_path) as (views, after):
        for since in (0, 20, 1_000):
            assert await views.causes(since) == await after.causes(since)
        found = [(each.runs, each.latest.id) for each in await views.causes(0)]
        assert found == [(3, "Rf"), (1, "Rx")]
        known = [each.cause for each in await views.causes(0)]
        assert await views.stuck_of(known) == await after.stuck_of(known)
        with mock.patch.object(boards, "CHUNK_ROWS", 1):
            for limit in (1, 2, 50):
                query = RetryQuery(now=NOW, limit=limit)
                assert await retry_pages(views, query) == await retry_pages(after, query)
            with mock.patch.object(boards, "ROWS_LOOKED_AT_MAX", 1):  # pages come short
                short = await retry_pages(views, RetryQuery(now=NOW))
        (page,) = await retry_pages(views, RetryQuery(now=NOW))
        assert page.retries == tuple(each for some in short for each in some.retries)
        assert [each.at.id for each in page.retries] == ["Rh", "Rg"]
        for now in (0, 500, 1_000, NOW, 10 * NOW):
            assert await views.due_counts(now) == await after.due_counts(now)
            assert await views.summary(now) == await after.summary(now)


async def test_trees_are_shown(autojump_clock, tmp_path: Path) -> None:
    """Runs, steps and attempts, also of runs that the tables do not know; of one that waits to be
    recorded it is said, and of none that there is none."""
    async with away_and_restarted(tmp_path) as (views, after):
        for run_id in RUNS:
            found = await views.tree(run_id)
            assert found is not None
            assert found == await after.tree(run_id)
            assert await views.step(run_id) == await after.step(run_id)
            outline = await views.outline(run_id)
            assert outline is not None
            assert outline == await after.outline(run_id)
            assert [it.id for it in found[1]] == [it.id for it in outline.steps]
            some = [it.id for it in found[1]]
            shown = await views.some_steps(run_id, some, 9)
            assert shown == await after.some_steps(run_id, some, 9)
            assert [step for step, _ in shown] == found[1]
        for read in (views.tree, views.outline, views.step):
            with pytest.raises(Refused, match="waits to be recorded") as caught:
                await read("Rlater")
            assert caught.value.problem is Problem.STORE_UNAVAILABLE
            assert await read("Rnone") is None


async def test_one_fold_serves_an_outage(autojump_clock, path: Path) -> None:
    """It is made when somebody reads, made anew for what is recorded later, and not kept after."""
    disk = Disk()
    async with store_at(path, write_offload=disk) as store:
        views, folds, tail = TableViews(store), [], store.tail
        assert isinstance(tail, Tail)
        for key in ("a", "b"):
            await store.write(new_run(key)[1]).wait()
            disk.code = sqlite3.SQLITE_FULL
            receipt = store.write(new_run(f"after {key}")[1])
            assert await receipt.wait_unless_away() is False
            assert f"Rafter {key}" not in str(await views.runs(RunQuery()))
            folds.append(tail._folded)
            assert await views.tree(f"R{key}") is not None
            assert (await views.summary(0)).stuck == 0
            assert tail._folded is folds[-1]
            disk.code = None
            await receipt.wait()
        assert folds[0] is not folds[1]
        assert (await views.runs(RunQuery())).total == 4
        assert tail._folded is None


@pytest.mark.parametrize(
    "name",
    sorted(
        {*HOT, "causes", "late_runs", "stuck_count", "stuck_of"}
        - {"journal_from", "large", "packed"}
    ),
)
async def test_hiding_runs_costs_no_index(path: Path, name: str) -> None:
    """Who reads the file without some runs reads no whole table for it."""
    async with store_at(path) as store:

        def plan(db: Any) -> list[str]:
            with snapshot(db):
                _hide(db, frozenset({"Ra"}))
                found = db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", parameters(SQL[name]))
                return [row["detail"] for row in found]

        details = await store.view_readers.read(plan)
    assert not [each for each in details if re.match(r"SCAN (main\.)?(run|step|attempt)$", each)]
    assert not [each for each in details if "MATERIALIZE" in each or "CO-ROUTINE run" in each]


async def test_a_reader_still_cannot_write(path: Path) -> None:
    """Hiding runs leaves a connection as it was."""
    async with store_at(path) as store:

        def work(db: Any) -> None:
            with snapshot(db):
                _hide(db, frozenset())
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                db.execute("CREATE TEMP TABLE t (a)")
            assert db.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone()[0] == 0

        await store.view_readers.read(work)
