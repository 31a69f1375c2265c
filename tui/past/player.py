"""Plays a recording: gives a store what it was given, at the time of the recording, which can stand
still, go faster or slower, and be set to another moment.

The store goes by the recording's time: countdowns and ages are as they were, at any speed. Time
only goes on in a store; to go back, it begins anew and takes in again what led to that moment.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.lowlevel

from engine.wire.events import Event
from tui.data import record
from tui.data.clock import Clock
from tui.data.feed import NOTHING, Board
from tui.data.record import RecordedInput
from tui.data.store import Store
from tui.past.hour import Hour, Line

SPEED_MIN, SPEED_MAX = 0.01, 1_000.0
MINUTE_S = 60.0
AT_ONCE = 100
"""So many inputs are taken in before keys are seen to."""
WAIT_S_MIN = 0.001
LISTED_EVERY_S = 0.25
"""The runs of a past hour are listed anew so often, where something has happened."""


class PlayedClock:
    """The recording's time, for a store. `real` is the machine's."""

    def __init__(self, real: Clock) -> None:
        self.real = real
        self.began_s = real.monotonic()
        self._wall_s = real.wall()
        self._at_s = 0.0
        """Where the recording was when it was last set going, and when that was."""
        self._since = self.began_s
        self.speed = 1.0
        self.stands = True
        self.end_s = 0.0

    @property
    def at_s(self) -> float:
        """Seconds of the recording."""
        passed = 0.0 if self.stands else (self.real.monotonic() - self._since) * self.speed
        return min(self._at_s + passed, self.end_s)

    def set(self, at_s: float, *, speed: float | None = None, stands: bool | None = None) -> None:
        """From now on it is so late, and goes so fast."""
        self._at_s, self._since = min(max(0.0, at_s), self.end_s), self.real.monotonic()
        self.speed = self.speed if speed is None else speed
        self.stands = self.stands if stands is None else stands

    def monotonic(self) -> float:
        """Seconds, as the store's."""
        return self.began_s + self.at_s

    def wall(self) -> float:
        """The same: the machine does not sleep in a recording."""
        return self._wall_s + self.at_s


class Player:
    """See the head of this file."""

    def __init__(
        self,
        clock: PlayedClock,
        lines: Sequence[RecordedInput | Line],
        speed: float = 1.0,
        hour: Hour | None = None,
    ) -> None:
        """`hour`: of which the lines are, if they were read from an engine; it has what a recording
        of a dashboard has in its lines: which runs there were."""
        self.clock, self.lines, self.hour = clock, lines, hour
        self.store = Store(clock)
        clock.end_s = max((line.at_s for line in lines[-1:]), default=0.0)
        clock.set(0.0, speed=speed, stands=True)
        self._next = 0
        self._poked = anyio.Event()
        self._begins = False
        self._board, self._run_id = NOTHING, ""
        self._listed_at = float("-inf")
        self._is_listed = False

    @property
    def is_at_end(self) -> bool:
        """Nothing more comes."""
        return self.clock.at_s >= self.clock.end_s

    async def run(self) -> None:
        """Until cancelled: a recording at its end can be set back."""
        self.clock.set(self.clock.at_s, stands=False)
        while True:
            self._poked = anyio.Event()
            if self._begins:
                self._begin()
            await self._catch_up()
            with anyio.move_on_after(self._until_next()):
                await self._poked.wait()

    def _begin(self) -> None:
        self._begins = self._is_listed = False
        self._next = 0
        self.store.begin_anew()

    async def _catch_up(self) -> None:
        """Take in what has come up to now, and go on seeing to keys meanwhile."""
        while not self._begins and self._take_some():
            self._list()
            await anyio.lowlevel.checkpoint()
        if not self._begins:
            self._list()

    def _take_some(self) -> bool:
        """Some of what has come; False: that was all."""
        for _ in range(AT_ONCE):
            if self._next >= len(self.lines) or self.lines[self._next].at_s > self.clock.at_s:
                return False
            line = self.lines[self._next]
            self._next += 1
            self._is_listed = False
            if isinstance(line.input, Event):
                self.store.apply(line.input)
            elif isinstance(line, Line):
                self.store.apply(record.moved(line.input, self.clock.began_s))
            else:
                self.store.apply(record.played(line, self.clock.began_s))
        return True

    def _until_next(self) -> float | None:
        if self.clock.stands or self._next >= len(self.lines):
            return None if self._is_listed else LISTED_EVERY_S
        wait_s = (self.lines[self._next].at_s - self.clock.at_s) / self.clock.speed
        wait_s = max(wait_s, WAIT_S_MIN)
        return wait_s if self._is_listed else min(wait_s, LISTED_EVERY_S)

    # -- what is looked at ---------------------------------------------------------------------

    def look(self, board: Board, run_id: str | None) -> None:
        """This board, or this run, is on the screen."""
        self._board, self._run_id = board, run_id or ""
        self._is_listed, self._listed_at = False, float("-inf")
        self._list()

    def _list(self) -> None:
        """Which runs of a past hour there are now; and the open one, as far as it is known."""
        if self.hour is None or self._is_listed:
            self._is_listed = True
            return
        now = anyio.current_time()
        if now - self._listed_at < LISTED_EVERY_S:
            return
        self._listed_at, self._is_listed = now, True
        self.hour.show(self.store, self._board, self._run_id, self._next)

    # -- keys ----------------------------------------------------------------------------------

    def wait(self) -> bool:
        """Stand still, or go on; returns whether it stands."""
        self.clock.set(self.clock.at_s, stands=not self.clock.stands)
        self._poked.set()
        return self.clock.stands

    def go_faster(self, by: float) -> float:
        """So many times as fast as now; returns the speed."""
        speed = min(max(self.clock.speed * by, SPEED_MIN), SPEED_MAX)
        self.clock.set(self.clock.at_s, speed=speed)
        self._poked.set()
        return speed

    def jump(self, by_s: float) -> None:
        """So many seconds on, or back."""
        self.go_to(self.clock.at_s + by_s)

    def go_to(self, at_s: float) -> None:
        """Be so many seconds behind the beginning, within what there is."""
        if at_s < self.clock.at_s:
            self._begins = True
        self._listed_at = float("-inf")
        self.clock.set(at_s)
        self._poked.set()
