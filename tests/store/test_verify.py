"""`verify`: a whole file is called so, and whatever is not as it must be is named by its place."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from engine.core.events import Cancelled
from engine.ports.report import FAULTS_MAX, Report
from engine.ports.store import Body, StoreError, Write
from engine.store.journal import Entry, EventLine
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.verify import fold
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.writing import JOURNAL
from tests.store.support import (
    answered,
    change_file,
    crashing,
    history,
    new_run,
    retried,
    rows,
    started,
    store_at,
    the_run,
)


async def a_history(store: SqliteStore) -> None:
    """Some runs, each write with an entry of its own; one has failed, and completed when it was
    tried again."""
    run_a, write = new_run("a")
    await store.write(Write(write.change, (Body(run_a.id, 1, b'"' + b"a" * 5_000 + b'"'),))).wait()
    run_b, write = new_run("b")
    await store.write(write).wait()
    await store.write(started(run_a, 1)).wait()
    await store.write(answered(run_a, 2)).wait()
    await store.write(started(run_b, 1)).wait()
    await store.write(answered(run_b, 2, 410)).wait()
    await store.write(retried(run_b, 3)).wait()
    await store.write(started(run_b, 4)).wait()
    await store.write(answered(run_b, 5)).wait()
    await store.write(new_run("c")[1]).wait()


@pytest.fixture
async def whole(tmp_path: Path) -> Path:
    """A file in which all is well."""
    async with store_at(tmp_path / "a.db") as store:
        await a_history(store)
    return tmp_path / "a.db"


def told(report: Report) -> list[str]:
    """The faults, each in a line."""
    return [f"{fault.place}: {fault.what}" for fault in report.faults]


async def test_a_whole_file_is_called_whole_and_left_alone(whole: Path) -> None:
    """With what was looked at, and nothing made beside it, changed or locked."""
    before = {each.name: each.read_bytes() for each in whole.parent.iterdir()}
    report = verify(whole)
    assert {each.name: each.read_bytes() for each in whole.parent.iterdir()} == before
    assert report.faults == []
    assert report.schema.startswith("m0")
    assert [report.file_id] == [row[0] for row in rows(whole, "SELECT file_id FROM engine")]
    assert all(it.done for it in report.checked)
    events = rows(whole, "SELECT max(seq + events) - 1 FROM journal")[0][0]
    said = {it.name: it.what for it in report.checked}
    assert said["journal"] == f"10 entries, {events} events from 1 without a gap"
    assert said["rows"] == "3 runs, 3 steps, 3 attempts, 3 outcomes held against their events"
    async with store_at(whole):
        pass


async def test_what_a_crash_left_is_whole(path: Path) -> None:
    """Its log is read, what the rows lack is told, and an engine that starts finds it as it was."""
    async with crashing(path) as store:
        history(store)
        await store.writer._gathering.wait()
    assert path.with_name(path.name + "-wal").stat().st_size
    report = verify(path)
    assert report.faults == []
    assert "0 runs" in {it.name: it.what for it in report.checked}["rows"]
    assert "a start folds 16 events more" in {it.name: it.what for it in report.checked}["rows"]
    async with store_at(path):
        assert len(rows(path, "SELECT id FROM run")) == 3
    assert verify(path).faults == []


async def test_runs_that_memory_has_no_room_for_are_compared_in_another_walk(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each walk takes up what the one before left, and what is wrong there is found."""
    monkeypatch.setattr(fold, "STEPS_AT_ONCE", 1)
    walks: list[str] = []
    assert verify(whole, lambda name, done, of: walks.append(name)).faults == []
    assert "events once more" in walks
    change_file(whole, "UPDATE step SET attempts = 9 WHERE id = 'Rb'")
    assert told(verify(whole)) == ["step Rb: attempts is 9, and its events say 2"]


