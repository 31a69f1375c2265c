"""What is durable and not in the tables: the journal's end, folded in memory for those who read.

While the store cannot be written the rows of the last moment cannot follow their events. They are
made here instead, by what a start does (`store/replay.py`), in tables in memory. Who reads then
reads in both places: here of the runs that are here, and in the file of all others. Nothing is here
that is not in the file's journal: what waits for a commit was promised to nobody, and may never be.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from msgspec import Struct

from engine.store.journal import unpack
from engine.store.replay import replay
from engine.store.sqlite.readers import add_functions
from engine.store.sqlite.sink import SqliteKept
from engine.store.tables.connection import SQL, snapshot
from engine.store.tables.reading import entries_behind

T = TypeVar("T")
_OF_RUN = {
    "run": "id = ?1",
    "step": "id >= ?1 AND id < ?1 || '.'",
    "attempt": "step_id >= ?1 AND step_id < ?1 || '.'",
    "outcome": "step_id >= ?1 AND step_id < ?1 || '.'",
    "body": "step_id >= ?1 AND step_id < ?1 || '.'",
}
"""Which rows of a table are a run's. `tally` begins empty: it says how the file's would move."""
_HIDE = (
    "CREATE TEMP TABLE behind (id TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TEMP VIEW run AS SELECT * FROM main.run WHERE id NOT IN (SELECT id FROM temp.behind)",
    "CREATE TEMP VIEW step AS SELECT * FROM main.step"
    " WHERE run_id NOT IN (SELECT id FROM temp.behind)",
)
"""Names of the temporary schema come before the file's."""


class _Folded(Struct, frozen=True):
    """The end of the journal as rows."""

    db: sqlite3.Connection
    run_ids: frozenset[str]
    """The runs that it tells of: all their rows are here."""
    at: tuple[int, int]
    """Behind which event of the file it begins, and with which it ends."""


class Tail:
    """The end of the journal, folded when somebody reads and kept until there is more of it.

    For the readers' threads; one reads at a time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._folded: _Folded | None = None

    def of_run(self, db: sqlite3.Connection, run_id: str, work: Callable[..., T]) -> T:
        """What `work` finds of a run with a connection to where its rows are whole."""
        with self._lock:
            with snapshot(db):
                folded = self._fold(db)
            return work(folded.db if run_id in folded.run_ids else db)

    def of_all(
        self, db: sqlite3.Connection, work: Callable[..., T], join: Callable[[T, T], T]
    ) -> T:
        """What `work` finds in the file of the runs whose rows are whole there, and here of the
        others, both of one moment, as one."""
        with self._lock, snapshot(db):
            folded = self._fold(db)
            _hide(db, folded.run_ids)
            return join(work(db), work(folded.db))

    def forget(self) -> None:
        """The tables know all again."""
        if self._folded is not None:
            self.close()

    def close(self) -> None:
        with self._lock:
            folded, self._folded = self._folded, None
            if folded is not None:
                folded.db.close()

    def _fold(self, db: sqlite3.Connection) -> _Folded:
        (caught_up,) = db.execute("SELECT caught_up FROM engine").fetchone()
        at = (caught_up, db.execute(SQL["journal_span"]).fetchone()[1])
        before = self._folded
        if before is None or before.at != at:
            self._folded = None
            if before is not None:
                before.db.close()
            self._folded = _folded(db, at)
            return self._folded
        return before


def _hide(db: sqlite3.Connection, run_ids: frozenset[str]) -> None:
    """Let `run` and `step` name all rows but those of these runs, until the transaction ends."""
    db.execute("PRAGMA query_only=0")  # else there is no temporary schema either
    try:
        for statement in _HIDE:
            db.execute(statement)
        ids = json.dumps(sorted(run_ids))
        db.execute("INSERT INTO behind SELECT value FROM json_each(?)", (ids,))
    finally:
        db.execute("PRAGMA query_only=1")


def _folded(db: sqlite3.Connection, at: tuple[int, int]) -> _Folded:
    """The runs of which the journal tells more than the tables, as a start would have them."""
    caught_up, _ = at
    entries = list(entries_behind(db, caught_up))
    run_ids = frozenset(
        line.run_id
        for first, packed in entries
        for seq, line in enumerate(unpack(packed)[0], first)
        if seq > caught_up
    )
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        memory.row_factory = sqlite3.Row
        add_functions(memory)
        memory.execute("BEGIN")
        for (statement,) in db.execute(
            "SELECT sql FROM main.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ):
            memory.execute(statement)
        _copy(db, memory, "engine", "1", [()])
        for table, which in _OF_RUN.items():
            _copy(db, memory, table, which, [(run_id,) for run_id in run_ids])
        of_runs = "run_id IN (SELECT value FROM json_each(?1))"
        _copy(db, memory, "job_run", of_runs, [(json.dumps(sorted(run_ids)),)])
        memory.executemany(
            "INSERT INTO journal (seq, events, at, size, packed) VALUES (?, 0, 0, 0, ?)",
            map(tuple, entries),
        )
        memory.execute("COMMIT")
        replay(SqliteKept(memory))
    except BaseException:
        memory.close()
        raise
    return _Folded(memory, run_ids, at)


def _copy(
    db: sqlite3.Connection,
    memory: sqlite3.Connection,
    table: str,
    which: str,
    values: list[tuple[str, ...]],
) -> None:
    """The rows of which this holds, for each of the values."""
    names = [row["name"] for row in db.execute(f"PRAGMA main.table_info({table})")]
    columns = ",".join(names)
    select = f"SELECT {columns} FROM main.{table} WHERE {which}"
    insert = f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(names))})"
    for each in values:
        memory.executemany(insert, map(tuple, db.execute(select, each)))
