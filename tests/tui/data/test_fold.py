"""Each kind of event, folded into a step that is on the screen."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import events as core
from engine.wire import StepRow
from engine.wire import events as wire
from engine.wire.events import Event
from tests.tui.support import (
    HEARTBEAT,
    NOW,
    RUN,
    STEADY,
    attempt_row,
    event,
    event_read,
    step_row,
    store_at,
    tree_read,
)
from tui.boards.rest import took_ms
from tui.data.fold import UNTOLD
from tui.data.model import State, Step
from tui.data.store import Store
from tui.data.tree import Tree

SHIP = f"{RUN}-ship"


def with_ship(*attempts: Any, root: StepRow | None = None, **more: Any) -> tuple[Store, Tree]:
    """A store with a run of two steps open: the root and `ship`."""
    store = store_at()
    ship = step_row("ship", parent=RUN, attempts=attempts, **more)
    store.apply(tree_read(root or step_row(status="waiting"), ship))
    return store, store.trees[RUN]


def ship_after(*events: Event, attempts: Any = (), **more: Any) -> Step:
    """The step `ship` after these events; nothing is left to be read again."""
    store, tree = with_ship(*attempts, **more)
    for each in events:
        store.apply(each)
    store.apply(HEARTBEAT)
    assert not tree.outdated
    return tree.steps[SHIP]


KINDS = {str(fact.__struct_config__.tag): fact for fact in get_args(wire.AnyFact)}


def test_every_kind_of_the_core_is_known() -> None:
    """With all of its members: what the core gets must be thought of here."""
    told = {fact.__struct_config__.tag: set(fact.__struct_encode_fields__)
            for fact in get_args(core.Event)}  # fmt: skip
    assert told.keys() == KINDS.keys()
    for tag, members in told.items():
        assert members <= set(KINDS[tag].__struct_encode_fields__), tag


@pytest.mark.parametrize("kind", sorted(k for k, fact in KINDS.items() if issubclass(fact, UNTOLD)))
def test_what_happens_to_a_run_is_read_again(kind: str) -> None:
    """A run that was moved has other URLs in steps that the event does not name."""
    store, tree = with_ship()
    assert not tree.outdated
    store.apply(event(kind, tree.steps[RUN].rev + 1, "running", RUN, at=5))
    assert store.trees[RUN].outdated


def test_accepted_opens_a_step() -> None:
    """It stands in the tree at once, with what its post said."""
    store, tree = with_ship()
    spec = {
        "workflow": "order.fulfil", "key": "ord-99", "url": "http://app:9000/notify",
        "stepKey": "mail", "name": "notify", "fingerprint": "x", "retry": {"count": 3},
    }  # fmt: skip
    notify = f"{RUN}-notify"
    store.apply(event("accepted", 1, "pending", notify, at=5, parentId=RUN, spec=spec))
    step = tree.steps[notify]
    assert (step.name, step.step_key, step.host) == ("notify", "mail", "app:9000")
    assert (step.state, step.rev, step.retries_max, step.tries_left) == ("pending", 1, 3, 4)
    assert step.submitted_at == NOW + 5
    assert not tree.outdated
    assert list(tree.steps) == [RUN, SHIP, notify]


def test_accepted_while_the_run_is_paused() -> None:
    """It waits for the operator too."""
    store, tree = with_ship()
    spec = {"workflow": "w", "key": "k", "url": "http://app/n", "name": "n"}
    store.apply(event("accepted", 1, "paused", "s", parentId=RUN, spec=spec, paused=True))
    assert tree.steps["s"].state is State.PAUSED
    assert tree.steps["s"].pause_reason == "operator"
    assert tree.steps["s"].retries_max == 10


def test_an_accepted_step_that_cannot_be_read_is_read_again() -> None:
    """A later engine may write specs otherwise."""
    store, tree = with_ship()
    store.apply(event("accepted", 1, "pending", "s", parentId=RUN, spec="?"))
    assert "s" not in tree.steps
    assert tree.outdated


def test_started() -> None:
    """The countdown is gone, an attempt is open."""
    step = ship_after(
        event("started", 2, "running", SHIP, at=9, number=2),
        attempts=[attempt_row(1, ended=5, delay_ms=4, delay_by="policy")],
        status="backing-off", due=9, delay_ms=4, delay_by="policy",
    )  # fmt: skip
    assert (step.state, step.attempts, step.rev) == ("running", 2, 2)
    assert (step.due_at, step.delay_ms, step.delay_by) == (None, None, None)
    opened = step.tries[-1]
    assert (opened.number, opened.status, opened.is_open) == (2, "running", True)
    assert opened.started_at == NOW + 9


def test_attempt_ended_and_is_tried_again() -> None:
    """What it was answered, when the next one is, and what set that."""
    step = ship_after(
        event(
            "attempt-ended", 2, "backing-off", SHIP, at=20, number=1, state="backing-off",
            countsAs="failure", httpStatus=503, error="http-status",
            dueAt="2026-09-21T14:13:28.020Z", delayMs=8_000, delayBy="retry-after",
        ),
        attempts=[attempt_row(1, "running")],
    )  # fmt: skip
    assert (step.state, step.failures, step.tries_left) == ("backing-off", 1, 10)
    assert (step.due_at, step.delay_ms, step.delay_by) == (NOW + 8_020, 8_000, "retry-after")
    (attempt,) = step.tries
    assert (attempt.status, attempt.ended_at, attempt.http_status) == ("failure", NOW + 20, 503)
    assert (attempt.delay_ms, attempt.delay_by) == (8_000, "retry-after")


def test_an_interruption_costs_no_retry() -> None:
    """Nor does a crash; a delay of nothing is told as one."""
    step = ship_after(
        event(
            "attempt-ended", 2, "backing-off", SHIP, number=1, state="backing-off",
            countsAs="interruption", dueAt="2026-09-21T14:13:20Z", delayBy="interrupted",
        ),
        attempts=[attempt_row(1, "running")],
    )  # fmt: skip
    assert (step.failures, step.tries_left) == (0, 11)
    assert (step.delay_ms, step.tries[0].delay_ms) == (0, 0)


def test_attempt_ended_the_step() -> None:
    """It has its end, and the workflow above it a fresh budget."""
    failing = step_row(status="waiting", attempts=[attempt_row(1, ended=1)])
    store, tree = with_ship(attempt_row(1, "running"), root=failing)
    assert tree.steps[RUN].failures == 1
    store.apply(
        event(
            "attempt-ended", 2, "completed", SHIP, at=7, number=1, state="completed",
            countsAs="success", httpStatus=200,
        )
    )  # fmt: skip
    step = tree.steps[SHIP]
    assert (step.state, step.ended_at, step.tries_left) == ("completed", NOW + 7, None)
    assert tree.steps[RUN].failures == 0
    assert not tree.outdated


def test_what_happens_to_a_completed_step_gives_no_budget() -> None:
    """Only its completion does: not that somebody posts it again later."""
    failing = step_row(status="running", attempts=[attempt_row(1, ended=1)])
    store, tree = with_ship(status="completed", ended=4, root=failing)
    store.apply(event("payload-differed", 2, "completed", SHIP, fingerprint="x"))
    assert tree.steps[RUN].failures == 1
    assert tree.steps[SHIP].ended_at == NOW + 4


def test_late_end() -> None:
    """The answer of a cancelled step's attempt changes the attempt alone."""
    step = ship_after(
        event("late-end", 2, "cancelled", SHIP, at=30, number=1, httpStatus=200),
        attempts=[attempt_row(1, "running")], status="cancelled", ended=10,
    )  # fmt: skip
    assert (step.state, step.ended_at) == ("cancelled", NOW + 10)
    assert (step.tries[0].status, step.tries[0].ended_at) == ("late", NOW + 30)


