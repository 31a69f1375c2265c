"""Which step a post is, and which posts are refused. §2, §3."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import PayloadDiffered
from engine.core.model import StepSpec, StepState, child_id
from engine.core.outcome import Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.post import Parent, Placed, RunLimits, note_refused
from tests.core.support import BAD, LOST, OK, ROOT_URL, Driven, spec, started, unchanged_by


def _refused(
    driven: Driven,
    posted: StepSpec | str,
    parent: Parent | str | None = None,
    limits: RunLimits | None = None,
) -> Problem:
    """The problem that the post is refused with, nothing recorded."""
    events = list(driven.events)
    raised = unchanged_by(driven.run, lambda: driven.post(posted, parent, limits), Refused)
    assert isinstance(raised, Refused)
    assert driven.events == events
    return raised.problem


def test_the_root_again() -> None:
    """The root's URL, no parent token: the root, open or ended; another payload is refused."""
    driven = started()
    assert driven.post("root") == Placed("R")
    assert _refused(driven, spec("root", payload="other")) is Problem.KEY_REUSED
    driven.end()
    assert driven.post("root") == Placed("R")
    assert _refused(driven, spec("root", payload="other")) is Problem.KEY_REUSED


def test_another_url_is_a_child_of_the_root() -> None:
    """Its id is a function of run and identity, and it knows the attempt that recorded it."""
    driven = started()
    placed = driven.post("a")
    assert placed == Placed(child_id("R", spec("a").identity), new=True, poster="R")
    step = driven.step("a")
    assert (step.parent_id, step.depth, step.recorded_by) == ("R", 1, 1)
    assert driven.post("a") == Placed(step.id, poster="R")


def test_a_post_from_outside_is_recorded_too() -> None:
    """The root's function may have been cut off while it works on: its posts count."""
    driven = started()
    driven.end("root", LOST)
    placed = driven.post("a")
    assert (placed.new, placed.poster, driven.step("a").recorded_by) == (True, None, 0)


def test_the_roots_path_on_another_host_is_not_a_step() -> None:
    """A workflow posted again under another address must not run as its own child."""
    driven = started()
    moved = ROOT_URL.replace("app", "app-2")
    assert _refused(driven, spec("root", url=moved)) is Problem.TARGET_MOVED


def test_a_parent_token_names_the_parent() -> None:
    """Trees nest to any depth: a child of exactly the step that was invoked with it."""
    driven = started("a")
    driven.begin("b", "a")
    driven.post("c", "b")
    assert driven.step("c").parent_id == driven.id("b")
    assert driven.step("c").depth == 3
    assert driven.step("a").open_children == driven.step("b").open_children == 1


def test_a_loop_varies_its_key() -> None:
    """The same URL under another key is another step."""
    driven = started()
    ids = {driven.post(spec("a", key=key), "root").step_id for key in ("1", "2", "3")}
    assert len(ids) == 3


@pytest.mark.parametrize("posted", ["root", "a", "b"])
def test_a_step_does_not_wait_for_itself(posted: str) -> None:
    """A post of the posting step or of one above it would hang for ever."""
    driven = started("a")
    driven.begin("b", "a")
    assert _refused(driven, posted, "b") is Problem.WOULD_DEADLOCK


def test_a_stale_parent_token_reads_and_records_nothing() -> None:
    """The function of an attempt that timed out is alive: ended steps answer, others do not. One
    that is open would hold it, and its worker, for an answer that nobody reads."""
    driven = started()
    stale = driven.parent_token()
    driven.post("a", stale)
    driven.end("root", LOST)
    assert _refused(driven, "b", stale) is Problem.STALE_EXECUTION, "nothing is in flight"
    driven.start_later()
    assert _refused(driven, "b", stale) is Problem.STALE_EXECUTION
    driven.flight().known_failure = driven.id("a")
    assert _refused(driven, "a", stale) is Problem.SUSPENDED
    driven.start("a")
    driven.end("a")
    assert driven.post("a", stale) == Placed(driven.id("a"))
    assert driven.flight().known_failure is not None, "a stale post says nothing of this attempt"
    old_engine = Parent("R", driven.flight().number, current=False)
    assert _refused(driven, "b", old_engine) is Problem.STALE_EXECUTION


def test_another_payload_in_the_attempt_that_recorded_the_step() -> None:
    """Two payloads under one identity in one execution are a mistake: 422."""
    driven = started("a")
    assert _refused(driven, spec("a", payload="other")) is Problem.KEY_REUSED
    driven.end("a")
    assert _refused(driven, spec("a", payload="other")) is Problem.KEY_REUSED


def test_another_payload_from_a_later_attempt() -> None:
    """A function that posts `now()` may run again: the record answers, and an event says so."""
    driven = started("a")
    driven.end("root", BAD)
    driven.start_later()
    placed = driven.post(spec("a", payload="other"))
    assert placed == Placed(driven.id("a"), payload_differs=True, poster="R")
    assert [type(event) for event in driven.last] == [PayloadDiffered]
    assert driven.step("a").spec == spec("a"), "the recorded payload holds"


