"""The beginning of the journal goes: not more of it than may, and nothing that a run needs."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.core.model import Run
from engine.core.retry import DAY_MS
from engine.ports.audit import AuditEntry
from engine.ports.report import Report
from engine.ports.store import Body, Stopped, Stored, Write
from engine.store.expiry import Expiry
from engine.store.sqlite.backup.restore import restore
from engine.store.sqlite.compact import compact
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.verify import fold
from engine.store.sqlite.verify.verify import verify
from engine.store.tables import cut, reading
from tests.store.support import (
    OWNER,
    answered,
    change_file,
    crashing,
    new_run,
    retried,
    rows,
    started,
    store_at,
    the_run,
)

BEFORE = dict.fromkeys(("completed", "failed", "cancelled"), DAY_MS)
LATE = 1 << 50
LARGE = b'"' + b"l" * 5_000 + b'"'
SMALL = b'{"a": 1}'


async def put(store: SqliteStore, *writes: Write) -> None:
    """Each with a commit, and so an entry, of its own."""
    for write in writes:
        await store.write(write).wait()


async def fill(store: SqliteStore) -> dict[str, Run]:
    """Runs that completed, failed, were called, and were opened; each second one with a large
    payload. The events of some are mixed."""
    runs: dict[str, Run] = {}
    for at, key in enumerate(("done", "failed", "called", "opened", "again")):
        runs[key], first = new_run(key, at)
        payload = SMALL if at % 2 else LARGE
        await put(store, Write(first.change, (Body(runs[key].id, 1, payload),)))
    for at, key in enumerate(("done", "failed", "called", "again"), 10):
        await put(store, started(runs[key], at))
    for at, (key, status) in enumerate((("done", 200), ("failed", 410), ("again", 410)), 20):
        await put(store, answered(runs[key], at, status))
    await put(store, retried(runs["again"], 30), started(runs["again"], 31))
    await store.writer.wait_rows()
    return runs


async def cut_all(store: SqliteStore, before: int = LATE) -> int:
    """Piece after piece; how many events went."""
    went = 0
    while some := await store.cut_journal(before):
        went += some
    return went


def floor_of(path: Path) -> int:
    """What the file says of where its journal begins."""
    return int(rows(path, "SELECT floor FROM engine")[0][0])


def faults(path: Path) -> list[str]:
    """What `verify` finds wrong, each in a line."""
    return [f"{it.place}: {it.what}" for it in verify(path).faults]


async def test_what_it_has_of_runs_that_stay_is_carried_on(path: Path) -> None:
    """They are as they were: rows, payloads, answers, small and large; of a run that has gone
    nothing is left. The last entry stays, and numbers go on behind it."""
    async with store_at(path) as store:
        runs = await fill(store)
        assert await store.expire([runs["done"].id], BEFORE) == 1
        before = await store.load_runs([it.id for it in runs.values()], LATE)
        last = store.last_seq
        assert await cut_all(store) == floor_of(path) > 0
        assert rows(path, "SELECT count(*), max(seq + events) - 1 FROM journal") == [(1, last)]
        assert rows(path, "SELECT DISTINCT run_id FROM carried ORDER BY 1") == [
            ("Ragain",), ("Rcalled",), ("Rfailed",), ("Ropened",),
        ]  # fmt: skip
        assert await store.load_runs([it.id for it in runs.values()], LATE) == before
        payloads = [await store.body(f"R{key}", 1, answer=False) for key in ("called", "opened")]
        assert [it.data for it in payloads if isinstance(it, Body)] == [LARGE, SMALL]
        answer = await store.body("Rfailed", 1, answer=True)
        assert isinstance(answer, Body)
        assert answer.data == b'"done"'
        assert await store.body("Rdone", 1, answer=False) is None
        await put(store, *_ends(runs["called"], 50))
        assert store.last_seq > last
    assert faults(path) == []
    async with store_at(path) as store:
        found = await store.load_runs(["Rcalled", "Ragain"], LATE)
        assert [the_run(it).root.state for it in found] == ["completed", "running"]


def _ends(run: Run, at: int) -> list[Write]:
    return [answered(run, at)]


async def test_small_payloads_come_with_their_runs(path: Path) -> None:
    """As a run is loaded that is to be called, whichever entry had its payload."""
    async with store_at(path) as store:
        await fill(store)
        await cut_all(store)
        (found,) = await store.load_runs(["Ropened"], LATE)
        assert isinstance(found, Stored)
        assert found.payloads == {"Ropened": SMALL}


async def test_nothing_goes_too_early(path: Path) -> None:
    """Not an entry in which anything is so late, nor one behind it."""
    async with store_at(path) as store:
        await fill(store)
        assert await cut_all(store, 0) == 0
        assert await cut_all(store, 10) == rows(path, "SELECT min(seq) - 1 FROM journal")[0][0]
        assert rows(path, "SELECT min(at) FROM journal") == [(10,)]
        assert await cut_all(store, 10) == 0
    assert faults(path) == []


async def test_what_a_start_folds_stays(path: Path) -> None:
    """The tables do not know it: rows would be lost with it, and a look of before is looked at
    again."""
    async with crashing(path) as store:
        runs = await fill(store)
        known = rows(path, "SELECT caught_up FROM engine")[0][0]
        await put(store, answered(runs["called"], 40), new_run("last")[1])
        assert await cut_all(store) == floor_of(path) == known
        change_file(path, f"UPDATE engine SET floor = {known - 1}")
        assert await store.cut_journal(LATE) == 0, "it does not begin where it should"
    change_file(path, f"UPDATE engine SET floor = {known}")
    assert faults(path) == []
    async with store_at(path) as store:
        (found,) = await store.load_runs(["Rcalled"], LATE)
        assert the_run(found).root.state == "completed"


async def test_the_commit_looks_again(path: Path) -> None:
    """A run that has gone since it was looked at is not carried on; nothing is cut twice, nor what
    the tables do not know."""
    async with store_at(path) as store:
        runs = await fill(store)
        found = await store.view_readers.read(lambda db: cut.look(db, LATE))
        assert found is not None
        assert {it.run_id for it in found.carried} == {it.id for it in runs.values()}
        assert await store.expire(["Rdone"], BEFORE) == 1
        change_file(path, f"UPDATE engine SET caught_up = {found.floor - 1}")
        assert await store._expire(Expiry(cut=found)) == 0
        change_file(path, f"UPDATE engine SET caught_up = {found.floor}")
        assert await store._expire(Expiry(cut=found)) == found.floor
        assert await store._expire(Expiry(cut=found)) == 0
        assert rows(path, "SELECT count(*) FROM carried WHERE run_id = 'Rdone'") == [(0,)]
    assert faults(path) == []


async def test_a_run_takes_along_what_was_carried_on(path: Path) -> None:
    """When it goes, later."""
    async with store_at(path) as store:
        await fill(store)
        await cut_all(store)
        assert await store.expire(["Rfailed"], BEFORE) == 1
        assert rows(path, "SELECT count(*) FROM carried WHERE run_id = 'Rfailed'") == [(0,)]
    assert faults(path) == []


@pytest.mark.parametrize("at_once", [1, 2, 60_000])
@pytest.mark.parametrize("before", [12, 21, 31, LATE])
async def test_runs_on_both_sides_of_the_cut_are_whole(
    path: Path, before: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of a run was carried on and is in the journal, and however many walks it takes; one
    that went in the middle of its events, too. What is wrong in its rows is found."""
    monkeypatch.setattr(fold, "STEPS_AT_ONCE", at_once)
    async with store_at(path) as store:
        runs = await fill(store)
        await store.expire(["Rdone"], BEFORE)
        assert await cut_all(store, before)
        await put(store, answered(runs["again"], 60), retried(runs["failed"], 61))
        await put(store, started(runs["failed"], 62), new_run("later", 63)[1])
    assert faults(path) == []
    change_file(path, "UPDATE step SET attempts = 9 WHERE id IN ('Rfailed', 'Ropened')")
    assert sorted(faults(path)) == [
        "step Rfailed: attempts is 9, and its events say 2",
        "step Ropened: attempts is 9, and its events say 0",
    ]


