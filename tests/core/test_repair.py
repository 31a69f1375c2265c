"""`set-result`, `skip`, and `rerun` with another payload: what follows, and what stays. §5."""

from __future__ import annotations

from functools import partial

import pytest

from engine.core.below import as_it_failed
from engine.core.cause import reason, stuck
from engine.core.errors import Problem, Refused
from engine.core.events import LateEnd, PayloadSet, ResultSet, RunMoved
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.repair import REPAIRS_PER_STEP_MAX, Given
from tests.core.states import WORLDS, unhandled
from tests.core.support import BAD, LETS_OUT, OK, SUSPEND, Driven, spec, started, unchanged_by

ONE_TRY = RetryPolicy(count=0)
SET, SKIP, RERUN = Action.SET_RESULT, Action.SKIP, Action.RERUN
OPEN = ("pending", "awaiting-post", "running", "pause-asked", "cancel-asked", "backing-off",
        "waiting", "paused")  # fmt: skip


@pytest.mark.parametrize("action", [SET, SKIP])
@pytest.mark.parametrize("world", [world for world in WORLDS if world != "parked"])
def test_every_step_may_be_given_a_result(world: str, action: Action) -> None:
    """An open one ends with it; one that has ended keeps its outcome, and its next generation has
    the new one. Who, why and with what stands with the step."""
    driven = WORLDS[world]()
    before = driven.step("a").generation
    driven.now = 50
    driven.repair(action, "a", Given(203, b"d", "key"), "the vendor says so")
    step = driven.step("a")
    assert step.state is StepState.COMPLETED
    assert step.generation == before + (world not in OPEN)
    assert (step.http_status, step.answer_attempt) == (203, -step.generation)
    (repair,) = step.repairs
    assert (repair.generation, repair.act, repair.at) == (step.generation, action, 50)
    assert (repair.actor, repair.reason, repair.digest) == ("ada", "the vendor says so", b"d")
    assert step.set_by == repair


def test_the_run_that_a_failure_paused_goes_on() -> None:
    """Its function is told of the result and completes; what may be its compensation is named."""
    driven = unhandled()
    driven.now = 20
    assert sorted(driven.repair(SET, "bad")) == ["bad", "root"]
    assert driven.recorded_after == ["release"]
    assert (driven.states()["root"], driven.step().failures) == ("backing-off", 0)
    driven.start()
    assert not driven.post(spec("bad", payload="other")).new
    assert driven.end("root", OK).state is StepState.COMPLETED


def test_it_stays_paused_while_another_failure_stands() -> None:
    """Told of that its function would compensate for both, before a person has come to it."""
    driven = started(retry=ONE_TRY)
    for name in ("one", "two"):
        driven.whole(spec(name, retry=ONE_TRY), outcome=BAD)
    driven.end("root", BAD)
    driven.repair(SKIP, "one")
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    driven.repair(SKIP, "two")
    assert driven.states() == {"root": "backing-off", "one": "completed", "two": "completed"}


def test_steps_between_it_and_the_paused_one_run_again() -> None:
    """They had failed because of it."""
    driven = unhandled(deep=True)
    driven.repair(SET, "worse")
    assert driven.states()["worse"] == "completed"
    assert driven.step("bad").awaiting_post
    driven.start()
    assert driven.post(spec("bad")).replaced
    driven.start("bad")
    assert not driven.post(spec("worse"), driven.parent_token("bad")).new
    driven.end("bad", OK)
    assert driven.end("root", OK).state is StepState.COMPLETED


def failed_below(*failed: str, running: bool = False) -> Driven:
    """A run that is paused: its workflow `mid` failed when these steps of it had, and `open`,
    another step of that, was cancelled with it (`running`: its call is still in flight)."""
    driven = started(retry=ONE_TRY)
    driven.begin(spec("mid", retry=ONE_TRY))
    driven.post("open", "mid")
    for name in failed:
        driven.whole(spec(name, retry=ONE_TRY), "mid", outcome=BAD)
    if running:
        driven.start("open")
    driven.end("mid", LETS_OUT)
    driven.end("root", BAD)
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    return driven


