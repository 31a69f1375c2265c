"""What an engine takes of a machine: `just sizing --gb 10` measures and writes docs/how-to/sizing.md.

A file of so many gigabytes of runs that completed (`loader.py`: createUser, four steps each), an
engine of its own on it, and an application that answers at once, all on this machine. Then: how
long it takes to be ready, runs each second, memory, a copy while it runs, `atomic verify` of the
copy, and the copy taken back to the oldest schema and migrated from there. Load generator and
application share the machine's cores. Times are of a disk as it is here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import endpoint
import machine
from http1 import Connection

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from tests.store.older import TO_M001  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "sizing.md"
BEGIN, END = "<!-- begin: written by `just sizing` -->", "<!-- end: written by `just sizing` -->"
PROBE_RUNS = 2_000
WAITING_RUNS = 5_000
OPEN_RUNS = 1_000
CALLERS = 16
LASTS_S = 600.0
"""What open runs are called at does not answer for so long."""
KEYS = count()
ROWS = {
    "bytes_finished": "bytes in the file for each run that completed, of four steps",
    "bytes_waiting": "bytes in the file for each run of one step that waits in back-off",
    "runs_1": "runs of one step each second, one caller",
    "runs_16": f"runs of one step each second, {CALLERS} callers",
    "cpu_ms": "milliseconds of a core for each of these, the engine's",
    "mib_empty": "MiB of memory, on an empty file",
    "mib_file": "MiB of memory, on this file, before any work",
    "kib_open": "KiB of memory for each run that is called at a time",
    "ready_s": "seconds from the start until it is ready, on this file",
    "backup_s": "seconds for a copy while it runs",
    "verify_s": "seconds for `atomic verify` of the copy",
    "migrate_s": "seconds for a start that migrates the copy from the oldest schema",
}
"""What is measured, in the table's order and words."""


def load(file: Path, kind: str, runs: int) -> dict[str, Any]:
    """Make a file; what the loader says."""
    command = [sys.executable, HERE / "loader.py", file, "--kind", kind, "--runs", runs]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


