"""What the client asks of the engine, each request as a `Call`. Both clients share this.

Actions are not made again once they may have arrived: a second `retry` is another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import fields

from engine import DEFAULT_ENGINE, wire
from engine.client import json_text
from engine.client.answers import Open
from engine.client.errors import Suspended
from engine.client.tries import Call
from engine.wire import routes

PARENT_HEADER = "Atomic-Parent"
_NAME = re.compile(r"\{\w+\}")
OUTCOME_WAIT_S = 60
"""How long one request for an outcome hangs; short enough for most proxies."""


_MEMBERS = {it.name: it.encode_name for it in fields(wire.Submission)}
_OPTIONS = [(it, _MEMBERS[it]) for it in wire.SubmitOptions.__annotations__ if it != "timeout"]
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
    options: wire.SubmitOptions,
) -> Call:
    """The post of a step. Raises ValueError for a client name that has no place in a path."""
    if not re.fullmatch(wire.CLIENT_PATTERN, client):
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
        method=routes.SUBMIT.method,
        path=routes.SUBMIT.path.format(client=client),
        headers=headers,
        members={k: v for k, v in members.items() if v is not None},
        timeout_ms=options.get("timeout"),
        hangs=True,
    )


def still_open(step: Open) -> Suspended:
    """What is raised for a step that is not waited for."""
    return Suspended(f"Step {step.id} is {step.status}; the function is called when it has ended.")


def parent_of(headers: Mapping[str, str] | None, parent: str | None) -> str:
    """The parent token of the invoking request. Raises ValueError when there is none."""
    if parent is None:
        parent = _header(headers, PARENT_HEADER)
    if parent is None:
        raise ValueError(
            f"There is no {PARENT_HEADER} header: a step is posted by a function that the engine"
            " has invoked. To start a run use submit()."
        )
    return parent


def run_client(headers: Mapping[str, str] | None, client: str | None) -> str | None:
    """Whose run the invoking request is of, unless that is given."""
    return _header(headers, "Atomic-Client") if client is None else client


def _header(headers: Mapping[str, str] | None, wanted: str) -> str | None:
    found = None
    for name, value in (headers or {}).items():
        if name.lower() == wanted.lower():
            found = value
    return found


def outcome_call(step_id: str, wait: int | None) -> Call:
    """Ask for a step's outcome, and wait `wait` seconds at most."""
    prefer = {"Prefer": f"wait={OUTCOME_WAIT_S}"}
    limit_ms = None if wait is None else wait * 1000
    return _call(routes.OUTCOME, step_id)(headers=prefer, hangs=True, timeout_ms=limit_ms)