@pytest.mark.parametrize("action", [SET, Action.RETRY])
def test_what_was_cancelled_with_the_steps_between_runs_again(action: Action) -> None:
    """Else the step between would be told of that as of a failure, and compensate."""
    driven = failed_below("bad")
    assert driven.states()["open"] == "cancelled"
    driven.act(action, "bad") if action is Action.RETRY else driven.repair(action, "bad")
    driven.start()
    driven.begin(spec("mid", retry=ONE_TRY))
    for name in ("open", "bad") if action is Action.RETRY else ("open",):
        driven.whole(name, "mid")
    driven.end("mid", OK)
    assert driven.end("root", OK).state is StepState.COMPLETED
    assert set(driven.states().values()) == {"completed"}


def test_it_stays_paused_while_a_failure_beside_it_stands() -> None:
    """Below the step between, too; when that is mended it is opened, and the run goes on."""
    driven = failed_below("one", "two")
    assert driven.repair(SET, "two") == ["two"]
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    assert driven.states()["mid"] == "failed"
    assert sorted(driven.repair(SET, "one")) == ["mid", "one", "open", "root"]
    assert driven.states()["root"] == "backing-off"


def test_it_stays_paused_while_a_step_is_still_being_cancelled() -> None:
    """A moment later that stands cancelled. Retried then, it goes on."""
    driven = failed_below("bad", running=True)
    assert driven.step("open").cancel_asked
    driven.repair(SET, "bad")
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    driven.end("open", BAD)
    assert driven.states()["open"] == "cancelled"
    assert sorted(driven.act(Action.RETRY, "mid")) == ["mid", "open", "root"]


def test_a_step_between_that_has_completed_stays_so() -> None:
    """It has handled the failure; who was told of that too and is paused goes on."""
    driven = started(retry=ONE_TRY)
    driven.begin(spec("mid", retry=ONE_TRY))
    driven.whole(spec("bad", retry=ONE_TRY), "mid", outcome=BAD)
    driven.end("mid", OK)
    driven.flight().known_failure = driven.id("bad")
    driven.end("root", BAD)
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    assert sorted(driven.repair(SET, "bad")) == ["bad", "root"]
    assert (driven.states()["mid"], driven.step("mid").generation) == ("completed", 1)


def test_a_run_that_has_failed_stays_so_until_it_is_retried() -> None:
    """And the retry does not take the result away again, as it does the failure's cause."""
    driven = started(retry=ONE_TRY)
    driven.whole(spec("bad", retry=ONE_TRY), outcome=BAD)
    driven.end("root", LETS_OUT)
    assert driven.step().cause_id == driven.id("bad")
    driven.repair(SET, "bad")
    assert driven.states() == {"root": "failed", "bad": "completed"}
    assert driven.act(Action.RETRY) == ["root"]
    assert driven.step("bad").generation == 2
    driven.start()
    assert not driven.post(spec("bad", retry=ONE_TRY)).new
    assert driven.end("root", OK).state is StepState.COMPLETED


def test_what_failed_because_of_it_goes_on_saying_so() -> None:
    """Its outcome is told as it was, whatever came of the cause since: that once, not at all."""
    driven = started(retry=ONE_TRY)
    driven.now = 10
    driven.whole(spec("bad", retry=ONE_TRY), outcome=Answered(402, b'{"error": "declined"}'))
    driven.end("root", LETS_OUT)
    was = driven.step("bad").error
    for action in (SET, SKIP):
        driven.now += 10
        driven.repair(action, "bad")
    assert driven.step("bad").error is None
    told = as_it_failed(driven.step("bad"), driven.step().ended_at or 0)
    assert (told.error, told.http_status) == (was, 402)
    assert as_it_failed(driven.step("bad"), driven.now + 1).error == was, "a clock was set back"


