"""A disk that refuses to be written for a while: full, locked by another program, or ill.

Nothing of a refused commit happens, and its error says so, as SQLite's own do. After half a second
of it the engine must count the store as away: R26 no attempt leaves, until a commit has happened.
"""

from __future__ import annotations

import sqlite3
from random import Random

import trio

from engine.store.away import AWAY_AFTER_S
from tests.simulation.history import History
from tests.store.faults import sqlite_error

CODES = (
    (sqlite3.SQLITE_BUSY, "SQLITE_BUSY"),
    (sqlite3.SQLITE_FULL, "SQLITE_FULL"),
    (sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"),
)
LASTS_S = (0.3, 3.0, 12.0)
"""Less than the checker allows a retry to be late (`LATE_MS`)."""


class Outage:
    """Refuses commits now and then, and knows since when the engine must know."""

    def __init__(self, history: History, rng: Random) -> None:
        self._history, self._rng = history, rng
        self._error: tuple[int, str] | None = None
        self._failing_since: float | None = None
        self._known_since: float | None = None

    async def strike(self, every_max_s: float) -> None:
        """Be away now and then, until cancelled."""
        rng = self._rng
        try:
            while True:
                await trio.sleep(rng.random() * every_max_s)
                self._error = rng.choice(CODES)
                await trio.sleep(rng.random() * rng.choice(LASTS_S))
                self._error = None
        finally:
            self._error = None

    def refuse(self) -> None:
        """A commit is about to be made: raises sqlite3.OperationalError if it cannot be."""
        if self._error is None:
            return
        now = trio.current_time()
        if self._failing_since is None:
            self._failing_since = now
        elif self._known_since is None and now >= self._failing_since + AWAY_AFTER_S:
            self._known_since = now
            self._history.note("situation:store away")
        self._history.note("fault:store-away")
        raise sqlite_error(*self._error)

    def over(self) -> None:
        """A commit has happened, or the engine that knew is gone."""
        self._failing_since = self._known_since = None

    @property
    def is_known(self) -> bool:
        """The engine has tried in vain for so long that it must know."""
        return self._known_since is not None and trio.current_time() > self._known_since
