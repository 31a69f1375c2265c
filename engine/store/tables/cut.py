"""The beginning of the journal goes, and what it has of runs that stay is carried on.

A piece at a time, each with one commit: so a crash finds it cut or not. What is to go is read and
carried by a reader, before; the commit looks again. The rows of a run that stays go on naming the
entries that they named, and `carried` has them under that name, by run: so they go with the run.

`engine.floor` says where the journal begins. Nothing else does: one that lost its first entry by
damage looks the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.store.expiry import Cut, Expiry
from engine.store.journal import UNREADABLE, OpenedPart, Part, named_runs, opened_part, parts
from engine.store.tables.connection import SQL, Tables, snapshot
from engine.store.tables.expiry import Gone
from engine.store.tables.writing import CARRIED

ENTRIES_AT_ONCE_MAX = 64
"""So many go with one commit: some milliseconds of it."""
PAGE_BYTES = 4_096
"""A page is counted as so many."""
PAGES_AT_ONCE_MAX = 256
"""So many pages of entries, one entry more at most: SQLite reads what it frees."""
CARRIED_AT_ONCE_MAX = 200
"""So many parts, one entry's more at most."""
SQL_FLOOR = "SELECT floor, caught_up FROM engine"


class _Entry(NamedTuple):
    seq: int
    events: int
    at: int
    packed: bytes
    large: int
    """Of its large bodies, in bytes."""

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.seq + self.events - 1


def look(db: Tables, before: int) -> Cut | None:
    """A piece that may go: entries in which nothing is so late, and of which the tables know all.
    None: there is none. What cannot be read stays, and all behind it."""
    with snapshot(db):
        floor, caught_up = db.execute(SQL_FLOOR).fetchone()
        found: list[tuple[_Entry, set[str]]] = []
        following = floor + 1
        for row in db.execute(SQL["oldest_entries"], (ENTRIES_AT_ONCE_MAX,)).fetchall():
            entry = _Entry(*row)
            if entry.seq != following or entry.last > caught_up or entry.at >= before:
                break
            try:
                found.append((entry, named_runs(entry.packed)))
            except UNREADABLE:
                break
            following = entry.last + 1
        return _piece(db, floor, found) if found else None


def _piece(db: Tables, floor: int, found: list[tuple[_Entry, set[str]]]) -> Cut:
    """As many of these entries as go at once."""
    named = {run_id for _, runs in found for run_id in runs}
    there = _there(db, named)
    rest = named - there
    unknown = frozenset(rest - Gone(db).among(rest))
    carried: list[Part] = []
    behind, pages = floor, 0
    for entry, runs in found:
        kept = runs & (there | unknown)
        try:
            its = parts(entry.seq, entry.packed, kept, _large_of(db, entry.seq)) if kept else []
        except UNREADABLE:
            break
        carried += its
        behind = entry.last
        pages += 1 + (len(entry.packed) + entry.large) // PAGE_BYTES
        if pages >= PAGES_AT_ONCE_MAX or len(carried) >= CARRIED_AT_ONCE_MAX:
            break
    grows = pages + sum(1 + len(part.large or b"") // PAGE_BYTES for part in carried)
    return Cut(floor, behind, tuple(carried), unknown, grows)


def _large_of(db: Tables, entry: int) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        data = db.execute(SQL["large"], (offset + 1, length, entry)).fetchone()[0]
        if data is None or len(data) != length:
            raise ValueError("it has fewer bytes than its head says")
        return bytes(data)

    return read


def _there(db: Tables, run_ids: set[str]) -> set[str]:
    ids = json.dumps(sorted(run_ids))
    return {run_id for (run_id,) in db.execute(SQL["there"], (ids,))}


def write_cut(db: Tables, expiry: Expiry) -> None:
    """Cut what it says, within the caller's transaction, and note how many events went."""
    cut, expiry.gone = expiry.cut, 0
    floor, caught_up = db.execute(SQL_FLOOR).fetchone()
    if cut is None or floor != cut.behind or cut.floor > caught_up:
        return
    stay = _there(db, {part.run_id for part in cut.carried}) | cut.unknown
    rows = [part for part in cut.carried if part.run_id in stay]
    CARRIED.insert(db, [(it.run_id, it.entry, it.size, it.packed, it.large) for it in rows])
    db.execute(SQL["cut_journal"], (cut.floor,))
    db.execute(SQL["set_floor"], (cut.floor,))
    expiry.gone = cut.floor - floor


def carried_of(db: Tables, run_id: str) -> Iterator[tuple[int, OpenedPart]]:
    """What entries that were cut had of a run, in their order, each with the entry's number."""
    for entry, packed in db.execute(SQL["carried_of"], (run_id,)).fetchall():
        yield entry, opened_part(entry, packed)
