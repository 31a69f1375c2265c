"""The whole engine in simulated worlds: drawn ones, and one that is told and broken everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from engine.core.rules import attempt
from tests.simulation.__main__ import kept_seeds, main
from tests.simulation.life import Death
from tests.simulation.scenarios import plan
from tests.simulation.swarm import CALL_FAULTS, DEATHS, POST_FAULTS
from tests.simulation.world import Simulator

SEEDS = 70
SHARES = 3
"""Of the seeds: no core is busy with the last test for long while the others rest."""
POINTS_MAX = 200
COMMIT_DEATHS = ("before-commit", "after-commit", "commit-refused", "commit-unsure")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_seeds_hold_the_contract(simulator: Simulator, share: int) -> None:
    """Seeds that once failed, then some more: no violation, and every kind of fault is met."""
    notes: Counter[str] = Counter()
    for seed in [*kept_seeds(), *range(SEEDS)][share::SHARES]:
        report = simulator.run(seed)
        assert not report.wrong, f"python -m tests.simulation --seed {seed}: {report.wrong[0]}"
        notes.update(report.notes)

    missed = {f"fault:{kind}" for kind in CALL_FAULTS + POST_FAULTS} - set(notes)
    missed |= {f"death:{way}" for way in DEATHS} - set(notes)
    missed |= {"fault:store-away", "situation:store away", "situation:asked"} - set(notes)
    assert not missed


@pytest.mark.slow
@pytest.mark.parametrize("how", COMMIT_DEATHS)
def test_dies_at_every_commit(simulator: Simulator, how: str) -> None:
    """The engine dies at its first commit, its second, … until the scenario ends without."""
    for point in range(1, POINTS_MAX):
        report = simulator.run(0, plan(Death(how, point)))
        assert not report.wrong, f"{how} {point}: {report.wrong}"
        if not report.notes[f"death:{how}"]:
            assert point > 20, "the scenario is too small to prove anything"
            return
    raise AssertionError("the scenario never ends")


@pytest.mark.slow
def test_dies_at_every_commit_and_again_in_recovery(simulator: Simulator) -> None:
    """The same with a second death, at the first commit of the recovery."""
    for point in range(1, POINTS_MAX):
        report = simulator.run(0, plan(Death("after-commit", point), Death("recovery", 1)))
        assert not report.wrong, f"{point}: {report.wrong}"
        if not report.notes["death:after-commit"]:
            return
    raise AssertionError("the scenario never ends")


@pytest.mark.slow
def test_dies_at_task_steps(simulator: Simulator) -> None:
    """The engine dies between any two steps of its tasks (every third of them here)."""
    for point in range(1, 20_000, 3):
        report = simulator.run(0, plan(Death("checkpoint", point)))
        assert not report.wrong, f"{point}: {report.wrong}"
        if not report.notes["death:checkpoint"] or point > 1_000:
            return
    raise AssertionError("the scenario never ends")


@pytest.mark.slow
def test_command_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--seed N` runs that seed alone, says so first, and ends with 0 when nothing is wrong."""
    code = main(["--seed", "1"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "seed 1"
    assert lines[1].startswith("1 seeds, 0 with violations")


@pytest.mark.slow
def test_command_says_how_to_replay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A violation ends with 1, and names the seed with the command that replays it."""
    monkeypatch.setattr(attempt, "next_delay_ms", lambda policy, retry, chance: 0)

    code = main(["--first", "0", "--seeds", "2"])

    printed = capsys.readouterr().out
    assert code == 1
    assert printed.startswith("first seed 0, 2 seeds")
    assert "FAILED; replay: python -m tests.simulation --seed " in printed
    assert "R10" in printed
