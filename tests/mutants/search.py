"""Looks for one planted bug in one way, as long as the short form of that way allows."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from msgspec import Struct

from tests.mutants.catalog import KILLS, PROPERTY, SIMULATION, Mutant, catalog
from tests.simulation.world import Simulator

ROOT = Path(__file__).parents[2]
SEEDS_MAX = 200
KILLS_MAX = 12
KILL_SEED = 1
SHOWN_CHARACTERS = 100


class Found(Struct, frozen=True):
    """What came of a search."""

    name: str
    by: str
    found: bool
    after: str
    """After how much of it, or how much was looked through in vain."""
    seconds: float
    what: str
    """The first violation that was found; else one that does not count, if there was any."""


def search(mutant: Mutant, by: str, seeds_max: int = SEEDS_MAX) -> Found:
    """Plant the bug and look for it."""
    began = time.perf_counter()
    ways = {SIMULATION: _simulate, KILLS: _kill, PROPERTY: _test}
    found, after, what = ways[by](mutant, seeds_max)
    seconds = time.perf_counter() - began
    return Found(mutant.name, by, found, after, seconds, " ".join(what.split())[:SHOWN_CHARACTERS])


def end_with_parent() -> None:
    """This process ends when the one that started it does, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def look(name: str, by: str, seeds_max: int = SEEDS_MAX) -> Found:
    """The same by name: for a process that is to have no other bug in it."""
    try:
        return search(catalog()[name], by, seeds_max)
    except Exception as error:
        return Found(name, by, False, "an error", 0.0, repr(error)[-300:])


def _simulate(mutant: Mutant, seeds_max: int) -> tuple[bool, str, str]:
    other = ""
    with mutant.planted(), Simulator() as simulator:
        for seed in range(seeds_max):
            for rule, what in simulator.run(seed).wrong:
                if rule in mutant.rules:
                    return True, _seeds(seed + 1), f"{rule}: {what}"
                other = other or f"{rule}: {what}"
    return False, _seeds(seeds_max), other


def _seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _kill(mutant: Mutant, _: int) -> tuple[bool, str, str]:
    arguments = ["-m", "tests.kill", "--kills", str(KILLS_MAX), "--app-kills", "3"]
    arguments += ["--seed", str(KILL_SEED), "--mutant", mutant.name]
    if mutant.slow_sync_ms:
        arguments += ["--slow-sync", str(mutant.slow_sync_ms)]
    done = _python(arguments)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("VIOLATION ")]
    if done.returncode != bool(wrong):
        raise RuntimeError(f"the kill campaign went wrong: {done.stdout}{done.stderr}")
    return bool(wrong), f"{KILLS_MAX} kills", "".join(wrong[:1]).removeprefix("VIOLATION ")


def _test(mutant: Mutant, _: int) -> tuple[bool, str, str]:
    """The test must pass without the bug and fail with it."""
    run = ("pytest", "-q", "--no-header", "-p", "no:cacheprovider", mutant.test)
    for arguments, wanted in ((["-m", *run], 0), (["-m", "tests.mutants.plant", mutant.name], 1)):
        done = _python(arguments if wanted == 0 else [*arguments, *run])
        if done.returncode not in (wanted, 0):
            raise RuntimeError(f"{mutant.test} went wrong: {done.stdout}{done.stderr}")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return bool(wrong), "1 test", "".join(wrong[:1]).removeprefix("FAILED ")


def _python(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        (sys.executable, *arguments), cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