async def test_a_stopped_run_is_read_again_from_what_was_carried_on(path: Path) -> None:
    """Its rows lack events from before the floor: an operator has it go on all the same."""
    async with store_at(path) as store:
        run, first = new_run("k")
        await put(store, first)
        await store.writer.wait_rows()
        lacking = rows(path, "SELECT attempts, state FROM step") + rows(path, "SELECT seq FROM run")
        await put(store, started(run, 1))
        await store.writer.wait_rows()
        await store.stop(Stopped(run.id, "shop", "running", 1, "running", 1, "a bug"), 2).wait()
        (attempts, state), (seq,) = lacking
        change_file(path, f"UPDATE step SET attempts = {attempts}, state = '{state}'")
        change_file(path, f"UPDATE run SET seq = {seq}")
        change_file(path, "DELETE FROM attempt")
        await put(store, new_run("z", 9)[1])
        await store.writer.wait_rows()
        assert await cut_all(store) > seq
        assert (await store.read_again(run.id)).root.attempts == 1
    assert faults(path) == []


async def test_what_nothing_else_tells_of_stays(path: Path) -> None:
    """Of a run without rows or a key the journal alone tells, which is damage: `verify` finds it
    afterwards as before."""
    async with store_at(path) as store:
        await fill(store)
        for table in ("run", "step"):
            change_file(path, f"DELETE FROM {table} WHERE id = 'Ropened'")
        assert await cut_all(store)
        assert rows(path, "SELECT count(*) FROM carried WHERE run_id = 'Ropened'") == [(1,)]
    assert "run Ropened: it was carried on, and has no row" in faults(path)


