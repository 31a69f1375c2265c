"""What a run wants next: which steps to call now, and when to ask again.

Nothing here changes a step, only which of them are looked at: one that a limit keeps from starting
is left out until there is room.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from operator import itemgetter

from msgspec import Struct

from engine.core.model import Run, StepState

TIMERS_POPPED_MAX = 64
"""So many are taken off a run's heap one by one; beyond, a walk over all costs less."""


class Next(Struct, frozen=True):
    """What a run wants next: steps to call now, and when to ask again."""

    calls: tuple[str, ...]
    wake_at: int | None


_NOTHING = Next((), None)


def decide(run: Run, now: int) -> Next:
    """What the run wants at `now`. Asking changes nothing but drops stale timers."""
    if run.parked or (not run.ready and not run.due):
        return _NOTHING  # most passages only wait for something
    calls = list(run.ready)
    due, later = run.due, []
    for _ in range(TIMERS_POPPED_MAX):
        if not due:
            break
        if not _waits_for(run, due[0]):
            heappop(due)
        elif due[0][0] <= now:
            later.append(heappop(due))
        else:
            break
    else:
        later += _take_many(run, now)
    calls += [step_id for _, step_id in later]
    wake_at = due[0][0] if due else None
    if len(later) < TIMERS_POPPED_MAX:
        for entry in later:  # still due until their call has started
            heappush(due, entry)
    else:
        due += later
        heapify(due)
    return Next(tuple(dict.fromkeys(calls)), wake_at)


def _waits_for(run: Run, timer: tuple[int, str]) -> bool:
    """Whether it is this time that its step waits for."""
    due_at, step_id = timer
    step = run.steps[step_id]
    is_due = step.state is StepState.BACKING_OFF and step.due_at == due_at
    return is_due and step_id not in run.aside


def _take_many(run: Run, now: int) -> list[tuple[int, str]]:
    """Take the timers that are due, in order, and drop the stale ones: all in one walk, as an
    operator may pause or wake ten thousand at once."""
    timers = [timer for timer in run.due if _waits_for(run, timer)]
    run.due[:] = [timer for timer in timers if timer[0] > now]
    heapify(run.due)
    return sorted((timer for timer in timers if timer[0] <= now), key=itemgetter(0))


def set_aside(run: Run, step_id: str) -> None:
    """A limit keeps the step from starting: `decide` leaves it out until it is put back.

    Else each change of a run would look again at every step of it that queues.
    """
    run.aside[step_id] = None
    run.ready.pop(step_id, None)


def put_back(run: Run, step_id: str) -> None:
    """The limit may let the step start now, if it still wants to."""
    run.aside.pop(step_id, None)
    step = run.steps[step_id]
    if step.state is StepState.PENDING and not step.awaiting_post:
        run.ready[step_id] = None
    elif step.state is StepState.BACKING_OFF:
        assert step.due_at is not None
        heappush(run.due, (step.due_at, step_id))
