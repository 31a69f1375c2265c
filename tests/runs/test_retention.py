"""Runs that ended long enough ago go; nothing else does, and no key opens a second run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.core.retry import DAY_MS
from engine.core.rules.action import Action
from engine.core.rules.retention import ACTS_AFTER_MS, Retention
from engine.jobs.retention import KEY_BYTES, Plan, Pruning
from engine.ports.caller import Invocation
from engine.ports.retention import EndedRun, Old
from engine.ports.store import Body
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.connection import SQL
from engine.telemetry.log import Log
from tests.runs.pruned import MONTH, ONCE, fill, later
from tests.store.support import change_file, rows
from tests.world import EPOCH_MS, NO_LIMIT, FakeClock, recorded, world

COUNTS = {
    "run": "SELECT count(*) FROM run",
    "step": "SELECT count(*) FROM step",
    "carried": "SELECT count(DISTINCT run_id) FROM carried",
}
END = "SELECT max(seq + events) FROM journal"


def refused_as_expired(run_id: str) -> Any:
    """The refusal of everything about this run."""

    def is_it(refused: Refused) -> bool:
        known = refused.problem is Problem.OUTCOME_EXPIRED, refused.members["runId"]
        return known == (True, run_id)

    return pytest.RaisesExc(Refused, check=is_it)


async def test_runs_of_an_age_go_and_failed_ones_stay_twice_as_long(
    autojump_clock: object, path: Path
) -> None:
    """At the limit a run stays, behind it it goes, with all its rows; the counts know."""
    ids = await fill(path, "completes", "fails")
    for days, left in (
        (29.9, {"completes", "fails"}),
        (31, {"fails"}),
        (59.9, {"fails"}),
        (61, {}),
    ):
        async with later(path, days) as at:
            await at.prune()
            there = {key for key in ids if await at.it.store.load_runs((ids[key],), 0)}
            assert there == set(left)
            runs = {state: n for state, n in at.it.store.writer.run_counts.items() if n}
            assert sum(runs.values()) == len(left)
    for table in ("run", "step", "attempt", "outcome"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)]
    assert rows(path, "SELECT key, state FROM expired ORDER BY key") == [
        ("completes", "completed"), ("fails", "failed"),
    ]  # fmt: skip
    assert rows(path, "SELECT sum(runs) FROM tally") == [(0,)]


@pytest.mark.parametrize("days", [31, 4_000])
async def test_what_has_gone_is_told_and_never_run_again(
    autojump_clock: object, path: Path, days: float
) -> None:
    """A post of its key, at its URL or another, its outcome, its step's, an action: 410 with who
    it was and when, also in later lives."""
    run_id = (await fill(path, "completes"))["completes"]
    async with later(path, 31) as at:
        await at.prune()
    async with later(path, days) as at:
        it = at.it
        for ask in (
            lambda: it.post(key="completes", retry=ONCE),
            lambda: it.post("http://app:9000/elsewhere", key="completes"),
            lambda: it.engine.outcome(run_id, NO_LIMIT),
            lambda: it.engine.outcome(f"{run_id}-ABC", NO_LIMIT),
            lambda: it.act(run_id, Action.RETRY),
        ):
            with refused_as_expired(run_id) as found:
                await ask()
        assert found.value.members["runStatus"] == "completed"
        assert found.value.members["finishedAt"] >= EPOCH_MS
        assert it.caller.calls == []


async def test_another_client_learns_nothing_of_it(autojump_clock: object, path: Path) -> None:
    """The same key is another identity; the run's id is one that there never was."""
    run_id = (await fill(path, "completes"))["completes"]
    async with later(path, 31) as at:
        await at.prune()
        other = recorded(await at.it.post(key="completes", client="pub", retry=ONCE))
        assert other.step.run_id != run_id
        gone = await at.it.engine.gone_or(run_id, Refused(Problem.NOT_FOUND, ""), only="pub")
        assert gone.problem is Problem.NOT_FOUND


