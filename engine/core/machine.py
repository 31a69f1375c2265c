"""The step machine: the fold over events, by the table (`table.py`).

Rule 1: whatever changes a run's records lives in this file. `evolve` is the only function that
does, and it does so for one event at a time, whole or not at all.

Rule 2: this file does not judge. Whether an answer is a failure, when the next attempt is due, who
is cancelled with whom: `core/rules/attempt.py`, `core/rules/post.py` and `core/rules/action.py`
decide that and say it in events.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from heapq import heappush
from typing import Any, assert_never

from msgspec import Struct, field

from engine.core.alive import may_post_since
from engine.core.errors import IllegalEvent
from engine.core.events import (
    NOTE,
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
from engine.core.model import (
    ENDED,
    DelayBy,
    Flight,
    Move,
    Note,
    PauseReason,
    Repair,
    Run,
    Step,
    StepState,
)
from engine.core.retarget import moved_spec, new_child_id
from engine.core.table import (
    BACKING_OFF,
    CANCELLED,
    COMPLETED,
    PAUSED,
    PENDING,
    RUNNING,
    TABLE,
    WAITING,
    row_of,
)


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


def _is_next(run: Run, step: Step, event: Started) -> None:
    if step.id in run.flights or event.number != step.attempts + 1:
        raise IllegalEvent(f"attempt {event.number} of {step.id} cannot start")


def _is_not_held(run: Run, step: Step, event: Held) -> None:
    if step.held_since is not None or step.cancel_asked:
        raise IllegalEvent(f"step {step.id} is held already")


def _is_in_flight(run: Run, step: Step, event: AttemptEnded) -> None:
    """And it says all that the state needs which it leaves."""
    number, flight = event.number, run.flights.get(step.id)
    if number != step.attempts or (flight is not None and flight.number != number):
        raise IllegalEvent(f"attempt {number} of {step.id} is not the one in flight")
    if (event.state is BACKING_OFF and event.due_at is None) or (
        event.state is PAUSED and event.pause_reason is None
    ):
        raise IllegalEvent(f"step {step.id} {event.state} without a time or a reason")


def _is_the_same(run: Run, step: Step, event: Replaced) -> None:
    if event.spec.identity != step.spec.identity:
        raise IllegalEvent(f"another identity than step {step.id} has was posted")


def _is_root(run: Run, step: Step, event: PayloadSet) -> None:
    if not step.is_root:
        raise IllegalEvent(f"step {step.id} is no root: its payload comes from who posts it")


GUARDS: dict[type, Callable[[Run, Step, Any], None]] = {
    Started: _is_next,
    Held: _is_not_held,
    AttemptEnded: _is_in_flight,
    Replaced: _is_the_same,
    PayloadSet: _is_root,
}
"""What must hold of an event beside the table: else each raises IllegalEvent."""


def evolve(run: Run, event: Event) -> tuple[Step, ...]:
    """Fold one event into the run; returns the steps whose records it changed.

    Raises IllegalEvent, with the run untouched, for a pair that is not in the table.
    """
    step = run.steps.get(event.step_id)
    row, kind = row_of(run, step), type(event)
    to = TABLE[row].get(kind)
    if to is None:
        raise IllegalEvent(f"{kind.__name__} while step {event.step_id} is {row}")
    if step is None:
        assert isinstance(event, Accepted)
        return _accept(run, event)
    if kind in GUARDS:
        GUARDS[kind](run, step, event)
    parent = None if step.parent_id is None else run.steps[step.parent_id]
    parent_failures = 0 if parent is None else parent.failures
    match event:
        case RunMoved():
            run.shown = event.state
            run.rev += 1
            return ()
        case AttemptEnded():
            if event.state not in to:
                raise IllegalEvent(f"an attempt cannot leave step {step.id} {event.state}")
            _end_attempt(run, step, event)
        case Started():
            _start(run, step, event)
        case Held():
            step.held_since = event.since
            run.ready.pop(step.id, None)
            run.aside[step.id] = None
        case Cancelled():
            step.cause_id = event.cause_id
            _finish(run, step, CANCELLED, event.at)
        case CancelAsked():
            step.cancel_asked, step.cause_id = True, event.cause_id
        case Woken() | Paused() | Resumed():
            _wake_or_pause(run, step, event)
        case Reopened():
            _reopen(run, step, event)
        case ResultSet():
            _set_result(run, step, event)
        case PayloadSet():
            _set_payload(run, step, event)
        case Replaced():
            _replace(run, step, event)
        case Acted():
            if event.dismissed is not None:
                run.dismissed = event.dismissed
                run.rev += 1
            elif event.action == NOTE:
                run.notes = (*run.notes, Note(event.at, event.actor, event.reason or ""))
        case EngineErred():
            run.engine_error, run.stopped_at = event.error, event.at
        case ReadAgain():
            run.engine_error = None
        case EndedAsItIs():
            return _end_as_it_is(run, event)
        case Retargeted():
            return _retarget(run, event)
        case Accepted() | LateEnd() | PayloadDiffered():
            pass
        case _:
            assert_never(event)
    step.rev += 1
    if parent is not None and parent.failures != parent_failures:
        return (step, parent)
    return (step,)


def _accept(run: Run, event: Accepted) -> tuple[Step, ...]:
    identity = event.spec.identity
    if identity in run.by_identity:
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
        state=PAUSED if event.paused else PENDING,
        rev=1,
    )
    if event.paused:
        step.paused_at, step.resumes_to = event.at, PENDING
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
    move = Move(event.from_url, event.to_url, event.at, event.actor)
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
    if parent.state is RUNNING and was_leaf != (not parent.open_children):
        run.busy_leaves += -1 if was_leaf else +1


def _move(run: Run, step: Step, state: StepState) -> None:
    """Change a step's state and every count that depends on it."""
    leaf = not step.open_children
    run.counts[step.state] -= 1
    run.counts[state] = run.counts.get(state, 0) + 1
    run.busy_leaves += (state is RUNNING and leaf) - (step.state is RUNNING and leaf)
    step.state = state
    run.ready.pop(step.id, None)
    if state is PENDING and not step.awaiting_post:
        run.ready[step.id] = None
    elif state is BACKING_OFF:
        assert step.due_at is not None
        heappush(run.due, (step.due_at, step.id))


