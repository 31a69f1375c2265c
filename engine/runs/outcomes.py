"""How the caller of a step comes to its outcome, or to why there is none yet. `protocol.md` §2.

A caller waits in a task of its own request: it may leave at any time, and changes nothing by it.
"""

from __future__ import annotations

from copy import copy

import trio

from engine.core.below import as_it_failed
from engine.core.errors import Refused
from engine.core.model import Run, Step, StepState
from engine.core.rules.flight import note_cut, note_outcome, note_refused_post
from engine.core.rules.post import Placed
from engine.ports.store import Body
from engine.runs.live import LiveRun
from engine.runs.open.callers import Recorded, Result, StillOpen, Wait, Why
from engine.runs.open.replies import read_answer, with_body, with_room_nowait
from engine.runs.open.request import Request
from engine.runs.shared import Shared


async def wait_for(
    shared: Shared, live: LiveRun, placed: Placed, wait: Wait, *, without_parent: bool = False
) -> Result:
    """The outcome of the step that was posted or asked for, or why there is none yet.

    `without_parent`: no parent token came with it, so the root's function need not be who waits.
    """
    step = live.run.steps[placed.step_id]
    request = None
    if placed.poster is not None and wait.prefer_ms != 0:
        request = live.requests.get(placed.poster)
    number = None if request is None else request.number
    if request is not None:
        request.post_begins()
    result: Result | None = None
    try:
        if step.ended:
            result = await _recorded_result(shared, live, step, placed, request)
        else:
            result = await _wait_open(
                shared, live, step, placed, wait, request, without_parent=without_parent
            )
        if isinstance(result, Recorded):
            result = with_room_nowait(shared.budget, live.run.client, result)
            if result.left_out:
                result = await with_body(shared.store, shared.budget, live.run.client, result)
        return result
    except Refused:  # the store is away, or there is no room: no fault of the function's
        if placed.poster is not None:
            note_refused_post(live.run, placed.poster)
        raise
    finally:
        if request is not None:
            request.post_ends()
        _note_what_poster_heard(live, placed, number, result)


def _note_what_poster_heard(
    live: LiveRun, placed: Placed, number: int | None, result: Result | None
) -> None:
    """Note in the poster's attempt what it was told, or that its post was cut."""
    if placed.poster is None:
        return
    flight = live.run.flights.get(placed.poster)
    if flight is None or (number is not None and flight.number != number):
        return
    if isinstance(result, Recorded):
        note_outcome(flight, placed.step_id, result.step.state)
    elif number is not None:
        note_cut(flight, placed.step_id)


async def _wait_open(
    shared: Shared,
    live: LiveRun,
    step: Step,
    placed: Placed,
    wait: Wait,
    request: Request | None,
    *,
    without_parent: bool,
) -> Result:
    event = trio.Event()
    slot = live.add_caller(step.id, event, without_parent=without_parent)
    own = request if request is not None and request.left else None
    is_of_limit = bool(
        shared.registry.limits
        and placed.poster is None
        and wait.prefer_ms != 0
        and shared.new_runs.caller_waits(live.run.client)
    )
    if own is not None:
        shared.home.wait_begins(own, event, step)
    why = Why.ASYNC
    try:
        if wait.timeout_ms is None and wait.prefer_ms is None:
            await event.wait()
            if slot.outcome is None:
                why = _let_go_for(live, request)
        elif wait.prefer_ms != 0:
            why = await _wait_as_asked(live, request, event, wait)
        if slot.outcome is None:
            await live.wait_durable()
            if step.ended:  # being committed: this caller hears of it when it is durable
                await event.wait()
        if slot.outcome is not None:
            cause = _failed_because(live.run, slot.outcome)
            return Recorded(slot.outcome, slot.body, cause, False, placed.payload_differs)
    finally:
        if own is not None:
            shared.home.wait_ends(own, event, step)
        if is_of_limit:
            shared.new_runs.caller_leaves(live.run.client)
        live.remove_caller(step.id, slot, event)
    return StillOpen(step.id, live.run.id, step.state, why)


async def _wait_as_asked(
    live: LiveRun, request: Request | None, event: trio.Event, wait: Wait
) -> Why:
    timeout = float("inf") if wait.timeout_ms is None else wait.timeout_ms / 1000
    prefer = float("inf") if wait.prefer_ms is None else wait.prefer_ms / 1000
    with trio.move_on_after(min(timeout, prefer)):
        await event.wait()
        return _let_go_for(live, request)
    return Why.TIMEOUT if timeout <= prefer else Why.WAIT


def _let_go_for(live: LiveRun, request: Request | None) -> Why:
    """Why a caller was let go, if it was without an outcome."""
    if live.run.parked:
        return Why.PARKED
    if request is not None and request.sent_home:
        return Why.SUSPENDED
    return Why.DRAINING


async def _recorded_result(
    shared: Shared, live: LiveRun, step: Step, placed: Placed, request: Request | None
) -> Recorded:
    """A step that had ended before it was posted again (or was just refused a start)."""
    outcome = copy(step)  # an operator may open the step again while this waits
    cause = _failed_because(live.run, outcome)
    # A function that hangs costs nothing; who asks from outside is told when the store is away.
    await (live.wait_durable() if request is None else live.wait_all_durable())
    body, left_out = await _answer_body(shared, outcome)
    return Recorded(outcome, body, cause, True, placed.payload_differs, left_out)


async def read_outcome(
    shared: Shared, run: Run, step_id: str, *, payload_differs: bool = False
) -> Recorded:
    """The outcome of a step that has ended, of a run that is not in memory."""
    outcome = copy(run.steps[step_id])  # the store may yet hand the run to others, while it is away
    cause = _failed_because(run, outcome)
    body, left_out = await _answer_body(shared, outcome)
    result = Recorded(outcome, body, cause, True, payload_differs, left_out)
    if left_out:
        return await with_body(shared.store, shared.budget, run.client, result)
    return result


async def _answer_body(shared: Shared, outcome: Step) -> tuple[Body | None, int]:
    if outcome.state is not StepState.COMPLETED:
        return None, 0
    return await read_answer(shared.store, outcome, shared.budget.small_bytes_max)


def _failed_because(run: Run, step: Step) -> Step | None:
    cause = None if step.cause_id is None else run.steps.get(step.cause_id)
    return None if cause is None else as_it_failed(cause, step.ended_at or 0)
