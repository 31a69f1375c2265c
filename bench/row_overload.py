"""Three times as many posts as the engine can do, whatever it answers (open loop); then calm again.

`peak`: the better of 50 and 200 callers in a closed loop just before (2xx a second). `goodput`: 2xx a second
while 3 x peak arrive. `refusal_p99_ms`: of answers 429 and 503, `without_retry_after` those that do not say
when to come again. `unsent`: arrivals that found all POOL connections waiting for an answer: the engine took
their posts in and neither answered nor refused. `lost`: of SAMPLE acknowledged keys, those whose run is not
completed in the record; `open_left`: runs that are still open CALM_WITHIN_S after the overload.
`normal_after_s`: from the overload's end (nothing is sent any more) to the first of PROBES posts, one after
the other, of which it and nine tenths take at most NORMAL_TIMES the median before; None: not within
CALM_WITHIN_S.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import load
import machine
from forms import Form, Record, say
from http1 import Connection, percentile
from loader import new_key
from systems import HOME, System, atomic, processes

TIMES = 3
POOL = 4_000
WARM_S = 2.0
SAMPLE = 500
CALM_WITHIN_S = 60.0
PROBES = 20
NORMAL_TIMES = 3


async def _post_ms(connection: Connection, system: System) -> float | None:
    """Latency of one createUser; None if it was refused or cut."""
    began = time.perf_counter()
    try:
        answer = await connection.request("POST", system.path, system.body.replace("%K", new_key()))
    except (OSError, EOFError):
        return None
    return (time.perf_counter() - began) * 1000 if answer[0] == 200 else None


async def _calm(system: System, normal_ms: float) -> float | None:
    """Seconds from now until posts take their normal time again."""
    connection, began = Connection(system.port), time.time()
    took: list[tuple[float, bool]] = []
    while time.time() - began < CALM_WITHIN_S:
        at = time.time()
        try:
            ms = await asyncio.wait_for(_post_ms(connection, system), CALM_WITHIN_S)
        except TimeoutError:
            return None
        took.append((at, ms is not None and ms <= NORMAL_TIMES * normal_ms))
        last = took[-PROBES:]
        if len(last) == PROBES and last[0][1] and sum(well for _, well in last) >= 0.9 * PROBES:
            return last[0][0] - began
        if ms is None:
            await asyncio.sleep(0.05)
    return None


async def _overload(
    system: System, rate: float, seconds: float, acknowledged: str
) -> tuple[Any, float | None]:
    """What the generator printed, and after how long things were normal."""
    connection = Connection(system.port)
    before = [ms for _ in range(200) if (ms := await _post_ms(connection, system)) is not None]
    connection.close()
    command = load.command(
        system,
        POOL,
        warm_s=WARM_S,
        window_s=seconds,
        rate=rate,
        drain_s=30,
        acknowledged=acknowledged,
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    reading = asyncio.create_task(process.communicate())
    await asyncio.sleep(WARM_S + seconds)
    normal_after_s = await _calm(system, percentile(before, 0.5))
    return json.loads((await reading)[0]), normal_after_s


async def _lost(system: System, keys: list[str]) -> int:
    """How many of these acknowledged keys have no completed run."""
    connection, lost = Connection(system.port), 0
    for key in keys:
        path = f"/api/v1/runs?client=bench&workflow=createUser&key={key}"
        runs = (await connection.get(path))["runs"]
        lost += [run["status"] for run in runs] != ["completed"]
    return lost


async def _open_left(system: System) -> tuple[int, dict[str, int]]:
    """Runs still open when none is left or the time is over, and all counts."""
    connection, end = Connection(system.port), time.time() + CALM_WITHIN_S
    while True:
        counts = (await connection.get("/api/v1/status"))["counts"]
        left = sum(
            n for state, n in counts.items() if state not in ("completed", "failed", "cancelled")
        )
        if not left or time.time() > end:
            return left, counts
        await asyncio.sleep(0.5)


async def _run(form: Form, record: Record, turn: int) -> None:
    acknowledged = HOME / "acknowledged.txt"
    with processes() as p:
        system = atomic(p)
        await asyncio.sleep(1)
        closed = [
            await asyncio.to_thread(
                load.closed_loop, system, callers, warm_s=form.warm_s, window_s=form.window_s
            )
            for callers in (50, 200)
        ]
        peak = max(result["rate"] for result in closed)
        say(f"peak {peak:.0f}/s; {TIMES} x that for {form.overload_s:.0f} s")
        result, normal_after_s = await _overload(
            system, TIMES * peak, form.overload_s, str(acknowledged)
        )
        keys = acknowledged.read_text().split()
        lost = await _lost(system, random.sample(keys, min(SAMPLE, len(keys))))
        open_left, counts = await _open_left(system)
        memory = machine.pss_mib(system.pids["server"])
    values = {
        "peak": peak, "offered_rate": result["offered"] / (WARM_S + form.overload_s),
        "goodput": result["good_rate"], "refused": result["refused"], "unsent": result["unsent"],
        "refusal_p50_ms": result["refusal_p50_ms"], "refusal_p99_ms": result["refusal_p99_ms"],
        "without_retry_after": result["refused_without_retry_after"], "lost": lost,
        "acknowledged": len(keys), "open_left": open_left, "counts": counts,
        "normal_after_s": normal_after_s, "mib": memory, "load": result,
    }  # fmt: skip
    say({name: value for name, value in values.items() if name != "load"})
    record("overload", round=turn, **values)


def run(form: Form, record: Record) -> None:
    """Each time on an engine and a file of its own."""
    machine.raise_fd_limit()
    for turn in range(form.rounds):
        asyncio.run(_run(form, record, turn))
