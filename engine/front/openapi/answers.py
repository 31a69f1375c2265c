"""What each route answers: what was asked for, and every problem type by its status.

What any route may answer is here once; a route that is added has that, and what its method, its
path and its role bring along. What is its own stands in its row. `tests/contract/test_openapi.py`
holds it to what is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine import wire
from engine.core.errors import Problem
from engine.wire import routes
from engine.wire.routes import Role, Route

Json = dict[str, Any]
_BAD_HTTP = dict.fromkeys((408, 414, 417, 501, 505), Problem.INVALID_REQUEST)
"""HTTP that cannot be read, under the statuses that HTTP has for it."""
_OF_ALL = (
    Problem.INVALID_REQUEST, Problem.FORBIDDEN, Problem.WRONG_HOST, Problem.HEADERS_TOO_LARGE,
    Problem.INTERNAL, Problem.OVERLOADED, Problem.DRAINING,
)  # fmt: skip
_OF_A_POST = (Problem.TOO_LARGE, Problem.UNSUPPORTED_MEDIA_TYPE)
_OF_HEALTH = {routes.HEALTH, routes.READY}
"""They answer to any name."""
_OF_A_RUN = (Problem.OUTCOME_EXPIRED, Problem.STORE_UNAVAILABLE)
_OWN: dict[Route[Any], tuple[Problem, ...]] = {
    routes.ACT: (Problem.REVISION_CHANGED, Problem.RUN_CANCELLED, Problem.TARGET_NOT_ALLOWED,
                 Problem.ENGINE_ERROR, Problem.KEY_REUSED, Problem.INVALID_SUBMISSION),
    routes.BULK: (Problem.REVISION_CHANGED, Problem.KEY_REUSED, Problem.INVALID_SUBMISSION),
    routes.RELEASE: (Problem.NOT_FOUND,),
    routes.LIMITS_RESET: (Problem.NOT_FOUND,),
    routes.TOKEN_ADD: (Problem.NOT_FOUND,),
    routes.EVENTS: (Problem.RATE_LIMITED,),
    routes.ALERTS_TEST: (Problem.RATE_LIMITED,),
    routes.OUTCOME: (Problem.INVALID_SUBMISSION, Problem.STEP_FAILED, Problem.RUN_CANCELLED,
                     Problem.RATE_LIMITED, Problem.ENGINE_ERROR, Problem.SUSPENDED,
                     Problem.WAIT_TIMEOUT),
    routes.SUBMIT: tuple(
        it for it in Problem
        if it not in {Problem.NOT_FOUND, Problem.METHOD_NOT_ALLOWED, Problem.REVISION_CHANGED,
                      Problem.NOT_POSSIBLE, Problem.UNAUTHORIZED}
    ),
}  # fmt: skip
"""What is a route's own."""

_REPLAYED = {
    "Idempotent-Replayed": "`true`: it was recorded before this post.",
    "Atomic-Payload-Differs": "`true`: another payload was recorded.",
}
_OF_A_BODY = {
    "Accept-Ranges": "`bytes`.",
    "Atomic-Content-Type": "With which it came: third parties wrote it.",
    "Atomic-Full-Size": "In bytes.",
    "Atomic-Redacted": "Whether something of it is masked, as its client hides it.",
}
_MASKED = {"Atomic-Redacted": "`true`: something of it is masked, as its client hides it."}
_RANGE = _OF_A_BODY | {"Content-Range": "Which bytes of how many."}
_TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
_HTML: Json = {"text/html": {"schema": {"type": "string"}}}
_BYTES: Json = {"application/octet-stream": {}}
_METRICS: Json = {
    "text/plain; version=0.0.4": {"schema": {"type": "string"}},
    "application/openmetrics-text; version=1.0.0": {"schema": {"type": "string"}},
}
_RETRY_AFTER = {"Retry-After": "Seconds after which to ask again."}
_RATE_LIMIT = _RETRY_AFTER | {
    "RateLimit": "What is left of the quota, and when there is more.",
    "RateLimit-Policy": "The quota.",
}
_WHERE = {"Location": "Where the outcome will be."}
_OPEN = _WHERE | {"Preference-Applied": "What was taken up."}
_HEADERS: dict[Problem, dict[str, str]] = {
    Problem.UNAUTHORIZED: {"WWW-Authenticate": "`Bearer`."},
    Problem.RUN_CANCELLED: _REPLAYED,
    Problem.STEP_FAILED: _REPLAYED,
    Problem.RATE_LIMITED: _RATE_LIMIT,
    Problem.TOO_MANY_RUNS: _RATE_LIMIT,
    Problem.OVERLOADED: _RETRY_AFTER,
    Problem.DRAINING: _RETRY_AFTER,
    Problem.STORE_UNAVAILABLE: _RETRY_AFTER,
    Problem.ENGINE_ERROR: _RETRY_AFTER | _WHERE,
    Problem.WAIT_TIMEOUT: _WHERE,
    Problem.SUSPENDED: _WHERE,
}


