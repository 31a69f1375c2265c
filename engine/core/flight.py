"""What is noticed of an attempt while its request is open, by those who carry it and its posts.

No event says it and no row keeps it: a crash loses it with the request. `settle.py` asks it when
the attempt ends. What an attempt posts is noted where that is decided (`place.py`, `home.py`).
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


def note_outcome(flight: Flight, step_id: str, state: StepState) -> None:
    """A post of it was answered with the outcome of its step."""
    if state is not StepState.COMPLETED:
        flight.told_failed = step_id


def note_cut(flight: Flight, step_id: str) -> None:
    """A post of it that waited for the step ended without an outcome."""
    flight.cut.add(step_id)
