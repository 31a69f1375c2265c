"""Lets new runs in as fast as the engine can take them on, and says no at once when that is full.

Under more load than there is room for, an engine that takes everything on gets slower for everybody
and finishes nothing sooner. So while passes of Trio's loop are long, new runs queue, and each pass
lets in as many as keep the passes short: what is under way goes on at its pace, and every answer, a
refusal too, leaves within a pass or two. The queue is bounded by the time that its last would wait.
Posts for runs that there are already do not queue.

`run` makes it work; without it everybody is let in at once.
"""

from __future__ import annotations

import math
from itertools import islice

import trio

from engine.refusals import overloaded

PULSE_S = 0.05
"""How often a look is taken at how late the loop is, while nobody queues."""
BUSY_FOR_S = 0.25
"""The loop counts as busy for so long after it was late: a look falls anywhere in a pass."""
PASS_S_MAX = 0.02
"""A pass of the loop that takes longer makes new runs queue; with queues passes are kept below."""
PASS_S_MIN = 0.01
"""Passes shorter than this let more runs in."""
SMOOTHING = 0.25
AT_ONCE_MAX = 256
"""So many runs are let in with one pass at most."""
RATE_OVER_S = 0.5
"""Over how long the rate at which runs are let in is taken."""
QUEUE_ALWAYS = 2_000
"""So many may queue before any rate is known: a burst is no overload."""


class Admission:
    """The queue of posts that will open runs."""

    def __init__(self, wait_s_max: float) -> None:
        self.wait_s_max = wait_s_max
        self.busy = False
        """Passes of the loop are long."""
        self.refused = 0
        self._queue: dict[trio.Event, None] = {}
        self._came = trio.Event()
        self._at_once = 8.0
        self._per_s = 0.0

    def __len__(self) -> int:
        """How many posts queue."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whoever joins now would wait longer than `wait_s_max`."""
        return len(self._queue) >= max(QUEUE_ALWAYS, self._per_s * self.wait_s_max)

    async def enter(self) -> bool:
        """Wait for one's turn, if the engine is busy; returns whether there was a wait.

        Raises Refused (`overloaded`) when it would be too long.
        """
        if not self.busy and not self._queue:
            return False
        if self.is_full:
            self.refused += 1
            wait_s = math.ceil(len(self._queue) / max(1.0, self._per_s))
            raise overloaded("new_runs_wait_ms_max", min(wait_s, math.ceil(self.wait_s_max)))
        turn = trio.Event()
        self._queue[turn] = None
        self._came.set()
        try:
            await turn.wait()
        finally:
            self._queue.pop(turn, None)
        return True

    def let_all_in(self) -> None:
        """Nobody queues any longer: the engine stops, and tells each so."""
        for turn in list(self._queue):
            turn.set()
        self._queue.clear()

    async def run(self) -> None:
        """Watch the loop, and let in who queues, until cancelled."""
        busy_until = -math.inf
        while True:
            while not self._queue:
                self._came = trio.Event()
                due = trio.current_time() + PULSE_S
                with trio.move_on_at(due):
                    await self._came.wait()
                now = trio.current_time()
                if now - due > PASS_S_MAX:
                    busy_until = now + BUSY_FOR_S
                self.busy = now < busy_until
            await self._let_in()

    async def _let_in(self) -> None:
        """Let in who queues: some with each pass, as many as keep passes short."""
        entered, since = 0, trio.current_time()
        pass_s = (PASS_S_MIN + PASS_S_MAX) / 2
        while self._queue:
            began = trio.current_time()
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            # Smoothed: where in a pass a task gets its turn is up to chance.
            pass_s += (now - began - pass_s) * SMOOTHING
            self.busy = pass_s > PASS_S_MIN
            if pass_s > PASS_S_MAX:
                self._at_once = max(1.0, self._at_once * 0.8)
            elif not self.busy:
                self._at_once = min(AT_ONCE_MAX, self._at_once * 1.25)
            for turn in list(islice(self._queue, int(self._at_once))):
                del self._queue[turn]
                turn.set()
                entered += 1
            if now - since >= RATE_OVER_S:
                self._per_s, entered, since = entered / (now - since), 0, now