async def test_open_runs_stay_whatever_their_age(autojump_clock: object, path: Path) -> None:
    """Paused, waiting for an endpoint, or with a step open below an ended root."""

    async def never(call: Invocation) -> Outcome:
        await trio.sleep_forever()
        raise AssertionError

    async with world(path, never) as it:
        with trio.move_on_after(1):
            await it.post(key="hangs")
        await trio.sleep(2)
    async with later(path, 400, handler=never) as at:
        await at.prune()
        assert rows(path, "SELECT count(*) FROM run") == [(1,)]
        assert at.pruning.runs_expired == 0


async def test_a_run_that_was_opened_again_stays(autojump_clock: object, path: Path) -> None:
    """It was found to be old, and opened again before it went: in memory, or on its way there."""
    run_id = (await fill(path, "fails"))["fails"]
    async with later(path, 90) as at:
        before = MONTH.ended_before(at.it.engine.clock.steady_ms())
        await at.it.act(run_id, Action.RETRY)
        with at.it.engine.memory.set_apart([run_id]) as at_rest:
            assert at_rest == []
        # and the store itself looks again, whoever asks it
        assert await at.it.store.expire([run_id], before) == 0
        assert await at.it.store.load_runs((run_id,), 0)


async def test_who_asks_while_a_run_goes_is_told_that_it_has_gone(
    autojump_clock: object, path: Path
) -> None:
    """The look-up found it, and then it went: no second run, no outcome without its body."""
    run_id = (await fill(path, "completes"))["completes"]
    async with later(path, 31) as at:
        store, told = at.it.store, []
        before = MONTH.ended_before(at.it.engine.clock.steady_ms())

        async def post() -> None:
            with refused_as_expired(run_id):
                await at.it.post(key="completes", retry=ONCE)
            told.append("post")

        async with trio.open_nursery() as nursery:
            with at.it.engine.memory.set_apart([run_id]) as at_rest:
                assert at_rest == [run_id]
                nursery.start_soon(post)
                await wait_all_tasks_blocked()
                assert told == []
                assert await store.expire(at_rest, before) == 1
        assert (told, at.it.caller.calls) == (["post"], [])
        assert rows(path, "SELECT count(*) FROM run") == [(0,)]