def test_cancelled() -> None:
    """Nothing of its timers is left."""
    step = ship_after(
        event("cancelled", 2, "cancelled", SHIP, at=3, causeId=RUN),
        status="backing-off", due=9_000, delay_ms=9_000, delay_by="policy",
    )  # fmt: skip
    assert (step.state, step.ended_at, step.cause_id) == ("cancelled", NOW + 3, RUN)
    assert (step.due_at, step.delay_ms, step.delay_by) == (None, None, None)


def test_cancel_asked() -> None:
    """Its attempt is the last, because of another step."""
    step = ship_after(event("cancel-asked", 2, "running", SHIP, causeId=f"{RUN}-pay"))
    assert (step.state, step.cause_id) == ("running", f"{RUN}-pay")


def test_woken_by_an_operator_and_by_a_child() -> None:
    """It is due now, or when the event says."""
    backing_off: dict[str, Any] = {"status": "backing-off", "due": 9_000, "delay_ms": 9_000}
    step = ship_after(event("woken", 2, "backing-off", SHIP, at=4, by="operator"), **backing_off)
    assert (step.due_at, step.delay_by, step.delay_ms) == (NOW + 4, "operator", 9_000)
    later = event(
        "woken", 2, "backing-off", SHIP, at=4, by="child-ended", dueAt="2026-09-21T14:13:21Z"
    )
    step = ship_after(later, status="waiting")
    assert (step.due_at, step.delay_by, step.delay_ms) == (NOW + 1_000, "child-ended", 0)


