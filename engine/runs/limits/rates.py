"""How fast each client opens runs, against the rate that it may.

A bucket for each client that has a rate: it holds what one second brings (one run at least), fills
at the rate, and every run that is opened takes one out. Kept as the time at which it will be full
again (the generic cell rate algorithm), so that a client costs one number, and nothing ticks.
Posts for runs that there are already are never asked about.
"""

from __future__ import annotations

import math
from collections import deque

BURST_S = 1.0
"""A bucket holds what so long brings."""
ROUNDING_S = 1e-6
"""A wait that is shorter is what a sum of fractions leaves."""


class Rates:
    """Those of one engine. Times are seconds on any clock that never goes back."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    def wait_s(self, client: str, per_s: float, now: float) -> float:
        """How long until the client may open a run; 0: it may now."""
        full_in = self._full_at.get(client, now) - now
        wait_s = full_in + 1 / per_s - max(BURST_S, 1 / per_s)
        return wait_s if wait_s > ROUNDING_S else 0.0

    def take(self, client: str, per_s: float, now: float) -> None:
        """It opens one."""
        self._full_at[client] = max(now, self._full_at.get(client, now)) + 1 / per_s


class CallRate:
    """When the next of its kind may be. Below one each second: one in so many seconds."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        most = max(1, math.floor(per_s))
        self._within_s = most / per_s
        self._last: deque[float] = deque(maxlen=most)

    def wait_s(self, now: float) -> float:
        """How long until one may be; 0: now."""
        if len(self._last) < (self._last.maxlen or 0):
            return 0.0
        return max(0.0, self._last[0] + self._within_s - now)

    def note(self, now: float) -> None:
        """One is, whether it may be or not."""
        self._last.append(now)
