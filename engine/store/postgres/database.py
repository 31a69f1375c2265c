"""The statements of a seat, each of them one statement that carries what must hold for it.

Owner and epoch stand in the seat's row. Who writes what has happened shares that row, so that a
take waits for it, and the next one finds itself out; who writes rows changes the mark in the same
statement, once for each number. No session, transaction or lock is left between two statements, but
for the rare commits of `transaction.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import trio

from engine.ports.store import StoreStopped
from engine.store.commit import Commit
from engine.store.postgres.borrowing import Borrowing
from engine.store.postgres.follow import STANDS, Following
from engine.store.postgres.place import Place
from engine.store.postgres.tables import OF_VALUES
from engine.store.postgres.transaction import (
    LASTING,
    THERE_ALREADY,
    PostgresKept,
    write_record,
    write_rows_apart,
)
from engine.store.postgres.values import (
    BYTEA_ARRAY,
    INT8_ARRAY,
    Found,
    Param,
    array,
    int8,
    text,
)
from engine.store.postgres.wire import Blocking, Connection, NotNow, Said, connect
from engine.store.replay import fold_again, replay
from engine.store.seat import End, Fence, Fenced, NoReply

T = TypeVar("T")
SEAT = 0
"""The only one for now."""
SQL_LOOK = f"SELECT owner, epoch FROM seat WHERE id = {SEAT}"
SQL_TAKE = f"""
WITH lasting AS MATERIALIZED (SELECT {LASTING} AS it), patient AS MATERIALIZED (
    SELECT set_config('lock_timeout', '2s', true) AS it FROM lasting
), taken AS (
    UPDATE seat SET owner = $1, epoch = $2,
        started_at = CASE owner WHEN $1 THEN started_at
            ELSE (extract(epoch FROM clock_timestamp()) * 1000)::bigint END
    FROM patient WHERE id = {SEAT} AND owner = $3 AND epoch = $4 RETURNING id
)
UPDATE mark SET owner = $1, epoch = $2 FROM taken WHERE mark.seat = taken.id RETURNING mark.seat
"""
LOCKED = "55P03"
SQL_FREE = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = 'seat'::regclass AND granted AND pid <> pg_backend_pid()
    AND wait_event_type = 'Client' AND state IN ('active', 'idle in transaction')
"""
"""Ends who holds the seat's row and waits for its client, which was stopped in the middle of a
statement. Nobody who waits for a standby: their entry would be seen, and not last."""
SQL_END = f"""
SELECT last.seq, last.seq + last.events - 1, last.packed, mark.follows,
    (SELECT json_object_agg(state, runs) FROM tally)
FROM seat JOIN mark ON mark.seat = seat.id LEFT JOIN LATERAL (
    SELECT seq, events, packed FROM journal WHERE seat = {SEAT} ORDER BY seq DESC LIMIT 1
) AS last ON true
WHERE seat.id = {SEAT} AND seat.owner = $1 AND seat.epoch = $2
"""
SQL_APPEND = f"""
WITH lasting AS MATERIALIZED (SELECT {LASTING} AS it), held AS (
    SELECT FROM seat, lasting WHERE id = {SEAT} AND owner = $1 AND epoch = $2 FOR SHARE OF seat
), {STANDS}
INSERT INTO journal (seat, epoch, seq, events, at, size, packed, large)
SELECT {SEAT}, $2, it.* FROM held, stands, unnest($5, $6, $7, $8, $9, $10) AS it
"""
JOURNAL_TYPES = (INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY)
SMALL_BYTES_MAX, SMALL_EVENTS_MAX = 65_536, 512
"""What is packed on Trio's own thread: a millisecond of it."""
SMALL_RUNS_MAX = 16
"""The same of runs whose rows are made ready."""


