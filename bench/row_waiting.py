"""Runs waiting in back-off: what they cost while they wait, and how fast the engine is back with them.

`waiting`: `mib_empty` and `mib` (Pss of an engine without a run, and of one with them), `status_p50_ms` and
`status_p99_ms` of 200 calls of /api/v1/status one after the other, `bytes_each` (file, log included, for each
run beyond its payload). Meanwhile the nearest of them become due, some 140 a second of a million.
`restart`: the engine is killed with SIGKILL as it runs, and started when a thousand runs are due at once:
`ready_s` from its start to /readyz, `first_s` and `last_s` from there to the first and the last of their
attempts at the endpoint (negative: before that).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import machine
from forms import Form, Record, say
from http1 import Connection, failing_endpoint, percentile, ready
from row_stored import load_file
from systems import Processes, fresh, processes, start_engine

STATUS_CALLS = 200
KILLED_BEFORE_S = 2.0
"""The engine is killed so long before the thousand runs are due."""
LAST_WITHIN_S = 60


async def _status_ms(port: int) -> list[float]:
    connection, took = Connection(port), []
    for _ in range(STATUS_CALLS):
        began = time.perf_counter()
        await connection.get("/api/v1/status")
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return took


async def _empty(p: Processes) -> tuple[float, int]:
    """Memory of an engine without a run (MiB), and its file's size (bytes)."""
    port, db = machine.free_port(), fresh("data-empty") / "atomic.db"
    pid = start_engine(p, port, db)
    await ready(port)
    await _status_ms(port)
    await asyncio.sleep(2)
    mib = machine.pss_mib(pid)
    p.stop("engine")
    return mib, _size(db)


def _size(db: Path) -> int:
    return sum(
        each.stat().st_size for each in (db, db.with_name(db.name + "-wal")) if each.exists()
    )


async def _watch(p: Processes, db: Path, told: dict[str, Any]) -> dict[str, Any]:
    """The first start: memory and status while the runs wait; then SIGKILL."""
    port, began = machine.free_port(), time.time()
    pid = start_engine(p, port, db)
    first_ready_s = await ready(port) - began
    await asyncio.sleep(1)
    took = await _status_ms(port)
    status = await Connection(port).get("/api/v1/status")
    await asyncio.sleep(max(0.0, told["soon_at"] - KILLED_BEFORE_S - time.time()))
    values = {
        "first_ready_s": first_ready_s, "mib": machine.pss_mib(pid), "counts": status["counts"],
        "in_memory": status["inMemory"], "status_p50_ms": percentile(took, 0.5),
        "status_p99_ms": percentile(took, 0.99), "file_bytes": _size(db),
    }  # fmt: skip
    p.kill("engine")
    return values


async def _restart(
    p: Processes, db: Path, told: dict[str, Any], soon: list[float]
) -> dict[str, Any]:
    """The second start, when the runs of `soon` are due."""
    early = len(soon)
    await asyncio.sleep(max(0.0, told["soon_at"] - time.time()))
    port, began = machine.free_port(), time.time()
    start = asyncio.create_task(asyncio.to_thread(start_engine, p, port, db))
    at = await ready(port)
    await start
    end = time.time() + LAST_WITHIN_S
    while len(soon) < told["soon_runs"] and time.time() < end:
        await asyncio.sleep(0.05)
    return {
        "ready_s": at - began, "first_s": min(soon) - at if soon else None, "early": early,
        "last_s": max(soon) - at if soon else None, "arrived": len(soon), "due": told["soon_runs"],
    }  # fmt: skip


async def _run(form: Form, record: Record, turn: int) -> None:
    app_port, db = machine.free_port(), fresh("data-waiting") / "atomic.db"
    with processes() as p:
        async with failing_endpoint(app_port) as arrivals:
            mib_empty, empty_bytes = await _empty(p)
            say(f"loading {form.waiting_runs:,} waiting runs")
            told = await asyncio.to_thread(
                load_file, db, runs=form.waiting_runs, kind="waiting", app_port=app_port,
                soon=form.soon_runs, soon_s=form.soon_s,
            )  # fmt: skip
            told["soon_runs"] = form.soon_runs
            say(told)
            values = await _watch(p, db, told)
            each = (values["file_bytes"] - empty_bytes) / form.waiting_runs - told["payload_bytes"]
            values |= {"runs": form.waiting_runs, "mib_empty": mib_empty, "bytes_each": each}
            say(values)
            record("waiting", round=turn, loaded_per_s=told["runs_per_s"], **values)
            back = await _restart(p, db, told, arrivals.setdefault("/soon", []))
            say(back)
            record("restart", round=turn, runs=form.waiting_runs, **back)
    fresh("data-waiting")


def run(form: Form, record: Record) -> None:
    """Each time with a file of its own: the runs are due by the clock."""
    for turn in range(form.rounds):
        asyncio.run(_run(form, record, turn))
