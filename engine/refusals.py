"""What the supervisor refuses for its own reasons; the core's refusals are in `core/place.py`."""

from __future__ import annotations

from engine.core.errors import Problem, Refused
from engine.ports import Away

RETRY_AFTER_S = 1


def overloaded(limit: str, retry_after_s: int = RETRY_AFTER_S) -> Refused:
    """The refusal of a post for which there is no room; nothing was recorded."""
    return Refused(
        Problem.OVERLOADED,
        "The engine has as much open work as it takes; post again with the same key.",
        limit=limit,
        retryAfter=retry_after_s,
    )


def store_unavailable(away: Away, *, unknown: bool = False) -> Refused:
    """The refusal of what would have to be recorded while nothing can be.

    `unknown`: it was taken before that began, and waits for its commit.
    """
    what = (
        "Whether this is recorded will show when it can be" if unknown else "Nothing was recorded"
    )
    return Refused(
        Problem.STORE_UNAVAILABLE,
        f"The store cannot be written: {away.why} {what}; post again with the same key.",
        retryAfter=RETRY_AFTER_S,
    )


def unknown_token() -> Refused:
    """The refusal of a parent token that this engine did not issue to this client."""
    return Refused(
        Problem.INVALID_SUBMISSION,
        "The parent token (`parent`, Atomic-Parent) was not issued to this client by this engine.",
        member="parent",
    )


def draining() -> Refused:
    """The refusal of everything new while the engine stops."""
    return Refused(
        Problem.DRAINING,
        "The engine is stopping; post again with the same key.",
        retryAfter=RETRY_AFTER_S,
    )


def parked(run_id: str) -> Refused:
    """The refusal of everything about a run that a bug has stopped: what is in memory may never
    become durable."""
    return Refused(
        Problem.INTERNAL, "A bug of the engine's stopped this run; see its log.", runId=run_id
    )
