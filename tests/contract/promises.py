"""What is promised of `/api/v1`, one thing a line: `promises.txt` has what was ever promised.

`python -m tests.contract --record` adds what is new, and takes nothing away: who breaks a promise
does it by hand, in sight. `docs/reference/stability.md` says it to readers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import wire
from engine.core.model import StepState
from engine.core.rules.action import UNDISMISS_ONCE
from engine.front.openapi.callback import callback
from engine.front.openapi.document import document
from engine.wire.routes import ROUTES, Role

FILE = Path(__file__).with_name("promises.txt")
METRICS = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
Json = dict[str, Any]


def promised() -> set[str]:
    """All that is recorded."""
    return {*FILE.read_text().splitlines()} if FILE.exists() else set()


def kept() -> set[str]:
    """All that holds now."""
    told = document("0")
    sent = {route.body.__name__ for route in ROUTES if route.body} | {"RetryPolicy"}
    return {
        *(line for path, methods in told["paths"].items() for line in _routes(path, methods)),
        *(
            line
            for name, schema in told["components"]["schemas"].items()
            for line in _members(name, schema, is_sent=name in sent)
        ),
        *(f"problem {kind} is {it.status} of {it.source}" for kind, it in wire.PROBLEMS.items()),
        *_words(),
        *_metrics(),
        *(f"call has {it['name']}" for it in _called()["parameters"]),
    }


def _routes(path: str, methods: Json) -> Iterator[str]:
    for method, it in methods.items():
        route = f"{method.upper()} {path}"
        yield route
        yield f"{route} is {it['operationId']}"
        for given in it.get("parameters", ()):
            if given["in"] != "path":
                yield f"{route} takes {given['in']} {given['name']}"
            if given["in"] != "path" and not given.get("required"):
                yield f"{route} may go without {given['in']} {given['name']}"
        for status in it["responses"]:
            if status < "400":
                yield f"{route} answers {status}"


def _members(name: str, schema: Json, *, is_sent: bool) -> Iterator[str]:
    for member, of in schema.get("properties", {}).items():
        yield f"{name} has {member}, {_type(of)}"
        if is_sent and member not in schema.get("required", ()):
            yield f"{name} may go without {member}"


def _type(schema: Json) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    kind = schema.get("type", "any")
    return f"array of {_type(schema['items'])}" if schema.get("items") else str(kind)


def _words() -> Iterator[str]:
    for kind, words in (
        ("state", StepState),
        ("pause reason", wire.PauseReason),
        ("action", [*wire.Action, UNDISMISS_ONCE]),
        ("hold", wire.HoldKind),
        ("failure", wire.FailureKind),
        ("role", Role),
        ("filter", [*wire.ABOUT, *wire.IS_WORDS]),
    ):
        yield from (f"{kind} {word}" for word in words if word)


def _metrics() -> Iterator[str]:
    """Of the page, which is held to what is told."""
    for row in METRICS.read_text().splitlines():
        if found := re.match(r"\| `(atomic_\w+)` \| (\w+) \| (.*?) \|", row):
            labels = re.findall(r"(?:^|; |, )`(\w+)`", found[3].split(":")[0])
            yield f"metric {found[1]} is a {found[2]}"
            yield from (
                f"metric {found[1]} has {label}" for label in labels if label[:7] != "atomic_"
            )


def _called() -> Json:
    (called,) = callback()["invoke"].values()
    return dict(called["post"])


def write() -> None:
    """Add what is new."""
    FILE.write_text("".join(f"{line}\n" for line in sorted(promised() | kept())))
