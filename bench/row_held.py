"""Callers held at once, each on a connection of its own, their runs in an hour's back-off.

`kib_each`: the engine's memory (Pss) with all of them, above that before them, for each. What the system
keeps for their sockets is not in it. Meanwhile, every 100 ms, one GET /api/v1/status and one createUser
from elsewhere: `status_p99_ms`, `post_p99_ms` (its three steps included).
"""

from __future__ import annotations

import asyncio
import json
import random
import time

import load
import machine
from forms import Form, Record, say
from http1 import Arrivals, Connection, failing_endpoint, percentile
from loader import new_key
from systems import System, atomic, processes

ARRIVE_PER_S = 1_000
"""How fast the callers come."""
PROBE_EVERY_S = 0.1
HOUR_MS = 3_600_000
RETRY = {"count": 3, "backOff": HOUR_MS, "maxBackOff": HOUR_MS}


async def _caller(port: int, app_port: int) -> None:
    """One caller that waits for an outcome that does not come."""
    key = new_key()
    payload = {"id": key, "email": f"{key}@example.com", "name": "Some One"}
    body = {"workflowName": "held", "stepInvokeUrl": f"http://127.0.0.1:{app_port}/held",
            "idempotencyKey": key, "payload": payload, "retry": RETRY}  # fmt: skip
    status, _, text = await Connection(port).request("POST", "/bench", json.dumps(body))
    raise AssertionError(f"a held caller was answered: {status} {text[:200]!r}")


async def _come(
    system: System, count: int, app_port: int, arrivals: Arrivals
) -> list[asyncio.Task[None]]:
    """All callers, when the first attempts of their runs have failed and none is in flight."""
    callers = []
    for _ in range(count):
        callers.append(asyncio.create_task(_caller(system.port, app_port)))
        await asyncio.sleep(1 / ARRIVE_PER_S * random.random())
    end = time.time() + 120
    while len(arrivals.get("/held", ())) < count and time.time() < end:
        await asyncio.sleep(0.2)
    await asyncio.sleep(3)
    return callers


async def _probe(
    port: int, method: str, path: str, body: str | None, seconds: float
) -> list[float]:
    """Latencies (ms) of one request every PROBE_EVERY_S; late answers delay none of the others."""

    async def one() -> float:
        connection, began = idle.pop() if idle else Connection(port), time.perf_counter()
        text = None if body is None else body.replace("%K", new_key())
        status = (await connection.request(method, path, text))[0]
        assert status == 200, status
        idle.append(connection)
        return (time.perf_counter() - began) * 1000

    idle: list[Connection] = []
    probes = []
    for _ in range(round(seconds / PROBE_EVERY_S)):
        probes.append(asyncio.create_task(one()))
        await asyncio.sleep(PROBE_EVERY_S)
    return await asyncio.gather(*probes)


async def _run(form: Form, record: Record, turn: int) -> None:
    app_port, count = machine.free_port(), form.held_callers
    with processes() as p:
        async with failing_endpoint(app_port) as arrivals:
            system = atomic(p)
            warm = await asyncio.to_thread(
                load.closed_loop, system, 50, warm_s=0, window_s=60, requests_max=300
            )
            assert not warm["err_status"], warm
            await asyncio.sleep(2)
            before = machine.pss_mib(system.pids["server"])
            callers = await _come(system, count, app_port, arrivals)
            after = machine.pss_mib(system.pids["server"])
            status_ms, post_ms = await asyncio.gather(
                _probe(system.port, "GET", "/api/v1/status", None, form.probe_s),
                _probe(system.port, "POST", system.path, system.body, form.probe_s),
            )
            left = [caller for caller in callers if caller.done()]
            for caller in callers:
                caller.cancel()
            ends = await asyncio.gather(*callers, return_exceptions=True)
    values = {
        "callers": count, "held": count - len(left), "mib_before": before, "mib": after,
        "kib_each": (after - before) * 1024 / count,
        "status_p50_ms": percentile(status_ms, 0.5), "status_p99_ms": percentile(status_ms, 0.99),
        "post_p50_ms": percentile(post_ms, 0.5), "post_p99_ms": percentile(post_ms, 0.99),
        "probes": len(post_ms),
        "first_end": next((repr(end) for end in ends if not isinstance(end, asyncio.CancelledError)), ""),
    }  # fmt: skip
    say(values)
    record("held", round=turn, **values)


def run(form: Form, record: Record) -> None:
    """Each time on an engine and a file of its own."""
    machine.raise_fd_limit()
    for turn in range(form.rounds):
        asyncio.run(_run(form, record, turn))
