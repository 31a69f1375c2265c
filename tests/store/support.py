"""Runs to be stored, and a store on a real file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.core.events import Actor, Started
from engine.core.machine import Change
from engine.core.model import Run, StepSpec
from engine.core.outcome import Answered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action, Order, act
from engine.core.rules.attempt import settle
from engine.core.rules.post import open_run
from engine.ports.audit import AuditEntry
from engine.ports.jobs import Job, JobOrder
from engine.ports.registry import Registered
from engine.ports.store import Body, Stopped, Stored, Write
from engine.store.journal import unpack
from engine.store.sqlite.file.owner import Owner
from engine.store.sqlite.store import SqliteStore, open_store
from tests.world import inline

OWNER = Owner(pid=1, instance="test", started_at="now")
URL = "http://app:9000/w"
RETRY = RetryPolicy(stop_on=(410,))
HOLD = Registered("hold", "all/*", b'{"kind":"all"}', 7, "ada")
ACT = AuditEntry("01", 7, "ada", None, "restore", "b.db")
"""What is registered in a file that is restored."""


@asynccontextmanager
async def store_at(path: Path, **options: Any) -> AsyncIterator[SqliteStore]:
    """A store without threads: each commit is one step of Trio's, and so is each read."""
    options = {"write_offload": inline, "read_offload": inline, **options}
    async with open_store(path, options.pop("owner", OWNER), started_at=0, **options) as store:
        yield store


class Crash(Exception):
    """The process is gone."""


@asynccontextmanager
async def crashing(path: Path) -> AsyncIterator[SqliteStore]:
    """A store that ends without its writer getting to catch up."""
    try:
        async with store_at(path) as store:
            yield store
            raise Crash
    except* Crash:
        pass


def the_run(found: Stored | Stopped) -> Run:
    """A run that was loaded, and that no bug has stopped."""
    assert isinstance(found, Stored), found
    return found.run


def new_run(key: str, at: int = 0) -> tuple[Run, Write]:
    """A run that was just opened, and what has to be written for it."""
    run = Run(id=f"R{key}", client="shop", submitted_at=at)
    change, _ = open_run(run, StepSpec("w", key, URL, URL, "w", b"f" * 32, RETRY), at)
    change.close(at)
    return run, Write(change, (Body(run.id, 1, b'{"a": 1}'),))


def started(run: Run, at: int) -> Write:
    """The root's next attempt begins."""
    change = Change(run)
    change.do(Started(at, run.id, run.root.attempts + 1))
    change.close(at)
    return Write(change)


def a_job(id: str, **asked: object) -> Job:
    """A bulk job that retries two runs."""
    order = JobOrder(Action.RETRY, "is:failed", 9, 20, Actor("ada"), **asked)  # type: ignore[arg-type]
    return Job(id, order, "f", started_at=1, total=2, matched=3, skipped={"it is paused": 1})


def answered(run: Run, at: int, status: int = 200) -> Write:
    """The root's attempt has been answered."""
    change = Change(run)
    settle(change, run.id, run.root.attempts, Answered(status), now=at, chance=0.0)
    change.close(at)
    body = Body(run.id, run.root.attempts, b'"done"', answer=True)
    return Write(change, (body,))


def retried(run: Run, at: int) -> Write:
    """An operator opens a run that failed once more."""
    change = Change(run)
    act(change, Order(Action.RETRY, None, Actor("test"), None), now=at)
    change.close(at)
    return Write(change)


def history(store: SqliteStore) -> None:
    """Runs of every kind: open, called, completed, failed and opened again."""
    run_a, write = new_run("a")
    store.write(write)
    store.write(started(run_a, 1))
    store.write(answered(run_a, 2))
    run_b, write = new_run("b")
    store.write(write)
    store.write(started(run_b, 1))
    store.write(answered(run_b, 2, 410))
    store.write(retried(run_b, 3))
    store.write(started(run_b, 4))
    store.write(new_run("c")[1])


def rows(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What another connection sees at this moment: what is committed."""
    other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return other.execute(statement, values).fetchall()
    finally:
        other.close()


def recorded(path: Path) -> list[str]:
    """The runs of every event that another connection sees in the journal, in order."""
    entries = rows(path, "SELECT packed FROM journal ORDER BY seq")
    return [line.run_id for (packed,) in entries for line in unpack(packed)[0]]


def change_file(path: Path, statement: str) -> None:
    """Another connection writes to the file."""
    other = sqlite3.connect(path)
    try:
        other.execute(statement)
        other.commit()
    finally:
        other.close()


class Failing:
    """A connection whose COMMIT reports an error, once `armed`."""

    def __init__(self, connection: sqlite3.Connection, *, commits: bool) -> None:
        self._connection = connection
        self._commits = commits
        self.armed = False

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and self.armed:
            if self._commits:
                self._connection.execute(statement)
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, *values)


HOT = ("find_run", "run", "steps", "step", "attempts", "step_attempts", "payload_in", "answer_in",
       "packed", "large", "due", "late", "timed", "due_between", "timed_behind",
       "journal_from")  # fmt: skip
"""Asked for each post, step, sweep or look: their cost must not grow with what is stored."""


def parameters(statement: str) -> tuple[int, ...] | dict[str, int]:
    """As many values as the statement takes."""
    if named := re.findall(r":(\w+)", statement):
        return dict.fromkeys(named, 0)
    numbered = [int(n) for n in re.findall(r"\?(\d+)", statement)]
    return (0,) * (max(numbered) if numbered else statement.count("?"))