def look(route: routes.Route[Any], *ids: str, **query: str | int | None) -> Call:
    """Ask for what is there. Raises ValueError for what is no id."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return _call(route, *ids)(query=given)


def no_members_call(route: routes.Route[Any]) -> Call:
    """A post to a route whose address says all."""
    return _call(route)(members={})


def body_call(
    step_id: str,
    attempt: int | None,
    first: int,
    count: int | None,
    *,
    generation: int | None = None,
    outcome: bool = False,
    whole: bool = False,
    actor: str | None = None,
) -> Call:
    """Ask for `count` bytes of a step's payload, or (`attempt`) of what an attempt was answered, or
    (`outcome`) of what its latest was or what was set; the last two of a generation. `whole`: with
    all that its client hides.

    Raises ValueError for a range that there cannot be.
    """
    if first < 0 or (count is not None and count < 1):
        raise ValueError("`first` counts from 0, and `count` from 1")
    last = "" if count is None else first + count - 1
    ranged = {} if first == 0 and count is None else {"Range": f"bytes={first}-{last}"}
    query = {routes.WHOLE: "true"} if whole else {}
    if whole and actor is not None:
        ranged["Atomic-Actor"] = actor
    if attempt is None:
        route = routes.LAST_ANSWER if outcome else routes.PAYLOAD
        query |= {} if generation is None else {"generation": str(generation)}
        return _call(route, step_id)(headers=ranged, query=query)
    return _call(routes.ANSWER, step_id, str(attempt))(headers=ranged, query=query)


def _call(route: routes.Route[Any], *ids: str) -> partial[Call]:
    """A call to a route; what it carries is still to be given. Raises ValueError."""
    for text in {"", ".", ".."} & {*ids}:
        raise ValueError(f"{text!r} is not an id")
    path = _NAME.sub("{}", route.path).format(*(quote(it, safe="") for it in ids))
    return partial(Call, method=route.method, path=path)


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
    if actor is not None and not re.fullmatch(wire.ACTOR_PATTERN, actor):
        raise ValueError(
            f"{actor!r} cannot say who acts: 1 to {wire.ACTOR_CHARACTERS_MAX} printable ASCII"
            " characters"
        )
    return actor


def _headers(actor: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    return headers if actor is None else headers | {"Atomic-Actor": actor}


def urls_of(from_url: str | None, to_url: str | None) -> tuple[str | UnsetType, str | UnsetType]:
    """What a `retarget` is given, as members that are left out where they are not."""
    return (UNSET if from_url is None else from_url, UNSET if to_url is None else to_url)


def given_of(name: str, value: Any) -> dict[str, Raw]:
    """What is given with an action, as a member that is left out where it is not."""
    return {} if value is UNSET else {name: json_text.encode(value)}


def action_call(
    run_id: str,
    request: wire.ActionRequest,
    actor: str | None,
    given: Mapping[str, Raw],
    key: str | None,
) -> Call:
    """Ask for an action; with a key what is `given` is recorded once, however often it is asked."""
    members = msgspec.to_builtins(request)
    return _call(routes.ACT, run_id)(
        headers=_with_key(_headers(actor), key),
        members={k: v for k, v in members.items() if v is not None and v is not False}
        | dict(given),
        repeatable=request.dry_run or key is not None,
    )


def _with_key(headers: dict[str, str], key: str | None) -> dict[str, str]:
    if key is None:
        return headers
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return headers | {"Idempotency-Key": f'"{escaped}"'}  # RFC 8941 §3.3.3


def hold_call(request: wire.HoldRequest, actor: str | None) -> Call:
    """Ask for a hold. Twice is no other than once."""
    members = msgspec.to_builtins(request)
    return _call(routes.HOLD)(
        headers=_headers(actor),
        members={k: v for k, v in members.items() if v is not None},
    )


def note_call(cause: str, text: str, actor: str | None) -> Call:
    """Write a note of a cause. It is not made again once it may have arrived: twice is two."""
    made = _call(routes.CAUSE_NOTE, cause)
    return made(headers=_headers(actor), members={"text": text}, repeatable=False)


def unnote_call(cause: str, number: int, actor: str | None) -> Call:
    """Take one back. Not again once it may have arrived: another has its number then."""
    made = _call(routes.CAUSE_UNNOTE, cause, str(number))
    return made(headers=_headers(actor), members={}, repeatable=False)


def dismiss_call(cause: str, reason: str, last_at: str | None, actor: str | None) -> Call:
    """Dismiss a cause. Not again once it may have arrived: what has come since would be dismissed
    too."""
    seen = {} if last_at is None else {"lastAt": last_at}
    members = {"reason": reason, **seen}
    made = _call(routes.CAUSE_DISMISS, cause)
    return made(headers=_headers(actor), members=members, repeatable=False)


def undismiss_call(cause: str, actor: str | None) -> Call:
    """Put it back. Not again once it may have arrived: it is not dismissed then."""
    made = _call(routes.CAUSE_UNDISMISS, cause)
    return made(headers=_headers(actor), members={}, repeatable=False)


def release_call(request: wire.ReleaseRequest, actor: str | None) -> Call:
    """Ask for a release. It is not made again once it may have arrived: what it has let go may be
    over by then, and the second would be told that nothing is held."""
    members = msgspec.to_builtins(request)
    return _call(routes.RELEASE)(
        headers=_headers(actor),
        members={k: v for k, v in members.items() if v is not None},
        repeatable=False,
    )


def bulk_call(request: wire.BulkRequest, key: str | None, actor: str | None) -> Call:
    """Ask for a bulk job. With a key it is begun once, however often it is asked for."""
    return _call(routes.BULK)(
        headers=_with_key(_headers(actor), key),
        members=msgspec.to_builtins(request),
        repeatable=request.dry_run or key is not None,
    )


def admin_call(route: routes.Route[Any], *ids: str, request: Struct, actor: str | None) -> Call:
    """Ask for a change of clients or tokens."""
    members = {k: v for k, v in msgspec.to_builtins(request).items() if v is not None}
    return _call(route, *ids)(headers=_headers(actor), members=members, repeatable=False)


def abort_call(job_id: str, actor: str | None) -> Call:
    """Ask to stop a bulk job."""
    return _call(routes.ABORT, job_id)(headers=_headers(actor), members={})
