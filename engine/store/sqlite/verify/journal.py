"""The journal read from its beginning: no gap, and every entry what its row says that it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from msgspec import Struct

from engine.core.model import run_of
from engine.ports.report import Progress, Report
from engine.store.journal import UNREADABLE, BodyLine, EventLine, Opened, opened, unpack

SQL_ENTRIES = (
    "SELECT seq, events, at, size, packed, length(large) FROM journal WHERE seq >= ? ORDER BY seq"
)
TELL_EVERY = 256
"""Entries."""


class ReadEntry(Struct, frozen=True, gc=False):
    """An entry of the journal, unpacked."""

    seq: int
    events: list[EventLine]
    bodies: list[BodyLine]


def begins_at(db: sqlite3.Connection) -> int:
    """The number of the first event that the journal must have: where a check of it begins."""
    has = {row["name"] for row in db.execute("PRAGMA table_info(engine)")}
    if "floor" not in has:  # a file of before it could be cut
        return 1
    row = db.execute("SELECT floor FROM engine").fetchone()
    return 1 if row is None else int(row[0]) + 1


def read_entries(db: sqlite3.Connection, begin: int) -> Iterator[ReadEntry]:
    """The entries of a journal that was found whole, from the one with event `begin` on. Raises
    what damage raises."""
    first = db.execute("SELECT max(seq) FROM journal WHERE seq <= ?", (begin,)).fetchone()[0]
    with closing(db.execute(SQL_ENTRIES, (first or begin,))) as rows:
        for seq, _, _, _, packed, _ in rows:
            yield ReadEntry(seq, *unpack(packed))


class JournalCheck:
    """One walk over it, in which each entry is looked at."""

    def __init__(self, db: sqlite3.Connection, report: Report, progress: Progress) -> None:
        self._db, self._report, self._progress = db, report, progress
        self.begin = begins_at(db)
        self.entries = self.events = 0
        self.is_whole = True
        self.ended = False
        """It was read to its end."""

    @property
    def next(self) -> int:
        """The number of the event that is to follow."""
        return self.begin + self.events

    def walk(self) -> Iterator[ReadEntry]:
        """Its entries, up to the first that is not as it must be; the rest is looked at all the
        same, before this ends. Raises TooManyFaults, and sqlite3.Error where it cannot be read."""
        last = self._db.execute("SELECT max(seq) FROM journal").fetchone()[0] or 0
        expected = self.begin
        for row in self._rows():
            read, expected = self._look(row, expected)
            self.entries += 1
            if self.entries % TELL_EVERY == 0:
                self._progress("events", expected, last)
            if read is not None and self.is_whole:
                self.events += len(read.events)
                yield read
        self.ended = True

    def _rows(self) -> Iterator[tuple[object, ...]]:
        with closing(self._db.execute(SQL_ENTRIES, (0,))) as rows:
            yield from rows

    def _look(self, row: tuple[object, ...], expected: int) -> tuple[ReadEntry | None, int]:
        """The entry, and the number of the event that is to follow it."""
        seq, events, at, size, packed, large = row
        if not (isinstance(seq, int) and isinstance(events, int) and isinstance(packed, bytes)):
            self._found(f"entry {seq!r}", "its row is not one of a journal")
            return None, expected
        if seq > expected:
            self._found(
                f"event {expected}",
                f"events {expected} to {seq - 1} are missing: the next entry begins with {seq}",
            )
        elif seq < expected:
            self._found(f"entry {seq}", f"it begins with event {seq}, where {expected} follows")
        after = seq + max(events, 1)
        try:
            found = opened(packed)
        except UNREADABLE as error:
            self._found(f"entry {seq}", f"it cannot be read: {type(error).__name__}: {error}")
            return None, after
        latest = max((line.event.at for line in found.events), default=None)
        has = (len(found.events), latest, found.size)
        if has != (events, at, size):
            said = f"{events} events, the latest at {at}, {size} bytes"
            self._found(
                f"entry {seq}",
                f"its row says {said}; it has {has[0]}, the latest at {has[1]}, {has[2]} bytes",
            )
        self._look_inside(seq, found, large or 0)
        return ReadEntry(seq, found.events, found.bodies), after

    def _look_inside(self, seq: int, found: Opened, large: object) -> None:
        for kind, has in (("small", found.small), ("large", large)):
            should = sum(it.length for it in found.bodies if it.large is (kind == "large"))
            if has != should:
                self._found(
                    f"entry {seq}", f"its {kind} bodies are {has} bytes, and should be {should}"
                )
        for number, line in enumerate(found.events, seq):
            if run_of(line.event.step_id) != line.run_id:
                self._found(
                    f"event {number}", f"its step {line.event.step_id} is not of run {line.run_id}"
                )

    def _found(self, place: str, what: str) -> None:
        self.is_whole = False
        self._report.found(f"journal, {place}", what)
