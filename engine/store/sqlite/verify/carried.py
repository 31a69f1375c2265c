"""What was carried on as the journal was cut: each part is as its row says, of before the floor."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from engine.core.model import run_of
from engine.ports.report import Progress, Report
from engine.store.journal import UNREADABLE, opened_part
from engine.store.sqlite.verify.fold import FoldCheck

SQL_PARTS = "SELECT run_id, entry, size, packed, length(large) FROM carried ORDER BY run_id, entry"
SQL_COUNT = "SELECT count(*), count(DISTINCT run_id) FROM carried"
TELL_EVERY = 256
"""Parts."""


def check_carried(
    db: sqlite3.Connection, floor: int, fold: FoldCheck, report: Report, progress: Progress
) -> int:
    """Look at each part, and have the runs compared of which all was carried on. Raises
    TooManyFaults, and sqlite3.Error where it cannot be read. Returns how many faults the parts have
    by themselves: what the runs are compared with is told of the rows."""
    parts, runs = db.execute(SQL_COUNT).fetchone()
    events, seen, is_whole, faults = 0, "", True, 0
    with closing(db.execute(SQL_PARTS)) as rows:
        for number, (run_id, *row) in enumerate(rows):
            if number % TELL_EVERY == 0:
                progress("carried on", number, parts)
            if run_id != seen:
                _fold(fold, seen, is_whole=is_whole)
                seen, is_whole, last = run_id, True, 0
            count, last, wrong = _look(run_id, last, floor, *row)
            events += count
            for what in wrong:
                report.found(f"carried, run {run_id}, entry {row[0]}", what)
                is_whole = False
                faults += 1
    _fold(fold, seen, is_whole=is_whole)
    told = f"{events:,} events of {runs:,} runs from before the journal begins"
    report.looked("carried", told, faults=faults)
    return faults


def _fold(fold: FoldCheck, run_id: str, *, is_whole: bool) -> None:
    if run_id and is_whole:
        fold.fold_carried(run_id)
    elif run_id:
        fold.let_be(run_id)


def _look(
    run_id: str, behind: int, floor: int, entry: int, size: int, packed: bytes, large: int | None
) -> tuple[int, int, list[str]]:
    """How many events a part has, the last one's number, and what is wrong with it. They must be
    behind one of the run, and not behind the floor."""
    try:
        found = opened_part(entry, packed)
    except UNREADABLE as error:
        return 0, behind, [f"it cannot be read: {type(error).__name__}: {error}"]
    wrong: list[str] = []
    if found.size != size:
        wrong.append(f"its row says {size} bytes; it has {found.size}")
    for kind, has in (("small", found.small), ("large", large or 0)):
        should = sum(it.length for it in found.bodies if it.large is (kind == "large"))
        if has != should:
            wrong.append(f"its {kind} bodies are {has} bytes, and should be {should}")
    last = behind
    for seq, line in found.events:
        if line.run_id != run_id or run_of(line.event.step_id) != run_id:
            wrong.append(f"event {seq} is of {line.event.step_id}")
        if not max(last, entry - 1) < seq <= floor:
            wrong.append(f"event {seq} cannot be where it is")
        last = seq
    return len(found.events), last, wrong
