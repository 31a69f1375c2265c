"""The record, checked against itself: after each commit what it changed, at the end all of it.

The rows must equal the fold of the stored events; events have no gaps; what has ended stays as it
ended; the tally counts what is there; and every open step has something that will move it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from engine.core.errors import EngineError
from engine.core.events import Accepted, Event
from engine.core.machine import evolve
from engine.core.model import Run, Step, StepState, rebuild
from engine.store.rows import run_from, step_from
from tests.simulation.history import History

_event = msgspec.json.Decoder(Event).decode
QUERY_MOVING = """
SELECT step.id, step.state FROM step WHERE
    step.state IN ('backing-off', 'running', 'pending') AND NOT step.awaiting_post
    AND NOT (step.state = 'running' AND EXISTS (
        SELECT 1 FROM step AS child WHERE child.parent_id = step.id
        AND child.state NOT IN ('completed', 'failed', 'cancelled')))
LIMIT 5"""
QUERY_UNENDED = """
SELECT DISTINCT step.run_id FROM step
WHERE step.state NOT IN ('completed', 'failed', 'cancelled') AND NOT EXISTS (
    SELECT 1 FROM step AS other WHERE other.run_id = step.run_id AND other.state = 'paused')
LIMIT 5"""


class Records:
    """A reader of the file that folds every event as it is committed."""

    def __init__(self, path: Path, history: History) -> None:
        self.history = history
        self.runs: dict[str, Run] = {}
        """The fold of the stored events."""
        self.seq = 0
        self._outcomes: dict[tuple[str, int], tuple[object, ...]] = {}
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- after each commit ---------------------------------------------------------------------

    def committed(self) -> None:
        """Fold what was just committed, and compare the rows it touched."""
        touched: dict[str, None] = {}
        rows = self._db.execute("SELECT seq, run_id, data FROM event WHERE seq > ? ORDER BY seq",
                                (self.seq,)).fetchall()  # fmt: skip
        for row in rows:
            if row["seq"] != self.seq + 1:
                self._wrong("I5", f"event {row['seq']} follows event {self.seq}")
            self.seq = row["seq"]
            self._fold(row["run_id"], _event(row["data"]), touched)
            self.history.log("event", row["seq"], row["data"])
        for step_id in touched:
            self._compare(step_id)
            self._keep_outcomes(step_id)

    def _keep_outcomes(self, step_id: str) -> None:
        """What was recorded as an outcome once must be so for ever."""
        rows = self._db.execute("SELECT * FROM outcome WHERE step_id = ?", (step_id,)).fetchall()
        for row in rows:
            what = tuple(row)
            if self._outcomes.setdefault((step_id, row["generation"]), what) != what:
                self._wrong("I1", f"an outcome of {step_id} has changed: {what}")

    def _fold(self, run_id: str, event: Event, touched: dict[str, None]) -> None:
        run = self.runs.get(run_id)
        if run is None:
            client = event.client if isinstance(event, Accepted) else None
            run = self.runs[run_id] = Run(id=run_id, client=client or "?", submitted_at=event.at)
        try:
            for step in evolve(run, event):
                touched[step.id] = None
        except (EngineError, AssertionError) as error:
            self._wrong("fold", f"a stored event does not fold: {event}: {error!r}")

    def _compare(self, step_id: str) -> None:
        row = self._db.execute("SELECT * FROM step WHERE id = ?", (step_id,)).fetchone()
        ours = self.runs[step_id.partition("-")[0]].steps[step_id]
        self._differ(step_id, ours, None if row is None else step_from(row))

    def _differ(self, what: str, ours: Step, theirs: Step | None) -> None:
        if theirs is None:
            self._wrong("fold", f"{what} has events and no row")
            return
        folded, stored = asdict(ours), asdict(theirs)
        for name, value in folded.items():
            if name != "open_children" and value != stored[name]:
                self._wrong("fold", f"{what}: {name} is {stored[name]!r}, its events say {value!r}")

    def _wrong(self, rule: str, what: str) -> None:
        self.history.fail(rule, what)

    # -- at rest -------------------------------------------------------------------------------

    def unrest(self) -> list[str]:
        """Steps that move, and runs that neither end nor have anything paused."""
        moving = [f"{row[0]} {row[1]}" for row in self._db.execute(QUERY_MOVING)]
        return moving + [f"run {row[0]}" for row in self._db.execute(QUERY_UNENDED)]

    def quiet(self) -> bool:
        """Nothing moves any more by itself."""
        return not self.unrest()

    def paused_runs(self) -> frozenset[str]:
        """Runs that have a step paused, for a reason."""
        query = "SELECT DISTINCT run_id FROM step WHERE state = 'paused' AND pause_reason NOTNULL"
        return frozenset(row[0] for row in self._db.execute(query))

    # -- at the end ----------------------------------------------------------------------------

    def check_at_end(self) -> None:
        """Compare the whole record with the fold, and with itself."""
        self.committed()
        for row in self._db.execute("SELECT * FROM run").fetchall():
            self._check_run(row)
        stored = {row["state"]: row["runs"] for row in self._db.execute("SELECT * FROM tally")}
        counted = {
            row[0]: row[1]
            for row in self._db.execute("SELECT state, count(*) FROM run GROUP BY state")
        }
        if {state: runs for state, runs in stored.items() if runs} != counted:
            self._wrong("tally", f"the tally says {stored}, counted are {counted}")
        self._check_outcomes()
        twice = self._db.execute(
            "SELECT step_id, count(*) FROM attempt WHERE counts_as IS NULL GROUP BY step_id"
            " HAVING count(*) > 1"
        ).fetchall()
        for row in twice:
            self._wrong("I2", f"{row[1]} attempts of {row[0]} are in flight")

    def _check_run(self, row: sqlite3.Row) -> None:
        steps = self._db.execute("SELECT * FROM step WHERE run_id = ?", (row["id"],)).fetchall()
        stored = run_from(row, [step_from(step) for step in steps])
        ours = self.runs.get(row["id"])
        if ours is None:
            self._wrong("fold", f"run {row['id']} has no events")
            return
        for name in ("client", "rev", "progress", "shown", "dismissed", "submitted_at"):
            if getattr(ours, name) != getattr(stored, name):
                self._wrong(
                    "fold",
                    f"run {row['id']}: {name} is {getattr(stored, name)!r}, its events say"
                    f" {getattr(ours, name)!r}",
                )
        for step in stored.steps.values():
            self._differ(step.id, ours.steps[step.id], step)
            if step.open_children != ours.steps[step.id].open_children:
                self._wrong("fold", f"{step.id}: open children are not what its events say")
        self._check_orphans(stored)
        again = rebuild(ours)
        if again.state is not ours.shown:
            self._wrong("fold", f"run {row['id']} is {again.state}, shown as {ours.shown}")
        if (row["open_steps"], row["failed_steps"]) != (stored.open_steps, stored.failed_steps):
            self._wrong("fold", f"run {row['id']}: its counts of steps are wrong")

    def _check_orphans(self, run: Run) -> None:
        for step in run.steps.values():
            parent = run.steps.get(step.parent_id or "")
            moved = (
                step.ended
                or step.state in (StepState.RUNNING, StepState.PENDING)
                or (step.state is StepState.BACKING_OFF and step.due_at is not None)
                or (step.state is StepState.WAITING and step.open_children > 0)
                or (step.state is StepState.PAUSED and step.pause_reason is not None)
            )
            if not moved:
                self._wrong("I4", f"nothing will ever move {step.id} ({step.state})")
            over = parent is not None and parent.state in (StepState.FAILED, StepState.CANCELLED)
            if not step.ended and over and not step.cancel_asked:
                self._wrong("I4", f"{step.id} is open under a step that failed or was cancelled")

    def _check_outcomes(self) -> None:
        """Each step that has ended has its generation's outcome, and no row ever changed."""
        rows = self._db.execute("SELECT * FROM outcome").fetchall()
        if {(row["step_id"], row["generation"]): tuple(row) for row in rows} != self._outcomes:
            self._wrong("I1", "outcomes are not as they were first recorded")
        found = {(row["step_id"], row["generation"]): row for row in rows}
        for run in self.runs.values():
            for step in run.steps.values():
                row = found.get((step.id, step.generation))
                if step.ended and (row is None or row["state"] != step.state):
                    self._wrong("I1", f"{step.id} ended {step.state}; its outcome says otherwise")
                if not step.ended and row is not None:
                    self._wrong("I1", f"{step.id} is open and has an outcome")