FAULTS = {
    "a gap": (
        "DELETE FROM journal WHERE seq = (SELECT seq FROM journal ORDER BY seq LIMIT 1 OFFSET 3)",
        r"journal, event \d+: events \d+ to \d+ are missing: the next entry begins with \d+",
    ),
    "the beginning": (
        "DELETE FROM journal WHERE seq = 1",
        r"journal, event 1: events 1 to \d+ are missing",
    ),
    "an entry that counts wrong": (
        "UPDATE journal SET events = 9 WHERE seq = (SELECT max(seq) FROM journal)",
        r"journal, entry \d+: its row says 9 events",
    ),
    "an entry that was written over": (
        "UPDATE journal SET packed = zeroblob(length(packed)) WHERE seq = 1",
        "journal, entry 1: it cannot be read: error",
    ),
    "a large body cut": (
        "UPDATE journal SET large = substr(large, 1, 9) WHERE seq = 1",
        "journal, entry 1: its large bodies are 9 bytes, and should be 5002",
    ),
    "a run's row": (
        "UPDATE run SET state = 'failed' WHERE id = 'Ra'",
        "run Ra: state is 'failed', and its events say 'completed'",
    ),
    "a step's row": (
        "UPDATE step SET failures = 3 WHERE id = 'Rb'",
        "step Rb: failures is 3, and its events say 0",
    ),
    "where a payload lies": (
        "UPDATE step SET payload_in = 1 WHERE id = 'Rb'",
        r"step Rb: payload_in is 1, and its events say \d+",
    ),
    "when a step is looked at": (
        "UPDATE step SET wake_at = NULL WHERE id = 'Rc'",
        "step Rc: wake_at is None, and its events say 0",
    ),
    "an outcome that is gone": (
        "DELETE FROM outcome WHERE step_id = 'Rb' AND generation = 1",
        "step Rb, outcome of generation 1: its row in `outcome` is missing",
    ),
    "an outcome too many": (
        "INSERT INTO outcome SELECT step_id, 3, state, attempts, answer_attempt, http_status,"
        " error, cause_id, ended_at FROM outcome WHERE step_id = 'Ra'",
        "step Ra, outcome of generation 3: this outcome is in no event",
    ),
    "an attempt that is gone": (
        "DELETE FROM attempt WHERE step_id = 'Ra'",
        "step Ra, attempt 1: its row in `attempt` is missing",
    ),
    "a run that is gone": ("DELETE FROM run WHERE id = 'Ra'", "run Ra: it has events, and no row"),
    "a run too many": (
        "INSERT INTO run (id, client, workflow, key, state, rev, progress, dismissed, steps,"
        " open_steps, failed_steps, submitted_at, seq, owner, epoch) SELECT 'Rz', client, workflow,"
        " 'z', state, rev, progress, dismissed, steps, open_steps, failed_steps, submitted_at, seq,"
        " owner, epoch FROM run WHERE id = 'Ra'",
        "table run: it has 1 row of which no event tells: Rz",
    ),
    "an attempt of no run": (
        "UPDATE attempt SET step_id = 'Rz-1' WHERE step_id = 'Ra'",
        "table attempt: it has 1 row of which no event tells: Rz-1",
    ),
    "rows that lack an event": (
        "UPDATE run SET seq = seq - 1 WHERE id = 'Ra'",
        r"run Ra: its rows know events up to \d+, and lack event \d+",
    ),
    "rows of another's event": (
        "UPDATE run SET seq = (SELECT seq FROM run WHERE id = 'Rb') WHERE id = 'Ra'",
        r"run Ra: its row knows event \d+, which is none of its events",
    ),
    "counts": (
        "UPDATE tally SET runs = 5 WHERE state = 'completed'",
        "table tally, completed: it counts 5 runs, there are 2",
    ),
    "what people set": (
        "INSERT INTO registry VALUES ('hold', 'client/a', '{', 0, 'ada')",
        "registry, hold client/a: it is no JSON",
    ),
    "rows that know what never was": (
        "UPDATE engine SET caught_up = 99",
        "table engine: the rows are said to know event 99, the last is",
    ),
    "a table that is gone": ("DROP TABLE tally", "table tally: it cannot be read: no such table"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_named_by_its_place(whole: Path, fault: str) -> None:
    """And with what to do."""
    statement, place = FAULTS[fault]
    change_file(whole, statement)
    report = verify(whole)
    assert any(re.match(place, line) for line in told(report)), told(report)
    assert all("docs/how-to/back-up.md" in it.mend for it in report.faults)


async def test_a_step_that_ends_twice_in_the_journal_is_a_fault(whole: Path) -> None:
    """One outcome a generation: an event that gives it another does not follow."""
    with closing(sqlite3.connect(whole)) as db:
        last = db.execute("SELECT max(seq + events) FROM journal").fetchone()[0]
        entry = Entry(last)
        entry.events = [EventLine("Ra", "cancelled", 9, Cancelled(9, "Ra"))]
        JOURNAL.insert(db, [entry.row()])
        db.execute("UPDATE run SET seq = ? WHERE id = 'Ra'", (last,))
        db.execute("UPDATE engine SET caught_up = ?", (last,))
        db.commit()
    (fault,) = told(verify(whole))
    assert fault.startswith(f"run Ra, event {last}: it does not follow from those before it")
    assert "Cancelled while step Ra is completed" in fault


async def test_an_event_that_a_start_could_not_fold_is_a_fault(whole: Path) -> None:
    """Also of a run that has rows, which need not know it yet: what a start finds at the end of the
    journal is folded into them."""
    with closing(sqlite3.connect(whole)) as db:
        last = db.execute("SELECT max(seq + events) FROM journal").fetchone()[0]
        entry = Entry(last)
        entry.events = [EventLine("Ra", "cancelled", 9, Cancelled(9, "Ra"))]
        JOURNAL.insert(db, [entry.row()])
        db.commit()
    (fault,) = told(verify(whole))
    assert fault.startswith(f"run Ra, event {last}: it does not follow from those before it")
    change_file(whole, "UPDATE step SET state = 'nonsense' WHERE id = 'Ra'")
    assert any(it.startswith("run Ra: its rows cannot be read") for it in told(verify(whole)))


async def test_what_a_start_folds_into_rows_is_no_fault(path: Path) -> None:
    """An engine that is killed leaves events behind what the rows of their runs know."""
    async with store_at(path) as store:
        await store.write(new_run("a")[1]).wait()
    async with crashing(path) as store:
        (found,) = await store.load_runs(["Ra"], until=0)
        await store.write(started(the_run(found), 1)).wait()
    report = verify(path)
    assert report.faults == []
    assert "a start folds 1 event more" in {it.name: it.what for it in report.checked}["rows"]


@pytest.mark.parametrize("at_once", [1, 1_000])
async def test_of_many_runs_the_one_that_differs_is_named(
    whole: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Compared alone or together: a row that is otherwise, one too many, one too few."""
    monkeypatch.setattr(fold, "COMPARED_AT_ONCE", at_once)
    change_file(whole, "UPDATE step SET generation = 3 WHERE id = 'Rb'")
    change_file(whole, "DELETE FROM attempt WHERE step_id = 'Ra'")
    change_file(whole, "INSERT INTO body VALUES ('Rc', 1, 1, 1)")
    assert sorted(told(verify(whole)))[:3] == [
        "step Ra, attempt 1: its row in `attempt` is missing",
        "step Rb: generation is 3, and its events say 2",
        "step Rc, body 1: this body is in no event",
    ]


def _damaged(whole: Path, number: int) -> Path:
    """A copy that is cut somewhere, or in which something was written over."""
    random = Random(number)
    path = whole.with_name(f"{number}.db")
    data = bytearray(whole.read_bytes())
    if number % 4 == 0:
        del data[random.randrange(1, len(data)) :]
    else:
        length = random.choice([1, 16, 512, 4_096, 20_000])
        at = random.randrange(100 if number % 4 == 1 else 0, len(data))
        at = at // 4_096 * 4_096 if length >= 4_096 else at
        filling = [bytes(length), b"\xff" * length, random.randbytes(length)][number % 3]
        data[at : at + length] = filling[: len(data) - at]
    path.write_bytes(data)
    return path


async def test_whatever_is_damaged_no_check_fails(whole: Path) -> None:
    """A cut or overwritten file never ends a check with an error, and mostly has a fault."""
    found = [len(verify(_damaged(whole, number)).faults) for number in range(150)]
    assert sum(map(bool, found)) > 75
    cut = found[::4]
    assert all(cut)
    assert max(found) <= FAULTS_MAX


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "file: it is empty"),
        (b"# not a database\n" * 400, "file: it is no SQLite database"),
        (b"x", "file: it is no SQLite database"),
        (b"SQLite format 3\0", "file: it is cut short"),
    ],
)
def test_what_is_no_database_is_called_so(path: Path, content: bytes, said: str) -> None:
    """Text, nothing, half a header."""
    path.write_bytes(content)
    (fault,) = told(verify(path))
    assert fault.startswith(said)


def test_another_programs_database_is_called_so(path: Path) -> None:
    """No table of it is taken for ours."""
    change_file(path, "CREATE TABLE engine (id INTEGER)")
    assert told(verify(path))[0].startswith("file: it is a database, and not Atomic's.")


async def test_a_log_that_is_none_is_a_fault(whole: Path) -> None:
    """SQLite would leave it aside without a word."""
    whole.with_name(whole.name + "-wal").write_bytes(b"nothing of the kind" * 9)
    assert told(verify(whole))[0].startswith("log: a.db-wal is no write-ahead log")


async def test_what_cannot_be_looked_at_is_refused(whole: Path) -> None:
    """With the reason: nothing is there, it is a directory, an engine has it open, it is newer."""
    for path, why in (
        (whole.parent, "is a directory"),
        (whole.with_name("none.db"), "does not exist"),
    ):
        with pytest.raises(StoreError, match=why):
            verify(path)
    async with store_at(whole):
        with pytest.raises(StoreError, match="is in use by the engine with process id"):
            verify(whole)
    newer = Path(shutil.copy(whole, whole.with_name("newer.db")))
    change_file(newer, "UPDATE _sqlite_migrations SET name = 'm999_later' WHERE name LIKE 'm001%'")
    with pytest.raises(StoreError, match="was written by a newer Atomic"):
        verify(newer)
