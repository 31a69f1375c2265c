"""What is written: whole, in order, durable when it was acknowledged, and there once."""

from __future__ import annotations

from functools import partial

import trio

from engine.core.events import Actor
from engine.ports.audit import AuditQuery
from engine.ports.jobs import CameTo, JobRun
from engine.ports.registry import Registered
from engine.ports.store import Stopped
from engine.store.tables.views.jobs import TableJobs
from tests.store.contract.adapters import Adapter, crashing, told, who_has
from tests.store.support import ACT, HOLD, a_job, answered, new_run, retried, started, the_run

ADA = Actor("ada")


async def test_what_was_acknowledged_is_there_after_a_crash(adapter: Adapter) -> None:
    """Every event of it, in the order of the writes, with numbers that have no gap."""
    async with crashing(adapter) as store:
        for key in "abc":
            await store.write(new_run(key)[1]).wait()
    async with adapter.life() as store:
        expected = [(seq, f"R{key}") for seq, key in enumerate("aabbcc", 1)]
        assert await told(store) == expected
        await store.write(new_run("d")[1]).wait()
        assert (await told(store))[6:] == [(7, "Rd"), (8, "Rd")]


async def test_what_waits_for_its_commit_is_told_to_nobody(adapter: Adapter) -> None:
    """`then` is called when it is durable, and its events can be read."""
    called: list[str] = []
    async with adapter.life() as store:
        write = new_run("k")[1]
        write.then = partial(called.append, "k")
        receipt = store.write(write)
        assert (receipt.durable, called) == (False, [])
        assert not await told(store) or receipt.durable  # to look may take as long as to commit
        await receipt.wait()
        assert (receipt.durable, called, len(await told(store))) == (True, ["k"], 2)


async def test_an_identity_is_one_runs(adapter: Adapter) -> None:
    """Found at once, when its rows were written, and after a crash; and no other by it."""
    async with crashing(adapter) as store:
        assert await who_has(store, "k") is None
        receipt = store.write(new_run("k")[1])
        assert await who_has(store, "k") == "Rk"
        await receipt.wait()
        assert await who_has(store, "k") == "Rk"
        await store.writer.wait_rows()
        assert await who_has(store, "k") == "Rk"
        await store.write(new_run("other")[1]).wait()
    async with adapter.life() as store:
        assert (await who_has(store, "k"), await who_has(store, "other")) == ("Rk", "Rother")
        assert await who_has(store, "K") is None
        assert await who_has(store, "k", client="cafe") is None


async def test_each_owner_has_an_epoch_above_all_before(adapter: Adapter) -> None:
    """Tokens of an attempt name it: one that is older is known as such. The rest stays."""
    epochs, names = [], set()
    for _ in range(3):
        async with adapter.life() as store:
            epochs.append(store.epoch)
            names.add((store.file_id, store.secret))
    assert epochs == sorted(set(epochs))
    assert len(names) == 1


async def test_numbers_and_times_go_on_where_they_ended(adapter: Adapter) -> None:
    """The last event's number, and the latest time of all."""
    async with crashing(adapter) as store:
        run, write = new_run("k", at=5)
        store.write(write)
        await store.write(started(run, 9)).wait()
        last = store.last_seq
    async with adapter.life() as store:
        assert (store.last_seq, store.last_at) == (last, 9)


async def test_what_people_set_holds_from_then_on(adapter: Adapter) -> None:
    """The later of two of a name, and not what was taken away; who did it is kept beside."""
    async with crashing(adapter) as store:
        store.register(Registered("client", "shop", b"1", 1, "ada"))
        store.register(HOLD)
        store.register(Registered("client", "shop", b"2", 2, "bob"))
        store.audit(ACT)
        await store.register(Registered("hold", HOLD.name, None, 3, "ada")).wait()
    async with adapter.life() as store:
        assert store.registered == (Registered("client", "shop", b"2", 2, "bob"),)
        assert await store.audited(AuditQuery()) == [ACT]
        assert await store.audited_before(ACT.at + 1) == 1
        assert await store.audited_before(ACT.at) == 0
        await store.unaudit(ACT.id).wait()
        assert await store.audited(AuditQuery()) == []


async def test_a_stop_is_recorded_and_taken_back(adapter: Adapter) -> None:
    """A run that a bug stopped is told as such after a crash, until it is let go on or ended."""
    async with crashing(adapter) as store:
        for key in "ab":
            run, write = new_run(key)
            await store.write(write).wait()
            stopped = Stopped(run.id, "shop", "running", 1, "pending", 1, "a bug")
            store.withhold(run.id)
            await store.stop(stopped, 2).wait()
    async with crashing(adapter) as store:
        for found in await store.load_runs(["Ra", "Rb"], 0):
            assert isinstance(found, Stopped)
            assert (found.error, found.recorded, found.state) == ("a bug", True, "paused")
        assert (await store.read_again("Ra")).root.attempts == 0
        at_a, at_b = await store.load_runs(["Ra", "Rb"], 0)
        assert isinstance(at_a, Stopped)
        assert isinstance(at_b, Stopped)
        await store.let_go_on(at_a, 3, "resume", ADA, None).wait()
        await store.end_stopped(at_b, 3, ADA, "gone").wait()
    async with adapter.life() as store:
        at_a, at_b = await store.load_runs(["Ra", "Rb"], 0)
        assert the_run(at_a).engine_error == ""
        assert (isinstance(at_b, Stopped) and at_b.state) == "cancelled"


async def test_a_job_is_recorded_with_what_it_did(adapter: Adapter) -> None:
    """How it stands, and the action on a run, with one commit."""
    async with crashing(adapter) as store:
        run, write = new_run("k")
        await store.write(write).wait()
        jobs = TableJobs(store)
        jobs.add_runs("J1", [JobRun(run.id, None), JobRun("Rother", 5)])
        await jobs.record(a_job("J1")).wait()
        store.write(started(run, 1))
        store.write(answered(run, 2, 410))
        store.write(retried(run, 3))
        await jobs.record(a_job("J1"), CameTo(run.id, 3, 2)).wait()
    async with adapter.life() as store:
        jobs = TableJobs(store)
        assert await jobs.to_do("J1", "", 9) == [JobRun("Rother", 5)]
        assert the_run((await store.load_runs([run.id], 0))[0]).root.generation == 2
        await jobs.forget("J1")
        assert await jobs.job("J1") is None


async def test_what_was_refused_is_made_again_and_there_once(
    autojump_clock: None, adapter: Adapter
) -> None:
    """The store is away, nobody is told anything, and all that waited comes when it is back."""
    async with crashing(adapter) as store:
        await store.write(new_run("a")[1]).wait()
        adapter.refuse(True)
        receipts = [store.write(new_run("b")[1])]
        assert await receipts[0].wait_unless_away() is False
        receipts.append(store.write(new_run("c")[1]))
        await trio.sleep(0.3)
        assert (store.away is not None, any(it.durable for it in receipts)) == (True, False)
        adapter.refuse(False)
        for receipt in receipts:
            await receipt.wait()
        assert store.away is None
        assert [run_id for _, run_id in await told(store)] == ["Ra"] * 2 + ["Rb"] * 2 + ["Rc"] * 2
    async with adapter.life() as store:
        assert [run_id for _, run_id in await told(store)] == ["Ra"] * 2 + ["Rb"] * 2 + ["Rc"] * 2
