"""What a run fails, pauses or backs off for, as lists tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.failure import FailureKind
from engine.core.model import PauseReason, Repair, Run, StepState
from engine.ports.views import Reason
from engine.store.tables.views.views import TableViews
from tests.store.shelf import a_run, a_step, fill
from tests.store.support import store_at

FAILED, PAUSED, BACKING_OFF = StepState.FAILED, StepState.PAUSED, StepState.BACKING_OFF
ANSWERED = "http-status: answered 500"
HANDLED_NOT = f"{FailureKind.UNHANDLED}: answered 500 after it was told that charge failed"


async def reason_of(path: Path, run: Run) -> Reason | None:
    await fill(path, [run])
    async with store_at(path) as store:
        found = await TableViews(store).tree(run.id)
        assert found is not None
        return found[0].reason


def charge(run_id: str, ordinal: int = 1, **members: object):
    """A step that failed and says why."""
    told = {"http_status": 402, "error": "http-status: answered 402", "excerpt": "declined"}
    told |= {"ended_at": ordinal, **members}
    return a_step(run_id, ordinal, name="charge", state=FAILED, **told)


def root(state: StepState, error: str | None = ANSWERED, **members: object):
    """The workflow, which answered 500."""
    if state is PAUSED:
        members |= {"paused_at": 5, "resumes_to": BACKING_OFF}
    if state is BACKING_OFF:
        members |= {"due_at": 9}
    if state is FAILED:
        members |= {"ended_at": 5}
    told = {"http_status": 500, "error": error, "excerpt": "Internal Server Error"}
    return a_step("01A", 0, state=state, name="order", **told | members)


async def test_a_run_that_waits_for_what_is_held_is_at_that(path: Path) -> None:
    """Not at its workflow, which was sent home: the hold of the step's host is why it waits."""
    home = "suspended: as it only waits"
    top = a_step("01A", 0, state=StepState.WAITING, name="order", error=home)
    steps = [
        a_step("01A", 1, name="reserve", state=StepState.COMPLETED, ended_at=3),
        a_step("01A", 2, name="book", state=StepState.PENDING, held_since=4),
        a_step("01A", 3, name="mail", state=StepState.PENDING),
    ]
    await fill(path, [a_run("01A", top, *steps)])
    async with store_at(path) as store:
        found = await TableViews(store).tree("01A")
    assert found is not None
    run, _ = found[:2]
    assert run.at is not None
    assert (run.state, run.at.name, run.at.state) == ("waiting", "book", "pending")
    assert run.reason is None


@pytest.mark.parametrize(
    "top",
    [
        root(FAILED, cause_id="01A-1"),
        root(PAUSED, pause_reason=PauseReason.UNHANDLED_FAILURE),
        root(BACKING_OFF, HANDLED_NOT),
    ],
    ids=["failed", "paused", "backing off"],
)
async def test_it_is_the_steps_and_not_the_workflows(path: Path, top) -> None:
    """Of a workflow that answered 500 because a step below it had failed, that step's."""
    reason = await reason_of(path, a_run("01A", top, charge("01A")))
    assert reason == Reason("01A-1", "charge", 402, "http-status: answered 402", "declined")


async def test_of_a_step_that_was_mended_since_how_it_had_failed(path: Path) -> None:
    """The run that failed because of it has failed for that, whatever was set since."""
    error = "http-status: answered 402"
    repair = Repair(2, "skip", 7, "ada", "so", was_status=402, was_error=error, was_excerpt="no")
    mended = a_step(
        "01A", 1, name="charge", state=StepState.COMPLETED, generation=2, answer_attempt=-2,
        http_status=204, ended_at=7, repairs=(repair,),
    )  # fmt: skip
    reason = await reason_of(path, a_run("01A", root(FAILED, cause_id="01A-1"), mended))
    assert reason == Reason("01A-1", "charge", 402, error, "no")


async def test_of_several_the_last_that_failed(path: Path) -> None:
    """And of that one what made it fail."""
    top = root(PAUSED, pause_reason=PauseReason.UNHANDLED_FAILURE)
    deep = charge("01A", 3, ended_at=2, excerpt="deep")
    deep.parent_id, deep.depth = "01A-2", 2
    steps = (charge("01A", 1), charge("01A", 2, ended_at=4, cause_id="01A-3"), deep)
    reason = await reason_of(path, a_run("01A", top, *steps))
    assert reason is not None
    assert (reason.step_id, reason.excerpt) == ("01A-3", "deep")


