"""Bytes written and syncs for each createUser at 50 callers, with random keys.

`bytes_each`: what the server's process made the system write (`write_bytes` of /proc/PID/io, whole pages),
over all workflows that were answered. `syncs_each` and `call_bytes_each` come from a second, slower run
under strace: fsync, fdatasync and sync_file_range, and the bytes given to write calls, on files of the
server's data alone. Without strace they are None.
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import load
import machine
from forms import Form, Record, say
from systems import HOME, SYSTEMS, System, processes

CALLERS = 50
WRITES = "write,writev,pwrite64,pwritev,pwritev2"
SYNCS = "fsync,fdatasync,sync_file_range,msync"
_CALL = re.compile(r"(\w+)\(\d+<([^>]*)>(.*)")
_COUNT = re.compile(r'^, (?:"[^"]*"(?:\.\.\.)?|0x\w+), (\d+)')
_VECTOR = re.compile(r"iov_len=(\d+)")


def count(trace: str, data: Path) -> tuple[int, int]:
    """Bytes written to, and syncs of, files below `data`, in strace's output (-f -y -s 0)."""
    written = syncs = 0
    for line in trace.splitlines():
        call = _CALL.search(line)
        if call is None or not call[2].startswith(f"{data}/"):
            continue
        if call[1] in SYNCS.split(","):
            syncs += 1
        elif one := _COUNT.match(call[3]):
            written += int(one[1])
        else:
            written += sum(map(int, _VECTOR.findall(call[3])))
    return written, syncs


def _warm(system: System) -> None:
    load.closed_loop(system, CALLERS, warm_s=0, window_s=60, requests_max=200)


def _bytes(name: str, form: Form) -> dict[str, float]:
    with processes() as p:
        system = SYSTEMS[name](p)
        time.sleep(1)
        _warm(system)
        before = machine.written_bytes(system.pids["server"])
        result = load.closed_loop(system, CALLERS, warm_s=0, window_s=form.window_s)
        written = machine.written_bytes(system.pids["server"]) - before
    done = max(result["done_total"], 1)
    return {"bytes_each": written / done, "done": done, "rate": result["rate"]}


def _syncs(name: str, form: Form) -> dict[str, float | None]:
    if shutil.which("strace") is None:
        return {"syncs_each": None, "call_bytes_each": None}
    out = HOME / f"strace.{name}"
    out.unlink(missing_ok=True)
    wrap = ("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "0",
            "-e", f"trace={WRITES},{SYNCS}", "-o", str(out))  # fmt: skip
    with processes() as p:
        system = SYSTEMS[name](p, wrap=wrap)
        time.sleep(1)
        _warm(system)
        before = out.stat().st_size
        result = load.closed_loop(system, CALLERS, warm_s=0, window_s=form.window_s / 2)
        time.sleep(0.5)
        after = out.stat().st_size
    with out.open("rb") as file:
        file.seek(before)
        trace = file.read(after - before).decode(errors="replace")
    out.unlink()
    written, syncs = count(trace, HOME / f"data-{name.split('-')[0]}")
    done = max(result["done_total"], 1)
    return {
        "syncs_each": syncs / done,
        "call_bytes_each": written / done,
        "traced_rate": result["rate"],
    }


def run(form: Form, record: Record) -> None:
    """Ours each round; the peers too in the full form, for comparison."""
    peers = ("restate-calls", "dbos-sqlite") if form.peers_everywhere else ()
    for turn in range(form.rounds):
        for name in ("atomic", *peers):
            values = {**_bytes(name, form), **_syncs(name, form)}
            say(f"{name} {values}")
            record("written", system=name, round=turn, **values)
