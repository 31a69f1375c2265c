"""Holds: what they cover, and what becomes of a step that one keeps from starting."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem, Refused
from engine.core.model import PauseReason, StepState
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.flight import note_held
from engine.core.rules.hold import Hold, HoldKind, covers, read_name
from tests.core.support import BAD, Driven, started

HOUR = 3_600_000
IN_TEN_MINUTES = RetryPolicy(count=9, back_off_ms=1_000, factor=1, jitter=0, max_elapsed_ms=600_000)


@pytest.mark.parametrize(
    ("kind", "name", "is_covered"),
    [
        ("client", "acme", True),
        ("client", "acm", False),
        ("workflow", "signUp", True),
        ("workflow", "signup", False),
        ("host", "app:9000", True),
        ("host", "app", True),
        ("host", "app:9001", False),
        ("host", "ap", False),
    ],
)
def test_what_a_hold_covers(kind: str, name: str, is_covered: bool) -> None:
    """All of a client, all runs of a workflow, all calls to a host; and nothing that is only like
    it."""
    hold = Hold(HoldKind(kind), name, 0, "ada")
    assert covers(hold, "acme", "signUp", "http://app:9000/steps/a") is is_covered


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://app/x", ["app", "app:80"]),
        ("https://app/x", ["app", "app:443"]),
        ("https://app:80/x", ["app", "app:80"]),
        ("http://[::1]/x", ["[::1]", "[::1]:80"]),
        ("http://[::1]:9000/", ["[::1]", "[::1]:9000"]),
    ],
)
def test_a_host_is_held_at_every_port_or_at_one(url: str, names: list[str]) -> None:
    """By its name alone it is held whatever the port; with a port also where the URL leaves it
    out."""
    asked = ["app", "app:80", "app:443", "app:9000", "[::1]", "[::1]:80", "[::1]:9000"]
    found = [it for it in asked if covers(Hold(HoldKind.HOST, it, 0, "ada"), "c", "w", url)]
    assert found == names


def test_names_are_brought_into_one_spelling() -> None:
    """A host is not told from itself by case; a default port that was given stays."""
    assert read_name(HoldKind.HOST, "App:9000") == "app:9000"
    assert read_name(HoldKind.HOST, "app:443") == "app:443"
    assert read_name(HoldKind.HOST, "app:80") == "app:80"
    assert read_name(HoldKind.HOST, "[::1]") == "[::1]"
    assert read_name(HoldKind.WORKFLOW, "w" * 128) == "w" * 128
    assert read_name(HoldKind.CLIENT, "c" * 64) == "c" * 64


@pytest.mark.parametrize("name", ["a b", "größe", "a\t", "a|b", "50%", "a\x1b[31m"])
def test_what_a_host_is_called_is_said(name: str) -> None:
    """To who holds one, in words about names of hosts: nobody has a URL to encode here."""
    with pytest.raises(Refused) as refused:
        read_name(HoldKind.HOST, name)
    said = refused.value.detail
    assert said.startswith(f"{name!r} is no host, whose name has letters, digits, ")
    assert said.endswith("with a port or without: app:9000, app, [::1]:9000.")
    assert "encode" not in said


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("host", ""),
        ("host", "http://app:9000"),
        ("host", "app:9000/path"),
        ("host", "me@app"),
        ("host", "::1"),
        ("host", "app:0"),
        ("client", ""),
        ("client", "c" * 65),
        ("client", "a/b"),
        ("workflow", ""),
        ("workflow", "w" * 129),
        ("workflow", "w\n"),
    ],
)
def test_what_cannot_be_a_name_is_refused(kind: str, name: str) -> None:
    """With the member, and what would do."""
    with pytest.raises(Refused) as refused:
        read_name(HoldKind(kind), name)
    assert (refused.value.problem, refused.value.members) == (
        Problem.INVALID_REQUEST,
        {"member": "name"},
    )


def _held_for(ms: int) -> Driven:
    """A root that failed once, and was held when it was due, for so long."""
    driven = Driven(IN_TEN_MINUTES)
    driven.start()
    driven.end("root", BAD)
    driven.now += 1_000
    assert driven.hold() == ["root"]
    driven.now += ms
    driven.let_go()
    return driven


def test_max_elapsed_stands_still_under_a_hold() -> None:
    """An hour under a hold leaves a policy of ten minutes its ten minutes."""
    driven = _held_for(HOUR)
    assert driven.end("root", BAD).state is StepState.BACKING_OFF
    driven.now += 600_000
    driven.start()
    assert driven.end("root", BAD).state is StepState.FAILED


def test_the_time_under_a_hold_is_that_of_the_hold_alone() -> None:
    """Nine minutes of its own before the hold, and two after it: that is more than ten."""
    driven = Driven(IN_TEN_MINUTES)
    driven.now += 540_000
    driven.hold()
    driven.now += HOUR
    driven.let_go()
    assert driven.end("root", BAD).state is StepState.BACKING_OFF
    driven.now += 60_000
    driven.start()
    assert driven.end("root", BAD).state is StepState.FAILED


def test_a_call_that_ends_under_a_hold_is_not_too_late_for_it() -> None:
    """It was in flight when the hold came: what passed since then does not count either."""
    for is_held in (False, True):
        driven = Driven(IN_TEN_MINUTES)
        driven.start()
        driven.now += HOUR
        if is_held:
            note_held(driven.flight(), 1_000)
        state = driven.end("root", BAD).state
        assert state is (StepState.BACKING_OFF if is_held else StepState.FAILED)


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
def test_a_held_step_can_be_steered(action: Action) -> None:
    """Cancelled it is over, paused it is paused; nothing of the hold is left."""
    driven = started("a")
    driven.end("a", BAD)
    driven.now += 1_000
    assert driven.hold() == ["a"]
    driven.act(action, "a")
    assert driven.step("a").held_since is None
    if action is Action.PAUSE:
        driven.now += HOUR
        driven.act(Action.RESUME, "a")
        assert driven.hold() == ["a"], "it wants to start, and the hold is asked again"


def test_a_retry_of_a_held_step_makes_it_due_and_does_not_start_it() -> None:
    """The hold has the last word."""
    driven = started("a")
    driven.end("a", BAD)
    driven.now += 1_000
    driven.hold()
    driven.act(Action.RETRY, "a")
    assert driven.hold() == []
    driven.let_go("a")
    assert driven.step("a").state is StepState.RUNNING


def test_a_crash_leaves_what_is_held_as_it_is() -> None:
    """It is held when it is read again, and by nothing else."""
    driven = started("a")
    driven.end("a", BAD)
    driven.now += 1_000
    driven.hold()
    driven.crash()
    assert driven.step("a").held_since == 1_000
    driven.let_go("a")


def test_what_was_kept_is_due_when_it_is_let_go_whatever_the_clock_says() -> None:
    """It was due before the hold kept it: a clock that is set back over a restart does not make it
    wait for its back-off again."""
    driven = Driven(RetryPolicy(count=9, back_off_ms=60_000, factor=1, jitter=0))
    driven.now = HOUR
    driven.start()
    driven.end("root", BAD)
    driven.now += 65_000
    assert driven.hold() == ["root"]
    for now in (HOUR + 5_000, 0):
        driven.now = now
        driven.crash()
        assert driven.step().due_at == now
    driven.let_go()


def test_a_pause_under_a_hold_is_taken_off_once() -> None:
    """Held for an hour, paused and resumed meanwhile, before it was due and since: of ten minutes
    ten are left, and no more."""
    for paused_at in (500, 2_000, 900_000):
        driven = Driven(IN_TEN_MINUTES)
        driven.start()
        driven.end("root", BAD)
        held_at = 0 if paused_at == 500 else 1_000
        if paused_at > 1_000:
            driven.now = 1_000
            driven.hold(held_at)
        driven.now = paused_at
        driven.act(Action.PAUSE)
        driven.now = paused_at + HOUR
        driven.act(Action.RESUME)
        assert driven.hold(held_at) == ["root"]
        driven.now += HOUR
        driven.let_go()
        lived_ms = driven.now - driven.step().paused_ms
        assert lived_ms == (500 if paused_at == 500 else 1_000)
        driven.now += 600_000
        assert driven.end("root", BAD).state is StepState.FAILED


def test_a_call_that_ends_paused_and_held_is_not_given_the_time_twice() -> None:
    """More than ten minutes before both began: it is exhausted, however long both take; a pause
    alone, and a hold alone, leave it what it had."""
    for before_ms, paused, held, reason in (
        (601_000, True, True, PauseReason.EXHAUSTED),
        (598_000, True, True, PauseReason.OPERATOR),
        (598_000, True, False, PauseReason.OPERATOR),
        (598_000, False, True, None),
    ):
        driven = Driven(IN_TEN_MINUTES)
        driven.start()
        driven.now = before_ms
        if paused:
            driven.act(Action.PAUSE)
        if held:
            note_held(driven.flight(), before_ms)
        driven.now += HOUR
        assert driven.end("root", BAD).pause_reason is reason
