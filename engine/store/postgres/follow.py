"""The rows of some runs as one statement: all of them are written, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from engine.store import rows
from engine.store.commit import Commit, RowsOfRun, tally_rows
from engine.store.postgres.values import (
    BYTEA_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    Param,
    array,
    int8,
    text,
)
from engine.store.seat import End, Fence

TEXTS = frozenset({
    "id", "client", "workflow", "key", "state", "owner", "cause", "engine_error", "moves",
    "notes", "parent_id", "url", "step_key", "name", "retry", "delay_by", "pause_reason",
    "held_state", "cause_id", "error", "ended_url", "excerpt", "trace", "repairs", "step_id",
    "counts_as",
})  # fmt: skip
BYTES = frozenset({"fingerprint"})
"""All other columns of rows are numbers."""
KEPT = {"payload_in"}
"""Of a step: what a row does not name stays."""
STANDS = """
stands AS (
    SELECT FROM journal WHERE seq = $3 AND seat = 0 AND seq + events - 1 = $4
    UNION ALL SELECT WHERE $3 = 0 AND NOT EXISTS (SELECT FROM journal WHERE seat = 0)
)
"""
"""The journal has an entry of just the events `$3` to `$4`; where `$3` is 0, it has none at all."""
SQL_HELD = f"""
WITH at_once AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS it),
{STANDS}, held AS (
    UPDATE mark SET follows = $5, caught_up = $6 FROM at_once, stands
    WHERE mark.seat = 0 AND owner = $1 AND epoch = $2 AND follows = $5 - 1 RETURNING mark.seat
)"""
SQL_KEEP_PAYLOADS = """
INSERT INTO body (step_id, answer, number, entry)
SELECT step.id, 0, payload_generation, payload_in
FROM held, {its}, step
WHERE step.id = it.id AND payload_generation < it.number AND payload_in IS NOT NULL
ON CONFLICT DO NOTHING"""
SQL_ENDS = """
UPDATE attempt SET {changes} FROM held, {its}
WHERE attempt.step_id = it.step_id AND attempt.number = it.number"""
SQL_TALLY = """
INSERT INTO tally (state, runs) SELECT it.* FROM held, {its}
ON CONFLICT (state) DO UPDATE SET runs = tally.runs + excluded.runs"""
END_COLUMNS = (*rows.ATTEMPT_END_COLUMNS, "step_id", "number")


class Following(NamedTuple):
    """A statement that finds one row where what must hold for it does."""

    sql: str
    params: list[Param]

    @classmethod
    def of(cls, fence: Fence, number: int, stands_on: End, commit: Commit) -> Following:
        """Of a commit, as the follow of this number. In any thread.

        Raises what a value raises that cannot be kept: struct.error, UnicodeEncodeError.
        """
        commit.rows.begin()
        made = _Making([
            text(fence.owner), int8(fence.epoch), int8(stands_on.first), int8(stands_on.seq),
            int8(number), int8(commit.caught_up),
        ])  # fmt: skip
        made.add_all(commit.rows.made)
        return cls(f"{SQL_HELD}{''.join(made.parts)} SELECT FROM held", made.params)


class _Making:
    """A statement that is being made."""

    def __init__(self, params: list[Param]) -> None:
        self.params = params
        self.parts: list[str] = []

    def add_all(self, some: Sequence[RowsOfRun]) -> None:
        """All rows of these runs. Each part sees the tables as they were before the others."""
        self._insert("run", rows.RUN_COLUMNS, [each.run for each in some], "id")
        kept = [each.payload for each in some if each.payload is not None]
        self._add(SQL_KEEP_PAYLOADS, ("id", "number"), kept)
        bodies = [row for each in some if each.payload is not None for row in each.bodies]
        self._insert("body", rows.BODY_COLUMNS, bodies, None)
        self._insert("step", rows.STEP_COLUMNS, [row for each in some for row in each.steps], "id")
        self._insert("attempt", rows.ATTEMPT_COLUMNS, [it for each in some for it in each.attempts])
        self._add(SQL_ENDS, END_COLUMNS, [row for each in some for row in each.ends])
        self._insert("outcome", rows.OUTCOME_COLUMNS, [it for each in some for it in each.outcomes])
        self._add(SQL_TALLY, ("state", "runs"), tally_rows(some))

    def _insert(
        self,
        table: str,
        columns: Sequence[str],
        some: Sequence[tuple[Any, ...]],
        known_by: str | None = "",
    ) -> None:
        """`known_by`: what is there of this column is written over; None: it stays; empty: it is
        an error."""
        names = ",".join(columns)
        conflict = ""
        if known_by is None:
            conflict = " ON CONFLICT DO NOTHING"
        elif known_by:
            changes = ",".join(_change(table, name) for name in columns if name != known_by)
            conflict = f" ON CONFLICT ({known_by}) DO UPDATE SET {changes}"
        sql = f"INSERT INTO {table} ({names}) SELECT it.* FROM held, {{its}}{conflict}"
        self._add(sql, columns, some)

    def _add(self, sql: str, columns: Sequence[str], some: Sequence[tuple[Any, ...]]) -> None:
        if not some:
            return
        first = len(self.params) + 1
        self.params += _arrays(columns, some)
        places = ",".join(f"${first + at}" for at in range(len(columns)))
        its = f"unnest({places}) AS it ({','.join(columns)})"
        changes = ",".join(f"{name} = it.{name}" for name in rows.ATTEMPT_END_COLUMNS)
        part = sql.format(its=its, changes=changes)
        self.parts.append(f", part{len(self.parts)} AS ({part})")


def _change(table: str, column: str) -> str:
    if column in KEPT:
        return f"{column} = coalesce(excluded.{column}, {table}.{column})"
    return f"{column} = excluded.{column}"


def _arrays(columns: Sequence[str], some: Iterable[tuple[Any, ...]]) -> Iterable[Param]:
    for name, values in zip(columns, zip(*some, strict=True), strict=True):
        type = TEXT_ARRAY if name in TEXTS else BYTEA_ARRAY if name in BYTES else INT8_ARRAY
        yield array(type, values)
