"""What the engine answered, as values. No I/O, no clock: both clients share this."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from engine.client import json_text
from engine.client.errors import NothingKnown, UnexpectedAnswer, problem_of, without_user
from engine.wire import OpenAnswer, OutcomeAnswer

T = TypeVar("T")


class Outcome(Struct, frozen=True, rename="camel", dict=True):
    """The recorded outcome of a completed step."""

    id: str
    run_id: str
    workflow_name: str
    step_invoke_url: str
    idempotency_key: str
    generation: int
    status: str
    http_status: int
    raw: Raw = field(name="response")
    """The endpoint's answer as JSON bytes."""
    attempts: int
    submitted_at: str
    finished_at: str
    replayed: bool = False
    """It was recorded before this post (`Idempotent-Replayed`)."""
    payload_differs: bool = False
    """The record is of another payload than this post's (`Atomic-Payload-Differs`)."""
    set_by: str | UnsetType = UNSET
    """`set-result` or `skip`, where an operator gave it and no endpoint."""

    @cached_property
    def response(self) -> Any:
        """The endpoint's answer, decoded when it is first asked for."""
        return json_text.decode(self.raw, Any)

    def wire(self) -> OutcomeAnswer:
        """The answer as it came."""
        names = OutcomeAnswer.__struct_fields__
        taken = {name: getattr(self, name) for name in names if name != "response"}
        return OutcomeAnswer(**taken, response=self.raw)

    def decode(self, type: type[T]) -> T:
        """The endpoint's answer as `type`. Raises msgspec.ValidationError when it does not fit."""
        return json_text.decode(self.raw, type)


class Open(OpenAnswer, frozen=True):
    """Recorded, and still open: `outcome(id)` waits for its end."""


class BodyPart(Struct, frozen=True):
    """A payload or an answer, or the first part of it."""

    data: bytes
    content_type: str
    kept_bytes: int
    """How much of it the engine keeps."""
    full_bytes: int
    """How long it was; of one that is masked in part, how long it is so."""
    redacted: bool = False
    """Something of it is masked, as its client hides it."""


def read_body(response: httpx.Response) -> BodyPart:
    """A raw body. Raises like `read_answer`."""
    headers = response.headers
    if response.status_code == 416:  # what is kept is shorter, or empty
        return _part(b"", headers)
    if not response.is_success:
        read_answer(response, dict[str, Any])
    return _part(response.content, headers)


def _part(data: bytes, headers: httpx.Headers) -> BodyPart:
    kept = headers.get("content-range", "").rpartition("/")[2]
    full = headers.get("atomic-full-size", "")
    kept_bytes = int(kept) if kept.isdigit() else len(data)
    return BodyPart(
        data,
        headers.get("atomic-content-type", ""),
        kept_bytes,
        int(full) if full.isdigit() else kept_bytes,
        headers.get("atomic-redacted") == "true",
    )


def read_answer(response: httpx.Response, type: type[T]) -> T:
    """The answer as `type`. Raises the error that the answer carries, or UnexpectedAnswer."""
    if not response.is_success:
        problem = problem_of(response)
        if problem is not None and problem.status >= 500:
            raise NothingKnown(str(problem), problem)
        if problem is not None:
            raise problem
        raise UnexpectedAnswer(_unexpected(response), status=response.status_code)
    try:
        if type is Outcome:
            return json_text.decode_with_raw(response.content, "raw", type)
        return msgspec.json.decode(response.content, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(f"{_unexpected(response)}: {error}") from error


def read_outcome(response: httpx.Response) -> Outcome | Open:
    """A submission's answer: its outcome, or that it is still open. Raises like `read_answer`."""
    if response.status_code == 202:
        return read_answer(response, Open)
    outcome = read_answer(response, Outcome)
    flags = {
        "replayed": response.headers.get("idempotent-replayed") == "true",
        "payload_differs": response.headers.get("atomic-payload-differs") == "true",
    }
    return msgspec.structs.replace(outcome, **flags) if any(flags.values()) else outcome


def _unexpected(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "no content type")
    where = f"{response.request.method} {without_user(str(response.request.url))}"
    return f"{where} was answered HTTP {response.status_code} ({kind}), not as the engine does"
