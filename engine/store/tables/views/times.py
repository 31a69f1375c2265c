"""Behind which event of the journal all is that happened at or after a time.

Numbers rise, and times do with them, but where the clock was set back between two lives of the
engine: so entries cannot be halved by their own times. The latest time of all up to an entry never
falls, and can. It is made of the entries' own when somebody asks, a piece at a time, and kept of
every 256th entry, for who asks next: no column and no index, which every commit would have to
write, for a question that few ask.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from threading import Lock

from engine.store import journal
from engine.store.tables.connection import SQL, Tables, snapshot

ENTRIES_AT_ONCE = 10_000
"""Looked at in one read: some 10 ms."""
ENTRIES_APART = 256
"""Of those of which the latest time so far is kept: 16 bytes each."""
BEFORE_ALL = -1


class Times:
    """What is known of the journal's times. For the readers' threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seqs, self._before = array("q"), array("q")
        """Of every 256th entry the number of its first event, and the latest time before it."""
        self._entries, self._next, self._latest = 0, 0, BEFORE_ALL

    def look_on(self, db: Tables) -> bool:
        """Look at more entries. False: there are no more."""
        with self._lock:
            found = db.execute(SQL["journal_times"], (self._next, ENTRIES_AT_ONCE)).fetchall()
            for seq, events, at in found:
                if not self._entries % ENTRIES_APART:
                    self._seqs.append(seq)
                    self._before.append(self._latest)
                self._entries += 1
                self._next, self._latest = seq + events, max(self._latest, at)
            return len(found) == ENTRIES_AT_ONCE

    def behind(self, db: Tables, at: int) -> int | None:
        """The number of the event behind which the first one is that is so late; of the last, if
        none is. None: it may have been cut."""
        at = max(at, 0)
        with self._lock, snapshot(db):
            (floor,) = db.execute("SELECT floor FROM engine").fetchone()
            known = bisect_left(self._before, at) - 1
            number: int = floor
            begin = self._seqs[known] if known >= 0 else 0
            for seq, events, latest in _entries_from(db, begin):
                if latest >= at:
                    return None if 0 < floor == seq - 1 else _behind(db, seq, at)
                number = seq + events - 1
            return number


def _entries_from(db: Tables, seq: int) -> Iterator[tuple[int, int, int]]:
    """Entries without what is in them; some at a time."""
    while found := db.execute(SQL["journal_times"], (seq, ENTRIES_APART + 1)).fetchall():
        yield from found
        seq = found[-1][0] + found[-1][1]


def _behind(db: Tables, seq: int, at: int) -> int:
    """Within an entry."""
    (packed,) = db.execute(SQL["packed"], (seq,)).fetchone()
    numbers = (it.seq for it in journal.event_records(seq, packed) if it.at >= at)
    return next(numbers, seq) - 1
