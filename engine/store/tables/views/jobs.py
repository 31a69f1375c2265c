"""Bulk jobs as they are kept: the `JobStore` port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from engine.core.errors import Problem, RefusedForDamage
from engine.core.failure import Failure
from engine.core.model import StepState
from engine.core.text.ulid import ms_of
from engine.ports.jobs import EXPIRED, Came, CameTo, Job, JobRun, KeptJob, RunEnd
from engine.ports.store import Away
from engine.store.jobs import JobRow, JobWrite
from engine.store.tables.connection import SQL, Row, Tables, snapshot
from engine.store.tables.reading import DAMAGED_RETRY_AFTER_S
from engine.store.tables.store import TableStore
from engine.store.tables.views.records import read_record
from engine.store.writer import Batch

REASONS_MAX = 5
"""Of runs that came to no good end: for so many it is looked up why."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Job).decode


class TableJobs:
    """Written by the store's writer, and read where operators read."""

    def __init__(
        self, store: TableStore, log: Callable[..., None] = lambda event, **values: None
    ) -> None:
        self.file_id, self._log = store.file_id, log
        self._unreadable: set[str] = set()
        """Jobs whose records cannot be read: of each it was said."""
        self._store, self._writer, self._read = store, store.writer, store.view_readers.read

    @property
    def away(self) -> Away | None:
        """Why the store cannot be written for now; None: it can."""
        return self._store.away

    def add_runs(self, job_id: str, runs: Sequence[JobRun]) -> Batch:
        """Keep runs of a job that is about to begin."""
        return self._writer.job(JobWrite(job_id, runs=runs))

    def record(self, job: Job, came_to: CameTo | None = None) -> Batch:
        """Keep how a job stands, and what it did to a run, with what is written in the same
        passage."""
        asked = job.asked
        record = _encode(job).decode()
        row = JobRow(job.id, asked.only, asked.key, job.total, job.ended_at, record)
        return self._writer.job(JobWrite(job.id, row, came_to=came_to))

    async def forget(self, job_id: str) -> None:
        """Forget a job and its runs, durably: some with each commit."""
        while True:
            some = JobWrite(job_id, forget=True)
            await self._writer.job(some).wait()
            if not some.gone:
                return

    async def under_way(self) -> list[Job]:
        """Those that have not ended, the earliest first."""
        return await self._jobs(SQL["jobs_under_way"])

    async def unbegun(self) -> list[str]:
        """Jobs of which there are runs and no more."""

        def work(db: Tables) -> list[str]:
            return [id for id in _with_runs(db) if not db.execute(SQL["job"], (id,)).fetchone()]

        return await self._read(work)

    async def kept(self) -> list[KeptJob]:
        """Those that have ended, the earliest first; before them those whose records cannot be
        read, as nothing will end them: with the time at which they began."""

        def work(db: Tables) -> list[KeptJob]:
            lost = [
                KeptJob(id, None, 0, ms_of(id))
                for id, record in db.execute(SQL["jobs_under_way"])
                if self._job_of(id, record) is None
            ]
            return lost + [KeptJob(*row) for row in db.execute(SQL["jobs_kept"])]

        return await self._read(work)

    async def job(self, job_id: str) -> Job | None:
        """One of them."""
        return await self._one_job(SQL["job"], job_id)

    async def job_of_key(self, only: str | None, key: str) -> Job | None:
        """The one that was begun with this key."""
        return await self._one_job(SQL["job_of_key"], key, only)

    async def jobs(self, only: str | None, cursor: str | None, limit: int) -> list[Job]:
        """The latest first, from just behind `cursor`."""
        return await self._jobs(SQL["jobs"], only, cursor, limit=limit)

    async def to_do(self, job_id: str, after: str, limit: int) -> list[JobRun]:
        """Runs whose turn has not come, by id."""
        where = (job_id, after, limit)
        return await self._read(
            lambda db: [JobRun(*row) for row in db.execute(SQL["job_to_do"], where)]
        )

    async def came(self, job_id: str) -> list[Came]:
        """What came of the runs that a job acted on. While the store cannot be written, as the
        tables know it."""
        await self._writer.wait_rows()
        found = await self._read(lambda db: db.execute(SQL["job_came"], (job_id,)).fetchall())
        counted: dict[tuple[str, int | None, str | None], int] = {}
        for row in found:
            status, error = row["http_status"], row["error"]
            # which error it was says nothing where the status does
            word = None if error is None or status is not None else Failure.parse(error).word
            what = (row["state"], status, word)
            counted[what] = counted.get(what, 0) + row["runs"]
        return [Came(state, runs, status, word) for (state, status, word), runs in counted.items()]

    async def ends(self, job_id: str, limit: int) -> list[RunEnd]:
        """What came of each of the first of them."""

        def work(db: Tables) -> list[RunEnd]:
            with snapshot(db):
                found = db.execute(SQL["job_ends"], (job_id, limit)).fetchall()
                return list(_ends(db, found))

        return await self._read(work)

    async def _one_job(self, query: str, *values: str | None) -> Job | None:
        """Raises Refused for one whose record cannot be read: it is there."""
        row = await self._read(lambda db: db.execute(query, values).fetchone())
        if row is None:
            return None
        if (job := self._job_of(*row)) is None:
            detail = f"The record of the bulk job {row[0]} cannot be read. The log says why."
            raise RefusedForDamage(
                Problem.STORE_UNAVAILABLE, detail, retryAfter=DAMAGED_RETRY_AFTER_S
            )
        return job

    async def _jobs(self, query: str, *values: str | None, limit: int | None = None) -> list[Job]:
        """Without those whose records cannot be read: they keep nobody from the others."""

        def work(db: Tables) -> list[Job]:
            jobs = (self._job_of(*row) for row in db.execute(query, values))
            return list(islice((job for job in jobs if job is not None), limit))

        return await self._read(work)

    def _job_of(self, job_id: str, record: str) -> Job | None:
        """None: the record cannot be read, as the log says once."""
        try:
            return _decode(record)
        except (msgspec.MsgspecError, ValueError) as error:
            if job_id not in self._unreadable:
                self._unreadable.add(job_id)
                self._log("bulk-job-unreadable", job=job_id, why=str(error))
            return None


def _with_runs(db: Tables) -> Iterator[str]:
    """Jobs of which there are runs. There may be millions of these: one look for each job."""
    behind = ""
    while row := db.execute(SQL["jobs_with_runs_behind"], (behind,)).fetchone():
        behind = row[0]
        yield behind


def _ends(db: Tables, found: list[Row]) -> Iterator[RunEnd]:
    looked_up = 0
    for row in found:
        state = row["state"] or (EXPIRED if row["is_gone"] else None)
        reason = None
        is_there = row["is_latest"] and not row["is_gone"]
        if state == StepState.FAILED and is_there and looked_up < REASONS_MAX:
            looked_up += 1
            of_run = f"{SQL['run_record']} WHERE run.id = ?"
            reason = read_record(db, db.execute(of_run, (row["run_id"],)).fetchone()).reason
        yield RunEnd(row["run_id"], state, reason)