async def test_an_entry_that_cannot_be_read_stays(path: Path) -> None:
    """And all behind it: the journal is cut as far as it is whole."""
    async with store_at(path) as store:
        await fill(store)
        (seq,) = rows(path, "SELECT seq FROM journal ORDER BY seq LIMIT 1 OFFSET 3")[0]
        change_file(path, f"UPDATE journal SET packed = x'00' WHERE seq = {seq}")
        assert await cut_all(store) == seq - 1
        assert rows(path, "SELECT min(seq) FROM journal") == [(seq,)]


@pytest.mark.parametrize("large", ["NULL", "x'00'"], ids=["none", "too few"])
async def test_an_entry_that_lacks_large_bodies_stays(path: Path, large: str) -> None:
    """What is read of it would be another's, or nothing at all."""
    async with store_at(path) as store:
        await fill(store)
        change_file(path, f"UPDATE journal SET large = {large} WHERE seq = 1")
        assert await cut_all(store) == 0


async def test_a_body_that_is_read_while_its_entry_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is the whole body: of two runs with an entry in common, the second one's lies behind."""
    other = b'"' + b"o" * 6_000 + b'"'
    looked: list[bool] = []
    find = reading._bodies_of_entry

    def cut_behind(db: sqlite3.Connection, entry: int | None) -> object:
        found = find(db, entry)
        if not looked:
            looked.append(True)
            with closing(sqlite3.connect(path, isolation_level=None)) as writer:
                piece = Expiry(cut=cut.look(writer, LATE))
                writer.execute("BEGIN IMMEDIATE")
                cut.write_cut(writer, piece)
                writer.execute("COMMIT")
                assert piece.gone
        return found

    async with store_at(path) as store:
        first, opened = new_run("first", 0)
        second, opened_too = new_run("second", 1)
        store.write(Write(opened.change, (Body(first.id, 1, LARGE),)))
        await put(store, Write(opened_too.change, (Body(second.id, 1, other),)))
        await fill(store)
        await store.writer.wait_rows()
        monkeypatch.setattr(reading, "_bodies_of_entry", cut_behind)
        for _ in range(2):
            body = await store.body(second.id, 1, answer=False)
            assert isinstance(body, Body)
            assert body.data == other
    assert looked


