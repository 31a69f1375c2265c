"""What is written to PostgreSQL's tables by the statements that both have is what is written to a
file's: the same commits, one after the other, leave the same rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.events import Actor
from engine.ports.audit import AuditEntry
from engine.ports.jobs import JobRun
from engine.ports.registry import Registered
from engine.ports.store import Stopped
from engine.store.commit import Commit
from engine.store.journal import JOURNAL_COLUMNS
from engine.store.postgres.schema import migrate
from engine.store.postgres.tables import Transaction
from engine.store.postgres.wire import Blocking, connect, place_of
from engine.store.sqlite import sink
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.audit import AUDIT_COLUMNS
from engine.store.tables.beside import write_beside
from engine.store.tables.connection import Tables
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.writing import COLUMNS, Table, write_apart, write_together
from tests.postgres import Postgres
from tests.store.postgres.copied import more
from tests.store.support import answered, change_file, new_run, started, store_at

JOURNAL = Table("journal", (*JOURNAL_COLUMNS, "seat", "epoch"))
ADA = Actor("ada")
Write = Callable[[Tables, Any], None]


def write_too(connection: Blocking, commit: Commit, write_rows: Write) -> None:
    """The same as `store/sqlite/sink.py` does."""
    db = Transaction(connection)
    moved = dict(commit.moved)
    connection.script("BEGIN")
    JOURNAL.insert(db, [(*entry.row(), 0, 0) for entry in commit.entries])
    if len(commit.rows):
        write_rows(db, commit.rows)
        db.execute("UPDATE mark SET caught_up = ?", (commit.caught_up,))
    commit.moved = {}
    write_beside(db, commit)
    assert commit.moved == moved
    connection.script("COMMIT")


def found_in(db: Tables) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, in their order."""
    tables = {**COLUMNS, "audit": AUDIT_COLUMNS, "engine": ("caught_up", "floor")}
    return {
        name: sorted(
            (tuple(row) for row in db.execute(f"SELECT {','.join(columns)} FROM {name}")), key=repr
        )
        for name, columns in tables.items()
    }


async def lives_on(store: SqliteStore) -> None:
    """All that is written beside events, or instead of a run's rows."""
    stopped = Stopped("Re", "shop", "paused", 2, "running", 1, "a bug")
    await store.let_go_on(stopped, 7, "retry", ADA, "why").wait()
    run, write = new_run("g")
    await store.write(write).wait()
    await store.write(started(run, 8)).wait()
    stopped = Stopped(run.id, "shop", "running", 2, "running", 1, "another bug")
    store.withhold(run.id)
    await store.stop(stopped, 9).wait()
    await store.end_stopped(stopped, 10, ADA, None).wait()
    store.register(Registered("hold", "all", b"{}", 8, "bob"))
    store.register(Registered("client", "shop", None, 8, "bob"))
    store.audit(AuditEntry("01", 8, "bob", "::1", "hold", "w", "d", 409, "p", 2))
    store.unaudit("02")
    await store.forget_audit(2).wait()
    await store.expire(["Rd"], {"failed": 1 << 40})
    assert await store.forget_keys(["Rd"], 1 << 40) == 1
    assert await store.cut_journal(4) > 0
    jobs = TableJobs(store)
    await jobs.forget("J9")
    await jobs.add_runs("J8", [JobRun("Rb", None), JobRun("Rc", 5)]).wait()
    await store.writer.wait_rows()


@pytest.fixture
async def connection(postgres: Postgres):
    connection = (await connect(place_of(postgres.database()))).into_thread()
    migrate(connection, "the test's database")
    yield connection
    connection.close()


async def test_the_same_rows(
    path: Path, connection: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of runs, outcomes, stops, expired runs, what was carried on, jobs, and what people set and
    did."""
    write = sink.write

    def both(db: sqlite3.Connection, commit: Commit, **options: bool) -> None:
        write(db, commit, **options)
        write_too(connection, commit, write_together)

    monkeypatch.setattr(sink, "write", both)
    async with store_at(path) as store:
        await more(store)
        by_hand = "UPDATE step SET wake_at = 5, held_since = 5 WHERE id = 'Rf'"
        change_file(path, by_hand)
        connection.script(by_hand)
        await lives_on(store)
        ours = found_in(store._connection)
    connection.script("BEGIN")
    theirs = found_in(Transaction(connection))
    assert ours == theirs
    assert [name for name, rows in ours.items() if not rows] == ["body"]


async def test_rows_of_which_one_runs_do_not_fit(
    path: Path, connection: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are written, and of that one what has room."""
    write = sink.write

    def both(db: sqlite3.Connection, commit: Commit, **options: bool) -> None:
        write(db, commit, **options)
        expected = [(it.run.id, it.lacking) for it in commit.unwritable]
        write_too(connection, commit, write_apart)
        assert [(it.run.id, it.lacking) for it in commit.unwritable] == expected
        seen.extend(expected)

    seen: list[tuple[str, bool]] = []
    async with store_at(path) as store:
        store.tell_unwritable(lambda run, error: True)
        monkeypatch.setattr(sink, "write", both)
        runs = {}
        for key in "ab":
            runs[key], opened = new_run(key)
            await store.write(opened).wait()
        await store.writer.wait_rows()
        columns = "step_id, number, generation, started_at, epoch"
        there = f"INSERT INTO attempt ({columns}) VALUES ('Ra', 1, 1, 9, 9)"
        change_file(path, there)
        connection.script(there)
        for key in "ab":
            await store.write(started(runs[key], 1)).wait()
            await store.write(answered(runs[key], 2)).wait()
        await store.writer.wait_rows()
        ours = found_in(store._connection)
    connection.script("BEGIN")
    assert found_in(Transaction(connection)) == ours
    assert ("Ra", False) in seen
