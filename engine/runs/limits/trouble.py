"""A host that fails: when its calls stop, how they begin again, and how many may be retries.

Pure: events in, with the time in seconds. A host has one of these from a failure on until for
WINDOW_S nothing has failed there: of a host that does well nothing is counted.

- The *budget* of retries: while a tenth of its calls fail, retries are at most a fifth of first
  attempts within WINDOW_S, and 10 a second ("retry budget" of Finagle, whose figures these are). So
  a host that fails is not called more and more because it fails.
- The *breaker*: when 19 of 20 fail it opens. Then one waiting attempt a second is let through, as a
  probe; when one is answered, more begin: each answer makes room for one more, a failure halves
  the room, and without any the breaker is open again. WINDOW_S after that answer it is closed.

Both hold from CALLS_MIN calls within WINDOW_S on. Below, everything is as if they were not.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from engine.core.model import Flight
from engine.core.outcome import Answered, CallError, Outcome, Unanswered

HOST_FAILS = frozenset(
    {
        CallError.CONNECTION_REFUSED,
        CallError.CONNECTION_LOST,
        CallError.DNS,
        CallError.TLS,
        CallError.ATTEMPT_TIMEOUT,
    }
)
WINDOW_S = 10
CALLS_MIN = 20
FAILING_ONE_IN = 10
DEAD_SHARE = 0.95
RETRIES_FOR_A_FIRST = 0.2
RETRIES_PER_S = 10
PROBE_EVERY_S = 1.0
ROOM_WHEN_ANSWERED = 2.0
ROOM_CLOSES = 256.0
"""With so much room nothing is kept back that its places would not keep back too."""


class _Second(Struct):
    number: int
    ended: int = 0
    failed: int = 0
    firsts: int = 0
    retries: int = 0


class Trouble:
    """What is known of a host since it failed."""

    def __init__(self, now: float) -> None:
        self.failed_at = now
        """When a call last failed."""
        self.opened_at: float | None = None
        """Since when the breaker is open, or not yet closed again."""
        self.room: float | None = None
        """How many calls may be open there; 0: the breaker is open, None: it is closed."""
        self.calls: dict[object, None] = {}
        """Those that began since it opened."""
        self._probe_at = 0.0
        self._answered_at = 0.0
        """When the first probe was answered."""
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S)

    # -- questions -----------------------------------------------------------------------------

    def is_over(self, now: float) -> bool:
        """Nothing has failed for so long that nothing has to be known of it."""
        return now >= self.failed_at + WINDOW_S and self.room != 0

    def lets_through(self, now: float) -> bool:
        """Whether a call may begin, as far as the breaker goes."""
        if self.room is None:
            return True
        return now >= self._probe_at if self.room == 0 else len(self.calls) < self.room

    def next_probe_in_s(self, now: float) -> float:
        """How long until one is let through, while the breaker is open."""
        return max(0.0, self._probe_at - now)

    def has_retry_left(self, now: float) -> bool:
        """Whether a retry may begin, as far as the budget goes."""
        ended, failed, firsts, retries = self._counts(now)
        if ended < CALLS_MIN or failed * FAILING_ONE_IN < ended:
            return True
        return retries < RETRIES_FOR_A_FIRST * firsts + RETRIES_PER_S * WINDOW_S

    # -- events --------------------------------------------------------------------------------

    def call_begins(self, call: object, now: float, *, is_retry: bool) -> None:
        """It leaves."""
        second = self._second(now)
        if is_retry:
            second.retries += 1
        else:
            second.firsts += 1
        if self.room is not None:
            self.calls[call] = None
            if self.room == 0:
                self._probe_at = now + PROBE_EVERY_S

    def call_answered(self, call: object, now: float) -> bool:
        """The host is alive. True: the breaker was open."""
        self._second(now).ended += 1
        self.calls.pop(call, None)
        if self.room is None:
            return False
        was_open = self.room == 0
        if was_open:
            self.room, self._answered_at = ROOM_WHEN_ANSWERED, now
            self._seconds.clear()
        elif self.room + 1 >= ROOM_CLOSES or now >= self._answered_at + WINDOW_S:
            self.room = None
            self.calls.clear()
        else:
            self.room += 1
        return was_open

    def call_failed(self, call: object, now: float) -> bool:
        """It was refused, timed out, 5xx or 429. True: the breaker opens."""
        second = self._second(now)
        second.ended += 1
        second.failed += 1
        self.failed_at = now
        if self.room is not None:
            if call not in self.calls:
                return False  # it began before
            del self.calls[call]
            if self.room == 0:
                return False
            self.room = self.room / 2 if self.room >= 2 * ROOM_WHEN_ANSWERED else 0
            if self.room:
                return False
        else:
            ended, failed, _, _ = self._counts(now)
            if ended < CALLS_MIN or failed < DEAD_SHARE * ended:
                return False
            self.room = 0
        self.opened_at = now if self.opened_at is None else self.opened_at
        self._probe_at = now + PROBE_EVERY_S
        return True

    def _second(self, now: float) -> _Second:
        if not self._seconds or self._seconds[-1].number != int(now):
            self._seconds.append(_Second(int(now)))
        return self._seconds[-1]

    def _counts(self, now: float) -> tuple[int, int, int, int]:
        ended = failed = firsts = retries = 0
        for each in self._seconds:
            if each.number > now - WINDOW_S:
                ended += each.ended
                failed += each.failed
                firsts += each.firsts
                retries += each.retries
        return ended, failed, firsts, retries


def says_of_host(outcome: Outcome | None, flight: Flight | None) -> bool | None:
    """Whether an attempt's end says that its host fails; None: nothing of the host. `outcome` None:
    no answer in time.

    One that has posted was taken by its host: what then ended it may be a step, or the engine.
    """
    if flight is None or flight.posted or flight.sent_home or flight.refused_post:
        return None
    if isinstance(outcome, Answered):
        return outcome.http_status >= 500 or outcome.http_status == 429
    if isinstance(outcome, Unanswered):
        if outcome.error in {CallError.NOT_SENT, CallError.NO_DESCRIPTOR}:
            return None
        return outcome.error in HOST_FAILS
    return True