async def test_a_piece_is_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In entries, in their pages, and in what is carried on of them."""
    async with store_at(path) as store:
        await fill(store)
        for name in ("ENTRIES_AT_ONCE_MAX", "PAGES_AT_ONCE_MAX", "CARRIED_AT_ONCE_MAX"):
            with monkeypatch.context() as patch:
                patch.setattr(cut, name, 1)
                before = rows(path, "SELECT count(*) FROM journal")[0][0]
                assert await store.cut_journal(LATE)
                assert rows(path, "SELECT count(*) FROM journal")[0][0] == before - 1
    assert faults(path) == []


async def test_copies_of_it_are_whole_and_a_smaller_file_is(path: Path, tmp_path: Path) -> None:
    """Copied, restored, and given back what was freed in it: with all that was carried on, and the
    floor."""
    async with store_at(path) as store:
        await fill(store)
        await store.expire(["Rdone"], BEFORE)
        await cut_all(store)
    restored = tmp_path / "restored.db"
    act = AuditEntry("01", 7, "ada", None, "restore", "restored.db")
    restore(path, restored, [], act, lambda *step: None)
    compact(path, OWNER)
    for file in (path, restored):
        assert faults(file) == []
        assert floor_of(file) > 0
        async with store_at(file) as store:
            (found,) = await store.load_runs(["Ropened"], LATE)
            assert isinstance(found, Stored)
            assert found.payloads == {"Ropened": SMALL}


class Copying:
    """A connection that keeps a copy of its file before each statement, as a `kill -9` there would
    leave it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self.copies: list[Path] = []

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        copy = self._path.with_name(f"copy-{len(self.copies)}.db")
        for suffix in ("", "-wal"):
            its = self._path.with_name(self._path.name + suffix)
            shutil.copy(its, copy.with_name(copy.name + suffix))
        self.copies.append(copy)
        return self._connection.execute(statement, *values)


@pytest.mark.slow
async def test_a_kill_between_any_two_statements_leaves_a_whole_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that goes on: the next life cuts what is left."""
    monkeypatch.setattr(cut, "ENTRIES_AT_ONCE_MAX", 5)
    async with store_at(path) as store:
        runs = await fill(store)
        await store.expire(["Rdone"], BEFORE)
        wanted = await store.load_runs([it.id for it in runs.values()], LATE)
        copying = Copying(store.sink.connection, path)
        monkeypatch.setattr(store.sink, "connection", copying)
        assert await cut_all(store)
        monkeypatch.undo()
    floors = [floor_of(copy) for copy in copying.copies]
    assert len(set(floors)) > 2
    assert floors == sorted(floors)
    for copy in copying.copies:
        assert faults(copy) == []
        async with store_at(copy) as store:
            await cut_all(store)
            assert await store.load_runs([it.id for it in runs.values()], LATE) == wanted
        assert faults(copy) == []


@pytest.mark.slow
async def test_a_power_cut_leaves_a_whole_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the log its beginning is on the disk, to any byte; or all of it, and of the file any pages
    of before and after it was put there."""
    monkeypatch.setattr(cut, "ENTRIES_AT_ONCE_MAX", 5)
    log = path.with_name(path.name + "-wal")
    async with store_at(path) as store:
        await fill(store)
        await store.expire(["Rdone"], BEFORE)
        store.sink.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        early = path.read_bytes()
        assert await cut_all(store)
        written = log.read_bytes()
        store.wal.put_into_file()
        late = path.read_bytes()
    chance, floors = Random(15), set[int]()
    size = 4_096
    for number in range(40):
        image = path.with_name(f"image-{number}.db")
        if number % 2:
            pages = [chance.choice((early, late)) for _ in range(0, len(late), size)]
            made = [it[n * size : (n + 1) * size] for n, it in enumerate(pages)]
            image.write_bytes(b"".join(it or b"\0" * size for it in made))
            left = len(written)
        else:
            image.write_bytes(early)
            left = chance.randrange(len(written))
        image.with_name(image.name + "-wal").write_bytes(written[:left])
        floors.add(floor_of(image))
        assert faults(image) == []
        async with store_at(image) as store:
            await cut_all(store)
        assert faults(image) == []
    assert len(floors) > 2


