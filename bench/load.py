"""Runs the load generator against a system, and notes what else was busy meanwhile."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import machine
from systems import HERE, HOME, System

EXPECTED = "sendAnalytics"
"""What every right answer of createUser holds."""


def build() -> None:
    """Compile the generator if it is older than its source."""
    binary, source = HOME / "hload", HERE / "hload.c"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        HOME.mkdir(parents=True, exist_ok=True)
        libraries = ("-lm", "-lssl", "-lcrypto")
        subprocess.run(["gcc", "-O2", "-o", binary, source, *libraries], check=True)


def command(
    system: System, callers: int, *, warm_s: float, window_s: float, body: str | None = None,
    expected: str = EXPECTED, requests_max: int | None = None, rate: float | None = None,
    drain_s: float = 60, acknowledged: str | None = None,
) -> list[str]:  # fmt: skip
    """The generator's command line; every request has a random key."""
    text = [f"{HOME}/hload", "-p", system.port, "-P", system.path, "-c", callers, "-R", "-w", warm_s,
            "-d", window_s, "-t", drain_s, "-e", expected, "-b", body or system.body]  # fmt: skip
    if requests_max is not None:
        text += ["-n", requests_max]
    if rate is not None:
        text += ["-r", rate]
    if acknowledged is not None:
        text += ["-a", acknowledged]
    if system.tls:
        text += ["-T"]
    if system.token:
        text += ["-H", f"Authorization: Bearer {system.token}"]
    for name, pid in system.pids.items():
        text += ["-m", f"{name}:{pid}"]
    return list(map(str, text))


def closed_loop(system: System, callers: int, **options: Any) -> dict[str, Any]:
    """Load from so many callers, each posting again once answered, on a quiet machine.

    Answers what hload.c prints, and `other_cores`: what was busy beside system and generator.
    """
    quiet = machine.wait_quiet()
    began, busy = time.monotonic(), machine.busy_s()
    own = {name: machine.cpu_s(pid) for name, pid in system.pids.items()}
    done = subprocess.run(command(system, callers, **options), stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    ours = sum(machine.cpu_s(pid) - own[name] for name, pid in system.pids.items())
    ours += result["cpu_s"]["gen"] * (result["sent"] / max(result["n"], 1))
    others = (machine.busy_s() - busy - ours) / (time.monotonic() - began)
    memory = {name: round(machine.pss_mib(pid), 1) for name, pid in system.pids.items()}
    return {**result, "quiet_before": quiet, "other_cores": round(others, 2), "mem_mib": memory}


def line(result: dict[str, Any]) -> str:
    """A result for people."""
    errors = {name: result[name] for name in ("err_status", "err_sock", "err_body", "timeouts")}
    cpu = ", ".join(f"{name} {ms:.2f}" for name, ms in result["cpu_s_per_1000"].items())
    text = (f"c={result['c']}: {result['rate']:.0f}/s, p50 {result['p50_ms']:.1f} ms,"
            f" p99 {result['p99_ms']:.1f} ms; CPU ms each: {cpu}; others {result['other_cores']} cores")  # fmt: skip
    wrong = {name: n for name, n in errors.items() if n}
    return f"{text}; ERRORS {wrong} {result['firsterr'][:200]}" if wrong else text
