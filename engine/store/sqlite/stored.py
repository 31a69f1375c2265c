"""Runs of a file whose tables have not all of today's columns yet: for the migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sqlite_utils import Database

from engine.core.model import Run
from engine.store.tables.reading import stored_run

T = TypeVar("T")


class _OlderRow(dict[str, Any]):
    """A row of a file that has not all of today's columns yet: those are null."""

    def __missing__(self, column: str) -> None:
        return None


def of_stored(db: Database, query: str, of: Callable[[Run], T]) -> Iterator[tuple[str, T]]:
    """Something of each run whose id a query finds, as the schema so far has them. One that cannot
    be read is left out: it stops when it is loaded, and nothing else does."""
    ids = [run_id for (run_id,) in db.execute(query).fetchall()]
    known = db.conn.row_factory
    for run_id in ids:
        db.conn.row_factory = lambda cursor, row: _OlderRow(
            zip((column[0] for column in cursor.description), row, strict=True)
        )
        try:
            found = stored_run(db.conn, run_id)
            told = None if found is None else (run_id, of(found.run))
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - whatever it is must cost this run alone
            continue
        finally:
            db.conn.row_factory = known
        if told is not None:
            yield told
