"""`python -m tests.kill --kills 30 --app-kills 10`: the promises under `kill -9`.

The seed chooses callers, faults and moments, not what the machine makes of them: the same seed
gives the same plan, not the same run. On a violation the files are kept and their place is said.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.kill.check import SHOWN_MAX, Findings
from tests.kill.slow_sync import NoCompiler
from tests.kill.trial import Trial


async def run(trial: Trial) -> Findings | None:
    """The trial's findings; None when it was interrupted. Leaves no process behind either way."""

    async def watch() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()

    findings = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        findings = await trial.run()
        nursery.cancel_scope.cancel()
    return findings


def main() -> int:
    """Run a trial, print what was counted; 1 if anything promised was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="of the engine")
    parser.add_argument("--app-kills", type=int, default=10, help="of the application")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--slow-sync", type=int, default=0, help="each sync takes so many ms more")
    parser.add_argument("--mutant", default="", help="a planted bug that the engine has")
    parser.add_argument("--pruned", action="store_true", help="what completed is soon removed")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="atomic-kill-"))
    try:
        trial = Trial(
            *(directory, options.seed, options.kills, options.app_kills),
            *(options.slow_sync, options.mutant, options.pruned),
        )
    except NoCompiler as error:
        parser.error(str(error))
    began = time.monotonic()
    findings = trio.run(run, trial)
    if findings is None:
        print(f"interrupted; kept: {directory}")
        return 130
    counts = {"kills": trial.engine.kills, "kills of the application": trial.app.kills}
    counts["posts cut off"] = trial.load.cuts
    for name, count in {**counts, **findings.counts}.items():
        print(f"{name}: {count}")
    if trial.ready_s:
        low, middle, high = min(trial.ready_s), statistics.median(trial.ready_s), max(trial.ready_s)
        print(f"ready after: min {low:.2f} s, median {middle:.2f} s, max {high:.2f} s")
    print(f"seconds: {time.monotonic() - began:.1f}")
    for violation in findings.violations[:SHOWN_MAX]:
        print(f"VIOLATION {violation}")
    print(f"violations: {len(findings.violations)}")
    if findings.violations:
        print(f"kept: {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