async def test_an_outcome_whose_body_has_gone_is_not_an_empty_one(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes between the read of the run and the read of its answer."""
    run_id = (await fill(path, "completes"))["completes"]
    async with later(path, 31) as at:
        store = at.it.store
        body, before = store.body, MONTH.ended_before(at.it.engine.clock.steady_ms())

        async def gone_first(*what: Any, **options: Any) -> Any:
            await store.expire([run_id], before)
            return await body(*what, **options)

        monkeypatch.setattr(store, "body", gone_first)
        with refused_as_expired(run_id):
            await at.it.engine.outcome(run_id, NO_LIMIT)


async def test_who_sets_nothing_asks_nothing_more(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no key has expired a new identity is looked for once; nothing goes or is written."""
    await fill(path, "completes")
    async with later(path, 4_000, Retention()) as at:
        monkeypatch.setitem(SQL, "find_expired", "no statement")
        monkeypatch.setattr(at.it.store, "ended_runs", None)
        recorded(await at.it.post(key="new", retry=ONCE))
        await at.pruning.run()
        with pytest.raises(Refused, match="not set"):
            at.pruning.begin("ada")
        assert at.said == []
    assert rows(path, "SELECT count(*) FROM registry") == [(0,)]


async def test_keys_are_forgotten_when_that_is_asked_for(
    autojump_clock: object, path: Path
) -> None:
    """Not before their time, counted from the run's end; then the key opens another run."""
    run_id = (await fill(path, "completes"))["completes"]
    months = Retention(30, 90)
    for days, keys in ((31, 1), (89.9, 1), (91, 0)):
        async with later(path, days, months) as at:
            await at.prune()
            assert rows(path, "SELECT count(*) FROM expired") == [(keys,)]
            if keys:
                with refused_as_expired(run_id):
                    await at.it.post(key="completes", retry=ONCE)
            else:
                assert at.pruning.keys_forgotten == 1
                assert recorded(await at.it.post(key="completes", retry=ONCE)).step.id != run_id


async def test_a_file_from_which_runs_have_gone_is_whole(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For `atomic verify`, where the journal tells of them: while their keys are there, and when
    keys were forgotten. A run that is simply not there is a fault."""
    monkeypatch.setattr(Retention, "journal_before", lambda self, now: None)
    run_id = (await fill(path, "completes", "fails"))["completes"]
    for days, retention, gone in ((31, MONTH, 1), (91, Retention(30, 60), 2)):
        async with later(path, days, retention) as at:
            await at.prune()
        found = verify(path)
        assert found.faults == []
        assert any(
            f"{gone} run{'s' * (gone > 1)} gone by retention" in it.what for it in found.checked
        )
    assert rows(path, "SELECT count(*) FROM expired") == [(0,)]
    change_file(path, "DELETE FROM registry WHERE kind = 'retention'")
    assert f"run {run_id}" in [it.place for it in verify(path).faults]


async def test_the_journal_goes_behind_what_has_gone(autojump_clock: object, path: Path) -> None:
    """As old as completed runs may be, and not before: a failed run that stays has its events and
    bodies, and can be run again; of one that has gone nothing is left but its key."""
    ids = await fill(path, "completes", "fails")
    for days, floor in ((29.9, False), (31, True)):
        async with later(path, days) as at:
            last = at.it.store.last_seq
            await at.prune()
            assert bool(at.pruning.events_removed) is floor
            assert rows(path, "SELECT floor > 0 FROM engine") == [(floor,)]
            left = {it.run_id for it in await at.it.store.readers.events(0, 1_000)}
            assert left >= set(ids.values()) or floor
            assert (await at.it.store.readers.events(last - 1, 9))[-1].seq == last
        assert verify(path).faults == []
    assert rows(path, "SELECT DISTINCT run_id FROM carried") == [(ids["fails"],)]
    ((_, said),) = at.said
    assert (said["runs"], said["events_removed"]) == (1, at.pruning.events_removed)
    async with later(path, 32) as at:
        payload = await at.it.store.body(ids["fails"], 1, answer=False)
        assert isinstance(payload, Body)
        await at.it.act(ids["fails"], Action.RETRY)
        await trio.sleep(5)
    assert verify(path).faults == []
    async with later(path, 93) as at:
        await at.prune()
    assert rows(path, "SELECT count(*) FROM carried") == [(0,)]
    assert verify(path).faults == []


async def test_a_shorter_time_acts_an_hour_after_it_was_set(
    autojump_clock: object, path: Path
) -> None:
    """The log says what will go; a restart neither acts sooner nor begins the hour anew."""
    await fill(path, "completes", "fails")
    async with later(path, 31, Retention(40)) as at:  # the first, and nothing is so old
        await trio.sleep(0.1)
    minutes = 60_000 / DAY_MS
    for start, retention, waits_ms in (
        (31, MONTH, ACTS_AFTER_MS),
        (31 + 20 * minutes, MONTH, ACTS_AFTER_MS - 20 * 60_000),
        (31 + 30 * minutes, Retention(60), ACTS_AFTER_MS - 30 * 60_000),  # longer
        (31 + 40 * minutes, MONTH, ACTS_AFTER_MS),
    ):
        async with later(path, start, retention) as at, trio.open_nursery() as nursery:
            now = at.it.engine.clock.steady_ms()
            assert at.pruning.acts_at - now == pytest.approx(waits_ms, abs=2_000)
            nursery.start_soon(at.pruning.run)
            await trio.sleep(1)
            events = [(name, values["runs_that_go"]) for name, values in at.said]
            assert events == [("retention-set", 0 if retention.days == 60 else 1)]
            assert rows(path, "SELECT count(*) FROM expired") == [(0,)]
            at.pruning.close()
    async with later(path, 31 + 101 * minutes) as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.pruning.run)
        await trio.sleep(5)
        assert rows(path, "SELECT key FROM expired") == [("completes",)]
        assert [name for name, _ in at.said] == ["runs-expired"]
        at.pruning.close()


async def test_a_dry_run_says_what_would_go_and_removes_nothing(
    autojump_clock: object, path: Path
) -> None:
    """By state, under the setting or another one."""
    await fill(path, "completes", "fails")
    async with later(path, 61, Retention()) as at:
        plan = await at.pruning.plan(Retention(30, 60))
        assert (plan.runs, plan.keys) == ({"completed": 1, "failed": 1, "cancelled": 0}, 0)
        assert (await at.pruning.plan(Retention(40))).runs["failed"] == 0
        assert (await at.pruning.plan(Retention())).runs == {}
    assert rows(path, "SELECT count(*) FROM run") == [(2,)]


async def test_what_a_dry_run_says_is_what_goes_and_what_stays(
    autojump_clock: object, path: Path
) -> None:
    """Runs, steps, events and what is carried on to the letter, bytes about; an engine that has
    nothing to remove says so."""
    await fill(path, *(f"old-{n}" for n in range(150)), "fails")
    async with later(path, 31) as at:
        recorded(await at.it.post(key="new", retry=ONCE))
        await trio.sleep(5)
        plan, used = await at.pruning.plan(MONTH), await at.it.store.bytes_used()
        before = {table: rows(path, query)[0][0] for table, query in COUNTS.items()}
        assert (plan.runs_go, before["run"]) == (150, 152)
        await at.prune()
        left = {table: rows(path, query)[0][0] for table, query in COUNTS.items()}
        assert (at.pruning.runs_expired, at.pruning.events_removed) == (150, plan.old.events)
        (told, under_way) = (at.pruning.last, at.pruning.under_way)
        assert under_way is None
        assert told is not None
        assert (told.runs, told.keys, told.events, told.error) == (150, 0, plan.old.events, None)
        assert plan.steps == before["step"] - left["step"]
        assert plan.old.runs + plan.old.runs_behind - plan.runs_go == left["run"] == 2
        assert plan.old.runs - plan.runs_go == left["carried"] == 1
        first = rows(path, "SELECT floor FROM engine")[0][0] + 1
        assert plan.old.events_behind == rows(path, END)[0][0] - first
        freed = used - await at.it.store.bytes_used()
        assert 0.5 < plan.bytes_about / freed < 2
        again = await at.pruning.plan(MONTH)
        assert (again.runs_go, again.old.events, again.steps) == (0, 0, 0)


class Rows:
    """A store of which nothing is asked but to remove runs, which takes a tenth of a second."""

    registered, last_at = (), 0

    def __init__(self, *steps: int) -> None:
        self.runs = [EndedRun(f"R{n}", count) for n, count in enumerate(steps)]
        self.went: list[tuple[float, int]] = []
        """When, and how many."""

    async def ended_runs(self, state: str, *where: Any) -> list[EndedRun]:
        """All on one page, all completed."""
        return [] if where[2] or state != "completed" else self.runs

    async def expire(self, run_ids: list[str], before: Any, now: int) -> int:
        self.went.append((trio.current_time(), len(run_ids)))
        await trio.sleep(0.1)
        return len(run_ids)

    async def cut_journal(self, before: int) -> int:
        """There is none."""
        return 0

    def register(self, entry: Any) -> None:
        """Whatever it is."""

    def set_apart(self, run_ids: Sequence[str]) -> AbstractContextManager[Sequence[str]]:
        """Nobody has any of them."""
        return nullcontext(run_ids)


@pytest.mark.parametrize(
    ("steps", "batches"),
    [((100, 100), [2]), ((100, 101), [1, 1]), ((5_000, 1, 1), [1, 2]), ((1,) * 201, [200, 1])],
)
async def test_few_rows_go_with_one_commit_and_the_writer_rests(
    autojump_clock: object, steps: Sequence[int], batches: list[int]
) -> None:
    """A run of many steps goes alone; nine tenths of the time are the callers'."""
    store = Rows(*steps)
    log: Log = lambda event, **values: None  # noqa: E731
    pruning = Pruning(store, store, MONTH, FakeClock(), log, log)  # type: ignore[arg-type]
    await pruning._pass()
    assert [count for _, count in store.went] == batches
    assert [at for at, _ in store.went] == pytest.approx([float(n) for n in range(len(batches))])
    assert pruning.runs_expired == len(steps)


def test_a_plan_counts_nothing_below_none() -> None:
    """More runs may have ended, when those that go are counted, than began before by the count of a
    moment earlier."""
    plan = Plan(MONTH, {"completed": 5}, 0, old=Old(10, 1_000_000, 0, 4, 0))
    assert plan.runs_carried == 0
    assert plan.bytes_about == 1_000_000 - 5 * KEY_BYTES
    assert replace(plan, runs={"completed": 3}).runs_carried == 1
