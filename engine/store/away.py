"""Whether the store can be written: one state, and what is said of it.

A commit that certainly has not happened (another program holds the write lock, the disk is full, a
write was refused) is tried again, whole, until it does: nothing that waits is lost or done twice.
When that has lasted a moment the store is *away*: posts are refused and no attempt starts, so that
what is kept in memory stays bounded, and the engine goes on by itself when the store is back.

A failed *sync* is another matter. The system may have dropped what it could not write, and says so
once; nobody knows what is on the disk. That stops the engine, and so does every error that is not
known to have changed nothing: the file is read again at the next start.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import trio

from engine.ports.store import Away, StoreError, StoreStopped
from engine.store import hands
from engine.store.shape import check_tables
from engine.store.words import cannot_write, damage, in_the_way, primary

AWAY_AFTER_S = 0.5
"""A store that cannot be written for so long is away. What another program's checkpoint takes is
less: commits wait, and nobody is told."""
PAUSE_S_MIN, PAUSE_S_MAX = 0.005, 0.25
"""Between tries. Who holds a lock for a moment holds up others for a moment."""
WAIT_S = 5.0
"""By default: how long the store may be away before it is said who or what keeps it so."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_REFUSED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
_IO = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
"""What may fail before a commit is written, or, of the index in shared memory, after it: then the
log's end has not moved, and the same commit is written over itself."""


def passes(error: sqlite3.Error) -> bool:
    """Whether the commit that failed so has certainly not happened, and may be tried again."""
    code = int(getattr(error, "sqlite_errorcode", 0))
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return False
    if primary(error) == sqlite3.SQLITE_IOERR:
        return code in _IO
    return primary(error) in _BUSY or primary(error) in _REFUSED


class Availability:
    """Told by the writer how each try went; read by everybody else."""

    def __init__(
        self,
        path: Path,
        *,
        wait_s: float = WAIT_S,
        log: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self.away: Away | None = None
        self.give_up_at = math.inf
        """On Trio's clock: after this the engine ends rather than wait on (it is to stop)."""
        self._path, self._wait_s, self._log = path, wait_s, log
        self._listeners: list[Callable[[], None]] = []
        self._moved = trio.Event()
        self._since: float | None = None
        self._pause_s = PAUSE_S_MIN
        self._say_at = math.inf
        self.wants_room = False
        """The last try failed for want of room, or so it seems."""

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

    async def wait_after(self, error: sqlite3.Error, events: Callable[[], int]) -> None:
        """A try has failed: wait before the next. `events` says how many wait for a commit.

        Raises StoreStopped when the engine is to stop and has no more time.
        """
        now = trio.current_time()
        if self._since is None:
            self._since, self._pause_s = now, PAUSE_S_MIN
            self._say_at = now + max(self._wait_s, AWAY_AFTER_S)
        self.wants_room = primary(error) not in _BUSY
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
        self.wants_room = False
        if self.away is not None:
            self.away = None
            self._log("store-available", away_ms=round((trio.current_time() - since) * 1000))
            self._tell()

    def _is_away(self, error: sqlite3.Error, now: float, events: int) -> None:
        assert self._since is not None
        why = why_not(self._path, error)
        before = self.away
        if before is None:
            self.away = Away(self._since, why)
            self._log("store-unavailable", why=why, events_waiting=events)
            self._tell()
        elif before.why != why:
            self.away = Away(before.since_s, why, before.who)
        if now >= self._say_at:
            held = {}
            if primary(error) in _BUSY:
                who = hands.told(in_the_way(self._path))
                self.away = Away(self._since, why, who)
                held = {"held_by": who or "not known: of another user, or in another container"}
            away_ms = round((now - self._since) * 1000)
            self._log(
                "store-still-unavailable", why=why, **held, away_ms=away_ms, events_waiting=events
            )
            self._say_at += self._say_at - self._since  # twice as late each time: no log is filled

    def tell_damage(self, error: sqlite3.Error, connection: sqlite3.Connection) -> None:
        """A commit has failed for good. Raises StoreStopped if the file is damaged, or its tables
        are not what the engine made."""
        what = damage(self._path, error)
        if what is None and primary(error) == sqlite3.SQLITE_ERROR:
            try:
                check_tables(connection, self._path)
            except (StoreError, sqlite3.Error) as found:
                what = damage(self._path, found) if isinstance(found, sqlite3.Error) else str(found)
        if what is not None:
            raise StoreStopped(f"{what} The commit that met it was not made.") from error

    def _not_recorded(self, error: sqlite3.Error, events: int) -> StoreStopped:
        return StoreStopped(
            f"The engine was to stop while {self._path} could not be written:"
            f" {why_not(self._path, error)} {events} events were not recorded. What they tell of"
            " had not been acknowledged to anybody: attempts whose ends are among them are made"
            " again after the next start."
        )


def why_not(path: Path, error: sqlite3.Error) -> str:
    """Why the store cannot be written, as a sentence."""
    if primary(error) in _BUSY:
        return "another program holds the write lock."
    return cannot_write(path, error)
