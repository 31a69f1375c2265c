"""Whether the tables of a file are those that this version writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine import __version__
from engine.ports.report import RESTORE
from engine.ports.store import StoreError
from engine.store.tables.writing import COLUMNS

ENGINE_COLUMNS = ("file_id", "secret", "epoch", "owner", "started_at", "caught_up", "floor")


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Every table has the columns that this version asks for.

    Raises StoreError, and sqlite3.DatabaseError for a file that cannot be read.
    """
    for table, columns in (("engine", ENGINE_COLUMNS), *COLUMNS.items()):
        try:
            connection.execute(f"SELECT {','.join(columns)} FROM {table} LIMIT 0")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise StoreError(
                f"{path} is not as this Atomic ({__version__}) makes it: {error}. It was changed by"
                f" hand or by another program. {RESTORE}"
            ) from error
