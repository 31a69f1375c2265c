"""The write-ahead log: how long it is, and putting it into the file.

A commit is durable in the log; that it cannot be put into the file for now (no room, another
program at it) costs nothing but room, and is tried again when more has been written. Only a sync
that failed stops the engine, here as in a commit.
"""

from __future__ import annotations

import sqlite3

from engine.store.away import passes

CHECKPOINT_PAGES = 3_000
"""About so many pages of the log are put into the file together, each once however often it was
written: in the thread, after the next commit that is made there."""


class Wal:
    """The log of one file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._grown = 0
        """Pages written to it since it was last put into the file, about."""

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
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            if not passes(error):
                raise
