"""What is written beside events and the rows that follow them."""

from __future__ import annotations

from engine.store.commit import Commit
from engine.store.tables.audit import write_audit
from engine.store.tables.connection import Tables
from engine.store.tables.cut import write_cut
from engine.store.tables.expiry import write_expiry
from engine.store.tables.jobs import write_job
from engine.store.tables.registry import write_registered
from engine.store.tables.stopped import write_stop


def write_beside(db: Tables, commit: Commit) -> None:
    """Of a commit, within the caller's transaction: what it moves is noted there."""
    for stop in commit.stops:
        commit.count(write_stop(db, stop, commit.owner, commit.epoch))
    for expiry in commit.expiries:
        if expiry.cut is None:
            commit.count(write_expiry(db, expiry))
        else:
            write_cut(db, expiry)
    for entry in commit.registered:
        write_registered(db, entry)
    for act in commit.audit:
        write_audit(db, act)
    for job in commit.jobs:
        write_job(db, job)