@pytest.mark.parametrize(
    ("top", "excerpt"),
    [
        (root(FAILED), "Internal Server Error"),
        (root(BACKING_OFF), "Internal Server Error"),  # it has handled the failure below
        (root(PAUSED, pause_reason=PauseReason.EXHAUSTED), "Internal Server Error"),
        (root(BACKING_OFF, "suspended: to be invoked again when a child ends"), None),
        (root(BACKING_OFF, None), None),
        (root(StepState.CANCELLED, ended_at=5), None),
        (root(StepState.COMPLETED, ended_at=5), None),
    ],
)
async def test_else_it_is_its_own_or_none(path: Path, top, excerpt: str | None) -> None:
    """Nothing is wrong with what only waits, has completed, or was cancelled."""
    reason = await reason_of(path, a_run("01A", top, charge("01A")))
    assert (reason and reason.excerpt) == excerpt


def line(ordinal: int, state: StepState, **members: object):
    """A line of a fan-out."""
    return a_step("01A", ordinal, name=f"line{ordinal}", state=state, **members)


def waits(ordinal: int, state: StepState = BACKING_OFF, **members: object):
    """A line that failed and is tried again."""
    told = {"http_status": 503, "error": "http-status: answered 503", "excerpt": "pool exhausted"}
    return line(ordinal, state, **told | {"due_at": 9} | members)


CUT = "interrupted: http-status: answered 504"
HANGS = root(StepState.RUNNING, None, excerpt=None, http_status=None)


@pytest.mark.parametrize(
    ("top", "lines", "excerpt"),
    [
        (HANGS, (waits(1), line(2, StepState.RUNNING)), "pool exhausted"),
        (root(BACKING_OFF, CUT, excerpt="nginx"), (waits(1, due_at=99),), "pool exhausted"),
        (root(BACKING_OFF, CUT, excerpt="nginx"), (line(1, StepState.RUNNING),), None),
        (root(BACKING_OFF, CUT, excerpt="nginx"), (), "nginx"),
        (HANGS, (line(1, StepState.RUNNING, error="interrupted: the engine was stopped"),), None),
        (HANGS, (line(1, StepState.RUNNING), line(2, StepState.COMPLETED, ended_at=1)), None),
        (
            root(PAUSED, None, pause_reason=PauseReason.OPERATOR, excerpt=None),
            (waits(1, PAUSED, resumes_to=BACKING_OFF, paused_at=5),),
            "pool exhausted",
        ),
    ],
)
async def test_of_a_fan_out_it_is_the_line_that_fails(
    path: Path, top, lines, excerpt: str | None
) -> None:
    """Whatever else is under way, and although a proxy cut off the workflow that waits for it."""
    run = a_run("01A", top, *lines)
    run.shown = run.state
    reason = await reason_of(path, run)
    assert (reason and reason.excerpt) == excerpt


async def test_the_failure_that_was_told_of_may_be_elsewhere(path: Path) -> None:
    """A workflow is told of a step that a nested one has recorded: it has no failed child."""
    top = root(PAUSED, pause_reason=PauseReason.UNHANDLED_FAILURE)
    nested = line(1, StepState.COMPLETED, ended_at=1)
    deep = charge("01A", 2)
    deep.parent_id, deep.depth = "01A-1", 2
    reason = await reason_of(path, a_run("01A", top, nested, deep))
    assert reason is not None
    assert reason.excerpt == "declined"


@pytest.mark.parametrize("state", [PAUSED, StepState.CANCELLED])
async def test_of_a_run_that_a_bug_stopped_it_is_what_was_wrong(
    path: Path, state: StepState
) -> None:
    """Unless it has been ended."""
    top = root(state, ended_at=None if state is PAUSED else 5)
    run = a_run("01A", top)
    run.engine_error = "AssertionError: a bug"
    reason = await reason_of(path, run)
    wanted = Reason("01A", "order", None, "AssertionError: a bug", None)
    assert reason == (wanted if state is PAUSED else None)
