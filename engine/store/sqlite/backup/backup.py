"""A copy of the state of one commit, made while the engine goes on, at a pace that nobody feels.

SQLite's backup, a mebibyte at a time, over a reader's own connection in a thread of its own. What
is written is synced as it comes: a disk that is given all of it at once makes commits wait. Beside
80 commits a second their p99 was 22 to 25 ms (17 to 19 without a copy); beside `VACUUM INTO`, which
cannot be paced, 61 to 94.

The reader sees one moment, and so keeps the log from beginning anew: when that has grown long the
copy is made without pauses.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event

import trio
from msgspec import Struct, field

from engine.ports.store import BackedUp, BadFile, StoreError
from engine.store.offload import threads
from engine.store.sqlite.backup.new_file import new_file
from engine.store.sqlite.content import check_ours
from engine.store.sqlite.file.wal import LONG_BYTES, Wal
from engine.store.sqlite.readers import connect_read_only
from engine.store.tables.connection import snapshot
from engine.store.tables.reading import journal_end

PAGES_AT_ONCE = 256
PAUSE_S = 0.01
ROOM_LEFT_BYTES = 64 << 20
"""What a copy leaves of a disk: the engine's own file may be on it."""
STEPS_AT_ONCE = 200_000
"""Of SQLite's machine, between two pauses of a check: some ten milliseconds."""


class Pace(Struct):
    """How a copy goes on, asked between its steps, in its thread."""

    told: Callable[[int, int], None]
    """How many pages are copied, of how many."""
    is_pressed: Callable[[], bool] = lambda: False
    """There is no time for pauses."""
    stop: Event = field(default_factory=Event)

    def pause(self, share: float = 1.0) -> None:
        """Let others have the disk. Raises StoreError if it is to end."""
        if self.stop.wait(0 if self.is_pressed() else PAUSE_S * share):
            raise StoreError("The engine stopped meanwhile.")


class SqliteCopies:
    """The `Copies` port on the file of an engine that runs."""

    def __init__(self, path: Path, wal: Wal) -> None:
        self._path, self._wal = path, wal

    async def back_up(self, target: Path, told: Callable[[int, int], None]) -> BackedUp:
        """Copy the state of one commit. Raises StoreError."""
        pace = Pace(told, lambda: self._wal.bytes > LONG_BYTES, Event())
        self._wal.kept_by = "a backup that this engine makes"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_when_cancelled, pace.stop.set)
                done = await threads(1)(partial(_copied, self._path, target, pace))
                nursery.cancel_scope.cancel()
        finally:
            self._wal.kept_by = ""
        if isinstance(done, StoreError):
            raise done
        return done


async def _when_cancelled(call: Callable[[], None]) -> None:
    try:
        await trio.sleep_forever()
    finally:
        call()


def _copied(source: Path, target: Path, pace: Pace) -> BackedUp | StoreError:
    try:
        return copy(source, target, pace)
    except StoreError as error:
        return error


def copy(source: Path, target: Path, pace: Pace) -> BackedUp:
    """The file as it is at this moment, whole, under another name. In a thread. Raises
    StoreError."""
    with new_file(target) as (part, handle):
        with closing(connect_read_only(source)) as db, snapshot(db):
            check_ours(db, source)
            last_seq, _ = journal_end(db)
            copy_pages(db, part, handle, pace)
        make_single(part)
        _check(part, last_seq, pace)
        size = part.stat().st_size
    return BackedUp(str(target), size, last_seq)


def copy_pages(db: sqlite3.Connection, part: Path, handle: int, pace: Pace) -> None:
    """What a reader's snapshot sees into a file that is new. Raises StoreError."""
    page = db.execute("PRAGMA page_size").fetchone()[0]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    _check_room(part, page * pages)

    def step(status: int, left: int, of: int) -> None:
        os.fdatasync(handle) if hasattr(os, "fdatasync") else os.fsync(handle)
        pace.told(of - left, of)
        _check_room(part, page * left)
        pace.pause()

    with closing(sqlite3.connect(part, isolation_level=None)) as into:
        into.execute("PRAGMA journal_mode=OFF")  # a copy that is cut off is thrown away
        into.execute("PRAGMA synchronous=OFF")  # it is synced by its descriptor
        db.backup(into, pages=PAGES_AT_ONCE, progress=step)


def _check_room(part: Path, needed: int) -> None:
    room = os.statvfs(part.parent)
    free = room.f_bavail * room.f_frsize
    if free < needed + ROOM_LEFT_BYTES:
        raise StoreError(
            f"{part.parent} has {free >> 20:,} MiB left, and a copy needs {needed >> 20:,} MiB and"
            f" leaves {ROOM_LEFT_BYTES >> 20} MiB. Make room, or give another place."
        )


def make_single(path: Path) -> None:
    """Without a log, so that who opens it to read makes nothing beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=DELETE")


def _check(part: Path, last_seq: int, pace: Pace) -> None:
    """A copy that cannot be read is none."""

    def pause() -> None:
        pace.pause()

    connecting = sqlite3.connect(f"{part.as_uri()}?mode=ro&immutable=1", uri=True)
    with closing(connecting) as db:
        db.row_factory = sqlite3.Row
        check_ours(db, part)
        db.set_progress_handler(pause, STEPS_AT_ONCE)
        try:
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.OperationalError:
            pace.pause()  # says why, if that was it
            raise
        if found == "ok" and journal_end(db)[0] != last_seq:
            found = "it ends with another event"
    if found != "ok":
        raise BadFile(
            f"The copy was made, and is not whole: {' '.join(found.split())}. The file itself may"
            " be damaged: check it (atomic verify)."
        )
