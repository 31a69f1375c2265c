"""How long what has ended is kept. Nothing that is open ever goes. `protocol.md` §2, §6."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from engine.core.model import StepState
from engine.core.retry import DAY_MS

LONGER = 2
"""So many times as long as completed runs stay those that failed or were cancelled: a person may
come back to them. Keys stay at least as long."""
ACTS_AFTER_MS = 3_600_000
"""A shorter time acts so long after it was set: who mistyped it can take it back."""
AWAY_MS_MAX = DAY_MS
"""A clock that is further ahead of what was recorded last may be wrong: what it makes old waits as
long as what a shorter time would."""


class Retention(Struct, frozen=True):
    """How long runs and their keys are kept after their end, in days; 0: for ever."""

    days: int = 0
    keys_days: int = 0

    @property
    def is_on(self) -> bool:
        """Anything goes at all."""
        return self.days > 0

    def ended_before(self, now: int) -> Mapping[str, int]:
        """By state: runs that ended before this time go."""
        if not self.is_on:
            return {}
        longer = now - LONGER * self.days * DAY_MS
        return {
            StepState.COMPLETED: now - self.days * DAY_MS,
            StepState.FAILED: longer,
            StepState.CANCELLED: longer,
        }

    def journal_before(self, now: int) -> int | None:
        """What was recorded before this time goes from the journal, but for what is of runs that
        stay; None: nothing does."""
        return now - self.days * DAY_MS if self.is_on else None

    def keys_before(self, now: int) -> int | None:
        """Keys of runs that ended before this time go too; None: none does."""
        return now - self.keys_days * DAY_MS if self.keys_days else None

    def is_shorter_than(self, other: Retention) -> bool:
        """Under it something goes that stayed under the other."""
        return _days(self.days) < _days(other.days) or _days(self.keys_days) < _days(
            other.keys_days
        )


def _days(days: int) -> float:
    return days or math.inf


def ahead_ms(now: int, last_at: int) -> int:
    """By how much a clock is so far ahead of what was recorded last that it may be wrong; 0: it is
    not."""
    ahead = now - last_at
    return ahead if last_at and ahead > AWAY_MS_MAX else 0


def acts_at(
    retention: Retention, before: Retention, before_acts_at: int, now: int, last_at: int
) -> int:
    """From when on a retention acts. `before`: the one that held until now, and from when on;
    `last_at`: the latest time that was recorded before this start."""
    if retention.is_shorter_than(before):
        return now + ACTS_AFTER_MS
    if ahead_ms(now, last_at):
        return now + ACTS_AFTER_MS
    return min(before_acts_at, now + ACTS_AFTER_MS)  # later: by a clock that was ahead
