"""Loaded by schemathesis (`SCHEMATHESIS_HOOKS`): values that a schema alone does not lead to.

The description tells of some texts by a format of its own what they are (`filter`, `step-name`,
`parent-token`, `file-path`, `since`), and of URLs only that they are such. Here are values of each.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

TOLD: dict[str, Any] = json.loads(os.environ["OPENAPI_TOLD"])
"""By `trial.py`: endpoints that can be called, parent tokens, a directory for copies."""
WAIT = "wait=1"
"""A second: else a post waits until its step ends, which may take days."""

for name, values in {
    "uri": TOLD["urls"],
    "filter": ["is:failed", "wf:w* !key:none", "age:>1h try:>3", "is:live"],
    "step-name": ["pay", "Überweisung", "step 2", "ステップ"],
    "since": ["30m", "12h", "90d", "2026-11-23T12:00:00Z"],
}.items():
    schemathesis.openapi.format(name, st.sampled_from(values))
schemathesis.openapi.format(
    "file-path", st.integers(0, 9_999).map(lambda it: f"{TOLD['directory']}/copy-{it}.db")
)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """The description is of any engine; one that has tokens always asks for one."""
    for path in raw_schema["paths"].values() if TOLD["has_tokens"] else ():
        for operation in path.values():
            if "security" in operation:
                operation["security"].remove({})


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """What is right by the schema made right by what the schema cannot say."""
    operation = case.operation.definition.raw.get("operationId")
    is_right = case.meta is None or case.meta.generation.mode.is_positive
    if operation in ("submit", "outcome"):
        case.headers["Prefer"] = WAIT
    if not is_right:
        return case
    case.body = _whole(case.body)
    _with_names(case)
    if operation == "submit" and isinstance(case.body, dict):
        _with_key(case)
        _of_a_parent(case)
    return case


def _whole(value: Any) -> Any:
    """8000.0 is an integer to JSON Schema; the engine takes 8000."""
    if isinstance(value, dict):
        return {name: _whole(it) for name, it in value.items()}
    if isinstance(value, list):
        return [_whole(it) for it in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_names(case: Any) -> None:
    """Mostly the name of something that is there."""
    of = next((it for it in TOLD["names"] if case.path.startswith(f"/api/v1/{it}/{{")), None)
    if TOLD["has_tokens"] and "client" in case.path_parameters:
        case.path_parameters["client"] = TOLD["client"]  # else all would be 403
    for name in ("id", "name"):
        if of is not None and name in case.path_parameters:
            there = [*TOLD["names"][of], case.path_parameters[name]]
            case.path_parameters[name] = there[len(repr(case.body)) % len(there)]


def _with_key(case: Any) -> None:
    """A key in the body or in the head, and the same where in both."""
    key = case.body.get("idempotencyKey")
    if key is not None:
        case.headers.pop("Idempotency-Key", None)
    elif "Idempotency-Key" not in case.headers:
        case.headers["Idempotency-Key"] = f'"{len(json.dumps(case.body, default=repr))}"'


def _of_a_parent(case: Any) -> None:
    """A parent token that this engine has issued."""
    case.headers.pop("Atomic-Parent", None)
    token = case.body.get("parent")
    if token is not None:
        parents = (
            TOLD["parents"] if case.path_parameters.get("client") == TOLD["client"] else [None]
        )
        case.body = {**case.body, "parent": parents[len(token) % len(parents)]}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """What asks keeps its token and its client; copies are made nowhere but in a directory for
    them."""
    name = case.path_parameters.get("name")
    if case.method == "POST" and name in TOLD["own"]:
        case.path_parameters["name"] = TOLD["names"]["tokens"][0]
    file = case.body.get("file") if isinstance(case.body, dict) else None
    if isinstance(file, str) and file.startswith("/") and not file.startswith(TOLD["directory"]):
        case.body = {**case.body, "file": f"{TOLD['directory']}/{file.replace('/', '-')}"}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """What is right, though it looks wrong; anything else that was found is told.

    A post to `/healthz` is one to a client that is called so: 400 says that the name is the
    engine's own, which tells more than 405. And who asks to wait a second (`Prefer: wait=1`) is
    told after it that the work goes on: 504, of an engine on a busy machine.
    """
    is_405 = type(failure).__name__ == "UnsupportedMethodResponse"
    if is_405 and case.method == "POST" and case.path.strip("/") in TOLD["reserved"]:
        return False
    asked = str((case.headers or {}).get("Prefer", ""))
    return not (
        response.status_code == 504
        and "wait=" in asked
        and b"/problems/wait-timeout" in response.content
    )
