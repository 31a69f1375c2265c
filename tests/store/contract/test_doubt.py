"""A server that many share: what is told is so, whatever becomes of statements and of the server.

For adapters whose database is a server. What takes a standby and a fail-over is asked of the
model's alone; what only a real one does, of PostgreSQL's (`tests/store/postgres/test_doubt.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from engine.ports.store import Stopped, StoreStopped
from engine.store.tables.reading import run_counts
from engine.store.tables.store import TableStore
from tests.store.contract.adapters import (
    InMemory,
    Shared,
    Trouble,
    as_recorded,
    crashing,
    runs_of,
    told,
    who_has,
)
from tests.store.contract.walk import ON_THE_WAY, counted, walk
from tests.store.support import answered, new_run, started

BEFORE = {"completed": 9, "failed": 9, "cancelled": 9}


@pytest.fixture
def model() -> InMemory:
    """A server with a standby that it waits for."""
    return InMemory(has_standby=True)


async def recorded(store: TableStore, run_id: str) -> object:
    """What is recorded of a run."""
    (found,) = await store.load_runs([run_id], 0)
    return as_recorded(found)


@asynccontextmanager
async def ending(shared: Shared, why: str) -> AsyncIterator[TableStore]:
    """A life that the store ends, for this reason."""
    with pytest.RaisesGroup(pytest.RaisesExc(StoreStopped, match=why), flatten_subgroups=True):
        async with shared.life() as store:
            yield store
            await trio.sleep_forever()


@pytest.mark.parametrize("second", [None, *ON_THE_WAY])
@pytest.mark.parametrize("first", ON_THE_WAY)
async def test_a_statement_in_doubt_is_there_once(
    autojump_clock: None, shared: Shared, first: Trouble, second: Trouble | None
) -> None:
    """Whether it arrived or not, and whatever becomes of what clears the doubt; what is late comes
    to nothing."""
    async with crashing(shared) as store:
        await store.write(new_run("a")[1]).wait()
        shared.to_come.extend([first, None, second])
        await store.write(new_run("b")[1]).wait()
        await shared.bring_late()
        await store.write(new_run("c")[1]).wait()
    async with shared.life() as store:
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb", "Rc", "Rc"]


@pytest.mark.parametrize("trouble", ON_THE_WAY)
async def test_rows_in_doubt_are_written_once(
    autojump_clock: None, shared: Shared, trouble: Trouble
) -> None:
    """Also if those of before come behind those of after."""
    async with crashing(shared) as store:
        run, write = new_run("k")
        await store.write(write).wait()
        shared.to_come.append(trouble)
        await store.writer.wait_rows()
        store.write(started(run, 1))
        await store.write(answered(run, 2)).wait()
        await store.writer.wait_rows()
        await shared.bring_late()
        assert await recorded(store, run.id) == as_recorded(run)
    async with shared.life() as store:
        assert await recorded(store, run.id) == as_recorded(run)


async def test_who_waits_does_not_wait_for_rows(autojump_clock: None, model: InMemory) -> None:
    """What has happened is told when it is durable, whatever becomes of rows that go with it."""
    async with model.life() as store:
        model.database.to_come.extend([None, Trouble.LOST])
        write, began, told_at = new_run("k")[1], trio.current_time(), list[float]()
        write.then = lambda: told_at.append(trio.current_time())
        store.write(write)
        await store.writer.wait_rows()
        assert told_at == [began]
        assert trio.current_time() > began


@pytest.mark.parametrize("second", [None, *ON_THE_WAY])
@pytest.mark.parametrize("first", ON_THE_WAY)
async def test_counts_are_right_behind_a_doubt(
    autojump_clock: None, shared: Shared, first: Trouble, second: Trouble | None
) -> None:
    """How many runs a commit removed or stopped its answer says, which was lost. Others are changed
    meanwhile, and wait for a commit of their own, or for their rows."""
    async with shared.life() as store:
        for key in "abcd":
            await store.write(new_run(key)[1]).wait()
        run, write = new_run("done")
        for each in (write, started(run, 1), answered(run, 2)):
            await store.write(each).wait()
        await store.writer.wait_rows()

        async def meanwhile(key: str) -> None:
            await trio.sleep(0.001)
            await store.write(new_run(key)[1]).wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(meanwhile, "e")
            shared.to_come.extend([first, None, second])
            assert await store.expire(["Rdone"], BEFORE) in (0, 1)
        assert counted(store) == {"running": 5}
        await store.write(new_run("f")[1]).wait()
        stopped = Stopped("Ra", "shop", "running", 2, "running", 1, "a bug")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(meanwhile, "g")
            store.withhold("Ra")
            shared.to_come.extend([first, None, second])
            await store.stop(stopped, 5).wait()
        await store.writer.wait_rows()
        assert counted(store) == {"running": 6, "paused": 1}
        in_tables = await store.readers.read(run_counts)
    assert in_tables == {"running": 6, "paused": 1}


async def test_what_the_standby_lacks_is_told_to_nobody(
    autojump_clock: None, model: InMemory
) -> None:
    """Durable on one disk, and visible nowhere: acknowledged when the standby has it."""
    async with model.life() as store:
        model.database.standby_receives(False)
        receipt = store.write(new_run("k")[1])
        await trio.sleep(5)
        assert (receipt.durable, await told(store)) == (False, [])
        model.database.standby_receives(True)
        await receipt.wait()
        assert runs_of(await told(store)) == ["Rk", "Rk"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_can_be_seen_is_told_when_it_lasts(
    autojump_clock: None, model: InMemory, restarts: bool
) -> None:
    """Its session ended, or the server started anew, while it waited for the standby: everybody
    could see it, and a fail-over takes it away. It is written again then, and told once."""
    database = model.database
    async with model.life() as store:
        await store.write(new_run("a")[1]).wait()
        database.standby_receives(False)
        receipt = store.write(new_run("b")[1])
        await trio.sleep(1)
        assert database.primary.end().seq == 2
        database.restart() if restarts else database.primary.end_sessions()
        await trio.sleep(5)
        assert database.primary.end().seq == 4, "it can be seen"
        assert (receipt.durable, await told_or_nothing(store)) == (False, [])
        database.fail_over()
        database.old[-1].end_sessions()
        await receipt.wait()
        assert database.primary.end().seq == 4
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb"]


async def told_or_nothing(store: TableStore) -> list[tuple[int, str]]:
    """What is told within a while."""
    with trio.move_on_after(5):
        return (await told(store))[2:]
    return []


async def test_the_old_primary_is_not_believed(autojump_clock: None, model: InMemory) -> None:
    """It lives on with the rows of before, in the name of the same owner. What is read there is no
    answer, nor that there is no run."""
    database = model.database
    async with model.life() as store:
        run, write = new_run("k")
        await store.write(write).wait()
        await store.writer.wait_rows()
        await store.write(new_run("behind")[1]).wait()  # with it the standby has the rows
        database.fail_over()
        store.write(started(run, 1))
        await store.write(answered(run, 2)).wait()
        await store.write(new_run("new")[1]).wait()
        await store.writer.wait_rows()
        database.to_come.append(Trouble.STRAY)
        assert await recorded(store, run.id) == as_recorded(run)
        database.to_come.append(Trouble.STRAY)
        assert await who_has(store, "new") == "Rnew"


async def test_nothing_is_written_to_the_old_primary(autojump_clock: None, model: InMemory) -> None:
    """Nobody has what is written there: it is not acknowledged, and written where it lasts."""
    database = model.database
    async with model.life() as store:
        await store.write(new_run("a")[1]).wait()
        database.fail_over()
        database.to_come.append(Trouble.STRAY)
        receipt = store.write(new_run("b")[1])
        await trio.sleep(5)
        assert not receipt.durable
        database.old[-1].end_sessions()
        await receipt.wait()
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb"]
    assert database.primary.end().seq == 4


@pytest.mark.parametrize("goes_on", [True, False])
async def test_who_has_lost_the_database_writes_nothing(
    autojump_clock: None, shared: Shared, goes_on: bool
) -> None:
    """Another engine has taken it, whether that has written yet or not: the first one ends at its
    next statement, and what it had not recorded is nowhere."""
    expected = ["Ra", "Ra", "Rb", "Rb"] if goes_on else ["Ra", "Ra"]
    async with ending(shared, "taken by another engine") as first:
        await first.write(new_run("a")[1]).wait()
        async with shared.life() as second:
            if goes_on:
                await second.write(new_run("b")[1]).wait()
            assert second.epoch > first.epoch
            assert not await first.write(new_run("c")[1]).wait_unless_away()
    async with shared.life() as third:
        assert runs_of(await told(third)) == expected


async def test_lost_history_ends_the_engine(autojump_clock: None, model: InMemory) -> None:
    """A standby that lacked what was acknowledged took over: the engine goes on with nothing that
    it cannot explain, and the next start with what there is."""
    async with ending(model, "ends with event 2, and event 4 was acknowledged") as store:
        await store.write(new_run("a")[1]).wait()
        await store.write(new_run("b")[1]).wait()
        model.database.fail_over(lacks=1)
        store.write(new_run("c")[1])
    async with model.life() as store:
        assert runs_of(await told(store)) == ["Ra", "Ra"]
        await store.write(new_run("d")[1]).wait()
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rd", "Rd"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_lost_rows_are_made_again(
    autojump_clock: None, model: InMemory, restarts: bool
) -> None:
    """Rows wait for no disk: a server that starts anew, or takes over, may have lost them, and no
    event. The engine goes on: nobody is told that a run is not there, and rows that were still to
    be written are written once."""
    database = model.database
    async with model.life() as store:
        half, write = new_run("half")
        await store.write(write).wait()
        await store.writer.wait_rows()
        await store.write(started(half, 1)).wait()
        lost, write = new_run("lost")
        await store.write(write).wait()
        await store.write(started(lost, 1)).wait()
        await store.write(new_run("waits")[1]).wait()
        await store.writer.wait_rows(lost.id)
        store.write(new_run("gathers")[1])
        database.restart() if restarts else database.fail_over()
        assert await recorded(store, lost.id) == as_recorded(lost)
        await store.write(answered(half, 2)).wait()
        await store.writer.wait_rows()
        assert await recorded(store, half.id) == as_recorded(half)
        assert counted(store) == {"running": 3, "completed": 1}
        assert run_counts(database.primary.db) == counted(store)
    async with model.life() as store:
        assert counted(store) == {"running": 3, "completed": 1}


@pytest.mark.parametrize("seed", range(60))
async def test_rows_are_as_events_say_whatever_happened(
    autojump_clock: None, model: InMemory, seed: int
) -> None:
    """Servers that start anew and take over, statements lost, late and unanswered, at any moment:
    no event is lost or there twice, and rows and counts are what they come to."""
    database = model.database
    async with model.life() as store:
        await walk(store, model, Random(seed), (database.restart, database.fail_over))
