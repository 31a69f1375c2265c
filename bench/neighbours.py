"""What a client's flood, and a dead host, do to others: `python bench/neighbours.py`, a minute.

An engine of its own, and an application that takes 50 ms, both on loopback; its host has eight
places (`[host_limits]`). Posts of client `shop`, one after the other: alone; while 20 callers of client
`flood` post without a pause to the same host; while 500 runs call a host that refuses. Prints the
p99 of each in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from time import perf_counter

import endpoint
from http1 import Connection, percentile
from machine import free_port

POSTS = 150
FLOOD_CALLERS = 20
DEAD_RUNS = 500
TAKES_S = 0.05
KEYS = count()


async def _post(connection: Connection, client: str, app: int, **headers: str) -> float:
    """Its time in milliseconds."""
    body = {"workflowName": "w", "stepInvokeUrl": f"http://127.0.0.1:{app}/x",
            "idempotencyKey": f"k{next(KEYS)}"}  # fmt: skip
    began = perf_counter()
    await connection.request("POST", f"/{client}", json.dumps(body), **headers)
    return (perf_counter() - began) * 1000


async def _p99(port: int, app: int) -> float:
    connection = Connection(port)
    return percentile([await _post(connection, "shop", app) for _ in range(POSTS)], 0.99)


async def _flood(port: int, app: int) -> None:
    connection = Connection(port)
    while True:
        await _post(connection, "flood", app)


async def _measure(port: int, app: int, dead: int) -> None:
    await _p99(port, app)  # warm
    print(f"alone             {await _p99(port, app):7.1f} ms")
    floods = [asyncio.create_task(_flood(port, app)) for _ in range(FLOOD_CALLERS)]
    await asyncio.sleep(2)
    print(f"beside a flood    {await _p99(port, app):7.1f} ms")
    for each in floods:
        each.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
    connection = Connection(port)
    for _ in range(DEAD_RUNS):
        await _post(connection, "other", dead, Prefer="respond-async")
    print(f"beside a dead host{await _p99(port, app):7.1f} ms")


async def main() -> None:
    """Start all, measure, and end all."""
    server = await endpoint.serve(TAKES_S)
    app, port, dead = server.sockets[0].getsockname()[1], free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "atomic.toml")
        settings.write_text(
            f'port = {port}\nlog_level = "error"\ndb = "{name}/atomic.db"\n'
            f'[host_limits."127.0.0.1:{app}"]\nin_flight_max = 8\n'
        )
        engine = subprocess.Popen(  # noqa: ASYNC220 - before anything is measured
            [sys.executable, "-m", "engine.cli", "serve", "--config", str(settings)]
        )
        try:
            await asyncio.sleep(4)
            await _measure(port, app, dead)
        finally:
            engine.terminate()
            engine.wait()


if __name__ == "__main__":
    asyncio.run(main())
