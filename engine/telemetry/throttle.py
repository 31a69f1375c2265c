"""Says once a second what is alike, and how often it was.

Ten thousand runs that fail for one reason are one trouble: as ten thousand lines they hide the
next, and fill a disk. So:

* The first of its kind is said at once. What is alike within ALIKE_S is kept; then the latest of it
  is said, with how many more there were (`left_out`), and so on until a second passes without one.
* No more than so many lines a second, whatever they say. What finds no room is counted, and a line
  of its own says how many.
* Nothing is lost: what was left out stands in a later line, also when the engine stops.

Nobody waits here: saying is a look into a table, and mostly an addition.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable

import trio

ALIKE_S = 1.0
LINES_PER_S_MAX = 45
"""Twice that (`run_log.py` has two), with the lines that count the rest, is under a hundred."""
LEFT_OUT = "log-lines-left-out"

Say = Callable[..., None]
"""Called with an event's name and its values. Never fails, and never waits."""
Values = dict[str, object]


class _Unsaid:
    """What is alike and was not said, since it was said last."""

    __slots__ = ("count", "due", "values")

    def __init__(self, due: float) -> None:
        self.due = due
        self.count = 0
        self.values: Values = {}
        """Of the latest."""


class Throttle:
    """Between who has something to say and the log. `run` says in time what was kept."""

    def __init__(self, say: Say, *, lines_per_s_max: int = LINES_PER_S_MAX) -> None:
        self._say = say
        self._unsaid: dict[tuple[str, Hashable], _Unsaid] = {}
        """By event and what makes it alike; the one that is due first stands first."""
        self._said_at: deque[float] = deque(maxlen=lines_per_s_max)
        self._left_out = 0
        """Lines for which there was no room, whatever they said."""
        self._left_out_due = math.inf
        self._stirred = trio.Event()

    def say(self, event: str, alike: Hashable, values: Values) -> None:
        """Say it, now or with others that are alike. The throttle keeps `values`."""
        unsaid = self._unsaid.get((event, alike))
        if unsaid is not None:
            unsaid.count += 1
            unsaid.values = values
            return
        now = trio.current_time()
        if self._say_now(event, values, now):
            self._unsaid[event, alike] = _Unsaid(now + ALIKE_S)
        else:
            self._leave_out(1, now)
        self._stirred.set()

    def _say_now(self, event: str, values: Values, now: float) -> bool:
        """Say it if there is room within this second."""
        times = self._said_at
        if len(times) == times.maxlen and now < times[0] + 1.0:
            return False
        times.append(now)
        self._say(event, **values)
        return True

    def _leave_out(self, count: int, now: float) -> None:
        if not self._left_out:
            self._left_out_due = now + ALIKE_S
        self._left_out += count

    async def run(self) -> None:
        """Say what is due, until cancelled; then the rest."""
        try:
            while True:
                await self._stirred.wait()
                self._stirred = trio.Event()
                while (due := self._due) < math.inf:
                    await trio.sleep_until(due)
                    self._say_due(trio.current_time())
        finally:
            self._say_rest()

    @property
    def _due(self) -> float:
        first = next(iter(self._unsaid.values()), None)
        return min(self._left_out_due, math.inf if first is None else first.due)

    def _say_due(self, now: float) -> None:
        for alike, unsaid in list(self._unsaid.items()):
            if unsaid.due > now:
                break
            del self._unsaid[alike]
            if not unsaid.count:
                continue
            if self._say_now(alike[0], _with_count(unsaid), now):
                self._unsaid[alike] = _Unsaid(now + ALIKE_S)
            else:
                self._leave_out(unsaid.count, now)
        if now >= self._left_out_due:
            self._say_left_out()

    def _say_left_out(self) -> None:
        self._say(LEFT_OUT, count=self._left_out)
        self._left_out, self._left_out_due = 0, math.inf

    def _say_rest(self) -> None:
        now = trio.current_time()
        for (event, _), unsaid in self._unsaid.items():
            if unsaid.count and not self._say_now(event, _with_count(unsaid), now):
                self._leave_out(unsaid.count, now)
        self._unsaid.clear()
        if self._left_out:
            self._say_left_out()


def _with_count(unsaid: _Unsaid) -> Values:
    return unsaid.values if unsaid.count == 1 else {**unsaid.values, "left_out": unsaid.count - 1}
