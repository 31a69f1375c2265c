"""The step machine: one table for root and child steps, and the fold over events.

Rule 1: whatever changes a run's records lives in this file. `evolve` is the only function that
does, and it does so for one event at a time, whole or not at all.

Rule 2: this file does not judge. Whether an answer is a failure, when the next attempt is due, who
is cancelled with whom: `settle.py`, `place.py` and `actions.py` decide that and say it in events.

Theory. A step is `pending` until its first request leaves, `running` while a request is open, and
between requests `backing-off` (it has a time) or `waiting` (a child's end brings it back). It ends
`completed`, `failed` or `cancelled`, and what ended may begin its next generation (`Reopened`).
`paused` is reached from any open state; a step whose request is open is only marked
(`pause_asked`) and pauses when the request is over. A pair that is not in the table is an error and
changes nothing.

If you add a state: `run_state`, `rebuild` and the front's words need it too. If you add an event,
`FROM` must name it, or evolve refuses it.
"""

from __future__ import annotations

from copy import copy
from heapq import heappush
from typing import assert_never

from msgspec import Struct, field

from engine.core.alive import may_post_since
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
    LateEnd,
    Paused,
    PayloadDiffered,
    ReadAgain,
    Reopened,
    Replaced,
    Resumed,
    Retargeted,
    RunMoved,
    Started,
    Woken,
)
from engine.core.model import (
    ENDED,
    DelayBy,
    Flight,
    Move,
    PauseReason,
    Run,
    Step,
    StepState,
)
from engine.core.retarget import moved_spec, new_child_id

P, R, B, W, H = (
    StepState.PENDING,
    StepState.RUNNING,
    StepState.BACKING_OFF,
    StepState.WAITING,
    StepState.PAUSED,
)
C, F, X = StepState.COMPLETED, StepState.FAILED, StepState.CANCELLED
SAME = frozenset[StepState]()
"""The event leaves the state as it is."""

FROM: dict[type, dict[StepState, frozenset[StepState]]] = {
    # event        from      to (one of)
    Started: {P: frozenset({R}), B: frozenset({R})},
    AttemptEnded: {R: frozenset({B, W, H, C, F, X})},
    LateEnd: dict.fromkeys(StepState, SAME),
    Cancelled: dict.fromkeys((P, R, B, W, H), frozenset({X})),
    CancelAsked: {R: SAME},
    Woken: {W: frozenset({B}), B: frozenset({B}), H: SAME},
    Paused: {P: frozenset({H}), B: frozenset({H}), W: frozenset({H}), R: SAME},
    Resumed: {H: frozenset({P, B, W}), R: SAME},
    Reopened: dict.fromkeys((C, F, X), frozenset({P})),
    Replaced: {P: SAME},
    PayloadDiffered: dict.fromkeys(StepState, SAME),
    Acted: dict.fromkeys(StepState, SAME),
    EngineErred: dict.fromkeys(StepState, SAME),
    ReadAgain: dict.fromkeys(StepState, SAME),
    EndedAsItIs: {
        **dict.fromkeys((P, R, B, W, H), frozenset({X})),
        **dict.fromkeys((C, F, X), SAME),
    },
    Retargeted: dict.fromkeys(StepState, SAME),
    RunMoved: dict.fromkeys(StepState, SAME),
}


class Change(Struct):
    """A run being changed: the events so far and the steps they touched, for one write."""

    run: Run
    events: list[Event] = field(default_factory=list)
    touched: dict[str, Step] = field(default_factory=dict)
    ended: list[Step] = field(default_factory=list)
    """Steps whose generation ended in this change: each gets its outcome recorded."""

    def do(self, event: Event) -> Step:
        """Apply one event; returns its step. Raises IllegalEvent and changes nothing."""
        steps, id = self.run.steps, event.step_id
        before = steps.get(id)
        was_open = before is not None and before.state not in ENDED
        for step in evolve(self.run, event):
            self.touched[step.id] = step
        self.events.append(event)
        step = steps[id]
        if was_open and step.state in ENDED:
            self.ended.append(copy(step))
        return step

    def close(self, now: int) -> None:
        """Say so if the run's own state has changed. The last thing before a write."""
        state = self.run.state
        if state is not self.run.shown:
            self.do(RunMoved(now, self.run.id, self.run.shown, state))


