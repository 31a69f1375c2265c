"""A store that cannot be written for a while: what waits is committed once, and nothing is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.ports.store import StoreStopped
from engine.store.away import AWAY_AFTER_S, Availability
from engine.store.sqlite.file import words
from engine.store.sqlite.file.words import FileWords, may_be_tried_again
from engine.store.sqlite.sink import Here
from engine.store.sqlite.store import SqliteStore
from tests.store.faults import Disk, sqlite_error
from tests.store.support import new_run, recorded, rows, store_at, the_run
from tests.world import payload_of


def why(store: SqliteStore) -> str:
    """Why the store is away, empty when it is not."""
    return "" if store.away is None else store.away.why


@pytest.mark.parametrize(
    ("name", "is_retried"),
    [
        ("BUSY", True),
        ("BUSY_SNAPSHOT", True),
        ("LOCKED", True),
        ("FULL", True),
        ("READONLY", True),
        ("CANTOPEN", True),
        ("IOERR_WRITE", True),
        ("IOERR_SHMSIZE", True),
        ("IOERR_FSYNC", False),
        ("IOERR_DIR_FSYNC", False),
        ("IOERR_READ", False),
        ("IOERR", False),
        ("READONLY_DBMOVED", False),
        ("CORRUPT", False),
        ("CONSTRAINT_UNIQUE", False),
        ("NOMEM", False),
    ],
)
def test_only_what_certainly_did_not_happen_is_made_again(name: str, is_retried: bool) -> None:
    """A lock, a full disk, a refused write; never a failed sync, nor what nobody has thought of."""
    assert may_be_tried_again(sqlite_error(getattr(sqlite3, f"SQLITE_{name}"))) is is_retried
    assert not may_be_tried_again(sqlite3.OperationalError("no code at all"))


async def test_a_foreign_lock_is_waited_for(autojump_clock, path: Path) -> None:
    """A real one: commits wait without holding the loop up, and are made once it is gone."""
    logged = []
    async with store_at(path, log=lambda event, **values: logged.append((event, values))) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            receipt = store.write(new_run("a")[1])
            with trio.move_on_after(30) as waited:
                await receipt.wait()
            assert waited.cancelled_caught
            assert why(store) == "another program holds the write lock."
            store.write(new_run("b")[1])
            assert store.backlog == 4
            other.execute("ROLLBACK")
        await receipt.wait()
        assert why(store) == ""
        assert recorded(path) == ["Ra", "Ra"]
        await store.writer.wait_rows()
    assert recorded(path) == ["Ra", "Ra", "Rb", "Rb"]
    events = [event for event, _ in logged]
    assert events[0] == "store-unavailable"
    assert set(events[1:-1]) == {"store-still-unavailable"}, "who holds it is said, each time later"
    assert 2 <= len(events[1:-1]) <= 4
    assert events[-1] == "store-available"
    assert logged[1][1]["away_ms"] >= 5_000


async def test_no_lock_is_waited_for_on_trios_thread(path: Path) -> None:
    """SQLite itself waits for nothing: a small commit is made on Trio's thread, with the loop."""
    async with store_at(path) as store:
        store.sink._here = Here()
        assert store._connection.execute("PRAGMA busy_timeout").fetchone()[0] == 0
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            receipt = store.write(new_run("a")[1])
            with trio.move_on_after(0.05):
                await receipt.wait()
            assert not receipt.durable
            other.execute("ROLLBACK")
        await receipt.wait()


async def test_a_full_file_is_waited_for(autojump_clock, path: Path) -> None:
    """SQLite's own error for want of room: the batch is made again, whole, when there is some."""
    async with store_at(path) as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(40):
            receipt = store.write(new_run(f"{number}-{'x' * 200}")[1])
        with trio.move_on_after(AWAY_AFTER_S * 3):
            await store.writer.wait_rows()
        assert "is full" in why(store)
        store._connection.execute("PRAGMA max_page_count = 100000")
        await receipt.wait()
        await store.writer.wait_rows()
        assert why(store) == ""
        assert len(rows(path, "SELECT 1 FROM run")) == 40
        assert len(recorded(path)) == 80


async def test_a_moment_is_nobodys_business(autojump_clock, path: Path) -> None:
    """What passes within half a second is neither told nor logged; what lasts longer is."""
    disk, logged = Disk(), []
    async with store_at(
        path, write_offload=disk, log=lambda event, **_: logged.append(event)
    ) as store:
        for lasts_s, told in ((AWAY_AFTER_S * 0.8, []), (AWAY_AFTER_S * 2, ["store-unavailable"])):
            disk.code = sqlite3.SQLITE_BUSY
            receipt = store.write(new_run(str(lasts_s))[1])
            with trio.move_on_after(lasts_s):
                await receipt.wait()
            assert logged == told
            assert (store.away is not None) == bool(told)
            disk.code = None
            await receipt.wait()
    assert logged == ["store-unavailable", "store-available"]


