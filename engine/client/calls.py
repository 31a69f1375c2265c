"""What the client posts and how it reads answers. No I/O, no clock: both clients share this.

A `Call` is one request to the engine, `Tries` decides after each try whether to go on. Posting a
submission again with the same key is always safe, so a broken connection and the answers that say
nothing about the step (429, 502, 503, 504) are tried again, a bounded number of times, with
back-off. Actions are not posted again once they may have arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Raw, Struct, field

from engine.client import json_text
from engine.client.errors import (
    NothingKnown,
    ProblemError,
    Suspended,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
    problem_error,
    without_user,
)
from engine.wire import (
    CLIENT_PATTERN,
    OpenAnswer,
    OutcomeAnswer,
    Problem,
    RetryPolicy,
)

T = TypeVar("T")

DEFAULT_ENGINE = "http://127.0.0.1:8420"
PARENT_HEADER = "Atomic-Parent"
RETRY_AFTER_S_MAX = 60.0
"""A server that asks for more waits in vain: the caller would rather know."""
HELD_S = 5.0
"""A post that was held this long reached a living engine: a cut after it counts from one again.
Proxies cut waiting posts every minute; that must never add up to a failure."""
GRACE_S = 10.0
"""How long after a caller's own `timeout` the engine's 504 may take to arrive."""
OUTCOME_WAIT_S = 60
"""How long one request for an outcome is held; short enough for most proxies."""
UNKNOWN_ACTION = "Whether it was carried out is not known: look before you repeat it."
CONNECT_S = 5.0
WRITE_S = 30.0


class Reposts(Struct, frozen=True):
    """How often and when a call that told nothing is made again.

    `count` tries follow the first one; the delay doubles from `back_off_s` to `max_back_off_s`, and
    up to `jitter` of it is added. The defaults outlast a restart of the engine.
    """

    count: int = 8
    back_off_s: float = 0.25
    max_back_off_s: float = 10.0
    jitter: float = 0.25

    def delay_s(self, number: int, chance: float) -> float:
        """The delay before repost `number`, from 1. `chance` is in [0, 1)."""
        nominal = min(self.back_off_s * 2.0 ** min(number - 1, 60), self.max_back_off_s)
        return nominal * (1 + self.jitter * chance)


class Repost(Struct, frozen=True):
    """What `on_repost` is told: a call told nothing and is made again after `delay_s`."""

    number: int
    delay_s: float
    reason: NothingKnown


class Answering(Struct, frozen=True):
    """What the client was given to decide with, in one piece."""

    reposts: Reposts
    chance: Callable[[], float]
    on_repost: Callable[[Repost], None] | None


class SubmitOptions(TypedDict, total=False):
    """What a submission may carry beside its names and payload. `docs/reference/protocol.md` §2."""

    timeout: int | None
    """Milliseconds that the caller waits; the work goes on after it."""
    retry: RetryPolicy | Mapping[str, Any] | None
    attempt_timeout: int | None
    """Milliseconds, a hard deadline for one attempt."""
    step_key: str | None
    step_name: str | None


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


class Call(Struct, frozen=True, kw_only=True):
    """One request to the engine."""

    method: str
    path: str
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    members: dict[str, Any] | None = None
    timeout_ms: int | None = None
    """The caller's own wait, all tries together; each carries what is left of it."""
    held: bool = False
    """The engine may hold the answer back as long as it likes."""
    repeatable: bool = True
    """Making it twice does no more than making it once."""

    def content(self, left_ms: int | None) -> bytes | None:
        """The body, with the caller's remaining wait."""
        if self.members is None:
            return None
        timeout = {} if left_ms is None else {"timeout": max(1, left_ms)}
        return msgspec.json.encode(self.members | timeout)

    def head(self, left_ms: int | None) -> dict[str, str]:
        """The headers; a request without a body says there how long it waits still."""
        if left_ms is None or self.members is not None:
            return self.headers
        return self.headers | {"Prefer": f"wait={round(max(0, left_ms) / 1000)}"}

    def read_timeout_s(self, left_ms: int | None, usual_s: float) -> float | None:
        """How long nothing may arrive. None: for ever; TCP keep-alive notices a dead peer."""
        if left_ms is not None:
            return left_ms / 1000 + GRACE_S
        return None if self.held else usual_s


