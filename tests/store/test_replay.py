"""A start after a crash: what the journal knows and the tables do not is folded, and only that."""

from __future__ import annotations

import zlib
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from engine.core.events import AttemptEnded, Count, LateEnd, Started
from engine.core.machine import Change
from engine.core.model import StepState
from engine.ports.store import Body, Stopped, StoreError, StoreStopped, Write
from engine.store.journal import ENTRY_EVENTS_MAX
from engine.store.replay import fold_again
from engine.store.sqlite.sink import SqliteKept
from engine.store.sqlite.store import prepare
from tests.store.support import (
    answered,
    change_file,
    crashing,
    history,
    new_run,
    rows,
    started,
    store_at,
    the_run,
)
from tests.world import payload_of

if TYPE_CHECKING:
    pass

TABLES = ("run", "step", "attempt", "outcome", "tally")


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows that follow from the journal."""
    return {table: rows(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}


async def test_a_crash_loses_no_row(tmp_path: Path) -> None:
    """What a start folds is what would have been written: rows, bodies and counts."""
    async with store_at(tmp_path / "well.db") as store:
        history(store)
    async with crashing(tmp_path / "crashed.db") as store:
        history(store)
        await store.writer._gathering.wait()
        assert rows(tmp_path / "crashed.db", "SELECT * FROM run") == []
    async with store_at(tmp_path / "crashed.db") as store:
        assert store.writer.run_counts == {StepState.COMPLETED: 1, StepState.RUNNING: 2}
        assert store.find_run("shop", "w", "b") == "Rb"
        assert await payload_of(store, "Rc") == b'{"a": 1}'
        answer = await store.body("Ra", 1, answer=True)
        assert isinstance(answer, Body)
        assert answer.data == b'"done"'
    assert contents(tmp_path / "crashed.db") == contents(tmp_path / "well.db")


async def test_rows_that_were_lost_are_made_up_to_an_event(path: Path) -> None:
    """Others are recorded meanwhile; and of a run whose rows are still to come only what is before
    them is made."""
    async with crashing(path) as store:
        run, write = new_run("a")
        for each in (write, started(run, 1), new_run("b")[1], answered(run, 2), new_run("c")[1]):
            await store.write(each).wait()
        assert (rows(path, "SELECT * FROM run"), store.last_seq) == ([], 9)
    with closing(prepare(path, "OFF")) as db:
        fold_again(SqliteKept(db), {"Ra": 3}, 5)
    assert rows(path, "SELECT id, seq FROM run ORDER BY 1") == [("Ra", 2), ("Rb", 5)]
    assert rows(path, "SELECT caught_up FROM engine") == [(2,)]
    assert rows(path, "SELECT state, runs FROM tally") == [("running", 2)]
    async with store_at(path) as store:
        assert store.writer.run_counts == {StepState.COMPLETED: 1, StepState.RUNNING: 2}


async def test_rows_that_cannot_be_made_again_end_the_engine(path: Path) -> None:
    """A start stops that run alone, and says why."""
    async with crashing(path) as store:
        run, write = new_run("a")
        await store.write(write).wait()
        await store.write(started(run, 1)).wait()
    (packed,) = rows(path, "SELECT packed FROM journal WHERE seq = 3")[0]
    plain = zlib.decompress(packed).replace(b'"number":1', b'"number":7')
    change_file(path, f"UPDATE journal SET packed = x'{zlib.compress(plain).hex()}' WHERE seq = 3")
    with closing(prepare(path, "OFF")) as db, pytest.raises(StoreStopped, match="rows of run Ra"):
        fold_again(SqliteKept(db), {}, 3)


async def test_a_write_of_many_events_lies_in_several_entries(path: Path) -> None:
    """Who reads one of them unpacks no more than for others; bodies are found all the same."""
    count = 5 * ENTRY_EVENTS_MAX // 2
    async with crashing(path) as store:
        run, write = new_run("k")
        store.write(write)
        change = Change(run)
        change.do(Started(1, run.id, 1))
        for number in range(2, count + 2):
            change.do(LateEnd(1, run.id, number))
        change.do(AttemptEnded(2, run.id, 1, Count.SUCCESS, StepState.COMPLETED, 200))
        change.close(2)
        await store.write(
            Write(change, (Body(run.id, 1, b"[]", "application/json", answer=True, json=True),))
        ).wait()
        entries = rows(path, "SELECT seq, events FROM journal ORDER BY seq")
    assert sum(events for _, events in entries) == 2 + count + 3
    assert max(events for _, events in entries) <= 2 * ENTRY_EVENTS_MAX
    assert [seq for seq, _ in entries] == list(
        accumulate([1, *(events for _, events in entries[:-1])])
    )
    async with store_at(path) as store:
        assert the_run((await store.load_runs([run.id], 0))[0]).root == run.root
        answer = await store.body(run.id, 1, answer=True)
        assert isinstance(answer, Body)
        assert (answer.data, answer.json) == (b"[]", True)
        assert await payload_of(store, run.id) == b'{"a": 1}'


async def test_no_event_is_folded_twice(path: Path) -> None:
    """Rows that were written ahead of `caught_up` stay; only what came behind is added to them."""
    async with crashing(path) as store:
        older = new_run("older")[0:2]
        store.write(older[1])
        run, write = new_run("k")
        store.write(write)
        store.write(started(run, 1))
        await store.writer.wait_rows(run.id)
        await store.write(answered(run, 2)).wait()
        assert rows(path, "SELECT caught_up FROM engine") == [(0,)]
    for _ in range(2):
        async with store_at(path) as store:
            assert rows(path, "SELECT caught_up FROM engine") == [(7,)]
            assert store.writer.run_counts == {StepState.COMPLETED: 1, StepState.RUNNING: 1}
            loaded = the_run((await store.load_runs([run.id], 0))[0])
            assert loaded is not None
            assert loaded.root == run.root
    attempts = rows(path, "SELECT number, counts_as FROM attempt")
    assert attempts == [(1, "success")]


async def test_the_sequence_goes_on_behind_the_journal(path: Path) -> None:
    """After a crash the next event has the next number, though no row was written."""
    async with crashing(path) as store:
        await store.write(new_run("a", at=7)[1]).wait()
    async with store_at(path) as store:
        assert (store.writer.durable_sequence, store.last_at) == (2, 7)
        await store.write(new_run("b")[1]).wait()
    assert rows(path, "SELECT seq, events FROM journal") == [(1, 2), (3, 2)]


async def test_a_run_that_does_not_fold_is_stopped_alone(path: Path) -> None:
    """Its row says so, with what could be folded of it; another run's rows are whole."""
    async with crashing(path) as store:
        run, write = new_run("a")
        await store.write(write).wait()
        await store.write(started(run, 1)).wait()
        await store.write(new_run("b")[1]).wait()
    (packed,) = rows(path, "SELECT packed FROM journal WHERE seq = 3")[0]
    plain = zlib.decompress(packed).replace(b'"number":1', b'"number":7')
    change_file(path, f"UPDATE journal SET packed = x'{zlib.compress(plain).hex()}' WHERE seq = 3")
    for _ in range(2):
        async with store_at(path) as store:
            (stopped,) = await store.load_runs(["Ra"], 0)
            assert isinstance(stopped, Stopped)
            assert stopped.recorded
            assert stopped.error.startswith("IllegalEvent: attempt 7 of Ra")
            assert the_run((await store.load_runs(["Rb"], 0))[0]).root.attempts == 0
            assert store.writer.run_counts == {"paused": 1, "running": 1}
    steps = rows(path, "SELECT id, state, attempts, wake_at FROM step ORDER BY id")
    assert steps == [("Ra", "pending", 0, None), ("Rb", "pending", 0, 0)]
    assert rows(path, "SELECT state, seq, engine_error_seq FROM run WHERE id = 'Ra'") == [
        ("paused", 2, 7)
    ]


