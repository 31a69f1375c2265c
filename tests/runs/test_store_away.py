"""The engine while its store cannot be written: what is refused, what waits, how all goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState, run_state
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.ports.views import RunQuery
from engine.runs.open.callers import Recorded, Wait, Why
from engine.store.away import AWAY_AFTER_S
from tests.runs.away import ASYNC, Away, away_world
from tests.store.support import recorded as journal
from tests.world import ROOT, ok, recorded, still_open, taking

STEP = "http://app:9000/workflows/w/steps/"
SOON = RetryPolicy(count=3, back_off_ms=5_000, jitter=0)


async def answers(call: Invocation) -> Outcome:
    """An endpoint that answers at once."""
    return ok()


async def test_new_posts_are_refused_and_recorded_outcomes_answered(
    autojump_clock, path: Path
) -> None:
    """While nothing can be recorded nothing is taken; what is recorded is answered, by key and by
    id, also what was recorded so late that its rows could not follow."""
    async with away_world(path, answers) as (it, away):
        early = recorded(await it.post(key="early"))
        await it.store.writer.wait_rows()
        late = recorded(await it.post(key="late"))
        await away.begin()
        for number in range(50):
            refusal = await away.refused(key=f"new {number}")
        assert "Nothing was recorded" in refusal.detail
        assert "is full" in refusal.detail
        assert it.store.backlog == 3, "of the first to find out: no more is kept"
        for key, before in (("early", early), ("late", late)):
            again = recorded(await it.post(key=key))
            assert again.replayed
            assert again.step.id == before.step.id
            assert again.body is not None
            assert before.body is not None
            assert again.body.data == before.body.data
            by_id = recorded(await it.engine.outcome(before.step.id, ASYNC))
            assert by_id.step.id == before.step.id
        await away.end()
        assert not recorded(await it.post(key="new 1")).replayed
        assert [call.idempotency_key for _, call in it.caller.calls] == [
            "early", "late", "the first to find out", "new 1",
        ]  # fmt: skip


async def test_reads_go_on_and_say_nothing_untrue(autojump_clock, path: Path) -> None:
    """Lists and trees as of the last commit, also of what no rows of the tables tell yet; a run
    that waits to be recorded is not "not there"."""
    async with away_world(path, answers) as (it, away):
        early = recorded(await it.post(key="early"))
        await it.store.writer.wait_rows()
        late = recorded(await it.post(key="late"))
        await away.begin()
        listed = await away.views.runs(RunQuery())
        assert [run.id for run in listed.runs] == [late.step.id, early.step.id]
        assert (listed.total, listed.total_is_estimate) == (2, False)
        for run_id in (early.step.id, late.step.id):
            assert await away.views.tree(run_id) is not None
            assert await away.views.step(run_id) is not None
        assert await away.views.causes(0) == []
        assert (await away.views.summary(0)).runs == {"completed": 2}
        (waiting,) = it.engine.memory.live
        for read in (away.views.tree, away.views.step):
            with pytest.raises(Refused, match="waits to be recorded") as caught:
                await read(waiting)
            assert caught.value.problem is Problem.STORE_UNAVAILABLE
            assert await read("01NONE") is None
        await away.end()
        assert await away.views.tree(late.step.id) is not None


async def test_nobody_is_sent_home_meanwhile(autojump_clock, path: Path) -> None:
    """Nothing would be called in the place of who waits; once the store is back it goes home."""
    again = RetryPolicy(count=9, back_off_ms=600_000, factor=1, jitter=0)
    told: list[float] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.startswith(STEP):
            return Answered(500)
        if call.idempotency_key != "waits":
            return ok()
        try:
            await it.post(STEP + "fails", key="waits", parent_token=call.parent_token, retry=again)
        finally:
            told.append(trio.current_time())
        return ok()

    async with away_world(path, app) as (it, away):
        await it.post(key="waits", wait=ASYNC)
        await trio.sleep(5)
        await away.begin()
        await trio.sleep(120)
        assert not told
        await away.end()
        back = trio.current_time()
        await trio.sleep(45)
        assert [at > back for at in told] == [True]


async def test_waiting_callers_hang_on_and_ends_are_recorded_later(
    autojump_clock, path: Path
) -> None:
    """An attempt in flight ends while the store is away: its caller hears of it when it is back,
    from then on, and the endpoint is not called again."""
    may_answer = trio.Event()
    answered: list[tuple[str, float]] = []

    async def app(call: Invocation) -> Outcome:
        if call.idempotency_key == "waiting":
            await may_answer.wait()
        return ok(b'{"n": 1}')

    async with away_world(path, app) as (it, away), trio.open_nursery() as nursery:

        async def wait() -> None:
            result = recorded(await it.post(key="waiting"))
            assert result.body is not None
            answered.append((result.step.state, trio.current_time()))

        nursery.start_soon(wait)
        await trio.sleep(1)
        await away.begin()
        may_answer.set()
        await trio.sleep(3600)
        assert answered == []
        with pytest.raises(Refused, match="Whether this is recorded will show"):
            await it.post(key="waiting", wait=Wait(timeout_ms=1_000))
        before = trio.current_time()
        await away.end()
        await trio.sleep(0.01)
        assert [state for state, _ in answered] == ["completed"]
        assert answered[0][1] == pytest.approx(before, abs=0.3)
        assert len([1 for _, call in it.caller.calls if call.idempotency_key == "waiting"]) == 1


async def test_no_attempt_starts_until_the_store_is_back(autojump_clock, path: Path) -> None:
    """A retry that becomes due, and a step that gets a place, wait; then they leave at once."""
    back_at: list[float] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/flaky") and call.attempt == 1:
            return Answered(500)
        return ok()

    async with away_world(path, app) as (it, away), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: it.post(STEP + "flaky", key="f", retry=SOON))
        await trio.sleep(0.5)
        await away.begin()
        calls = len(it.caller.calls)
        await trio.sleep(100)
        assert len(it.caller.calls) == calls
        back_at.append(trio.current_time())
        await away.end()
        await trio.sleep(1)
        assert it.caller.times("flaky")[1] == pytest.approx(back_at[0], abs=0.3)


async def test_a_function_whose_post_is_refused_is_interrupted(autojump_clock, path: Path) -> None:
    """A workflow that cannot have its step recorded has done nothing wrong: no retry is spent."""
    disks: list[Away] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return ok()
        if call.attempt == 1:
            await trio.sleep(1)
            await disks[0].begin()
            with pytest.raises(Refused):
                await it.post(STEP + "step")
            return Answered(500)
        recorded(await it.post(STEP + "step"))
        return ok()

    async with away_world(path, app) as (it, away):
        disks.append(away)
        async with trio.open_nursery() as nursery:
            results: list[Recorded] = []

            async def run() -> None:
                results.append(recorded(await it.post(retry=RetryPolicy(count=0, jitter=0))))

            nursery.start_soon(run)
            await trio.sleep(10)
            await away.end()
        step = results[0].step
        assert (step.state, step.attempts, step.failures) == (StepState.COMPLETED, 2, 0)
        assert step.interruptions == 0  # the second attempt recorded something


async def test_a_function_that_posts_a_recorded_step_hangs_on(autojump_clock, path: Path) -> None:
    """What its run has not recorded yet is waited for, rather than refused: it would only fail."""
    disks: list[Away] = []
    heard: list[float] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/slow"):
            await trio.sleep(1.8)
        if call.url != ROOT:
            return ok()
        recorded(await it.post(STEP + "step"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: it.post(STEP + "slow"))
            await trio.sleep(0.5)
            await disks[0].begin()
            await trio.sleep(10)  # "slow" has ended, and that is not recorded
            recorded(await it.post(STEP + "step"))
            heard.append(trio.current_time())
        return ok()

    async with away_world(path, app) as (it, away):
        disks.append(away)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post)
            await trio.sleep(60)
            assert heard == []
            await away.end()
        assert len(heard) == 1
        keys = [call.idempotency_key for _, call in it.caller.calls if call.url == ROOT]
        assert keys == ["k"]


async def test_a_post_that_is_cut_before_its_end_is_recorded_costs_no_retry(
    autojump_clock, path: Path
) -> None:
    """A step has ended, and the store is away: by the record it is open, and a function whose
    client gives up was told nothing of it. `protocol.md` §4 (b)."""
    disks: list[Away] = []

    async def app(call: Invocation) -> Outcome:
        if call.url != ROOT:
            if len(it.caller.calls) == 2:
                await disks[0].begin()
            return ok()
        with trio.move_on_after(3):
            recorded(await it.post(STEP + "step", parent_token=call.parent_token))
            return ok()
        return Answered(500)

    once = RetryPolicy(count=0, on_exhausted=OnExhausted.FAIL)
    async with away_world(path, app) as (it, away):
        disks.append(away)
        root_id = still_open(await it.post(wait=ASYNC, retry=once)).run_id
        await trio.sleep(10)
        await away.end()
        root = recorded(await it.engine.outcome(root_id, Wait())).step
        assert (root.state, root.attempts) == (StepState.COMPLETED, 2)


async def test_a_post_that_was_taken_in_the_first_moment(
    autojump_clock, tmp_path: Path, path: Path
) -> None:
    """Before anybody knows, a post is taken: who does not wait is told that nobody knows, and its
    run goes on when it is recorded, once."""
    async with away_world(path, answers) as (it, away):
        away.disk.code = sqlite3.SQLITE_BUSY
        began = trio.current_time()
        with pytest.raises(Refused, match="Whether this is recorded will show") as caught:
            await it.post(key="k", wait=ASYNC)
        assert caught.value.problem is Problem.STORE_UNAVAILABLE
        assert trio.current_time() - began == pytest.approx(AWAY_AFTER_S, abs=0.3)
        assert it.caller.calls == [], "its first attempt leaves when it is recorded"
        await away.end()
        assert recorded(await it.post(key="k")).step.attempts == 1
    assert len(set(journal(tmp_path / "a.db"))) == 1


async def test_actions_are_refused_and_dry_runs_are_not(autojump_clock, path: Path) -> None:
    """What an operator changes must be recorded; what would change can be said."""

    async def fails(call: Invocation) -> Outcome:
        return Unanswered(CallError.CONNECTION_REFUSED, "nobody there")

    async with away_world(path, fails) as (it, away):
        run_id = still_open(await it.post(wait=ASYNC, retry=RetryPolicy(back_off_ms=60_000))).run_id
        await trio.sleep(1)
        await away.begin()
        run, done = await it.act(run_id, Action.CANCEL, dry_run=True)
        assert run is not None
        assert done.changed == [run.id]
        assert (done.state_before, run_state(run)) == (StepState.BACKING_OFF, StepState.CANCELLED)
        with pytest.raises(Refused, match="Nothing was recorded"):
            await it.act(run_id, Action.CANCEL)
        await away.end()
        run, _ = await it.act(run_id, Action.CANCEL)
        assert run is not None
        assert run.root.state is StepState.CANCELLED


async def test_a_drain_waits_for_no_store(autojump_clock, path: Path) -> None:
    """A stop lets its callers go and ends, whether the store comes back or not."""

    results: list[Any] = []
    async with away_world(path, taking(1_000)) as (it, away):
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                try:
                    results.append(still_open(await it.post(key="waiting")).why)
                except Refused as refused:
                    results.append(refused.problem)

            nursery.start_soon(wait)
            await trio.sleep(1)
            await away.begin()
            began = trio.current_time()
            await it.engine.drain(2.0)
            assert trio.current_time() - began == pytest.approx(2.0, abs=0.1)
        assert results == [Why.DRAINING]
        away.disk.code = None
