"""A seed is a seed: the same schedule, the same trace, in this process and in another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.simulation.determinism import run_seeded
from tests.simulation.world import Simulator

ROOT = Path(__file__).parents[2]
SEEDS = (3, 13, 17, 37, 42)  # of which two prune
PRINT_DIGESTS = f"""
from tests.simulation.world import Simulator
with Simulator() as simulator:
    print(*[simulator.run(seed).digest for seed in {SEEDS}])
"""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made


async def schedule() -> tuple[tuple[str, int], ...]:
    """Five tasks that take turns: the order depends on Trio's chance alone."""
    trace: list[tuple[str, int]] = []

    async def tracer(name: str) -> None:
        for turn in range(50):
            trace.append((name, turn))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for index in range(5):
            nursery.start_soon(tracer, str(index))
    return tuple(trace)


def test_trios_scheduler_follows_the_seed() -> None:
    """The canary for Trio's private names: one seed, one schedule; another seed, another."""
    traces = {run_seeded(0, schedule) for _ in range(10)}

    assert len(traces) == 1
    assert run_seeded(1, schedule) not in traces


def test_trios_chance_is_given_back() -> None:
    """What is seeded for a simulation does not seed what runs after it."""
    run_seeded(0, schedule)

    assert trio.run(schedule) != trio.run(schedule)


@pytest.mark.slow
def test_a_seed_has_one_trace(simulator: Simulator) -> None:
    """The same seeds once more, in another order, and in a process with another hash seed."""
    digests = [simulator.run(seed).digest for seed in SEEDS]
    again = [simulator.run(seed).digest for seed in reversed(SEEDS)]
    other = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert again == digests[::-1]
    assert other.stdout.split() == digests
    assert len(set(digests)) == len(digests)