def test_paused_and_resumed() -> None:
    """Its time is kept meanwhile."""
    backing_off: dict[str, Any] = {"status": "backing-off", "due": 9_000, "delay_by": "policy"}
    paused = event("paused", 2, "paused", SHIP, reason="operator")
    step = ship_after(paused, **backing_off)
    assert (step.state, step.pause_reason, step.due_at) == ("paused", "operator", NOW + 9_000)
    step = ship_after(paused, event("resumed", 3, "backing-off", SHIP), **backing_off)
    assert (step.state, step.pause_reason, step.due_at) == ("backing-off", None, NOW + 9_000)


def test_resumed_with_fresh_retries() -> None:
    """What was paused as its retries were used up is due at once and has all of them again."""
    step = ship_after(
        event("resumed", 2, "backing-off", SHIP, at=6, fresh=True),
        attempts=[attempt_row(1, ended=1)], status="paused", pause_reason="exhausted",
        retries_max=0,
    )  # fmt: skip
    assert (step.failures, step.due_at, step.delay_by) == (0, NOW + 6, "operator")


def test_reopened() -> None:
    """The next generation begins; what the last one came to is gone, its attempts are not."""
    step = ship_after(
        event("reopened", 2, "pending", SHIP, awaitingPost=True),
        attempts=[attempt_row(1, ended=1)], status="failed", ended=1, http_status=402,
        error="http-status", cause_id="x",
    )  # fmt: skip
    assert (step.state, step.generation, step.failures) == ("pending", 2, 0)
    assert (step.ended_at, step.http_status, step.error, step.cause_id) == (None,) * 4
    assert step.awaiting_post
    assert len(step.tries) == 1


def test_replaced() -> None:
    """Posted again it takes what that post says."""
    spec = {"url": "http://other/ship", "name": "ship2", "retry": {"count": 1}}
    step = ship_after(
        event("replaced", 2, "pending", SHIP, at=8, spec=spec), status="pending", awaiting_post=True
    )
    assert (step.name, step.url, step.retries_max) == ("ship2", "http://other/ship", 1)
    assert (step.awaiting_post, step.submitted_at) == (False, NOW + 8)


def _done(rev: int) -> tuple[Event, Event]:
    """Its second attempt, which is the first of its generation, and completes it."""
    return (
        event("started", rev, "running", SHIP, at=1_100, number=2),
        event("attempt-ended", rev + 1, "completed", SHIP, at=1_200, number=2, countsAs="success",
              state="completed", httpStatus=200),
    )  # fmt: skip


def test_how_long_a_step_took_is_told_of_its_generation() -> None:
    """From its post or its opening to its end, with what it waited before its first attempt; one
    that was posted again, from that post. While it goes on nothing is told."""
    first: dict[str, Any] = {"attempts": [attempt_row(1, began=40, ended=50)], "ended": 50}
    assert took_ms(ship_after(status="failed", **first)) == 50
    reopened = event("reopened", 2, "pending", SHIP, at=1_000)
    assert took_ms(ship_after(reopened, status="failed", **first)) is None
    assert took_ms(ship_after(reopened, *_done(3), status="failed", **first)) == 200
    spec = {"url": "http://other/ship", "name": "ship", "retry": {"count": 1}}
    posted = event("replaced", 3, "pending", SHIP, at=1_050, spec=spec)
    assert took_ms(ship_after(reopened, posted, *_done(4), status="failed", **first)) == 150
    assert took_ms(ship_after(status="cancelled", ended=50)) is None, "it was never called"


def test_run_moved() -> None:
    """The run is in another state, in the list as in the tree."""
    store, tree = with_ship()
    store.apply(event("run-moved", 2, "failed", at=11))
    assert (tree.run.state, tree.run.rev, tree.run.ended_at) == ("failed", 2, NOW + 11)
    assert store.runs[RUN] == tree.run
    store.apply(event("run-moved", 2, "running", at=12))
    assert tree.run.state is State.FAILED  # an old one


def test_a_tree_hears_of_its_run_when_the_list_does_not_know_it() -> None:
    """Runs that are kept are bounded; one that is open moves on all the same."""
    store, tree = with_ship()
    store.runs.clear()
    store.apply(event("run-moved", 2, "completed"))
    assert tree.run.state is State.COMPLETED


# -- revisions -------------------------------------------------------------------------------------


def test_an_old_event_is_ignored() -> None:
    """The answer that was read has it already."""
    step = ship_after(event("started", 4, "running", SHIP, number=1), rev=4, status="backing-off")
    assert step.state is State.BACKING_OFF
    assert step.attempts == 0


def test_a_skipped_revision_makes_the_tree_outdated() -> None:
    """When the stream has gone on to something else, what is missing was missed."""
    store, tree = with_ship()
    store.apply(event("started", 3, "running", SHIP, number=1))
    waits = not tree.outdated  # the other event of the same change may follow
    store.apply(HEARTBEAT)
    assert (waits, tree.outdated) == (True, True)
    assert tree.steps[SHIP].rev == 3


