"""One seed replays everything: Trio's scheduler and clock under control.

Trio shuffles each batch of runnable tasks with a private source of chance; it sorts the batch
first when a private flag is set. Both are used here and nowhere else, and
`test_determinism.py` is the canary for the day they change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio._core._run as trio_run
from trio.abc import Instrument
from trio.testing import MockClock

T = TypeVar("T")


def run_seeded(
    seed: int, work: Callable[[], Awaitable[T]], instruments: tuple[Instrument, ...] = ()
) -> T:
    """`trio.run` on a clock that jumps when all wait, with a schedule that `seed` chooses."""
    private: Any = trio_run  # two private names, see above
    chance = private._r
    flag, state = private._ALLOW_DETERMINISTIC_SCHEDULING, chance.getstate()
    private._ALLOW_DETERMINISTIC_SCHEDULING = True
    try:
        chance.seed(seed)
        clock = MockClock(autojump_threshold=0)
        return trio.run(work, clock=clock, instruments=instruments)
    finally:
        private._ALLOW_DETERMINISTIC_SCHEDULING = flag
        chance.setstate(state)
