"""Group commit: what is acknowledged is on disk, what fails is acknowledged by nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from engine.store.away import Availability
from engine.store.pending import LAG_S, RUNS_PER_COMMIT_MAX
from engine.store.sqlite.file.words import FileWords
from engine.store.sqlite.sink import SqliteSink
from engine.store.sqlite.store import open_store
from engine.store.writer import GATHER_S_MAX, Batch, Writer
from tests.store.support import (
    OWNER,
    Failing,
    answered,
    change_file,
    new_run,
    recorded,
    rows,
    started,
    store_at,
    the_run,
)
from tests.world import inline

T = TypeVar("T")


class Gate:
    """An offload that says when work has come and waits to be let through: not that of opening."""

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.open = trio.Event()
        self._is_opening = True

    async def __call__(self, work: Callable[[], T]) -> T:
        if self._is_opening:
            self._is_opening = False
            return work()
        self.arrived.set()
        await self.open.wait()
        return work()


async def test_writes_share_commits(path: Path) -> None:
    """What comes while one commit is under way makes up the next one: 100 writes, two commits."""
    gate = Gate()
    async with store_at(path, write_offload=gate) as store:
        receipts = [store.write(new_run("0")[1])]
        await gate.arrived.wait()
        receipts += [store.write(new_run(str(n))[1]) for n in range(1, 100)]
        assert store.backlog == receipts[1].events
        assert not any(receipt.durable for receipt in receipts)
        gate.open.set()
        for receipt in receipts:
            await receipt.wait()
        assert store.writer.commits == 2
        assert store.backlog == 0


@pytest.mark.slow
async def test_a_receipt_is_honoured_after_the_commit(path: Path) -> None:
    """When `wait()` returns, another connection sees the events; with the real thread and FULL."""
    seen: list[int] = []

    async def one(key: str) -> None:
        receipt = store.write(new_run(key)[1])
        assert f"R{key}" not in recorded(path)
        await receipt.wait()
        assert f"R{key}" in recorded(path)
        seen.append(store.writer.commits)

    async with open_store(path, OWNER, started_at=0) as store:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one, str(number))
                if number % 20 == 0:
                    await trio.sleep(0)
    assert len(seen) == 200
    assert store.writer.commits <= 20


async def test_callbacks_come_after_the_commit_in_order(path: Path) -> None:
    """`then` is called once each, in the order of the writes, when the events can be read."""
    called = []
    async with store_at(path) as store:
        for number in range(3):
            write = new_run(str(number))[1]
            write.then = partial(lambda n: called.append((n, len(recorded(path)))), number)
            receipt = store.write(write)
        assert called == []
        await receipt.wait()
    assert called == [(0, 6), (1, 6), (2, 6)]


async def test_what_is_only_to_be_said_makes_no_commit_sooner(autojump_clock, path: Path) -> None:
    """`say` is called after the commit like `then`, but nobody waits for it."""
    called = []
    async with store_at(path) as store:
        write = new_run("k")[1]
        began = trio.current_time()
        write.say = lambda: called.append((trio.current_time() - began, len(recorded(path))))
        store.write(write)
        await trio.sleep(1)
    ((after_s, events),) = called
    assert (after_s >= GATHER_S_MAX, events) == (True, 2)


async def test_a_row_is_written_once(path: Path) -> None:
    """A step that is opened, called and answered within the lag costs one row of each kind,
    whatever the number of its commits."""
    statements: list[str] = []
    async with store_at(path) as store:
        store._connection.set_trace_callback(statements.append)
        run, write = new_run("k")
        await store.write(write).wait()
        await store.write(started(run, 1)).wait()
        await store.write(answered(run, 2)).wait()
        loaded = the_run((await store.load_runs([run.id], 0))[0])
        store._connection.set_trace_callback(None)
    words = [" ".join(each.split()[:3]) for each in statements]
    assert [word for word in words if word in ("BEGIN IMMEDIATE", "COMMIT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ] * 4
    for table in ("run", "step", "attempt", "outcome"):
        assert words.count(f"INSERT INTO {table}") == 1, table
    assert "UPDATE attempt SET" not in words
    assert loaded is not None
    assert loaded.root == run.root


async def test_rows_follow_by_themselves(autojump_clock, path: Path) -> None:
    """Rows that nobody asks for are there a moment later, a bounded number with each commit."""
    async with store_at(path) as store:
        for number in range(RUNS_PER_COMMIT_MAX + 1):
            receipt = store.write(new_run(str(number))[1])
        await receipt.wait()
        await trio.sleep(LAG_S * 0.9)
        assert rows(path, "SELECT 1 FROM run") == []
        await trio.sleep(LAG_S * 0.2)
        assert len(rows(path, "SELECT 1 FROM run")) == RUNS_PER_COMMIT_MAX + 1
        assert store.writer.commits == 3


async def test_rows_wait_for_nothing_that_came_later(path: Path) -> None:
    """Who waits for a run's rows gets them as of now: what others write is not waited for."""
    async with store_at(path) as store:
        run, write = new_run("k")
        store.write(write)
        store.write(new_run("other")[1])
        store.write(started(run, 5))
        await store.writer.wait_rows(run.id)
        assert rows(path, "SELECT id, seq FROM run") == [("Rk", 5)]
        assert rows(path, "SELECT caught_up FROM engine") == [(2,)]
        await store.writer.wait_rows()
        assert rows(path, "SELECT caught_up FROM engine") == [(5,)]


async def test_an_attempt_over_two_batches(path: Path) -> None:
    """An attempt whose beginning is stored already gets its end added."""
    async with store_at(path) as store:
        run, write = new_run("k")
        store.write(write)
        store.write(started(run, 5))
        await store.writer.wait_rows()
        attempt = "SELECT number, started_at, ended_at, counts_as, http_status FROM attempt"
        assert rows(path, attempt) == [(1, 5, None, None, None)]
        store.write(answered(run, 9, 500))
        await store.writer.wait_rows()
        assert rows(path, attempt) == [(1, 5, 9, "failure", 500)]


async def test_events_are_gap_free_over_reopening(path: Path) -> None:
    """The sequence goes on where it stopped: no number is missing, none comes twice."""
    after = 0
    for opening in range(3):
        async with store_at(path) as store:
            assert store.writer.durable_sequence == after
            for number in range(4):
                await store.write(new_run(f"{opening}-{number}")[1]).wait()
            after = store.writer.durable_sequence
    entries = rows(path, "SELECT seq, events FROM journal ORDER BY seq")
    found = [number for first, events in entries for number in range(first, first + events)]
    assert found == list(range(1, after + 1))
    assert after == 3 * 4 * 2  # accepted, run-moved


async def test_leaving_commits_what_was_written(path: Path) -> None:
    """A graceful end loses no write that nobody waited for."""
    async with store_at(path) as store:
        store.write(new_run("k")[1])
    assert rows(path, "SELECT key FROM run") == [("k",)]


async def test_tally_counts_runs_by_state(path: Path) -> None:
    """The counts that are kept are the counts that counting gives."""
    async with store_at(path) as store:
        for number in range(5):
            run, write = new_run(str(number))
            store.write(write)
            if number:
                store.write(started(run, 1))
            if number > 1:
                await store.write(answered(run, 2, 200 if number > 2 else 410)).wait()
    run_counts = rows(path, "SELECT state, runs FROM tally WHERE runs != 0 ORDER BY state")
    counted = rows(path, "SELECT state, count(*) FROM run GROUP BY state ORDER BY state")
    assert run_counts == counted == [("completed", 2), ("failed", 1), ("running", 2)]


