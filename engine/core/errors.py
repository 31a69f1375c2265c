"""Refusals: small exceptions, each of one problem type. Named for what the caller must do next.

The closed list of problem types is `docs/reference/protocol.md` §2; the pages and status codes that
belong to them are in `engine/wire/problems.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Problem(StrEnum):
    """Every problem type the engine answers with."""

    INVALID_SUBMISSION = "invalid-submission"
    INVALID_REQUEST = "invalid-request"
    TOO_LARGE = "too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    HEADERS_TOO_LARGE = "headers-too-large"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    TARGET_NOT_ALLOWED = "target-not-allowed"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    WRONG_HOST = "wrong-host"
    RUN_ENDED = "run-ended"
    RUN_CANCELLED = "run-cancelled"
    PARENT_ENDED = "parent-ended"
    STALE_EXECUTION = "stale-execution"
    WOULD_DEADLOCK = "would-deadlock"
    REVISION_CHANGED = "revision-changed"
    NOT_POSSIBLE = "not-possible"
    OUTCOME_EXPIRED = "outcome-expired"
    KEY_REUSED = "idempotency-key-reused"
    TARGET_MOVED = "target-moved"
    LIMIT_EXCEEDED = "limit-exceeded"
    STEP_FAILED = "step-failed"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_RUNS = "too-many-runs"
    INTERNAL = "internal-error"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    STORE_UNAVAILABLE = "store-unavailable"
    ENGINE_ERROR = "engine-error"
    WAIT_TIMEOUT = "wait-timeout"
    SUSPENDED = "suspended"


WORDS_MAX = 400
"""Of what is kept of an error that stopped a run."""


def what_was_wrong(error: BaseException) -> str:
    """An error that nobody expected, in one line: what it is, what it says, and where it arose.

    Of a group the first that is none.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" (in {code.co_name}, {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{words[:WORDS_MAX]}{place}"


class EngineError(Exception):
    """Base of what the engine raises on purpose."""


class Refused(EngineError):
    """The request cannot be done as it stands; nothing was recorded by it.

    `problem` is the type, `detail` one sentence for people, `members` what the problem document
    carries beside them (camelCase, JSON values). `retryAfter`, whole seconds, is a header too, and
    `rateLimit`, a `RateLimit`, headers alone.
    """

    def __init__(self, problem: Problem, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.members = members


class RateLimit(NamedTuple):
    """A quota that is used up: so many in so many seconds (None: at once), and some again after so
    many."""

    policy: str
    quota: int
    window_s: int | None
    reset_s: int


class RefusedForDamage(Refused):
    """What this is about cannot be read: waiting mends nothing, and another request may succeed."""


class IllegalEvent(EngineError):
    """An event that the step machine has no entry for. A bug of ours; it changed nothing."""
