"""Runs that a bug of the engine's stopped: their rows say so, and end, by statements alone.

A stop (`store/stops.py`) looks at no step, and stands in the run's own row (`run.engine_error`),
where it is found before a step is read.

What the run's rows lacked when the bug struck is folded from the journal first, from there alone:
what is in memory may be half changed. If that cannot be folded either, the row says so by its
`seq`, and `read_again` tries once more when an operator asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from engine.core import cause
from engine.core.errors import EngineError
from engine.core.machine import evolve
from engine.core.model import ENDED, PauseReason, Run, Step, StepState, run_of
from engine.store import rows
from engine.store.commit import RowsToWrite
from engine.store.folding import fold, new_run
from engine.store.journal import BodyLine, EventLine, unpack
from engine.store.pending import Pending, RunRows
from engine.store.stops import Stop, What
from engine.store.tables.connection import SQL, Row, Tables
from engine.store.tables.cut import carried_of
from engine.store.tables.reading import entries_behind, stored_run
from engine.store.tables.writing import TALLY, write_apart


def write_stop(db: Tables, stop: Stop, owner: str, epoch: int) -> dict[str, int]:
    """Do to the rows of a stopped run what is recorded of it, within the caller's transaction.

    Returns what it moves in the counts in memory: those know what the rows lack, also where the
    rows cannot be told.
    """
    run_id, behind, last = stop.run_id, stop.behind, stop.first - 1
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    if stop.what is What.LET_GO_ON and row["seq"] < row["engine_error_seq"]:
        behind, last = row["seq"] + 1, row["engine_error_seq"]
    whole = behind is None or _catch_up(db, run_id, behind, last, owner, epoch)
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    if row is None:
        return {}
    before = after = row["state"]
    if stop.what is What.LET_GO_ON:
        _let_go_on(db, stop)
        return {}
    if before not in ENDED:
        after = StepState.CANCELLED if stop.what is What.END else StepState.PAUSED
    if stop.what is What.END:
        _end_as_it_is(db, stop, row, after)
    else:
        _stop_rows(db, stop, row, after, whole=whole)
    TALLY.insert(db, list(_moved_counts(before, after).items()))
    return _moved_counts(stop.stopped.state, after)


def _let_go_on(db: Tables, stop: Stop) -> None:
    db.execute(SQL["root_acted"], (stop.run_id,))
    db.execute(SQL["let_go_on"], (stop.seq, stop.run_id))
    db.execute(SQL["let_steps_go_on"], {"run": stop.run_id})


def _end_as_it_is(db: Tables, stop: Stop, row: Row, after: str) -> None:
    run_id, moves, open_steps = row["id"], row["state"] != after, row["open_steps"]
    db.execute(SQL["root_acted"], (run_id,))
    db.execute(SQL["end_outcomes"], {"run": run_id, "at": stop.at})
    db.execute(SQL["end_steps"], {"run": run_id, "at": stop.at})
    db.execute(SQL["end_run"], (after, moves, open_steps, stop.seq, run_id))


def _stop_rows(db: Tables, stop: Stop, row: Row, after: str, *, whole: bool) -> None:
    run_id, need = row["id"], _stuck_as(db, stop, row)
    db.execute(SQL["stop_steps"], {"run": run_id})
    values = (after, row["state"] != after, need.cause, need.since, stop.stopped.error)
    db.execute(SQL["stop_run"], (*values, stop.seq, whole, stop.seq, run_id))


def _stuck_as(db: Tables, stop: Stop, row: Row) -> cause.Stuck:
    root = db.execute(SQL["root_called"], (row["id"],)).fetchone()
    url, name = ("", "") if root is None else (str(root["url"]), str(root["name"]))
    return cause.stopped(row["workflow"], url, name, stop.at, row["id"])


def _moved_counts(before: str, after: str) -> dict[str, int]:
    """A run is counted where it is now, and no longer where it was."""
    if before == after:
        return {}
    return {before: -1, after: 1} if before in set(StepState) else {after: 1}


def read_again(db: Tables, run_id: str) -> Run:
    """The run, stopped or not; with what its rows lacked when it was stopped.

    Raises whatever reading it raises: the bug may still be there, or the damage.
    """
    found = stored_run(db, run_id)
    assert found is not None, f"the row of run {run_id} is gone"
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    if row["engine_error_seq"] is not None and found.seq < row["engine_error_seq"]:
        for _, line, *_ in _lines_of_run(db, run_id, found.seq + 1, row["engine_error_seq"]):
            evolve(found.run, line.event)
    for step_id, latest in db.execute(SQL["attempts_max"], (run_id,)):
        counted = found.run.steps[step_id].attempts
        if latest > counted:  # the next attempt would take the number of one that was made
            raise EngineError(
                f"step {step_id} has {counted} attempts, and attempt {latest} is recorded"
            )
    return found.run


UNREADABLE = dict.fromkeys(("retry", "delay_by", "pause_reason", "held_state"))
"""What a row is read without when it cannot be read with it."""


def stopped_steps(found: Iterable[Row]) -> Iterator[Step]:
    """The steps of a stopped run for people, as far as they can be read: what was open of it stands
    still, whatever its rows say."""
    for row in found:
        step = _readable_step(dict(row))
        if step is not None and not step.ended:
            step = replace(step, state=StepState.PAUSED, pause_reason=PauseReason.ENGINE_ERROR)
        if step is not None:
            yield step


def _readable_step(row: dict[str, Any]) -> Step | None:
    state = row["state"] if row["state"] in set(StepState) else StepState.PAUSED
    for without in ({}, UNREADABLE | {"state": state}):
        try:
            return rows.step_from({**row, **without})
        except Exception:  # noqa: BLE001 - the bug that stopped the run may be here
            continue
    return None


def _lines_of_run(
    db: Tables, run_id: str, first: int, last: int
) -> Iterator[tuple[int, EventLine, int, list[BodyLine]]]:
    """The events of a run from `first` to `last`: number, event, entry, the run's bodies there."""
    for entry, part in carried_of(db, run_id):
        for seq, line in part.events:
            if first <= seq <= last:
                yield seq, line, entry, part.bodies
    for entry, packed in entries_behind(db, first - 1):
        if entry > last:
            return
        events, bodies = unpack(packed)
        mine = [body for body in bodies if run_of(body.step_id) == run_id]
        for seq, line in enumerate(events, entry):
            if line.run_id == run_id and first <= seq <= last:
                yield seq, line, entry, mine


