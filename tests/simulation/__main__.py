"""`python -m tests.simulation --seeds N`: simulate, report, and say how to replay what failed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.world import Report, Simulator

SEEDS_FILE = Path(__file__).with_name("seeds.txt")


def kept_seeds() -> list[int]:
    """Seeds that once failed: they run first, for ever."""
    lines = SEEDS_FILE.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds asked for; 1 if any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="only this one: replay")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        seeds = [asked.seed]
        print(f"seed {asked.seed}")
    else:
        seeds = list(range(asked.first, asked.first + asked.seeds))
        kept = [seed for seed in kept_seeds() if seed not in seeds]
        print(f"first seed {asked.first}, {asked.seeds} seeds, and {len(kept)} that once failed")
        seeds = kept + seeds
    began = time.perf_counter()
    reports: list[Report] = []
    with Simulator() as simulator:
        for seed in seeds:
            report = simulator.run(seed, trace=asked.trace)
            reports.append(report)
            _print_wrong(report)
    _print_summary(reports, time.perf_counter() - began)
    return 1 if any(report.wrong for report in reports) else 0


def _print_wrong(report: Report) -> None:
    if not report.wrong:
        return
    print(f"seed {report.seed} FAILED; replay: python -m tests.simulation --seed {report.seed}")
    for rule, what in report.wrong[:5]:
        print(f"  {rule}: {what}")
    if len(report.wrong) > 5:
        print(f"  and {len(report.wrong) - 5} more")


def _print_summary(reports: list[Report], seconds: float) -> None:
    notes: Counter[str] = Counter()
    for report in reports:
        notes.update(report.notes)
    hours = sum(report.simulated_s for report in reports) / 3600
    print(
        f"{len(reports)} seeds, {sum(bool(report.wrong) for report in reports)} with violations,"
        f" {sum(report.lives for report in reports):,} lives of the engine,"
        f" {sum(report.calls for report in reports):,} calls,"
        f" {sum(report.posts for report in reports):,} posts,"
        f" {sum(report.events for report in reports):,} events,"
        f" {hours:,.1f} simulated hours in {seconds:.1f} s"
        f" ({len(reports) / seconds * 60:,.0f} seeds a minute)"
    )
    for family in ("fault", "death", "act", "answer", "situation"):
        found = sorted((k, v) for k, v in notes.items() if k.startswith(f"{family}:"))
        words = [f"{name.partition(':')[2]} {count:,}" for name, count in found]
        print(f"  {family}: {', '.join(words)}")


if __name__ == "__main__":
    sys.exit(main())
