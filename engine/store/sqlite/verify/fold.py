"""Every run folded from its events, and its rows held against that; in bounded memory.

A run is held from its first event to the one that its row knows last (`run.seq`), then compared and
let go. One that is older than where the journal begins is taken up from what was carried on of it:
before the walk if that is all, else when its next event comes. Runs that are open together for long
may be more than memory has room for: then those that begin later are left to another walk over the
journal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec import Struct

from engine.core.errors import what_was_wrong
from engine.core.events import Accepted, EngineErred
from engine.core.machine import Change
from engine.core.model import run_of
from engine.ports.report import Report
from engine.store.folding import new_run
from engine.store.journal import UNREADABLE, BodyLine, EventLine
from engine.store.pending import RunRows, absorb
from engine.store.sqlite.content import versions
from engine.store.sqlite.verify.journal import ReadEntry, begins_at
from engine.store.sqlite.verify.rows import RowComparison
from engine.store.tables.cut import carried_of
from engine.store.tables.expiry import Gone
from engine.store.tables.reading import stored_run

STEPS_AT_ONCE = 60_000
"""Steps of the runs that are held, about: some 150 MB."""
COMPARED_AT_ONCE = 1_000
"""Steps of runs that wait to be compared, so that a few queries do for many runs."""
SQL_CARRIED = "SELECT 1 FROM carried WHERE run_id = ? LIMIT 1"


class Followed(Struct):
    """A run between its first event and the last one that its row knows."""

    rows: RunRows
    until: int | None
    """The last event that the row knows; None: there is no row, or no more of it to compare."""
    has_row: bool = False
    """It goes on from its rows, which are compared by themselves."""


class FoldCheck:
    """One file's runs, over one walk or several."""

    def __init__(self, db: sqlite3.Connection, report: Report) -> None:
        self._db, self._report = db, report
        self.comparison = RowComparison(db)
        has = {row["name"] for row in db.execute("PRAGMA table_info(run)")}
        stopped = "engine_error" if "engine_error" in has else "NULL"
        self._sql_run = f"SELECT seq, {stopped} AS engine_error FROM run WHERE id = ?"
        self.caught_up = int(db.execute("SELECT caught_up FROM engine").fetchone()[0])
        self.folded = 0
        """Events, of all walks."""
        self.stopped = 0
        """Runs that a bug stopped: their rows follow from no fold, and are not compared."""
        self.gone = 0
        """Runs that retention removed: there are no rows to compare."""
        self._is_of_today = len({len(it) for it in versions(db)}) == 1
        """Its rows can be read: an older file's are, once a start has brought it up to date."""
        self._gone = Gone(db, has_keys=bool(db.execute("PRAGMA table_info(expired)").fetchall()))
        self._floor = begins_at(db) - 1
        self._begun: set[str] = set()
        """Runs of which the carried events were folded, in whichever walk."""
        self._followed: dict[str, Followed] = {}
        self._let_be: dict[str, None] = {}
        """Runs of which something was told already, or that are not compared."""
        self._held = 0
        self._to_compare: list[RunRows] = []
        self._steps_to_compare = 0
        self._from = 0
        """Runs that begin before this event were followed in a walk before."""
        self.again_from: int | None = None
        """Where the next walk begins; None: there is none to come."""

    def begin_walk(self) -> int:
        """Once more over the journal, for the runs that were left to this walk; returns where: none
        of them has anything before."""
        assert self.again_from is not None
        self._from, self.again_from = self.again_from, None
        self._let_be.clear()
        return self._from

    def fold_carried(self, run_id: str) -> None:
        """Compare a run of which all was carried on. Raises TooManyFaults, and UNREADABLE."""
        row = self._db.execute(self._sql_run, (run_id,)).fetchone()
        if row is None and self._gone.among((run_id,)):
            self._report.found(f"run {run_id}", "it was carried on, and has gone")
        elif row is not None and row["engine_error"] is not None:
            self._begun.add(run_id)
            self._let_be_stopped(run_id)
        elif row is None or row["seq"] <= self._floor:
            self._take_up(run_id, None if row is None else row["seq"])
            if run_id in self._followed:
                what = "it was carried on, and has no row" if row is None else _none_of(row["seq"])
                self._report.found(f"run {run_id}", what)
                self._let_go(run_id)
                self.comparison.count(run_id)

    def let_be(self, run_id: str) -> None:
        """What was carried on of it cannot be folded, as was told."""
        self._begun.add(run_id)
        self._let_be[run_id] = None
        self.comparison.count(run_id)

    def _take_up(self, run_id: str, until: int | None) -> Followed | None:
        """Fold what was carried on of a run, and follow it if there is more to come."""
        self._begun.add(run_id)
        followed: Followed | None = None
        for entry, part in carried_of(self._db, run_id):
            for seq, line in part.events:
                if followed is None:
                    followed = Followed(RunRows(new_run(line), seq, 0.0), until)
                    self._followed[run_id] = followed
                elif run_id not in self._followed:
                    if run_id not in self._let_be:  # compared, and here is more
                        self._see_later(seq, line)
                    return None
                self._fold(followed, seq, line, entry, part.bodies)
        return self._followed.get(run_id)

    def fold(self, entry: ReadEntry) -> None:
        """Take in what an entry has. Raises TooManyFaults."""
        by_run: dict[str, list[BodyLine]] = {}
        for body in entry.bodies:
            by_run.setdefault(run_of(body.step_id), []).append(body)
        for seq, line in enumerate(entry.events, entry.seq):
            followed = self._followed.get(line.run_id) or self._begin(seq, line)
            if followed is None:
                continue
            self.folded += 1
            self._fold(followed, seq, line, entry.seq, by_run.pop(line.run_id, ()))

    def end_walk(self) -> None:
        """The journal has ended."""
        self._compare_all()
        for run_id, followed in self._followed.items():
            until = followed.until
            if until is not None:
                self._report.found(f"run {run_id}", _none_of(until))
            elif followed.rows.first <= self.caught_up:
                self._report.found(f"run {run_id}", "it has events, and no row")
        self._followed.clear()
        self._held = 0

    def _begin(self, seq: int, line: EventLine) -> Followed | None:
        """Follow a run from here, if this is its first event and there is room."""
        run_id = line.run_id
        if run_id in self._let_be:
            self.folded += 1
            return None
        begins = isinstance(line.event, Accepted) and line.event.step_id == run_id
        if not begins and not self._is_carried(run_id):
            self._see_later(seq, line)
            return None
        if begins and seq < self._from:
            return None
        row = self._db.execute(self._sql_run, (run_id,)).fetchone()
        if row is None and self._gone.among((run_id,)):
            self._let_be_gone(run_id)
            return None
        if self._held >= STEPS_AT_ONCE and self.again_from is None:
            self.again_from = seq
        if self.again_from is not None:
            return None
        if row is not None and row["engine_error"] is not None:
            self._begun.add(run_id)
            self._let_be_stopped(run_id)
            self.folded += 1
            return None
        until = None if row is None else row["seq"]
        if begins:
            followed = self._followed[run_id] = Followed(RunRows(new_run(line), seq, 0.0), until)
            return followed
        taken_up = self._take_up(run_id, until)
        if taken_up is None:
            self.folded += 1
        return taken_up

    def _is_carried(self, run_id: str) -> bool:
        """There are events of it from before the floor that were not folded yet."""
        if not self._floor or run_id in self._begun:
            return False
        return self._db.execute(SQL_CARRIED, (run_id,)).fetchone() is not None

    def _let_be_gone(self, run_id: str) -> None:
        """In the first walk, whatever there is room for."""
        if not self._from:
            self.gone += 1
            self.folded += 1
            self._let_be[run_id] = None

    def _see_later(self, seq: int, line: EventLine) -> None:
        """An event of a run that is not followed: compared already, of another walk, or lost."""
        if self._from:
            return  # the first walk has told it
        run_id = line.run_id
        row = self._db.execute(self._sql_run, (run_id,)).fetchone()
        if row is None and self._floor and self._gone.among((run_id,)):
            self._let_be_gone(run_id)
            return
        known = None if row is None else row["seq"]
        if known is not None and seq > known:
            self.folded += 1
            if seq <= self.caught_up:
                self._let_be[run_id] = None
                self._report.found(
                    f"run {run_id}", f"its rows know events up to {known}, and lack event {seq}"
                )
            else:
                self._go_on_from_rows(seq, line)
        elif self.again_from is None:
            self.folded += 1
            self._let_be[run_id] = None
            self._report.found(
                f"journal, event {seq}", f"it is of run {run_id}, which no event before it begins"
            )
            self.comparison.count(run_id)

    def _go_on_from_rows(self, seq: int, line: EventLine) -> None:
        """Of the journal's end the rows need not know: a start folds it into them, and so it is
        folded here."""
        run_id = line.run_id
        try:
            stored = stored_run(self._db, run_id) if self._is_of_today else None
        except (*UNREADABLE, AssertionError, KeyError) as error:
            self._report.found(f"run {run_id}", f"its rows cannot be read: {what_was_wrong(error)}")
            stored = None
        if stored is None:
            self._let_be[run_id] = None
            return
        self._held += len(stored.run.steps)
        followed = self._followed[run_id] = Followed(RunRows(stored.run, seq, 0.0), None, True)
        self._fold(followed, seq, line, seq, ())

    def _fold(
        self,
        followed: Followed,
        seq: int,
        line: EventLine,
        entry: int,
        bodies: Iterable[BodyLine],
    ) -> None:
        run = followed.rows.run
        steps_before = len(run.steps)
        change = Change(run)
        try:
            change.do(line.event)
            absorb(followed.rows, change, seq, 0, entry, tuple(bodies))
        except Exception as error:  # noqa: BLE001 - a damaged entry may hold anything
            self._report.found(
                f"run {run.id}, event {seq}",
                f"it does not follow from those before it: {what_was_wrong(error)}",
            )
            self._let_go(run.id)
            if not followed.has_row:
                self.comparison.count(run.id)
            return
        self._held += len(run.steps) - steps_before
        if isinstance(line.event, EngineErred):
            self._let_go(run.id)
            if not followed.has_row:
                self._let_be_stopped(run.id)
        elif followed.until is not None and seq >= followed.until:
            self._compare(followed, seq)

    def _compare(self, followed: Followed, seq: int) -> None:
        run = followed.rows.run
        self._let_go(run.id, forget=True)
        if seq != followed.until:
            self._report.found(f"run {run.id}", _none_of(followed.until))
            self.comparison.count(run.id)
            return
        self._to_compare.append(followed.rows)
        self._steps_to_compare += len(run.steps)
        if self._steps_to_compare >= COMPARED_AT_ONCE:
            self._compare_all()

    def _compare_all(self) -> None:
        some, self._to_compare, self._steps_to_compare = self._to_compare, [], 0
        for it in self.comparison.compare(some):
            self._report.found(it.place, it.what)

    def _let_go(self, run_id: str, *, forget: bool = False) -> None:
        followed = self._followed.pop(run_id)
        self._held -= len(followed.rows.run.steps)
        if not forget:
            self._let_be[run_id] = None

    def _let_be_stopped(self, run_id: str) -> None:
        self.stopped += 1
        self._let_be[run_id] = None
        self.comparison.count(run_id)


def _none_of(seq: int | None) -> str:
    return f"its row knows event {seq}, which is none of its events"
