"""A file that gives back what was freed in it, and what keeps it from that."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from click.testing import CliRunner, Result

from engine.cli.main import main
from engine.ports.store import StoreError
from engine.store.sqlite import compact as room
from engine.store.sqlite import store as sqlite_store
from engine.store.sqlite.compact import compact
from engine.store.sqlite.verify.verify import verify
from tests.store.older import TO_M002
from tests.store.support import OWNER, answered, change_file, new_run, rows, started, store_at

BEFORE = {"completed": 1_000}


class Usage(NamedTuple):
    """As `shutil.disk_usage` has it."""

    total: int
    used: int
    free: int


async def _command(*arguments: str) -> Result:
    """The command as a person gives it: where there is no loop, as there is in this test."""
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, list(arguments)))


async def file_with_freed_pages(path: Path) -> None:
    """Of 1,500 runs all but one have gone."""
    async with store_at(path, synchronous="OFF") as store:
        ids = []
        for number in range(1_500):
            run, first = new_run(f"{number:04}")
            for write in (first, started(run, 1), answered(run, 2)):
                store.write(write)
            ids.append(run.id)
        await store.load_runs(ids[:1], 0)  # its rows are written by then
        assert await store.expire(ids[1:], BEFORE) == 1_499


async def test_what_was_freed_is_given_back(path: Path) -> None:
    """The file is smaller, has the same content, is whole, and an engine goes on with it."""
    await file_with_freed_pages(path)
    tables = ("journal", "run", "step", "attempt", "outcome", "expired", "engine")
    had = {table: rows(path, f"SELECT * FROM {table} ORDER BY 1") for table in tables}
    before = path.stat().st_size
    done = await _command("compact", str(path), "--json")
    assert done.exit_code == 0, done.output
    assert path.stat().st_size < 0.7 * before
    assert f'"before": {before}' in done.output
    assert {table: rows(path, f"SELECT * FROM {table} ORDER BY 1") for table in tables} == had
    assert rows(path, "PRAGMA freelist_count") == [(0,)]
    assert verify(path).faults == []
    async with store_at(path) as store:
        assert await store.load_runs(("R0000",), 0)
    again = await _command("compact", str(path))
    assert f"{path.stat().st_size:,} now" in again.output


async def test_what_ends_it_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the work: the error is told, and nothing is lost."""
    await file_with_freed_pages(path)
    prepare, had = sqlite_store.prepare, rows(path, "SELECT * FROM expired ORDER BY 1")

    def ends_early(path: Path) -> sqlite3.Connection:
        connection = prepare(path)
        connection.set_progress_handler(lambda: 1, 100)
        return connection

    monkeypatch.setattr(room, "prepare", ends_early)
    before = path.stat().st_size
    with pytest.raises(StoreError, match="interrupted"):
        compact(path, OWNER)
    assert path.stat().st_size == before
    assert rows(path, "SELECT * FROM expired ORDER BY 1") == had
    assert verify(path).faults == []


async def test_it_is_refused_where_it_cannot_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, and nothing changed: no file, an empty one, an engine's, a full disk."""
    for there in (False, True):
        if there:
            path.touch()
        with pytest.raises(StoreError, match="does not exist, or is empty"):
            compact(path, OWNER)
    path.unlink()
    async with store_at(path):
        with pytest.raises(StoreError, match="in use by the engine"):
            compact(path, OWNER)
    for statement in TO_M002:  # a file of an engine of before
        change_file(path, statement)
    before = path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda where: Usage(0, 0, 2 * len(before)))
    done = await _command("compact", str(path))
    assert done.exit_code == 4
    assert "Nothing was changed" in done.output
    assert path.read_bytes() == before
    enough = 3 * len(before) + (1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda where: Usage(0, 0, enough))
    compact(path, OWNER)
