"""The step machine, walked by hand: every event in every state."""

from __future__ import annotations

from copy import deepcopy

import pytest

from engine.core.errors import IllegalEvent
from engine.core.events import (
    Accepted,
    Acted,
    AttemptEnded,
    CancelAsked,
    Cancelled,
    Count,
    EndedAsItIs,
    EngineErred,
    Event,
    Held,
    LateEnd,
    Paused,
    PayloadDiffered,
    PayloadSet,
    ReadAgain,
    Reopened,
    Replaced,
    ResultSet,
    Resumed,
    Retargeted,
    RunMoved,
    Started,
    Woken,
)
from engine.core.machine import evolve, park
from engine.core.model import DelayBy, PauseReason, Run, StepState, child_id
from engine.core.rules.action import Action
from engine.core.rules.next import decide
from engine.core.table import TABLE, Hidden, row_of
from tests.core.states import (
    WORLDS,
    awaiting_post,
    backing_off,
    completed,
    parked,
    pending,
)
from tests.core.support import BAD, Driven, indexes, spec, started, unchanged_by

OPEN = "pending awaiting-post running pause-asked cancel-asked backing-off waiting paused"
ENDED = "completed failed cancelled"

# Written from the contract, not from the machine's table: event → where it is legal → where
# the step stands then ("=": where it stood).
LEGAL: dict[str, dict[str, str]] = {
    "accepted": {},
    "started": dict.fromkeys(("pending", "backing-off"), "running"),
    "held": dict.fromkeys(("pending", "backing-off"), "="),
    "attempt-ended": dict.fromkeys(("running", "pause-asked", "cancel-asked"), "completed"),
    "late-end": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "cancelled": dict.fromkeys(OPEN.split(), "cancelled"),
    "cancel-asked": {
        **dict.fromkeys(("running", "pause-asked"), "cancel-asked"),
        "cancel-asked": "=",
    },
    "woken": {"backing-off": "=", "waiting": "backing-off", "paused": "="},
    "paused": {
        **dict.fromkeys(("pending", "awaiting-post", "backing-off", "waiting"), "paused"),
        "running": "pause-asked",
        **dict.fromkeys(("pause-asked", "cancel-asked"), "="),
    },
    "resumed": {
        "paused": "pending",
        "pause-asked": "running",
        **dict.fromkeys(("running", "cancel-asked"), "="),
    },
    "reopened": dict.fromkeys(ENDED.split(), "pending"),
    "result-set": dict.fromkeys(OPEN.split(), "completed"),
    "payload-set": {},  # to none but a root
    "replaced": {"awaiting-post": "pending"},
    "payload-differed": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "acted": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "engine-error": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "read-again": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "ended-as-it-is": {
        **dict.fromkeys(OPEN.split(), "cancelled"),
        **dict.fromkeys(ENDED.split(), "="),
    },
    "retargeted": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
    "run-moved": dict.fromkeys(f"{OPEN} {ENDED}".split(), "="),
}


def _event(name: str, driven: Driven) -> Event:
    step = driven.step("a")
    id, at = step.id, driven.now
    made: dict[str, Event] = {
        "accepted": Accepted(at, id, "R", step.spec, 1),
        "started": Started(at, id, step.attempts + 1),
        "held": Held(at, id, at),
        "attempt-ended": AttemptEnded(at, id, step.attempts, Count.SUCCESS, StepState.COMPLETED),
        "late-end": LateEnd(at, id, 1, 200),
        "cancelled": Cancelled(at, id),
        "cancel-asked": CancelAsked(at, id, "R"),
        "woken": Woken(at, id, DelayBy.OPERATOR),
        "paused": Paused(at, id, PauseReason.OPERATOR),
        "resumed": Resumed(at, id),
        "reopened": Reopened(at, id),
        "result-set": ResultSet(at, id, "skip", 204, "ada", "so"),
        "payload-set": PayloadSet(at, id, "ada", "so"),
        "replaced": Replaced(at, id, step.spec, 1),
        "payload-differed": PayloadDiffered(at, id, b""),
        "acted": Acted(at, id, "pause", "ada"),
        "engine-error": EngineErred(at, id, "engine-error: a bug"),
        "read-again": ReadAgain(at, id),
        "ended-as-it-is": EndedAsItIs(at, id),
        "retargeted": Retargeted(at, "R", "http://app:9000/x", "http://app:9000/y"),
        "run-moved": RunMoved(at, id, None, StepState.RUNNING),
    }
    return made[name]


OF_ROOTS = {
    "payload-set": ("pending", "backing-off", "waiting", "paused", "completed", "failed",
                    "cancelled"),
}  # fmt: skip
"""Where else the table has an event, of which a child is none."""


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", LEGAL)
def test_every_event_in_every_state(name: str, world: str) -> None:
    """A legal pair leads where the contract says; an illegal one raises and changes nothing."""
    driven = WORLDS[world]()
    run, event = driven.run, _event(name, driven)
    before = row_of(run, driven.step("a"))
    becomes = LEGAL[name].get(world)
    if becomes is None:
        unchanged_by(run, lambda: evolve(run, event), IllegalEvent)
        return
    evolve(run, event)
    assert row_of(run, driven.step("a")) == (before if becomes == "=" else becomes)


def test_the_walk_is_the_machines_table() -> None:
    """An event, a row or a pair of them that is added to the machine cannot be left out here."""
    driven = pending()
    walked = {name: type(_event(name, driven)) for name in LEGAL}
    assert {*WORLDS, "unknown"} == set(TABLE) == {*StepState, *Hidden}
    for world in WORLDS:
        row = TABLE[row_of((made := WORLDS[world]()).run, made.step("a"))]
        legal = {walked[name] for name in LEGAL if world in LEGAL[name]}
        legal |= {walked[name] for name, worlds in OF_ROOTS.items() if world in worlds}
        assert legal == set(row), world
        for name in LEGAL:
            becomes = LEGAL[name].get(world)
            if becomes is not None:
                to = row[walked[name]]
                assert becomes in to if to else becomes == "=", (name, world)
    assert set(walked.values()) == {event for row in TABLE.values() for event in row}