def evolve(run: Run, event: Event) -> tuple[Step, ...]:
    """Fold one event into the run; returns the steps whose records it changed.

    Raises IllegalEvent, with the run untouched, for a pair that is not in the table.
    """
    if isinstance(event, Accepted):
        return _accept(run, event)
    step = run.steps.get(event.step_id)
    if step is None:
        raise IllegalEvent(f"{type(event).__name__} for unknown step {event.step_id}")
    allowed = FROM[type(event)].get(step.state)
    if allowed is None:
        raise IllegalEvent(f"{type(event).__name__} while step {step.id} is {step.state}")
    parent = None if step.parent_id is None else run.steps[step.parent_id]
    parent_failures = 0 if parent is None else parent.failures
    match event:
        case AttemptEnded():
            if event.state not in allowed:
                raise IllegalEvent(f"an attempt cannot leave step {step.id} {event.state}")
            _check_flight(run, step, event.number)
            _check_rest(step, event)
            _end_attempt(run, step, event)
        case Started():
            if step.id in run.flights or event.number != step.attempts + 1:
                raise IllegalEvent(f"attempt {event.number} of {step.id} cannot start")
            if step.awaiting_post:
                raise IllegalEvent(f"step {step.id} has not been posted again")
            _start(run, step, event)
        case Cancelled():
            step.cause_id = event.cause_id
            _finish(run, step, X, event.at)
        case CancelAsked():
            step.cancel_asked, step.cause_id = True, event.cause_id
        case Woken() | Paused() | Resumed():
            _steer(run, step, event)
        case Reopened():
            _reopen(run, step, event)
        case Replaced():
            if not step.awaiting_post:
                raise IllegalEvent(f"step {step.id} does not wait for a post")
            if event.spec.identity != step.spec.identity:
                raise IllegalEvent(f"another identity than step {step.id} has was posted")
            _replace(run, step, event)
        case Acted():
            if event.dismissed is not None:
                run.dismissed = event.dismissed
                run.rev += 1
        case RunMoved():
            run.shown = event.state
            run.rev += 1
            return ()
        case EngineErred():
            run.engine_error, run.stopped_at = event.error, event.at
        case ReadAgain():
            run.engine_error = None
        case EndedAsItIs():
            return _end_as_it_is(run, event)
        case Retargeted():
            return _retarget(run, event)
        case LateEnd() | PayloadDiffered():
            pass
        case _:
            assert_never(event)
    step.rev += 1
    if parent is not None and parent.failures != parent_failures:
        return (step, parent)
    return (step,)


def _check_flight(run: Run, step: Step, number: int) -> None:
    flight = run.flights.get(step.id)
    if number != step.attempts or (flight is not None and flight.number != number):
        raise IllegalEvent(f"attempt {number} of {step.id} is not the one in flight")


def _check_rest(step: Step, event: AttemptEnded) -> None:
    if (event.state is B and event.due_at is None) or (
        event.state is H and event.pause_reason is None
    ):
        raise IllegalEvent(f"step {step.id} {event.state} without a time or a reason")
    if step.pause_asked and event.state in (B, W):
        raise IllegalEvent(f"step {step.id} is to pause, not to be {event.state}")


