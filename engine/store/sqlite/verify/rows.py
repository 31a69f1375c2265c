"""Whether the rows of a run are what its events say, whichever engine wrote them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct

from engine.core.errors import what_was_wrong
from engine.core.model import Move
from engine.core.retry import RetryPolicy
from engine.store import rows
from engine.store.commit import RowsToWrite
from engine.store.pending import RunRows

NOT_OF_EVENTS = frozenset({"owner", "epoch"})
"""Who wrote a row: no event says that."""
BY_NULL_ALONE = frozenset({"cause", "stuck_at"})
"""How causes are told apart has changed from version to version: only whether there is one counts.
"""
TOLD_PER_ROW = 3
OF_RUN = {
    "run": "run.id = of_run.value",
    "step": "step.id >= of_run.value AND step.id < of_run.value || '.'",
    "attempt": "step_id >= of_run.value AND step_id < of_run.value || '.'",
    "outcome": "step_id >= of_run.value AND step_id < of_run.value || '.'",
    "body": "step_id >= of_run.value AND step_id < of_run.value || '.'",
}
"""Where the rows of a run are; `of_run` has the ids of some."""
KEYS = {
    "run": ("id",),
    "step": ("id",),
    "attempt": ("step_id", "number"),
    "outcome": ("step_id", "generation"),
    "body": ("step_id", "answer", "number"),
}
COLUMNS = {
    "run": rows.RUN_COLUMNS,
    "step": rows.STEP_COLUMNS,
    "attempt": rows.ATTEMPT_COLUMNS,
    "outcome": rows.OUTCOME_COLUMNS,
    "body": rows.BODY_COLUMNS,
}
_moves = msgspec.json.Decoder(tuple[Move, ...]).decode
_policy = msgspec.json.Decoder(RetryPolicy).decode


class Differs(Struct, frozen=True):
    """A row that is not what the events say."""

    place: str
    what: str


class RowComparison:
    """Compares runs with the tables of one file; counts what it compared."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._plain = db.cursor()
        self._plain.row_factory = None
        self.compared: dict[str, int] = {}
        """Rows, by table; of those that there are: a file may be older."""
        self._told: dict[str, tuple[str, ...]] = {}
        """The columns of each of which events tell."""
        for table, columns in COLUMNS.items():
            has = {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}
            if has:
                self.compared[table] = 0
                self._told[table] = tuple(
                    it for it in columns if it in has and it not in NOT_OF_EVENTS
                )

    def compare(self, some: Sequence[RunRows]) -> Iterable[Differs]:
        """The rows of some runs with these, which all of their events have made.

        All at once first, without a look at any single value, then each run so, and value by value
        only those that are not equal: nearly none of a file that is well.
        """
        if self._are_equal(some):
            return
        for made in some:
            if len(some) > 1 and self._are_equal((made,)):
                continue
            try:
                yield from self._compare_run(made)
            except (TypeError, KeyError, ValueError) as error:
                yield Differs(
                    f"run {made.run.id}", f"its rows cannot be read: {what_was_wrong(error)}"
                )

    def _are_equal(self, some: Sequence[RunRows]) -> bool:
        """Every row is as its events say, to the letter, and there is no other; then they count as
        compared. An older engine may have written rows that say the same in other letters."""
        to_write = RowsToWrite(some, "", 0)
        if len(to_write.made) < len(some):
            return False
        ids, counts = _json([made.run.id for made in some]), dict[str, int]()
        for table, columns in self._told.items():
            told = itemgetter(*map(COLUMNS[table].index, columns))
            wanted = [told(row) for ours in to_write.made for row in ours.of_table(table)]
            query = _of_runs(table, ",".join(f"{table}.{it}" for it in columns))
            found = self._plain.execute(query, (ids,)).fetchmany(len(wanted) + 1)
            distinct = set(wanted)
            if not len(found) == len(wanted) == len(distinct) or distinct != set(found):
                return False
            counts[table] = len(found)
        for table, count in counts.items():
            self.compared[table] += count
        return True

    def _compare_run(self, made: RunRows) -> Iterable[Differs]:
        to_write = RowsToWrite([made], "", 0)
        if not to_write.made:
            error = to_write.unwritable[0].error
            yield Differs(f"run {made.run.id}", f"its events make no rows: {error}")
            return
        for table in self.compared:
            yield from self._compare_table(table, to_write.made[0].of_table(table), made)

    def count(self, run_id: str) -> None:
        """Count the rows of a run that is not compared."""
        for table in self.compared:
            count = _of_runs(table, "count(*)")
            self.compared[table] += self._db.execute(count, (_json([run_id]),)).fetchone()[0]

    def _compare_table(
        self, table: str, wanted: list[tuple[Any, ...]], made: RunRows
    ) -> Iterable[Differs]:
        columns, keys = COLUMNS[table], KEYS[table]
        by_key: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for values in wanted:
            row = dict(zip(columns, values, strict=True))
            key = tuple(row[name] for name in keys)
            if key in by_key:
                yield Differs(_place(table, row), "its events record it twice")
            by_key[key] = row
        query = _of_runs(table, f"{table}.*")
        for found in self._db.execute(query, (_json([made.run.id]),)):
            self.compared[table] += 1
            stored = dict(zip(found.keys(), found, strict=True))
            told = by_key.pop(tuple(stored[name] for name in keys), None)
            if told is None:
                yield Differs(_place(table, stored), f"this {table} is in no event")
            else:
                yield from _compare_row(table, told, stored, made)
        for told in by_key.values():
            yield Differs(_place(table, told), f"its row in `{table}` is missing")


