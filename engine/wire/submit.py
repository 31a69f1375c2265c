"""What is posted to `/{client}`, and what is answered. `docs/reference/protocol.md` §2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from engine.core.access.client import NAMES_TO_COME
from engine.core.retry import DAY_MS, RetryPolicy
from engine.core.target import URL_BYTES_MAX

CLIENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"
"""Python's `$` also matches before a line feed at the end, that of JSON Schema does not: `(?!\\n)`
makes this and the other patterns say the same to both."""
RESERVED_CLIENTS = frozenset(
    {"api", "healthz", "readyz", "metrics", "docs", "problems", "openapi.json"}
)
NAMES_NOT_FREE = RESERVED_CLIENTS | NAMES_TO_COME
"""What no new client may be called."""
PRINTABLE = r"^[\x20-\x7e]+$(?!\n)"
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=PRINTABLE)]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=PRINTABLE)]
StepName = Annotated[
    str, Meta(min_length=1, max_length=128, extra_json_schema={"format": "step-name"})
]
"""In any script; `names.unseen` says what may not stand in it."""
Url = Annotated[str, Meta(extra_json_schema={"format": "uri", "maxLength": URL_BYTES_MAX})]
"""`core/target.py` refuses what cannot be one, and says why; this tells machines what a schema can.
"""
StepKey = Annotated[str, Meta(min_length=1, max_length=2_048, pattern=PRINTABLE)]
ParentToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=512,
        pattern=PRINTABLE,
        extra_json_schema={"format": "parent-token"},
    ),
]


class Submission(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """The body of `POST /{client}`. `docs/reference/protocol.md` §2."""

    workflow_name: Name
    step_invoke_url: Url
    idempotency_key: Key | None = None
    payload: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))
    timeout: Annotated[int, Meta(ge=1, le=365 * DAY_MS)] | None = None
    retry: RetryPolicy | None = None
    attempt_timeout: Annotated[int, Meta(ge=1, le=DAY_MS)] = 60_000
    step_key: StepKey | None = None
    step_name: StepName | None = None
    parent: ParentToken | None = None


class SubmitOptions(TypedDict, total=False):
    """The same as an option of the client's, where it is neither name, payload nor parent token."""

    timeout: int | None
    """Milliseconds that the caller waits; the work goes on after it."""
    retry: RetryPolicy | Mapping[str, Any] | None
    attempt_timeout: int | None
    """Milliseconds, a hard deadline for one attempt."""
    step_key: str | None
    step_name: str | None


class OutcomeAnswer(Struct, frozen=True, rename="camel"):
    """The answer 200 of a submission: the recorded outcome of its step."""

    id: str
    run_id: str
    workflow_name: str
    step_invoke_url: str
    idempotency_key: str
    generation: int
    status: str
    http_status: int
    response: Raw
    attempts: int
    submitted_at: str
    finished_at: str
    set_by: str | UnsetType = UNSET
    """Told where no endpoint answered so: `set-result` or `skip`, by which an operator did."""


class OpenAnswer(Struct, frozen=True, rename="camel"):
    """The answer 202: recorded, and still open."""

    id: str
    run_id: str
    status: str