def _end_hold(run: Run, step: Step, at: int) -> None:
    """Nothing keeps the step from starting any more, or something else does. What a hold and a
    pause have both taken counts once at most: all of it is no more than there was."""
    if step.held_since is None:
        return
    held_ms = step.paused_ms + max(0, at - step.held_since)
    step.paused_ms = min(held_ms, max(step.paused_ms, at - step.opened_at))
    step.held_since, step.paused_ms_at = None, at
    run.aside.pop(step.id, None)


def _start(run: Run, step: Step, event: Started) -> None:
    _end_hold(run, step, event.at)
    step.attempts = event.number
    step.due_at, step.delay_ms, step.delay_by = None, 0, None
    run.flights[step.id] = Flight(
        number=event.number,
        progress_at_start=run.progress,
    )
    _move(run, step, RUNNING)


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
    if event.state is PAUSED:
        step.resumes_to = BACKING_OFF if event.due_at is not None else WAITING
        step.pause_reason, step.pause_asked = event.pause_reason, False
        if step.paused_at is None:  # else the pause began while the request was open
            step.paused_at = event.at
    _move(run, step, event.state)


def _finish(run: Run, step: Step, state: StepState, at: int) -> None:
    """End a generation."""
    counted = not step.awaiting_post
    run.flights.pop(step.id, None)
    _leave_open_state(run, step)
    step.ended_at = at
    _move(run, step, state)
    run.progress += 1
    if step.parent_id is not None and counted:
        parent = run.steps[step.parent_id]
        _count_child(run, parent, -1)
        if state is COMPLETED:
            parent.failures = 0  # the workflow has come further: its budget is fresh again
        if (flight := run.flights.get(parent.id)) is not None:
            flight.child_ended = True


