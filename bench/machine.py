"""What the system says of processes and of itself: memory, CPU, bytes, ports. Linux, from /proc."""

from __future__ import annotations

import os
import random
import resource
import socket
import time
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
quiet_wait_s = 60.0
"""How long a run waits for the machine to be quiet, at most; set once at the start."""
QUIET_CORES = 0.15
"""Quiet: less than this many cores busy."""


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            below.setdefault(int(stat[stat.rfind(")") + 2 :].split()[1]), []).append(int(name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += below.get(found[-1], [])
    return found


def pss_mib(pid: int) -> float:
    """Resident memory of the tree, shared pages counted by share (Pss), MiB."""
    kib = 0
    for each in tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def written_bytes(pid: int) -> int:
    """Bytes of files that the tree has made the system write (`write_bytes`): whole pages, each
    counted when it is dirtied. Sockets and pipes are not in it."""
    total = 0
    for each in tree(pid):
        try:
            lines = Path(f"/proc/{each}/io").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
    return total


def cpu_s(pid: int) -> float:
    """CPU seconds of the tree so far, with ended children that were waited for."""
    total = 0
    for each in tree(pid):
        try:
            stat = Path(f"/proc/{each}/stat").read_text()
        except OSError:
            continue
        total += sum(map(int, stat[stat.rfind(")") + 2 :].split()[11:15]))
    return total / TICKS_PER_S


def busy_s() -> float:
    """Core seconds of the whole machine that were not idle, since it started."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S


def wait_quiet() -> float:
    """Wait until nothing uses more than QUIET_CORES; returns the cores that were busy last."""
    end = time.monotonic() + quiet_wait_s
    while True:
        before = busy_s()
        time.sleep(0.5)
        cores = (busy_s() - before) / 0.5
        if cores < QUIET_CORES or time.monotonic() > end:
            return round(cores, 2)
        print(f"  waiting for a quiet machine: {cores:.2f} cores busy", flush=True)
        time.sleep(min(4, quiet_wait_s))


def free_port() -> int:
    """A port of loopback that is free, below those that the system gives to outgoing connections:
    a server that is killed and started again must find it free."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def is_taken(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def raise_fd_limit() -> int:
    """Take as many file descriptors as are allowed; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def model() -> str:
    """The CPU's name for itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown CPU"


def memory_gib() -> int:
    """Memory of the machine, GiB."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
