"""Whether the store can be written: one state, and what is said of it.

A commit that certainly has not happened (another program holds the write lock, the disk is full, a
write was refused) is tried again, whole, until it does: nothing that waits is lost or done twice.
When that has lasted a moment the store is *away*: posts are refused and no attempt starts, so that
what is kept in memory stays bounded, and the engine goes on by itself when the store is back.

Which failures are of that kind each store knows (its sink says so), and the words for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import trio

from engine.ports.store import Away, StoreStopped

AWAY_AFTER_S = 0.5
"""A store that cannot be written for so long is away. What another program's checkpoint takes is
less: commits wait, and nobody is told."""
PAUSE_S_MIN, PAUSE_S_MAX = 0.005, 0.25
"""Between tries. Who has a lock for a moment lets others wait for a moment."""
WAIT_S = 5.0
"""By default: how long the store may be away before it is said who or what keeps it so."""


class Words(Protocol):
    """What a store says of a try that failed."""

    @property
    def place(self) -> object:
        """Where the store is."""

    def why_not(self, error: Exception) -> str:
        """Why it cannot be written, as a sentence."""

    def who_keeps_it_away(self, error: Exception) -> str | None:
        """The processes that keep it so, as far as is known; None: nobody does."""


class Availability:
    """Told by the writer how each try went; read by everybody else."""

    def __init__(
        self,
        words: Words,
        *,
        wait_s: float = WAIT_S,
        log: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self.away: Away | None = None
        self.give_up_at = math.inf
        """On Trio's clock: after this the engine ends rather than wait on (it is to stop)."""
        self._words, self._wait_s, self._log = words, wait_s, log
        self._listeners: list[Callable[[], None]] = []
        self._moved = trio.Event()
        self._since: float | None = None
        self._pause_s = PAUSE_S_MIN
        self._say_at = math.inf

    @property
    def is_failing(self) -> bool:
        """The last try failed, whether the store counts as away yet or not."""
        return self._since is not None

    def tell(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever `away` has come or gone."""
        self._listeners.append(listener)

    async def wait_moved(self) -> None:
        """Return when `away` has come or gone."""
        await self._moved.wait()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    async def wait_after(self, error: Exception, events: Callable[[], int]) -> None:
        """A try has failed: wait before the next. `events` says how many wait for a commit.

        Raises StoreStopped when the engine is to stop and has no more time.
        """
        now = trio.current_time()
        if self._since is None:
            self._since, self._pause_s = now, PAUSE_S_MIN
            self._say_at = now + max(self._wait_s, AWAY_AFTER_S)
        if self.away is not None or now >= self._since + AWAY_AFTER_S:
            self._is_away(error, now, events())
        if now >= self.give_up_at:
            raise self._not_recorded(error, events())
        await trio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, PAUSE_S_MAX)

    def succeeded(self) -> None:
        """A commit has happened."""
        if self._since is None:
            return
        since, self._since = self._since, None
        if self.away is not None:
            self.away = None
            self._log("store-available", away_ms=round((trio.current_time() - since) * 1000))
            self._tell()

    def _is_away(self, error: Exception, now: float, events: int) -> None:
        assert self._since is not None
        why = self._words.why_not(error)
        before = self.away
        if before is None:
            self.away = Away(self._since, why)
            self._log("store-unavailable", why=why, events_waiting=events)
            self._tell()
        elif before.why != why:
            self.away = Away(before.since_s, why, before.who)
        if now >= self._say_at:
            keeper = {}
            if (who := self._words.who_keeps_it_away(error)) is not None:
                self.away = Away(self._since, why, who)
                keeper = {"held_by": who or "not known: of another user, or in another container"}
            away_ms = round((now - self._since) * 1000)
            self._log(
                "store-still-unavailable", why=why, **keeper, away_ms=away_ms, events_waiting=events
            )
            self._say_at += self._say_at - self._since  # twice as late each time: no log is filled

    def _not_recorded(self, error: Exception, events: int) -> StoreStopped:
        return StoreStopped(
            f"The engine was to stop while {self._words.place} could not be written:"
            f" {self._words.why_not(error)} {events} events were not recorded. What they tell of"
            " had not been acknowledged to anybody: attempts whose ends are among them are made"
            " again after the next start."
        )
