"""What is read of the tables, and of the entries of the journal that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial

from msgspec import Struct

from engine.core.errors import what_was_wrong
from engine.core.model import Run, Step, StepState, run_of
from engine.ports.retention import Expired
from engine.ports.store import Body, Found, Larger, Stopped, Stored
from engine.ports.views import EventRecord
from engine.store import journal, rows
from engine.store.tables.connection import SQL, Row, Tables, snapshot

DAMAGED_RETRY_AFTER_S = 60
"""Only a person can mend it."""
COUNT_MAX = 1 << 53
"""No count of a step comes near it; one that is beyond was not written by an engine."""
ENTRIES_KEPT_MAX = 8
"""Of the journal, unpacked, while runs are loaded together."""
ENTRIES_AT_ONCE = 64
"""Of the journal, in one read."""
LATEST_AMONG_EVENTS = 50_000
"""How far back the latest time is looked for: what one recovery may have written."""
LOOKED_BACK_AT_ONCE = 2_000
"""Entries without what is in them."""


class StoredRun(Struct, frozen=True):
    """A run, as its rows have it."""

    run: Run
    seq: int
    """The last event that they know."""
    payload_in: dict[str, int | None]
    """By step, the journal's entry with its payload."""


def stored_run(db: Tables, run_id: str) -> StoredRun | None:
    """The run, if the tables know it."""
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    return None if row is None else _with_steps(db, row)


def _with_steps(db: Tables, row: Row) -> StoredRun:
    steps = db.execute(SQL["steps"], (row["id"],)).fetchall()
    found = [rows.step_from(step) for step in steps]
    assert any(step.is_root for step in found), f"the row of the root of run {row['id']} is gone"
    assert all(max(step.attempts, step.failures, step.rev) < COUNT_MAX for step in found)
    run = rows.run_from(row, found)
    return StoredRun(run, row["seq"], {step["id"]: step["payload_in"] for step in steps})


def stored_body(
    db: Tables,
    step_id: str,
    number: int,
    *,
    answer: bool,
    bytes_max: int | None = None,
    entry: int | None = None,
) -> Body | Larger | None:
    """A body of the journal, found by the row of its step or attempt unless its entry is known."""
    if entry is None:
        entry = _entry_of(db, step_id, number, answer=answer)
    run_id = run_of(step_id)
    bodies = _bodies_of_entry(db, entry) or _carried_bodies(db, run_id, entry)
    extent = None if bodies is None else bodies.find(step_id, number, answer=answer)
    if extent is None:
        return None
    if bytes_max is not None and extent.line.length > bytes_max:
        return Larger(extent.line.length)
    data = extent.data
    if data is None:
        part = (extent.offset + 1, extent.line.length)
        row = db.execute(SQL["large"], (*part, entry)).fetchone()
        if row is None:  # its entry was cut
            row = db.execute(SQL["carried_large"], (*part, run_id, entry)).fetchone()
        if row is None:  # and its run has gone
            return None
        data = row[0]
    return journal.body_of(extent, data)


def _entry_of(db: Tables, step_id: str, number: int, *, answer: bool) -> int | None:
    """The journal's entry with a body, as the tables know it."""
    query = SQL["answer_in"] if answer else SQL["payload_in"]
    row = db.execute(query, (step_id, number)).fetchone()
    if row is None:
        row = db.execute(SQL["body_in"], (step_id, number, answer)).fetchone()
    return None if row is None else row[0]


def _bodies_of_entry(db: Tables, entry: int | None) -> journal.EntryBodies | None:
    row = None if entry is None else db.execute(SQL["packed"], (entry,)).fetchone()
    return None if row is None else journal.EntryBodies(row[0])


def _carried_bodies(db: Tables, run_id: str, entry: int | None) -> journal.EntryBodies | None:
    """What an entry that was cut had of a run."""
    row = None if entry is None else db.execute(SQL["carried_packed"], (run_id, entry)).fetchone()
    return None if row is None else journal.EntryBodies(row[0])


def _is_called_by(step: Step, until: int) -> bool:
    if step.state is StepState.BACKING_OFF:
        return step.due_at is not None and step.due_at <= until
    return step.state in (StepState.PENDING, StepState.RUNNING)


