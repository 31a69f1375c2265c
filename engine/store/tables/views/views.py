"""What operators read: pages of runs, trees, events, counts. The `Views` port."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import add, or_
from typing import Any, TypeVar

import trio

from engine.core.errors import Problem, Refused
from engine.core.model import Step, StepState, run_of, step_label
from engine.ports.audit import Names
from engine.ports.store import Body, Larger
from engine.ports.views import (
    AttemptRecord,
    CauseRecord,
    ClientSummary,
    DueCount,
    EventRecord,
    LateFound,
    OutcomeRecord,
    Outline,
    RetriesFound,
    RetryQuery,
    RunQuery,
    RunRecord,
    RunsFound,
    StuckOf,
    Summary,
)
from engine.store import rows
from engine.store.tables.connection import SQL, Tables, snapshot
from engine.store.tables.reading import run_counts
from engine.store.tables.stopped import stopped_steps
from engine.store.tables.store import TableStore
from engine.store.tables.views import boards, of_client, outline, together
from engine.store.tables.views.filter import LATE_AFTER_MS, Condition, find, only_states
from engine.store.tables.views.records import read_record
from engine.store.tables.views.times import Times

T = TypeVar("T")
COUNTED_MAX = 10_000
"""Matches of a filter are counted up to here; beyond, the total is an estimate."""


class TableViews:
    """Reads by the connections for operators, once the tables know all that was written.

    While they cannot know it, a file's views read all that is durable (`store/sqlite/tail.py`), and
    those on a server the rows that there are.
    """

    def __init__(self, store: TableStore) -> None:
        self._writer, self._readers, self._tail = store.writer, store.view_readers, store.tail
        self._expired = store.expired
        self._times = Times()

    @property
    def moved(self) -> trio.Event:
        """Set at the next commit; another one then takes its place."""
        return self._writer.moved

    @property
    def last_seq(self) -> int:
        """The number of the last event that is durable."""
        return self._writer.durable_sequence

    @property
    def counts(self) -> Mapping[str, int]:
        """Durable runs by state."""
        return self._writer.run_counts

    async def _of_all(self, work: Callable[[Tables], T], join: Callable[[T, T], T]) -> T:
        """What `work` finds. `join` makes one of what it finds in the tables and in the tail."""
        is_away = self._writer.is_away

        def both(db: Tables) -> T:
            if is_away:
                return self._tail.of_all(db, work, join)
            self._tail.forget()
            with snapshot(db):  # or a run and the step at which it is would be of two moments
                return work(db)

        return await self._readers.read(both)

    async def _of_run(self, run_id: str, work: Callable[[Tables], T | None]) -> T | None:
        """What `work` finds of a run. Raises Refused rather than say that there is no such run,
        when there is, and it waits to be recorded."""
        await self._writer.wait_rows(run_id)
        if not self._writer.is_away:
            return await self._readers.read(work)
        found = await self._readers.read(lambda db: self._tail.of_run(db, run_id, work))
        if found is None and self._writer.is_away and self._writer.run_behind(run_id):
            raise Refused(
                Problem.STORE_UNAVAILABLE,
                "The store cannot be written, and this run waits to be recorded.",
                runId=run_id,
                retryAfter=1,
            )
        return found

    async def runs(self, query: RunQuery) -> RunsFound:
        """A page of runs, and how many match."""
        await self._writer.wait_rows()
        return await self._of_all(lambda db: _runs(db, query), partial(together.runs, query))

    async def tree(self, run_id: str) -> tuple[RunRecord, list[Step], list[AttemptRecord]] | None:
        """A run, its steps in order, and all their attempts, of one moment: what there is."""

        def work(
            db: Tables,
        ) -> tuple[RunRecord, list[Step], list[AttemptRecord]] | None:
            with snapshot(db):
                row = db.execute(f"{SQL['run_record']} WHERE run.id = ?", (run_id,)).fetchone()
                if row is None:
                    return None
                steps = db.execute(SQL["steps"], (run_id,)).fetchall()
                attempts = db.execute(SQL["attempts"], (run_id,)).fetchall()
                record = read_record(db, row)
            stopped = bool(row["engine_error"])
            shown = list(stopped_steps(steps)) if stopped else [rows.step_from(it) for it in steps]
            ids = {step.id for step in shown}  # the row of a step may be gone, by hand
            tries = [rows.attempt_from(it) for it in attempts if it["step_id"] in ids]
            return record, shown, tries

        return await self._of_run(run_id, work)

    async def outline(self, run_id: str) -> Outline | None:
        """A run and what its steps are laid out by, of one moment."""
        return await self._of_run(run_id, partial(outline.of_run, run_id=run_id))

    async def some_steps(
        self, run_id: str, step_ids: Iterable[str], attempts_max: int
    ) -> list[tuple[Step, list[AttemptRecord]]]:
        """Some steps of a run with their latest attempts, of one moment."""
        ids = json.dumps(list(step_ids))
        return (
            await self._of_run(
                run_id,
                partial(outline.some_steps, run_id=run_id, ids=ids, attempts_max=attempts_max),
            )
            or []
        )

    async def open_runs(self, client: str) -> int:
        """How many open runs a client has."""
        await self._writer.wait_rows()
        return await self._of_all(
            lambda db: int(db.execute(SQL["open_runs"], (client,)).fetchone()[0]), add
        )

    async def open_by_client(self) -> dict[str, int]:
        """How many open runs each client has that has any."""
        await self._writer.wait_rows()
        of_each = SQL["open_by_client"]
        return await self._of_all(
            lambda db: {str(row["client"]): row["runs"] for row in db.execute(of_each)},
            together.counts,
        )

    async def client_of(self, run_id: str) -> str | None:
        """Whose run it is; None: there is no such run. Of one that waits to be recorded it is
        known: who must not hear of it is told neither that it waits, nor later than of none."""
        if (behind := self._writer.run_behind(run_id)) is not None:
            return behind.client

        def work(db: Tables) -> str | None:
            row = db.execute(SQL["client_of"], (run_id,)).fetchone()
            return None if row is None else str(row[0])

        found = await self._of_run(run_id, work)
        if found is None and (expired := await self._expired(run_id)) is not None:
            return expired.client
        return found

    async def names(self, run_id: str, step_id: str) -> Names | None:
        """What a run is called, or was before it expired, and a step of it below its root."""

        def work(db: Tables) -> Names | None:
            row = db.execute(SQL["names"], (run_id, step_id)).fetchone()
            if row is None:
                return None
            client, workflow, key, name, step_key = row
            below = step_id != run_id and name is not None
            return Names(client, workflow, key, step_label(name, step_key or "") if below else None)

        found = await self._of_run(run_id, work)
        if found is None and (gone := await self._expired(run_id)) is not None:
            return Names(gone.client, gone.workflow, gone.key)
        return found

    async def clients_of(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Whose runs these are, as far as the tables know them."""
        ids = json.dumps(sorted(run_ids))
        of_ids = SQL["clients_of"]
        found = await self._readers.read(lambda db: db.execute(of_ids, (ids,)).fetchall())
        return {row["id"]: row["client"] for row in found}

    async def client_counts(self, client: str) -> dict[str, int]:
        """Runs of a client by state, up to a bound. They may be `LAG_S` old."""
        return await self._of_all(lambda db: of_client.counts(db, client), together.counts)

    async def client_summary(self, client: str, now: int, stuck_beside: int = 0) -> ClientSummary:
        """What is counted of a client, up to a bound. It may be `LAG_S` old."""
        return await self._of_all(
            lambda db: of_client.summary(db, client, now, stuck_beside), together.client_summary
        )

    async def causes(
        self, new_since: int, only: str | None = None, but: Iterable[str] = ()
    ) -> list[CauseRecord]:
        """Why runs need a person, and how many each."""
        await self._writer.wait_rows()
        left_out = json.dumps(sorted(but))

        def work(db: Tables) -> list[CauseRecord]:
            if only is not None:
                return of_client.causes(db, only, new_since, left_out)
            return boards.causes(db, new_since, left_out)

        return await self._of_all(work, together.causes)

    async def stuck_of(
        self, causes: Iterable[str], only: str | None = None, *, as_of_now: bool = True
    ) -> dict[str, StuckOf]:
        """How many runs need a person for each of these causes. If not `as_of_now`, it may be
        `LAG_S` old."""
        if as_of_now:
            await self._writer.wait_rows()
        asked = json.dumps(sorted(causes))

        def work(db: Tables) -> dict[str, StuckOf]:
            if only is not None:
                return of_client.stuck_of(db, only, asked)
            return boards.stuck_of(db, asked)

        return await self._of_all(work, together.stuck_of)

    async def known_causes(self, among: Iterable[str] | None = None) -> frozenset[str]:
        """Causes for which runs need a person. They may be `LAG_S` old."""
        asked = None if among is None else json.dumps(sorted(among))
        return await self._of_all(lambda db: boards.known_causes(db, asked), or_)

    async def late_runs(self, opened_before: int) -> LateFound:
        """Runs that are open since before a time. They may be `LAG_S` old."""
        work = lambda db: boards.late_runs(db, opened_before)  # noqa: E731
        return await self._of_all(work, together.late_runs)

    async def retries(self, query: RetryQuery) -> RetriesFound:
        """Steps whose next attempt has a time, the most overdue first."""
        await self._writer.wait_rows()
        only = query.only

        def work(db: Tables) -> RetriesFound:
            if only is not None:
                return of_client.retries(db, only, query)
            return boards.retries(db, query)

        return await self._of_all(work, partial(together.retries, query))

    async def due_counts(self, now: int) -> list[DueCount]:
        """Attempts by when they are due. What is timed may be `LAG_S` old."""
        return await self._of_all(lambda db: boards.due_counts(db, now), together.due_counts)

    async def step(self, step_id: str) -> tuple[Step, list[AttemptRecord]] | None:
        """A step and its attempts, of one moment."""

        def work(db: Tables) -> tuple[Step, list[AttemptRecord]] | None:
            with snapshot(db):
                row = db.execute(SQL["step"], (step_id,)).fetchone()
                attempts = db.execute(SQL["step_attempts"], (step_id,)).fetchall()
            if row is None:
                return None
            made = stopped_steps([row]) if row["engine_error"] else [rows.step_from(row)]
            step = next(iter(made), None)
            tries = [rows.attempt_from(attempt) for attempt in attempts]
            return None if step is None else (step, tries)

        return await self._of_run(run_of(step_id), work)

    async def outcomes(self, run_id: str) -> list[OutcomeRecord]:
        """What came of every generation of a run's steps."""

        def work(db: Tables) -> list[OutcomeRecord]:
            return [OutcomeRecord(*row) for row in db.execute(SQL["outcomes"], (run_id,))]

        return await self._of_run(run_id, work) or []

    async def payload_number(self, step_id: str, generation: int) -> int | None:
        """Under which generation the payload lies that this one was called with."""

        def work(db: Tables) -> int | None:
            found: int | None = db.execute(SQL["payload_of"], (step_id, generation)).fetchone()[0]
            return found

        return await self._of_run(run_of(step_id), work)

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None = None
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt; `Larger` beyond `bytes_max`."""
        entry = self._writer.body_in(step_id, number, answer=answer)
        return await self._readers.body(
            step_id, number, answer=answer, bytes_max=bytes_max, entry=entry
        )

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        """Events behind a sequence number. What can be seen and was not acknowledged may not last:
        it is told to nobody. Who knows all that was needs no look, and waits for none."""
        if after >= self._writer.durable_sequence:
            return []
        found = await self._readers.events(after, limit)
        while found and found[-1].seq > self._writer.durable_sequence:
            found.pop()
        return found

    async def events_from(self, at: int) -> int | None:
        """Behind which event the first one is that happened at this time or later."""
        while await self._readers.read(self._times.look_on):
            pass
        return await self._readers.read(lambda db: self._times.behind(db, at))

    async def summary(self, now: int) -> Summary:
        """Counts and the ends of the event sequence. What is timed may be `LAG_S` old."""
        counts = {state: runs for state, runs in self._writer.run_counts.items() if runs}

        def work(db: Tables) -> Summary:
            first, last = db.execute(SQL["journal_span"]).fetchone()
            return Summary(
                runs=counts,
                stuck=boards.stuck_count(db),
                late=db.execute(SQL["late"], (now - LATE_AFTER_MS,)).fetchone()[0],
                timed=db.execute(SQL["timed"]).fetchone()[0],
                first_seq=first,
                last_seq=min(last, self._writer.durable_sequence),
            )

        return await self._of_all(work, together.summary)


def _runs(db: Tables, query: RunQuery) -> RunsFound:
    where: list[str] = []
    values: list[Any] = []
    for column, wanted in (
        ("client", query.only), ("client", query.client), ("workflow", query.workflow),
        ("key", query.key),
    ):  # fmt: skip
        if wanted is not None:
            where.append(f"run.{column} = ?")
            values.append(wanted)
    if query.states:
        where.append(f"run.state IN ({','.join('?' * len(query.states))})")
        values += query.states
    if query.filter is not None or (query.only is not None and query.workflow is None):
        return _filtered(db, query, [(" AND ".join(where) or "TRUE", tuple(values))])
    total, estimate = _total(db, query, where, values)
    paged, arguments = list(where), list(values)
    if query.cursor is not None:
        paged.append(f"run.id {'<' if query.newest_first else '>'} ?")
        arguments.append(query.cursor)
    found = db.execute(
        f"{SQL['run_record']}{_where_clause(paged)} ORDER BY run.id"
        f" {'DESC' if query.newest_first else 'ASC'} LIMIT ?",
        (*arguments, query.limit + 1),
    ).fetchall()
    records = tuple(
        read_record(db, row, without_steps=query.without_steps) for row in found[: query.limit]
    )
    more = len(found) > query.limit
    return RunsFound(records, total, estimate, records[-1].id if more else None)


def _filtered(db: Tables, query: RunQuery, also: list[Condition]) -> RunsFound:
    """The same by a filter. How many match is known when all that could have been looked at."""
    found = find(
        db,
        query.filter or (),
        also,
        only=query.only,
        states=query.states,
        now=query.now,
        cursor=query.cursor,
        newest_first=query.newest_first,
        limit=query.limit,
    )
    records = tuple(read_record(db, row, without_steps=query.without_steps) for row in found.rows)
    total = _of_states(db, query)
    if total is not None:
        return RunsFound(records, *total, found.next)
    whole = found.next is None and query.cursor is None
    return RunsFound(records, len(records), not whole, found.next)


def _of_states(db: Tables, query: RunQuery) -> tuple[int, bool] | None:
    """How many match a filter that asks for states alone, which are counted, and whether that is
    an estimate; None: another filter."""
    states = only_states(query.filter or ()) if query.filter else list(StepState)
    client = None if query.client == query.only else query.client
    if states is None or client or query.workflow or query.key:
        return None
    if query.only is None:
        runs = run_counts(db)
        return None if query.states else (sum(runs.get(state, 0) for state in states), False)
    counts = of_client.counts(db, query.only)
    found = [counts.get(it, 0) for it in states if not query.states or it in query.states]
    return sum(found), of_client.COUNTED_MAX in found


def _where_clause(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _total(db: Tables, query: RunQuery, where: list[str], values: list[Any]) -> tuple[int, bool]:
    """How many match: from the counts by state where they say it, else counted up to a bound."""
    if query.client is None and query.workflow is None and query.key is None:
        runs = run_counts(db)
        return sum(runs.get(state, 0) for state in query.states or runs), False
    counted = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM run{_where_clause(where)} LIMIT ?) AS found",
        (*values, COUNTED_MAX + 1),
    ).fetchone()[0]
    return min(counted, COUNTED_MAX), counted > COUNTED_MAX
