"""One file has one engine, whatever path leads to it, and the second is told who that is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.ports.store import StoreError
from engine.store.sqlite.file import hands
from engine.store.sqlite.file import owner as owners
from engine.store.sqlite.file.owner import Owner, check_unowned, locked
from tests.store.holder import holder, refusal
from tests.store.support import new_run, store_at

FIRST = "process id 4711 at http://127.0.0.1:8420, started 2026-01-01T00:00:00.000Z, instance first"
LOCK_FILE = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.flock(file, getattr(fcntl, sys.argv[2]))
print("locked", flush=True)
time.sleep(60)
"""
WHOLE_FILE = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


def told(path: Path) -> str:
    """What a start is told that has failed for another reason."""
    with pytest.raises(StoreError) as caught:
        check_unowned(path)
    return str(caught.value)


@pytest.mark.slow
async def test_every_path_to_the_file_meets_its_owner(tmp_path: Path, path: Path) -> None:
    """A hard link, a symbolic link, the file moved, its lock file removed: the second engine is
    refused and told process, instance and time of the first, which has the file under another name.
    """
    elsewhere = tmp_path / "there"
    elsewhere.mkdir()
    with holder(path):
        os.link(path, tmp_path / "hard.db")
        (tmp_path / "soft.db").symlink_to(path)
        for name in ("a.db", "hard.db", "soft.db"):
            assert FIRST in await refusal(tmp_path / name)
            assert FIRST in told(tmp_path / name)
        (tmp_path / "a.db.lock").unlink()
        assert FIRST in await refusal(path)
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"a.db{suffix}").rename(elsewhere / f"b.db{suffix}")
        assert FIRST in await refusal(elsewhere / "b.db")
    async with store_at(elsewhere / "b.db") as store:
        assert store.epoch == 2, "with the owner gone the file is free, and is the same"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="needs locks on the inode")
async def test_an_owner_that_left_no_record_is_found_by_its_process(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the inode keeps no attributes, the process that has the file open is named."""
    with holder(path) as process:
        os.removexattr(path, owners.OWNER_ATTRIBUTE)
        os.link(path, tmp_path / "hard.db")
        said = await refusal(tmp_path / "hard.db")
    assert f"in use by another engine: process {process.pid} (" in said


@pytest.mark.slow
async def test_a_program_that_locks_the_whole_file_is_not_called_an_engine(path: Path) -> None:
    """A lock of another kind over the whole file is told as what it is, with its process."""
    async with store_at(path):
        """Makes the file, and leaves a record of an owner that is gone."""
    with subprocess.Popen(
        (sys.executable, "-c", WHOLE_FILE, str(path)), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        said = await refusal(path)
        process.kill()
    assert f"{path} is locked by process {process.pid} (" in said
    assert "and no engine" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["LOCK_EX", "LOCK_SH"])
async def test_a_program_that_has_the_lock_file_is_not_called_an_engine(
    tmp_path: Path, path: Path, kind: str
) -> None:
    """`flock atomic.db.lock` by whomever: the process is named, not the engine of which the record
    was left there, nor another one."""
    (tmp_path / "a.db.lock").touch()
    for _ in range(2):
        with subprocess.Popen(
            (sys.executable, "-c", LOCK_FILE, str(path) + ".lock", kind),
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            said = await refusal(path)
            if kind == "LOCK_EX":
                assert told(path) == said
            process.kill()
        assert said.startswith(f"{path} cannot be opened: process {process.pid} (")
        assert f") holds its lock file {path}.lock. Let it end" in said
        assert "another engine" not in said
        async with store_at(path):
            """Leaves the record of an engine that has ended."""


async def test_a_lock_file_held_by_nobody_known(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of another user or container, and no record: it is said that there is one."""
    monkeypatch.setattr(hands, "PROC", tmp_path / "nowhere")
    with (tmp_path / "a.db.lock").open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another program holds its lock file" in await refusal(path)


async def test_an_engine_of_before_is_met_at_its_lock_file(tmp_path: Path, path: Path) -> None:
    """Engines of earlier commits lock only `<path>.lock`: who has that is named."""
    with (tmp_path / "a.db.lock").open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(msgspec.json.encode({"pid": 7, "instance": "old", "started_at": "then"}))
        file.flush()
        assert "process id 7, started then, instance old" in await refusal(path)
        assert "process id 7" in told(path)
        assert not path.exists(), "refused before anything is made"


async def test_an_engine_of_before_meets_the_lock_file(tmp_path: Path, path: Path) -> None:
    """As long as a file is owned its lock file is locked too, as earlier commits look at it."""
    with locked(path, Owner(1, "x", "now")), (tmp_path / "a.db.lock").open("r+b") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert msgspec.json.decode(file.read(), type=Owner) == Owner(1, "x", "now")


async def test_a_refusal_leaves_sqlites_locks_alone(tmp_path: Path, path: Path) -> None:
    """To open and close the file once more would drop the locks that this process has on it: a
    second owner in the same process is refused without opening it."""

    def ours() -> list[str]:
        mark = f":{path.stat().st_ino} "
        return [
            it.split(" ", 1)[1] for it in Path("/proc/locks").read_text().splitlines() if mark in it
        ]

    async with store_at(path) as store:
        await store.write(new_run("a")[1]).wait()
        before = sorted(ours())
        assert any("POSIX" in each for each in before)
        os.link(path, tmp_path / "hard.db")
        for name in ("a.db", "hard.db"):
            assert "instance test" in await refusal(tmp_path / name)
            assert "instance test" in told(tmp_path / name)
        assert sorted(ours()) == before


def test_without_locks_on_inodes_there_is_the_lock_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that knows no such locks the file opens as it did."""

    def refuse(handle: int, operation: int, argument: bytes) -> bytes:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with locked(path, Owner(1, "x", "now")) as handle:
        assert os.path.samestat(os.fstat(handle), (path).stat())
