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
    """Cut short or not HTTP; of a 2xx also: not UTF-8, not the JSON that it says it is, or encoded
    though identity was asked for."""
    ANSWER_TOO_LARGE = "answer-too-large"
    TARGET_NOT_ALLOWED = "target-not-allowed"
    NO_DESCRIPTOR = "no-descriptor"
    """The engine had no file descriptor for a connection: nobody was called."""
    NOT_SENT = "not-sent"
    """The step was cancelled before the request could leave."""


NEVER_RETRIED = frozenset({CallError.ANSWER_TOO_LARGE, CallError.TARGET_NOT_ALLOWED})
"""Failures that another attempt cannot mend."""


FAILED_BODY_BYTES_MAX = 16_384
"""What is kept of the answer of a failed attempt, for people; no more is read of one that is no
2xx."""


class Answered(Struct, frozen=True, tag="answered"):
    """The endpoint sent an answer.

    `body` is the raw bytes, of a 2xx all of them, else what is kept; `size` is how many there were,
    as far as is known, where `body` was cut. `content_type` is the header's value as sent or ''.
    `retry_after_ms` is `Retry-After` already turned into milliseconds from the moment the answer
    came. `no_retry` and `suspend` are the headers `Atomic-No-Retry: true` and
    `Atomic-Suspend: true`. `json`: its media type says JSON, and it is. `fault` is why a 2xx is no
    answer all the same (`bad-answer`), such as `not JSON at byte 10`. `location`: where a redirect
    (3xx) leads, without its query, which may hold secrets. `excerpt`: why it failed, for people,
    made already, as its client hides something; empty: nothing tells it. None: `body` does.
    """

    http_status: int
    body: bytes = b""
    content_type: str = ""
    retry_after_ms: int | None = None
    no_retry: bool = False
    suspend: bool = False
    json: bool = False
    fault: str | None = None
    size: int = -1
    location: str | None = None
    excerpt: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx that can be recorded as an outcome."""
        return 200 <= self.http_status < 300 and self.fault is None


class Unanswered(Struct, frozen=True, tag="unanswered"):
    """No usable answer came. `detail` is one line for people; `http_status` where a head came.

    `why` is the same for the excerpt, where that says it better: without the address, with the
    system's errno.
    """

    error: CallError
    detail: str
    http_status: int | None = None
    why: str = ""
    pauses: bool = False
    """Nobody was called, and a person can change what kept it so: the step waits for that."""


Outcome = Answered | Unanswered