class PostgresDatabase:
    """`SharedDatabase` on a server. Connections are made when they are needed, and again."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._writing: Connection | None = None
        self._one_at_a_time = trio.Lock()
        self.borrowing = Borrowing(place, 1)
        """For what takes several statements."""

    async def look(self) -> Fence:
        """Who may write, as far as can be seen."""
        (row,) = await self._run(SQL_LOOK)
        return Fence(row["owner"], row["epoch"])

    async def take(self, seen: Fence, fence: Fence) -> None:
        """Durably become the one who may write."""
        params = (text(fence.owner), int8(fence.epoch), text(seen.owner), int8(seen.epoch))
        try:
            found = await self._run(SQL_TAKE, params)
        except NotNow as error:
            if error.state == LOCKED:
                await self._run(SQL_FREE)
            raise
        _refuse_unless(found.rowcount, f"it is no longer {seen.owner}'s, of epoch {seen.epoch}")

    async def end(self, fence: Fence) -> End:
        """How far it has come."""
        row = (await self._run(SQL_END, _of(fence))).fetchone()
        if row is None:
            raise Fenced(f"it is no longer {fence.owner}'s, of epoch {fence.epoch}")
        first, seq, packed, follows, tally = row
        return End(first or 0, seq or 0, packed or b"", follows, json.loads(tally or "{}"))

    async def append(self, fence: Fence, before: End, commit: Commit) -> dict[str, int]:
        """Durably write what has happened, behind this end."""
        if _has_more(commit):
            work = partial(write_record, fence=fence, before=before, commit=commit)
            return await self._transact(work)
        params = [*_of(fence), int8(before.first), int8(before.seq)]
        if commit.body_bytes <= SMALL_BYTES_MAX and commit.events <= SMALL_EVENTS_MAX:
            params += _entries(commit)
        else:
            params += await trio.to_thread.run_sync(_entries, commit)
        try:
            found = await self._run(SQL_APPEND, params)
        except Said as error:
            if error.state == THERE_ALREADY:
                raise Fenced("another entry is in its place") from error
            raise
        _refuse_unless(
            found.rowcount, f"it ends with event {before.seq} no longer, or is another's"
        )
        return {}

    async def follow(self, fence: Fence, number: int, stands_on: End, commit: Commit) -> None:
        """Write rows, as the follow of this number."""
        make = partial(Following.of, fence, number, stands_on, commit)
        try:
            if len(commit.rows) <= SMALL_RUNS_MAX:
                following = make()
            else:
                following = await trio.to_thread.run_sync(make)
            found = await self._run(following.sql, following.params)
        except Exception as error:
            if _is_of_the_store(error):
                raise
            apart = partial(
                write_rows_apart, fence=fence, number=number, stands_on=stands_on, commit=commit
            )
            await self._transact(apart)
            return
        _refuse_unless(
            found.rowcount, f"it has had {number - 1} follows no longer, or is another's"
        )

    async def catch_up(self, fence: Fence) -> None:
        """Have the tables know what the journal says."""
        with self._as_ours():
            await self.borrowing.read(lambda db: replay(PostgresKept(db, fence)))

    async def fold_again(
        self, behind: Callable[[], Mapping[str, int]], fence: Fence, end: End
    ) -> None:
        """Have tables that lost rows know what they knew, but for what is behind these events."""
        until = behind()
        with self._as_ours():
            await self.borrowing.read(
                lambda db: fold_again(PostgresKept(db, fence, end.follows), until, end.seq)
            )

    async def _transact(self, work: Callable[[Blocking], T]) -> T:
        with self._as_ours():
            return await self.borrowing.read(work)

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        """Raises StoreStopped for a database that is not as this version makes it: to ask again
        would not help. What speaks of values or keys is the caller's."""
        try:
            yield
        except Said as error:
            if error.state.startswith(OF_VALUES):
                raise
            raise StoreStopped(
                f"{self.place} does not do what it is asked: {error}. Its tables were changed by"
                " hand or by another program, or this user may not write them any more."
            ) from error

    async def _run(self, sql: str, params: Sequence[Param] = ()) -> Found:
        async with self._one_at_a_time:
            if self._writing is None or self._writing.is_lost:
                self._writing = await connect(self.place)
            with self._as_ours():
                return await self._writing.run(sql, params)

    def close(self) -> None:
        """When nobody asks any more."""
        self.borrowing.close()
        if self._writing is not None:
            self._writing.close()


def _of(fence: Fence) -> tuple[Param, Param]:
    return text(fence.owner), int8(fence.epoch)


def _has_more(commit: Commit) -> bool:
    """Than events: what takes several statements, and is rare."""
    return bool(commit.stops or commit.registered or commit.audit or commit.expiries or commit.jobs)


def _entries(commit: Commit) -> list[Param]:
    columns = zip(*commit.packed(), strict=True)
    return [array(type, values) for type, values in zip(JOURNAL_TYPES, columns, strict=True)]


def _refuse_unless(rows: int, why: str) -> None:
    """What must hold for a statement, which wrote this many rows, was so."""
    if not rows:
        raise Fenced(why)


def _is_of_the_store(error: Exception) -> bool:
    """And not of the values that a statement was to write."""
    if isinstance(error, Said):
        return not error.state.startswith(OF_VALUES)
    return isinstance(error, (NoReply, Fenced, StoreStopped))
