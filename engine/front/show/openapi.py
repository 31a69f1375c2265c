"""The interface described in OpenAPI 3.1, with what the engine calls back. Made from the types and
from the table of routes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from engine import wire
from engine.core.errors import Problem
from engine.wire import routes
from engine.wire.routes import ROUTES, Route

_ACTOR = {"Atomic-Actor": "Who acts, in 1 to 64 printable ASCII: a claim, for the record."}
_HEADERS: dict[Route[Any], dict[str, str]] = {
    routes.SUBMIT: {
        "Idempotency-Key": "Instead of the member `idempotencyKey`.",
        "Atomic-Parent": "Parent token of the posting attempt: the post is its child.",
        "Prefer": "respond-async, or wait=N seconds.",
    },
    routes.ACT: _ACTOR,
    routes.HOLD: _ACTOR,
    routes.RELEASE: _ACTOR,
    routes.BULK: {"Idempotency-Key": "A job is begun once for each."} | _ACTOR,
}
_AS_ASKED = {"200": "As asked.", "404": "No such thing."}
_CHANGED = _AS_ASKED | {"409": "not-possible: a file defines it"}
_RESPONSES: dict[Route[Any], dict[str, str]] = {
    routes.SUBMIT: {"200": "The recorded outcome.", "202": "Recorded, still open."},
    routes.ACT: {
        "202": "Done, durably.",
        "200": "Dry run.",
        "409": "revision-changed, not-possible",
    },
    routes.BULK: {
        "202": "The job has begun.",
        "200": "Dry run.",
        "400": "invalid-request: the filter is empty, or cannot be read",
        "409": "revision-changed: more runs match than `expect`; not-possible",
        "422": "idempotency-key-reused: the key is another job's",
    },
    routes.CLIENT_ADD: {
        "200": "As asked.",
        "400": "invalid-request: a name or a target that cannot be one",
        "409": "not-possible: there is one of this name; it would pause runs of others",
    },
    routes.CLIENT_TARGETS: _CHANGED | {"400": "invalid-request: a target that cannot be one"},
    routes.CLIENT_SIGN: _AS_ASKED | {"409": "not-possible: there are two, or a file defines it"},
    routes.CLIENT_UNSIGN: _AS_ASKED
    | {"409": "not-possible: it is the only one, there is none, or a file defines it"},
    routes.CLIENT_DISABLE: _CHANGED,
    routes.CLIENT_ENABLE: _CHANGED,
    routes.CLIENT_REMOVE: _AS_ASKED
    | {"409": "not-possible: it has open runs, or a file defines it"},
    routes.TOKEN_ADD: {
        "200": "As asked.",
        "400": "invalid-request: the role needs a client, or may have none",
        "404": "not-found: the client",
        "409": "not-possible: there is one of this name",
    },
    routes.TOKEN_ROTATE: _CHANGED,
    routes.TOKEN_REMOVE: _AS_ASKED
    | {"409": "not-possible: the last of the role admin, or a file defines it"},
    routes.HOLD: {"200": "Held, durably.", "400": "invalid-request: there can be no such name"},
    routes.RELEASE: {"200": "Released, durably.", "404": "not-found: it is not held"},
    routes.ABORT: {"202": "It stops.", "404": "not-found", "409": "not-possible: it has ended"},
}
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the engine's, as soon as it has a client or a token.",
    }
}
_CALLED_WITH = {
    "Idempotency-Key": "The step's own key, a quoted string; constant over attempts.",
    "Atomic-Client": "Whose run it is: its function posts its steps to this path.",
    "Atomic-Run-Id": "The run.",
    "Atomic-Step-Id": "The step.",
    "Atomic-Workflow": "The workflow's name.",
    "Atomic-Attempt": "Number of the attempt, from 1.",
    "Atomic-Parent": "Copy it onto every post of this function.",
    "traceparent": "W3C trace context.",
}
_CALL_ENDS = {
    "2XX": "The step is completed with this answer.",
    "424": "With a failed or cancelled step below: the step fails at once, because of it. Else a"
    " failed attempt.",
    "default": "A failed attempt; retried by the policy. `Retry-After` lengthens the delay,"
    " `Atomic-No-Retry: true` fails the step, `Atomic-Suspend: true` asks to be invoked when a"
    " child ends.",
}


def _content(of: type) -> dict[str, Any]:
    if not issubclass(of, Struct):
        return {"application/octet-stream": {}}
    kind = "application/problem+json" if of is wire.ProblemDocument else "application/json"
    return {kind: {"schema": {"$ref": f"#/components/schemas/{of.__name__}"}}}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _problems() -> dict[str, str]:
    """The answers of a submission that are problems, by status."""
    found: dict[str, list[str]] = {}
    for kind, it in wire.PROBLEMS.items():
        if kind not in (Problem.REVISION_CHANGED, Problem.NOT_POSSIBLE, Problem.INVALID_REQUEST):
            found.setdefault(str(it.status), []).append(kind)
    return {code: ", ".join(kinds) for code, kinds in sorted(found.items())}


def _callback() -> dict[str, Any]:
    """What the engine sends to `stepInvokeUrl`."""
    body = {
        "type": "object",
        "required": ["idempotencyKey", "payload"],
        "properties": {"idempotencyKey": {"type": "string"}, "payload": {}},
    }
    called = {
        "summary": "The engine invokes the step.",
        "parameters": [_header(name, text) for name, text in _CALLED_WITH.items()],
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {code: {"description": text} for code, text in _CALL_ENDS.items()},
    }
    return {"invoke": {"{$request.body#/stepInvokeUrl}": {"post": called}}}


def _responses(route: Route[Any]) -> dict[str, Any]:
    texts = _RESPONSES.get(route, _AS_ASKED)
    answer = {"200": route.answer, "202": route.answer}
    if route is routes.SUBMIT:
        texts, answer = texts | _problems(), answer | {"202": wire.OpenAnswer}
    return {
        code: {"description": text, "content": _content(answer.get(code, wire.ProblemDocument))}
        for code, text in texts.items()
    }


def _operation(route: Route[Any]) -> dict[str, Any]:
    text, headers = {"type": "string"}, _HEADERS.get(route, {})
    body = {"required": True, "content": _content(route.body)} if route.body else None
    names = re.findall(r"\{(\w+)\}", route.path)
    return {
        "summary": route.summary,
        "parameters": [
            *({"name": it, "in": "path", "required": True, "schema": text} for it in names),
            *(_header(*it) for it in headers.items()),
            *({"name": it, "in": "query", "schema": text} for it in route.queries),
        ],
        **({"requestBody": body} if body else {}),
        **({} if route.role is None else {"security": [{"token": []}, {}]}),
        "responses": _responses(route),
        **({"callbacks": _callback()} if route is routes.SUBMIT else {}),
    }


@lru_cache(maxsize=1)
def document(version: str) -> dict[str, Any]:
    """The whole description."""
    described = [route for route in ROUTES if route.summary]
    used = [
        it
        for route in described
        for it in (route.body, route.answer)
        if it and issubclass(it, Struct)
    ]
    # what the order is stays: readers compare the document with the one of before
    types = dict.fromkeys([*used[:2], wire.OpenAnswer, *used[2:], wire.ProblemDocument])
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {route.path: {} for route in described}
    for route in sorted(described, key=lambda it: it.method):
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Atomic", "version": version, "license": {"name": "MIT"}},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }
