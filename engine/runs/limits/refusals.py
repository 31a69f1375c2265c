"""What is refused for want of room or a store; the core's own refusals: `core/rules/post.py`."""

from __future__ import annotations

import math

from engine.core.errors import Problem, RateLimit, Refused
from engine.core.text.times import rfc3339
from engine.ports.retention import Expired
from engine.ports.store import Away

RETRY_AFTER_S = 1
TOO_MANY_RETRY_AFTER_S = 5
"""Nobody knows when a run will end, or a caller be answered."""
FULL_RETRY_AFTER_S = 60
"""Retention or a person makes room."""
STOPPED_RETRY_AFTER_S = 30
"""A person has to look first."""


def overloaded(limit: str, retry_after_s: int = RETRY_AFTER_S) -> Refused:
    """The refusal of a post for which there is no room; nothing was recorded."""
    return Refused(
        Problem.OVERLOADED,
        "The engine has as much open work as it takes; post again with the same key.",
        limit=limit,
        retryAfter=retry_after_s,
    )


def name_to_come(client: str) -> Refused:
    """The refusal of a post that would open a run under a name that the engine will need."""
    return Refused(
        Problem.INVALID_SUBMISSION,
        f"The name {client!r} is reserved: /{client} will be an address of the engine's own. Post"
        " under another client name. Posts for runs that there are already are taken.",
        member="client",
    )


def over_share() -> Refused:
    """The refusal of what the client's share of memory has no room for."""
    return Refused(
        Problem.OVERLOADED,
        "There is no room in the client's share of memory now; post again with the same key.",
        limit="memory_share",
        retryAfter=RETRY_AFTER_S,
    )


def too_many_runs(client: str, open_runs_max: int) -> Refused:
    """The refusal of a post that would open one run more than its client may have open."""
    return Refused(
        Problem.TOO_MANY_RUNS,
        f"The client {client} has as many open runs as it may ({open_runs_max:,}); post again with"
        " the same key when some have ended. Posts for runs that there are already are taken.",
        limit="open_runs_max",
        retryAfter=TOO_MANY_RETRY_AFTER_S,
        rateLimit=RateLimit("open-runs", open_runs_max, None, TOO_MANY_RETRY_AFTER_S),
    )


def too_many_callers(client: str, waiting_callers_max: int) -> Refused:
    """The refusal of a post that would open a run and wait, while so many wait already."""
    return Refused(
        Problem.RATE_LIMITED,
        f"As many callers of the client {client} wait for outcomes as may"
        f" ({waiting_callers_max:,}); post again with the same key when some have been answered,"
        " or do not wait (`Prefer: respond-async`). Posts for runs that there are already are"
        " taken.",
        limit="waiting_callers_max",
        retryAfter=TOO_MANY_RETRY_AFTER_S,
        rateLimit=RateLimit("waiting-callers", waiting_callers_max, None, TOO_MANY_RETRY_AFTER_S),
    )


def too_many_waiting(client: str, waiting_callers_max: int) -> Refused:
    """The refusal of a question that would wait, and of an event stream, likewise."""
    return Refused(
        Problem.RATE_LIMITED,
        f"As many callers of the client {client} wait, its event streams among them, as may"
        f" ({waiting_callers_max:,}); ask again when some have left, or for an outcome without"
        " waiting (`Prefer: wait=0`).",
        limit="waiting_callers_max",
        retryAfter=TOO_MANY_RETRY_AFTER_S,
        rateLimit=RateLimit("waiting-callers", waiting_callers_max, None, TOO_MANY_RETRY_AFTER_S),
    )


def rate_limited(client: str, per_s: float, wait_s: float) -> Refused:
    """The refusal of a post that would open a run sooner than its client may."""
    runs, seconds = quota(per_s)
    return Refused(
        Problem.RATE_LIMITED,
        f"The client {client} may open new runs at {per_s:g} a second; post again with the same"
        " key. Posts for runs that there are already are taken.",
        limit="new_runs_per_s",
        retryAfter=math.ceil(wait_s),
        rateLimit=RateLimit("new-runs", runs, seconds, math.ceil(wait_s)),
    )


def quota(per_s: float) -> tuple[int, int]:
    """A rate in whole runs in whole seconds, as header fields have it: never more than it is."""
    return (math.floor(per_s), 1) if per_s >= 1 else (1, math.ceil(1 / per_s))


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


def store_silent() -> Refused:
    """The refusal of a post of which the store did not say whether its run is there."""
    return Refused(
        Problem.STORE_UNAVAILABLE,
        "The store did not say in time whether there is a run with this key. Nothing was recorded;"
        " post again with the same key.",
        retryAfter=RETRY_AFTER_S,
    )