def _accept(run: Run, event: Accepted) -> tuple[Step, ...]:
    identity = event.spec.identity
    if event.step_id in run.steps or identity in run.by_identity:
        raise IllegalEvent(f"step {event.step_id} is already recorded")
    parent: Step | None = None
    if event.parent_id is None:
        if run.steps or event.step_id != run.id:
            raise IllegalEvent("the root is the first step and gives the run its id")
    else:
        parent = run.steps.get(event.parent_id)
        if parent is None or parent.ended or event.step_id != new_child_id(run, event.spec):
            raise IllegalEvent(f"step {event.step_id} has no open parent {event.parent_id}")
    step = Step(
        id=event.step_id,
        run_id=run.id,
        parent_id=event.parent_id,
        ordinal=len(run.steps),
        depth=0 if parent is None else parent.depth + 1,
        spec=event.spec,
        submitted_at=event.at,
        opened_at=event.at,
        recorded_by=event.recorded_by,
        state=H if event.paused else P,
        rev=1,
    )
    if event.paused:
        step.paused_at, step.resumes_to = event.at, P
        step.pause_reason = PauseReason.OPERATOR
    else:
        run.ready[step.id] = None
    run.steps[step.id] = step
    run.by_identity[identity] = step.id
    run.counts[step.state] = run.counts.get(step.state, 0) + 1
    run.progress += 1
    if parent is None:
        return (step,)
    run.children.setdefault(parent.id, []).append(step.id)
    _count_child(run, parent, +1)
    return (step,)


def _retarget(run: Run, event: Retargeted) -> tuple[Step, ...]:
    """Every step, also those that ended, under the URL that its own stands for now."""
    move = Move(event.from_url, event.to_url, event.at)
    specs = {step.id: moved_spec(step.spec, (move,)) for step in run.steps.values()}
    by_identity = {spec.identity: id for id, spec in specs.items()}
    if len(by_identity) != len(specs):
        raise IllegalEvent(f"two steps of {run.id} would become one")
    run.moves = (*run.moves, move)
    run.by_identity = by_identity
    changed = [s for s in run.steps.values() if specs[s.id].url != s.spec.url or s.is_root]
    for step in changed:
        if step.ended and step.ended_url is None and specs[step.id].url != step.spec.url:
            step.ended_url = step.spec.url
        step.spec = specs[step.id]
        step.rev += 1
    return tuple(changed)


def _count_child(run: Run, parent: Step, by: int) -> None:
    was_leaf = not parent.open_children
    parent.open_children += by
    assert parent.open_children >= 0, parent.id
    flight = run.flights.get(parent.id)
    if flight is not None and by > 0:
        flight.parent_now = True
    if parent.state is R and was_leaf != (not parent.open_children):
        run.busy_leaves += -1 if was_leaf else +1


def _move(run: Run, step: Step, state: StepState) -> None:
    """Change a step's state and every count that depends on it."""
    leaf = not step.open_children
    run.counts[step.state] -= 1
    run.counts[state] = run.counts.get(state, 0) + 1
    run.busy_leaves += (state is R and leaf) - (step.state is R and leaf)
    step.state = state
    run.ready.pop(step.id, None)
    if state is P and not step.awaiting_post:
        run.ready[step.id] = None
    elif state is B:
        assert step.due_at is not None
        heappush(run.due, (step.due_at, step.id))


def _start(run: Run, step: Step, event: Started) -> None:
    step.attempts = event.number
    step.due_at, step.delay_ms, step.delay_by = None, 0, None
    run.flights[step.id] = Flight(
        number=event.number,
        progress_at_start=run.progress,
        parent_now=step.open_children > 0,
    )
    _move(run, step, R)


