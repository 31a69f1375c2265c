"""The tables: on the terminal, and between two marks of docs/performance.md, with the chart beside it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import chart
import goals
import machine
from goals import Results, number
from systems import HERE, HOME, ROOT

RESULTS = "rows.jsonl"
PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- begin: written by `just bench` -->", "<!-- end: written by `just bench` -->"
MIXED = " Systems of the row speed were measured in different sittings: their ratios are not fair."
MET = {True: "yes", False: "**no**", None: "–"}
NAMES = {
    "atomic": "Atomic", "atomic-httpx": "Atomic, its application on httpx", "restate-calls": "Restate",
    "restate-calls-uvloop": "Restate, its application on uvloop", "dbos-sqlite": "DBOS, SQLite",
    "floor": "no durability, httpx", "floor-aiohttp": "no durability, aiohttp",
    "restate-calls-2p": "Restate, 2 partitions", "restate-run": "Restate, steps inside the handler",
}  # fmt: skip
SHAPES = {
    "chain": "a chain of 10 steps", "fanOut": "a fan-out of 100 steps",
    "large": "`createUser`, 16 KiB of payload to each step",
    "failing": "`createUser`, 20 % of attempts fail, back-off 10 ms",
}  # fmt: skip


# -- where it was measured -------------------------------------------------------------------------


def _output(*command: Any) -> str:
    try:
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _pinned(name: str) -> str:
    found = re.search(
        re.escape(name) + r"(?:\[\w+\])?(?:==|@)([\d.]+)", (HERE / "setup.sh").read_text()
    )
    return found[1] if found else "?"


def provenance() -> dict[str, Any]:
    """What a figure depends on beside the code measured: commit, versions, machine. No time."""
    commit = _output("git", "rev-parse", "--short", "HEAD")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", "engine")
    return {
        "commit": (commit or "unknown") + (" with changes" if changed else ""),
        "python": platform.python_version(), "sqlite": sqlite3.sqlite_version,
        "trio": importlib.metadata.version("trio"),
        "restate": _pinned("restate-server"), "dbos": _pinned("dbos"),
        "cores": os.cpu_count(), "cpu": machine.model(), "memory_gib": machine.memory_gib(),
    }  # fmt: skip


def _about(results: Results) -> list[str]:
    """One line for each machine and set of versions that results come from."""
    rows: dict[str, list[str]] = {}
    for each in results.all:
        a = each["about"]
        text = (f"Commit {a['commit']}; Python {a['python']}, SQLite {a['sqlite']}, Trio {a['trio']};"
                f" Restate {a['restate']}, DBOS {a['dbos']}; {a['cores']} cores of {a['cpu']}, {a['memory_gib']} GiB")  # fmt: skip
        if each["row"] not in rows.setdefault(text, []):
            rows[text].append(each["row"])
    if len(rows) == 1:
        return [f"{next(iter(rows))}."]
    return [f"- {text} (rows {', '.join(names)})." for text, names in rows.items()]


# -- tables ----------------------------------------------------------------------------------------


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def goals_table(results: Results, names: list[str] | None = None) -> list[str]:
    """Goal and measured value side by side."""
    lines = goals.lines(results, names)
    rows = [[line.measure, line.goal, line.measured, line.ratio, MET[line.met]] for line in lines]
    return _table(["measure", "goal", "measured", "ratio", "met"], rows)


def speed_table(results: Results) -> list[str]:
    """All systems, all numbers of callers."""
    systems = list(dict.fromkeys(each["system"] for each in results.of("speed")))
    callers = sorted({each["c"] for each in results.of("speed")})
    rows = []
    for system in sorted(systems, key=list(NAMES).index):
        cells = []
        for c in callers:
            rate = results.value("speed", "rate", system=system, c=c)
            p50 = results.value("speed", "p50_ms", system=system, c=c)
            p99 = results.value("speed", "p99_ms", system=system, c=c)
            cells.append(
                "–" if rate is None else f"{number(rate)} /s, {number(p50)} ms, {number(p99)} ms"
            )
        cpu = [
            results.value("speed", f"cpu_s_per_1000.{who}", system=system, c=50)
            for who in ("server", "app")
        ]
        rows.append([NAMES[system], *cells, f"{number(cpu[0])} + {number(cpu[1])} ms"])
    head = [
        "system",
        *(f"{c:,} caller{'s' if c > 1 else ''}" for c in callers),
        "CPU at 50, server + application",
    ]
    return _table(head, rows) if rows else []


def shapes_table(results: Results) -> list[str]:
    """Ours alone."""
    rows = []
    for shape, text in SHAPES.items():
        rate = results.value("shapes", "rate", shape=shape)
        p50, c = (results.value("shapes", name, shape=shape) for name in ("p50_ms", "c"))
        if rate is not None:
            rows.append(
                [text, number(c).partition(".")[0], f"{number(rate)} /s", number(p50, "ms")]
            )
    return _table(["work", "callers", "workflows", "p50"], rows) if rows else []


def written_table(results: Results) -> list[str]:
    """Bytes and syncs, and after a crash."""
    rows = []
    for system in NAMES:
        each = results.value("written", "bytes_each", system=system)
        given = results.value("written", "call_bytes_each", system=system)
        syncs = results.value("written", "syncs_each", system=system)
        excess = results.value("recovery", "excess_s", system=system)
        if each is not None or excess is not None:
            rows.append([NAMES[system], number(each and each / 1000, "KB"), number(given and given / 1000, "KB"),
                         number(syncs), number(excess, "s")])  # fmt: skip
    head = [
        "system",
        "written per workflow",
        "given to write calls",
        "syncs per workflow",
        "excess after kill -9",
    ]
    return _table(head, rows) if rows else []


def client_table(results: Results) -> list[str]:
    """What the application posts with: workflows a second, and its CPU for each."""
    found = results.of("client")
    hanging = sorted({each["hanging"] for each in found})
    rows = []
    for how in dict.fromkeys((each["lib"], each["loop"], each["tls"]) for each in found):
        wanted = dict(zip(("lib", "loop", "tls"), how, strict=True))
        cells = []
        for posts in hanging:
            rate = results.value("client", "rate", hanging=posts, **wanted)
            cpu = results.value("client", "cpu_s_per_1000.app", hanging=posts, **wanted)
            cells.append("–" if rate is None else f"{number(rate)} /s, {number(cpu)} ms")
        lib, loop, tls = how
        where = ("Trio" if loop == "trio" else "asyncio") + (", TLS" if tls else "")
        rows.append([lib, where, *cells])
    head = ["client", "on", *(f"{posts:,} posts hang" for posts in hanging)]
    return _table(head, sorted(rows, key=lambda row: (len(row[1]), row[1]))) if rows else []


def page(results: Results, rounds: int) -> str:
    """What stands between the marks."""
    parts = [
        *_about(results), "", *goals_table(results), "",
        f"Medians of {rounds} round{'s' if rounds > 1 else ''}; `–`: not measured. How each is defined: the docstrings"
        f" of `bench/row_*.py`.{MIXED if len(results.sittings('speed')) > 1 else ''}", "",
        "![CPU of the server for each workflow, against callers and against stored runs](performance.svg)", "",
        "Workflows per second, median and 99th percentile of latency:", "", *speed_table(results), "",
        "Bytes and syncs at 50 callers, and recovery of 2,000 workflows:", "", *written_table(results), "",
        "Other work, on the engine alone:", "", *shapes_table(results), "",
        "What the application posts with, workflows per second and its CPU for each, while so many posts hang:",
        "", *client_table(results),
    ]  # fmt: skip
    return "\n".join(parts)


def read(form: str) -> Results:
    """All results of this form."""
    path = HOME / RESULTS
    lines = path.read_text().splitlines() if path.exists() else []
    return Results([each for each in map(json.loads, lines) if each["form"] == form])


def write_page(text: str, file: Path = PAGE) -> None:
    """Replace what stands between the marks; the rest of the page is prose by hand."""
    before, found, rest = file.read_text().partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise SystemExit(f"{file.name} has no marks to write between: {BEGIN} and {END}")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def tell(*, short: bool) -> None:
    """Print the goals; in the full form also write the page and the chart."""
    results = read("short" if short else "full")
    if not results.all:
        raise SystemExit("there are no results of this form yet")
    rounds = 1 + max((each.get("round", 0) for each in results.all), default=0)
    measured = [name for name in goals.ROWS if results.of(name)]
    print("\n".join(["", *_about(results), "", *goals_table(results, measured)]))
    print("\n".join(["", *shapes_table(results), "", *client_table(results)]))
    if len(results.sittings("speed")) > 1:
        print(f"\n{MIXED.strip()}")
    if short:
        (HOME / "short.md").write_text(page(results, rounds) + "\n")
        (HOME / "performance.svg").write_text(chart.draw(results))
        print("\nall tables: $BENCH_HOME/short.md")
        return
    write_page(page(results, rounds))
    CHART.write_text(chart.draw(results))
    print("\nwritten: docs/performance.md, docs/performance.svg")
