"""The checker must see what is wrong: a hand-made bad history for each rule."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from engine.core.retry import OnExhausted, RetryPolicy
from tests.simulation.checker import check
from tests.simulation.history import Act, Answer, History, LifeSpan, Post, Send
from tests.simulation.programs import Call, Command, Library, Program
from tests.simulation.records import told_first

URL = "http://app/flow/r0"
POLICY = RetryPolicy(count=2, back_off_ms=1_000, jitter=0, on_exhausted=OnExhausted.FAIL)


class Made:
    """A history made by hand: one root `r`, posted by one client, that ends well."""

    def __init__(self) -> None:
        self.history = History()
        self.history.lives.append(LifeSpan(1, self.history.place(), 0, epoch=2))

    def post(self, status: int | None, at: float = 0.0, **values: Any) -> Post:
        """A post and its answer."""
        body = values.pop("body", b'{"response":1}')
        post = Post(
            began=self.history.place(), at=at, client="shop", workflow="w", key="k", url=URL,
            step_key=URL, payload=b"1", life=1, retry=POLICY,
        )  # fmt: skip
        self.history.posts.append(post)
        if status is not None:
            post.ended, post.ended_at, post.status = self.history.place(), at, status
            post.step_id, post.run_id, post.body, post.attempts = "r", "r", body, 1
        for name, value in values.items():
            setattr(post, name, value)
        return post

    def send(self, attempt: int, at: float, status: int = 200, **values: Any) -> Send:
        """A call and its answer."""
        send = Send(
            began=self.history.place(), at=at, life=1, run_id="r", step_id="r",
            own_key=values.get("step_id", "r"), workflow="w", key="k", url=URL, payload=b"1",
            attempt=attempt,
        )  # fmt: skip
        self.history.sends.append(send)
        send.ended, send.ended_at, send.status = self.history.place(), at, status
        send.result = f"status {status}"
        self.history.answers.append(Answer("r", attempt, status, b"1"))
        for name, value in values.items():
            setattr(send, name, value)
        return send

    def good(self) -> Made:
        """Posted, called, completed, read."""
        self.post(202)
        self.send(1, 0.0)
        self.post(200, 1.0)
        return self

    def last_look(self, status: int = 200, **values: Any) -> Made:
        """What is read when all is over."""
        self.history.last_looks_began = self.history.place()
        self.post(status, 100.0, **values)
        return self

    def rules(self) -> set[str]:
        """The rules it breaks."""
        return {rule for rule, _ in check(self.history)}


def test_a_good_history_breaks_no_rule() -> None:
    """Accepted, called, failed, called again, completed, read twice."""
    made = Made()
    made.post(202)
    made.send(1, 0.0, 500)
    made.send(2, 1.0)
    made.post(200, 1.0, attempts=2)

    assert made.last_look(attempts=2).rules() == set()


def test_lost() -> None:
    """R1: acknowledged, and at the end open, or unknown; but a paused run may be open."""
    open_at_end, unknown, paused = Made(), Made(), Made()
    for made in (open_at_end, unknown, paused):
        made.post(202)
    paused.history.paused_runs = frozenset({"r"})

    assert open_at_end.last_look(202).rules() == {"R1"}
    assert unknown.last_look(404, step_id=None).rules() == {"R1"}
    assert paused.last_look(202).rules() == set()


def test_overwritten() -> None:
    """R2: two outcomes of one generation; two runs of one identity."""
    other_outcome, other_run = Made().good(), Made().good()
    other_outcome.send(1, 0.0)
    other_run.post(202, step_id="q", run_id="q")

    assert "R2" in other_outcome.last_look(body=b'{"response":2}').rules()
    assert "R2" in other_run.last_look().rules()


def test_went_back_in_time() -> None:
    """R3: open after its outcome was seen; not when an operator opened it again."""
    made, reopened = Made().good(), Made().good()
    reopened.history.acts.append(Act(reopened.history.place(), "r", "retry", done=True))
    for each in (made, reopened):
        each.post(202, 2.0)

    assert made.last_look().rules() == {"R3"}
    assert reopened.last_look().rules() == set()


def test_invented() -> None:
    """R4: an outcome that no endpoint answered; a failure before the retries were used."""
    invented, early = Made(), Made()
    invented.post(202)
    early.post(202)
    early.send(1, 0.0, 500)

    assert invented.last_look().rules() == {"R4"}
    assert early.last_look(424).rules() == {"R4"}


def test_invoked_again() -> None:
    """R5: a call after the outcome was seen."""
    made = Made().good()
    made.send(2, 5.0)

    assert "R5" in made.last_look().rules()


def test_two_payloads() -> None:
    """R6: another payload accepted under a key, without a word."""
    made = Made().good()
    made.post(200, 2.0, payload=b"2")

    assert made.last_look().rules() == {"R6"}


@pytest.mark.parametrize(("life", "wrong"), [(1, True), (2, False)])
def test_payload_changed(life: int, wrong: bool) -> None:
    """R7: another payload in a later attempt; a first attempt lost in a crash may change it."""
    made = Made()
    made.history.lives.append(LifeSpan(2, made.history.place(), 0))
    made.post(202, step_id="r-1")
    made.post(202, payload=b"2", step_id="r-1")
    made.send(1, 0.0, 500, step_id="r-1")
    made.send(2 if wrong else 1, 1.0, step_id="r-1", payload=b"2", life=life)

    assert ("R7" in made.rules()) is wrong


def test_too_many() -> None:
    """R8: a fourth call where two retries are allowed."""
    made = Made()
    made.post(202)
    for attempt, at in enumerate((0.0, 1.0, 3.0, 7.0), start=1):
        made.send(attempt, at, 500)

    assert made.last_look(424).rules() == {"R8"}


@pytest.mark.parametrize("change", [{"url": "http://app/other"}, {"payload": b"2"}, {"key": "x"}])
def test_unasked(change: dict[str, Any]) -> None:
    """R9: a call to a URL, with a payload, or under a key that nobody posted."""
    made = Made()
    made.post(202)
    made.send(1, 0.0, **change)

    assert made.last_look().rules() == {"R9"}


@pytest.mark.parametrize(
    ("second", "third", "change", "rules"),
    [
        (1.0, 3.0, {}, set()),
        (0.9, 2.9, {}, {"R10"}),
        (1.0, 2.5, {}, {"R10"}),
        (1.0, 3.0, {"retry_after_ms": 1_500}, {"R10"}),
        (1.0, 60.0, {}, {"R14"}),
    ],
)
def test_early_and_late(
    second: float, third: float, change: dict[str, Any], rules: set[str]
) -> None:
    """R10, R14: before the back-off (or Retry-After) is over, or long after it."""
    made = Made()
    made.post(202)
    made.send(1, 0.0, 500, **change)
    made.send(2, second, 500)
    made.send(3, third)

    assert made.last_look(attempts=3).rules() == rules


def test_a_clock_set_forward_shortens_a_back_off_over_a_restart() -> None:
    """R10: between two lives a call may be early by what the wall clock jumped, and no more."""
    for shift_ms, rules in ((600, set()), (400, {"R10"})):
        made = Made()
        made.history.lives.append(LifeSpan(2, made.history.place(), shift_ms))
        made.post(202)
        made.send(1, 0.0, 500)
        made.send(2, 0.45, life=2)

        assert made.last_look(attempts=2).rules() == rules


def test_stale() -> None:
    """R11: a new step recorded for an execution that was over."""
    made = Made().good()
    made.send(2, 5.0, step_id="r-1", url="http://app/s", payload=b"s")
    late = {"step_id": "r-1", "url": "http://app/s", "step_key": "http://app/s", "payload": b"s"}
    made.post(202, 5.0, parent_token="r.1.2", **late)

    assert "R11" in made.last_look().rules()


def test_key_of_two() -> None:
    """R23: two steps are called under one key; one step under two."""
    shared = Made().good()
    shared.send(1, 5.0, step_id="r-1", own_key="r")
    changed = Made().good()
    changed.send(2, 5.0, own_key="other")

    assert "R23" in shared.last_look().rules()
    assert "R23" in changed.last_look().rules()


def test_effects() -> None:
    """A completed run lacks an effect; an effect was done under two keys; the answer is wrong."""
    library = Library(Random(0))
    call = Call("r0.0", "http://app/do/r0.0", 7, None)
    library.programs["r0"] = Program("r0", (Command((call,)),))
    made = Made()
    made.send(1, 0.0)
    made.post(200, 1.0, body=b'{"response":{"v":8}}')
    made.history.effects["other"] = Counter(("a", "b"))

    found = [what for rule, what in check(made.history, library) if rule in ("effects", "R4")]

    assert any("r0.0 was never done" in what for what in found)
    assert any("under 2 keys" in what for what in found)
    assert any("adds up to 7" in what for what in found)


@pytest.mark.parametrize(
    ("answered", "done", "rules"),
    [(500, False, {"R16"}), (500, True, set()), (424, False, set()), (422, False, set())],
)
def test_undone(answered: int, done: bool, rules: set[str]) -> None:
    """R16: the run failed above a failure that it was told of, neither compensated nor given up."""
    library = Library(Random(0))
    instead = Call("r0.0!", "http://app/do/r0.0!", 7, None)
    call = Call("r0.0", "http://app/fail/always/r0.0", 0, None, fails=True, instead=instead)
    library.programs["r0"] = Program("r0", (Command((call,)),), lets_out="stop-on")
    made = Made()
    stops = RetryPolicy(count=0, jitter=0, stop_on=(422,))
    made.post(202, retry=stops)
    made.post(424, url=call.url, step_key=call.url, step_id="r-1", run_id="r", cause="r-1")
    made.send(1, 0.0, answered)
    if done:
        made.history.effects["shop/r0.0!"] = Counter(("a",))
    made.last_look(424, cause="r-1", retry=stops)

    found = {rule for rule, _ in check(made.history, library)}

    assert found - {"R1"} == rules


def test_refused_and_failed() -> None:
    """R17: the attempt whose post was refused for now failed its step; another one may."""
    made = Made()
    made.post(202)
    made.send(1, 0.0, 424, began=made.history.place())
    refused = made.post(503, 0.0, parent_token="r.1.2", step_id=None)
    made.history.sends[0].ended = made.history.place()

    assert made.last_look(424, cause="r-1").rules() == {"R17"}

    refused.parent_token = "r.2.2"
    assert "R17" not in made.rules()


def test_who_waits_above_a_time_out_is_seen() -> None:
    """R27: the post waited when the step's attempt timed out, and was answered with its outcome;
    not if the engine died between, or another post of that attempt was just being answered."""
    cases: tuple[tuple[set[str], dict[str, Any], float], ...] = (
        ({"R27"}, {}, 100.0),
        (set(), {"life": 2}, 100.0),
        (set(), {"status": 504, "problem": "suspended"}, 100.0),
        (set(), {"ended_at": 30.5}, 100.0),
        (set(), {}, 33.0),
        (set(), {"parent_token": "parent.2.2"}, 100.0),
    )
    for rules, values, near in cases:
        made = Made()
        for attempt, at in ((1, 60.0), (2, 60.0)):
            made.send(attempt, 0.0, step_id="parent", ended_at=at, result="open")
        made.send(1, 10.0, ended_at=30.0, result="cut")
        told = {"parent_token": "parent.1.2", "ended_at": 50.0} | values
        post = made.post(200, 5.0)
        for name, value in told.items():
            setattr(post, name, value)
        made.post(200, 5.0, parent_token="parent.1.2", ended_at=near, step_id="other")
        found = {rule for rule, _ in check(made.history) if rule == "R27"}
        assert found == rules, told


def test_who_lost_an_answer_may_have_been_sent_home_before_it_saw_so() -> None:
    """A step that ended between the two ended since: calling the function again is right then."""
    made = Made()
    mine = {"parent_token": "r.3.2", "problem": "suspended"}
    made.post(504, at=9.0, **mine)
    assert told_first(made.history.posts, "r.3.") == 9.0
    made.post(None, at=4.0, parent_token="r.3.2")
    made.post(None, at=1.0, parent_token="r.2.2")
    made.post(504, at=2.0, parent_token="r.2.2", problem="suspended")
    assert told_first(made.history.posts, "r.3.") == 4.0
    made.history.posts.clear()
    made.post(None, at=4.0, parent_token="r.3.2")
    assert told_first(made.history.posts, "r.3.") is None
