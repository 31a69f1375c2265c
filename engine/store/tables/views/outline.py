"""What a page of one run needs, however many steps it has: all of them in outline, some in full."""

from __future__ import annotations

from engine.core.model import Step
from engine.ports.views import AttemptRecord, Outline, StepOutline
from engine.store import rows
from engine.store.tables.connection import SQL, Tables, snapshot
from engine.store.tables.stopped import stopped_steps
from engine.store.tables.views.records import read_record


def of_run(db: Tables, run_id: str) -> Outline | None:
    """A run and its steps in outline; None: there is none."""
    with snapshot(db):
        row = db.execute(f"{SQL['run_record']} WHERE run.id = ?", (run_id,)).fetchone()
        if row is None:
            return None
        found = db.execute(SQL["outline"], (run_id, bool(row["engine_error"])))
        steps = list(map(StepOutline._make, found))  # a run may have 10,000
        return Outline(read_record(db, row), steps)


def some_steps(
    db: Tables, run_id: str, ids: str, attempts_max: int
) -> list[tuple[Step, list[AttemptRecord]]]:
    """Steps of a run by their ids (JSON), each with so many of its latest attempts."""
    with snapshot(db):
        found = db.execute(SQL["some_steps"], (run_id, ids)).fetchall()
        tries = db.execute(SQL["latest_attempts"], (ids, attempts_max)).fetchall()
    stopped = bool(found) and bool(found[0]["engine_error"])
    steps = list(stopped_steps(found)) if stopped else [rows.step_from(it) for it in found]
    by_step: dict[str, list[AttemptRecord]] = {step.id: [] for step in steps}
    for each in tries:
        if each["step_id"] in by_step:
            by_step[each["step_id"]].append(rows.attempt_from(each))
    return [(step, by_step[step.id]) for step in steps]