def _headers(problems: set[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in _in_order(problems):
        found |= _HEADERS.get(problem, {})
    return found


def schema_of(name: str) -> Json:
    """A reference to a type."""
    return {"$ref": f"#/components/schemas/{name}"}


def _json(of: type) -> Json:
    return {"application/json": {"schema": schema_of(of.__name__) if of is not dict else {}}}


def _events() -> Json:
    """What each event of the stream is: OpenAPI 3.1 has no word that says so of a stream."""
    data = {
        **dict.fromkeys(("run", "step", "attempt"), "Fact"),
        "counts": "Counts",
        "heartbeat": "Heartbeat",
        "reset": "Reset",
    }
    event = {
        "type": "object",
        "description": "Each event. Of a later engine there may be others.",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "description": "Opaque: for `Last-Event-ID`."},
            "event": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
        "allOf": [
            {
                "if": {"properties": {"event": {"const": name}}},
                "then": {"properties": {"data": {"contentSchema": schema_of(of)}}},
            }
            for name, of in data.items()
        ],
    }
    return {"text/event-stream": {"schema": event}}


Told = tuple[str, Json, dict[str, str]]
"""A description, content, and headers."""


def _done(route: Route[Any]) -> dict[int, Told]:
    """The answers to who asks as the route has it."""
    answer = _json(route.answer)
    if route in (routes.PAYLOAD, routes.LAST_ANSWER, routes.ANSWER):
        return {
            200: ("The whole body.", _BYTES, _OF_A_BODY),
            206: ("The range that was asked for.", _BYTES, _RANGE),
            416: ("The body ends before the range.", _BYTES, _RANGE),
        }
    own: dict[Route[Any], dict[int, Told]] = {
        routes.SUBMIT: {
            200: ("The recorded outcome.", answer, _REPLAYED),
            202: ("Recorded, still open.", _json(wire.OpenAnswer), _OPEN),
        },
        routes.OUTCOME: {
            200: ("The recorded outcome.", answer, _REPLAYED | _MASKED),
            202: ("Still open.", _json(wire.OpenAnswer), _OPEN),
        },
        routes.STATUS: {200: ("As it stands.", _json(wire.Status), {})},
        routes.ACT: {202: ("Done, durably.", answer, _REPLAYED), 200: ("Dry run.", answer, {})},
        routes.BULK: {202: ("The job has begun.", answer, {}), 200: ("Dry run.", answer, {})},
        routes.ABORT: {202: ("It stops.", answer, {})},
        routes.PRUNE: {202: ("It begins.", answer, {}), 200: ("Dry run.", answer, {})},
        routes.ALERTS_TEST: {202: ("It is sent.", answer, {})},
        routes.BACKUP: {202: ("It is being made.", answer, {})},
        routes.HEALTH: {200: ("It lives.", _TEXT, {})},
        routes.READY: {200: ("It takes work.", _TEXT, {})},
        routes.METRICS: {200: ("As `Accept` asks.", _METRICS, {})},
        routes.PROBLEM: {200: ("Its page.", _HTML, {})},
        routes.PROBLEMS: {200: ("All of them.", _HTML, {})},
        routes.EVENTS: {200: ("Events, until the reader leaves.", _events(), {})},
    }
    return own.get(route) or {200: ("As asked.", answer, {})}


def problems_of(route: Route[Any]) -> dict[int, set[Problem]]:
    """The problem types that a route may answer with, by status."""
    found = {*_OF_ALL, *_OWN.get(route, ())}
    if route in _OF_HEALTH:
        found -= {Problem.WRONG_HOST}
    if route.role is not None:
        found |= {Problem.UNAUTHORIZED, Problem.STORE_UNAVAILABLE}
    if route.method == "POST":
        found |= {*_OF_A_POST}
    if route.act:
        found |= {Problem.NOT_POSSIBLE}
    if "{" in route.path and route is not routes.SUBMIT:
        found |= {Problem.NOT_FOUND}
    if "/runs/{id}" in route.path or "/steps/{id}" in route.path:
        found |= {*_OF_A_RUN}
    by_status: dict[int, set[Problem]] = {}
    for problem in found:
        by_status.setdefault(wire.PROBLEMS[problem].status, set()).add(problem)
    for status, problem in _BAD_HTTP.items():
        by_status.setdefault(status, set()).add(problem)
    return by_status


def responses(route: Route[Any]) -> Json:
    """All answers of a route: those of problems by reference."""
    found = {str(status): _told(*it) for status, it in _done(route).items()}
    for status, problems in sorted(problems_of(route).items()):
        found[str(status)] = {"$ref": f"#/components/responses/{_name(status, problems)}"}
    if route is routes.READY:  # a prober's page beside the server's own refusals
        busy = {Problem.OVERLOADED, Problem.DRAINING}
        found["503"] = _told("Not yet, or no more.", _TEXT | _problem(503, busy), _headers(busy))
    return found


def shared_responses(all_routes: tuple[Route[Any], ...]) -> Json:
    """The answers that routes refer to."""
    return {
        _name(status, problems): _told(
            _text(status, problems), _problem(status, problems), _headers(problems)
        )
        for route in all_routes
        for status, problems in sorted(problems_of(route).items())
    }


def _name(status: int, problems: set[Problem]) -> str:
    return ".".join([str(status), *_in_order(problems)])


def _in_order(problems: set[Problem]) -> Iterator[Problem]:
    return (it for it in Problem if it in problems)


def _text(status: int, problems: set[Problem]) -> str:
    if status in _BAD_HTTP:
        return "HTTP that is not taken."
    return " ".join(f"`{it}`: {wire.PROBLEMS[it].title}." for it in _in_order(problems))


def _problem(status: int, problems: set[Problem]) -> Json:
    types = [f"/problems/{it}" for it in _in_order(problems)]
    of = {"type": {"enum": types}, "status": {"const": status}}
    schema = schema_of(wire.ProblemDocument.__name__) | {"properties": of}
    return {"application/problem+json": {"schema": schema}}


def _told(text: str, content: Json, headers: dict[str, str]) -> Json:
    found: Json = {"description": text, "content": content}
    if headers:
        found["headers"] = {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in headers.items()
        }
    return found


def security(role: Role | None) -> list[Json] | None:
    """What a token must allow. An engine that has neither client nor token asks for none."""
    return None if role is None else [{"token": [role.value]}, {}]


def types_of(route: Route[Any]) -> list[type[Struct]]:
    """The types that a route's answers refer to."""
    found = [route.answer] if issubclass(route.answer, Struct) else []
    if route is routes.STATUS:
        found = [wire.Status]
    return found + ([wire.OpenAnswer] if route in (routes.SUBMIT, routes.OUTCOME) else [])
