"""Why a run needs a person: the step at fault, since when, and what counts as the same cause."""

from __future__ import annotations

import json

import pytest

from engine.core.cause import (
    CAUSE_HEX_DIGITS,
    REASONS_KEPT_MAX,
    Stuck,
    cause_id,
    pattern_of,
    pattern_of_cause,
    stuck,
    what_happened,
)
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, LETS_OUT, LOST, OK, ROOT_URL, Driven, spec, started

ONCE = RetryPolicy(count=0)
PAUSES = RetryPolicy(count=0, on_exhausted=OnExhausted.PAUSE)
STEP_URL = "http://app:9000/steps/{}"


def failed(outcome: Outcome = BAD, *, now: int = 0) -> Driven:
    """A run whose only attempt ended like this."""
    driven = Driven(ONCE)
    driven.now = now
    driven.start()
    driven.end(outcome=outcome)
    return driven


def need(driven: Driven) -> Stuck:
    """Why it needs a person: the test fails if it does not."""
    found = stuck(driven.run)
    assert found is not None
    return found


def test_what_goes_well_needs_nobody() -> None:
    """Neither while it runs and backs off, nor when it has completed."""
    driven = Driven()
    assert stuck(driven.run) is None
    driven.start()
    driven.end(outcome=BAD)
    assert stuck(driven.run) is None
    driven.start_later()
    driven.end()
    assert stuck(driven.run) is None


def test_what_was_cancelled_needs_nobody() -> None:
    """An operator has decided already."""
    driven = started("a")
    driven.act(Action.CANCEL)
    assert stuck(driven.run) is None


def test_failed_by_its_own_fault() -> None:
    """The root is at fault, since the moment at which it ended."""
    driven = failed(now=7)
    assert need(driven) == Stuck(cause_id("500", ROOT_URL, "signUp", "root"), 7, "R")


def test_failed_by_a_chain_of_steps() -> None:
    """The step at the chain's end is at fault, not those that failed with it or before it."""
    driven = started()
    for name in ("a", "other"):
        driven.begin(spec(name, retry=ONCE), "root")
    driven.begin(spec("b", retry=ONCE), "a")
    driven.end("other", LOST)
    driven.now = 5
    driven.end("b", Answered(503))
    driven.post(spec("b", retry=ONCE), "a")  # is answered with its failure
    driven.flight("a").known_failure = driven.id("b")
    driven.end("a", LETS_OUT)
    driven.flight().known_failure = driven.id("a")
    driven.now = 9
    driven.end("root", LETS_OUT)
    assert driven.states()["root"] == "failed"
    wanted = cause_id("503", STEP_URL.format("b"), "signUp", "b")
    assert need(driven) == Stuck(wanted, 9, driven.id("b"))


def test_a_chain_that_leads_nowhere_ends() -> None:
    """A cause that is not there, or a circle of them, names the last step that could be found."""
    driven = failed()
    driven.step().cause_id = "R-gone"
    assert need(driven).step_id == "R"
    driven.step().cause_id = "R"
    assert need(driven).step_id == "R"


def test_paused_because_the_retries_are_used_up() -> None:
    """The cause is what went wrong the last time, as of a run that failed of it."""
    driven = Driven(PAUSES)
    driven.start()
    driven.now = 3
    driven.end(outcome=BAD)
    assert driven.step().pause_reason is PauseReason.EXHAUSTED
    assert need(driven) == Stuck(need(failed()).cause, 3, "R")


def test_paused_by_an_operator() -> None:
    """The cause is the pause, not what the attempts came to before it."""
    driven = Driven()
    driven.start()
    driven.end(outcome=BAD)
    driven.now = 4
    driven.act(Action.PAUSE)
    wanted = cause_id("paused:operator", ROOT_URL, "signUp", "root")
    assert need(driven) == Stuck(wanted, 4, "R")
    driven.act(Action.RESUME)
    assert stuck(driven.run) is None


def test_a_pause_that_is_only_asked_for() -> None:
    """While the attempt is in flight nothing waits for a person."""
    driven = started()
    driven.act(Action.PAUSE)
    assert driven.step().pause_asked
    assert stuck(driven.run) is None


def test_a_step_that_is_paused_under_a_running_root() -> None:
    """The run goes on, and needs a person all the same; of several steps the first is told."""
    driven = started()
    for name in ("a", "b"):
        driven.begin(spec(name, retry=PAUSES), "root")
    driven.now = 2
    driven.end("b", BAD)
    assert driven.run.state is StepState.RUNNING
    assert need(driven).step_id == driven.id("b")
    driven.now = 6
    driven.end("a", LOST)
    found = need(driven)
    wanted = cause_id("connection-lost", STEP_URL.format("a"), "signUp", "a")
    assert found == Stuck(wanted, 6, driven.id("a"))
    driven.act(Action.RESUME, "a")
    assert need(driven).step_id == driven.id("b")


def test_a_dismissed_run_needs_nobody_until_it_is_restored() -> None:
    """Somebody has seen it."""
    driven = failed(now=7)
    before = need(driven)
    driven.now = 20
    driven.act(Action.DISMISS)
    assert stuck(driven.run) is None
    driven.act(Action.UNDISMISS)
    assert need(driven) == before


