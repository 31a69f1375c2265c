"""A file that is deleted, moved or replaced while it is open ends the engine, in words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.store.away import StoreStopped
from engine.store.presence import LOOK_EVERY_S, LOOK_IDLE_S
from engine.store.sqlite import SqliteStore
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


HARMS = pytest.mark.parametrize(
    ("harm", "words"),
    [
        (delete, "a.db was deleted while the engine ran"),
        (delete_log, "a.db-wal was deleted while the engine ran"),
        (move, "a.db was moved away while the engine ran"),
        (unlink_one_name, "a.db was moved away while the engine ran"),
        (replace, "a.db was replaced while the engine ran"),
        (delete_directory, "a.db was deleted while the engine ran"),
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


async def test_what_is_no_harm_ends_nothing(autojump_clock, tmp_path: Path) -> None:
    """Another name for the file, other rights, another's checkpoint: the file is still the file."""
    path = tmp_path / "a.db"
    async with store_at(path) as store:
        os.link(path, tmp_path / "b.db")
        path.chmod(0o640)
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        await trio.sleep(3)
        await store.write(new_run("a")[1]).wait()
    assert recorded(path) == ["Ra", "Ra"]
