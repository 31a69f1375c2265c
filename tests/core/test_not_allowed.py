"""A target that is not allowed: at the post nothing is recorded, afterwards the step waits. §7."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.machine import Change
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, CallError, Unanswered
from engine.core.retarget import read_move
from engine.core.retry import RetryPolicy
from engine.core.rules import action as actions
from engine.core.rules import post
from engine.core.rules.action import Action, Order
from engine.core.rules.post import RunLimits
from tests.core.support import BAD, Driven, spec, started, unchanged_by

OFF_THE_LIST = Unanswered(CallError.TARGET_NOT_ALLOWED, "not on the list", pauses=True)
NO_LISTS = Unanswered(CallError.TARGET_NOT_ALLOWED, "not loopback")
ONE_TRY = RetryPolicy(count=0)


@dataclass
class Gate:
    """What may not be called, and what was asked."""

    barred: str = "http://app:9000/steps/bad"
    asked: list[str] = field(default_factory=list)

    def why_not(self, client: str, url: str) -> str | None:
        self.asked.append(url)
        return f"{client} may not" if url.startswith(self.barred) else None


def moved_to(to: str, since: str = "http://app:9000/") -> Order:
    """Ada moves the run."""
    return Order(Action.RETARGET, None, Actor("ada"), None, read_move(since, to))


def posted(driven: Driven, name: str, gate: Gate, parent: str | None = None) -> post.Placed:
    """A post through the gate."""
    change = Change(driven.run)
    token = None if parent is None else driven.parent_token(parent)
    placed = post.find_or_record(change, spec(name), token, RunLimits(), driven.now, gate.why_not)
    driven._took(change)
    return placed


@pytest.mark.parametrize("name", ["root", "child"])
@pytest.mark.parametrize("retry", [None, ONE_TRY, RetryPolicy(jitter=0)])
def test_a_step_whose_target_is_no_longer_allowed_is_paused(
    name: str, retry: RetryPolicy | None
) -> None:
    """Whatever its policy: no retry is spent, and nothing above it ends."""
    driven = started(retry=retry if name == "root" else None)
    if name == "child":
        driven.begin(spec("child", retry=retry))
    step = driven.end(name, OFF_THE_LIST)
    assert (step.state, step.pause_reason) == (StepState.PAUSED, PauseReason.TARGET_NOT_ALLOWED)
    assert (step.failures, step.error) == (0, "target-not-allowed: not on the list")
    assert not driven.run.root.ended


def test_resume_looks_again() -> None:
    """Called at once; and paused again for as long as the list does not have it."""
    driven = started("child")
    driven.end("child", OFF_THE_LIST)
    for _ in range(3):
        driven.act(Action.RESUME, "child")
        driven.start("child")
        assert driven.end("child", OFF_THE_LIST).state is StepState.PAUSED
    driven.act(Action.RESUME)
    driven.start("child")
    assert driven.end("child").state is StepState.COMPLETED


def test_a_step_with_a_failure_below_is_paused_so_too() -> None:
    """It was not told of anything: the reason is the list, and it compensates when it is called."""
    driven = started()
    driven.whole(spec("bad", retry=ONE_TRY), outcome=Answered(402))
    driven.drain()
    driven.start_later("root")
    step = driven.end("root", OFF_THE_LIST)
    assert step.pause_reason is PauseReason.TARGET_NOT_ALLOWED


def test_without_lists_it_fails_at_once() -> None:
    """As it did before clients had any: another attempt could not mend it."""
    driven = started("child")
    assert driven.end("child", NO_LISTS).state is StepState.FAILED


def test_what_was_asked_for_meanwhile_goes_before() -> None:
    """A step above failed while it was about to be called: it is cancelled."""
    driven = started("child")
    driven.end("root", Answered(400, no_retry=True))
    assert driven.end("child", OFF_THE_LIST).state is StepState.CANCELLED


def test_an_operators_pause_keeps_the_reason_that_tells_more() -> None:
    """As with retries that are used up while it was paused."""
    driven = started("child")
    driven.act(Action.PAUSE, "child")
    assert driven.end("child", OFF_THE_LIST).pause_reason is PauseReason.TARGET_NOT_ALLOWED


@pytest.mark.parametrize("parent", [None, "root"])
def test_a_new_step_elsewhere_is_refused(parent: str | None) -> None:
    """403, which names the URL, the client, and what would have to be added."""
    driven, gate = started(), Gate()
    refused = unchanged_by(driven.run, lambda: posted(driven, "bad", gate, parent), Refused)
    assert isinstance(refused, Refused)
    assert refused.problem is Problem.TARGET_NOT_ALLOWED
    assert refused.detail == "http://app:9000/steps/bad may not be called: acme may not."
    assert refused.members == {
        "client": "acme",
        "url": "http://app:9000/steps/bad",
        "target": "http://app:9000/",
    }
    assert posted(driven, "good", gate, parent).new


def test_what_is_recorded_is_found_whatever_the_list_says() -> None:
    """Open or ended: the list is asked about what would be recorded alone."""
    driven, gate = started("bad"), Gate()
    assert not posted(driven, "bad", gate).new
    driven.end("bad")
    assert not posted(driven, "bad", gate).new
    assert not posted(driven, "root", gate).new
    assert gate.asked == []


def test_a_step_that_opens_again_passes_the_gate_again() -> None:
    """Its post brings a URL; a refusal leaves it waiting for another."""
    driven, gate = started(), Gate()
    driven.whole(spec("bad", retry=ONE_TRY), outcome=Answered(402))
    driven.end("root", Answered(424))
    driven.act(Action.RETRY)
    driven.start("root")
    assert driven.step("bad").awaiting_post
    refused = unchanged_by(driven.run, lambda: posted(driven, "bad", gate), Refused)
    assert isinstance(refused, Refused)
    assert refused.problem is Problem.TARGET_NOT_ALLOWED
    assert posted(driven, "bad", Gate("http://elsewhere/")).new


def test_a_moved_run_is_asked_about_where_it_stands_now() -> None:
    """Old code posts old URLs: what they stand for is what will be called."""
    driven, gate = started(), Gate("http://new:1/")
    driven.end("root", BAD)
    driven.retarget("http://app:9000/", "http://new:1/")
    driven.start_later("root")
    refused = unchanged_by(driven.run, lambda: posted(driven, "step", gate), Refused)
    assert isinstance(refused, Refused)
    assert refused.members["url"] == "http://new:1/steps/step"


@pytest.mark.parametrize(
    ("to", "barred", "named"),
    [
        ("http://new:1/", "http://new:1/steps/", "http://new:1/steps/child"),
        ("http://new:1/", "http://new:1/", "http://new:1/workflows/sign-up"),
        ("http://new:1/", "http://app:9000/", None),
    ],
)
def test_a_move_passes_the_same_gate(to: str, barred: str, named: str | None) -> None:
    """Every URL that a step would have is looked at; 409, and nothing is moved."""
    driven, gate = started("child"), Gate(barred)

    def move() -> None:
        change = Change(driven.run)
        actions.act(change, moved_to(to), now=driven.now, why_not=gate.why_not)
        driven._took(change)

    if named is None:
        move()
        assert driven.step("child").spec.url == "http://new:1/steps/child"
        return
    refused = unchanged_by(driven.run, move, Refused)
    assert isinstance(refused, Refused)
    assert refused.problem is Problem.NOT_POSSIBLE
    assert refused.detail == f"{named}: acme may not."


def test_a_move_that_takes_nothing_along_is_asked_about_where_it_leads() -> None:
    """What is posted later would stand for it."""
    driven, gate = started(), Gate("http://new:1/")
    order = moved_to("http://new:1/", "http://other/")
    with pytest.raises(Refused) as caught:
        actions.act(Change(driven.run), order, now=0, why_not=gate.why_not)
    assert caught.value.detail == "http://new:1/: acme may not."