def test_other_options_never_conflict() -> None:
    """The recorded retry policy holds."""
    driven = started("a")
    assert driven.post(spec("a", retry=RetryPolicy(count=99))) == Placed(driven.id("a"), poster="R")
    assert driven.step("a").spec == spec("a")


@pytest.mark.parametrize("end", [OK, BAD])
def test_a_run_that_has_ended_takes_no_new_steps(end: Outcome) -> None:
    """`run-ended`, completed or failed; its recorded steps are still answered."""
    driven = started("a", retry=RetryPolicy(count=0))
    driven.end("a")
    driven.end("root", end)
    assert _refused(driven, "new") is Problem.RUN_ENDED
    assert driven.post("a") == Placed(driven.id("a"))


def test_a_cancelled_run_takes_no_new_steps() -> None:
    """`run-cancelled`, for the root's posts and for those of its steps."""
    driven = started("a")
    parent_token = driven.parent_token("a")
    driven.act(Action.CANCEL)
    assert _refused(driven, "new") is Problem.RUN_CANCELLED
    assert _refused(driven, "new", parent_token) is Problem.RUN_CANCELLED
    assert driven.post("a") == Placed(driven.id("a"))


def test_a_step_that_has_ended_takes_no_children() -> None:
    """`parent-ended`: a function that posts after it answered."""
    driven = started("a")
    parent_token = driven.parent_token("a")
    driven.end("a")
    assert _refused(driven, "new", parent_token) is Problem.PARENT_ENDED


def test_a_step_in_its_last_attempt_takes_no_children() -> None:
    """A step above has failed: nothing new begins below it."""
    driven = started("a", retry=RetryPolicy(count=0))
    driven.end("root", BAD)
    assert _refused(driven, "new", "a") is Problem.PARENT_ENDED


def test_the_limits_of_a_run() -> None:
    """Steps and depth are bounded; a known step is answered at the limit."""
    driven = started("a")
    assert _refused(driven, "b", None, RunLimits(steps_per_run_max=2)) is Problem.LIMIT_EXCEEDED
    assert driven.post("a", None, RunLimits(steps_per_run_max=2)) == Placed(
        driven.id("a"), poster="R"
    )
    assert _refused(driven, "b", "a", RunLimits(depth_max=1)) is Problem.LIMIT_EXCEEDED
    assert driven.post("b", "a", RunLimits(steps_per_run_max=3, depth_max=2)).new


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_paused_run_records_steps_and_starts_none(in_flight: bool) -> None:
    """New steps wait with the run, and start when it is resumed."""
    driven = started("n")
    driven.act(Action.PAUSE)
    if not in_flight:
        driven.end("root", BAD)
    assert driven.post("a").new, "a step below is at work, and posts for the root"
    assert driven.step("a").state is StepState.PAUSED
    driven.act(Action.RESUME)
    assert driven.step("a").state is StepState.PENDING
    driven.start("a")


def test_a_paused_run_starts_no_step_that_is_posted_again() -> None:
    """The same for a step that opened again and takes its new post's payload."""
    driven = started("a")
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    driven.start()
    driven.act(Action.PAUSE)
    assert driven.post("a").replaced
    assert driven.step("a").state is StepState.PAUSED
    driven.act(Action.RESUME)
    driven.start("a")


def _reopened() -> Driven:
    driven = started("a")
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    return driven


def test_a_step_that_opens_again_takes_the_new_post() -> None:
    """Payload, URL and options are those of the post that starts it."""
    driven = _reopened()
    driven.start()
    again = spec("a", payload="new", retry=RetryPolicy(count=7))
    driven.now = 50
    assert driven.post(again) == Placed(driven.id("a"), new=True, replaced=True, poster="R")
    step = driven.step("a")
    assert (step.spec, step.recorded_by, step.generation) == (again, 2, 2)
    assert (step.payload_generation, step.submitted_at, step.opened_at) == (2, 50, 50)
    assert step.awaiting_post is False
    driven.start("a")
    assert _refused(driven, spec("a", payload="third")) is Problem.KEY_REUSED


def test_only_the_attempt_in_flight_starts_what_opened_again() -> None:
    """A post from outside waits with the step for the workflow's own post; a stale one does not."""
    driven = started("a")
    stale = driven.parent_token()
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    assert driven.post("a") == Placed(driven.id("a"))
    driven.start()
    assert _refused(driven, "a", stale) is Problem.SUSPENDED
    assert driven.step("a").awaiting_post


def test_a_refused_post_marks_the_attempt_that_made_it() -> None:
    """By its parent token, or the root's for a post without one; never an attempt that is over,
    nor by what posts the root again."""
    for parent in ("parent token", None):
        driven = started("a")
        stale = Parent("R", 9)
        old_engine = Parent("R", 1, current=False)
        note_refused(driven.run, spec("b"), stale)
        note_refused(driven.run, spec("b"), old_engine)
        note_refused(driven.run, spec("root"), None)
        assert not driven.flight().refused_post
        note_refused(driven.run, spec("b"), driven.parent_token() if parent else None)
        assert driven.flight().refused_post
        assert not driven.flight("a").refused_post