@pytest.mark.parametrize(
    "other",
    [
        event("paused", 4, "paused", SHIP, reason="operator"),
        event("run-moved", 2, "running"),
        event_read("f-9", "counts", {"counts": {}}),
        event_read("f-9", "step", {"kind": "acted", "runId": "r", "stepId": "r", "rev": 2}),
    ],
)
def test_what_tells_that_a_revision_was_skipped(other: Event) -> None:
    """Another change of the step, the end of its change, another run, or no event of a run."""
    store, tree = with_ship()
    store.apply(event("started", 3, "running", SHIP, number=1))
    store.apply(other)
    assert tree.outdated


def test_events_of_one_change_have_one_revision() -> None:
    """The engine numbers them with what the step is after all of them: each is folded, once."""
    acted = event("acted", 3, "backing-off", SHIP, action="retry", actor="ada")
    woken = event("woken", 3, "backing-off", SHIP, at=5, by="operator")
    step = ship_after(acted, woken, woken, status="backing-off", due=9_000, delay_ms=9_000)
    assert (step.rev, step.due_at) == (3, NOW + 5)


def test_an_unknown_kind_or_step_is_read_again() -> None:
    """A later engine's events are not guessed at."""
    store, tree = with_ship()
    store.apply(event("teleported", 2, "running", SHIP))
    assert tree.outdated
    store, tree = with_ship()
    store.apply(event("started", 2, "running", f"{RUN}-unknown", number=1))
    assert tree.outdated


def test_a_dismissal_is_read_again() -> None:
    """It changes the run, whose revision is not in the event: an action on it needs that."""
    store, tree = with_ship()
    store.apply(event("acted", 2, "waiting", action="dismiss", actor="ada", dismissed=True))
    assert tree.outdated


def test_an_answer_may_be_older_than_the_events() -> None:
    """A step at a time the newer one is kept, also whether its workflow has a fresh budget."""
    failing = step_row(status="waiting", attempts=[attempt_row(1, ended=1)])
    ship = step_row("ship", parent=RUN, attempts=[attempt_row(1, "running")])
    store = store_at()
    store.apply(tree_read(failing, ship))
    store.apply(event("attempt-ended", 2, "completed", SHIP, number=1, state="completed",
                      countsAs="success"))  # fmt: skip
    store.apply(event("run-moved", 2, "waiting"))
    before = store.trees[RUN]
    store.apply(tree_read(failing, ship))
    after = store.trees[RUN]
    assert after.steps == before.steps
    assert (after.run.rev, store.runs[RUN].rev) == (2, 2)
    assert not after.outdated


def test_an_old_answer_does_not_mend_what_was_missed_since() -> None:
    """It was asked for before: the tree stays outdated until a newer one comes."""
    store, _ = with_ship()
    store.apply(event("started", 3, "running", SHIP, number=1))
    store.apply(HEARTBEAT)
    old = tree_read(step_row(status="waiting"), step_row("ship", parent=RUN, rev=2))
    store.apply(old)
    assert store.trees[RUN].outdated
    store.apply(tree_read(step_row(status="waiting"), step_row("ship", parent=RUN, rev=3)))
    assert not store.trees[RUN].outdated


anything: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 3, 2**63, 10**40, 1.5, float("inf"), float("nan"), "", "x",
        "paused", "success", "failure", RUN, SHIP, "2026-09-21T14:13:28Z", "2026-09-21",
        "0001-01-01", "9999-12-31T23:59:59-23:59", "\x1b[31m", "\ud800", [], [[]], ["x"], {},
        {"url": 1}, {"count": True}, {"retry": {"count": -1}},
        {"pending": "x", "running": 3, "": []},
    ]
)  # fmt: skip
MEMBERS = (
    "kind", "at", "status", "rev", "number", "countsAs", "httpStatus", "error", "dueAt", "delayMs",
    "delayBy", "pauseReason", "causeId", "reason", "by", "fresh", "awaitingPost", "spec",
    "parentId", "dismissed", "serverTime", "instance", "counts", "state", "runId", "stepId",
)  # fmt: skip


@STEADY
@given(
    st.sampled_from(["run", "step", "attempt", "counts", "heartbeat", "reset", "weather"]),
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=8),
)
def test_hostile_members_cannot_raise(name: str, kind: str, members: dict[str, Any]) -> None:
    """Whatever JSON an event has where: it is folded, or left alone."""
    store, _ = with_ship(attempt_row(1, "running"))
    known = {"kind": kind, "runId": RUN, "stepId": SHIP, "rev": 2, "status": "running"}
    store.apply(event_read("f-1", name, known | members))
    store.apply(HEARTBEAT)
    for step in store.trees[RUN].steps.values():
        assert isinstance(step.rev, int)
        assert isinstance(step.state, State)
