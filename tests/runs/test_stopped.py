"""A run that a bug stops: recorded, kept from the others, read again or ended as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.ports.views import RunQuery
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from engine.runs.open.flow import READ_AGAIN_S
from engine.store.sqlite.store import SqliteStore
from engine.store.tables.views.views import TableViews
from tests.runs.stopped_runs import ASYNC, STEP, App, a_bug, refused, row_of, stopped_run
from tests.store.support import change_file, rows
from tests.world import World, ok, recorded, still_open, world

ALL = RunQuery()


async def test_a_bug_stops_its_run_and_nothing_else(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its callers are let go, its places are free, it is paused with what was wrong and stuck; and
    another run on the same endpoints goes on."""
    app = App()
    limits = EngineLimits(in_flight_max=2, in_flight_per_host_max=2)
    async with world(path, app, limits=limits, strict=False) as app.it:
        it = app.it
        with a_bug(monkeypatch, "bad"), trio.fail_after(60):
            run_id = still_open(await it.post(key="bad")).run_id
            await trio.sleep(2)
            assert it.engine.places.at_hosts.in_flight == 0
            assert not it.engine.memory.live, "it is in the record, not in memory"
            assert (await refused(it)).problem is Problem.ENGINE_ERROR
            assert (await refused(it, url=STEP)).members["retryAfter"] > 0
            with pytest.raises(Refused, match="The engine stopped this run: LookupError"):
                await it.engine.outcome(run_id, Wait())
            assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        row = await row_of(it, run_id)
        assert (row.state, row.pause_reason) == (StepState.PAUSED, PauseReason.ENGINE_ERROR)
        assert "LookupError: a bug of the engine's (in broken, stopped_runs.py" in str(row.error)
        assert row.cause is not None
        (cause,) = await TableViews(it.store).causes(0)
        assert (cause.runs, cause.latest.id) == (1, run_id)
        assert it.store.writer.run_counts == {"paused": 1, "completed": 1, "running": 0}