def test_a_run_that_stays_failed_keeps_its_cause() -> None:
    """It is not moved to another when the step at fault is mended: nor is why it failed."""
    driven = started(retry=ONE_TRY)
    driven.whole(spec("bad", retry=ONE_TRY), outcome=Answered(402))
    driven.end("root", LETS_OUT)
    before, was = stuck(driven.run), driven.step("bad").error
    driven.now = 10
    driven.repair(SET, "bad")
    assert stuck(driven.run) == before
    assert (reason(driven.run).spec.name, reason(driven.run).error) == ("bad", was)


def test_the_answer_of_a_call_in_flight_comes_late() -> None:
    """It is kept for people, and changes nothing."""
    driven = started("a")
    driven.repair(SET, "a", Given(200, b"d"))
    driven.end_attempt("a", 1, BAD)
    assert any(isinstance(event, LateEnd) for event in driven.events)
    step = driven.step("a")
    assert (step.state, step.http_status, step.error) == (StepState.COMPLETED, 200, None)


def test_a_parent_that_waits_is_called() -> None:
    """As when its step had ended by itself; and nobody is, of whom it was known."""
    driven = started("a", "b")
    driven.end("root", SUSPEND)
    assert driven.states()["root"] == "waiting"
    driven.repair(SKIP, "a")
    assert driven.states()["root"] == "backing-off"
    driven.start()
    driven.end("b")
    driven.end("root", OK)
    assert driven.repair(SET, "b") == ["b"], "its record stays with who has read it"
    assert driven.states()["root"] == "completed"


@pytest.mark.parametrize("step", ["root", "a"])
def test_a_later_generation_was_not_set(step: str) -> None:
    """Cancelled, it ends with nothing; what the one before was given is not its outcome."""
    driven = started("a", retry=ONE_TRY)
    driven.repair(SET, step)
    driven.end("a") if step == "root" else driven.end("root")
    driven.act(Action.RERUN, step)
    driven.act(Action.CANCEL)
    assert (driven.step(step).state, driven.step(step).generation) == (StepState.CANCELLED, 2)
    assert driven.step(step).set_by is None


@pytest.mark.parametrize("outcome", [None, OK, BAD])
def test_the_run_itself(outcome: Answered | None) -> None:
    """At work, completed or failed: its callers get that answer. What is open below it goes on, as
    when a workflow completes."""
    driven = started("a", retry=ONE_TRY)
    if outcome is not None:
        driven.end("root", outcome)
    driven.repair(SET, "root")
    assert driven.states() == {"root": "completed", "a": "running"}
    assert driven.step().generation == 1 + (outcome is not None)
    assert driven.end("a", OK).state is StepState.COMPLETED


def test_asked_again_with_its_key_it_is_the_same() -> None:
    """Whatever has happened since; another repair with the key is refused."""
    driven = unhandled()
    first = Given(200, b"one", "k1")
    driven.repair(SET, "bad", first)
    driven.repair(SET, "bad", Given(200, b"two", "k2"))
    assert driven.step("bad").generation == 3
    assert driven.repair(SET, "bad", first) == []
    assert driven.last == []
    for action, given in ((SET, Given(200, b"three", "k1")), (SKIP, first)):
        again = partial(driven.repair, action, "bad", given)
        raised = unchanged_by(driven.run, again, Refused)
        assert isinstance(raised, Refused)
        assert raised.problem is Problem.KEY_REUSED
    driven.repair(SET, "bad", Given(200, b"one"))
    assert driven.step("bad").generation == 4, "without a key it is another repair"


def test_a_step_is_repaired_so_often() -> None:
    """To the limit, and not beyond."""
    driven = unhandled()
    for _ in range(REPAIRS_PER_STEP_MAX):
        driven.repair(SKIP, "bad")
    raised = unchanged_by(driven.run, lambda: driven.repair(SKIP, "bad"), Refused)
    assert isinstance(raised, Refused)
    assert (raised.problem, raised.detail) == (
        Problem.NOT_POSSIBLE, "The step has been repaired 20 times, which is the most.",
    )  # fmt: skip
    driven.repair(SKIP, "before")


