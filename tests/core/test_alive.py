"""A new step without a parent token: only while a function of the run may be at work. §2."""

from __future__ import annotations

import msgspec
import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import Event
from engine.core.machine import evolve
from engine.core.model import Run, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules import home
from engine.core.rules.action import Action
from engine.core.rules.post import RunLimits
from tests.core.support import BAD, LOST, OK, ROOT_URL, Driven, spec, started, unchanged_by

MOVED = "http://app:9000/v2/sign-up"
TIMED_OUT = Unanswered(CallError.ATTEMPT_TIMEOUT, "no whole answer within 60 s (attemptTimeout)")


def refused(driven: Driven, url: str = MOVED, limits: RunLimits | None = None) -> Refused:
    """What a post of the workflow under another URL is refused with; nothing is recorded."""
    events = list(driven.events)
    raised = unchanged_by(
        driven.run, lambda: driven.post(spec("moved", url=url), limits=limits), Refused
    )
    assert isinstance(raised, Refused)
    assert driven.events == events
    return raised


def is_taken(driven: Driven) -> bool:
    """Whether a new step is taken without a parent token."""
    try:
        return driven.post(spec("moved", url=MOVED)).new
    except Refused as raised:
        return raised.problem is not Problem.TARGET_MOVED


def test_the_refusal_names_both_urls_and_the_ways_out() -> None:
    """The run of a moved endpoint: 422, and what to do about it."""
    driven = started()
    driven.end("root", Answered(503))
    raised = refused(driven)
    assert raised.problem is Problem.TARGET_MOVED
    assert raised.members == {"runId": "R", "recorded": ROOT_URL, "posted": MOVED}
    for way in (ROOT_URL, MOVED, "retarget", "Atomic-Parent", "post again when"):
        assert way in raised.detail


@pytest.mark.parametrize(
    "posted",
    [
        ROOT_URL + "/",
        ROOT_URL + "?v=2",
        ROOT_URL.replace("sign-up", "signup"),
        ROOT_URL.replace("http", "https"),
        ROOT_URL.replace("app", "app-2"),
    ],
)
def test_every_other_spelling_of_the_root_is_another_url(posted: str) -> None:
    """Slash, query, a mended typo, scheme, host: none runs the work twice."""
    driven = started()
    driven.end("root", BAD)
    assert refused(driven, posted).problem is Problem.TARGET_MOVED


ENDS: list[tuple[Outcome, bool, bool]] = [
    # how the root's last attempt ended, and whether a step is taken: having posted nothing, or one
    (LOST, True, True),
    (TIMED_OUT, True, True),
    (Answered(504), True, True),
    (Answered(502), False, True),
    (Answered(503), False, True),
    (Answered(500), False, False),
    (Answered(404), False, False),
    (Answered(302), False, False),
    (Answered(429), False, False),
    (Unanswered(CallError.CONNECTION_REFUSED, "no"), False, False),
    (Unanswered(CallError.DNS, "no"), False, False),
    (Unanswered(CallError.TLS, "no"), False, False),
    (Unanswered(CallError.BAD_ANSWER, "not UTF-8", 200), False, False),
    (Answered(504, suspend=True), False, False),
]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("outcome", "bare", "having_posted"), ENDS)
def test_what_the_roots_last_end_says(
    outcome: Outcome, bare: bool, having_posted: bool, restarted: bool
) -> None:
    """From the record, so also after a restart and a fold of the events."""
    for posts, expected in ((False, bare), (True, having_posted)):
        driven = started()
        if posts:
            driven.whole("a", "root")
        driven.end("root", outcome)
        if restarted:
            driven.crash()
        assert is_taken(driven) is expected


@pytest.mark.parametrize("outcome", [LOST, TIMED_OUT])
def test_a_request_that_never_left_has_no_function(outcome: Outcome) -> None:
    """While its connection is being made, and when it ends so: also in flight."""
    driven = started()
    driven.flight().left = False
    assert not is_taken(driven)
    driven.flight().left = True
    assert is_taken(driven)
    driven = started()
    driven.flight().left = False
    driven.end("root", outcome)
    assert not is_taken(driven)


