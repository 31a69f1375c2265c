"""The application's SQLite file: one connection, explicit transactions.

Every call is made on the event loop's thread and takes well under a millisecond, so no second
thread is needed, and two requests can never be inside one transaction. One process owns a data
directory.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 5.0


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """Open (or create) the file and its tables.

    `synchronous=FULL`: an effect that was answered must survive a power cut, or the engine would
    hold a step for completed whose effect is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(schema)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing. IMMEDIATE: the lock is taken before the first read, never half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
