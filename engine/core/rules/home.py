"""Sending an attempt home: a function that only waits for its steps is let go. `protocol.md` §4.

Posts of the attempt hang, and the engine answers them all with 504 `suspended`. From then on the
attempt can neither record nor complete anything: what has ended is answered from the record, and
whatever it answers itself counts as suspended (`post.py`, `attempt.py`). Telling is not recorded.
"""

from __future__ import annotations

from engine.core.errors import Problem, Refused
from engine.core.model import Run, StepState

IDLE = frozenset({StepState.WAITING, StepState.BACKING_OFF, StepState.PAUSED})
"""States in which a step does nothing until a time, a child's end or a person comes. One that has
ended, or is about to start, is not idle."""
FORGOTTEN_MAX = 10
"""Of fewer earlier calls a function may leave unasked what they recorded and has ended: as one does
whose code has changed, or whose nested functions post without a parent token."""


def why_it_stays(run: Run, step_id: str) -> str | None:
    """Why an attempt that only waits may not be sent home, for people; None: it may.

    One that was called again asks for what was recorded before. If it asks for nothing of that, or
    for some of FORGOTTEN_MAX calls leaves steps that have ended unasked, its keys differ from call
    to call: another call would record another step again, and run it, without end.
    """
    flight = run.flights[step_id]
    before = [
        step
        for step in (run.steps[id] for id in run.children.get(step_id, ()))
        if 0 < step.recorded_by < flight.number  # 0: by a post from outside
    ]
    forgotten = {step.recorded_by for step in before if step.ended and step.id not in flight.asked}
    if not before or (flight.asked and len(forgotten) < FORGOTTEN_MAX):
        return None
    return (
        f"it was not sent home, as it asked for {len(flight.asked)} of the {len(before)} steps"
        " recorded by earlier attempts: its keys seem to differ from call to call"
    )


def send_home(run: Run, step_id: str, why: str) -> None:
    """Note that the attempt in flight is sent home. `why` completes "sent home: …", for people.

    `child_ended` counts from here: what ended before, the function has been told.
    """
    flight = run.flights[step_id]
    flight.sent_home = why
    flight.child_ended = False


def note_suspended(run: Run, posted: set[str]) -> None:
    """Posts without a parent token are told what is meant for the root: 504 `suspended`.

    A nested function may have made each, which then fails for it. So every attempt that may have
    counts as interrupted, unless it completes. `posted` are the steps that were posted, none if
    that is not recorded: neither a step nor what is below it waits for it.
    """
    for step_id, flight in run.flights.items():
        if step_id == run.id or not flight.left or flight.refused_post:
            continue
        above: str | None = step_id
        its_own = 0
        while above is not None:
            its_own += above in posted
            above = run.steps[above].parent_id
        flight.refused_post = its_own < max(1, len(posted))


def suspended(run_id: str, step_id: str) -> Refused:
    """The refusal of what an attempt that was sent home, or is over, posts: it says nothing about
    the step. Else the function of an attempt that is over would keep a worker, for nothing."""
    return Refused(
        Problem.SUSPENDED,
        "The attempt that posts this was sent home, or is over: let the function fail. It is called"
        " again when one of its steps has ended. Nothing was recorded.",
        runId=run_id,
        stepId=step_id,
    )
