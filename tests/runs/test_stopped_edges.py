"""A stopped run: what an action says it holds for, and damage of the rows of one run."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.runs.live import LiveRun
from engine.runs.open.callers import Wait
from engine.store.tables.views.views import TableViews
from tests.runs.stopped_runs import ASYNC, App, refused, row_of, stopped_run
from tests.store.support import change_file, rows
from tests.world import recorded, still_open, world


@pytest.mark.parametrize("dry_run", [False, True])
async def test_if_rev_holds_for_a_stopped_run(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """`ifRev`: 409 `revision-changed`, and nothing is cancelled."""
    app = App()
    async with world(path, app, strict=False) as app.it:
        run_id = await stopped_run(app.it, monkeypatch)
        with pytest.raises(Refused) as told:
            await app.it.act(run_id, Action.CANCEL, if_rev=999, dry_run=dry_run)
        assert told.value.problem is Problem.REVISION_CHANGED
        assert (await row_of(app.it, run_id)).state == StepState.PAUSED


@pytest.mark.parametrize("which", ["child", "nonsense"])
async def test_cancel_of_a_step_does_not_cancel_a_stopped_run(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """`step` is not left out of account: it is refused, and nothing is cancelled."""
    app = App()
    async with world(path, app, strict=False) as app.it:
        run_id = await stopped_run(app.it, monkeypatch)
        found = await TableViews(app.it.store).tree(run_id)
        assert found is not None
        step_id = found[1][1].id if which == "child" else "nonsense"
        with pytest.raises(Refused) as told:
            await app.it.act(run_id, Action.CANCEL, step_id=step_id)
        assert told.value.problem is Problem.NOT_POSSIBLE
        assert (await row_of(app.it, run_id)).state == StepState.PAUSED


async def test_what_is_asked_of_a_run_that_is_over_while_a_request_of_it_lingers(
    autojump_clock, path: Path
) -> None:
    """It is not recorded as stopped: the refusal says what stopped it, and until when."""
    app = App()

    async def with_a_bug(call: Invocation) -> Outcome:
        if call.url.endswith("/charge"):
            await trio.sleep(5)
            raise LookupError("a bug of the engine's")
        answer = await app(call)
        await trio.sleep(30)
        return answer

    async with world(path, with_a_bug, strict=False) as app.it:
        run_id = still_open(await app.it.post(key="bad", wait=ASYNC)).run_id
        await trio.sleep(2)
        await app.it.act(run_id, Action.CANCEL)
        await trio.sleep(5)
        with pytest.raises(Refused, match="stopped this run: LookupError: a bug") as told:
            await app.it.act(run_id, Action.CANCEL)
        assert told.value.problem is Problem.ENGINE_ERROR
        assert "paused" not in told.value.detail
        assert "is read when its last request has ended" in told.value.detail
        assert "LookupError" in told.value.members["error"]
        await trio.sleep(30)
        with pytest.raises(Refused) as told:
            await app.it.act(run_id, Action.CANCEL)
        assert told.value.problem is Problem.NOT_POSSIBLE


async def test_what_is_asked_of_a_run_that_a_bug_stopped_before_anything_was_recorded(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no such run."""
    app = App()
    async with world(path, app, strict=False) as app.it:
        with monkeypatch.context() as patch:
            patch.delattr(LiveRun, "commit_post")
            run_id = (await refused(app.it)).members["runId"]
        with pytest.raises(Refused, match="There is no run") as told:
            await app.it.act(run_id, Action.CANCEL)
        assert told.value.problem is Problem.NOT_FOUND
    assert rows(path, "SELECT id FROM run") == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE run SET state = 'odd' WHERE id = '{run}'",
        "UPDATE step SET failures = 9223372036854775807, attempts = 5 WHERE run_id = '{run}'",
        "DELETE FROM step WHERE run_id = '{run}'",
        "DELETE FROM step WHERE id = '{run}'",
    ],
)
async def test_damage_of_one_run_ends_no_engine(autojump_clock, path: Path, damage: str) -> None:
    """The engine starts and lives; others go on; boards can be read; it can be cancelled."""
    app = App()
    app.takes_s = 5
    async with world(path, app) as app.it:
        run_id = still_open(await app.it.post(key="bad", wait=ASYNC)).run_id
        still_open(await app.it.post(key="good", wait=ASYNC))
        await trio.sleep(2)
    change_file(path, damage.format(run=run_id))
    async with world(path, app, strict=False) as app.it:
        it = app.it
        await trio.sleep(30)
        assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        problem = (await refused(it)).problem
        assert problem in (Problem.ENGINE_ERROR, Problem.STORE_UNAVAILABLE), problem
        await TableViews(it.store).causes(0)
        await it.act(run_id, Action.CANCEL)
        assert recorded(await it.post(key="other")).step.state is StepState.COMPLETED


@pytest.mark.parametrize("state", ["completed", "failed"])
async def test_what_is_said_of_a_run_that_has_ended_and_cannot_be_read(
    autojump_clock, path: Path, state: str
) -> None:
    """It is not paused, and no action lets it go on: posts, outcomes and actions are told how it
    ended, and what is wrong."""
    app = App()
    async with world(path, app) as app.it:
        run_id = recorded(await app.it.post(key="bad")).step.run_id
    damage = f"UPDATE run SET state = '{state}' WHERE id = '{run_id}'"
    change_file(path, damage)
    change_file(path, f"UPDATE step SET retry = 'nonsense' WHERE run_id = '{run_id}'")
    async with world(path, app, strict=False) as app.it:
        told = [await refused(app.it)]
        with pytest.raises(Refused) as found:
            await app.it.engine.outcome(run_id, Wait())
        told.append(found.value)
        for action in (Action.RETRY, Action.CANCEL):
            with pytest.raises(Refused) as found:
                await app.it.act(run_id, action)
            told.append(found.value)
        assert {it.problem for it in told} == {Problem.ENGINE_ERROR}
        for it in told:
            assert "paused" not in it.detail
            assert "stopped this run" not in it.detail
            assert f"It has ended (`{state}`)" in it.detail
            assert it.members["error"] in it.detail


@pytest.mark.parametrize("gone", ["id = '{run}'", "id LIKE '{run}-%'"])
async def test_the_tree_of_a_run_without_a_row_is_what_there_is(
    autojump_clock, path: Path, gone: str
) -> None:
    """Also of one that has ended, which nothing stops: the attempts of a step whose row was deleted
    by hand are no reason to show nothing."""
    app = App()
    async with world(path, app) as app.it:
        run_id = recorded(await app.it.post(key="good")).step.run_id
    change_file(path, f"DELETE FROM step WHERE {gone.format(run=run_id)}")
    async with world(path, app) as app.it:
        found = await TableViews(app.it.store).tree(run_id)
        assert found is not None
        (left,), attempts = found[1:]
        assert [each.step_id for each in attempts] == [left.id]
