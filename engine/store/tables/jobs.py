"""Bulk jobs and their runs, in their tables: `engine.ports.jobs`."""

from __future__ import annotations

import json

from msgspec.structs import astuple, fields

from engine.store.jobs import JobRow, JobWrite
from engine.store.tables.connection import SQL, Tables

JOB_COLUMNS = tuple(field.name for field in fields(JobRow))
JOB_RUN_COLUMNS = ("job_id", "run_id", "if_rev", "at", "generation", "refused")
FORGOTTEN_AT_ONCE = 2_000
"""Runs of one job, in one commit: some milliseconds of it."""
SQL_KEEP = (
    f"INSERT INTO job ({','.join(JOB_COLUMNS)}) VALUES ({','.join('?' * len(JOB_COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {','.join(f'{it}=excluded.{it}' for it in JOB_COLUMNS)}"
)
SQL_CAME_TO = (
    "UPDATE job_run SET at = ?, generation = ?, refused = ? WHERE job_id = ? AND run_id = ?"
)
SQL_FORGET_RUNS = (
    "DELETE FROM job_run WHERE job_id = ?1 AND run_id IN"
    f" (SELECT run_id FROM job_run WHERE job_id = ?1 LIMIT {FORGOTTEN_AT_ONCE})"
)
SQL_FORGET = (
    "DELETE FROM job WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM job_run WHERE job_id = ?1)"
)


def write_job(db: Tables, it: JobWrite) -> None:
    """Write it within the caller's transaction."""
    if it.runs:
        runs = json.dumps([(run.run_id, run.if_rev) for run in it.runs])
        db.execute(SQL["job_add_runs"], (it.job_id, runs))
    if it.row is not None:
        db.execute(SQL_KEEP, astuple(it.row))
    if (came := it.came_to) is not None:
        values = (came.at, came.generation, came.refused, it.job_id, came.run_id)
        db.execute(SQL_CAME_TO, values)
    if it.forget:
        it.gone = db.execute(SQL_FORGET_RUNS, (it.job_id,)).rowcount
        db.execute(SQL_FORGET, (it.job_id,))