def test_no_attempt_yet() -> None:
    """Accepted, not called: nobody is there who could post a step; nor after it opened again."""
    driven = Driven()
    assert not is_taken(driven)
    driven.start()
    driven.act(Action.CANCEL)
    driven.end_attempt("root", 1, LOST)
    driven.act(Action.RETRY)
    assert not is_taken(driven)


@pytest.mark.parametrize("how", ["crash", "drain"])
def test_the_engine_stopped_over_it(how: str) -> None:
    """A function that was at work when the engine stopped may be at work yet."""
    driven = started()
    getattr(driven, how)()
    assert is_taken(driven)
    if how == "drain":
        driven = started()
        driven.flight().left = False
        driven.drain()
        assert not is_taken(driven)


def test_a_step_below_is_at_work() -> None:
    """Nested functions post for the root without a parent token, whatever its attempt came to."""
    driven = started("n")
    driven.end("root", BAD)
    driven.flight("n").left = False
    assert not is_taken(driven), "its request has not left"
    driven.flight("n").left = True
    assert is_taken(driven)


def test_a_paused_root_is_at_rest() -> None:
    """None in flight and the root paused, however its last attempt ended."""
    driven = started(retry=RetryPolicy(count=3))
    driven.end("root", LOST)
    driven.act(Action.PAUSE)
    assert not is_taken(driven)
    driven.act(Action.RESUME)
    assert is_taken(driven)


@pytest.mark.parametrize("state", [StepState.COMPLETED, StepState.FAILED, StepState.CANCELLED])
@pytest.mark.parametrize("url", [MOVED, ROOT_URL.replace("app", "app-2")])
def test_an_ended_root_says_so_with_both_urls(state: StepState, url: str) -> None:
    """409: the workflow that is posted under a new URL has an outcome, under the recorded one."""
    driven = started()
    if state is StepState.CANCELLED:
        driven.act(Action.CANCEL)
    else:
        driven.end("root", OK if state is StepState.COMPLETED else Answered(500, no_retry=True))
    raised = refused(driven, url)
    cancelled = state is StepState.CANCELLED
    assert raised.problem is (Problem.RUN_CANCELLED if cancelled else Problem.RUN_ENDED)
    assert raised.members == {"runId": "R", "recorded": ROOT_URL, "posted": url}
    assert ROOT_URL in raised.detail
    assert url in raised.detail


def test_recorded_steps_are_always_found() -> None:
    """With or without a parent token, whoever is at work: the rule is about new ones."""
    driven = started("a")
    other_host = ROOT_URL.replace("app", "app-2")
    driven.post(spec("twin", url=other_host), "root")
    driven.end("a")
    driven.end("root", BAD)
    assert driven.post("a").step_id == driven.id("a")
    assert driven.post(spec("twin", url=other_host)).step_id == driven.id("twin")
    driven.act(Action.PAUSE)
    assert driven.post("a").step_id == driven.id("a")


def test_steps_need_parent() -> None:
    """The setting refuses new steps without a parent token, also while the function is at work."""
    driven = started("a")
    limits = RunLimits(steps_need_parent=True)
    raised = refused(driven, limits=limits)
    assert raised.problem is Problem.TARGET_MOVED
    assert "steps_need_parent" in raised.detail
    assert driven.post("a", limits=limits).step_id == driven.id("a")
    assert driven.post("b", "root", limits).new


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize(("outcome", "bare", "having_posted"), ENDS[:-1])
def test_events_of_an_older_engine_say_the_same(
    outcome: Outcome, bare: bool, having_posted: bool, crashed: bool
) -> None:
    """They do not tell whether the function may be at work; their end does, as far as it can."""
    driven = started()
    if having_posted and not bare:
        driven.begin("a", "root")
    driven.end("root", outcome)
    if crashed:
        driven = started()
        driven.crash()
    old = Run("R", "acme", 0)
    for event in driven.events:
        packed = msgspec.json.decode(msgspec.json.encode(event))
        packed.pop("mayPost", None)
        evolve(old, msgspec.convert(packed, Event))
    assert old.root.may_post is (having_posted or crashed)


def test_an_attempt_that_was_sent_home_posts_no_more() -> None:
    """Told 504 `suspended`: what its function posts is refused, and so it is when it has ended."""
    driven = started("a")
    home.send_home(driven.run, "R", "to make room")
    driven.end("root", LOST)
    driven.end("a")
    assert not is_taken(driven)
