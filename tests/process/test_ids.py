"""Run ids: they rise, and say nothing of how many others there are."""

from __future__ import annotations

from itertools import pairwise

from engine.process.clock import Ids
from tests.world import FakeClock


async def test_ids_of_one_moment_rise_and_are_no_neighbours() -> None:
    """Else the gap between two would tell how many were made between them, also of others."""
    ids = Ids(FakeClock())
    made = [ids.run_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    same = [(a, b) for a, b in pairwise(made) if a[:-3] == b[:-3]]
    assert same == []


async def test_ids_rise_when_the_clock_goes_back() -> None:
    """As lists are in their order."""
    clock = FakeClock()
    ids = Ids(clock)
    before = ids.run_id()
    clock._base_ms -= 60_000
    assert ids.run_id() > before
