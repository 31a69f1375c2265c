"""The HTTP contract as types: what is posted, what is answered, and the problem types.

Imported by the front, the client and the dashboard. Field names on the wire are camelCase; readers
accept unknown members, the engine refuses them in what it is sent.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from engine.core.actions import Action as Action
from engine.core.errors import EngineError as EngineError
from engine.core.errors import Problem as Problem
from engine.core.retry import DAY_MS
from engine.core.retry import RetryPolicy as RetryPolicy

CLIENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
RESERVED_CLIENTS = frozenset(
    {"api", "healthz", "readyz", "metrics", "docs", "problems", "openapi.json"}
)
PRINTABLE = r"^[\x20-\x7e]+$"

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=PRINTABLE)]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=PRINTABLE)]
StepKey = Annotated[str, Meta(min_length=1, max_length=2_048, pattern=PRINTABLE)]


class Submission(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """The body of `POST /{client}`. `docs/reference/protocol.md` §2."""

    workflow_name: Name
    step_invoke_url: str
    idempotency_key: Key | None = None
    payload: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))
    timeout: Annotated[int, Meta(ge=1, le=365 * DAY_MS)] | None = None
    retry: RetryPolicy | None = None
    attempt_timeout: Annotated[int, Meta(ge=1, le=DAY_MS)] = 60_000
    step_key: StepKey | None = None
    step_name: Name | None = None
    parent: Annotated[str, Meta(min_length=1, max_length=512, pattern=PRINTABLE)] | None = None


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


class OpenAnswer(Struct, frozen=True, rename="camel"):
    """The answer 202: recorded, and still open."""

    id: str
    run_id: str
    status: str


class Cause(Struct, frozen=True, rename="camel"):
    """The step that made another one fail."""

    step_id: str
    step_name: str


class LastAttempt(Struct, frozen=True, rename="camel"):
    """How the last attempt of a failed step ended."""

    http_status: int | None = None
    error: str | None = None


class AttemptRow(Struct, frozen=True, rename="camel"):
    """One HTTP request of a step."""

    number: int
    generation: int
    status: str
    """running, success, failure, interruption, crash or late."""
    started_at: str
    ended_at: str | None = None
    http_status: int | None = None
    error: str | None = None
    delay_ms: int | None = None
    delay_by: str | None = None
    """What set the delay that followed: policy, retry-after, interrupted, …"""


class StepRow(Struct, frozen=True, rename="camel"):
    """A step as it stands. No bodies."""

    id: str
    run_id: str
    parent_id: str | None
    name: str
    workflow_name: str
    idempotency_key: str
    step_key: str
    url: str
    status: str
    rev: int
    generation: int
    attempts: int
    failures: int
    retries_max: int
    submitted_at: str
    ended_at: str | None = None
    due_at: str | None = None
    delay_ms: int | None = None
    delay_by: str | None = None
    pause_reason: str | None = None
    cause_id: str | None = None
    http_status: int | None = None
    error: str | None = None
    awaiting_post: bool = False
    attempt_rows: tuple[AttemptRow, ...] | UnsetType = UNSET


class RunRow(Struct, frozen=True, rename="camel"):
    """A run as it stands."""

    id: str
    client: str
    workflow_name: str
    idempotency_key: str
    status: str
    rev: int
    generation: int
    open_steps: int
    failed_steps: int
    steps: int
    dismissed: bool
    submitted_at: str
    ended_at: str | None = None
    due_at: str | None = None
    """The earliest next attempt of its steps."""
    pause_reason: str | None = None
    cause_id: str | None = None
    error: str | None = None


class RunPage(Struct, frozen=True, rename="camel"):
    """A page of runs; `next` is the cursor of the next page."""

    runs: tuple[RunRow, ...]
    total: int
    total_is_estimate: bool
    next: str | None = None


class RunTree(Struct, frozen=True, rename="camel"):
    """A run with all its steps and their attempts, steps in the order they were recorded."""

    run: RunRow
    steps: tuple[StepRow, ...]
    server_time: str


class ActionRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/runs/{id}/actions`."""

    action: Action
    step: str | None = None
    if_rev: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    reason: Annotated[str, Meta(max_length=500)] | None = None