async def test_a_payload_that_cannot_be_read_stops_its_run_and_nothing_else(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is damaged there: the engine goes on. When it can be read again
    `retry` lets the run go on."""
    answers = {"bad": [Answered(500)]}

    async def app(call: Invocation) -> Outcome:
        left = answers.get(call.idempotency_key)
        return left.pop() if left else ok()

    async with world(path, app, strict=False) as it:
        read = it.store.body

        async def damaged(step_id: str, *arguments: Any, **named: Any) -> Any:
            if not named["answer"]:
                raise RefusedForDamage(Problem.STORE_UNAVAILABLE, "The database is damaged here.")
            return await read(step_id, *arguments, **named)

        with monkeypatch.context() as patch, trio.fail_after(60):
            patch.setattr(it.store, "body", damaged)
            run_id = still_open(await it.post(key="bad", wait=ASYNC)).run_id
            await trio.sleep(5)
            told = await refused(it)
            assert told.problem is Problem.ENGINE_ERROR
            assert "stopped this run: Unreadable: The database is damaged here." in told.detail
            assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        assert (await row_of(it, run_id)).pause_reason == PauseReason.ENGINE_ERROR
        await it.act(run_id, Action.RETRY)
        assert recorded(await it.post(key="bad")).step.state is StepState.COMPLETED


async def test_a_payload_that_cannot_be_read_now_is_read_later(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses, and may not again: that uses up no retry and needs no operator."""
    tries: list[float] = []
    answers = [Answered(500)]

    async def app(call: Invocation) -> Outcome:
        return answers.pop() if answers else ok()

    async with world(path, app, strict=False) as it:
        read = it.store.body

        async def refuses(step_id: str, *arguments: Any, **named: Any) -> Any:
            if not named["answer"]:
                tries.append(trio.current_time())
                if len(tries) < 5:
                    raise Refused(Problem.STORE_UNAVAILABLE, "The disk says no.")
            return await read(step_id, *arguments, **named)

        monkeypatch.setattr(it.store, "body", refuses)
        with trio.fail_after(60):
            done = recorded(await it.post())
        assert (done.step.state, done.step.attempts) == (StepState.COMPLETED, 2)
        waits = [round(later - at, 3) for at, later in pairwise(tries)]
        assert waits == [READ_AGAIN_S] * 4


@pytest.mark.parametrize("action", [Action.RETRY, Action.RESUME])
async def test_comes_back_stopped_and_is_read_again(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    """After a restart it is as it was, and nothing of it is called; mended and let go on it ends,
    with the attempts that were in flight interrupted."""
    app = App()
    async with world(path, app, strict=False) as app.it:
        run_id = await stopped_run(app.it, monkeypatch)
    calls = list(app.calls)
    async with world(path, app, strict=False) as app.it:
        await trio.sleep(200)
        assert app.calls == calls
        assert (await row_of(app.it, run_id)).pause_reason == PauseReason.ENGINE_ERROR
        await app.it.act(run_id, action, dry_run=True)
        assert (await refused(app.it)).problem is Problem.ENGINE_ERROR
        await app.it.act(run_id, action)
        assert recorded(await app.it.post(key="bad")).step.state is StepState.COMPLETED
        row = await row_of(app.it, run_id)
        assert (row.state, row.cause, row.error) == (StepState.COMPLETED, None, None)
    errors = rows(path, "SELECT error FROM attempt WHERE counts_as = 'crash'")
    assert set(errors) == {("interrupted: the engine could not go on with the run",)}


async def test_cancelled_as_it_is(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cancel` needs nothing of the run to be read: posts are told so, now and after a restart."""
    app = App()
    async with world(path, app, strict=False) as app.it:
        with a_bug(monkeypatch, "bad"):
            run_id = still_open(await app.it.post(key="bad")).run_id
            await app.it.act(run_id, Action.CANCEL)
            assert (await refused(app.it)).problem is Problem.RUN_CANCELLED
            with pytest.raises(Refused, match="was cancelled"):
                await app.it.act(run_id, Action.RETRY)
    async with world(path, app, strict=False) as app.it:
        assert (await refused(app.it)).problem is Problem.RUN_CANCELLED
        row = await row_of(app.it, run_id)
        assert (row.state, row.open_steps, row.cause) == (StepState.CANCELLED, 0, None)
        assert app.it.store.writer.run_counts == {"cancelled": 1}
    assert rows(path, "SELECT DISTINCT state FROM step") == [("cancelled",)]
    assert rows(path, "SELECT count(*) FROM outcome WHERE state = 'cancelled'") == [(2,)]


@asynccontextmanager
async def lingering(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[App, World, str]]:
    """A stopped run that was let go on, and of which a request is open for 30 s yet."""
    app = App()
    app.lingers_s = 30
    async with world(path, app, strict=False) as app.it:
        with a_bug(monkeypatch, "bad"):
            run_id = still_open(await app.it.post(key="bad")).run_id
        await app.it.act(run_id, Action.RETRY)
        yield app, app.it, run_id


async def test_nothing_is_called_anew_while_an_old_request_is_open(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is let go on is read when the last request of before has ended."""
    async with lingering(path, monkeypatch) as (app, it, _):
        await trio.sleep(25)
        assert (await refused(it)).problem is Problem.ENGINE_ERROR
        assert app.calls == ["bad index 1", "bad charge 1"]
        await trio.sleep(5.5)
        assert recorded(await it.post(key="bad")).step.state is StepState.COMPLETED
        assert sorted(app.calls[2:]) == ["bad charge 2", "bad index 2"]


async def test_a_store_that_cannot_be_read_when_it_leaves_memory_ends_nothing(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for once more then, in case it was let go on: that may be refused."""
    async with lingering(path, monkeypatch) as (_, it, run_id):
        with monkeypatch.context() as patch:
            looked: list[object] = []

            async def away(*arguments: object) -> Any:
                looked.append(arguments)
                raise Refused(Problem.STORE_UNAVAILABLE, "The database cannot be read now.")

            patch.setattr(it.store, "load_runs", away)
            await trio.sleep(31)
            assert looked
            assert run_id not in it.engine.memory.live
            assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        await trio.sleep(60)
        assert recorded(await it.post(key="bad")).step.state is StepState.COMPLETED


@pytest.mark.parametrize("column", ["retry = '{'", "state = 'odd'", "delay_by = 'nobody'"])
async def test_a_run_that_cannot_be_read(autojump_clock, path: Path, column: str) -> None:
    """The engine starts, stops it, goes on with the others; it can be looked at and cancelled."""
    app = App()
    app.takes_s = 5
    async with world(path, app) as app.it:
        run_id = still_open(await app.it.post(key="bad", wait=ASYNC)).run_id
        good_id = still_open(await app.it.post(key="good", wait=ASYNC)).run_id
        await trio.sleep(2)
    change_file(path, f"UPDATE step SET {column} WHERE id = '{run_id}'")
    async with world(path, app, strict=False) as app.it:
        it = app.it
        assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        assert (await refused(it)).problem is Problem.ENGINE_ERROR
        row = await row_of(it, run_id)
        assert (row.state, row.pause_reason) == (StepState.PAUSED, PauseReason.ENGINE_ERROR)
        views = TableViews(it.store)
        assert {each.id for each in (await views.runs(ALL)).runs} == {run_id, good_id}
        assert row.at is not None
        assert (row.at.name, row.at.state, row.at.error) == ("index", "paused", row.error)
        found = await views.tree(run_id)
        assert found is not None
        _, steps, tries = found
        assert [step.state for step in steps] == [StepState.PAUSED] * 2
        assert {each.step_id for each in tries} <= {step.id for step in steps}
        with pytest.raises(Refused) as still_broken:
            await it.act(run_id, Action.RETRY)
        assert still_broken.value.problem is Problem.ENGINE_ERROR
        await it.act(run_id, Action.CANCEL)
        assert (await refused(it)).problem is Problem.RUN_CANCELLED


async def test_damage_in_the_file_leaves_the_others(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that lies where the file is damaged is left; the engine starts, the others go on."""
    app = App()
    app.takes_s = 5
    async with world(path, app) as app.it:
        bad_id = still_open(await app.it.post(key="bad", wait=ASYNC)).run_id
        still_open(await app.it.post(key="good", wait=ASYNC))
        await trio.sleep(2)
    load = SqliteStore.load_runs

    async def damaged(store, run_ids, until):
        if bad_id in run_ids:
            raise Refused(Problem.STORE_UNAVAILABLE, "The database is damaged where this is kept.")
        return await load(store, run_ids, until)

    monkeypatch.setattr(SqliteStore, "load_runs", damaged)
    async with world(path, app) as app.it:
        await trio.sleep(60)
        assert app.it.engine.ready
        assert (await refused(app.it)).problem is Problem.STORE_UNAVAILABLE
        assert recorded(await app.it.post(key="good")).step.state is StepState.COMPLETED


@pytest.mark.parametrize("after_s", [0.2, 5])
async def test_a_cancelled_run_is_not_called_again_when_a_bug_strikes_its_last_request(
    autojump_clock, path: Path, after_s: float
):
    """Also while its rows do not know yet that it was cancelled: they follow within a second."""
    calls: list[int] = []

    async def app(call: Invocation) -> Outcome:
        calls.append(call.attempt)
        if len(calls) > 1:
            await trio.sleep(after_s)
            raise ValueError("a bug")
        return Answered(500)

    async with world(path, app, strict=False) as it:
        run_id = still_open(await it.post(key="bad", wait=ASYNC)).run_id
        while len(calls) < 2:
            await trio.sleep(0.1)
        await it.act(run_id, Action.CANCEL)
        await trio.sleep(60)
        assert len(calls) == 2
        assert (await row_of(it, run_id)).state == StepState.CANCELLED
    async with world(path, app, strict=False) as it:
        await trio.sleep(60)
        assert len(calls) == 2