def _catch_up(db: Tables, run_id: str, first: int, last: int, owner: str, epoch: int) -> bool:
    """Write the rows of what the run's rows lack; False if they cannot be told to the end."""
    pending, failed_at = _rows_of_run(db, run_id, first, last, epoch)
    if failed_at is not None:  # what failed may have changed a part: again, without it
        pending, _ = _rows_of_run(db, run_id, first, failed_at - 1, epoch)
    found = RowsToWrite(pending, owner, epoch)
    write_apart(db, found)
    return failed_at is None and not any(it.lacking for it in found.unwritable)


def _rows_of_run(
    db: Tables, run_id: str, first: int, last: int, epoch: int
) -> tuple[list[RunRows], int | None]:
    """The rows after these events; or after those before the one that is named, which failed."""
    pending, run, seq = Pending(), None, first
    try:
        found = stored_run(db, run_id)
        known = found.seq if found else 0
        run = found.run if found else None
        for seq, line, entry, bodies in _lines_of_run(db, run_id, max(first, known + 1), last):
            run = run or new_run(line)
            fold(pending, run, seq, line, entry, bodies, epoch)
    except Exception:  # noqa: BLE001 - the bug that stopped the run may be in the fold
        return pending.take(0.0, at_most=None), seq
    return pending.take(0.0, at_most=None), None
