"""The one writer: group commit.

A batch is committed as soon as the writer is free and somebody waits for it; what nobody waits for
gathers a moment longer. `write` puts rows into the batch that gathers; the writer's task takes it,
and while one thread commits it (`BEGIN IMMEDIATE … COMMIT`, `synchronous=FULL`) the next gathers.
A row that changes several times in a batch is written once, as it is at the end: what a batch holds
are the records themselves, and they are turned into rows when the batch is taken, on Trio's thread,
where nothing can change them meanwhile.

A commit that fails may still have happened (a failed fsync leaves that open), so nothing is
retried: the error leaves `run`, the engine stops, and the file is read again at the next start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec
import trio

from engine.core.events import AttemptEnded, LateEnd, RunMoved, Started
from engine.core.model import Run, Step
from engine.ports import AttemptRecord, Body, Write
from engine.store import rows

T = TypeVar("T")

_event_json = msgspec.json.Encoder().encode


class Offload(Protocol):
    """Runs blocking work: a thread in production, inline in the simulation."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


GATHER_S_MAX = 0.02
"""How long a batch that nobody waits for gathers: a child's acceptance is mostly committed together
with its outcome, as nothing was promised before. Also how late the event stream may be."""
LATEST_AMONG_EVENTS = 50_000
"""How far back the latest time is looked for at the start: what one recovery may have written."""
SQL_RUN = rows.upsert("run", rows.RUN_COLUMNS)
SQL_STEP = rows.upsert("step", rows.STEP_COLUMNS)
SQL_ATTEMPT = rows.insert("attempt", rows.ATTEMPT_COLUMNS)
SQL_ATTEMPT_END = (
    f"UPDATE attempt SET {','.join(f'{c}=?' for c in rows.ATTEMPT_END_COLUMNS)}"
    " WHERE step_id=? AND number=?"
)
SQL_OUTCOME = rows.insert("outcome", rows.OUTCOME_COLUMNS)
SQL_BODY = rows.insert("body", rows.BODY_COLUMNS)
SQL_EVENT = rows.insert("event", rows.EVENT_COLUMNS)
SQL_TALLY = (
    "INSERT INTO tally (state, runs) VALUES (?, ?)"
    " ON CONFLICT (state) DO UPDATE SET runs = runs + excluded.runs"
)