def _json(ids: list[str]) -> str:
    return msgspec.json.encode(ids).decode()


def _of_runs(table: str, what: str) -> str:
    """`?1`: the ids of runs, as JSON. CROSS JOIN: run by run, each by the table's own key."""
    return f"SELECT {what} FROM json_each(?1) AS of_run CROSS JOIN {table} ON {OF_RUN[table]}"


def _compare_row(
    table: str, told: Mapping[str, Any], stored: Mapping[str, Any], made: RunRows
) -> Iterable[Differs]:
    differing = [
        f"{name} is {_short(stored[name])}, and its events say {_short(value)}"
        for name, value in told.items()
        if name in stored and not _is_same(name, value, stored[name], told, made)
    ]
    if differing:
        more = len(differing) - TOLD_PER_ROW
        rest = f"; and {more} more" if more > 0 else ""
        yield Differs(_place(table, told), "; ".join(differing[:TOLD_PER_ROW]) + rest)


def _is_same(name: str, told: Any, stored: Any, row: Mapping[str, Any], made: RunRows) -> bool:
    if told == stored or name in NOT_OF_EVENTS:
        return True
    if name in BY_NULL_ALONE:
        return (told is None) is (stored is None)
    if name == "payload_in" and told is None:
        return stored is None or stored == _payload_before(row, made)
    if name in ("retry", "moves") and isinstance(stored, str) and told is not None:
        return _is_same_json(name, told, stored)
    return False


def _payload_before(row: Mapping[str, Any], made: RunRows) -> int | None:
    """Of a step whose payload did not come with its generation: where the one before it lies."""
    of_step = [
        (number, entry)
        for (step_id, answer, number), entry in made.bodies.items()
        if step_id == row["id"] and not answer and number < row["payload_generation"]
    ]
    return max(of_step)[1] if of_step else None


def _is_same_json(name: str, told: str, stored: str) -> bool:
    """Older engines wrote fewer members."""
    try:
        if name == "retry":
            return _policy(told) == _policy(stored)
        pairs = [[(it.from_url, it.to_url) for it in _moves(text)] for text in (told, stored)]
    except msgspec.MsgspecError:
        return False
    return pairs[0] == pairs[1]


def _place(table: str, row: Mapping[str, Any]) -> str:
    if table == "run":
        return f"run {row['id']}"
    if table == "step":
        return f"step {row['id']}"
    last = KEYS[table][1]
    what = "outcome of generation" if table == "outcome" else table
    return f"step {row['step_id']}, {what} {row[last]}"


def _short(value: Any) -> str:
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
