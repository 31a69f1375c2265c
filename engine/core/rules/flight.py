"""What is noticed of an attempt while its request is open, by those who carry it and its posts.

No event says it and no row keeps it: a crash loses it with the request. `attempt.py` asks it when
the attempt ends. What an attempt posts is noted where that is decided (`post.py`, `home.py`).
"""

from __future__ import annotations

from engine.core.model import Flight, Run, StepState


def note_left(flight: Flight, *, left: bool = True) -> None:
    """Its request has left; or not yet, as a connection for it is being made."""
    flight.left = left


def note_refusal(flight: Flight, why: str) -> None:
    """Why a post of it was refused, or why it was not sent home: for people."""
    flight.refusal = why


def note_refused_post(run: Run, step_id: str) -> None:
    """A post of the attempt was refused for now: its function may fail for that."""
    if (flight := run.flights.get(step_id)) is not None:
        flight.refused_post = True


def note_maybe_refused(flight: Flight) -> None:
    """A post was refused of which nobody knows whose it was: perhaps one of its function's."""
    flight.maybe_refused = True


def note_held(flight: Flight, since: int) -> None:
    """It ends under a hold that began then: `maxElapsed` stands still since, as under a pause."""
    flight.held_since = since


def note_open_children(run: Run, flight: Flight, step_id: str) -> None:
    """Its request ended. What excuses it is how things stood then, not when it is judged."""
    if run.steps[step_id].open_children:
        children = (run.steps[id] for id in run.children[step_id])
        flight.open_at_end = frozenset(
            child.id for child in children if not child.ended and not child.awaiting_post
        )


def note_unrecorded_ends(flight: Flight) -> None:
    """A child whose end is not durable is open by the record: a post for it that was cut told the
    function nothing."""
    flight.open_at_end |= flight.cut


def note_outcome(flight: Flight, step_id: str, state: StepState) -> None:
    """A post of it was answered with the outcome of its step."""
    if state is not StepState.COMPLETED:
        flight.known_failure = step_id


def note_cut(flight: Flight, step_id: str) -> None:
    """A post of it that waited for the step ended without an outcome."""
    flight.cut.add(step_id)
