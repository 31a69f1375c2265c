"""A file that is damaged, or cannot be read, is named so, and is no bug."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.ports.store import Due, StoreStopped
from engine.ports.views import RetryQuery, RunQuery
from engine.store.sqlite import content
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views.views import TableViews
from tests.store.faults import Disk, sqlite_error
from tests.store.support import change_file, new_run, store_at

Look = Callable[[SqliteStore, TableViews], Awaitable[Any]]


async def find_run(store: SqliteStore, views: TableViews) -> None:
    """What each new run begins with."""
    store.find_run("shop", "w", "k")


LOOKS: dict[str, Look] = {
    "find_run": find_run,
    "load_runs": lambda store, views: store.load_runs(["Rk"], 0),
    "due": lambda store, views: store.due(Due(-1, "", ""), 0, 1),
    "body": lambda store, views: store.body("Rk", 1, answer=False),
    "body up to": lambda store, views: store.body("Rk", 1, answer=False, bytes_max=1),
    "read_again": lambda store, views: store.read_again("Rk"),
    "runs": lambda store, views: views.runs(RunQuery(limit=1)),
    "tree": lambda store, views: views.tree("Rk"),
    "outline": lambda store, views: views.outline("Rk"),
    "some steps": lambda store, views: views.some_steps("Rk", ["Rk"], 1),
    "step": lambda store, views: views.step("Rk"),
    "causes": lambda store, views: views.causes(0),
    "retries": lambda store, views: views.retries(RetryQuery(0)),
    "due_counts": lambda store, views: views.due_counts(0),
    "events": lambda store, views: views.events(0, 1),
    "summary": lambda store, views: views.summary(0),
    "its body": lambda store, views: views.body("Rk", 1, answer=False),
    "its body up to": lambda store, views: views.body("Rk", 1, answer=False, bytes_max=1),
}
"""Everything that reads the file while the engine runs."""
DAMAGED, UNREADABLE = ("store-damaged", 60), ("store-unreadable", 5)


class Broken:
    """A connection on which every statement fails so."""

    in_transaction = False

    def __init__(self, error: sqlite3.Error) -> None:
        self.error = error

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        raise self.error

    def close(self) -> None:
        pass


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("code", "name", "told"),
    [
        (sqlite3.SQLITE_IOERR_SHORT_READ, "SQLITE_IOERR_SHORT_READ", DAMAGED),
        (sqlite3.SQLITE_CORRUPT_VTAB, "SQLITE_CORRUPT_VTAB", DAMAGED),
        (sqlite3.SQLITE_IOERR_READ, "SQLITE_IOERR_READ", UNREADABLE),
        (sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN", UNREADABLE),
        (sqlite3.SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY", UNREADABLE),
    ],
)
async def test_whoever_reads_is_told_of_the_file(
    path: Path, look: str, code: int, name: str, told: tuple[str, int]
) -> None:
    """503 `store-unavailable` and why, from every look into the file; the log says it, once."""
    logged = []
    async with store_at(path, log=lambda event, **values: logged.append((event, values))) as store:
        await store.write(new_run("k")[1]).wait()
        await store.writer.wait_rows()
        views = TableViews(store)
        await LOOKS[look](store, views)
        broken: Any = Broken(sqlite_error(code, name))
        for readers in (store.readers, store.view_readers):
            assert isinstance(readers, Readers)
            readers._own, readers._idle = broken, [broken]
        event, retry_after = told
        for _ in range(2):
            with pytest.raises(Refused, match=name) as caught:
                await LOOKS[look](store, views)
            assert caught.value.problem is Problem.STORE_UNAVAILABLE
            assert caught.value.members == {"retryAfter": retry_after}
            assert isinstance(caught.value, RefusedForDamage) == (event == "store-damaged")
        assert [each for each, _ in logged] == [event]


async def test_a_table_that_is_gone_is_damage_and_a_bad_statement_is_a_bug(path: Path) -> None:
    """SQLite has one code for both: whether the tables are as the engine made them tells."""
    async with store_at(path) as store:
        with pytest.raises(sqlite3.OperationalError, match="no such function"):
            await store.readers.read(lambda db: db.execute("SELECT nothing_of_the_kind()"))
        change_file(path, "ALTER TABLE step RENAME TO steps_of_old")
        with pytest.raises(Refused, match="no such table: step"):
            await store.readers.read(lambda db: db.execute("SELECT * FROM step"))


async def test_damage_is_named_when_it_is_met(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too large to be looked through at the start: who asks for what lies on a damaged page
    is told so, the log says it once, and what lies elsewhere is answered."""
    logged = []
    async with store_at(path) as store:
        for number in range(300):
            store.write(new_run(f"{number:03}")[1])
    with path.open("r+b") as file:
        data = file.read()
        at = data.rindex(b"R150") // 4096 * 4096
        file.seek(at)
        file.write(bytes(4096))
    monkeypatch.setattr(content, "WHOLE_BYTES_MAX", 0)
    async with store_at(path, log=lambda event, **values: logged.append((event, values))) as store:
        for _ in range(3):
            with pytest.raises(Refused, match="The database is damaged where this is kept") as told:
                await store.load_runs([f"R{number:03}" for number in range(300)], 0)
            assert told.value.problem is Problem.STORE_UNAVAILABLE
        assert [event for event, _ in logged] == ["store-damaged"]
        assert logged[0][1]["db"] == str(path)
        assert "back-up.md" in logged[0][1]["mend"]
        assert await store.write(new_run("after")[1]).wait_unless_away()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR_SHORT_READ])
async def test_a_commit_that_meets_damage_ends_the_engine_in_words(path: Path, code: int) -> None:
    """The reason is told without a traceback, and that the commit was not made."""
    disk, failed = Disk(), []
    words = "a.db is damaged: simulated.*Restore a copy.*The commit that met it was not made"
    with pytest.RaisesGroup(pytest.RaisesExc(StoreStopped, match=words), flatten_subgroups=True):
        async with store_at(
            path, write_offload=disk, on_failure=lambda: failed.append(True)
        ) as store:
            disk.code = code
            await store.write(new_run("k")[1]).wait()
    assert failed == [True]


@pytest.mark.parametrize("table", ["journal", "run", "step", "engine"])
async def test_a_commit_without_its_table_ends_the_engine_in_words(path: Path, table: str) -> None:
    """Another program dropped it while the engine ran: that is told, without a traceback."""
    words = f"not as this Atomic .* makes it: no such table: {table}. It was changed by hand"
    with pytest.RaisesGroup(pytest.RaisesExc(StoreStopped, match=words), flatten_subgroups=True):
        async with store_at(path) as store:
            await store.write(new_run("one")[1]).wait()
            await store.writer.wait_rows()
            change_file(path, f"DROP TABLE {table}")
            for number in range(3):
                await store.write(new_run(f"{number}")[1]).wait()
                await store.writer.wait_rows()