class Tries:
    """The tries of one call: what is left of its time, and whether another one is made."""

    def __init__(self, call: Call, how: Answering, now: float) -> None:
        self.call = call
        self._how = how
        self._deadline = None if call.timeout_ms is None else now + call.timeout_ms / 1000
        self._failures = 0
        self._began = now

    def begin(self, now: float) -> int | None:
        """A try starts; returns the milliseconds left of the caller's own wait."""
        self._began = now
        return None if self._deadline is None else round((self._deadline - now) * 1000)

    def broken(self, error: httpx.RequestError, engine: str, now: float) -> float:
        """No answer came; returns the delay before the next try, or raises NothingKnown."""
        unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
            raise ValueError(f"This cannot be sent: {error}") from error
        what = "cannot be reached" if unsent else "broke off"
        where = without_user(engine)
        text = f"The engine at {where} {what}: {str(error) or type(error).__name__}"
        if not (self.call.repeatable or unsent):
            raise Unreachable(f"{text}. {UNKNOWN_ACTION}") from error
        try:
            return self._next(Unreachable(text, unsent=unsent), None, now)
        except Unreachable as last:
            raise last from error

    def answered(self, response: httpx.Response, now: float) -> float | None:
        """None: this answer counts. Else the delay before the next try; or raises NothingKnown."""
        status = response.status_code
        if status not in (429, 502, 503, 504):
            return None
        problem = problem_of(response)
        text = str(problem or f"HTTP {status} without a reason")
        if problem is not None and problem.problem == Problem.SUSPENDED:
            raise Suspended(text, problem)
        timed_out = problem is not None and problem.problem == Problem.WAIT_TIMEOUT
        if timed_out and self.call.timeout_ms is not None:
            raise WaitTimeout(text, problem)
        if status in (502, 504) and not self.call.repeatable:
            raise NothingKnown(f"{text}. {UNKNOWN_ACTION}", problem)
        return self._next(NothingKnown(text, problem), retry_after_s(response), now)

    def _next(self, reason: NothingKnown, retry_after: float | None, now: float) -> float:
        if now - self._began >= HELD_S:
            self._failures = 0
        self._failures += 1
        if self._failures > self._how.reposts.count:
            raise reason
        delay = self._how.reposts.delay_s(self._failures, self._how.chance())
        delay = max(delay, retry_after or 0.0)
        if self._deadline is not None and now + delay >= self._deadline:
            raise reason
        if self._how.on_repost is not None:
            self._how.on_repost(Repost(self._failures, delay, reason))
        return delay


def retry_after_s(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds (RFC 9110 §10.2.3), a date being taken against the answer's own."""
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), RETRY_AFTER_S_MAX)
    try:
        then = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(response.headers.get("date", ""))
        seconds = (then - sent).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


def submission(
    client: str,
    workflow_name: str,
    url: str,
    key: str,
    payload: Any,
    *,
    parent: str | None = None,
    prefer: str | None = None,
    options: SubmitOptions,
) -> Call:
    """The post of a step. Raises ValueError for a client name that has no place in a path."""
    if not re.fullmatch(CLIENT_PATTERN, client):
        raise ValueError(f"{client!r} is not a client name: letters, digits and . _ - only")
    members: dict[str, Any] = {
        "workflowName": workflow_name,
        "stepInvokeUrl": url,
        "idempotencyKey": key,
        "payload": json_text.encode(payload),
        "retry": options.get("retry"),
        "attemptTimeout": options.get("attempt_timeout"),
        "stepKey": options.get("step_key"),
        "stepName": options.get("step_name"),
    }
    headers = {"Content-Type": "application/json"}
    if parent is not None:
        headers[PARENT_HEADER] = parent
    if prefer is not None:
        headers["Prefer"] = prefer
    return Call(
        method="POST",
        path=f"/{client}",
        headers=headers,
        members={k: v for k, v in members.items() if v is not None},
        timeout_ms=options.get("timeout"),
        held=True,
    )


