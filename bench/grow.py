"""grow.py FILE --gb G: makes a file of the engine's larger, by copies of all the runs that it has.

Each copy has run ids of its own, later ones, and a client of its own, so that its keys may be the same;
times, payloads and answers are. What it is made of are runs that `loader.py` made and that have ended;
`atomic verify` finds nothing wrong with what comes of it. A run takes a fraction of the time that
`loader.py` takes for one. No engine may have the file open. The file is written without syncs.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.process.clock import Ids  # noqa: E402
from engine.store.journal import JOURNAL_COLUMNS, named_runs, pack, split  # noqa: E402

TABLES = {
    "run": ("id",), "step": ("id", "parent_id"), "attempt": ("step_id",), "outcome": ("step_id",),
}  # fmt: skip
"""Each with its columns that begin with the id of a run."""
PLACES = ("seq", "payload_in", "answer_in")
"""Columns that name events."""
ID_CHARACTERS = 26
CLIENT = "bench"
"""Whose the runs of `loader.py` are."""


class After:
    """The clock that ids are made by: a millisecond later each time."""

    def __init__(self, now: int) -> None:
        self.now = now

    def steady_ms(self) -> int:
        """Milliseconds since the epoch."""
        self.now += 1
        return self.now

    def token_bytes(self, count: int) -> bytes:
        """Chance."""
        return random.randbytes(count)


class Original:
    """What is in a file, to be written again."""

    def __init__(self, db: sqlite3.Connection) -> None:
        text = ", ".join(JOURNAL_COLUMNS)
        self.journal = db.execute(f"SELECT {text} FROM journal ORDER BY seq").fetchall()
        self.events = sum(row[1] for row in self.journal)
        self.ids = [row[0] for row in db.execute("SELECT id FROM run ORDER BY id")]
        self.clients = {row[0] for row in db.execute("SELECT DISTINCT client FROM run")}
        self.rows = {name: self._rows(db, name) for name in TABLES}
        self.tally = db.execute("SELECT state, runs FROM tally").fetchall()

    @staticmethod
    def _rows(db: sqlite3.Connection, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        # not pragma_table_xinfo's: what is made of other columns cannot be written
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
        text = ", ".join(columns)
        return columns, db.execute(f"SELECT {text} FROM {name} ORDER BY 1").fetchall()


def copied(original: Original, new: dict[str, str], client: str, by: int) -> Iterator[tuple[Any, ...]]:
    """The journal's entries once more, `by` events later."""
    was, now = f'"client":"{CLIENT}"'.encode(), f'"client":"{client}"'.encode()
    for seq, events, at, _, packed, large in original.journal:
        head, bodies = split(packed)
        for run_id in named_runs(packed):
            head = head.replace(run_id.encode(), new[run_id].encode())
        yield seq + by, events, at, *pack(head.replace(was, now), [bodies]), large


def moved(
    columns: list[str], ids: tuple[str, ...], new: dict[str, str], client: str, by: int
) -> Callable[[tuple[Any, ...]], list[Any]]:
    """What makes a row of a table one of the copy."""
    of_runs = [columns.index(name) for name in ids]
    places = [columns.index(name) for name in PLACES if name in columns]
    client_at = columns.index("client") if "client" in columns else None

    def move(row: tuple[Any, ...]) -> list[Any]:
        made = list(row)
        for at in of_runs:
            if made[at] is not None:
                made[at] = new[made[at][:ID_CHARACTERS]] + made[at][ID_CHARACTERS:]
        for at in places:
            if made[at] is not None:
                made[at] += by
        if client_at is not None:
            made[client_at] = client
        return made

    return move


def insert(
    db: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write rows."""
    marks = ", ".join("?" * len(columns))
    db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


def grow(path: Path, size: float) -> int:
    """Copies it until it is so large; returns how many runs it has. Raises SystemExit for a file
    that `loader.py` did not make."""
    if not path.exists():
        raise SystemExit(f"{path} is not there: loader.py makes it.")
    try:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-1000000")
        original = Original(db)
    except sqlite3.Error as error:
        raise SystemExit(f"{path} is no file that loader.py made: {error}.") from error
    if original.clients != {CLIENT}:
        raise SystemExit(f"{path} has other runs than loader.py makes, or has been grown, or has none.")
    clock = After(int(time.time() * 1000) - 40 * 86_400_000)
    ids, made = Ids(clock), 0
    if ids.run_id() <= original.ids[-1]:  # the copies' ids must come behind
        raise SystemExit(f"{path} has runs that are too young: loader.py takes --days-ago 40.")
    while path.stat().st_size < size:
        made += 1
        new = {run_id: ids.run_id() for run_id in original.ids}
        by, client = made * original.events, f"{CLIENT}{made}"
        db.execute("BEGIN IMMEDIATE")
        insert(db, "journal", JOURNAL_COLUMNS, copied(original, new, client, by))
        for name, (columns, rows) in original.rows.items():
            insert(db, name, columns, map(moved(columns, TABLES[name], new, client, by), rows))
        db.executemany("UPDATE tally SET runs = runs + ?2 WHERE state = ?1", original.tally)
        db.execute("UPDATE engine SET caught_up = ?", (by + original.events,))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        print(f"  {path.stat().st_size / 1e9:.2f} GB", file=sys.stderr, flush=True)
    db.close()
    return (made + 1) * len(original.ids)


def main() -> None:
    """Grow it, and say how many runs it has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--gb", type=float, required=True)
    options = parser.parse_args()
    print(f"{grow(options.file, options.gb * 1e9):,} runs")


if __name__ == "__main__":
    main()