async def test_who_waits_for_a_commit_is_told_when_it_cannot_be(autojump_clock, path: Path) -> None:
    """`wait_unless_away` returns False then, `wait` does not, and rows are waited for no longer."""
    disk = Disk()
    async with store_at(path, write_offload=disk) as store:
        disk.code = sqlite3.SQLITE_FULL
        first = store.write(new_run("a")[1])
        assert await first.wait_unless_away() is False
        behind = store.write(new_run("b")[1])
        assert await behind.wait_unless_away() is False
        await store.writer.wait_rows()
        await store.writer.wait_rows("Ra")
        found = store.writer.run_behind("Ra")
        assert found is not None
        assert found.id == "Ra"
        disk.code = None
        await behind.wait()
        assert await first.wait_unless_away() is True
        await store.writer.wait_rows()
        assert store.writer.run_behind("Ra") is None


async def test_a_run_whose_rows_cannot_be_written_is_still_known(
    autojump_clock, path: Path
) -> None:
    """A run that was let go a moment before is loaded as it was written, with its payload."""
    disk = Disk()
    async with store_at(path, write_offload=disk) as store:
        await store.write(new_run("old")[1]).wait()
        await store.writer.wait_rows()
        run, write = new_run("new")
        await store.write(write).wait()
        disk.code = sqlite3.SQLITE_FULL
        assert await store.write(new_run("later")[1]).wait_unless_away() is False
        found = await store.load_runs(["Rnew", "Rnone", "Rold"], 0)
        assert [the_run(it).id for it in found] == ["Rnew", "Rold"]
        assert the_run(found[0]) is run
        assert await payload_of(store, "Rnew") == b'{"a": 1}'
        disk.code = None


async def test_a_failed_sync_still_stops(autojump_clock, path: Path) -> None:
    """Nobody knows what is on the disk: the error leaves, at once, and nothing is tried again."""
    disk, failed = Disk(), []
    with pytest.RaisesGroup(sqlite3.OperationalError, flatten_subgroups=True):
        async with store_at(
            path, write_offload=disk, on_failure=lambda: failed.append(disk.tries)
        ) as store:
            disk.code = sqlite3.SQLITE_IOERR_FSYNC
            await store.write(new_run("a")[1]).wait()
    assert failed == [1]


async def test_a_stop_says_what_was_not_recorded(autojump_clock, path: Path) -> None:
    """An engine that is to stop waits until it has no more time, and then says how much is lost."""
    disk = Disk()
    began = trio.current_time()
    with pytest.RaisesGroup(
        pytest.RaisesExc(StoreStopped, match=r"is full\. Make room\. 4 events were not recorded"),
        flatten_subgroups=True,
    ):
        async with store_at(path, write_offload=disk) as store:
            disk.code = sqlite3.SQLITE_FULL
            store.write(new_run("a")[1])
            store.write(new_run("b")[1])
            store.give_up_at(trio.current_time() + 8)
    assert 8 <= trio.current_time() - began <= 8.5


async def test_the_holder_is_said_after_the_time_that_was_set(
    autojump_clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`store_wait_ms`: not before it, then again each time it has lasted twice as long."""
    said: list[tuple[float, dict[str, Any]]] = []

    def log(event: str, **values: Any) -> None:
        if event == "store-still-unavailable":
            said.append((trio.current_time(), values))

    monkeypatch.setattr(words, "in_the_way", lambda path: ["process 7 (sqlite3 a.db)"])
    availability = Availability(FileWords(tmp_path / "a.db"), wait_s=2.0, log=log)
    began = trio.current_time()
    while trio.current_time() < began + 20:
        await availability.wait_after(sqlite_error(sqlite3.SQLITE_BUSY), lambda: 3)
    assert [round(at - began) for at, _ in said] == [2, 4, 8, 16]
    assert said[0][1]["held_by"] == "process 7 (sqlite3 a.db)"
    assert availability.away is not None
    assert availability.away.who == "process 7 (sqlite3 a.db)"


async def test_a_log_that_cannot_be_put_into_the_file_is_no_failure(path: Path) -> None:
    """The commit has happened: only the sync of a checkpoint that fails ends the engine."""
    async with store_at(path) as store:
        wal = store.wal
        real, codes = wal._connection, [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC]

        class Refusing:
            def execute(self, statement: str) -> None:
                raise sqlite_error(codes.pop(0))

        wal._connection = Refusing()  # type: ignore[assignment]
        wal.put_into_file()
        with pytest.raises(sqlite3.OperationalError):
            wal.put_into_file()
        wal._connection = real
