"""`atomic compact`: a file that no engine has open gives back what was freed in it.

SQLite's VACUUM: the content is written anew into a temporary file, and from there through the log
into the file. It is a transaction: whatever ends it leaves what is recorded as it was. A schema
of before is brought up to date first, as an engine that starts does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from engine.ports.store import StoreError
from engine.store.sqlite.content import check_ours
from engine.store.sqlite.file.owner import Owner, locked, the_file
from engine.store.sqlite.file.words import unusable
from engine.store.sqlite.readers import open_resting
from engine.store.sqlite.store import prepare
from engine.store.tables.reading import bytes_used

COPIES = 2
"""Of what is in use, for a while: the temporary file, and the log."""
SPARE_BYTES = 1 << 20


class Compacted(Struct, frozen=True, rename="camel"):
    """What it came to, in bytes of the file."""

    file: str
    before: int
    after: int


def compact(path: Path, owner: Owner) -> Compacted:
    """Give back what was freed in the file. Raises StoreError: an engine has it open, there is
    none, it is not Atomic's, or the disk has no room for it."""
    named, path = path, the_file(path)
    if not path.exists() or not path.stat().st_size:
        raise StoreError(f"{named} does not exist, or is empty.")
    with locked(path, owner):
        _check_room(path)  # before a schema of before is brought up to date
        return _compact(named, path)


def _compact(named: Path, path: Path) -> Compacted:
    with closing(prepare(path)) as connection:
        before = path.stat().st_size
        try:
            with _temporary_beside(path):
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.DatabaseError as error:
            raise unusable(path, error) from error
        return Compacted(str(named), before, path.stat().st_size)


def _check_room(path: Path) -> None:
    try:
        with closing(open_resting(path)) as db:
            check_ours(db, path)
            needed = COPIES * bytes_used(db) + SPARE_BYTES
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreError(
            f"{path} cannot be made smaller here: that needs {needed:,} bytes for a while, and the"
            f" disk has {free:,}. Copy the file to a larger disk, or make room on this one. Nothing"
            " was changed."
        )


@contextmanager
def _temporary_beside(path: Path) -> Iterator[None]:
    """SQLite's temporary file is on the disk that was looked at, and not where others are."""
    before = os.environ.get("SQLITE_TMPDIR")
    os.environ["SQLITE_TMPDIR"] = str(path.parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SQLITE_TMPDIR"]
        else:
            os.environ["SQLITE_TMPDIR"] = before
