"""One request to the engine, made until its answer says something. No I/O, no clock.

A `Call` is one request, `Tries` decides after each try whether to go on. Posting a submission again
with the same key is always safe, so a broken connection and the answers that say nothing about the
step (429, 502, 503, 504) are tried again, a bounded number of times, with back-off. Actions are not
posted again once they may have arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from engine.client.errors import (
    NothingKnown,
    Suspended,
    Unreachable,
    WaitTimeout,
    problem_of,
    without_user,
)
from engine.wire import Problem

RETRY_AFTER_S_MAX = 60.0
"""A server that asks for more waits in vain: the caller would rather know."""
HUNG_S = 5.0
"""A post that hung this long reached a living engine: a cut after it counts from one again.
Proxies cut waiting posts every minute; that must never add up to a failure."""
GRACE_S = 10.0
"""How long after a caller's own `timeout` the engine's 504 may take to arrive."""
UNKNOWN_ACTION = "Whether it was carried out is not known: look before you repeat it."


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
    """What `on_repost` is given: a call had no answer and is made again after `delay_s`."""

    number: int
    delay_s: float
    reason: NothingKnown


class Answering(Struct, frozen=True):
    """What the client was given to decide with, in one piece."""

    reposts: Reposts
    chance: Callable[[], float]
    on_repost: Callable[[Repost], None] | None


class Call(Struct, frozen=True, kw_only=True):
    """One request to the engine."""

    method: str
    path: str
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    members: dict[str, Any] | None = None
    timeout_ms: int | None = None
    """The caller's own wait, all tries together; each carries what is left of it."""
    hangs: bool = False
    """The engine may keep the answer back as long as it likes."""
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
        return None if self.hangs else usual_s


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
        if now - self._began >= HUNG_S:
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
