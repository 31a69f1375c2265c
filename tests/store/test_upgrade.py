"""A file of an older engine: its migrations find out what was not recorded then."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.store.sqlite.store import SqliteStore
from tests.store.older import TO_M001, TO_M002
from tests.store.support import answered, change_file, new_run, rows, started, store_at, the_run


async def _write(store: SqliteStore, key: str, status: int) -> None:
    run, first = new_run(key)
    for write in (first, started(run, 1), answered(run, 2, status)):
        await store.write(write).wait()
    await store.load_runs((run.id,), 0)  # its rows are written by then


@pytest.mark.parametrize("back", [TO_M002, TO_M001])
async def test_whether_a_function_is_at_work_is_told_from_its_end(
    path: Path, back: tuple[str, ...]
) -> None:
    """As truthfully as possible: a gateway's time-out was no answer, a failure was one."""
    async with store_at(path) as store:
        for key, status in (("cut", 504), ("failed", 500), ("done", 200)):
            await _write(store, key, status)
    for statement in back:
        change_file(path, statement)
    with pytest.raises(sqlite3.OperationalError, match="may_post"):
        rows(path, "SELECT may_post FROM step")
    async with store_at(path) as store:
        found = await store.load_runs(("Rcut", "Rfailed", "Rdone"), 0)
        assert [the_run(stored).root.may_post for stored in found] == [True, False, False]
    assert rows(path, "SELECT count(*) FROM run WHERE cause IS NOT NULL") == [(0,)]