async def test_a_crash_while_folding_changes_nothing(path: Path) -> None:
    """The catching up is one transaction: the next start finds it all still to be done."""
    async with crashing(path) as store:
        history(store)
        await store.writer._gathering.wait()
    change_file(
        path, "CREATE TRIGGER no BEFORE INSERT ON tally BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(StoreError, match="no"):
        async with store_at(path):
            pass
    assert contents(path) == {table: [] for table in TABLES}
    change_file(path, "DROP TRIGGER no")
    async with store_at(path):
        assert len(contents(path)["run"]) == 3


@pytest.mark.parametrize(
    ("damage", "known"),
    [
        ("INSERT INTO attempt (step_id, number, generation, started_at, epoch)"
         " VALUES ('Ra', 1, 1, 5, 1)", 6),
        ("UPDATE run SET rev = 9223372036854775807 WHERE id = 'Ra'", 2),
    ],
    ids=["fits but for what is there", "does not fit"],
)  # fmt: skip
async def test_rows_that_a_start_cannot_write_stop_their_run_alone(
    path: Path, damage: str, known: int
) -> None:
    """Its row says that it is stopped, and what could be written; no start stumbles over it."""
    async with store_at(path) as store:
        run, write = new_run("a")
        store.write(write)
    change_file(path, damage)
    async with crashing(path) as store:
        other, write = new_run("b")
        store.write(write)
        store.write(started(run, 1))
        store.write(answered(run, 2, 500))
        await store.write(started(other, 1)).wait()
    for _ in range(2):
        async with store_at(path) as store:
            (stopped,) = await store.load_runs(["Ra"], 0)
            assert isinstance(stopped, Stopped)
            assert stopped.recorded
            assert ("UNIQUE" in stopped.error) == (known == 6)
            assert the_run((await store.load_runs(["Rb"], 0))[0]).root.attempts == 1
            assert store.writer.run_counts == {"paused": 1, "running": 1}
    assert rows(path, "SELECT seq >= 6, seq <= 2 FROM run WHERE id = 'Ra'") == [
        (known == 6, known == 2)
    ]


async def test_entries_end_where_they_are_large(path: Path) -> None:
    """One commit with much in it makes several entries, each with whole writes, gap-free."""
    async with store_at(path) as store:
        for key in "abc":
            _, write = new_run(key)
            body = write.bodies[0]
            write.bodies = (type(body)(body.step_id, 1, key.encode() * 300_000),)
            store.write(write)
        await store.writer._gathering.wait()
        assert store.writer.commits == 1
        assert rows(path, "SELECT seq, events, length(large) FROM journal") == [
            (1, 2, 300_000),
            (3, 2, 300_000),
            (5, 2, 300_000),
        ]
        events = await store.readers.events(3, 2)
        assert [event.seq for event in events] == [4, 5]
        assert await payload_of(store, "Rb") == b"b" * 300_000
    await trio.lowlevel.checkpoint()
