"""What retention removes, and the keys that stay: `engine.ports.retention`.

A few statements for a whole batch, whatever it holds: each gives Python's lock up and asks for it
again (writing.py).
"""

from __future__ import annotations

import json
from collections.abc import Collection

import msgspec

from engine.core.text.ulid import first_run_id
from engine.ports.registry import KIND_RETENTION
from engine.ports.retention import Acting, EndedRun, Expired, Old
from engine.store.expiry import Expiry
from engine.store.tables.connection import SQL, Tables
from engine.store.tables.registry import read_registered
from engine.store.tables.writing import TALLY

PAIRS_MAX = 10_000
"""Clients, and workflows of each, among which a key is looked for: some 2 µs for each pair."""


def write_expiry(db: Tables, expiry: Expiry) -> dict[str, int]:
    """Remove it, within the caller's transaction; returns how that moves the counts of runs."""
    expiry.gone = 0
    moved: dict[str, int] = {}
    if expiry.key_ids:
        ids = json.dumps(expiry.key_ids)
        expiry.gone = db.execute(SQL["forget_keys"], (ids, expiry.keys_before)).rowcount
    if expiry.run_ids:
        found = db.execute(SQL["may_expire"], (json.dumps(expiry.run_ids),)).fetchall()
        before = expiry.ended_before
        going = [row for row in found if row["ended_at"] < before.get(row["state"], 0)]
        ids = json.dumps([row["id"] for row in going])
        for row in going:
            moved[row["state"]] = moved.get(row["state"], 0) - 1
        db.execute(SQL["keep_keys"], (ids, expiry.removed_at))
        for statement in (
            SQL["remove_attempts"], SQL["remove_outcomes"], SQL["remove_bodies"],
            SQL["remove_steps"], SQL["remove_carried"], SQL["remove_runs"],
        ):  # fmt: skip
            db.execute(statement, (ids,))
        TALLY.insert(db, list(moved.items()))
        expiry.gone += len(going)
    return moved


def has_keys(db: Tables) -> bool:
    """Whether there is the key of any expired run."""
    return db.execute("SELECT 1 FROM expired LIMIT 1").fetchone() is not None


class Gone:
    """Which runs the tables may lack, of which the journal tells: for who checks it, or cuts it."""

    def __init__(self, db: Tables, *, has_keys: bool = True) -> None:
        """`has_keys`: there is a table of them."""
        self._db, self._has_keys = db, has_keys
        self._forgotten_before = ""
        for entry in read_registered(db) if self._has_keys else ():
            if entry.kind == KIND_RETENTION and entry.value is not None:
                acting = msgspec.json.decode(entry.value, type=Acting)
                self._forgotten_before = first_run_id(acting.keys_before)

    def among(self, run_ids: Collection[str]) -> set[str]:
        """Those whose keys are there, or may have been forgotten."""
        if not self._has_keys:
            return set()
        ids = json.dumps(list(run_ids))
        known = {run_id for (run_id,) in self._db.execute(SQL["have_gone"], (ids,))}
        return known | {run_id for run_id in run_ids if run_id < self._forgotten_before}


def key_of_run(db: Tables, run_id: str) -> Expired | None:
    """The expired run of this id."""
    row = db.execute(SQL["expired"], (run_id,)).fetchone()
    return None if row is None else Expired(*row)


def of_key(
    db: Tables, key: str, client: str | None, workflow: str | None, limit: int
) -> list[Expired]:
    """Expired runs with this key, the latest first."""
    if client is not None and workflow is not None:
        row = db.execute(SQL["find_expired"], (client, workflow, key)).fetchone()
        return [] if row is None else [Expired(*row)]
    where = (key, client, workflow, limit, PAIRS_MAX)
    return [Expired(*row) for row in db.execute(SQL["expired_of_key"], where)]


def ended_runs(
    db: Tables, state: str, ended_before: int, id_before: str, after: str, limit: int
) -> list[EndedRun]:
    """Runs that ended before a time."""
    where = (state, after, id_before, ended_before, limit)
    return [EndedRun(*row) for row in db.execute(SQL["ended_runs"], where)]


def old(db: Tables, before: int, id_before: str) -> Old:
    """What there is of before a time."""
    return Old(*db.execute(SQL["old"], (before, id_before)).fetchone())


def old_keys(db: Tables, ended_before: int, id_before: str, after: str, limit: int) -> list[str]:
    """Expired runs that ended before a time."""
    where = (after, id_before, ended_before, limit)
    return [run_id for (run_id,) in db.execute(SQL["old_keys"], where)]
