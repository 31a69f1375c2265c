"""What the store removes and what it keeps, whatever it is asked to remove."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.retry import DAY_MS
from engine.ports.retention import Expired
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views.views import TableViews
from tests.store.support import answered, change_file, new_run, rows, started, store_at

BEFORE = {"completed": DAY_MS, "failed": DAY_MS, "cancelled": DAY_MS}
TABLES = ("run", "step", "attempt", "outcome")


async def completed(store: SqliteStore, key: str, at: int = 0) -> str:
    """A run that ends two milliseconds after this time, with its rows."""
    run, first = new_run(key, at)
    for write in (first, started(run, at + 1), answered(run, at + 2)):
        await store.write(write).wait()
    await store.load_runs((run.id,), 0)
    return run.id


async def test_a_run_goes_whole_and_its_neighbours_stay(path: Path) -> None:
    """Ids that begin alike are of other runs. The counts follow, in the file and in memory."""
    async with store_at(path) as store:
        ids = [await completed(store, key) for key in ("1", "10", "2")]
        assert await store.expire(ids[:1], BEFORE) == 1
        assert store.writer.run_counts["completed"] == 2
        found = store.find_run("shop", "w", "1")
        assert isinstance(found, Expired)
        assert (found.run_id, found.state, found.submitted_at, found.ended_at) == (
            "R1", "completed", 0, 2,
        )  # fmt: skip
        assert await store.expired("R1") == found
        assert (store.find_run("shop", "w", "10"), await store.expired("R10")) == ("R10", None)
        owners = await TableViews(store).clients_of(["R1", "R10", "R9"])
        assert owners == {"R1": "shop", "R10": "shop"}, "who reads its events knows whose they are"
    for table in TABLES:
        column = "id" if table in ("run", "step") else "step_id"
        assert rows(path, f"SELECT {column} FROM {table} ORDER BY 1") == [("R10",), ("R2",)]
    assert rows(path, "SELECT runs FROM tally WHERE state = 'completed'") == [(2,)]
    async with store_at(path) as store:
        assert (store.any_expired, await store.expired("R1")) == (True, found)


@pytest.mark.parametrize("at", [DAY_MS - 2, DAY_MS - 1, DAY_MS])
async def test_the_store_looks_again_at_the_time(path: Path, at: int) -> None:
    """What ended at the limit or later stays, though it was asked to remove it."""
    async with store_at(path) as store:
        run_id = await completed(store, "k", at)
        assert await store.expire([run_id], BEFORE) == 0
        assert await store.expire([run_id], {"failed": 2 * DAY_MS}) == 0
        assert await store.expire([], BEFORE) == 0
    assert rows(path, "SELECT count(*) FROM run") == [(1,)]


async def test_a_run_stays_while_the_tables_may_lack_something_of_it(path: Path) -> None:
    """A start would fold events of a run that is not there: all that the journal says of it must be
    in its rows, as far as the tables are complete."""
    async with store_at(path) as store:
        run_id = await completed(store, "k")
        change_file(path, "UPDATE engine SET caught_up = 2")
        assert await store.expire([run_id], BEFORE) == 0
        change_file(path, "UPDATE engine SET caught_up = 99")
        assert await store.expire([run_id], BEFORE) == 1


async def test_rows_on_their_way_come_before_a_run_goes(path: Path) -> None:
    """They would come back without the rest of it."""
    async with store_at(path) as store:
        run, first = new_run("k")
        for write in (first, started(run, 1), answered(run, 2)):
            store.write(write)
        assert await store.expire([run.id], BEFORE) == 1
    assert [rows(path, f"SELECT count(*) FROM {table}") for table in TABLES] == [[(0,)]] * 4
    async with store_at(path) as store:
        assert await store.load_runs(("Rk",), 0) == []


async def test_keys_are_forgotten_by_their_time(path: Path) -> None:
    """Only those that were asked for, and whose runs ended long enough ago."""
    async with store_at(path) as store:
        ids = [await completed(store, key, at) for key, at in (("a", 0), ("b", 5_000), ("c", 0))]
        await store.expire(ids, BEFORE)
        assert await store.old_keys(1_000, "~", "", 10) == ["Ra", "Rc"]
        assert await store.old_keys(1_000, "~", "Ra", 10) == ["Rc"]
        assert await store.old_keys(9_000, "Rb", "", 10) == ["Ra"]
        assert await store.forget_keys(["Ra", "Rb"], 1_000) == 1
        assert await store.expired("Ra") is None
        assert await store.expired("Rb") is not None
