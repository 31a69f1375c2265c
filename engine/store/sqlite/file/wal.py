"""The write-ahead log: how long it is, and putting it into the file.

A commit is durable in the log; that it cannot be put into the file for now (no room, another
program at it) costs nothing but room, and is tried again when more has been written. Only a sync
that failed stops the engine, here as in a commit.

A reader keeps the log from being put further into the file than what it sees, and from beginning
anew. The engine's own read for moments. Another program's that stays (a shell in the middle of a
`BEGIN`, a copy that takes long) makes it grow without end: to cut it short would need the reader's
end, so that it does is said, and by whom.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.store.sqlite.file import hands
from engine.store.sqlite.file.words import log_readers, may_be_tried_again

CHECKPOINT_PAGES = 3_000
"""About so many pages of the log are put into the file together, each once however often it was
written: in the thread, after the next commit that is made there."""
PAGE_BYTES = 4_096
LONG_BYTES = 64 << 20
"""A log longer than this is kept by a reader: five times what is put into the file together. It is
also what is kept of the log's file when it begins anew."""


class Wal:
    """The log of one file."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        log: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self._connection, self.path, self._log = connection, path, log
        self._grown = 0
        """Pages written to it since it was last put into the file, about."""
        self._say_at = LONG_BYTES
        self.kept_by = ""
        """What of this process reads the file for longer, if anything does."""

    @property
    def bytes(self) -> int:
        """How long its file is. What of it is in use may be less."""
        with suppress(OSError):
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        return 0

    @property
    def is_long(self) -> bool:
        """It is time to put it into the file, in the thread."""
        return self._grown >= CHECKPOINT_PAGES

    def grew(self, pages: int) -> None:
        """A commit has added so many pages, about."""
        self._grown += pages

    def put_into_file(self) -> None:
        """As much of it as no reader needs, without waiting for anybody. Works in any thread."""
        self._grown = 0
        try:
            found = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            if not may_be_tried_again(error):
                raise
            return
        _, pages, done = found
        self._tell(pages * PAGE_BYTES, is_kept_long=done < pages)

    def _tell(self, size: int, *, is_kept_long: bool) -> None:
        """Say when it is long and stays so, again each time it is twice as long; and when it is
        no longer."""
        if is_kept_long and size >= self._say_at:
            known = hands.in_words(log_readers(self.path)) or self.kept_by
            who = known or "not known: perhaps of another user"
            self._log("store-log-held", log_bytes=size, held_by=who)
            self._say_at = 2 * size
        elif not is_kept_long and self._say_at > LONG_BYTES:
            self._log("store-log-free", log_bytes=size)
            self._say_at = LONG_BYTES