def _leave_open_state(run: Run, step: Step) -> None:
    """Nothing of its timers, marks or pause is left."""
    step.due_at, step.delay_ms, step.delay_by = None, 0, None
    step.pause_asked, step.cancel_asked, step.awaiting_post = False, False, False
    step.may_post = False
    step.paused_at, step.pause_reason, step.resumes_to = None, None, None
    if step.held_since is not None:
        step.held_since = None
        run.aside.pop(step.id, None)


def _wake_or_pause(run: Run, step: Step, event: Woken | Paused | Resumed) -> None:
    match event:
        case Woken():
            step.due_at = event.at if event.due_at is None else event.due_at
            step.delay_by = event.by
            if step.state is PAUSED:
                step.resumes_to = BACKING_OFF
            else:
                _move(run, step, BACKING_OFF)
        case Paused():
            step.pause_reason = event.reason
            if step.state is RUNNING:
                step.paused_at = step.paused_at if step.pause_asked else event.at
                step.pause_asked = True
                return
            _end_hold(run, step, event.at)
            step.resumes_to, step.paused_at = step.state, event.at
            _move(run, step, PAUSED)
        case Resumed():
            step.pause_reason, step.pause_asked = None, False
            if step.paused_at is not None:
                step.paused_ms += max(0, event.at - step.paused_at)
                step.paused_ms_at = event.at
            step.paused_at = None
            if step.state is RUNNING:
                return
            assert step.resumes_to is not None
            state, step.resumes_to = step.resumes_to, None
            if event.fresh:
                _reset_counts(step, event.at)
                step.due_at, step.delay_by, state = event.at, DelayBy.OPERATOR, BACKING_OFF
            _move(run, step, state)
        case _:
            assert_never(event)


def _reset_counts(step: Step, at: int) -> None:
    step.failures = step.interruptions = step.crashes = step.paused_ms = 0
    step.crash_mark = -1
    step.opened_at, step.paused_ms_at = at, None


def _reopen(run: Run, step: Step, event: Reopened) -> None:
    step.generation += 1
    step.reruns += event.rerun
    step.awaiting_post = event.awaiting_post
    _forget_end(step)
    _reset_counts(step, event.at)
    _move(run, step, PENDING)
    if step.parent_id is not None and not step.awaiting_post:
        _count_child(run, run.steps[step.parent_id], +1)


def _forget_end(step: Step) -> None:
    step.ended_at = step.cause_id = step.http_status = step.error = step.ended_url = None
    step.excerpt = None


def _set_result(run: Run, step: Step, event: ResultSet) -> None:
    repair = Repair(
        *(step.generation, event.act, event.at, event.actor, event.reason, event.key),
        *(event.digest, event.was_status, event.was_error, event.was_excerpt),
    )
    step.repairs = (*step.repairs, repair)
    step.http_status, step.error, step.excerpt = event.http_status, None, None
    step.cause_id, step.answer_attempt = None, -step.generation
    _finish(run, step, COMPLETED, event.at)
    if step.parent_id is not None:  # also of one that had ended: it has come further
        run.steps[step.parent_id].failures = 0


def _set_payload(run: Run, step: Step, event: PayloadSet) -> None:
    """The root begins anew, wherever it stood between two requests."""
    _leave_open_state(run, step)
    step.generation += 1
    step.reruns += 1
    step.payload_generation = step.generation
    repair = Repair(
        step.generation, "rerun", event.at, event.actor, event.reason, event.key, event.digest
    )
    step.repairs = (*step.repairs, repair)
    _forget_end(step)
    _reset_counts(step, event.at)
    _move(run, step, PENDING)


def _end_as_it_is(run: Run, event: EndedAsItIs) -> tuple[Step, ...]:
    """What `store/tables/stopped.py` does by statements over the rows, which may be unreadable."""
    touched = tuple(step for step in run.steps.values() if not step.ended)
    for step in touched:
        _finish(run, step, CANCELLED, event.at)
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


def park(run: Run) -> None:
    """A bug stopped the run, recorded or not: nothing of it starts, and nothing changes it."""
    run.parked = True
