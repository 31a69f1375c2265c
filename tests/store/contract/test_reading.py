"""What is read: rows follow what was written, and say what the events come to."""

from __future__ import annotations

from engine.core.model import Run, StepState
from engine.core.retry import DAY_MS
from engine.ports.retention import Expired
from engine.ports.store import Body, Due, Larger, Write
from engine.ports.views import RunQuery
from engine.store.tables.store import TableStore
from engine.store.tables.views.views import TableViews
from tests.store.contract.adapters import Adapter, as_recorded, crashing, who_has
from tests.store.support import answered, new_run, retried, started

BEFORE = dict.fromkeys(("completed", "failed", "cancelled"), DAY_MS)
LARGE = b'"' + b"l" * 5_000 + b'"'


async def history(store: TableStore) -> dict[str, Run]:
    """Runs of every kind: completed, opened again and called, opened."""
    runs: dict[str, Run] = {}
    for key in "abc":
        runs[key], write = new_run(key)
        await store.write(write).wait()
    for write in (started(runs["a"], 1), answered(runs["a"], 2), started(runs["b"], 1)):
        store.write(write)
    await store.write(answered(runs["b"], 2, 410)).wait()
    store.write(retried(runs["b"], 3))
    await store.write(started(runs["b"], 4)).wait()
    return runs


async def test_a_run_is_loaded_as_it_was_written(adapter: Adapter) -> None:
    """From rows that followed, and from those that a start made after a crash: the same."""
    async with crashing(adapter) as store:
        runs = await history(store)
        ids = [run.id for run in runs.values()]
        found = await store.load_runs(ids, 0)
        assert list(map(as_recorded, found)) == list(map(as_recorded, runs.values()))
        store.write(answered(runs["b"], 5))
        await store.write(started(runs["c"], 5)).wait()
    async with adapter.life() as store:
        found = await store.load_runs(["Rc", "Rnone", "Rb", "Ra"], 0)
        expected = [runs["c"], runs["b"], runs["a"]]
        assert list(map(as_recorded, found)) == list(map(as_recorded, expected))
        counts = {state: runs for state, runs in TableViews(store).counts.items() if runs}
        assert counts == {StepState.COMPLETED: 2, StepState.RUNNING: 1}


async def test_lists_have_all_that_was_written_before(adapter: Adapter) -> None:
    """Who asks for runs, or for one with its steps and attempts, waits for their rows."""
    async with adapter.life() as store:
        await history(store)
        views = TableViews(store)
        page = await views.runs(RunQuery(newest_first=False))
        assert [(it.id, it.state) for it in page.runs] == [
            ("Ra", "completed"), ("Rb", "running"), ("Rc", "running"),
        ]  # fmt: skip
        assert (page.total, page.next) == (3, None)
        tree = await views.tree("Rb")
        assert tree is not None
        assert [(it.number, it.http_status) for it in tree[2]] == [(1, 410), (2, None)]
        assert [it.state for it in await views.outcomes("Rb")] == ["failed"]


async def test_who_knows_all_events_needs_no_look(adapter: Adapter) -> None:
    """A stream stays open while the database does not answer."""
    async with adapter.life() as store:
        await history(store)
        views = TableViews(store)
        assert (await views.events(0, 1_000))[-1].seq == views.last_seq
        adapter.refuse(refuses=True)
        assert await views.events(views.last_seq, 1_000) == []
        adapter.refuse(refuses=False)


async def test_bodies_come_back_whole(adapter: Adapter) -> None:
    """Small and large ones, of payloads and answers, before and after their rows are written."""
    async with crashing(adapter) as store:
        run, write = new_run("k")
        await store.write(Write(write.change, (Body(run.id, 1, LARGE),))).wait()
        await store.write(started(run, 1)).wait()
        await store.write(answered(run, 2)).wait()

        async def found(store: TableStore) -> list[object]:
            payload = await store.body(run.id, 1, answer=False)
            answer = await store.body(run.id, 1, answer=True)
            assert isinstance(payload, Body)
            assert isinstance(answer, Body)
            return [payload.data, answer.data]

        assert await found(store) == [LARGE, b'"done"']
        await store.writer.wait_rows()
        assert await found(store) == [LARGE, b'"done"']
        assert await store.body(run.id, 2, answer=True) is None
        assert await store.body(run.id, 1, answer=False, bytes_max=5_000) == Larger(5_002)
    async with adapter.life() as store:
        assert await found(store) == [LARGE, b'"done"']


async def test_what_is_due_is_found_in_order(adapter: Adapter) -> None:
    """What was about to be called, or in flight, is due at 0, also after a crash."""
    async with crashing(adapter) as store:
        await history(store)
    async with adapter.life() as store:
        both = await store.due(Due(-1, "", ""), 0, 9)
        assert [(it.wake_at, it.run_id) for it in both] == [(0, "Rb"), (0, "Rc")]
        assert await store.due(both[0], 0, 9) == both[1:]
        assert await store.due(Due(-1, "", ""), 0, 1) == both[:1]
        assert (await store.held("", 9), await store.held_counts()) == ([], [])


async def test_what_expired_goes_and_its_key_stays(adapter: Adapter) -> None:
    """Its rows and the journal's beginning go, what others need of that does not; and a crash
    takes none of it back."""
    async with crashing(adapter) as store:
        runs = await history(store)
        await store.writer.wait_rows()
        assert await who_has(store, "a") == "Ra"
        assert await store.expired_of_key("a", None, None, 9) == []
        assert await store.expire(["Ra", "Rb"], BEFORE, 77) == 1
        assert isinstance(await who_has(store, "a"), Expired)
        while await store.cut_journal(1 << 50):
            pass
    async with adapter.life() as store:
        expired = await who_has(store, "a")
        assert isinstance(expired, Expired)
        assert (expired.run_id, expired.state) == ("Ra", "completed")
        assert expired.removed_at == 77
        assert await store.expired("Ra") == expired
        for client, workflow in ((None, None), ("shop", None), (None, "w"), ("shop", "w")):
            assert await store.expired_of_key("a", client, workflow, 9) == [expired]
        for key, client, workflow in (("b", None, None), ("a", "cafe", None), ("a", "shop", "v")):
            assert await store.expired_of_key(key, client, workflow, 9) == []
        assert await store.load_runs(["Ra"], 0) == []
        (found,) = await store.load_runs(["Rb"], 0)
        assert as_recorded(found) == as_recorded(runs["b"])
        payload = await store.body("Rb", 1, answer=False)
        assert isinstance(payload, Body)
        assert payload.data == b'{"a": 1}'
        assert await store.old_keys(DAY_MS, "~", "", 9) == ["Ra"]
        assert await store.forget_keys(["Ra"], DAY_MS) == 1
        assert await who_has(store, "a") is None
        assert await store.bytes_used() > 0