def unknown_parent_token() -> Refused:
    """The refusal of a parent token that this engine did not issue to this client."""
    return Refused(
        Problem.INVALID_SUBMISSION,
        "The parent token (`parent`, Atomic-Parent) was not issued to this client by this engine.",
        member="parent",
    )


def parent_token_of_another(owner: str, client: str) -> Refused:
    """The refusal of a parent token under another client's path than that of its run."""
    return Refused(
        Problem.INVALID_SUBMISSION,
        f"The parent token (`parent`, Atomic-Parent) is of client {owner}, and this post is to"
        f" client {client}. Post it to /{owner}, which the header Atomic-Client of the invocation"
        " names.",
        member="parent",
        parentTokenClient=owner,
    )


def draining() -> Refused:
    """The refusal of everything new while the engine stops."""
    return Refused(
        Problem.DRAINING,
        "The engine is stopping; post again with the same key.",
        retryAfter=RETRY_AFTER_S,
    )


def store_full(bytes_max: int) -> Refused:
    """The refusal of a post that would open a run while the store has no room for more."""
    return Refused(
        Problem.STORE_UNAVAILABLE,
        f"The database is as large as it may be ({bytes_max:,} bytes), and takes no new runs until"
        " there is room; nothing was recorded. Posts for runs that there are already are taken.",
        limit="store_bytes_max",
        retryAfter=FULL_RETRY_AFTER_S,
    )


def outcome_expired(expired: Expired) -> Refused:
    """The refusal of everything about a run that retention removed; nothing was recorded, and it
    is not run again."""
    gone_at = expired.removed_at
    removed = "removed" if gone_at is None else f"removed {rfc3339(gone_at)}"
    return Refused(
        Problem.OUTCOME_EXPIRED,
        f"The run {expired.run_id} (client {expired.client}, workflow {expired.workflow}, key"
        f" {expired.key}), submitted {rfc3339(expired.submitted_at)}, ended"
        f" {rfc3339(expired.ended_at)} ({expired.state}), longer ago than runs are kept here: it"
        f" was {removed}, with its outcome, steps and bodies. It is not run again under this key.",
        runId=expired.run_id,
        client=expired.client,
        workflowName=expired.workflow,
        idempotencyKey=expired.key,
        runStatus=expired.state,
        submittedAt=expired.submitted_at,
        finishedAt=expired.ended_at,
        **({} if gone_at is None else {"removedAt": gone_at}),
    )


def no_such_run(run_id: str) -> Refused:
    """The refusal of an action on what no run's id is."""
    return Refused(Problem.NOT_FOUND, f"There is no run {run_id}.")


def no_such_step(step_id: str) -> Refused:
    """The refusal of an outcome of what no step's id is."""
    return Refused(Problem.NOT_FOUND, f"There is no step {step_id}.")


def engine_error(run_id: str, error: str, *, is_paused: bool = True) -> Refused:
    """The refusal of everything about a run that a bug has stopped: what is in memory may never
    become durable. Not paused: it was over, or is let go on already."""
    then = (
        "It is paused until somebody lets it be read again (`retry`, `resume`) or ends it"
        " (`cancel`)."
        if is_paused
        else "Its record is read when its last request has ended: ask again then."
    )
    return _engine_error(run_id, error, f"The engine stopped this run: {error}. {then}")


def ended_unreadable(run_id: str, error: str, state: str) -> Refused:
    """The refusal of everything about a run that has ended and cannot be read: nothing of it is
    paused, and no action lets it go on."""
    return _engine_error(
        run_id,
        error,
        f"The engine cannot read this run: {error}. It has ended (`{state}`) and stays as it is"
        " recorded; no action changes it before its record can be read.",
    )


def _engine_error(run_id: str, error: str, detail: str) -> Refused:
    return Refused(
        Problem.ENGINE_ERROR, detail, runId=run_id, error=error, retryAfter=STOPPED_RETRY_AFTER_S
    )


def run_cancelled(run_id: str) -> Refused:
    """The refusal of everything about a stopped run that was ended as it is."""
    return Refused(Problem.RUN_CANCELLED, "The run was cancelled.", runId=run_id)


def revision_changed(run_id: str, step_id: str | None, rev: int, if_rev: int) -> Refused:
    """The refusal of an action on what somebody has changed since it was looked at."""
    what = "run" if step_id is None else "step"
    return Refused(
        Problem.REVISION_CHANGED,
        f"The {what} is at revision {rev}, not {if_rev}: it has changed meanwhile.",
        runId=run_id,
        stepId=step_id,
        rev=rev,
    )
