"""What came of one attempt, as the caller saw it. The core judges; the caller only reports.

`docs/reference/protocol.md` §3 says what each becomes.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CallError(StrEnum):
    """Why an attempt brought no usable answer."""

    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_LOST = "connection-lost"
    DNS = "dns"
    TLS = "tls"
    ATTEMPT_TIMEOUT = "attempt-timeout"
    BAD_ANSWER = "bad-answer"
    """Cut short, not HTTP, not UTF-8, or encoded though identity was asked for."""
    ANSWER_TOO_LARGE = "answer-too-large"
    TARGET_NOT_ALLOWED = "target-not-allowed"
    NOT_SENT = "not-sent"
    """The step was cancelled before the request could leave."""


NEVER_RETRIED = frozenset({CallError.ANSWER_TOO_LARGE, CallError.TARGET_NOT_ALLOWED})
"""Failures that another attempt cannot mend."""


class Answered(Struct, frozen=True, tag="answered"):
    """The endpoint sent a whole answer.

    `body` is the raw bytes (identity encoding, UTF-8 checked for 2xx), `content_type` the header's
    value as sent or ''. `retry_after_ms` is `Retry-After` already turned into milliseconds from
    the moment the answer came. `no_retry` and `suspend` are the headers `Atomic-No-Retry: true`
    and `Atomic-Suspend: true`.
    """

    http_status: int
    body: bytes = b""
    content_type: str = ""
    retry_after_ms: int | None = None
    no_retry: bool = False
    suspend: bool = False


class Unanswered(Struct, frozen=True, tag="unanswered"):
    """No usable answer came. `detail` is one line for people; `http_status` where a head came."""

    error: CallError
    detail: str
    http_status: int | None = None


Outcome = Answered | Unanswered
