"""What the client asks of the engine, each request as a `Call`. Both clients share this.

Actions are not made again once they may have arrived: a second `retry` is another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import fields

from engine import DEFAULT_ENGINE
from engine.client import json_text
from engine.client.answers import Open
from engine.client.errors import Suspended
from engine.client.tries import Call
from engine.wire import (
    ACTOR_CHARACTERS_MAX,
    ACTOR_PATTERN,
    CLIENT_PATTERN,
    ActionRequest,
    BulkRequest,
    Submission,
    SubmitOptions,
)

PARENT_HEADER = "Atomic-Parent"
OUTCOME_WAIT_S = 60
"""How long one request for an outcome is held; short enough for most proxies."""


_MEMBERS = {it.name: it.encode_name for it in fields(Submission)}
_OPTIONS = [(it, _MEMBERS[it]) for it in SubmitOptions.__annotations__ if it != "timeout"]
"""Each with its name in the body."""


def submission(
    workflow: str,
    *,
    client: str,
    url: str,
    key: str,
    payload: Any,
    parent: str | None = None,
    prefer: str | None = None,
    options: SubmitOptions,
) -> Call:
    """The post of a step. Raises ValueError for a client name that has no place in a path."""
    if not re.fullmatch(CLIENT_PATTERN, client):
        raise ValueError(f"{client!r} is not a client name: letters, digits and . _ - only")
    members: dict[str, Any] = {
        "workflowName": workflow,
        "stepInvokeUrl": url,
        "idempotencyKey": key,
        "payload": json_text.encode(payload),
    } | {name: options.get(option) for option, name in _OPTIONS}
    headers = {"Content-Type": "application/json"}
    if parent is not None:
        headers[PARENT_HEADER] = parent
    if prefer is not None:
        headers["Prefer"] = prefer
    return Call(
        method="POST",
        path=f"/{client}",
        headers=headers,
        members={k: v for k, v in members.items() if v is not None},
        timeout_ms=options.get("timeout"),
        held=True,
    )


def still_open(step: Open) -> Suspended:
    """What is raised for a step that is not waited for."""
    return Suspended(f"Step {step.id} is {step.status}; the function is called when it has ended.")


def parent_of(headers: Mapping[str, str] | None, parent: str | None) -> str:
    """The parent token of the invoking request. Raises ValueError when there is none."""
    if parent is None and headers is not None:
        for name, value in headers.items():
            if name.lower() == PARENT_HEADER.lower():
                parent = value
    if parent is None:
        raise ValueError(
            f"There is no {PARENT_HEADER} header: a step is posted by a function that the engine"
            " has invoked. To start a run use submit()."
        )
    return parent


def outcome_call(step_id: str, wait: int | None) -> Call:
    """Ask for a step's outcome, held for `wait` seconds at most."""
    path = f"/api/v1/steps/{segment(step_id)}/outcome"
    held = {"Prefer": f"wait={OUTCOME_WAIT_S}"}
    limit_ms = None if wait is None else wait * 1000
    return Call(method="GET", path=path, headers=held, held=True, timeout_ms=limit_ms)


def look(path: str, *ids: str, **query: str | int | None) -> Call:
    """Ask for what is there; the path has `{}` for each id. Raises ValueError for what is none."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return Call(method="GET", path=path.format(*map(segment, ids)), query=given)


def body_call(step_id: str, attempt: int | None, first: int, count: int | None) -> Call:
    """Ask for `count` bytes of a step's payload, or (`attempt`) of what an attempt was answered.

    Raises ValueError for a range that there cannot be.
    """
    if first < 0 or (count is not None and count < 1):
        raise ValueError("`first` counts from 0, and `count` from 1")
    of = "payload" if attempt is None else f"attempts/{attempt}/response"
    last = "" if count is None else first + count - 1
    ranged = {} if first == 0 and count is None else {"Range": f"bytes={first}-{last}"}
    return Call(method="GET", path=f"/api/v1/steps/{segment(step_id)}/{of}", headers=ranged)


def segment(text: str) -> str:
    """An id as a part of a path. Raises ValueError."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is not an id")
    return quote(text, safe="")


def engine_url(engine: str) -> httpx.URL:
    """The engine's address without a slash at its end. Raises ValueError for what is none."""
    try:
        url = httpx.URL(engine.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ValueError(f"{engine!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{engine!r} is not the URL of an engine, such as {DEFAULT_ENGINE}")
    return url


# --- What operators ask for: actions on a run, bulk jobs, and who it is that asks ----------------


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


def abort_call(job_id: str, actor: str | None) -> Call:
    """Ask to stop a bulk job."""
    path = f"/api/v1/bulk/{segment(job_id)}/abort"
    return Call(method="POST", path=path, headers=_headers(actor), members={})