def test_nothing_is_recorded_of_a_parked_run() -> None:
    """Not a step that it does not have either: what memory holds of it may be wrong."""
    run, new = parked().run, spec("new")
    event = Accepted(0, child_id("R", new.identity), "R", new, 1)
    unchanged_by(run, lambda: evolve(run, event), IllegalEvent)


@pytest.mark.parametrize("state", StepState)
@pytest.mark.parametrize(
    ("world", "leaves"),
    [
        ("running", "backing-off waiting paused completed failed cancelled"),
        ("pause-asked", "paused completed failed cancelled"),
        ("cancel-asked", "completed cancelled"),
    ],
)
def test_where_an_attempt_can_leave_its_step(world: str, leaves: str, state: StepState) -> None:
    """Timed, waiting, paused or ended, never pending or running; where a pause was asked for while
    the request was open, paused or ended; where a cancel was, completed or cancelled."""
    driven = WORLDS[world]()
    run, id = driven.run, driven.id("a")
    event = AttemptEnded(
        0, id, 1, Count.FAILURE, state, due_at=5, pause_reason=PauseReason.OPERATOR
    )
    if state in leaves.split():
        evolve(run, event)
        assert driven.step("a").state is state
    else:
        unchanged_by(run, lambda: evolve(run, event), IllegalEvent)


@pytest.mark.parametrize(
    ("state", "due_at"), [(StepState.BACKING_OFF, None), (StepState.PAUSED, 5)]
)
def test_an_attempt_end_that_would_strand_its_step(state: StepState, due_at: int | None) -> None:
    """Backing off needs a time and a pause needs a reason: without one the event is illegal."""
    driven = started("a")
    event = AttemptEnded(0, driven.id("a"), 1, Count.FAILURE, state, due_at=due_at)
    unchanged_by(driven.run, lambda: evolve(driven.run, event), IllegalEvent)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_attempts_are_numbered_without_gaps(number: int) -> None:
    """Only the next number starts, and only the number in flight ends."""
    driven = backing_off()
    id, run = driven.id("a"), driven.run
    unchanged_by(run, lambda: evolve(run, Started(0, id, number)), IllegalEvent)
    evolve(run, Started(0, id, 2))
    end = AttemptEnded(0, id, number, Count.SUCCESS, StepState.COMPLETED)
    unchanged_by(run, lambda: evolve(run, end), IllegalEvent)


def test_what_cannot_be_accepted() -> None:
    """A second root, a known identity, a foreign id and a step under an ended one are illegal."""
    driven = completed()
    run, new = driven.run, spec("new")
    id = child_id("R", new.identity)
    known = child_id("R", spec("root").identity)
    for event in (
        Accepted(0, "R2", None, new, 0),
        Accepted(0, known, "R", spec("root"), 1),
        Accepted(0, "R-invented", "R", new, 1),
        Accepted(0, id, "R-nobody", new, 1),
        Accepted(0, id, driven.id("a"), new, 1),
    ):
        unchanged_by(run, lambda event=event: evolve(run, event), IllegalEvent)  # type: ignore[misc]
    other = Run("S", "acme", 0)
    unchanged_by(other, lambda: evolve(other, Accepted(0, "T", None, new, 0)), IllegalEvent)


@pytest.mark.parametrize("event", [Started(0, "R-nobody", 1), Acted(0, "R-nobody", "pause", "a")])
def test_an_event_of_an_unknown_step_is_illegal(event: Event) -> None:
    """Nothing is recorded of a step that the run does not have."""
    run = started().run
    unchanged_by(run, lambda: evolve(run, event), IllegalEvent)


def test_a_step_keeps_its_identity_when_it_is_posted_again() -> None:
    """Steps are found by identity, so a Replaced with another one is illegal."""
    driven = awaiting_post()
    run, id = driven.run, driven.id("a")
    for other in (spec("b"), spec("root")):
        event = Replaced(0, id, other, 1)
        unchanged_by(run, lambda event=event: evolve(run, event), IllegalEvent)  # type: ignore[misc]


def test_decide_gives_each_step_once_in_the_order_they_came() -> None:
    """Ready steps first, then those due; nothing of a run that is parked."""
    driven = started("a", "b")
    driven.end("b", BAD)
    driven.end("a", BAD)
    driven.act(Action.PAUSE, "a")
    driven.act(Action.RESUME, "a")  # leaves a second, equal entry on the heap
    driven.post("c")
    driven.post("d")
    names = [driven.run.steps[id].spec.name for id in decide(driven.run, 1_000).calls]
    assert names[:2] == ["c", "d"]
    assert sorted(names[2:]) == ["a", "b"]
    assert decide(driven.run, 999).wake_at == 1_000
    park(driven.run)
    moves = decide(driven.run, 1_000)
    assert (moves.calls, moves.wake_at) == ((), None)


def test_a_change_moves_the_revision_of_its_step() -> None:
    """`ifRev` sees every event of a step; a copy folded from the events has the same revision."""
    driven = started("a")
    before = deepcopy(driven.step("a"))
    driven.end("a", BAD)
    assert driven.step("a").rev > before.rev
    run_rev = driven.run.rev
    driven.start_later("a")
    assert driven.run.rev == run_rev + 1, "backing-off to running is the run's own state here"
    assert indexes(driven.run)["busy_leaves"] == 1
