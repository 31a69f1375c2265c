"""A file that is deleted, moved or replaced while it is open, or its log cut: the engine ends."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.ports.store import StoreStopped
from engine.store.sqlite.file.log_file import LogFile
from engine.store.sqlite.file.presence import LOOK_EVERY_S, LOOK_IDLE_S
from engine.store.sqlite.file.wal import CHECKPOINT_PAGES
from engine.store.sqlite.store import SqliteStore
from tests.store.support import new_run, recorded, store_at


def delete(path: Path) -> None:
    """As somebody who wants to start afresh does."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


def delete_log(path: Path) -> None:
    """As somebody who takes it for a left-over does."""
    path.with_name(path.name + "-wal").unlink()


def move(path: Path) -> None:
    """To another name, on the same disk."""
    path.rename(path.with_name("b.db"))


def unlink_one_name(path: Path) -> None:
    """Another name of it is left."""
    os.link(path, path.with_name("b.db"))
    path.unlink()


def replace(path: Path) -> None:
    """By a copy, as a restore does that forgets to stop the engine."""
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").rename(path)


def delete_directory(path: Path) -> None:
    """With all that is in it."""
    shutil.rmtree(path.parent)


def log_of(path: Path) -> Path:
    """Its log."""
    return path.with_name(path.name + "-wal")


def cut_log(path: Path) -> None:
    """To nothing, as `: > atomic.db-wal` does."""
    os.truncate(log_of(path), 0)


def cut_log_in_part(path: Path) -> None:
    """Most of it, but not its beginning."""
    os.truncate(log_of(path), 8_000)


def write_over_log(path: Path) -> None:
    """In place, its length as it was."""
    with log_of(path).open("r+b") as file:
        file.write(bytes(log_of(path).stat().st_size))


CUT = "a.db-wal was cut short or written over while the engine ran"
HARMS = pytest.mark.parametrize(
    ("harm", "words"),
    [
        (delete, "a.db was deleted while the engine ran"),
        (delete_log, "a.db-wal was deleted while the engine ran"),
        (move, "a.db was moved away while the engine ran"),
        (unlink_one_name, "a.db was moved away while the engine ran"),
        (replace, "a.db was replaced while the engine ran"),
        (delete_directory, "a.db was deleted while the engine ran"),
        (cut_log, CUT),
        (cut_log_in_part, CUT),
        (write_over_log, CUT),
    ],
)


async def ends(path: Path, words: str, work: Callable[[SqliteStore, list[str]], Any]) -> list[str]:
    """Do this with a store that must end so; what happened, in order."""
    happened: list[str] = []
    path.parent.mkdir()
    with pytest.RaisesGroup(pytest.RaisesExc(StoreStopped, match=words), flatten_subgroups=True):
        async with store_at(path, on_failure=lambda: happened.append("failed")) as store:
            await store.write(new_run("before")[1]).wait()
            await work(store, happened)
    return happened


@HARMS
async def test_no_commit_is_acknowledged_any_more(
    autojump_clock, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    """From a twentieth of a second on: the engine ends, and whoever waits is told nothing."""
    path = tmp_path / "d" / "a.db"

    async def write_on(store: SqliteStore, happened: list[str]) -> None:
        harm(path)
        await trio.sleep(LOOK_EVERY_S)
        await store.write(new_run("after")[1]).wait()
        happened.append("acknowledged")

    assert await ends(path, words, write_on) == ["failed"]


@HARMS
async def test_it_is_noticed_when_nothing_is_written(
    autojump_clock, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    """An idle engine ends within a second or so."""
    path = tmp_path / "d" / "a.db"
    took: list[float] = []

    async def rest(store: SqliteStore, happened: list[str]) -> None:
        harm(path)
        began = trio.current_time()
        try:
            await trio.sleep(60)
        finally:
            took.append(trio.current_time() - began)

    assert await ends(path, words, rest) == ["failed"]
    assert took[0] <= LOOK_IDLE_S + LOOK_EVERY_S


async def test_what_is_no_harm_ends_nothing(autojump_clock, tmp_path: Path, path: Path) -> None:
    """Another name for the file, other rights, another's checkpoint: the file is still the file."""
    async with store_at(path) as store:
        os.link(path, tmp_path / "b.db")
        path.chmod(0o640)
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        await trio.sleep(3)
        await store.write(new_run("a")[1]).wait()
    assert recorded(path) == ["Ra", "Ra"]


async def test_a_log_that_sqlite_cuts_ends_nothing(autojump_clock, path: Path) -> None:
    """By another program's checkpoint, at whatever time, and by the engine's own."""
    async with store_at(path) as store:
        for number in range(40):
            await store.write(new_run(f"{number}")[1]).wait()
            if number % 3 == 0:
                with closing(sqlite3.connect(path)) as other:
                    busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                assert not busy
                assert not store.wal.bytes
            if number % 7 == 0:
                store.wal.put_into_file()
            await trio.sleep(LOOK_EVERY_S if number % 2 else LOOK_IDLE_S)
    assert len(recorded(path)) == 80


def test_a_log_that_sqlite_cuts_during_a_look_is_whole(path: Path) -> None:
    """Its index is read before its length: what it was then does not count if it has changed."""
    with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as other:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (a)")
        log = LogFile(log_of(path), path.with_name("a.db-shm"))
        looked, found = log._has, []

        def cut_meanwhile(it: Any) -> bool:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            found.append(looked(it))
            return found[-1]

        log._has = cut_meanwhile  # type: ignore[method-assign]
        assert log.is_whole()
        assert found == [False]
    log.close()


@pytest.mark.parametrize("harm", [cut_log, cut_log_in_part, write_over_log])
async def test_a_log_that_was_cut_does_not_spoil_the_file(
    autojump_clock, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """Neither the commits after it nor the end put what is left into the file: it opens as it was
    when the log was last put into it, or as far as the log is whole."""
    path = tmp_path / "d" / "a.db"

    async def write_on(store: SqliteStore, happened: list[str]) -> None:
        store.wal.put_into_file()
        for number in range(20):
            await store.write(new_run(f"{number}")[1]).wait()
        await trio.sleep(LOOK_EVERY_S)
        store.sink._look()
        harm(path)
        store.wal.grew(CHECKPOINT_PAGES)
        await store.write(new_run("after")[1]).wait()

    await ends(path, CUT, write_on)
    async with store_at(path) as store:
        assert store.find_run("shop", "w", "before")
        assert not store.find_run("shop", "w", "after")
