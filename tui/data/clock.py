"""The engine's time, as the dashboard knows it: countdowns go by it, never by ours.

Two clocks come in: a monotonic one that everything is measured with, and the wall clock, which only
tells by its jumps that the machine slept (the monotonic one stands still meanwhile).
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

from tui.data.model import MS_MAX

SAMPLES_KEPT_MAX = 8
SLEW_MS_PER_S = 50.0
"""How fast the shown time moves towards a better estimate: no countdown is seen to step back."""
STEP_MS_MIN = 2_000.0
"""An estimate further off is taken at once: slewing would take most of a minute."""
SLEPT_S_MIN = 5.0
"""The wall clock is so far ahead of the monotonic one: the machine slept, or the clock was set."""


class Clock(Protocol):
    """What the dashboard asks of the machine."""

    def monotonic(self) -> float:
        """Seconds, never stepping."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...


class ServerClock:
    """Milliseconds since the epoch on the engine's clock.

    Each answer gives a sample: the engine's time lies between our sending and our receiving. The
    one with the shortest round trip is the best (RFC 5905 §10 filters the same way).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_KEPT_MAX)
        """Round trip in seconds, and offset in milliseconds."""
        self._offset: float | None = None
        self._looked_at = clock.monotonic()
        self._ahead = clock.wall() - clock.monotonic()

    @property
    def known(self) -> bool:
        """Whether the engine has told its time."""
        return self._offset is not None

    @property
    def round_trip_ms(self) -> float | None:
        """The median of the latest samples."""
        if not self._samples:
            return None
        trips = sorted(trip for trip, _ in self._samples)
        return trips[len(trips) // 2] * 1000

    def sample(self, server_ms: int, sent: float, received: float) -> None:
        """The engine said `server_ms` in an answer to what was sent at `sent` (monotonic)."""
        offset = server_ms - (sent + received) / 2 * 1000
        self._samples.append((max(0.0, received - sent), offset))
        self._adjust()

    def hint(self, server_ms: int) -> None:
        """The engine said `server_ms`, some time ago: good enough while nothing better is known."""
        if self._offset is None:
            self._offset = server_ms - self._clock.monotonic() * 1000

    def now_ms(self) -> float:
        """The engine's time now, within what can be told; our own wall clock until it has been."""
        if self._offset is None:
            return self._clock.wall() * 1000
        self._adjust()
        return min(max(0.0, self._clock.monotonic() * 1000 + self._offset), MS_MAX)

    def _adjust(self) -> None:
        now = self._clock.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        if not self._samples:
            return
        best = min(self._samples)[1]
        if self._offset is None or abs(best - self._offset) >= STEP_MS_MIN:
            self._offset = best
            return
        most = SLEW_MS_PER_S * max(0.0, passed)
        self._offset += min(max(best - self._offset, -most), most)

    def slept(self) -> bool:
        """Whether the machine slept since this was last asked. Then the samples say nothing."""
        ahead = self._clock.wall() - self._clock.monotonic()
        jumped, self._ahead = abs(ahead - self._ahead) >= SLEPT_S_MIN, ahead
        if jumped:
            self._samples.clear()
        return jumped


class SystemClock:
    """The machine's."""

    def monotonic(self) -> float:
        """Seconds, never stepping."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()
