"""What an operator can do, and what the state does not allow. §5."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import Acted, Actor, Cancelled, Event
from engine.core.machine import Change
from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action, Order, act
from engine.core.rules.post import Placed
from tests.core.support import BAD, LETS_OUT, LOST, OK, SUSPEND, Driven, spec, started, unchanged_by

ONE_TRY = RetryPolicy(count=0)


def _refused(driven: Driven, action: Action, step: str | None = None) -> Problem:
    """The problem that the action is refused with, nothing changed."""
    events = list(driven.events)
    raised = unchanged_by(driven.run, lambda: driven.act(action, step), Refused)
    assert isinstance(raised, Refused)
    assert driven.events == events
    return raised.problem


def _failed_run() -> Driven:
    """Root failed because of `bad`; `done` completed, `caught` failed before, `open` cancelled."""
    driven = started("done", "open")
    driven.end("done")
    for name in ("caught", "bad"):
        driven.whole(spec(name, retry=ONE_TRY), outcome=BAD)
    driven.flight().known_failure = driven.id("bad")
    driven.end("root", LETS_OUT)
    driven.end("open", BAD)
    assert set(driven.states().values()) == {"failed", "completed", "cancelled"}
    return driven


def test_every_action_is_an_event_with_actor_and_reason() -> None:
    """Also one that moves nothing else; the event names the step, or the root."""
    driven = _failed_run()
    for action in (Action.DISMISS, Action.UNDISMISS, Action.RETRY):
        driven.act(action)
        acted = driven.last[0]
        assert isinstance(acted, Acted)
        assert (acted.step_id, acted.action, acted.actor) == ("R", action, "ada")


def test_who_acted_is_read_from_before_the_engine_kept_addresses() -> None:
    """Then the address alone stood there; and of today's both are written and read."""
    kept = b'{"kind":"acted","at":5,"stepId":"R","action":"retry","actor":"http:127.0.0.1"}'
    old = msgspec.json.decode(kept, type=Event)
    assert old == Acted(5, "R", "retry", "http:127.0.0.1")
    assert msgspec.json.encode(old) == kept
    driven = _failed_run()
    act(Change(driven.run), Order(Action.DISMISS, None, Actor("a", "::1"), None), now=7)
    change = Change(driven.run)
    assert Action("restore") is Action.UNDISMISS  # as it was called
    act(change, Order(Action.UNDISMISS, None, Actor("ada", "::1"), None), now=8)
    acted = msgspec.json.decode(msgspec.json.encode(change.events[0]), type=Event)
    assert isinstance(acted, Acted)
    assert (acted.actor, acted.address) == ("ada", "::1")


@pytest.mark.parametrize("action", Action)
def test_an_unknown_step_is_not_found(action: Action) -> None:
    """Whatever the action."""
    change = Change(started().run)
    with pytest.raises(Refused) as raised:
        act(change, Order(action, "R-nobody", Actor("ada"), None), now=0)
    assert raised.value.problem is Problem.NOT_FOUND
    assert change.events == []


def test_retry_starts_a_backing_off_step_now() -> None:
    """It spends a retry: the count goes on."""
    driven = started("a")
    driven.end("a", BAD)
    driven.act(Action.RETRY, "a")
    assert driven.step("a").delay_by is DelayBy.OPERATOR
    driven.start("a")
    assert driven.end("a", BAD).failures == 2


def test_retry_starts_a_waiting_step_now() -> None:
    """Before any child has ended."""
    driven = started("a")
    driven.end("root", SUSPEND)
    driven.act(Action.RETRY)
    driven.start()


def test_retry_of_a_run_starts_what_backs_off() -> None:
    """The workflow itself is in flight: its backing-off steps start."""
    driven = started("a", "b", "c")
    driven.end("a", BAD)
    driven.end("b", BAD)
    driven.act(Action.RETRY)
    driven.start("a")
    driven.start("b")


def test_retry_of_a_failed_run() -> None:
    """Root, cause and cancelled steps open with fresh budgets; another failed one stays failed."""
    driven = _failed_run()
    changed = driven.act(Action.RETRY)
    assert sorted(changed) == ["bad", "open", "root"]
    assert driven.states() == {
        "root": "pending", "done": "completed", "open": "pending", "caught": "failed",
        "bad": "pending",
    }  # fmt: skip
    assert (driven.step().failures, driven.step().generation) == (0, 2)
    assert driven.step().own_key == "R", "retry keeps the key that the endpoint knows"
    driven.start()
    assert driven.run.ready == {}, "the others wait for the workflow's post"
    driven.whole(spec("bad", payload="mended"))
    assert driven.end().state is StepState.COMPLETED
    assert driven.states()["open"] == "cancelled", "never posted again: it does not hang on"