def _loaded_run(
    db: Tables,
    run_id: str,
    until: int,
    bodies_in: Callable[[int | None], journal.EntryBodies | None],
) -> Stored | Stopped | None:
    """A run with its small payloads; or that a bug stopped it, now or before.

    `bodies_in` remembers entries: runs of one time lie in the same.
    """
    row = db.execute(SQL["run"], (run_id,)).fetchone()
    if row is not None and row["engine_error"]:  # empty: it is to be read again
        return _stopped_run(db, row, row["engine_error"], recorded=True)
    try:
        found = None if row is None else _with_steps(db, row)
        return None if found is None else _with_payloads(db, found, until, bodies_in)
    except db.Error:
        raise  # the store's, not the run's
    except Exception as error:  # noqa: BLE001 - whatever it is must stop this run alone
        return _stopped_run(db, row, what_was_wrong(error), recorded=False)


def _stopped_run(db: Tables, row: Row, error: str, *, recorded: bool) -> Stopped:
    root = db.execute(SQL["root_called"], (row["id"],)).fetchone()
    state, rev = (row["state"], 0) if root is None else (root["state"], root["rev"])
    return Stopped(row["id"], row["client"], row["state"], row["rev"], state, rev, error, recorded)


def _with_payloads(
    db: Tables,
    stored: StoredRun,
    until: int,
    bodies_in: Callable[[int | None], journal.EntryBodies | None],
) -> Stored:
    payloads: dict[str, bytes] = {}
    for step in stored.run.steps.values():
        if _is_called_by(step, until):
            entry = stored.payload_in[step.id]
            bodies = bodies_in(entry) or _carried_bodies(db, step.run_id, entry)
            extent = bodies and bodies.find(step.id, step.payload_generation, answer=False)
            if extent and extent.data is not None:
                payloads[step.id] = extent.data
    return Stored(stored.run, payloads, stored.seq)


def who_has(db: Tables, identity: tuple[str, str, str], *, or_expired: bool) -> Found:
    """Who has an identity, by client, workflow and key. The run first: one that goes in between is
    found as expired."""
    row = db.execute(SQL["find_run"], identity).fetchone()
    if row is not None:
        return str(row[0])
    row = db.execute(SQL["find_expired"], identity).fetchone() if or_expired else None
    return None if row is None else Expired(*row)


def journal_end(db: Tables) -> tuple[int, int]:
    """The number of the last event, and the latest time among the last (0, 0: there are none).

    Not the last event's: a life with its clock set back may have begun to recover, and died in it.
    """
    last = latest = looked_at = 0
    before = 1 << 62
    while True:
        found = db.execute(SQL["journal_back"], (before, LOOKED_BACK_AT_ONCE)).fetchall()
        for seq, events, at in found:
            last = last or seq + events - 1
            latest = max(latest, at)
            looked_at += events
            if looked_at >= LATEST_AMONG_EVENTS:
                return last, latest
        if len(found) < LOOKED_BACK_AT_ONCE:
            return last, latest
        before = found[-1][0]


def entries_behind(db: Tables, after: int) -> Iterator[tuple[int, bytes]]:
    """The entries with what was committed behind an event, each with the number of its first; some
    at a time. Within a snapshot, or while nobody cuts the journal."""
    found = db.execute(SQL["journal_from"], (after, ENTRIES_AT_ONCE)).fetchall()
    while found:
        yield from found
        if len(found) < ENTRIES_AT_ONCE:
            return
        found = db.execute(SQL["journal_next"], (found[-1][0], ENTRIES_AT_ONCE)).fetchall()


def run_counts(db: Tables) -> dict[str, int]:
    """Runs by state."""
    return {row["state"]: row["runs"] for row in db.execute(SQL["tally"])}


def load_runs(db: Tables, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
    """The runs that are there, and the small payloads of their steps that are to be called by
    `until`."""
    bodies_in = lru_cache(ENTRIES_KEPT_MAX)(partial(_bodies_of_entry, db))
    with snapshot(db):
        found = [_loaded_run(db, run_id, until, bodies_in) for run_id in run_ids]
    return [each for each in found if each is not None]


def events(db: Tables, after: int, limit: int) -> list[EventRecord]:
    """Events behind a number, in their order."""
    found: list[EventRecord] = []
    with snapshot(db):
        for seq, packed in entries_behind(db, after):
            found += (e for e in journal.event_records(seq, packed) if e.seq > after)
            if len(found) >= limit:
                break
    return found[:limit]


def bytes_used(db: Tables) -> int:
    """What takes room and holds something: what was freed is used again."""
    return int(db.execute(SQL["bytes_used"]).fetchone()[0])
