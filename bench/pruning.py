"""What others wait while old runs are removed: `python bench/pruning.py --runs 100000`.

An engine of its own on a file of runs that completed 40 days ago (`loader.py`), with
`retention_days` 30, and an application that answers after 5 ms, both on loopback. So many callers
(`--callers`) post new runs, each one after the other: first alone, then while all of the old runs go.
With `--kills` the engine is killed so often meanwhile, and started again. Prints the p99 of both in
milliseconds, runs removed each second, and at the end what `atomic verify` says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from time import perf_counter

import endpoint
from http1 import Connection, percentile
from machine import free_port

ALONE_S = 20.0
TAKES_S = 0.005
DAYS = 40
KEYS = count()
HERE = Path(__file__).parent


async def _call(port: int, app: int, took: list[float]) -> None:
    """One caller, until it is cancelled. Posts that a killed engine does not answer are made again
    with the same key, and not measured."""
    connection = Connection(port)
    while True:
        body = json.dumps({"workflowName": "w", "stepInvokeUrl": f"http://127.0.0.1:{app}/x",
                           "idempotencyKey": f"k{next(KEYS)}"})  # fmt: skip
        began = perf_counter()
        try:
            status, _, text = await connection.request("POST", "/shop", body)
        except (OSError, EOFError):
            await asyncio.sleep(0.2)
            continue
        assert status == 200, text
        took.append((perf_counter() - began) * 1000)


class Engine:
    """On one file, started as often as it is killed."""

    def __init__(self, directory: Path, port: int) -> None:
        settings = directory / "atomic.toml"
        settings.write_text(
            f'port = {port}\nlog_level = "error"\ndb = "{directory}/old.db"\nretention_days = 30\n'
        )
        self._command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(settings)]
        self.port = port

    async def start(self) -> None:
        """Until it listens."""
        self.process = subprocess.Popen(self._command)  # noqa: ASYNC220 - it takes no time
        while True:
            try:
                await Connection(self.port).get("/api/v1/status")
                return
            except (OSError, EOFError):
                assert self.process.poll() is None
                await asyncio.sleep(0.1)

    async def prune(self) -> None:
        """Begin at once."""
        answer = await Connection(self.port).request("POST", "/api/v1/prune", "{}")
        assert answer[0] == 202, answer

    async def left(self) -> int:
        """How many are still to go."""
        answer = await Connection(self.port).request("POST", "/api/v1/prune", '{"dryRun": true}')
        return sum(json.loads(answer[2])["runs"].values())


async def _measure(options: argparse.Namespace, engine: Engine, app: int) -> None:
    alone: list[float] = []
    beside: list[float] = []
    await engine.start()
    callers = [asyncio.create_task(_call(engine.port, app, alone)) for _ in range(options.callers)]
    await asyncio.sleep(2)
    alone.clear()
    await asyncio.sleep(ALONE_S)
    for each in callers:
        each.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    callers = [asyncio.create_task(_call(engine.port, app, beside)) for _ in range(options.callers)]
    old, began, kills = options.runs, time.monotonic(), 0
    await engine.prune()
    while left := await engine.left():
        await asyncio.sleep(2)
        if kills < options.kills and left < old * (1 - (kills + 1) / (options.kills + 1)):
            kills += 1
            engine.process.kill()
            engine.process.wait()
            await engine.start()
            await engine.prune()
    took = time.monotonic() - began
    for each in callers:
        each.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    print(f"p99 alone  {percentile(alone, 0.99):7.1f} ms of {len(alone):,} posts")
    print(f"p99 beside {percentile(beside, 0.99):7.1f} ms of {len(beside):,} posts")
    print(f"{old / took:,.0f} runs removed each second, {kills} kills")


async def main() -> None:
    """Make the file, measure, and look at what is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    server = await endpoint.serve(TAKES_S)
    app = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "old.db")
        load = [sys.executable, str(HERE / "loader.py"), str(file), "--kind", "finished"]
        subprocess.run(  # noqa: ASYNC221 - before anything is measured
            [*load, "--runs", str(options.runs), "--days-ago", str(DAYS)], check=True
        )
        engine = Engine(Path(name), free_port())
        try:
            await _measure(options, engine, app)
        finally:
            engine.process.terminate()
            engine.process.wait()
        verify = [sys.executable, "-m", "engine.cli", "verify", str(file)]
        subprocess.run(verify, check=True)  # noqa: ASYNC221


if __name__ == "__main__":
    asyncio.run(main())