def _end_attempt(run: Run, step: Step, event: AttemptEnded) -> None:
    run.flights.pop(step.id, None)
    step.http_status, step.error, step.excerpt = event.http_status, event.error, event.excerpt
    step.interruptions = event.interruptions
    if event.counts_as is Count.CRASH:
        step.crashes, step.crash_mark = event.crashes, run.progress
    else:
        step.crashes = 0
    if event.counts_as is Count.FAILURE:
        step.failures += 1
    step.due_at, step.delay_ms, step.delay_by = event.due_at, event.delay_ms, event.delay_by
    if step.is_root and event.state not in ENDED:
        step.may_post = may_post_since(run, event)
    if event.state in ENDED:
        step.cause_id = event.cause_id
        step.answer_attempt = event.number
        _finish(run, step, event.state, event.at)
        return
    if event.state is H:
        step.resumes_to = B if event.due_at is not None else W
        step.pause_reason, step.pause_asked = event.pause_reason, False
        if step.paused_at is None:  # else the pause began while the request was open
            step.paused_at = event.at
    _move(run, step, event.state)


def _finish(run: Run, step: Step, state: StepState, at: int) -> None:
    """End a generation: nothing of its timers, marks or pause is left."""
    counted = not step.awaiting_post
    run.flights.pop(step.id, None)
    step.due_at, step.delay_ms, step.delay_by = None, 0, None
    step.pause_asked, step.cancel_asked, step.awaiting_post = False, False, False
    step.may_post = False
    step.paused_at, step.pause_reason, step.resumes_to = None, None, None
    step.ended_at = at
    _move(run, step, state)
    run.progress += 1
    if step.parent_id is not None and counted:
        parent = run.steps[step.parent_id]
        _count_child(run, parent, -1)
        if state is C:
            parent.failures = 0  # the workflow has come further: its budget is fresh again
        if (flight := run.flights.get(parent.id)) is not None:
            flight.child_ended = True


def _steer(run: Run, step: Step, event: Woken | Paused | Resumed) -> None:
    match event:
        case Woken():
            step.due_at = event.at if event.due_at is None else event.due_at
            step.delay_by = event.by
            if step.state is H:
                step.resumes_to = B
            else:
                _move(run, step, B)
        case Paused():
            step.pause_reason = event.reason
            if step.state is R:
                step.paused_at = step.paused_at if step.pause_asked else event.at
                step.pause_asked = True
                return
            step.resumes_to, step.paused_at = step.state, event.at
            _move(run, step, H)
        case Resumed():
            step.pause_reason, step.pause_asked = None, False
            if step.paused_at is not None:
                step.paused_ms += max(0, event.at - step.paused_at)
            step.paused_at = None
            if step.state is R:
                return
            assert step.resumes_to is not None
            state, step.resumes_to = step.resumes_to, None
            if event.fresh:
                _freshen(step, event.at)
                step.due_at, step.delay_by, state = event.at, DelayBy.OPERATOR, B
            _move(run, step, state)
        case _:
            assert_never(event)


def _freshen(step: Step, at: int) -> None:
    step.failures = step.interruptions = step.crashes = step.paused_ms = 0
    step.crash_mark = -1
    step.opened_at = at


def _reopen(run: Run, step: Step, event: Reopened) -> None:
    step.generation += 1
    step.reruns += event.rerun
    step.awaiting_post = event.awaiting_post
    step.ended_at = step.cause_id = step.http_status = step.error = step.ended_url = None
    step.excerpt = None
    _freshen(step, event.at)
    _move(run, step, P)
    if step.parent_id is not None and not step.awaiting_post:
        _count_child(run, run.steps[step.parent_id], +1)


def _end_as_it_is(run: Run, event: EndedAsItIs) -> tuple[Step, ...]:
    """What `store/stopped.py` does by statements over the rows, which may be unreadable."""
    touched = tuple(step for step in run.steps.values() if not step.ended)
    for step in touched:
        _finish(run, step, X, event.at)
        step.rev += 1
    return touched


def _replace(run: Run, step: Step, event: Replaced) -> None:
    step.spec, step.recorded_by = event.spec, event.recorded_by
    step.payload_generation = step.generation
    step.awaiting_post = False
    step.submitted_at = step.opened_at = event.at
    run.ready[step.id] = None
    run.progress += 1
    if step.parent_id is not None:
        _count_child(run, run.steps[step.parent_id], +1)
