"""What a request of each route has beside its body: names in its path, its query, its headers."""

from __future__ import annotations

import re
from typing import Any

from engine import wire
from engine.core.errors import Problem
from engine.core.filter import FILTER_CHARACTERS_MAX
from engine.core.model import StepState
from engine.front.asked import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from engine.wire import routes
from engine.wire.routes import Route

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
_CLIENT: Json = {"type": "string", "pattern": wire.CLIENT_PATTERN}
_NAMES: dict[str, tuple[str, Json]] = {
    "client": (
        "Whose run it is.",
        _CLIENT | {"not": {"enum": sorted(wire.RESERVED_CLIENTS)}},
    ),
    "id": ("Its id. Of what there is not: 404.", TEXT),
    "cause": ("The cause's id, whole.", TEXT),
    "number": ("Of the attempt, or the note, from 1.", {"type": "integer", "minimum": 1}),
    "name": ("Its name. Of what there is not: 404.", TEXT),
}
_NAME_OF_A_PROBLEM = ("The problem type.", {"type": "string", "enum": [*Problem]})
_CURSOR = "The `next` of the page before. Opaque."
_QUERY: dict[str, tuple[str, Json]] = {
    "client": ("Of this client.", TEXT),
    "workflow": ("Of this workflow.", TEXT),
    "key": ("With this idempotency key.", TEXT),
    "status": (
        "In one of these states, with commas between. An empty word says nothing.",
        {"type": "array", "items": {"type": "string", "enum": [*StepState, ""]}},
    ),
    "q": (
        "A filter: `docs/reference/filter.md` has its language.",
        {"type": "string", "format": "filter", "maxLength": FILTER_CHARACTERS_MAX},
    ),
    "sort": (
        "Newest first, or oldest.",
        {"type": "string", "enum": ["-submittedAt", "submittedAt"], "default": "-submittedAt"},
    ),
    "cursor": (_CURSOR, TEXT),
    "limit": (
        "So many of them.",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": PAGE_LIMIT_MAX,
            "default": PAGE_LIMIT_DEFAULT,
        },
    ),
    "since": (
        "From a time on, or from so long before now: 30m, 12h, 90d.",
        {"type": "string", "format": "since"},
    ),
    "actor": ("By this actor.", TEXT),
    "act": ("Acts of this name, in the words of the command.", TEXT),
    "what": ("Done to this, or to the run or a step of it with this key.", TEXT),
    "whole": (
        "With what its client hides: for the role `admin`, and the audit keeps it.",
        {"type": "boolean", "default": False},
    ),
    "dismissed": (
        "Also those that were dismissed and have not come again.",
        {"type": "boolean", "default": False},
    ),
    "generation": ("Of this generation of the step.", {"type": "integer", "minimum": 1}),
}
_CURSOR_OF_RETRIES = (_CURSOR, {"type": "string", "pattern": "^0*[1-9][0-9]*(?:-|$)"})

_BARE, _QUOTED = "[!#-~](?:[ -~]{0,253}[!-~])?", r'"(?:[ !#-\[\]-~]|\\["\\]){1,255}"'
_KEY = ("Idempotency-Key", {"type": "string", "pattern": f"^(?:{_BARE}|{_QUOTED})$"})
"""A string of RFC 8941, or bare."""
_PREFER = (
    "Prefer",
    "How long to wait: `respond-async`, or `wait=N` seconds. Else until the step ends.",
    TEXT,
)
_HEADERS: dict[Route[Any], tuple[tuple[str, str, Json], ...]] = {
    routes.SUBMIT: (
        (_KEY[0], "In the place of the member `idempotencyKey`: a structured-field string, or"
         " bare.", _KEY[1]),
        ("Atomic-Parent", "The parent token of the attempt that posts: the step is its child.",
         TEXT),
        _PREFER,
        ("traceparent", "W3C trace context: the trace that the step is part of.", TEXT),
    ),
    routes.OUTCOME: (_PREFER,),
    routes.ACT: ((_KEY[0], "A repair is done once for each.", _KEY[1]),),
    routes.BULK: ((_KEY[0], "A job is begun once for each.", _KEY[1]),),
    routes.EVENTS: (
        ("Last-Event-ID", "Go on behind this event, also where `since` says otherwise. Without"
         " either: from now on.", TEXT),
    ),
    **dict.fromkeys(
        (routes.PAYLOAD, routes.LAST_ANSWER, routes.ANSWER),
        (("Range", "One range of bytes, as in `bytes=0-99`.", TEXT),),
    ),
}  # fmt: skip
_ACTOR = (
    "Atomic-Actor",
    "Who acts, for the record: a claim, told beside the token's name.",
    {"type": "string", "pattern": f"^{wire.ACTOR_PATTERN}$"},
)
_ACTOR_OF_LISTENER = (
    _ACTOR[0],
    "Who listens, for the status: a claim, told beside the token's name.",
    _ACTOR[2],
)
_ACTOR_OF_WHOLE = (_ACTOR[0], f"{_ACTOR[1]} Read where `whole` is asked for.", TEXT)


def parameters(route: Route[Any]) -> list[Json]:
    """All of a route."""
    headers = _HEADERS.get(route, ())
    if route is routes.EVENTS:
        headers += (_ACTOR_OF_LISTENER,)
    if route.act:
        headers += (_ACTOR if route.method == "POST" else _ACTOR_OF_WHOLE,)
    return [
        *(_of_path(route, name) for name in re.findall(r"\{(\w+)\}", route.path)),
        *(_of_query(route, name) for name in route.queries),
        *(_header(*it) for it in headers),
    ]


def _of_path(route: Route[Any], name: str) -> Json:
    text, schema = _NAME_OF_A_PROBLEM if route is routes.PROBLEM else _NAMES[name]
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _of_query(route: Route[Any], name: str) -> Json:
    is_retries = name == "cursor" and route is routes.RETRIES
    text, schema = _CURSOR_OF_RETRIES if is_retries else _QUERY[name]
    whole = {"style": "form", "explode": False} if schema["type"] == "array" else {}
    return {"name": name, "in": "query", "description": text, "schema": schema, **whole}


def _header(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": text, "schema": schema}
