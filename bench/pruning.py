"""What others wait while old runs are removed: `python bench/pruning.py --runs 100000`.

An engine of its own on a file of runs that ended 40 days ago (`loader.py`; one of a hundred failed,
and stays), with `retention_days` 30, and an application that answers after 5 ms, both on loopback. So
many callers (`--callers`) post new runs, each one after the other: first alone, then while all of the
old runs go, then while what the journal has of before 30 days goes. With `--kills` the engine is
killed so often meanwhile, and started again. Prints the p50 and p99 of each in milliseconds, runs and
events removed each second, how long each part took, and at the end what `atomic verify` says. Fails
if a run that failed has gone, a key of one that has gone is answered otherwise than 410, or anybody
is called for it.

Old runs have one step, or four with `--kind finished`: 50 of those go with one commit, and 200 of
these, and the writer rests between, so a million takes a quarter of an hour, or more than half of one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import endpoint
from one_engine import Engine
from http1 import Connection, percentile

ALONE_S = 20.0
TAKES_S = 0.005
DAYS = 40
FAILED_EVERY = 100
ASKED = 200
LOOK_EVERY_S = 1.0
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


class Phase:
    """Callers for a while, and what a post took meanwhile, in milliseconds."""

    def __init__(self, engine: Engine, app: int, callers: int) -> None:
        self.took: list[float] = []
        self._began = time.monotonic()
        self._callers = [
            asyncio.create_task(_call(engine.port, app, self.took)) for _ in range(callers)
        ]

    async def end(self) -> float:
        """How many seconds it was."""
        for each in self._callers:
            each.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        return time.monotonic() - self._began

    def tell(self, what: str, lasted_s: float) -> None:
        p50, p99 = (percentile(self.took, share) for share in (0.5, 0.99))
        print(f"{what:<18} p50 {p50:7.1f} ms, p99 {p99:7.1f} ms of {len(self.took):,} posts in"
              f" {lasted_s:,.0f} s", flush=True)  # fmt: skip


async def _kill(engine: Engine) -> None:
    engine.kill()
    await engine.start()
    await engine.prune()


def _ask(file: Path, query: str) -> list[tuple[Any, ...]]:
    """What the file says."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


async def _until_gone(engine: Engine, kills: int, left: Callable[[], int]) -> tuple[int, int]:
    """Wait until nothing is left, with so many kills meanwhile; how much there was, and how many
    kills there was time for."""
    old, done = left(), 0
    while (now := left()) > 0:
        await asyncio.sleep(LOOK_EVERY_S)
        if done < kills and now < old * (1 - (done + 1) / (kills + 2)):
            done += 1
            await _kill(engine)
    return old, done


async def _measure(options: argparse.Namespace, engine: Engine, app: int, file: Path) -> None:
    before = int((time.time() - 31 * 86_400) * 1000)
    stay = -(-options.runs // FAILED_EVERY)

    def runs_left() -> int:
        return options.runs - stay - int(_ask(file, "SELECT count(*) FROM expired")[0][0])

    await engine.start()
    alone = Phase(engine, app, options.callers)
    await asyncio.sleep(2)
    alone.took.clear()
    await asyncio.sleep(ALONE_S)
    await alone.end()
    alone.tell("alone", ALONE_S)
    runs_go = Phase(engine, app, options.callers)
    await engine.prune()
    runs, killed = await _until_gone(engine, options.kills // 2, runs_left)
    runs_s = await runs_go.end()
    runs_go.tell("while runs go", runs_s)
    late = _ask(file, f"SELECT seq FROM journal WHERE at > {before} ORDER BY seq LIMIT 1")[0][0]

    def events_left() -> int:
        return int(late - _ask(file, "SELECT floor FROM engine")[0][0] - 1)

    events_go = Phase(engine, app, options.callers)
    left_to_do = options.kills - killed
    events, more = await _until_gone(engine, left_to_do, events_left)
    events_s = await events_go.end()
    events_go.tell("while events go", events_s)
    print(
        f"{runs / runs_s:,.0f} runs removed each second, {events / events_s:,.0f} events;"
        f" {killed + more} kills"
    )


async def _check_gone(engine: Engine, app: int, file: Path, called: list[None]) -> None:
    """Keys of runs that have gone are told so, and call nobody."""
    some = _ask(file, f"SELECT client, workflow, key FROM expired ORDER BY key LIMIT {ASKED}")
    assert len(some) == ASKED
    while await engine.open_runs():  # of callers that have left: they are called all the same
        await asyncio.sleep(0.5)
    before = len(called)
    for client, workflow, key in some:
        body = json.dumps({"workflowName": workflow, "idempotencyKey": key,
                           "stepInvokeUrl": f"http://127.0.0.1:{app}/x"})  # fmt: skip
        status, _, text = await Connection(engine.port).request("POST", f"/{client}", body)
        assert status == 410, text
    assert len(called) == before
    print(f"{ASKED} keys of runs that have gone: 410, nobody was called")


async def main() -> None:
    """Make the file, measure, and look at what is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--kind", choices=("single", "finished"), default="single")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    called: list[None] = []
    server = await endpoint.serve(TAKES_S, lambda: called.append(None))
    app = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "old.db")
        load = [sys.executable, str(HERE / "loader.py"), str(file), "--kind", options.kind]
        subprocess.run(  # noqa: ASYNC221 - before anything is measured
            [*load, "--runs", str(options.runs), "--days-ago", str(DAYS),
             "--failed-every", str(FAILED_EVERY)],
            check=True,
        )  # fmt: skip
        engine = Engine(file, retention_days=30)
        try:
            await _measure(options, engine, app, file)
            await _check_gone(engine, app, file, called)
        finally:
            engine.stop()
        failed = _ask(file, "SELECT runs FROM tally WHERE state = 'failed'")[0][0]
        assert failed == -(-options.runs // FAILED_EVERY), failed
        verify = [sys.executable, "-m", "engine.cli", "verify", str(file)]
        subprocess.run(verify, check=True)  # noqa: ASYNC221


if __name__ == "__main__":
    asyncio.run(main())