@pytest.mark.parametrize(
    ("action", "step", "why", "member"),
    [
        (SET, None, "so", "step"), (SKIP, None, "so", "step"), (SET, "bad", None, "reason"),
        (SKIP, "bad", "", "reason"), (RERUN, None, None, "reason"), (RERUN, "bad", "so", "payload"),
    ],
)  # fmt: skip
def test_what_a_repair_needs(
    action: Action, step: str | None, why: str | None, member: str
) -> None:
    """Named in the refusal, and nothing changes."""
    driven = unhandled()
    raised = unchanged_by(driven.run, lambda: driven.repair(action, step, why=why), Refused)
    assert isinstance(raised, Refused)
    assert (raised.problem, raised.members["member"]) == (Problem.INVALID_REQUEST, member)


@pytest.mark.parametrize("world", ["paused", "failed", "completed", "backing-off", "cancelled"])
def test_a_run_is_called_with_another_payload(world: str) -> None:
    """In its next generation, under another key, and every step of it runs again when it is posted.
    Posts of it are compared with what was posted first."""
    driven = at_rest(world)
    before, fingerprint = driven.step().own_key, driven.step().spec.fingerprint
    driven.now = 100
    driven.repair(RERUN, None, Given(200, b"d", "k"), "a typo in the address")
    root = driven.step()
    assert (root.state, root.generation, root.payload_generation) == (StepState.PENDING, 2, 2)
    assert root.own_key != before
    assert (root.spec.fingerprint, root.opened_at) == (fingerprint, 100)
    assert [repair.act for repair in root.repairs] == ["rerun"]
    assert driven.step("done").awaiting_post
    assert driven.step("done").reruns == 1
    placed = driven.post(spec("root"))
    assert placed.payload_differs
    driven.start()
    assert driven.post(spec("done", payload="another")).replaced
    driven.start("done")
    driven.end("done")
    assert driven.end("root", OK).state is StepState.COMPLETED
    assert driven.repair(RERUN, None, Given(200, b"d", "k")) == [], "asked for twice it is once"


def at_rest(world: str) -> Driven:
    """A run with a step that is done, and no request."""
    retry = RetryPolicy(count=int(world == "backing-off"), jitter=0)
    driven = started("done", retry=None if world == "paused" else retry)
    driven.end("done")
    if world == "cancelled":
        driven.act(Action.CANCEL)
        driven.end_attempt("root", 1, BAD)
    elif world == "paused":
        driven.act(Action.PAUSE)
        driven.end("root", BAD)
    else:
        driven.end("root", OK if world == "completed" else BAD)
    assert driven.states()["root"] == world
    return driven


def test_a_run_whose_request_is_in_flight_is_not_called_with_another_payload() -> None:
    """Of a step as of the workflow: two of them would be at work."""
    driven = started("a")
    raised = unchanged_by(driven.run, lambda: driven.repair(RERUN), Refused)
    assert isinstance(raised, Refused)
    assert raised.detail == "The workflow's own request is in flight; pause or wait."
    driven.end("root", SUSPEND)
    raised = unchanged_by(driven.run, lambda: driven.repair(RERUN), Refused)
    assert isinstance(raised, Refused)
    assert "A request of step" in raised.detail
    driven.end("a")
    driven.act(Action.PAUSE)
    driven.repair(RERUN)
    assert driven.states()["root"] == "pending", "also of one that was paused"


def test_what_is_told_of_it() -> None:
    """The act first, with who and why, then what it did; the run's own move last."""
    driven = unhandled()
    driven.repair(SET, "bad", why="by phone")
    kinds = [type(event).__name__ for event in driven.last]
    assert kinds == ["Acted", "Reopened", "ResultSet", "Resumed", "RunMoved"]
    result = driven.last[2]
    assert isinstance(result, ResultSet)
    assert (result.act, result.actor, result.reason) == ("set-result", "ada", "by phone")
    driven.repair(RERUN, why="a typo")
    assert isinstance(driven.last[1], PayloadSet)
    assert isinstance(driven.last[-1], RunMoved)
