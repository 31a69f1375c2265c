"""A file out of a copy: the same runs and tokens, another name, and whatever its caller registers.

Another name (`file_id`), because what was recorded after the copy has other numbers from now on: a
reader of events that goes on behind one of the old file is told to start anew.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from engine.ports.audit import AuditEntry
from engine.ports.registry import Registered
from engine.ports.store import StoreError
from engine.store.sqlite.backup.backup import Pace, copy_pages, make_single
from engine.store.sqlite.backup.new_file import new_file
from engine.store.sqlite.content import check_ours, check_shape, check_version
from engine.store.sqlite.file.words import unusable
from engine.store.sqlite.readers import open_resting
from engine.store.sqlite.store import prepare
from engine.store.tables.audit import write_audit
from engine.store.tables.connection import snapshot
from engine.store.tables.reading import journal_end
from engine.store.tables.registry import write_registered

FILE_ID_BYTES = 4


class Restored(Struct, frozen=True):
    """The file that was made."""

    file_id: str
    size: int
    """In bytes."""


def last_recorded(path: Path) -> int:
    """When the last that is in a file was recorded, in milliseconds since the epoch, UTC; 0: there
    is nothing. Raises StoreError for one that cannot be read."""
    return last_event(path)[1]


def last_event(path: Path) -> tuple[int, int]:
    """The number of the last event too; 0: there is none."""
    try:
        with closing(open_resting(path)) as db:
            check_ours(db, path)
            return journal_end(db)
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def sqlite_version() -> str:
    """Of the library that files are read with here."""
    return sqlite3.sqlite_version


def restore(
    backup: Path,
    target: Path,
    registered: Sequence[Registered],
    audit: AuditEntry,
    told: Callable[[int, int], None],
) -> Restored:
    """Make `target` out of a copy that was found whole. Raises StoreError."""
    with new_file(target) as (part, handle):
        with closing(open_resting(backup)) as db, snapshot(db):
            check_version(db, backup)
            check_shape(db, backup)  # before anything of it runs
            copy_pages(db, part, handle, Pace(told, lambda: True))
        with closing(prepare(part)) as db:
            file_id = _rename(db, registered, audit)
        make_single(part)
        return Restored(file_id, part.stat().st_size)


def _rename(db: sqlite3.Connection, registered: Sequence[Registered], audit: AuditEntry) -> str:
    old = db.execute("SELECT file_id FROM engine").fetchone()[0]
    file_id = secrets.token_hex(FILE_ID_BYTES)
    if file_id == old:
        raise StoreError("Chance gave the file its old name. Try again.")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE engine SET file_id = ?", (file_id,))
    for entry in registered:
        write_registered(db, entry)
    write_audit(db, audit)
    db.execute("COMMIT")
    return file_id
