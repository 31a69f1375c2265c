"""What stands in the way of the file, in words for people: what is the matter, and only that.

SQLite's and the system's errors are told apart by their codes, never by their text.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.ports.report import RESTORE
from engine.ports.store import BadFile, StoreError
from engine.store.sqlite.file import hands

WRITE_LOCK = 120
"""SQLite's write lock in WAL mode: this byte of the `-shm` file (sqlite.org/walformat.html)."""
READ_LOCKS = (123, 127)
"""There, the locks of readers, each of which holds a part of the log."""
FILE_LOCKS = (0x4000_0000, 0x4000_01FF)
"""Locks on the database itself: who changes its journal mode, say."""
FULL_BYTES = 1 << 16
"""A disk with less room than this is full: SQLite asks for so much at once."""

_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
    }
)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_REFUSED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
_IO = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
"""What may fail before a commit is written, or, of the index in shared memory, after it: then the
log's end has not moved, and the same commit is written over itself."""


class FileWords:
    """Why the file cannot be written, and who keeps it so."""

    def __init__(self, path: Path) -> None:
        self.place = path

    def why_not(self, error: Exception) -> str:
        """As a sentence."""
        if is_busy(error):
            return "another program holds the write lock."
        return cannot_write(self.place, error)

    def who_keeps_it_away(self, error: Exception) -> str | None:
        """The processes that keep it so, as far as is known; None: nobody does."""
        return hands.in_words(in_the_way(self.place)) if is_busy(error) else None


def may_be_tried_again(error: Exception) -> bool:
    """Whether the commit that failed so has certainly not happened, and may be tried again."""
    code = int(getattr(error, "sqlite_errorcode", 0))
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return False
    if primary_code(error) == sqlite3.SQLITE_IOERR:
        return code in _IO
    return is_busy(error) or primary_code(error) in _REFUSED


def is_busy(error: Exception) -> bool:
    """Whether another program holds a lock."""
    return primary_code(error) in _BUSY


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of an error; 0: it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that a file does not hold what it must."""
    code = int(getattr(error, "sqlite_errorcode", 0))
    return primary_code(error) in _DAMAGED or code in _DAMAGED


def damage(path: Path, error: sqlite3.Error) -> str | None:
    """The damage in words; None: it is another matter."""
    return f"{path} is damaged: {error}. {RESTORE}" if is_damage(error) else None


def unusable(path: Path, error: Exception) -> StoreError:
    """The refusal to open the file, for an error of SQLite, of the system, or of its content."""
    if isinstance(error, OSError):
        return StoreError(f"{path} cannot be opened: {_of_system(path, error)}")
    if isinstance(error, sqlite3.Error):
        kind = BadFile if is_damage(error) else StoreError
        return kind(f"{path} {_of_sqlite(path, error)}")
    return BadFile(f"{path} is damaged: {error}. {RESTORE}")


def no_file(path: Path, mode: int) -> StoreError:
    """The refusal of what is there and is no file."""
    what = "a directory" if stat.S_ISDIR(mode) else "no ordinary file"
    return StoreError(f"{path} is {what}: --db names the file of the database.")


def in_the_way(path: Path) -> list[hands.Hand]:
    """Other processes that keep this one from writing to the file, as far as one can know."""
    shm = path.with_name(path.name + "-shm")
    found = hands.lockers(shm, WRITE_LOCK, WRITE_LOCK, mode="WRITE")
    return found or hands.lockers(path, *FILE_LOCKS, mode="WRITE")


def log_readers(path: Path) -> list[hands.Hand]:
    """Other processes that read the file, and so keep its log from being put into it."""
    shm = path.with_name(path.name + "-shm")
    return hands.lockers(shm, *READ_LOCKS, mode="READ")


def is_full(path: Path) -> bool:
    """Whether the disk has no room left for this user."""
    with suppress(OSError):
        room = os.statvfs(path.parent)
        return room.f_bavail * room.f_frsize < FULL_BYTES
    return False


def _of_system(path: Path, error: OSError) -> str:
    where = path if error.filename is None else Path(os.fsdecode(error.filename))
    words = _SYSTEM.get(error.errno or 0)
    return f"{error.strerror or error}." if words is None else words(where)


def _no_directory(path: Path) -> str:
    missing = path.parent
    if missing.exists():
        return f"no file can be made in {missing}. Give another --db."
    while not missing.parent.exists():
        missing = missing.parent
    return f"the directory {missing} does not exist. Make it, or give another --db."


def _may_not(path: Path) -> str:
    what = path if path.exists() and not _may(path) else path.parent
    return (
        f"this user (uid {os.geteuid()}) may not read and write {what}. Give it the rights, or give"
        " another --db."
    )


def _may(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=True)


def _full(path: Path) -> str:
    return f"the disk of {path.parent} is full. Make room."


_SYSTEM: dict[int, Callable[[Path], str]] = {
    errno.ENOENT: _no_directory,
    errno.ENOTDIR: lambda path: f"{path.parent} is not a directory.",
    errno.EACCES: _may_not,
    errno.EPERM: _may_not,
    errno.EROFS: lambda path: f"the file system of {path.parent} can only be read.",
    errno.ENOSPC: _full,
    errno.EDQUOT: lambda path: f"this user's quota on the disk of {path.parent} is used up.",
    errno.EMFILE: lambda path: "this process may open no more files (ulimit -n).",
    errno.ENFILE: lambda path: "the system has too many files open.",
}


def _of_sqlite(path: Path, error: sqlite3.Error) -> str:
    """What follows the file's name."""
    match primary_code(error):
        case sqlite3.SQLITE_NOTADB:
            return (
                "is not an SQLite database: it is another program's file, or its beginning is"
                f" damaged. Give this engine another --db. If it was Atomic's: {RESTORE}"
            )
        case sqlite3.SQLITE_CORRUPT:
            return f"is damaged: {error}. {RESTORE}"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            who = hands.in_words(in_the_way(path)) or "another program"
            return f"cannot be opened: {who} holds its write lock. Let it end, and start again."
    return f"cannot be opened: {cannot_write(path, error)}"


def cannot_write(path: Path, error: Exception) -> str:
    """Why SQLite could not write, or open what it writes to, as a sentence.

    SQLite reports a failed write, whatever it failed for, as one of a few codes; the disk is asked.
    """
    name = getattr(error, "sqlite_errorname", "")
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        with suppress(OSError):
            if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
                return _SYSTEM[errno.EROFS](path)
        if is_full(path):
            return _full(path)
        if not _may(path.parent) or (path.exists() and not _may(path)):
            return _may_not(path)
        return f"the disk does not do what it is asked: {error} ({name})."
    return f"{error} ({name})." if name else f"{error}."