class Engine:
    """One on a file; ended by its own process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    async def ready(self) -> float:
        """Seconds until `/readyz` says so."""
        began = time.monotonic()
        while True:
            try:
                status, _, _ = await Connection(self.port).request("GET", "/readyz")
            except (OSError, EOFError):
                assert self.process.poll() is None, "the engine has ended"
                status = 0
            if status == 200:
                return time.monotonic() - began
            await asyncio.sleep(0.02)

    async def status(self) -> Any:
        """As it says itself."""
        return await Connection(self.port).get("/api/v1/status")

    @property
    def mib(self) -> float:
        """Of memory."""
        return machine.pss_mib(self.process.pid)


@contextmanager
def engine_on(file: Path) -> Iterator[Engine]:
    """For the length of a block."""
    port = machine.free_port()
    settings = file.with_name(f"{file.stem}-{next(KEYS)}.toml")
    settings.write_text(f'port = {port}\nlog_level = "error"\ndb = "{file}"\ndrain_grace_ms = 100\n')
    command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(settings)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield Engine(process, port)
    finally:
        process.terminate()
        process.wait()


def submission(app: int) -> dict[str, Any]:
    """A run of one step."""
    url = f"http://127.0.0.1:{app}/x"
    return {"workflowName": "w", "stepInvokeUrl": url, "idempotencyKey": f"k{next(KEYS)}"}


async def runs_per_s(engine: Engine, app: int, callers: int, for_s: float) -> tuple[float, float]:
    """Runs each second, and milliseconds of a core for each."""
    done = 0

    async def call() -> None:
        nonlocal done
        connection = Connection(engine.port)
        while True:
            status, _, text = await connection.request("POST", "/shop", json.dumps(submission(app)))
            assert status == 200, text
            done += 1

    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    await asyncio.sleep(min(2.0, for_s))
    done, began, cpu = 0, time.monotonic(), machine.cpu_s(engine.process.pid)
    await asyncio.sleep(for_s)
    rate = done / (time.monotonic() - began)
    each_ms = (machine.cpu_s(engine.process.pid) - cpu) * 1_000 / max(done, 1)
    for task in tasks:
        task.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(it, asyncio.CancelledError) for it in told), told
    return rate, each_ms


async def kib_of_open(engine: Engine, app: int) -> float:
    """Memory of a run that is being called."""
    before = engine.mib
    connection = Connection(engine.port)
    for _ in range(OPEN_RUNS):
        body = json.dumps(submission(app) | {"attemptTimeout": 3_600_000})
        status, _, text = await connection.request("POST", "/shop", body, Prefer="respond-async")
        assert status == 202, text
    while (await engine.status())["inFlight"] < min(OPEN_RUNS, 512):
        await asyncio.sleep(0.1)
    return (engine.mib - before) * 1024 / OPEN_RUNS


async def copy_s(engine: Engine, copy: Path) -> float:
    """Seconds for a copy."""
    began = time.monotonic()
    asked = json.dumps({"file": str(copy)})
    status, _, text = await Connection(engine.port).request("POST", "/api/v1/backups", asked)
    assert status == 202, text
    while "lastGood" not in (await engine.status()).get("backup", {}):
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def measure(directory: Path, gb: float, for_s: float) -> dict[str, float]:
    """All rows, and how much was measured with."""
    found: dict[str, float] = {}
    probe = load(directory / "probe.db", "finished", PROBE_RUNS)
    waiting = load(directory / "waiting.db", "waiting", WAITING_RUNS)
    found["bytes_waiting"] = waiting["file_bytes"] / WAITING_RUNS
    runs = max(PROBE_RUNS, round(gb * 1e9 / probe["file_bytes"] * PROBE_RUNS))
    file, copy = directory / "sized.db", directory / "copy.db"
    loaded = load(file, "finished", runs)
    found |= {"runs": runs, "file_bytes": loaded["file_bytes"]}
    found["bytes_finished"] = loaded["file_bytes"] / runs
    at_once, never = await endpoint.serve(0.0), await endpoint.serve(LASTS_S)
    app, slow = (it.sockets[0].getsockname()[1] for it in (at_once, never))
    with engine_on(directory / "empty.db") as engine:
        await engine.ready()
        found["mib_empty"] = engine.mib
        found["kib_open"] = await kib_of_open(engine, slow)
    with engine_on(file) as engine:
        found["ready_s"] = await engine.ready()
        found["mib_file"] = engine.mib
        found["runs_1"], _ = await runs_per_s(engine, app, 1, for_s)
        found["runs_16"], found["cpu_ms"] = await runs_per_s(engine, app, CALLERS, for_s)
        found["backup_s"] = await copy_s(engine, copy)
    began = time.monotonic()
    verify = [sys.executable, "-m", "engine.cli", "verify", str(copy)]
    subprocess.run(verify, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
    found["verify_s"] = time.monotonic() - began
    take_back(copy)
    with engine_on(copy) as engine:
        found["migrate_s"] = await engine.ready()
    return found


def take_back(file: Path) -> None:
    """To the oldest schema."""
    connection = sqlite3.connect(file)
    for statement in TO_M001:
        connection.execute(statement)
    connection.commit()
    connection.close()


def figure(value: float) -> str:
    """With as many digits as it deserves."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def table(found: dict[str, float]) -> str:
    """Markdown."""
    commit = subprocess.run(("git", "rev-parse", "--short", "HEAD"), cwd=ROOT, stdout=subprocess.PIPE,
                            text=True, check=True).stdout.strip()  # fmt: skip
    with_ = (f"Commit {commit}; {os.cpu_count()} cores of {machine.model()}; a file of {found['file_bytes'] / 1e9:.2f} GB with"
             f" {found['runs']:,.0f} runs.")  # fmt: skip
    lines = [with_, "", "| what | measured |", "|---|---|"]
    lines += [f"| {text} | {figure(found[name])} |" for name, text in ROWS.items()]
    return "\n".join(lines)


def write(found: dict[str, float]) -> None:
    """Put it into the page."""
    part = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    text, times = part.subn(lambda _: table(found) + "\n", PAGE.read_text())
    assert times == 1
    PAGE.write_text(text)


async def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gb", type=float, default=0.05, help="of the file")
    parser.add_argument("--for-s", type=float, default=10.0, help="how long runs are counted")
    parser.add_argument("--directory", help="on which disk; else the system's for what is temporary")
    parser.add_argument("--dry-run", action="store_true", help="print, and write no page")
    options = parser.parse_args()
    machine.raise_fd_limit()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        found = await measure(Path(directory), options.gb, options.for_s)
    print(table(found))
    if not options.dry_run:
        write(found)


if __name__ == "__main__":
    asyncio.run(main())
