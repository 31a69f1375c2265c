"""A copy that is made while the file is written to: of one moment, whole, never over another."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
import trio

from engine.ports.store import StoreError
from engine.store.sqlite.backup import backup
from engine.store.sqlite.backup.backup import Pace, SqliteCopies, copy
from engine.store.sqlite.file.wal import LONG_BYTES
from engine.store.sqlite.verify.verify import verify
from tests.store.support import history, new_run, rows, store_at


def told_nobody(done: int, of: int) -> None:
    """Who asks for a copy need not look."""


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A file with some runs, which nobody has open."""
    async with store_at(tmp_path / "a.db") as store:
        history(store)
        for number in range(400):
            store.write(new_run(f"{number:04}")[1])
    return tmp_path / "a.db"


async def test_a_copy_is_of_one_moment_whatever_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits between its steps are in none of it; it is whole, alone, and its user's alone."""
    monkeypatch.setattr(backup, "PAGES_AT_ONCE", 1)
    monkeypatch.setattr(backup, "PAUSE_S", 0)
    target = tmp_path / "copy.db"
    async with store_at(tmp_path / "a.db") as store:
        history(store)
        await store.writer.wait_rows()
        steps = []
        before = store.last_seq

        async def commit(number: int) -> None:
            await store.write(new_run(f"{number}")[1]).wait()

        def told(done: int, of: int) -> None:
            steps.append((done, of))
            if len(steps) <= 20:
                trio.from_thread.run(commit, len(steps))

        done = await SqliteCopies(store.path, store.wal).back_up(target, told)
        assert store.last_seq > before
        assert store.wal.kept_by == ""
    assert len(steps) > 10
    assert steps[-1][0] == steps[-1][1]
    assert (done.file, done.size) == (str(target), target.stat().st_size)
    assert done.last_seq == before
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {each.name for each in tmp_path.iterdir() if each.name.startswith("copy")} == {"copy.db"}
    report = verify(target)
    assert report.faults == []
    assert "3 runs" in {it.name: it.what for it in report.checked}["rows"]
    assert {each.name for each in tmp_path.iterdir() if each.name.startswith("copy")} == {"copy.db"}


async def test_a_copy_opens_as_the_file_does(source: Path, tmp_path: Path) -> None:
    """An engine goes on with it."""
    copy(source, tmp_path / "copy.db", Pace(told_nobody))
    async with store_at(tmp_path / "copy.db") as store:
        assert store.find_run("shop", "w", "0007") == "R0007"


def _contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}


@pytest.mark.parametrize(
    ("name", "there", "why"),
    [
        ("copy.db", "copy.db", "is there already, and nothing is written over"),
        ("copy.db", "copy.db-wal", "copy.db-wal is there already"),
        ("copy.db", "copy.db-journal", "copy.db-journal is there already"),
        ("copy.db", "copy.db.part", "another copy is being made, or is left of one"),
        ("a.db-journal", None, "would be taken for a part of"),
        ("copy.db.part", None, "would be taken for a part of"),
        ("none/copy.db", None, "there is no directory"),
    ],
)
async def test_nothing_is_written_over(
    source: Path, tmp_path: Path, name: str, there: str | None, why: str
) -> None:
    """Nor made where SQLite would take it for something else; all is left as it was."""
    if there is not None:
        (tmp_path / there).write_bytes(b"mine")
    before = _contents(tmp_path)
    with pytest.raises(StoreError, match=why):
        copy(source, tmp_path / name, Pace(told_nobody))
    after = _contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"a.db-wal", "a.db-shm"}


async def test_a_name_that_is_taken_meanwhile_stays_whose_it_is(
    source: Path, tmp_path: Path
) -> None:
    """Also without a look: the name is given by a link."""
    target = tmp_path / "copy.db"

    def told(done: int, of: int) -> None:
        target.write_bytes(b"mine")

    with pytest.raises(StoreError, match="it is there by now"):
        copy(source, target, Pace(told))
    assert target.read_bytes() == b"mine"
    assert not target.with_name("copy.db.part").exists()


async def test_a_file_system_without_links_gets_it_by_its_name(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some mounts are."""

    def link(*names: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    copy(source, tmp_path / "copy.db", Pace(told_nobody))
    assert verify(tmp_path / "copy.db").faults == []


async def test_a_full_disk_is_left_as_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own file may be on it: it is asked before, and at each step."""
    real, asked = os.statvfs, []

    def statvfs(path: Path) -> object:
        asked.append(path)
        found = real(path)
        if len(asked) < 3:
            return found
        return os.statvfs_result((found.f_bsize, found.f_frsize, *(found[2:4]), 1, *found[5:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(backup, "PAGES_AT_ONCE", 1)
    with pytest.raises(StoreError, match="0 MiB left, and a copy needs"):
        copy(source, tmp_path / "copy.db", Pace(told_nobody))
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("copy")]


async def test_a_copy_that_is_stopped_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """The engine ends: within a step."""
    stop = Event()

    def told(done: int, of: int) -> None:
        stop.set()

    with pytest.raises(StoreError, match="The engine stopped meanwhile"):
        copy(source, tmp_path / "copy.db", Pace(told, stop=stop))
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("copy")]


async def test_an_engine_that_ends_waits_for_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the middle, the thread is told, and gone."""
    monkeypatch.setattr(backup, "PAGES_AT_ONCE", 1)
    monkeypatch.setattr(backup, "PAUSE_S", 60)
    async with store_at(tmp_path / "a.db") as store:
        copies = SqliteCopies(store.path, store.wal)
        begun = trio.Event()

        def told(done: int, of: int) -> None:
            trio.from_thread.run_sync(begun.set)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(copies.back_up, tmp_path / "copy.db", told)
            with trio.fail_after(10):
                await begun.wait()
                assert store.wal.kept_by
                nursery.cancel_scope.cancel()
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("copy")]


async def test_a_log_that_grows_meanwhile_takes_its_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader keeps the log from beginning anew, so a copy of a busy file hurries."""
    async with store_at(tmp_path / "a.db") as store:
        history(store)
        copies = SqliteCopies(store.path, store.wal)
        paces = []
        monkeypatch.setattr(backup, "copy", lambda source, target, pace: paces.append(pace))
        await copies.back_up(tmp_path / "copy.db", told_nobody)
        (pace,) = paces
        assert not pace.is_pressed()
        monkeypatch.setattr(type(store.wal), "bytes", LONG_BYTES + 1)
        assert pace.is_pressed()


async def test_a_damaged_file_gives_no_copy(source: Path, tmp_path: Path) -> None:
    """A copy that cannot be read would be found when it is needed."""
    with closing(sqlite3.connect(source)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'step'").fetchone()[0]
    data = bytearray(source.read_bytes())
    data[(root - 1) * 4_096 : (root - 1) * 4_096 + 64] = b"\xff" * 64
    source.write_bytes(data)
    with pytest.raises(StoreError, match=r"is not whole|was not made"):
        copy(source, tmp_path / "copy.db", Pace(told_nobody))
    assert not (tmp_path / "copy.db").exists()


async def test_rows_that_lag_are_folded_by_who_starts_on_the_copy(tmp_path: Path) -> None:
    """A copy has all that was committed, in its journal at least."""
    async with store_at(tmp_path / "a.db") as store:
        await store.write(new_run("late")[1]).wait()
        copy(store.path, tmp_path / "copy.db", Pace(told_nobody))
    assert rows(tmp_path / "copy.db", "SELECT id FROM run") == []
    async with store_at(tmp_path / "copy.db"):
        assert rows(tmp_path / "copy.db", "SELECT id FROM run") == [("Rlate",)]
