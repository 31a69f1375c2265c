"""The whole description."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from engine import wire
from engine.front.openapi.answers import (
    responses,
    schema_of,
    security,
    shared_responses,
    types_of,
)
from engine.front.openapi.asked import parameters
from engine.front.openapi.callback import callback
from engine.wire import events, routes
from engine.wire.routes import ROUTES, Route

Json = dict[str, Any]
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the engine's, as soon as it has a client or a token. The name"
        " beside it is the role that it needs: `admin` may all, `operate` what `read` may too.",
    }
}
_ABOUT = """\
Durable workflows over plain HTTP. `docs/reference/protocol.md` is the contract in words.

Readers accept unknown members, states, kinds and event types: more will come. The engine refuses
unknown members in what it is sent. Every GET takes HEAD, and answers without a body. An address
that does not take a method is 405 `method-not-allowed`, and `Allow` has those that it takes. Whole
numbers are written without a fraction: 8000, not 8000.0. Every POST says `Content-Type:
application/json`, whatever it has to say. Pages for people, below `/ui`, are HTML that may look
otherwise in each version, and are not described here."""
_ALWAYS_THERE = ["type", "title", "status", "detail", "errorSource"]


def _body(of: type[Struct]) -> Json:
    return {
        "required": True,
        "content": {"application/json": {"schema": schema_of(of.__name__)}},
    }


def _operation(route: Route[Any], name: str) -> Json:
    head, *rest = name.lower().split("_")
    given = parameters(route)
    needs = security(route.role)
    return {
        "operationId": head + "".join(map(str.capitalize, rest)),
        "summary": route.summary,
        **({"parameters": given} if given else {}),
        **({"requestBody": _body(route.body)} if route.body else {}),
        **({} if needs is None else {"security": needs}),
        "responses": responses(route),
        **({"callbacks": callback()} if route is routes.SUBMIT else {}),
    }


def _schemas() -> Json:
    """Every type that is sent or answered, and the event stream's."""
    bodies = [route.body for route in ROUTES if route.body]
    answers = [it for route in ROUTES for it in types_of(route)]
    of_events: list[Any] = [events.AnyFact, events.Counts, events.Heartbeat, events.Reset]
    types = [*dict.fromkeys([*bodies, *answers, wire.ProblemDocument]), *of_events]
    told, schemas = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schemas["Fact"] = told[len(types) - len(of_events)] | {
        "description": "What happened: an event `run`, `step` or `attempt` of the stream."
    }
    for schema in schemas.values():
        if "description" in schema:  # how far a docstring is indented is Python's affair
            schema["description"] = inspect.cleandoc(schema["description"])
    schemas["ProblemDocument"] |= {"required": _ALWAYS_THERE}
    return dict(sorted(schemas.items()))


@lru_cache(maxsize=1)
def document(version: str) -> Json:
    """The description of an engine of this version."""
    names = {it: name for name, it in vars(routes).items() if type(it) is Route}
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names[route])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Atomic",
            "version": version,
            "summary": "Post a step, get its recorded outcome.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": shared_responses(ROUTES),
            "securitySchemes": _SECURITY,
        },
    }