async def test_the_same_identity_is_refused_by_the_file(path: Path) -> None:
    """Should the engine ever open a second run for a key, the commit fails: never two runs."""
    with pytest.RaisesGroup(sqlite3.IntegrityError, flatten_subgroups=True):
        async with store_at(path) as store:
            store.write(new_run("k")[1])
            await store.writer.wait_rows()
            run, write = new_run("k")
            run.id = "another"
            write.change.run.steps["another"] = write.change.run.steps["Rk"]
            store.write(write)
            await store.writer.wait_rows()
    assert rows(path, "SELECT id FROM run") == [("Rk",)]


async def test_an_outcome_cannot_be_changed(path: Path) -> None:
    """The file itself refuses to rewrite an outcome."""
    async with store_at(path) as store:
        run, write = new_run("k")
        store.write(write)
        store.write(started(run, 1))
        store.write(answered(run, 2))
        await store.writer.wait_rows()
        with pytest.raises(sqlite3.IntegrityError, match="written once"):
            change_file(path, "UPDATE outcome SET http_status = 500")
    assert rows(path, "SELECT state, http_status FROM outcome") == [("completed", 200)]


async def waits_for_ever(receipt: Batch, returned: list[Any]) -> None:
    """A caller of the engine: it goes on only when its write is durable."""
    await receipt.wait()
    returned.append(receipt)


async def test_a_failed_commit_acknowledges_nothing(path: Path) -> None:
    """The error stops the store, `on_failure` is called first, and nobody's wait returns.

    Neither that of the batch which failed nor that of the one gathering behind it; and nothing of
    either is in the file afterwards.
    """
    failed: list[Any] = []
    returned: list[Any] = []
    gate = Gate()
    with pytest.RaisesGroup(
        pytest.RaisesExc(sqlite3.IntegrityError, match="no"), flatten_subgroups=True
    ):
        async with store_at(
            path, write_offload=gate, on_failure=lambda: failed.append(list(returned))
        ) as store:
            change_file(path, "CREATE TRIGGER no BEFORE INSERT ON journal BEGIN"
                        " SELECT RAISE(ABORT, 'no') WHERE new.events > 2; END")  # fmt: skip
            async with trio.open_nursery() as nursery:
                receipts = []
                for number in range(4):
                    write = new_run(str(number))[1]
                    write.then = partial(returned.append, number)
                    receipts.append(store.write(write))
                    nursery.start_soon(waits_for_ever, receipts[-1], returned)
                    if number == 1:
                        await gate.arrived.wait()
                assert receipts[0] is receipts[1] is not receipts[2]
                gate.open.set()
    assert failed == [[]]
    assert returned == []
    assert not any(receipt.durable for receipt in receipts)
    assert recorded(path) == []
    change_file(path, "DROP TRIGGER no")
    async with store_at(path) as store:
        await store.write(new_run("1")[1]).wait()
    assert recorded(path) == ["R1", "R1"]


@pytest.mark.parametrize("commits", [False, True], ids=["not committed", "committed unnoticed"])
async def test_a_commit_that_reports_an_error_is_unknown(path: Path, commits: bool) -> None:
    """After an error nothing is acknowledged, whether the rows are there at the next start or not.

    The writer neither tries again nor takes back: at the next start the file says what is true.
    """
    failed = []
    async with store_at(path) as store:
        connection = Failing(store._connection, commits=commits)
        sink = SqliteSink(
            connection,  # type: ignore[arg-type]
            store.wal,
            inline,
            on_failure=lambda: failed.append(True),
        )
        writer = Writer(
            sink,
            Availability(FileWords(path)),
            owner="test",
            epoch=1,
            sequence=0,
            last_at=0,
            run_counts={},
        )
        connection.armed = True
        receipt = writer.write(new_run("k")[1])
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            await writer.run()
        assert not receipt.durable
        assert (failed, writer.commits, writer.durable_sequence) == ([True], 0, 0)
    assert len(recorded(path)) == 2 * commits
    async with store_at(path) as store:
        found = store.find_run("shop", "w", "k")
        assert (found is not None) == commits