def still_open(step: Open) -> Suspended:
    """What is raised for a step that is not waited for."""
    return Suspended(f"Step {step.id} is {step.status}; the function is called when it has ended.")


def parent_of(headers: Mapping[str, str] | None, parent: str | None) -> str:
    """The parent token of the invoking request. Raises ValueError when there is none."""
    if parent is None and headers is not None:
        for name, value in headers.items():
            if name.lower() == PARENT_HEADER.lower():
                parent = value
    if parent is None:
        raise ValueError(
            f"There is no {PARENT_HEADER} header: a step is posted by a function that the engine"
            " has invoked. To start a run use submit()."
        )
    return parent


def outcome_call(step_id: str, wait: int | None) -> Call:
    """Ask for a step's outcome, held for `wait` seconds at most."""
    path = f"/api/v1/steps/{segment(step_id)}/outcome"
    held = {"Prefer": f"wait={OUTCOME_WAIT_S}"}
    limit_ms = None if wait is None else wait * 1000
    return Call(method="GET", path=path, headers=held, held=True, timeout_ms=limit_ms)


def runs_call(**query: str | int | None) -> Call:
    """Ask for a page of runs."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return Call(method="GET", path="/api/v1/runs", query=given)


def retries_call(**query: str | int | None) -> Call:
    """Ask what is tried next."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return Call(method="GET", path="/api/v1/retries", query=given)


CAUSES = Call(method="GET", path="/api/v1/causes")


class BodyPart(Struct, frozen=True):
    """A payload or an answer, or the first part of it."""

    data: bytes
    content_type: str
    kept_bytes: int
    """How much of it the engine keeps."""
    full_bytes: int
    """How long it was."""


def body_call(step_id: str, attempt: int | None, first: int, count: int | None) -> Call:
    """Ask for `count` bytes of a step's payload, or (`attempt`) of what an attempt was answered.

    Raises ValueError for a range that there cannot be.
    """
    if first < 0 or (count is not None and count < 1):
        raise ValueError("`first` counts from 0, and `count` from 1")
    of = "payload" if attempt is None else f"attempts/{attempt}/response"
    last = "" if count is None else first + count - 1
    ranged = {} if first == 0 and count is None else {"Range": f"bytes={first}-{last}"}
    return Call(method="GET", path=f"/api/v1/steps/{segment(step_id)}/{of}", headers=ranged)


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
    )


def run_call(run_id: str) -> Call:
    """Ask for a run with its tree."""
    return Call(method="GET", path=f"/api/v1/runs/{segment(run_id)}")


def step_call(step_id: str) -> Call:
    """Ask for one step with its attempts."""
    return Call(method="GET", path=f"/api/v1/steps/{segment(step_id)}")


def status_call() -> Call:
    """Ask how the engine is."""
    return Call(method="GET", path="/api/v1/status")


def segment(text: str) -> str:
    """An id as a part of a path. Raises ValueError."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is not an id")
    return quote(text, safe="")


def engine_url(engine: str) -> httpx.URL:
    """The engine's address without a slash at its end. Raises ValueError for what is none."""
    try:
        url = httpx.URL(engine.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ValueError(f"{engine!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{engine!r} is not the URL of an engine, such as {DEFAULT_ENGINE}")
    return url


def problem_of(response: httpx.Response) -> ProblemError | None:
    """The problem that an answer carries."""
    kind = response.headers.get("content-type", "")
    return problem_error(response.status_code, response.content, kind)


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
