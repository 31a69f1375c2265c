"""Time, chance and ids: the only module that reads the world for them.

Two clocks, never mixed. `steady_ms` is for waiting and for due times: UTC as read once at the
start, plus what the monotonic clock has counted since, so that a jump of the wall clock neither
fires nor stalls a retry. `utc_ms` is the wall clock, for records.
"""

from __future__ import annotations

import os
import random
import time
from typing import Protocol

import trio

from engine.core.text.ulid import CHANCE_BITS, ulid


class Clock(Protocol):
    """What the engine asks of time and chance."""

    def steady_ms(self) -> int:
        """Milliseconds on the engine's own UTC scale; never jumps, never goes back."""
        ...

    def utc_ms(self) -> int:
        """Milliseconds since the epoch by the wall clock."""
        ...

    def trio_time(self, steady_ms: int) -> float:
        """The instant of Trio's clock at which `steady_ms` will be reached."""
        ...

    def chance(self) -> float:
        """A number in [0, 1)."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """Bytes nobody can guess."""
        ...


class SystemClock:
    """The real one. Make it inside `trio.run`."""

    def __init__(self) -> None:
        self._trio_time = trio.lowlevel.current_clock().current_time
        self._utc_at_zero = time.time() - self._trio_time()
        """When Trio's clock was at zero."""
        self._random = random.Random()

    def steady_ms(self) -> int:
        return int((self._utc_at_zero + self._trio_time()) * 1000)

    def utc_ms(self) -> int:
        return int(time.time() * 1000)

    def trio_time(self, steady_ms: int) -> float:
        return steady_ms / 1000 - self._utc_at_zero

    def chance(self) -> float:
        return self._random.random()

    def token_bytes(self, count: int) -> bytes:
        return os.urandom(count)


class Ids:
    """Run ids: ULIDs (48 bits of time, 80 of chance, Crockford base 32) that only rise."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def run_id(self) -> str:
        """A new id of 26 characters."""
        began = self._clock.steady_ms() << CHANCE_BITS
        value = began | int.from_bytes(self._clock.token_bytes(10))
        if value <= self._last:  # no neighbour: gaps would count what was made between
            value = self._last + 1 + int.from_bytes(self._clock.token_bytes(8))
        self._last = value
        return ulid(value)
