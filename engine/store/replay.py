"""At the start: fold what the journal knows and the tables do not, and write the rows.

Only the end of the journal is read, from the mark up to which the tables are complete. A run's own
row says how far it got (`run.seq`), so an event is never folded twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from engine.core.errors import EngineError
from engine.core.events import Accepted
from engine.core.machine import Change
from engine.core.model import Run, run_of
from engine.store.journal import BodyLine, EventLine, unpack
from engine.store.pending import Pending, absorb
from engine.store.readers import SQL, stored_run
from engine.store.tables import Commit

LATEST_AMONG_EVENTS = 50_000
"""How far back the latest time is looked for: what one recovery may have written."""


class Damaged(EngineError):
    """The journal does not fold: the message says where."""


def replay(db: sqlite3.Connection) -> None:
    """Bring the tables up to the journal's end.

    In one transaction: a crash within it leaves everything as it was. Raises Damaged.
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
    pending = found.pending.take(0.0, at_most=None)
    if pending:
        Commit([], pending, owner=owner, epoch=epoch, caught_up=seq).write(db)


class _Folded:
    """Runs as their events make them."""

    def __init__(self, db: sqlite3.Connection, epoch: int) -> None:
        self.pending = Pending()
        self._db = db
        self._epoch = epoch
        self._runs: dict[str, tuple[Run, int]] = {}

    def fold(self, seq: int, line: EventLine, entry: int, bodies: list[BodyLine]) -> None:
        """Fold one event, if the run's row does not know it yet."""
        if line.run_id not in self._runs:
            self._runs[line.run_id] = self._stored(line)
        run, known = self._runs[line.run_id]
        if seq <= known:
            return
        change = Change(run)
        try:
            change.do(line.event)
        except (EngineError, AssertionError, KeyError) as error:
            raise Damaged(f"event {seq} of run {run.id} does not follow: {error}") from error
        absorb(self.pending.of(run, seq, 0.0), change, seq, self._epoch, entry, bodies)

    def _stored(self, line: EventLine) -> tuple[Run, int]:
        found = stored_run(self._db, line.run_id)
        if found is not None:
            return found.run, found.seq
        client = line.event.client if isinstance(line.event, Accepted) else None
        return Run(id=line.run_id, client=client or "?", submitted_at=line.event.at), 0


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