def test_retry_of_a_failed_run_with_a_step() -> None:
    """That failed step opens too."""
    driven = _failed_run()
    assert sorted(driven.act(Action.RETRY, "caught")) == ["bad", "caught", "open", "root"]


def test_retry_leaves_alone_what_lies_below_a_failed_step_that_stays() -> None:
    """Other failed steps keep their outcome, so nobody could post what was cancelled below them."""
    driven = started()
    driven.begin(spec("caught", retry=ONE_TRY))
    driven.post("below", "caught")
    driven.end("caught", BAD)
    driven.whole(spec("bad", retry=ONE_TRY), outcome=BAD)
    driven.end("root", LETS_OUT)
    assert sorted(driven.act(Action.RETRY)) == ["bad", "root"]
    assert driven.states() == {
        "root": "pending", "caught": "failed", "below": "cancelled", "bad": "pending",
    }  # fmt: skip
    driven.start()
    driven.whole(spec("bad", retry=ONE_TRY), outcome=BAD)
    driven.end("root", LETS_OUT)
    driven.act(Action.RETRY, "caught")
    assert driven.states() == dict.fromkeys(("root", "caught", "below", "bad"), "pending")


def test_retry_opens_the_steps_above_a_cause() -> None:
    """A cause deep down can only be posted again by the steps above it."""
    driven = started("a")
    driven.whole(spec("deep", retry=ONE_TRY), "a", outcome=BAD)
    driven.flight("a").known_failure = driven.id("deep")
    driven.end("a", LETS_OUT)
    driven.post(spec("deep", retry=ONE_TRY))  # the root asks for the same step
    driven.flight().known_failure = driven.id("deep")
    driven.end("root", LETS_OUT)
    assert driven.step().cause_id == driven.id("deep")
    assert sorted(driven.act(Action.RETRY)) == ["a", "deep", "root"]


def test_retry_of_a_cancelled_run() -> None:
    """The root starts, the cancelled steps wait for its post."""
    driven = started("a")
    driven.act(Action.CANCEL)
    driven.act(Action.RETRY)
    assert driven.step("a").awaiting_post
    driven.start()


def test_what_cannot_be_retried() -> None:
    """Running, completed and paused steps; a failed run with requests still in flight."""
    driven = started("a", "b", retry=ONE_TRY)
    assert _refused(driven, Action.RETRY) is Problem.NOT_POSSIBLE
    assert _refused(driven, Action.RETRY, "a") is Problem.NOT_POSSIBLE
    driven.end("b")
    assert _refused(driven, Action.RETRY, "b") is Problem.NOT_POSSIBLE
    driven.end("root", BAD)
    assert _refused(driven, Action.RETRY) is Problem.NOT_POSSIBLE
    driven.end("a", BAD)
    assert _refused(driven, Action.RETRY, "b") is Problem.NOT_POSSIBLE
    driven.act(Action.RETRY)
    driven.act(Action.PAUSE)
    assert _refused(driven, Action.RETRY) is Problem.NOT_POSSIBLE


def test_pause_starts_nothing_and_lets_flights_end() -> None:
    """A 2xx in flight completes; a failure waits; pending and timed steps stand still."""
    driven = started("done", "bad", "timed")
    driven.end("timed", BAD)
    driven.post("new")
    driven.act(Action.PAUSE)
    driven.end("done", OK)
    driven.end("bad", BAD)
    driven.end("root", LOST)
    assert driven.states() == {
        "root": "paused", "done": "completed", "bad": "paused", "timed": "paused", "new": "paused",
    }  # fmt: skip
    assert {s.pause_reason for s in driven.run.steps.values()} == {PauseReason.OPERATOR, None}
    driven.now = 10**6
    driven.act(Action.RESUME)
    for name in ("root", "bad", "timed", "new"):
        driven.start(name)
    assert driven.step("bad").failures == 1, "resume keeps the budget"


def test_a_paused_parent_hears_of_its_childs_end() -> None:
    """It waited for it; after the resume it is due at once."""
    driven = started("a")
    driven.end("root", SUSPEND)
    driven.act(Action.PAUSE, "root")
    driven.end("a")
    assert driven.step().state is StepState.PAUSED
    driven.act(Action.RESUME)
    driven.start()


