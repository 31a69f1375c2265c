"""Copies of the record: when somebody asks for one, and by themselves every so many hours.

One at a time. What came of the last one is registered with the store, so that a start knows when
the next is due, and whoever looks how old the last good one is. Nothing is deleted unless a setting
says how many are to be kept; then the oldest of those that were made by themselves go.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import trio
from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.ports.registry import KIND_BACKUP, Registered, RegistryStore
from engine.ports.store import Copies, StoreError
from engine.process.clock import Clock

HOUR_MS = 3_600_000
AGAIN_MS_MAX = HOUR_MS
"""After a failed one the next is tried after so long, or sooner where they are made more often."""
LOOK_EVERY_S = 60.0
"""At the wall clock, which may be set: it says when one is due."""
AHEAD_MS_MAX = 60_000
"""A copy whose time is further ahead was made by a clock that was wrong."""
PART = ".part"
BY_ITSELF = "engine"
CUT_OFF = "The engine was stopped while it was made."
LAST, GOOD, OWN = "last", "good", "own-"
"""What is registered: of all that were made, and of those that were made by themselves."""


class BackupSettings(Struct, frozen=True):
    """Where copies go by themselves, and how often."""

    directory: Path | None = None
    """None: none is made unless somebody asks."""
    every_h: int = 24
    keep: int = 0
    """0: all."""


class BackupDone(Struct, frozen=True, rename="camel"):
    """What came of one."""

    file: str
    at: int
    """When it ended, in milliseconds since the epoch, UTC."""
    took_ms: int
    actor: str
    size: int = 0
    """In bytes."""
    error: str | None = None
    """Why there is none."""


class BackupUnderWay(Struct):
    """One that is being made."""

    file: str
    since: int
    asked_by: Actor | None = None
    """None: it is made by itself."""
    done: int = 0
    """Pages."""
    of: int = 0

    @property
    def actor(self) -> str:
        """The name of who asked for it."""
        return BY_ITSELF if self.asked_by is None else self.asked_by.name


class Store(RegistryStore, Protocol):
    """Where what came of them is kept."""

    @property
    def file_id(self) -> str:
        """Its own name."""


_decode = msgspec.json.Decoder(BackupDone).decode
_encode = msgspec.json.Encoder().encode


class Backups:
    """Those of one engine."""

    def __init__(
        self,
        store: Store,
        copies: Copies,
        settings: BackupSettings,
        clock: Clock,
        inform: Callable[..., Any],
        warn: Callable[..., Any],
        offload: Callable[[Callable[[], None]], Awaitable[None]] = trio.to_thread.run_sync,
        ended: Callable[[BackupDone, Actor], None] = lambda done, asked_by: None,
    ) -> None:
        """`offload` runs what blocks in another thread. `ended` is told what came of one that
        somebody asked for, also of one that the engine's end cut off."""
        self._store, self._copies, self._settings = store, copies, settings
        self._clock, self._inform, self._warn = clock, inform, warn
        self._offload, self._ended = offload, ended
        self.under_way: BackupUnderWay | None = None
        self.last: BackupDone | None = None
        self.good: BackupDone | None = None
        """The last from which there is a copy."""
        self._own: dict[str, BackupDone] = {}
        """Of those that were made by themselves the last, and the last good one."""
        self.failed = 0
        """Since the start."""
        self._asked = trio.Event()
        self._scope = trio.CancelScope()
        for entry in store.registered:
            if entry.kind == KIND_BACKUP and entry.value is not None:
                done = _decode(entry.value)
                if self._is_of_this_file(done):
                    self._known(entry.name, done)

    @property
    def every_ms(self) -> int | None:
        """How often one is made by itself; None: none is."""
        return None if self._settings.directory is None else self._settings.every_h * HOUR_MS

    @property
    def due_at(self) -> int | None:
        """When the next is made by itself, on the wall clock; None: none is."""
        every, now = self.every_ms, self._clock.utc_ms()
        if every is None:
            return None
        good, last = self.made_at(self._own.get(GOOD)), self._own.get(LAST)
        due = now if good is None else good + every
        if last is not None and last.error is not None and (at := self.made_at(last)) is not None:
            due = max(due, at + min(every, AGAIN_MS_MAX))
        return due

    def made_at(self, done: BackupDone | None) -> int | None:
        """When it was made; None: never, or at a time that has not come yet. Then a clock was
        wrong, and how old it is nobody knows: waited for, it would keep others away for as long."""
        if done is None or done.at > self._clock.utc_ms() + AHEAD_MS_MAX:
            return None
        return done.at

    def begin(self, file: str, actor: Actor) -> BackupUnderWay:
        """Have one made, under a path of this machine. Raises Refused."""
        if not file.startswith("/") or "\0" in file:
            raise Refused(
                Problem.INVALID_REQUEST,
                f"{file[:200]!r} is no whole path: the file is made on the engine's machine, so"
                " name it from the root on.",
                member="file",
            )
        if self._scope.cancel_called:
            raise Refused(Problem.DRAINING, "The engine is stopping.", retryAfter=1)
        if self.under_way is not None:
            raise Refused(
                Problem.NOT_POSSIBLE,
                f"A backup is being made: {self.under_way.file}. Wait for its end.",
            )
        return self._begin(Path(file), actor)

    def _begin(self, file: Path, asked_by: Actor | None = None) -> BackupUnderWay:
        self.under_way = BackupUnderWay(str(file), self._clock.utc_ms(), asked_by)
        self._asked.set()
        return self.under_way

    def close(self) -> None:
        """Take no more, and leave the one that is being made."""
        self._scope.cancel()

    async def run(self) -> None:
        """Make them, until this is closed."""
        with self._scope:
            due, directory = self.due_at, self._settings.directory
            if directory is not None and due is not None and due > self._clock.utc_ms():
                await self._make_room(directory)  # who started it reads what is wrong now
            while True:
                if self.under_way is None:
                    await self._wait()
                if self.under_way is not None:
                    await self._make(self.under_way)

    async def _wait(self) -> None:
        """Until one is asked for, or due."""
        due, self._asked = self.due_at, trio.Event()
        left_s = LOOK_EVERY_S if due is None else (due - self._clock.utc_ms()) / 1000
        if due is None:
            await self._asked.wait()
        elif left_s > 0:
            with trio.move_on_after(min(left_s, LOOK_EVERY_S)):
                await self._asked.wait()
        elif self._settings.directory is not None:
            await self._make_room(self._settings.directory)
            self._begin(self._settings.directory / self._name())

    def _name(self) -> str:
        at = datetime.fromtimestamp(self._clock.utc_ms() / 1000, UTC)
        return f"atomic-{self._store.file_id}-{at:%Y%m%dT%H%M%SZ}.db"

    async def _make(self, asked: BackupUnderWay) -> None:
        began = self._clock.steady_ms()

        def told(done: int, of: int) -> None:
            asked.done, asked.of = done, of

        def done(size: int, error: str | None) -> BackupDone:
            now, took = self._clock.utc_ms(), self._clock.steady_ms() - began
            return BackupDone(asked.file, now, took, asked.actor, size, error)

        error, size = None, 0
        try:
            size = (await self._copies.back_up(Path(asked.file), told)).size
        except StoreError as why:
            error = str(why)
        except trio.Cancelled:  # it is no failure that the next start should know
            self._tell(asked, done(0, CUT_OFF))
            raise
        ended = done(size, error)
        self._end(ended)
        self._tell(asked, ended)
        if error is None and asked.actor == BY_ITSELF and self._settings.keep:
            await self._offload(partial(self._remove_old, Path(asked.file)))

    def _tell(self, asked: BackupUnderWay, done: BackupDone) -> None:
        if asked.asked_by is not None:
            self._ended(done, asked.asked_by)

    def _end(self, done: BackupDone) -> None:
        self.under_way = None
        names = [LAST, GOOD] if done.error is None else [LAST]
        for name in [*names, *(OWN + name for name in names if done.actor == BY_ITSELF)]:
            self._keep(name, done)
        if done.error is None:
            self._inform("backup-made", file=done.file, bytes=done.size, took_ms=done.took_ms,
                         actor=done.actor)  # fmt: skip
        else:
            self.failed += 1
            self._warn("backup-failed", file=done.file, error=done.error, actor=done.actor)

    def _keep(self, name: str, done: BackupDone) -> None:
        self._known(name, done)
        self._store.register(
            Registered(KIND_BACKUP, name, _encode(done), self._clock.utc_ms(), done.actor)
        )

    def _is_of_this_file(self, done: BackupDone) -> bool:
        """A restored file has the entries of the one it was copied from, whose copies are none of
        it. Of one that somebody asked for, under any name, it cannot be told: it counts."""
        mine = f"atomic-{self._store.file_id}-"
        return done.actor != BY_ITSELF or Path(done.file).name.startswith(mine)

    def _known(self, name: str, done: BackupDone) -> None:
        if name.startswith(OWN):
            self._own[name.removeprefix(OWN)] = done
        elif name == LAST:
            self.last = done
        else:
            self.good = done

    async def _make_room(self, directory: Path) -> None:
        """The directory is there, and nothing in it of a copy that was cut off."""

        def work() -> None:
            directory.mkdir(mode=0o700, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "it cannot be written", str(directory))
            for part in self._files(directory, PART):
                part.unlink(missing_ok=True)

        try:
            await self._offload(work)
        except OSError as error:
            self._warn("backup-directory", directory=str(directory), error=str(error))

    def _remove_old(self, made: Path) -> None:
        """Of those up to the one that was just made: a later name is of a clock that was ahead, and
        must not have this one go for it."""
        files = self._files(made.parent)
        until = [each for each in files if each.name <= made.name]
        for old in until[: -self._settings.keep]:
            try:
                old.unlink()
            except OSError as error:
                self._warn("backup-kept", file=str(old), error=str(error))
            else:
                self._inform("backup-removed", file=str(old))
        for later in files[len(until) :]:
            self._warn("backup-kept", file=str(later), error="its name is of a time to come")

    def _files(self, directory: Path, suffix: str = "") -> list[Path]:
        """Those that were made of this file by themselves, the oldest first."""
        name = re.compile(rf"atomic-{self._store.file_id}-\d{{8}}T\d{{6}}Z\.db{re.escape(suffix)}")
        return sorted(each for each in directory.iterdir() if name.fullmatch(each.name))