class Batch:
    """Writes that will be committed together. Also the receipt of each of them."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.steps: dict[str, Step] = {}
        self.started: dict[tuple[str, int], AttemptRecord] = {}
        self.ended: list[tuple[Any, ...]] = []
        self.outcomes: list[tuple[Any, ...]] = []
        self.bodies: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.tally: dict[str, int] = {}
        self.then: list[Callable[[], None]] = []
        self.durable = False
        self.asked = trio.Event()
        """Somebody waits for this batch: it is committed as soon as the writer is free."""
        self._committed = trio.Event()

    async def wait(self) -> None:
        """Return when the batch is durable."""
        self.asked.set()
        await self._committed.wait()

    def settled(self) -> None:
        self.durable = True
        # The run keeps its last receipt: it must not keep the records, nor they each other.
        then, self.then, self.runs, self.steps = self.then, [], {}, {}
        for call in then:
            call()
        self._committed.set()


class Writer:
    """Takes writes from the engine and commits them in order."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        owner: str,
        epoch: int,
        offload: Offload,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._owner, self._epoch = owner, epoch
        self._offload = offload
        self._on_failure = on_failure
        self._gathering = Batch()
        self._stirred = trio.Event()
        """Something gathers."""
        self._closing = False
        # the latest time, not the last event's: a life with its clock set back may have begun to
        # recover, and died over it
        row = connection.execute(
            "SELECT coalesce(max(seq), 0), coalesce(max(at), 0) FROM event"
            f" WHERE seq > (SELECT max(seq) FROM event) - {LATEST_AMONG_EVENTS}"
        ).fetchone()
        self._sequence: int = row[0]
        self.last_at: int = row[1]
        self.durable_sequence: int = self._sequence
        self.moved = trio.Event()
        """Set, and replaced, whenever `durable_sequence` rises: a hint for the event stream."""
        self.commits = 0

    @property
    def gathering(self) -> int:
        """How many events wait for a commit."""
        return len(self._gathering.events)

    def write(self, write: Write) -> Batch:
        """Add a write to the batch that gathers."""
        batch, change = self._gathering, write.change
        assert change.events, "a write without events would never be committed"
        batch.runs[change.run.id] = change.run
        batch.steps.update(change.touched)
        for event in change.events:
            step = change.run.steps[event.step_id]
            match event:
                case Started():
                    batch.started[event.step_id, event.number] = AttemptRecord(
                        event.step_id, event.number, step.generation, event.at, self._epoch
                    )
                case AttemptEnded():
                    self._end(batch, event, event.counts_as, event.delay_ms, event.delay_by)
                case LateEnd():
                    self._end(batch, event, "late", None, None)
                case RunMoved():
                    if event.before is not None:
                        batch.tally[event.before] = batch.tally.get(event.before, 0) - 1
                    batch.tally[event.state] = batch.tally.get(event.state, 0) + 1
                case _:
                    pass
            self._sequence += 1
            moved = isinstance(event, RunMoved)
            batch.events.append(
                (
                    self._sequence,
                    event.at,
                    change.run.id,
                    event.step_id,
                    event.state if isinstance(event, RunMoved) else step.state,
                    change.run.rev if moved else step.rev,
                    _event_json(event).decode(),
                )
            )
        batch.outcomes += [rows.outcome_row(s) for s in change.ended]
        batch.bodies += [_body_row(body) for body in write.bodies]
        if write.then is not None:  # callers wait for it
            batch.then.append(write.then)
            batch.asked.set()
        self._stirred.set()
        return batch

    @staticmethod
    def _end(
        batch: Batch,
        event: AttemptEnded | LateEnd,
        counts_as: str,
        delay_ms: int | None,
        delay_by: str | None,
    ) -> None:
        record = batch.started.get((event.step_id, event.number))
        if record is None:
            batch.ended.append(
                (
                    *(event.at, counts_as, event.http_status, event.error, delay_ms, delay_by),
                    *(event.step_id, event.number),
                )
            )
            return
        record.ended_at, record.counts_as = event.at, counts_as
        record.http_status, record.error = event.http_status, event.error
        record.delay_ms, record.delay_by = delay_ms, delay_by

    def close(self) -> None:
        """Let `run` return once everything written so far is durable."""
        self._closing = True
        self._gathering.asked.set()
        self._stirred.set()

    async def run(self) -> None:
        """Commit batch after batch. Any error of the store leaves here and stops the engine."""
        while True:
            await self._stirred.wait()
            with trio.move_on_after(GATHER_S_MAX):
                await self._gathering.asked.wait()
            self._stirred = trio.Event()
            batch, self._gathering = self._gathering, Batch()
            if batch.events:
                work = self._statements(batch)
                await self._commit_off(work)
                self.commits += 1
                self.durable_sequence = batch.events[-1][0]
                batch.settled()
                moved, self.moved = self.moved, trio.Event()
                moved.set()
            if self._closing and not self._gathering.events:
                return

    def _statements(self, batch: Batch) -> list[tuple[str, list[tuple[Any, ...]]]]:
        owner, epoch = self._owner, self._epoch
        work: list[tuple[str, list[tuple[Any, ...]]]] = [
            (SQL_RUN, [rows.run_row(run, owner, epoch) for run in batch.runs.values()]),
            (SQL_STEP, [rows.step_row(step, owner, epoch) for step in batch.steps.values()]),
            (SQL_ATTEMPT, [rows.attempt_row(record) for record in batch.started.values()]),
            (SQL_ATTEMPT_END, batch.ended),
            (SQL_OUTCOME, batch.outcomes),
            (SQL_BODY, batch.bodies),
            (SQL_EVENT, batch.events),
            (SQL_TALLY, [(state, by) for state, by in batch.tally.items() if by]),
        ]
        return [(sql, parameters) for sql, parameters in work if parameters]

    async def _commit_off(self, work: list[tuple[str, list[tuple[Any, ...]]]]) -> None:
        try:
            with trio.CancelScope(shield=True):  # a thread cannot be called back
                await self._offload(lambda: self._commit(work))
        except sqlite3.Error:
            self._on_failure()
            raise

    def _commit(self, work: list[tuple[str, list[tuple[Any, ...]]]]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for sql, parameters in work:
            self._connection.executemany(sql, parameters)
        execute("COMMIT")


def _body_row(body: Body) -> tuple[Any, ...]:
    size = len(body.data) if body.size < 0 else body.size
    return (body.step_id, body.answer, body.number, body.content_type, size, body.data)