def test_a_retry_takes_the_need_away() -> None:
    """The run is open again; when it fails again, it is stuck since then."""
    driven = failed(now=7)
    driven.now = 9
    driven.act(Action.RETRY)
    assert stuck(driven.run) is None
    driven.start()
    driven.end(outcome=BAD)
    assert need(driven).since == 9
    driven.act(Action.RETRY)
    driven.start()
    driven.end(outcome=OK)
    assert stuck(driven.run) is None


def declined(words: str | None, status: int = 402) -> Answered:
    """An answer that gives this as its reason."""
    body = b"" if words is None else json.dumps({"error": words}).encode()
    return Answered(status, body, "application/json")


def test_one_fault_of_many_orders_is_one_cause_and_another_fault_another() -> None:
    """By what the answer says, and not of which order; the status still counts."""
    one = {need(failed(declined(f"card {n} was declined"))).cause for n in (17, 4711)}
    assert len(one) == 1
    others = {
        need(failed(declined(*it))).cause
        for it in (("there is no stock",), ("card 17 was declined", 403), (None,))
    }
    assert len(one | others) == 4


def test_without_an_excerpt_it_is_what_it_was_before() -> None:
    """Also the names of steps count whole then. The names themselves are for ever, as notes of them
    are kept."""
    assert need(failed(declined(None))).cause == cause_id("402", ROOT_URL, "signUp", "root")
    assert cause_id(*CAUSE) == "41b59d38"
    assert cause_id(*CAUSE, "order * not found") == "dca0a8c7"


def test_steps_whose_names_differ_in_a_number_are_one_cause() -> None:
    """Where the answers say that it is one fault: the shards of one fan-out."""
    shards = {cause_id(*CAUSE[:3], f"shard {n}", "no space left") for n in (17, 244)}
    assert len(shards) == 1
    assert len({cause_id(*CAUSE[:3], f"shard {n}") for n in (17, 244)}) == 2


def test_where_no_answer_came_the_words_do_not_count() -> None:
    """An outage is one cause, however each connection ended; a fault of an answer is its kind."""
    lost = [Unanswered(CallError.CONNECTION_LOST, words) for words in ("reset by peer", "closed")]
    assert len({need(failed(outcome)).cause for outcome in lost}) == 1
    wanted = cause_id("connection-lost", ROOT_URL, "signUp", "root")
    assert need(failed(lost[0])).cause == wanted


def unhandled(words: str) -> Driven:
    """A run that is paused as its function did not deal with a step that failed so."""
    driven = started()
    driven.begin(spec("a", retry=ONCE), "root")
    driven.end("a", declined(words))
    driven.flight().known_failure = driven.id("a")
    driven.end("root", BAD)
    while driven.step().state is StepState.BACKING_OFF:
        driven.start_later()
        driven.end("root", BAD)
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    return driven


def test_paused_for_a_failure_that_was_not_handled() -> None:
    """What failed below tells faults apart."""
    first, second, third = (
        need(unhandled(it)).cause for it in ("card 1 was declined", "card 2 was declined", "stock")
    )
    assert first == second != third


CAUSE = ("500", "http://app:9000/a/1", "w", "step")


def test_hosts_stand_for_all_their_paths() -> None:
    """An outage is one cause, whatever is called there and by http or https."""
    cause = cause_id(*CAUSE)
    assert len(cause) == CAUSE_HEX_DIGITS
    assert cause_id("500", "https://app:9000/b?c", "w", "step") == cause


@pytest.mark.parametrize(
    "other",
    [
        ("503", *CAUSE[1:]),
        ("500", "http://app:9001/a/1", "w", "step"),
        ("500", "http://other:9000/a/1", "w", "step"),
        ("500", "http://app:9000/a/1", "v", "step"),
        (*CAUSE[:3], "other"),
    ],
)
def test_what_is_another_cause(other: tuple[str, str, str, str]) -> None:
    """Another status, host, port, workflow or step."""
    assert cause_id(*other) != cause_id(*CAUSE)


@pytest.mark.parametrize(
    ("status", "error", "what"),
    [
        (500, "http-status: answered 500", "500"),
        (404, None, "404"),
        (200, "answer-too-large: over 1 MiB", "answer-too-large"),
        (None, "connection-lost: reset by peer", "connection-lost"),
        (None, "connection-lost: closed after 17 bytes", "connection-lost"),
        (None, None, "unknown"),
    ],
)
def test_what_happened(status: int | None, error: str | None, what: str) -> None:
    """The status that was answered, or the kind of what kept it from coming, without its words."""
    assert what_happened(status, error) == what


def test_the_pattern_of_a_reason_is_found_once() -> None:
    """Lists tell the same reasons again and again. Of how many it is kept has a bound."""
    pattern_of.cache_clear()
    for _ in range(3):
        found = pattern_of_cause(None, 404, None, "order 17 not found")
        assert found == "order * not found"
    told = pattern_of.cache_info()
    assert (told.misses, told.hits, told.maxsize) == (1, 2, REASONS_KEPT_MAX)
