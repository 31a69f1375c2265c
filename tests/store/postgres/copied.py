"""The rows of a file in a PostgreSQL database: what reads find there is to be the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

from engine.core.retry import DAY_MS
from engine.ports.audit import AuditEntry
from engine.ports.jobs import CameTo, JobRun
from engine.ports.registry import Registered
from engine.ports.store import Body, Stopped, Write
from engine.store.postgres.readers import BEGIN
from engine.store.postgres.schema import migrate
from engine.store.postgres.tables import Transaction
from engine.store.postgres.wire import Blocking, connect, place_of
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.audit import AUDIT_COLUMNS
from engine.store.tables.connection import Tables
from engine.store.tables.views.jobs import TableJobs
from engine.store.tables.writing import COLUMNS, Table
from tests.store.support import HOLD, a_job, answered, new_run, retried, started

T = TypeVar("T")


def copy_rows(db: sqlite3.Connection, connection: Blocking) -> None:
    """All that is in a file, into a database with nothing in it."""
    migrate(connection, "the test's database")
    connection.script("BEGIN")
    tables = Transaction(connection)
    for name, columns in {**COLUMNS, "audit": AUDIT_COLUMNS}.items():
        found = db.execute(f"SELECT {','.join(columns)} FROM {name}").fetchall()
        if name == "journal":
            columns, found = (*columns, "seat", "epoch"), [(*row, 0, 0) for row in found]
        Table(name, columns).insert(tables, [tuple(row) for row in found])
    marks = db.execute("SELECT caught_up, floor FROM engine").fetchone()
    tables.execute("UPDATE mark SET caught_up = ?, floor = ?", tuple(marks))
    connection.script("COMMIT; ANALYZE")


@contextmanager
def connected(url: str) -> Iterator[Blocking]:
    """To a database, from where no loop runs."""

    async def connection() -> Blocking:
        return (await connect(place_of(url))).into_thread()

    async def close(connection: Blocking) -> None:
        connection.close()

    found = trio.run(connection)
    try:
        yield found
    finally:
        trio.run(close, found)


@contextmanager
def reading(connection: Blocking) -> Iterator[Tables]:
    """As a reader has it."""
    connection.script(BEGIN)
    yield Transaction(connection)
    connection.script("ROLLBACK")


def reads_of(connection: Blocking) -> Callable[[Callable[[Tables], T]], T]:
    """What some work finds there."""

    def read(work: Callable[[Tables], T]) -> T:
        with reading(connection) as db:
            return work(db)

    return read


async def more(store: SqliteStore) -> None:
    """Beside runs whose rows alone there are: some with events and bodies, one that a bug stopped,
    one that is held, one that expired; jobs, and what people set and did."""
    store.register(HOLD)
    store.register(Registered("client", "shop", b"{}", 7, "ada"))
    for number in range(5):
        who, act = (("ada", "hold"), ("bob (ci)", "prune"))[number % 2]
        entry = AuditEntry(f"0{number}", number, who, None, act, f"w{number}", "", None, None, 1)
        store.audit(entry)
    jobs = TableJobs(store)
    jobs.add_runs("J9", [JobRun("Rb", None), JobRun("Ra", 5)])
    jobs.record(a_job("J9", only="shop", key="k"))
    for name, at in (("J7", 5), ("J8", None)):
        job = a_job(name, key="k")
        job.ended_at = at
        jobs.record(job)
    runs = {}
    for key in "abcdef":
        runs[key], write = new_run(key)
        large = Body(f"R{key}", 1, key.encode() * 5_000)
        await store.write(Write(write.change, (large,)) if key == "c" else write).wait()
    for key, status in (("a", 200), ("b", 410), ("d", 410)):
        await store.write(started(runs[key], 1)).wait()
        await store.write(answered(runs[key], 2, status)).wait()
    await store.write(retried(runs["b"], 3)).wait()
    store.withhold("Re")
    await store.stop(Stopped("Re", "shop", "running", 1, "running", 1, "a \u00dcBER bug"), 4).wait()
    jobs.record(a_job("J9", only="shop", key="k"), CameTo("Ra", 6, 1))
    jobs.record(a_job("J9", only="shop", key="k"), CameTo("Rd", 6, 1))
    await store.writer.wait_rows()
    store._connection.execute("UPDATE step SET wake_at = 1 << 62, held_since = 5 WHERE id = 'Rf'")
    assert await store.expire(["Ra"], dict.fromkeys(("completed",), DAY_MS)) == 1
