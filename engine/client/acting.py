"""What operators ask for as calls: actions on a run, bulk jobs, and who it is that asks.

Actions are not made again once they may have arrived: a second `retry` is another.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, UnsetType

from engine.client.calls import Call, segment
from engine.wire import ACTOR_CHARACTERS_MAX, ACTOR_PATTERN, ActionRequest, BulkRequest

BULK_JOBS = Call(method="GET", path="/api/v1/bulk")


def checked_actor(actor: str | None) -> str | None:
    """The name as it is. Raises ValueError for one that the engine would refuse."""
    if actor is not None and not re.fullmatch(ACTOR_PATTERN, actor):
        raise ValueError(
            f"{actor!r} cannot say who acts: 1 to {ACTOR_CHARACTERS_MAX} printable ASCII characters"
        )
    return actor


def _headers(actor: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    return headers if actor is None else headers | {"Atomic-Actor": actor}


def urls_of(from_url: str | None, to_url: str | None) -> tuple[str | UnsetType, str | UnsetType]:
    """What a `retarget` is given, as members that are left out where they are not."""
    return (UNSET if from_url is None else from_url, UNSET if to_url is None else to_url)


def action_call(run_id: str, request: ActionRequest, actor: str | None) -> Call:
    """Ask for an action."""
    members = msgspec.to_builtins(request)
    return Call(
        method="POST",
        path=f"/api/v1/runs/{segment(run_id)}/actions",
        headers=_headers(actor),
        members={k: v for k, v in members.items() if v is not None and v is not False},
        repeatable=request.dry_run,
    )


def bulk_call(request: BulkRequest, key: str | None, actor: str | None) -> Call:
    """Ask for a bulk job. With a key it is begun once, however often it is asked for."""
    headers = _headers(actor)
    if key is not None:  # RFC 8941 §3.3.3
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        headers["Idempotency-Key"] = f'"{escaped}"'
    return Call(
        method="POST",
        path="/api/v1/bulk",
        headers=headers,
        members=msgspec.to_builtins(request),
        repeatable=request.dry_run or key is not None,
    )


def bulk_job_call(job_id: str) -> Call:
    """Ask how a bulk job stands."""
    return Call(method="GET", path=f"/api/v1/bulk/{segment(job_id)}")


def abort_call(job_id: str, actor: str | None) -> Call:
    """Ask to stop a bulk job."""
    path = f"/api/v1/bulk/{segment(job_id)}/abort"
    return Call(method="POST", path=path, headers=_headers(actor), members={})
