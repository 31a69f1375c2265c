"""A file of an older engine: its migrations find out what was not recorded then, and it goes on.

`schemas/` has a file of every schema that there ever was, each made by the last commit that had it:
an engine of then was killed with a run that had completed (a workflow of one step), one that had
failed, one in back-off and one in flight. Whoever adds a schema adds the file of the one before it:
check out the commit before, start its engine, post these four (`AT_FIRST`), and kill it.
"""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from sqlite_utils import Database

from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.ports.caller import Invocation
from engine.ports.store import Body
from engine.store.sqlite.backup.backup import Pace, copy
from engine.store.sqlite.backup.restore import last_recorded, restore
from engine.store.sqlite.content import versions
from engine.store.sqlite.schema import migrations
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.verify.verify import verify
from tests.store.older import TO_M001, TO_M002
from tests.store.support import (
    ACT,
    HOLD,
    answered,
    change_file,
    new_run,
    rows,
    started,
    store_at,
    the_run,
)
from tests.world import FakeClock, ok, world

SCHEMAS = Path(__file__).with_name("schemas")
FILES = sorted(SCHEMAS.glob("m*.db.gz"))
AT_FIRST = {
    "declined-1": "failed", "down-1": "backing-off", "hangs-1": "running", "order-1": "completed",
}  # fmt: skip


async def _write(store: SqliteStore, key: str, status: int) -> None:
    run, first = new_run(key)
    for write in (first, started(run, 1), answered(run, 2, status)):
        await store.write(write).wait()
    await store.load_runs((run.id,), 0)  # its rows are written by then


@pytest.mark.parametrize("back", [TO_M002, TO_M001])
async def test_whether_a_function_is_at_work_is_told_from_its_end(
    path: Path, back: tuple[str, ...]
) -> None:
    """As truthfully as possible: a gateway's time-out was no answer, a failure was one."""
    async with store_at(path) as store:
        for key, status in (("cut", 504), ("failed", 500), ("done", 200)):
            await _write(store, key, status)
    for statement in back:
        change_file(path, statement)
    with pytest.raises(sqlite3.OperationalError, match="may_post"):
        rows(path, "SELECT may_post FROM step")
    async with store_at(path) as store:
        found = await store.load_runs(("Rcut", "Rfailed", "Rdone"), 0)
        assert [the_run(stored).root.may_post for stored in found] == [True, False, False]
    assert rows(path, "SELECT count(*) FROM run WHERE cause IS NOT NULL") == [(0,)]


def test_there_is_a_file_of_every_schema() -> None:
    """Of the last one when there is a later one."""
    with closing(Database(memory=True)) as fresh:
        known = [it.name[:4] for it in migrations.pending(fresh)]
    assert [it.name[:4] for it in FILES] in (known, known[:-1])


@pytest.mark.parametrize("packed", FILES, ids=lambda it: it.name[:4])
async def test_a_file_of_every_schema_goes_on(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, packed: Path
) -> None:
    """It is whole as it is; a start brings it up to date, what was open ends, nothing that had
    ended is called; and then it is whole, and so is what is restored from its copy."""
    path = tmp_path / "a.db"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    report = verify(path)
    assert (report.faults, report.schema[:4]) == ([], packed.name[:4])
    assert dict(rows(path, "SELECT key, state FROM run")) == AT_FIRST
    copy(path, tmp_path / "older.db", Pace(lambda done, of: None, lambda: True))
    restore(tmp_path / "older.db", tmp_path / "restored.db", [HOLD], ACT, lambda done, of: None)
    called: list[str] = []

    async def app(call: Invocation) -> Outcome:
        called.append(call.idempotency_key)
        return ok(b'{"late": true}')

    clock = FakeClock(base_ms=last_recorded(path) + 1_000)
    async with world(path, app, clock=clock) as it:
        await trio.sleep(600)
        ids = dict(rows(path, "SELECT key, id FROM run"))
        found = await it.store.load_runs(tuple(ids.values()), 0)
        runs = {run.root.spec.key: run for run in map(the_run, found)}
        assert {key: run.shown for key, run in runs.items()} == {
            "declined-1": StepState.FAILED,
            "down-1": StepState.COMPLETED,
            "hangs-1": StepState.COMPLETED,
            "order-1": StepState.COMPLETED,
        }
        assert len(runs["order-1"].steps) == 2
        body = await it.store.body(ids["order-1"], runs["order-1"].root.attempts, answer=True)
        assert isinstance(body, Body)
        assert body.data == b'{"charged": true}'
    assert sorted(called) == ["down-1", "hangs-1"]
    for file in (path, tmp_path / "restored.db"):
        if file != path:
            async with store_at(file):
                pass
        with closing(sqlite3.connect(file)) as db:
            assert versions(db)[0] == versions(db)[1]
        assert verify(file).faults == []
