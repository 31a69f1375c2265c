"""What the engine sends to an endpoint of ours, and what we answer."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import Headers


class BadCall(Exception):
    """The request is not a call as the engine makes it. The message is for a person."""


TURNS = {"parcel", "reader"}
"""Members of a payload that tell the turns of a loop apart."""


@dataclass(frozen=True)
class Call:
    """One invocation: the body's two members and the headers that matter to an application.

    `key` is the workflow's idempotency key as submitted, `own_key` the step's own (the header
    `Idempotency-Key`): the same for every attempt of one step, so effects are remembered under it.
    `parent` is the parent token that is copied onto the posts made while answering.
    """

    step: str
    workflow: str
    key: str
    own_key: str
    payload: Any
    parent: str | None = None

    @property
    def label(self) -> str:
        """The step's name inside its run. Steps of a loop carry the number of their parcel or
        reader."""
        if isinstance(self.payload, dict):
            for turn in TURNS & self.payload.keys():
                return f"{self.step}/{self.payload[turn]}"
        return self.step

    @property
    def options(self) -> dict[str, Any]:
        """Options for the steps this call posts, when the payload brings some. Raises BadCall."""
        options = self.payload.get("options", {}) if isinstance(self.payload, dict) else {}
        if not isinstance(options, dict):
            raise BadCall("options in a payload are an object")
        return options


@dataclass(frozen=True)
class Answer:
    """What an endpoint says: a status, a JSON body, headers of its own."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]


def unquote_key(value: str) -> str:
    """The key in `Idempotency-Key`: a structured-field string (RFC 8941 §3.3.3) or bare."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def parse_call(step: str, headers: Headers, body: bytes) -> Call:
    """Read an invocation. Raises BadCall."""
    try:
        document = json.loads(body)
        key = document["idempotencyKey"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadCall("the body must be JSON with idempotencyKey and payload") from error
    own_key = unquote_key(headers.get("Idempotency-Key", ""))
    if not own_key:
        raise BadCall("the header Idempotency-Key is missing")
    return Call(
        step=step,
        workflow=headers.get("Atomic-Workflow", ""),
        key=str(key),
        own_key=own_key,
        payload=document.get("payload"),
        parent=headers.get("Atomic-Parent"),
    )