class ActionAnswer(Struct, frozen=True, rename="camel"):
    """What an action did (or, as a dry run, would do)."""

    action: str
    dry_run: bool
    run: RunRow
    step: StepRow | None
    changed: tuple[str, ...]
    """Ids of the steps that changed."""


class EventData(Struct, frozen=True, rename="camel"):
    """The `data` of an event of `GET /api/v1/events`: what all kinds have, and what many have."""

    kind: str | None = None
    """What has happened, in the core's words: accepted, started, attempt-ended, paused, …"""
    at: str | None = None
    prev: str | None = None
    """The id of the event before: a reader that saw another one has missed some."""
    run_id: str | None = None
    step_id: str | None = None
    status: str | None = None
    """The state that the run (of a `run` event) or step is in since."""
    rev: int | None = None
    number: int | None = None
    """Of the attempt."""
    http_status: int | None = None
    error: str | None = None
    due_at: str | None = None
    reason: str | None = None
    """Why: of a pause, an action, a reset."""
    counts: dict[str, int] | None = None
    server_time: str | None = None
    sequence: str | None = None
    instance: str | None = None


class ProblemDocument(Struct, rename="camel"):
    """RFC 9457. The client keeps members beyond these in `ProblemError.members`."""

    type: str
    title: str = ""
    status: int = 0
    detail: str = ""
    error_source: str = "request"
    run_id: str | None = None
    step_id: str | None = None
    attempts: int | None = None
    cause: Cause | None = None
    last_attempt: LastAttempt | None = None


class ProblemType(Struct, frozen=True):
    """A problem type: its status, its title, who is at fault, and its page's text."""

    status: int
    title: str
    source: str
    page: str


def _type(status: int, title: str, page: str, source: str = "request") -> ProblemType:
    return ProblemType(status, title, source, page)


