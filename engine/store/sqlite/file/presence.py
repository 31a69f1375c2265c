"""Whether the file that is written is still the one that its name leads to, and its log whole.

A file that is deleted, moved or replaced while it is open goes on taking writes, and what it took
is gone when it is closed. So the names of the database, its log and the log's index are looked at
while commits are made, and now and then while none are; when one of them leads elsewhere the engine
stops. So it does when the log was cut short or written over (`log_file.py`).

Not before each acknowledgement: a look costs as much as a twentieth of a commit. What is
acknowledged within `LOOK_EVERY_S` after the file was deleted or its log cut may be lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import trio

from engine.ports.report import RESTORE
from engine.ports.store import StoreStopped
from engine.store.sqlite.file.log_file import LogFile

LOOK_EVERY_S = 0.05
"""While commits are made."""
LOOK_IDLE_S = 1.0
"""While none are."""
COMPANIONS = ("-wal", "-shm")


class Presence:
    """The files of one database, as they are now, when it has just been opened.

    `handle` is a descriptor of the database.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle
        self._names = [path, *(path.with_name(path.name + suffix) for suffix in COMPANIONS)]
        self._files = [os.stat(name) for name in self._names]
        self._log = LogFile(*self._names[1:])
        self._log.is_whole()  # remember what it had
        self._look_at = 0.0

    def close(self) -> None:
        """To be called after SQLite has closed the database."""
        self._log.close()

    def look(self) -> None:
        """Look, if it is time. Raises StoreStopped when a file is no longer what it was."""
        now = trio.current_time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        self.look_now()

    def look_now(self) -> None:
        """Look, in any thread. Raises StoreStopped."""
        for name, file in zip(self._names, self._files, strict=True):
            try:
                found = os.stat(name)
            except (FileNotFoundError, NotADirectoryError):
                raise self._gone(name) from None
            except OSError:
                continue  # nothing is known, and that is not this
            if (found.st_ino, found.st_dev) != (file.st_ino, file.st_dev):
                raise StoreStopped(
                    f"{name} was replaced while the engine ran: another file has its name now."
                    f" {_WHY} To restore a copy, stop the engine first (docs/how-to/back-up.md)."
                )
        if not self._log.is_whole():
            raise StoreStopped(
                f"{self._names[1]} was cut short or written over while the engine ran. What was"
                " recorded since the log was last put into the file is lost or incomplete, and what"
                f" is recorded now would be, so the engine stops. {RESTORE}"
            )

    def _gone(self, name: Path) -> StoreStopped:
        moved = name == self._path and os.fstat(self._handle).st_nlink > 0
        if moved:
            return StoreStopped(
                f"{name} was moved away while the engine ran. What is recorded now would not be"
                " found under that name, so the engine stops."
            )
        return StoreStopped(f"{name} was deleted while the engine ran. {_WHY}")

    async def watch(self, on_failure: Callable[[], None]) -> None:
        """Look now and then, also while nothing is written."""
        while True:
            await trio.sleep(LOOK_IDLE_S)
            try:
                self.look()
            except StoreStopped:
                on_failure()
                raise


_WHY = "What is recorded now would be lost, so the engine stops."