def test_pause_and_resume_of_one_step() -> None:
    """Only that step stands still; a pause lifted in flight leaves nothing behind."""
    driven = started("a", "b")
    driven.act(Action.PAUSE, "a")
    driven.act(Action.RESUME, "a")
    assert driven.end("a", BAD).state is StepState.BACKING_OFF
    driven.act(Action.PAUSE, "a")
    assert driven.end("b", BAD).state is StepState.BACKING_OFF
    assert _refused(driven, Action.PAUSE, "a") is Problem.NOT_POSSIBLE
    driven.act(Action.RESUME, "a")
    assert _refused(driven, Action.RESUME) is Problem.NOT_POSSIBLE


def test_resume_after_exhausted_is_a_retry() -> None:
    """At once, with a fresh budget, and back on the list it may have been dismissed from."""
    driven = started(retry=RetryPolicy(count=1, jitter=0.0, on_exhausted=OnExhausted.PAUSE))
    driven.end("root", BAD)
    driven.start_later()
    driven.end("root", BAD)
    driven.act(Action.DISMISS)
    driven.act(Action.RESUME)
    assert (driven.step().failures, driven.step().delay_by) == (0, DelayBy.OPERATOR)
    assert not driven.run.dismissed
    driven.start()
    assert driven.end("root", BAD).state is StepState.BACKING_OFF


def test_cancel_ends_a_run_at_once() -> None:
    """Every open step is cancelled, in flight or not; what had ended keeps its outcome."""
    driven = started("done", "running", "timed")
    driven.post("below", "running")
    driven.end("done")
    driven.end("timed", BAD)
    driven.act(Action.CANCEL)
    states = driven.states()
    assert states.pop("done") == "completed"
    assert set(states.values()) == {"cancelled"}
    assert driven.run.flights == {}
    assert _refused(driven, Action.CANCEL) is Problem.NOT_POSSIBLE


def test_cancel_of_a_step_wakes_its_parent() -> None:
    """A child has ended: the workflow runs again and is told."""
    driven = started("a")
    driven.post("below", "a")
    driven.end("root", SUSPEND)
    driven.act(Action.CANCEL, "a")
    assert driven.states() == {"root": "backing-off", "a": "cancelled", "below": "cancelled"}
    driven.start()


def test_cancel_of_a_completed_run_ends_its_open_children() -> None:
    """The root keeps its outcome."""
    driven = started("a")
    driven.end("root", OK)
    driven.act(Action.CANCEL)
    assert driven.states() == {"root": "completed", "a": "cancelled"}


def test_rerun_list() -> None:
    """The step, its descendants and what was submitted after it had ended; not what came before."""
    driven = started("before", "a")
    driven.whole("below", "a")
    driven.begin("beside")
    driven.now = 10
    driven.end("a")
    driven.now = 11
    driven.begin("after", "before")
    for name in ("after", "before", "beside"):
        driven.end(name)
    driven.end()
    changed = driven.act(Action.RERUN, "a")
    # `before` is the parent of `after`: it opens so that somebody posts `after` again
    assert sorted(changed) == ["a", "after", "before", "below", "root"]
    new_keys = [s.spec.name for s in driven.run.steps.values() if s.own_key != s.id]
    assert new_keys == ["a", "below", "after"]
    driven.start()
    assert driven.post("beside") == Placed(driven.id("beside"), poster="R")
    assert driven.post("a").replaced


@pytest.mark.parametrize("gap_ms", [0, 1])
def test_rerun_takes_along_what_was_posted_in_the_same_millisecond(gap_ms: int) -> None:
    """A fast workflow posts the next step within the millisecond: it has seen the old outcome."""
    driven = started("a")
    driven.end("a")
    driven.now += gap_ms
    driven.whole("b")
    driven.end()
    assert sorted(driven.act(Action.RERUN, "a")) == ["a", "b", "root"]


def test_rerun_twice_takes_the_same_steps() -> None:
    """A step posted again counts from that post, not from the first one."""
    driven = Driven()
    for _ in range(3):
        driven.start()
        for name in ("a", "b"):
            driven.now += 10
            driven.begin(name)
            driven.now += 10
            driven.end(name)
        driven.end()
        assert sorted(driven.act(Action.RERUN, "a")) == ["a", "b", "root"]