PROBLEMS: dict[Problem, ProblemType] = {
    Problem.INVALID_SUBMISSION: _type(
        400,
        "The submission is not valid",
        "The posted body does not follow the contract. `member` names the part at fault, `detail`"
        " says what was expected. Nothing was recorded and nothing was called. Mend the request;"
        " posting it again unchanged gives the same answer.",
    ),
    Problem.INVALID_REQUEST: _type(
        400,
        "The request is not valid",
        "A parameter, header or body of this call is not what the interface describes. `detail`"
        " names it. Nothing was changed.",
    ),
    Problem.TOO_LARGE: _type(
        413,
        "The body is too large",
        "The body is over the limit that `limit` names. Nothing was recorded. Keep large data"
        " elsewhere and submit a reference to it, or raise the limit in the configuration.",
    ),
    Problem.UNSUPPORTED_MEDIA_TYPE: _type(
        415,
        "The body must be application/json",
        "Calls that change something need `Content-Type: application/json`. This also keeps web"
        " pages from posting to the engine behind their reader's back.",
    ),
    Problem.HEADERS_TOO_LARGE: _type(
        431, "The request's headers are too large", "Send fewer or shorter headers."
    ),
    Problem.UNAUTHORIZED: _type(
        401, "A token is needed", "Send `Authorization: Bearer …` with a token of this engine."
    ),
    Problem.FORBIDDEN: _type(
        403,
        "Not allowed",
        "The request comes from a foreign `Origin`, or its token does not cover it.",
    ),
    Problem.NOT_FOUND: _type(
        404, "There is no such thing", "The engine knows no run, step, body or page of this name."
    ),
    Problem.METHOD_NOT_ALLOWED: _type(
        405, "The method is not allowed here", "`Allow` lists the methods of this address."
    ),
    Problem.WRONG_HOST: _type(
        421,
        "The Host header names another host",
        "The engine answers only under names it was configured for (`hosts`), so that a web page"
        " cannot reach it by pointing a name of its own at this address. Loopback names are"
        " always allowed.",
    ),
    Problem.RUN_ENDED: _type(
        409,
        "The run has ended",
        "A new step was posted for a run whose root has ended. Steps that were recorded before"
        " are still answered; new ones are not recorded.",
        "workflow",
    ),
    Problem.RUN_CANCELLED: _type(
        409,
        "The run was cancelled",
        "An operator cancelled the run or step. This is an outcome: it is final until an operator"
        " retries it.",
        "workflow",
    ),
    Problem.PARENT_ENDED: _type(
        409,
        "The step above has ended",
        "A step takes new children only while it is open itself. Post children before answering.",
        "workflow",
    ),
    Problem.STALE_EXECUTION: _type(
        409,
        "The post comes from an earlier execution",
        "The token is of an attempt that is no longer in flight: the function of a timed-out or"
        " interrupted attempt is still alive. Recorded steps are answered; new ones are not taken."
        " Let that execution end.",
        "workflow",
    ),
    Problem.WOULD_DEADLOCK: _type(
        409,
        "The step would wait for itself",
        "A step posted itself or a step above it. Give the post another URL, `idempotencyKey` or"
        " `stepKey`.",
        "workflow",
    ),
    Problem.REVISION_CHANGED: _type(
        409,
        "It has changed meanwhile",
        "The revision given in `ifRev` is not the current one. The answer carries the row as it is"
        " now; look at it and decide again.",
    ),
    Problem.NOT_POSSIBLE: _type(
        409,
        "Not possible in this state",
        "The action does not fit the state of the run or step; `detail` says which state it is in.",
    ),
    Problem.OUTCOME_EXPIRED: _type(
        410,
        "The outcome was removed",
        "Retention removed the outcome of this key. The work is not done a second time.",
    ),
    Problem.KEY_REUSED: _type(
        422,
        "The idempotency key was used with another payload",
        "One key names one piece of work. `recordedFingerprint` and `postedFingerprint` are"
        " SHA-256 of the canonical payloads. Use a new key for new work.",
    ),
    Problem.TARGET_MOVED: _type(
        422,
        "The workflow is recorded at another host",
        "A run with this key has its workflow at the same path on another host. Were it taken, the"
        " workflow would run as its own step. Post the recorded URL, or use a new key.",
    ),
    Problem.LIMIT_EXCEEDED: _type(
        422, "A limit of the run is reached", "`limit` names it: steps of a run, or nesting."
    ),
    Problem.STEP_FAILED: _type(
        424,
        "The step failed",
        "The recorded failure of the step: its retries are used up, its endpoint asked for no"
        " more, or another attempt could not have mended it. `cause` names the step that made it"
        " fail, `lastAttempt` how its last attempt ended. Posting again gives the same answer; an"
        " operator's `retry` begins a new generation.",
        "workflow",
    ),
    Problem.RATE_LIMITED: _type(429, "Too many requests", "Post again after `Retry-After`."),
    Problem.TOO_MANY_RUNS: _type(
        429, "Too many open runs", "Post again after `Retry-After`, when some runs have ended."
    ),
    Problem.INTERNAL: _type(
        500,
        "The engine has a bug",
        "Something happened that should not. Nothing is known of the step: post again. The log"
        " carries the traceback under the id in `incident`.",
        "engine",
    ),
    Problem.OVERLOADED: _type(
        503,
        "The engine has too much to do",
        "Nothing was recorded. Post again with the same key after `Retry-After`. `limit` names the"
        " setting: `new_runs_wait_ms_max` (new runs would wait too long for their turn),"
        " `runs_in_memory_max`, `connections_max`, or `backlog_events_max` (the disk does not keep"
        " up).",
        "engine",
    ),
    Problem.DRAINING: _type(
        503,
        "The engine is stopping",
        "Post again with the same key after `Retry-After`; what was recorded goes on when the"
        " engine is back.",
        "engine",
    ),
    Problem.STORE_UNAVAILABLE: _type(
        503,
        "The store cannot be written",
        "Nothing was recorded. Post again with the same key after `Retry-After`.",
        "engine",
    ),
    Problem.WAIT_TIMEOUT: _type(
        504,
        "The wait is over, the work goes on",
        "`timeout` has passed. This says nothing about the step: post again with the same key, or"
        " read `Location`.",
        "engine",
    ),
}


def problem(kind: Problem, detail: str, **members: Any) -> bytes:
    """An RFC 9457 document. Members that are None are left out."""
    it = PROBLEMS[kind]
    document = {
        "type": f"/problems/{kind}",
        "title": it.title,
        "status": it.status,
        "detail": detail,
        "errorSource": it.source,
    }
    document.update({name: value for name, value in members.items() if value is not None})
    return msgspec.json.encode(document)
