"""At the start: fold what the journal knows and the tables do not, and write the rows.

Only the end of the journal is read, from the mark up to which the tables are complete. A run's own
row says how far it got (`run.seq`), so an event is never folded twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from engine.core.errors import EngineError, what_was_wrong
from engine.core.model import Run, StepState, run_of
from engine.ports.store import Stopped
from engine.store.folding import fold, new_run
from engine.store.journal import BodyLine, Entry, EventLine, unpack
from engine.store.pending import Pending, RunRows
from engine.store.readers import SQL, stored_run
from engine.store.stopped import Statements, stop_lines
from engine.store.tables import Commit

LATEST_AMONG_EVENTS = 50_000
"""How far back the latest time is looked for: what one recovery may have written."""


class Damaged(EngineError):
    """The journal does not fold: the message says where."""


def replay(db: sqlite3.Connection) -> None:
    """Bring the tables up to the journal's end.

    A crash within it leaves everything as it was, or as it was before the last marks. A run whose
    events do not fold, or whose rows cannot be read or written, is marked (`store/stopped.py`), and
    the others go on.
    """
    caught_up, owner, epoch = db.execute("SELECT caught_up, owner, epoch FROM engine").fetchone()
    found = _Folded(db, epoch)
    seq = caught_up
    for first, packed in db.execute(SQL["journal_from"], (caught_up,)):
        events, bodies = unpack(packed)
        by_run: dict[str, list[BodyLine]] = {}
        for body in bodies:
            by_run.setdefault(run_of(body.step_id), []).append(body)
        for seq, line in enumerate(events, first):
            if seq > caught_up:
                found.fold(seq, line, first, by_run.get(line.run_id, []))
    marks = _Marks(seq)
    for run_id, (error, behind, at) in found.broken.items():
        marks.add(run_id, error, behind, at)
    commit = marks.commit(db, found.pending.take(0.0, at_most=None), owner, epoch)
    marks = _Marks(marks.seq)
    for it in commit.unwritable:
        if it.is_lost:
            raise it.error
        if it.needs_mark:
            lacks = it.first if it.lacking else None
            marks.add(it.run.id, what_was_wrong(it.error), lacks, found.latest)
    marks.commit(db, [], owner, epoch)


class _Marks:
    """What marks runs that are stopped here, behind event `seq`."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._entries: list[Entry] = []
        self._extras: list[Statements] = []

    def add(self, run_id: str, error: str, behind: int | None, at: int) -> None:
        """`behind` is the first event that the rows of the run lack."""
        stopped = Stopped(run_id, "", StepState.RUNNING, 0, StepState.RUNNING, 0, error)
        entry, first = Entry(self.seq + 1), self.seq + 1
        entry.events = stop_lines(stopped, at)
        self.seq += len(entry.events)
        self._entries.append(entry)
        self._extras.append(Statements(stopped, at, first, self.seq, behind))

    def commit(
        self, db: sqlite3.Connection, pending: list[RunRows], owner: str, epoch: int
    ) -> Commit:
        """Mark them, and write these rows."""
        entries, extras = self._entries, self._extras
        commit = Commit(
            entries, pending, owner=owner, epoch=epoch, caught_up=self.seq, extras=extras
        )
        if pending or extras:
            commit.write(db)
        return commit


class _Folded:
    """Runs as their events make them."""

    def __init__(self, db: sqlite3.Connection, epoch: int) -> None:
        self.pending = Pending()
        self._db = db
        self._epoch = epoch
        self._runs: dict[str, tuple[Run, int] | None] = {}
        """Each with the last event that its row knew; None: a bug stopped it."""
        self.broken: dict[str, tuple[str, int, int]] = {}
        """Runs that a bug stops here: what was wrong, the first event that the rows lack, when."""
        self.latest = 0
        """When the last event was."""

    def fold(self, seq: int, line: EventLine, entry: int, bodies: list[BodyLine]) -> None:
        """Fold one event, if the run's row does not know it yet."""
        self.latest = line.event.at
        try:
            self._fold(seq, line, entry, bodies)
        except Exception as error:
            if isinstance(error, sqlite3.Error):
                raise
            run_id = line.run_id
            self.pending.withhold(run_id)
            first = self.pending.first_withheld(run_id)
            self.broken[run_id] = (
                what_was_wrong(error), seq if first is None else first, line.event.at
            )  # fmt: skip
            self._runs[run_id] = None

    def _fold(self, seq: int, line: EventLine, entry: int, bodies: list[BodyLine]) -> None:
        run_id = line.run_id
        if run_id not in self._runs:
            self._runs[run_id] = self._stored(line)
        found = self._runs[run_id]
        if found is not None and seq > found[1]:
            fold(self.pending, found[0], seq, line, entry, bodies, self._epoch)

    def _stored(self, line: EventLine) -> tuple[Run, int] | None:
        row = self._db.execute(SQL["run"], (line.run_id,)).fetchone()
        if row is None:
            return new_run(line), 0
        if row["engine_error"]:
            return None
        found = stored_run(self._db, line.run_id)
        assert found is not None
        return found.run, found.seq


def journal_end(db: sqlite3.Connection) -> tuple[int, int]:
    """The number of the last event, and the latest time among the last (0, 0: there are none).

    Not the last event's: a life with its clock set back may have begun to recover, and died in it.
    """
    last = latest = looked_at = 0
    with closing(db.execute(SQL["journal_back"])) as entries:
        for seq, events, at in entries:
            last = last or seq + events - 1
            latest = max(latest, at)
            looked_at += events
            if looked_at >= LATEST_AMONG_EVENTS:
                break
    return last, latest


def tally(db: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Runs by state."""
    for row in db.execute(SQL["tally"]):
        yield row["state"], row["runs"]
