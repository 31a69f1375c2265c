"""Rows of one run that cannot be written, as somebody changed them by hand: the run stops alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from tests.runs.stopped_runs import ASYNC, refused, row_of
from tests.store.support import change_file, rows
from tests.world import World, ok, recorded, still_open, world

BACK = "UPDATE step SET attempts = 1 WHERE id = '{run}'"
AGAIN = (
    "INSERT INTO outcome (step_id, generation, state, attempts, answer_attempt, ended_at)"
    " VALUES ('{run}', 1, 'completed', 1, 1, 5)"
)
PROGRESS = "UPDATE run SET progress = 9223372036854775807 WHERE id = '{run}'"
REVISION = "UPDATE run SET rev = 9223372036854775807 WHERE id = '{run}'"
FORGOTTEN = "UPDATE step SET attempts = 0 WHERE id = '{run}'"
CASES = [
    pytest.param(BACK, False, id="attempts set back, fails on"),
    pytest.param(BACK, True, id="attempts set back, completes"),
    pytest.param(FORGOTTEN, False, id="attempts forgotten"),
    pytest.param(AGAIN, True, id="an outcome that was recorded"),
    pytest.param(PROGRESS, True, id="a count beyond all bounds"),
    pytest.param(REVISION, False, id="a revision beyond all bounds"),
]


class Failing:
    """An endpoint that fails for the run `bad` until it is mended, and answers everybody else."""

    def __init__(self) -> None:
        self.mended = False
        self.bad_calls = 0

    async def __call__(self, call: Invocation) -> Outcome:
        self.bad_calls += call.idempotency_key == "bad"
        if call.idempotency_key == "bad" and not self.mended:
            return Answered(500, b"no", "text/plain")
        await trio.sleep(0.1)
        return ok()


async def damaged(path: Path, app: Failing, damage: str) -> str:
    """The id of a run that had three attempts and backs off when it is damaged."""
    async with world(path, app) as it:
        run_id = still_open(await it.post(key="bad", wait=ASYNC)).run_id
        while app.bad_calls < 3:
            await trio.sleep(0.1)
        await trio.sleep(2)
    assert rows(path, "SELECT attempts FROM step") == [(3,)]
    change_file(path, damage.format(run=run_id))
    return run_id


async def is_stopped(it: World, run_id: str) -> None:
    """It is paused, stuck and says what was wrong; posts are told; the counts are the rows'."""
    row = await row_of(it, run_id)
    assert (row.state, row.pause_reason) == (StepState.PAUSED, PauseReason.ENGINE_ERROR)
    assert row.cause is not None
    assert (await refused(it)).problem is Problem.ENGINE_ERROR
    counted = {state: runs for state, runs in it.store.writer.run_counts.items() if runs}
    assert counted == {"paused": 1, "completed": 1}
    assert counted == dict(rows(it.store.path, "SELECT state, runs FROM tally WHERE runs != 0"))


@pytest.mark.parametrize(("damage", "mended"), CASES)
async def test_rows_that_cannot_be_written_stop_their_run_alone(
    autojump_clock, path: Path, damage: str, *, mended: bool
) -> None:
    """The engine lives, others go on, and after a restart all is as it was."""
    app = Failing()
    run_id = await damaged(path, app, damage)
    app.mended = mended
    async with world(path, app, strict=False) as it:
        await trio.sleep(60)
        assert recorded(await it.post(key="good")).step.state is StepState.COMPLETED
        await trio.sleep(2)
        before = await row_of(it, run_id)
        if before.state != StepState.COMPLETED:
            await is_stopped(it, run_id)
        calls = app.bad_calls
    async with world(path, app, strict=False) as it:
        await trio.sleep(300)
        assert await row_of(it, run_id) == before
        assert app.bad_calls == calls
        if before.state == StepState.COMPLETED:
            assert recorded(await it.post(key="bad")).step.state is StepState.COMPLETED
            return
        await it.act(run_id, Action.CANCEL)
        assert (await refused(it)).problem is Problem.RUN_CANCELLED
        await trio.sleep(2)
        assert (await row_of(it, run_id)).state == StepState.CANCELLED
        assert recorded(await it.post(key="other")).step.state is StepState.COMPLETED


@pytest.mark.parametrize("action", [Action.RETRY, Action.RESUME])
async def test_counts_behind_the_attempts_are_told_and_mended_by_hand(
    autojump_clock, path: Path, action: Action
) -> None:
    """`retry` says what does not fit instead of stopping again; set right it goes on."""
    app = Failing()
    run_id = await damaged(path, app, BACK)
    async with world(path, app, strict=False) as it:
        await trio.sleep(60)
        with pytest.raises(Refused) as told:
            await it.act(run_id, action)
        assert f"step {run_id} has 2 attempts, and attempt 3 is recorded" in str(
            told.value.members["error"]
        )
        await trio.sleep(2)
        assert (await row_of(it, run_id)).pause_reason == PauseReason.ENGINE_ERROR
    change_file(path, f"UPDATE step SET attempts = 3 WHERE id = '{run_id}'")
    app.mended = True
    async with world(path, app, strict=False) as it:
        await it.act(run_id, action)
        assert recorded(await it.post(key="bad")).step.state is StepState.COMPLETED


async def test_an_error_that_is_not_of_one_run_ends_the_engine(autojump_clock, path: Path) -> None:
    """The journal itself holds what was to be written: as before."""
    app = Failing()
    journal_has_it = pytest.RaisesExc(sqlite3.IntegrityError, match="UNIQUE.*journal.seq")
    with pytest.RaisesGroup(journal_has_it, flatten_subgroups=True):
        async with world(path, app, strict=False) as it:
            change_file(
                path,
                "INSERT INTO journal (seq, events, at, size, packed) VALUES (1, 1, 1, 0, x'00')",
            )
            await it.post(key="good")
