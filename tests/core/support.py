"""A run driven by hand, and what must hold of a run after every change.

`Driven` stands where the engine stands: it makes one `Change` for each thing that happens,
closes it, keeps the events, and asks `check` after every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from engine.core.events import Actor, Event, Held, Started
from engine.core.machine import Change, evolve
from engine.core.model import ENDED, Flight, Run, Step, StepSpec, StepState, rebuild
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retarget import read_move
from engine.core.retry import RetryPolicy
from engine.core.rules import action as actions
from engine.core.rules import post
from engine.core.rules.action import Action, Order
from engine.core.rules.attempt import drain, recover, settle
from engine.core.rules.hold import held_since
from engine.core.rules.next import decide, put_back
from engine.core.rules.post import Parent, Placed, RunLimits
from engine.core.rules.repair import Given
from engine.core.table import TABLE, row_of

ROOT_URL = "http://app:9000/workflows/sign-up"
OK = Answered(200, b"{}")
BAD = Answered(500)
LETS_OUT = Answered(424)
"""A function that says that the failure of a step ends it."""
LOST = Unanswered(CallError.CONNECTION_LOST, "reset by peer")
SUSPEND = Answered(200, suspend=True)
EXACT = RetryPolicy(jitter=0.0)
"""The default delays without jitter: 1,000 ms, 2,000 ms, 4,000 ms, …"""


def spec(
    name: str,
    *,
    payload: str = "",
    retry: RetryPolicy | None = EXACT,
    url: str | None = None,
    key: str = "k",
) -> StepSpec:
    """The spec of a post to the endpoint called `name` (the root's is `root`)."""
    url = url or (ROOT_URL if name == "root" else f"http://app:9000/steps/{name}")
    return StepSpec("signUp", key, url, url, name, payload.encode().ljust(32, b"."), retry)


GIVEN = Given(200, b"digest")


class Driven:
    """One run whose every change is checked. Times are milliseconds on `now`."""

    def __init__(self, retry: RetryPolicy | None = EXACT) -> None:
        self.now = 0
        self.events: list[Event] = []
        self.last: list[Event] = []
        self.outcomes: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.recorded_after: list[str] = []
        """What the last action said of that."""
        self.run = Run("R", "acme", 0)
        change, placed = post.open_run(self.run, spec("root", retry=retry), self.now)
        assert placed == Placed("R", new=True)
        self._took(change)

    def _took(self, change: Change) -> None:
        change.close(self.now)
        self.last = change.events
        self.events += change.events
        check(self)

    def do(self, *events: Event) -> None:
        """Apply events as they are."""
        change = Change(self.run)
        for event in events:
            change.do(event)
        self._took(change)

    def id(self, name: str) -> str:
        """The id of the step whose endpoint is called `name`."""
        return next(step.id for step in self.run.steps.values() if step.spec.name == name)

    def step(self, name: str = "root") -> Step:
        """The step whose endpoint is called `name`."""
        return self.run.steps[self.id(name)]

    def flight(self, name: str = "root") -> Flight:
        """What is known of the attempt in flight."""
        return self.run.flights[self.id(name)]

    def parent_token(self, name: str = "root") -> Parent:
        """The parent token of the step's attempt in flight."""
        return Parent(self.id(name), self.flight(name).number)

    def post(
        self,
        posted: StepSpec | str,
        parent: Parent | str | None = None,
        limits: RunLimits | None = None,
    ) -> Placed:
        """A post to the run; `parent` names the step whose current parent token it carries."""
        posted = spec(posted) if isinstance(posted, str) else posted
        parent = self.parent_token(parent) if isinstance(parent, str) else parent
        change = Change(self.run)
        placed = post.find_or_record(change, posted, parent, limits or RunLimits(), self.now)
        self._took(change)
        return placed

    def start(self, name: str = "root") -> int:
        """Start the step's next attempt, which `decide` must want now."""
        step = self.step(name)
        assert step.id in decide(self.run, self.now).calls, f"{name} is not wanted now"
        self.do(Started(self.now, step.id, step.attempts + 1))
        return step.attempts

    def hold(self, since: int | None = None) -> list[str]:
        """A hold is over the run: what wants to start now does not; the names of those steps."""
        held = decide(self.run, self.now).calls
        for id in held:
            since = self.now if since is None else since
            self.do(Held(self.now, id, held_since(since, self.run.steps[id], self.now)))
        return [self.run.steps[id].spec.name for id in held]

    def let_go(self, name: str = "root") -> int:
        """The hold that keeps the step from starting was released: it starts."""
        step = self.step(name)
        assert step.id not in decide(self.run, self.now).calls, f"{name} is not held"
        put_back(self.run, step.id)
        return self.start(name)

    def begin(self, posted: StepSpec | str, parent: Parent | str | None = None) -> str:
        """A step is posted, and its first attempt starts; its name."""
        name = posted if isinstance(posted, str) else posted.name
        self.post(posted, parent)
        self.start(name)
        return name

    def whole(
        self, posted: StepSpec | str, parent: Parent | str | None = None, *, outcome: Outcome = OK
    ) -> None:
        """A step from its post to the end of its first attempt."""
        self.end(self.begin(posted, parent), outcome)

    def start_later(self, name: str = "root") -> int:
        """Let the time come when the step is due, and start it."""
        due_at = self.step(name).due_at
        assert due_at is not None
        self.now = max(self.now, due_at)
        return self.start(name)

    def end(self, name: str = "root", outcome: Outcome = OK, chance: float = 0.0) -> Step:
        """End the step's attempt in flight."""
        step = self.step(name)
        return self.end_attempt(name, step.attempts, outcome, chance)

    def end_attempt(
        self, name: str, number: int, outcome: Outcome = OK, chance: float = 0.0
    ) -> Step:
        """End an attempt by its number: late, perhaps."""
        change = Change(self.run)
        settle(change, self.id(name), number, outcome, now=self.now, chance=chance)
        self._took(change)
        return self.step(name)

    def drain(self) -> None:
        """A graceful stop: every attempt in flight is interrupted, parents first."""
        change = Change(self.run)
        for id in list(self.run.flights):
            if id in self.run.flights:
                drain(change, id, now=self.now, chance=0.0)
        self._took(change)

    def crash(self, *, of_copy: bool = False) -> None:
        """The engine dies and comes back with what the store has. `of_copy`: it did not, but the
        store is of a copy."""
        self.run.flights.clear()
        rebuild(self.run)
        change = Change(self.run)
        recover(change, now=self.now, chance=0.0, of_copy=of_copy)
        self._took(change)

    def act(self, action: Action, step: str | None = None, why: str | None = None) -> list[str]:
        """An operator's action; returns the names of the steps it changed."""
        change = Change(self.run)
        id = None if step is None else self.id(step)
        done = actions.act(change, Order(action, id, Actor("ada"), why), now=self.now)
        self._took(change)
        self.recorded_after = [self.run.steps[id].spec.name for id in done.recorded_after]
        return [self.run.steps[id].spec.name for id in done.changed]

    def repair(
        self, action: Action, step: str | None = None, given: Given = GIVEN, why: str | None = "so"
    ) -> list[str]:
        """What an operator gives in the place of others; returns the names of the changed steps."""
        change = Change(self.run)
        id = None if step is None else self.id(step)
        done = actions.act(change, Order(action, id, Actor("ada"), why, given=given), now=self.now)
        self._took(change)
        self.recorded_after = [self.run.steps[id].spec.name for id in done.recorded_after]
        return [self.run.steps[id].spec.name for id in done.changed]

    def retarget(self, from_url: str, to_url: str, step: str | None = None) -> list[str]:
        """The run is moved; returns the names of the steps that go along."""
        change = Change(self.run)
        id = None if step is None else self.id(step)
        move = read_move(from_url, to_url)
        order = Order(Action.RETARGET, id, Actor("ada"), None, move)
        done = actions.act(change, order, now=self.now)
        self._took(change)
        return [self.run.steps[id].spec.name for id in done.changed]

    def states(self) -> dict[str, str]:
        """Every step's state by the name of its endpoint."""
        return {step.spec.name: step.state.value for step in self.run.steps.values()}


def started(*children: str, retry: RetryPolicy | None = EXACT) -> Driven:
    """A run whose root is in flight and has posted (and seen started) these children."""
    driven = Driven(retry)
    driven.start()
    for name in children:
        driven.begin(name)
    return driven


def unchanged_by(run: Run, does: Callable[[], object], error: type[Exception]) -> Exception:
    """The exception that `does` raises, after which the run must be as it was."""
    before = deepcopy(run)
    try:
        does()
    except error as raised:
        assert run == before, "a refusal changed the run"
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def indexes(run: Run) -> dict[str, object]:
    """What `rebuild` must find again, without the order and the rubbish that may differ."""
    return {
        "by_identity": run.by_identity,
        "counts": {state: count for state, count in run.counts.items() if count},
        "ready": set(run.ready),
        "due": {
            (due_at, id)
            for due_at, id in run.due
            if run.steps[id].state is StepState.BACKING_OFF
            and run.steps[id].due_at == due_at
            and id not in run.aside
        },
        "busy_leaves": run.busy_leaves,
        "children": run.children,
        "open_children": {step.id: step.open_children for step in run.steps.values()},
    }


def fold(run: Run, events: list[Event]) -> Run:
    """An empty run after these events, each of which leads where the table says."""
    folded = Run(run.id, run.client, run.submitted_at)
    for event in events:
        before = row_of(folded, folded.steps.get(event.step_id))
        evolve(folded, event)
        after = row_of(folded, folded.steps[event.step_id])
        assert after in (TABLE[before][type(event)] or {before}), (before, event)
    return folded


def _flights(run: Run) -> dict[str, tuple[int, int, bool]]:
    return {
        id: (flight.number, flight.progress_at_start, flight.child_ended)
        for id, flight in run.flights.items()
    }


def check(driven: Driven) -> None:
    """Assert everything that must hold of a run between two changes."""
    run = driven.run
    found = indexes(run)
    assert found == indexes(rebuild(deepcopy(run))), "an index is not what a recount gives"
    folded = fold(run, driven.events)
    assert folded.steps == run.steps, "the events do not tell the same story as the run"
    assert indexes(folded) == found
    assert _flights(folded) == _flights(run)
    for member in ("rev", "progress", "shown", "dismissed", "moves"):
        assert getattr(folded, member) == getattr(run, member), member
    assert run.shown is run.state
    for step in run.steps.values():
        _check_step(run, step)
    _check_alive(run)
    _check_decide(run, driven.now)
    _check_outcomes(driven)


def _check_step(run: Run, step: Step) -> None:
    state = step.state
    assert (state is StepState.RUNNING) == (step.id in run.flights), step.id
    assert (state is StepState.PAUSED) == (step.resumes_to is not None), step.id
    assert (state in ENDED) == (step.ended_at is not None), step.id
    assert not step.pause_asked or state is StepState.RUNNING, step.id
    assert not step.cancel_asked or state is StepState.RUNNING, step.id
    assert not step.awaiting_post or state is StepState.PENDING, step.id
    may_be_held = (StepState.PENDING, StepState.BACKING_OFF)
    assert step.held_since is None or state in may_be_held, step.id
    assert (step.id in run.aside) == (step.held_since is not None), step.id
    pausing = state is StepState.PAUSED or step.pause_asked
    assert (step.pause_reason is not None) == pausing, step.id
    resting = step.resumes_to or state
    assert (resting is StepState.BACKING_OFF) == (step.due_at is not None), step.id
    parent = run.steps[step.parent_id] if step.parent_id is not None else None
    if parent is None or step.ended:
        return
    if parent.state in (StepState.FAILED, StepState.CANCELLED) or parent.cancel_asked:
        assert step.cancel_asked, f"{step.id} outlives {parent.id}"
    if step.awaiting_post:
        assert not parent.ended, f"nobody can post {step.id} again"


def _check_alive(run: Run) -> None:
    """Every open step can still come to its end."""
    calls = set(decide(run, 10**18).calls)
    moving = {
        step.id
        for step in run.steps.values()
        if step.id in calls
        or step.id in run.flights
        or step.state is StepState.PAUSED
        or step.held_since is not None
    }
    for step in reversed(run.steps.values()):  # children come after their parents
        if step.state is StepState.WAITING:
            assert any(
                child.parent_id == step.id and child.id in moving for child in run.steps.values()
            ), f"{step.id} waits for nobody"
            moving.add(step.id)
    for step in run.steps.values():
        if not step.ended and not step.awaiting_post:
            assert step.id in moving, f"{step.id} is stuck"


def _check_decide(run: Run, now: int) -> None:
    before = deepcopy(run)
    moves = decide(run, now)
    assert decide(run, now) == moves, "asking twice gives two answers"
    after = deepcopy(run)
    assert indexes(after) == indexes(before)
    after.due = before.due = []
    assert after == before, "asking changed the run"
    for id in moves.calls:
        step = run.steps[id]
        assert not step.awaiting_post
        assert id not in run.flights
        assert step.state in (StepState.PENDING, StepState.BACKING_OFF)
        assert step.due_at is None or step.due_at <= now, f"{id} is early"
        assert step.held_since is None, f"{id} is held"
    assert len(set(moves.calls)) == len(moves.calls)
    free = [step for step in run.steps.values() if step.held_since is None]
    due = [s.due_at for s in free if s.state is StepState.BACKING_OFF and s.due_at]
    assert moves.wake_at == min((at for at in due if at > now), default=None)


def _check_outcomes(driven: Driven) -> None:
    """An outcome is written once for each generation and never changed."""
    for step in driven.run.steps.values():
        if step.ended:
            url = step.ended_url or step.spec.url
            recorded = (step.spec.fingerprint, step.spec.retry, url)
            outcome = (step.state, step.ended_at, step.cause_id, step.answer_attempt, recorded)
            known = driven.outcomes.setdefault((step.id, step.generation), outcome)
            assert known == outcome, f"the outcome of {step.id} was written again"
        else:
            assert (step.id, step.generation) not in driven.outcomes, f"{step.id} lost its outcome"
