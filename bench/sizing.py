"""What an engine takes of a machine: `just sizing --gb 10` measures and writes docs/how-to/sizing.md.

A file of so many gigabytes of runs that completed 40 days ago (`loader.py`, `grow.py`: createUser,
four steps each), an engine of its own on it, and an application that answers at once, all on this machine. Then:
how long it takes to be ready, runs each second, memory, a copy while it runs, `atomic verify` and
`atomic restore` of the copy, the copy taken back to the oldest schema and migrated from there, and
how fast old runs go from the file while nobody else asks for anything. Load generator and application
share the machine's cores. Times are of a disk as it is here.

What is measured beside other work misleads, so that is printed, and the page is left as it is
(`--busy`: written all the same). The making of a large file, some two minutes for each gigabyte, needs no
quiet machine: `loader.py FILE --kind finished --runs 10000 --days-ago 40` and `grow.py FILE --gb 10`
make one before, and `--file FILE` measures with it and uses it up.
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
from one_engine import Engine, engine_on

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from tests.store.older import TO_M001  # noqa: E402

PAGE = ROOT / "docs" / "how-to" / "sizing.md"
BEGIN, END = "<!-- begin: written by `just sizing` -->", "<!-- end: written by `just sizing` -->"
MADE_RUNS = 10_000
"""The file's first; the others are copies of them (grow.py)."""
WAITING_RUNS = 5_000
OPEN_RUNS = 1_000
CALLERS = 16
DAYS = 40
"""So old the file's runs are."""
PRUNED_S, STILL_S = 30.0, 5.0
"""It is looked at for so long, and no longer than this once nothing goes any more."""
LASTS_S = 600.0
"""What open runs are called at does not answer for so long."""
KEYS = count()
ROWS = {
    "bytes_finished": "bytes in the file for each run that completed, of four steps",
    "bytes_waiting": "bytes in the file for each run of one step that waits in back-off",
    "runs_1": "runs of one step each second, one caller",
    "runs_16": f"runs of one step each second, {CALLERS} callers",
    "cpu_ms": "milliseconds of a core for each run of one step, the engine's",
    "mib_empty": "MiB of memory, on an empty file",
    "mib_file": "MiB of memory, on this file, before any work",
    "kib_open": "KiB of memory for each run that is called at a time",
    "ready_s": "seconds from the start until it is ready, on this file",
    "backup_s": "seconds for a copy while it runs",
    "verify_s": "seconds for `atomic verify` of the copy",
    "restore_s": "seconds for `atomic restore` of the copy, which verifies it first",
    "migrate_s": "seconds for a start that migrates the copy from the oldest schema",
    "prune_s": "seconds for each 1,000 runs of four steps that retention removes",
}
"""What is measured, in the table's order and words."""


def load(file: Path, kind: str, runs: int) -> dict[str, Any]:
    """Make a file; what the loader says."""
    command = [sys.executable, HERE / "loader.py", file, "--kind", kind, "--runs", runs,
               "--days-ago", DAYS]  # fmt: skip
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


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


def made(file: Path, gb: float) -> None:
    """Make a file of this size."""
    load(file, "finished", MADE_RUNS)
    subprocess.run([sys.executable, HERE / "grow.py", file, "--gb", str(gb)],
                   stdout=subprocess.DEVNULL, check=True)  # fmt: skip


async def measure(directory: Path, file: Path, for_s: float) -> dict[str, float]:
    """All rows, and how much was measured with."""
    found: dict[str, float] = {}
    waiting = load(directory / "waiting.db", "waiting", WAITING_RUNS)
    found["bytes_waiting"] = waiting["file_bytes"] / WAITING_RUNS
    copy = directory / "copy.db"
    found["file_bytes"] = sum(it.stat().st_size for it in file.parent.glob(f"{file.name}*"))
    found["runs"] = runs_in(file)
    found["bytes_finished"] = found["file_bytes"] / found["runs"]
    at_once, never = await endpoint.serve(0.0), await endpoint.serve(LASTS_S)
    app, slow = (it.sockets[0].getsockname()[1] for it in (at_once, never))
    async with engine_on(directory / "empty.db") as (engine, _):
        found["mib_empty"] = engine.mib
        found["kib_open"] = await kib_of_open(engine, slow)
    async with engine_on(file) as (engine, found["ready_s"]):
        found["mib_file"] = engine.mib
        found["runs_1"], _ = await runs_per_s(engine, app, 1, for_s)
        found["runs_16"], found["cpu_ms"] = await runs_per_s(engine, app, CALLERS, for_s)
        found["backup_s"] = await copy_s(engine, copy)
    found["verify_s"] = command_s("verify", copy)
    found["restore_s"] = command_s("restore", copy, "--to", directory / "restored.db")
    take_back(copy)
    async with engine_on(copy) as (_, found["migrate_s"]):
        pass
    async with engine_on(file, retention_days=DAYS - 10) as (engine, _):
        found["prune_s"] = await prune_s(engine)
    return found


def runs_in(file: Path) -> float:
    """How many runs it has."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    (runs,) = connection.execute("SELECT count(*) FROM run").fetchone()
    connection.close()
    return float(runs)


def command_s(*command: object) -> float:
    """How many seconds a command takes."""
    began = time.monotonic()
    whole = [sys.executable, "-m", "engine.cli", *map(str, command)]
    subprocess.run(whole, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


async def prune_s(engine: Engine) -> float:
    """Seconds for a thousand runs, of those that go within PRUNED_S, or all."""
    await engine.prune()
    began, gone, lasted = time.monotonic(), 0, 0.0
    while (now := time.monotonic() - began) < PRUNED_S:
        runs = (await engine.status())["retention"]["runsExpired"]
        if runs > gone:
            gone, lasted = runs, now
        elif now > lasted + STILL_S:
            break
        await asyncio.sleep(0.2)
    assert gone, "retention has removed nothing"
    return lasted / gone * 1_000


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
    parser.add_argument("--file", type=Path, help="made before by loader.py and grow.py; it is used up")
    parser.add_argument("--for-s", type=float, default=10.0, help="how long runs are counted")
    parser.add_argument(
        "--directory", help="on which disk; else the system's for what is temporary"
    )
    parser.add_argument("--dry-run", action="store_true", help="print, and write no page")
    parser.add_argument("--busy", action="store_true", help="write it, whoever works beside it")
    options = parser.parse_args()
    if options.file is not None and not options.file.is_file():
        parser.error(f"--file {options.file}: there is no such file")
    machine.raise_fd_limit()
    busy = machine.wait_quiet()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        file = options.file or Path(directory) / "sized.db"
        if options.file is None:
            made(file, options.gb)
        found = await measure(Path(directory), file, options.for_s)
    print(table(found))
    if busy >= machine.QUIET_CORES and not options.busy:
        print(f"{busy} cores were busy with other work when this began: the page is left as it is")
    elif not options.dry_run:
        write(found)


if __name__ == "__main__":
    asyncio.run(main())