@pytest.mark.parametrize("rests", [SUSPEND, BAD])
@pytest.mark.parametrize("paused", [False, True])
def test_rerun_in_an_open_run_ends_no_generation_of_its_workflow(
    rests: Answered, paused: bool
) -> None:
    """The workflow has not ended: who waits for it waits on, and it is invoked at once."""
    driven = started("a", "open")
    driven.now = 5
    driven.end("a")
    driven.end("root", rests)
    if paused:
        driven.act(Action.PAUSE, "root")
    driven.now = 10
    assert sorted(driven.act(Action.RERUN, "a")) == ["a", "root"]
    assert (driven.step().generation, driven.step("a").generation) == (1, 2)
    assert not any(isinstance(event, Cancelled) for event in driven.last)
    if paused:
        driven.act(Action.RESUME)
    driven.start()
    assert driven.post("a").replaced


def test_rerun_of_the_root_begins_everything_anew() -> None:
    """All steps are its descendants; each has a new key, so endpoints do the work again."""
    driven = started("a")
    driven.end("a")
    driven.end()
    assert sorted(driven.act(Action.RERUN, "root")) == ["a", "root"]
    assert {step.reruns for step in driven.run.steps.values()} == {1}
    assert driven.step().own_key == "R-r1"
    driven.start()
    assert driven.post("a").replaced


def test_what_cannot_be_rerun() -> None:
    """Nothing while the workflow's request is in flight; no open step; never without a step."""
    driven = started("a", "b")
    driven.end("a")
    assert _refused(driven, Action.RERUN) is Problem.INVALID_REQUEST
    assert _refused(driven, Action.RERUN, "a") is Problem.NOT_POSSIBLE
    driven.end("root", BAD)
    assert _refused(driven, Action.RERUN, "b") is Problem.NOT_POSSIBLE
    driven.begin("below", driven.parent_token("b"))
    driven.end("b")
    assert _refused(driven, Action.RERUN, "b") is Problem.NOT_POSSIBLE, "below is in flight"
    driven.end("below")
    driven.act(Action.RERUN, "b")


def test_dismiss_and_restore() -> None:
    """Off and back on the failed list; a retry brings it back too."""
    driven = started(retry=ONE_TRY)

    def dismissed() -> bool:
        return driven.run.dismissed

    assert _refused(driven, Action.DISMISS) is Problem.NOT_POSSIBLE
    driven.end("root", BAD)
    assert _refused(driven, Action.DISMISS, "root") is Problem.INVALID_REQUEST
    assert _refused(driven, Action.UNDISMISS) is Problem.NOT_POSSIBLE
    rev = driven.run.rev
    driven.act(Action.DISMISS)
    assert dismissed()
    assert driven.run.rev == rev + 1
    assert _refused(driven, Action.DISMISS) is Problem.NOT_POSSIBLE
    driven.act(Action.UNDISMISS)
    assert not dismissed()
    driven.act(Action.DISMISS)
    driven.act(Action.RETRY)
    assert not dismissed()


def test_retry_follows_the_causes_down() -> None:
    """Root failed because of a, a because of b: a retry opens all three."""
    driven = started("a")
    driven.start("a") if driven.step("a").state is StepState.PENDING else None
    driven.post(spec("b", retry=ONE_TRY), parent="a")
    driven.start("b")
    driven.end("b", BAD)
    driven.flight("a").known_failure = driven.id("b")
    driven.end("a", LETS_OUT)
    driven.flight().known_failure = driven.id("a")
    driven.end("root", LETS_OUT)

    driven.act(Action.RETRY)

    assert {name: driven.step(name).generation for name in ("root", "a", "b")} == {
        "root": 2,
        "a": 2,
        "b": 2,
    }


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (OK, StepState.COMPLETED),
        (Answered(400, no_retry=True), StepState.FAILED),
        (Answered(410), StepState.FAILED),
        (Unanswered(CallError.ANSWER_TOO_LARGE, "over 1 MiB"), StepState.FAILED),
        (Answered(424), StepState.PAUSED),
        (BAD, StepState.PAUSED),
        (LOST, StepState.PAUSED),
    ],
)
def test_what_ends_a_step_ends_it_while_paused(outcome: Outcome, state: StepState) -> None:
    """A success, and what is never retried; what might be tried again waits."""
    driven = started()
    driven.begin(spec("a", retry=RetryPolicy(stop_on=(410,))))
    driven.act(Action.PAUSE)
    assert driven.end("a", outcome).state is state


def test_a_failure_waits_while_paused() -> None:
    """The last retry fails during a pause: paused as exhausted, not failed behind one's back."""
    driven = started()
    driven.begin(spec("a", retry=ONE_TRY))
    driven.act(Action.PAUSE, "a")
    driven.end("a", BAD)

    assert driven.step("a").state is StepState.PAUSED
    assert driven.step("a").pause_reason is PauseReason.EXHAUSTED
