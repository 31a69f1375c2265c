"""What is told of a file that cannot be opened: what is the matter, and only that."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine import __version__
from engine.ports.store import StoreError
from engine.store.sqlite import store as sqlite
from engine.store.sqlite.file.words import cannot_write, unusable
from tests.store.holder import refusal
from tests.store.support import change_file, new_run, store_at

NOBODY = 65_534
GUESSES = ("another program", "damaged", "--port", "may not")


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user who may not write anywhere; root may."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_missing_directory(tmp_path: Path) -> None:
    """The directory is named; it is not made: a wrong --db would begin an empty history."""
    said = await refusal(tmp_path / "missing" / "below" / "a.db")
    assert f"the directory {tmp_path / 'missing'} does not exist" in said
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a directory that takes no files")
async def test_a_directory_that_takes_no_files() -> None:
    """The system says the same as of a missing directory; that would not be true."""
    assert "no file can be made in /proc." in await refusal(Path("/proc/a.db"))


async def test_a_file_in_place_of_a_directory(tmp_path: Path) -> None:
    """`--db a.txt/a.db` is answered in words."""
    (tmp_path / "a.txt").touch()
    assert f"{tmp_path / 'a.txt'} is not a directory" in await refusal(tmp_path / "a.txt" / "a.db")


@pytest.mark.parametrize("name", [".", "pipe"])
async def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    """A directory and a pipe are called what they are, and nothing is made beside them."""
    os.mkfifo(tmp_path / "pipe")
    said = await refusal(tmp_path / name)
    assert ("a directory" if name == "." else "no ordinary file") in said
    assert os.listdir(tmp_path) == ["pipe"]


async def test_a_directory_that_may_not_be_written() -> None:
    """The user is told which directory, and who he is."""
    with tempfile.TemporaryDirectory(prefix="atomic-test-") as name:
        Path(name).chmod(0o555)
        with as_nobody():
            said = await refusal(Path(name) / "a.db")
            uid = os.geteuid()
        Path(name).chmod(0o755)
    assert f"this user (uid {uid}) may not read and write {name}" in said


async def test_a_file_that_may_not_be_written() -> None:
    """The same for a file, in a directory where everything may be done."""
    with tempfile.TemporaryDirectory(prefix="atomic-test-") as name:
        path = Path(name) / "a.db"
        async with store_at(path):
            pass
        path.chmod(0o444)
        path.with_name("a.db.lock").chmod(0o666)
        Path(name).chmod(0o777)
        with as_nobody():
            said = await refusal(path)
    assert f"may not read and write {path}." in said


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk of /d is full"),
        (errno.EDQUOT, "this user's quota on the disk of /d is used up"),
        (errno.EROFS, "the file system of /d can only be read"),
        (errno.EMFILE, "this process may open no more files"),
        (errno.ENAMETOOLONG, "File name too long"),
    ],
)
def test_an_error_of_the_system_is_told_and_nothing_guessed(number: int, words: str) -> None:
    """One cause, one sentence."""
    said = str(unusable(Path("/d/a.db"), OSError(number, os.strerror(number), "/d/a.db.lock")))
    assert said.startswith("/d/a.db cannot be opened: ")
    assert words in said
    assert not [guess for guess in GUESSES if guess in said]


def full_disk(path: Path) -> sqlite3.Error:
    """What SQLite says of a file that may not grow."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA max_page_count = 1")
        try:
            db.execute("CREATE TABLE t (x)")
        except sqlite3.Error as error:
            return error
    raise AssertionError("there was room")


async def test_a_full_disk_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite finds no room: the disk is full, and no guess about the file stands beside it."""
    error = full_disk(tmp_path / "other.db")

    def no_room(*_: object) -> None:
        raise error

    monkeypatch.setattr(sqlite, "check_ours", no_room)
    said = await refusal(tmp_path / "a.db")
    assert f"cannot be opened: the disk of {tmp_path} is full" in said
    assert not [guess for guess in GUESSES if guess in said]


def test_a_failed_write_is_called_what_the_disk_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one code for many failed writes: a disk without room is full, whatever it says."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = (
        sqlite3.SQLITE_IOERR_WRITE,
        "SQLITE_IOERR_WRITE",
    )
    assert cannot_write(tmp_path / "a.db", error).endswith("disk I/O error (SQLITE_IOERR_WRITE).")
    room = os.statvfs_result((4096, 4096, 9, 0, 0, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    assert cannot_write(tmp_path / "a.db", error) == f"the disk of {tmp_path} is full. Make room."
    room = os.statvfs_result((4096, 4096, 9, 9, 9, 9, 9, 9, os.ST_RDONLY, 255))
    assert "can only be read" in cannot_write(tmp_path / "a.db", error)


async def test_a_newer_schema_is_refused_with_both_versions(path: Path) -> None:
    """A file that a newer Atomic has migrated is not written to by an older one."""
    async with store_at(path):
        pass
    change_file(
        path,
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('atomic', 'm907_from_the_future', '2027')",
    )
    before = path.read_bytes()
    said = await refusal(path)
    assert "written by a newer Atomic" in said
    assert "version 907 (m907_from_the_future)" in said
    assert f"this Atomic ({__version__}) knows versions up to" in said
    assert path.read_bytes() == before


async def test_a_schema_changed_by_hand_is_told(path: Path) -> None:
    """A column that is not there is named at the start, not met by a request."""
    async with store_at(path):
        pass
    change_file(path, "ALTER TABLE step RENAME COLUMN due_at TO due2")
    assert "is not as this Atomic" in (said := await refusal(path))
    assert "no such column: due_at" in said


@pytest.mark.parametrize("damage", ["a page of zeroes", "cut in half"])
async def test_a_damaged_file_is_called_damaged(path: Path, damage: str) -> None:
    """A small file is looked through at the start; what is wrong in it is named."""
    async with store_at(path) as store:
        for number in range(200):
            store.write(new_run(str(number))[1])
    whole = path.read_bytes()
    if damage == "cut in half":
        path.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    else:
        last = len(whole) - 4096
        path.write_bytes(whole[:last] + bytes(4096))
    said = await refusal(path)
    assert f"{path} is damaged: " in said
    assert "Restore a copy" in said
    assert "another program" not in said


async def test_a_lock_at_the_start_is_told(path: Path) -> None:
    """Another program has begun to write: it is named, as far as the system tells."""
    async with store_at(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = await refusal(path, wait_s=0.001)
        other.execute("ROLLBACK")
    assert "another program holds its write lock" in said  # it is this process: not told
    async with store_at(path):
        pass


def test_damage_of_the_journal_is_told_as_such() -> None:
    """What does not follow from the journal is damage, and called so."""
    said = str(unusable(Path("/d/a.db"), ValueError("event 3 of run R does not follow")))
    assert said.startswith("/d/a.db is damaged: event 3 of run R does not follow.")
    assert isinstance(unusable(Path("/d/a.db"), ValueError()), StoreError)