FAULTS = {
    "a floor that was not recorded": (
        "UPDATE engine SET floor = 0",
        r"journal, event 1: events 1 to \d+ are missing",
    ),
    "a floor too low": (
        "UPDATE engine SET floor = floor - 1",
        r"journal, event \d+: events \d+ to \d+ are missing",
    ),
    "a floor too high": (
        "UPDATE engine SET floor = floor + 1",
        r"journal, entry \d+: it begins with event \d+, where \d+ follows",
    ),
    "what was carried on is lost": (
        "DELETE FROM carried WHERE run_id = 'Rfailed'",
        "table run: it has 1 row of which no event tells: Rfailed",
    ),
    "some of it is": (
        "DELETE FROM carried WHERE run_id = 'Rfailed' AND entry ="
        " (SELECT max(entry) FROM carried WHERE run_id = 'Rfailed')",
        r"run Rfailed: its row knows event \d+, which is none of its events",
    ),
    "the first of a run that went on": (
        "DELETE FROM carried WHERE run_id = 'Ragain' AND entry ="
        " (SELECT min(entry) FROM carried WHERE run_id = 'Ragain')",
        r"run Ragain, event \d+: it does not follow from those before it",
    ),
    "all of such a one": (
        "DELETE FROM carried WHERE run_id = 'Ragain'",
        r"journal, event \d+: it is of run Ragain, which no event before it begins",
    ),
    "it was written over": (
        "UPDATE carried SET packed = zeroblob(length(packed)) WHERE run_id = 'Rfailed'",
        r"carried, run Rfailed, entry \d+: it cannot be read: error",
    ),
    "it is another run's": (
        "UPDATE carried SET run_id = 'Rother' WHERE run_id = 'Rfailed'",
        r"carried, run Rother, entry \d+: event \d+ is of Rfailed",
    ),
    "another size": (
        "UPDATE carried SET size = 7 WHERE run_id = 'Rfailed'",
        r"carried, run Rfailed, entry \d+: its row says 7 bytes; it has \d+",
    ),
    "a large body cut": (
        "UPDATE carried SET large = substr(large, 1, 9) WHERE large IS NOT NULL",
        r"carried, run \w+, entry \d+: its large bodies are 9 bytes, and should be 5002",
    ),
    "another entry": (
        "UPDATE carried SET entry = entry + 900 WHERE run_id = 'Rfailed'",
        r"carried, run Rfailed, entry \d+: event \d+ cannot be where it is",
    ),
    "a run that has gone": (
        "INSERT INTO expired SELECT id, client, workflow, key, state, submitted_at, 0, NULL"
        " FROM run WHERE id = 'Rfailed'; DELETE FROM run WHERE id = 'Rfailed'",
        "run Rfailed: it was carried on, and has gone",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_what_was_cut_is_found(path: Path, fault: str) -> None:
    """`verify` names what is wrong by its place."""
    async with store_at(path) as store:
        runs = await fill(store)
        await cut_all(store)
        await put(store, answered(runs["again"], 60))
    assert faults(path) == []
    statements, place = FAULTS[fault]
    for statement in statements.split("; "):
        change_file(path, statement)
    found = faults(path)
    assert any(re.match(place, line) for line in found), found


async def test_faulty_parts_are_told_where_they_are(path: Path) -> None:
    """Of what was carried on, and not again of the rows."""
    async with store_at(path) as store:
        await fill(store)
        await cut_all(store)
    change_file(path, FAULTS["another size"][0])
    report = verify(path)
    found = {it.name: it.faults for it in report.checked}
    assert 0 < found["carried"] <= sum(found.values()) == len(report.faults)


async def test_a_file_that_was_never_cut_is_told_as_before(path: Path) -> None:
    """Who asks for no retention has the journal from event 1, and nothing else is looked at."""
    async with store_at(path) as store:
        await fill(store)
    report: Report = verify(path)
    assert [it.name for it in report.checked] == ["pages", "schema", "journal", "rows", "counts"]
    assert (floor_of(path), rows(path, "SELECT count(*) FROM carried")) == (0, [(0,)])
