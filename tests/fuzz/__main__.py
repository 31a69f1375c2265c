"""`just fuzz`: draw examples until the time is over, and fail at the first that is a bug.

What failed is printed as it was drawn, and Hypothesis keeps it in `.hypothesis`: the next round
begins with it.
"""

from __future__ import annotations

import subprocess
import sys
import time

import click

from tests.fuzz import ELSEWHERE


def command(arguments: tuple[str, ...]) -> list[str]:
    """One round over all of them: other examples than in the round before."""
    places = arguments or ("tests/fuzz", *ELSEWHERE)
    return [
        *(sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "hypothesis"),
        *("--hypothesis-profile=fuzz", "--hypothesis-seed=random", *places),
    ]


@click.command()
@click.option("--minutes", type=click.FloatRange(0), default=10, show_default=True)
@click.argument("places", nargs=-1)
def fuzz(minutes: float, places: tuple[str, ...]) -> None:
    """Draw examples for so long. The round that is under way when the time is over is ended."""
    end = time.monotonic() + minutes * 60
    rounds = 0
    while (left := end - time.monotonic()) > 0:
        try:
            done = subprocess.run(command(places), timeout=left, check=False)
        except subprocess.TimeoutExpired:
            break
        rounds += 1
        if done.returncode:
            sys.exit(done.returncode)
    if not rounds:
        sys.exit(f"No round was over in {minutes:g} minutes: give it more.")
    click.echo(f"{rounds} whole rounds in {minutes:g} minutes: nothing found.")


if __name__ == "__main__":
    fuzz()
