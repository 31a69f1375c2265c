"""Whatever the workload of `seeded.py` does to a run, the invariants hold."""

from __future__ import annotations

import pytest

from engine.core.events import CancelAsked, Event, Replaced
from engine.core.model import PauseReason
from tests.core.seeded import run_of

SEEDS = 120


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_seeded_runs(first: int) -> None:
    """Every invariant holds on the way, and every run can be driven to its end."""
    for seed in range(first, first + 20):
        world = run_of(seed)
        world.teardown()
        assert world.driven.run.open_steps == 0, seed


@pytest.mark.slow
def test_the_seeds_reach_what_is_rare() -> None:
    """The workload is worth its time: the corners of the contract are visited."""
    events: list[Event] = []
    reasons: set[PauseReason | None] = set()
    generations = 0
    for seed in range(40):
        run = run_of(seed).driven
        events += run.events
        reasons |= {getattr(event, "pause_reason", None) for event in run.events}
        generations = max(generations, *(step.generation for step in run.run.steps.values()))
    kinds = {type(event) for event in events}
    assert {CancelAsked, Replaced} <= kinds
    assert {PauseReason.EXHAUSTED, PauseReason.POISONED, PauseReason.UNHANDLED_FAILURE} <= reasons
    assert generations >= 3
