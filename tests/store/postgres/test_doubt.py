"""What only a real server does: sessions that end while they wait, crashes, locks of the stopped.

What is told is so, whatever it does. (`tests/store/contract/test_doubt.py` asks the rest.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

import pytest
import trio

from engine.core.model import Run
from engine.ports.store import StoreStopped
from engine.store.postgres.wire import connect, place_of
from engine.store.tables.store import TableStore
from tests.postgres import Postgres
from tests.store.contract.adapters import as_recorded, crashing, runs_of, told
from tests.store.contract.on_server import OnServer
from tests.store.contract.walk import walk
from tests.store.support import ACT, answered, new_run, started

LOOK_S = 0.01


@pytest.fixture
def shared(postgres: Postgres) -> OnServer:
    """A store with nothing in it yet."""
    return OnServer(postgres)


@contextmanager
def waiting_for_a_standby(server: Postgres) -> Iterator[None]:
    """There is none, and every durable statement waits for it."""
    try:
        _set(server, "synchronous_standby_names = 'nobody'")
        yield
    finally:
        _set(server, "synchronous_standby_names = ''")


def _set(server: Postgres, setting: str) -> None:
    server.sql(f"ALTER SYSTEM SET {setting}")
    server.sql("SELECT pg_reload_conf()")


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    with trio.fail_after(30):
        while not holds():
            await trio.sleep(LOOK_S)


async def until_one_waits(shared: OnServer) -> None:
    """For the standby, with what it wrote on its own disk."""
    await until(lambda: shared.sql(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'SyncRep'"
    ) == "1")  # fmt: skip


@asynccontextmanager
async def ending(shared: OnServer, why: str) -> AsyncIterator[TableStore]:
    """A life that the store ends, for this reason."""
    with pytest.RaisesGroup(pytest.RaisesExc(StoreStopped, match=why), flatten_subgroups=True):
        async with shared.life() as store:
            yield store
            await trio.sleep_forever()


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_what_can_be_seen_is_told_when_it_lasts(shared: OnServer, end: str) -> None:
    """Its session was ended while it waited for the standby, or its wait was cancelled, and then it
    was told of success: everybody sees it, and a fail-over would take it away."""
    async with shared.life() as store:
        await store.write(new_run("a")[1]).wait()
        with waiting_for_a_standby(shared.server):
            receipt = store.write(new_run("b")[1])
            await until_one_waits(shared)
            assert shared.sql("SELECT count(*) FROM journal") == "1"
            shared.server.sql(
                f"SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            )
            await until(lambda: shared.sql("SELECT count(*) FROM journal") == "2")
            await until_one_waits(shared)  # its own take
            assert (receipt.durable, runs_of(await told(store))) == (False, ["Ra", "Ra"])
        await receipt.wait()
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb"]
    assert shared.sql("SELECT count(*) FROM journal") == "2"


async def test_what_was_acknowledged_outlives_a_crash_whatever_the_default(
    shared: OnServer,
) -> None:
    """Of the database, which may be to answer before anything is on a disk."""
    shared.server.sql(f"ALTER DATABASE {shared.name} SET synchronous_commit = off")
    async with crashing(shared) as store:
        await store.write(new_run("a")[1]).wait()
        shared.server.restart()
        store.audit(ACT)
        await store.write(new_run("b")[1]).wait()
        shared.server.restart()
    async with shared.life() as store:
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb"]
        assert await store.audited_before(ACT.at + 1) == 1


async def test_a_restart_costs_nobody_anything(shared: OnServer) -> None:
    """All that waits comes when the server is back, once, and what reads waits too."""
    async with shared.life() as store:
        await store.write(new_run("a")[1]).wait()
        shared.server.stop()
        receipts = [store.write(new_run("b")[1])]
        assert await receipts[0].wait_unless_away() is False
        assert store.away is not None
        assert f"postgresql://atomic@/{shared.name}?host=" in store.away.why
        receipts.append(store.write(new_run("c")[1]))
        found: list[int] = []
        async with trio.open_nursery() as nursery:

            async def look() -> None:
                found.append(len(await store.load_runs(["Ra"], 0)))

            nursery.start_soon(look)
            await trio.sleep(0.2)
            assert not found
            shared.server.start()
            for receipt in receipts:
                await receipt.wait()
        assert found == [1]
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb", "Rc", "Rc"]


async def test_lost_rows_are_made_again(shared: OnServer) -> None:
    """Rows wait for no disk: a crash of the server takes the last of them, and no event. Nobody is
    told that a run is not there, or how it was before."""
    async with shared.life() as store:
        run, write = new_run("k")
        await store.write(write).wait()
        await store.writer.wait_rows()
        await store.write(started(run, 1)).wait()
        await store.writer.wait_rows()
        shared.server.restart()
        assert shared.sql("SELECT state FROM step") != "running", "nothing was lost"
        (found,) = await store.load_runs([run.id], 0)
        assert as_recorded(found) == as_recorded(run)
        await store.write(answered(run, 2)).wait()
        await store.writer.wait_rows()
        (found,) = await store.load_runs([run.id], 0)
        assert as_recorded(found) == as_recorded(run)


async def test_lost_history_ends_the_engine(shared: OnServer) -> None:
    """The database lacks an event that it had acknowledged, and the next one is not put behind the
    gap."""
    async with ending(shared, "ends with event 2, and event 4 was acknowledged") as store:
        await store.write(new_run("a")[1]).wait()
        await store.write(new_run("b")[1]).wait()
        shared.sql("DELETE FROM journal WHERE seq > 2")
        store.write(new_run("c")[1])
    async with shared.life() as store:
        assert runs_of(await told(store)) == ["Ra", "Ra"]
        await store.write(new_run("d")[1]).wait()
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rd", "Rd"]


@pytest.mark.parametrize("table", ["journal", "step"])
async def test_a_database_that_was_changed_ends_the_engine(shared: OnServer, table: str) -> None:
    """With the reason: it would not help to ask again."""
    async with ending(shared, f'relation "{table}" does not exist') as store:
        await store.write(new_run("a")[1]).wait()
        await store.writer.wait_rows()
        shared.sql(f"ALTER TABLE {table} RENAME TO elsewhere")
        store.write(new_run("b")[1])
        await store.writer.wait_rows()


@pytest.mark.slow
async def test_who_was_stopped_in_the_middle_is_ended(shared: OnServer) -> None:
    """It holds the seat's row, and its client says nothing more. Whoever takes the seat waits for a
    while, and not for ever."""
    async with crashing(shared) as store:
        await store.write(new_run("a")[1]).wait()
    stopped = (await connect(place_of(shared.url))).into_thread()
    stopped.script("BEGIN; SELECT FROM seat FOR SHARE")
    async with shared.life() as store:
        await store.write(new_run("b")[1]).wait()
        assert runs_of(await told(store)) == ["Ra", "Ra", "Rb", "Rb"]
    stopped.close()


async def test_rows_that_cannot_be_kept_stop_their_run_alone(shared: OnServer) -> None:
    """Those of others that were to be written with them are; and the next ones of all."""
    stopped: list[str] = []

    def stop(run: Run, error: Exception) -> bool:
        stopped.append(run.id)
        return True

    async with shared.life() as store:
        store.tell_unwritable(stop)
        runs = {}
        for key in "abc":
            runs[key], write = new_run(key)
            store.write(write)
        await store.writer.wait_rows()
        shared.sql("INSERT INTO attempt SELECT 'Rb', 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL,"
                   " NULL, 0, NULL")  # fmt: skip
        for key in "abc":
            store.write(started(runs[key], 1))
        await store.writer.wait_rows()
        assert stopped == ["Rb"]
        assert shared.sql("SELECT id, state FROM step ORDER BY id") == (
            "Ra|running\nRb|running\nRc|running"
        )
        for key in "ac":
            store.write(answered(runs[key], 2))
        await store.writer.wait_rows()
        found = await store.load_runs(["Ra", "Rc"], 0)
        assert list(map(as_recorded, found)) == [as_recorded(runs[key]) for key in "ac"]


async def test_nothing_is_left_open_between_two_commits(shared: OnServer) -> None:
    """No transaction, no lock, no setting: any pooler may stand between."""
    async with shared.life() as store:
        store.audit(ACT)
        await store.write(new_run("a")[1]).wait()
        await store.writer.wait_rows()
        await store.load_runs(["Ra"], 0)
        states = shared.sql(
            "SELECT DISTINCT state FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert states == "idle"
        assert shared.sql("SELECT count(*) FROM pg_locks WHERE relation = 'seat'::regclass") == "0"
        assert shared.sql("SELECT count(*) FROM pg_prepared_statements") == "0"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_rows_are_as_events_say_whatever_happened(shared: OnServer, seed: int) -> None:
    """Crashes of the server, ended sessions, statements lost, late and unanswered, at any moment:
    no event is lost or there twice, and rows and counts are what they come to."""
    troubles = (shared.server.restart, *[shared.end_sessions] * 3)
    async with shared.life() as store:
        await walk(store, shared, Random(seed), troubles, waits_s=(0, 0, 0.01, 0.05, 0.3))
