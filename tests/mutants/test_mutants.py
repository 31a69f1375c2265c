"""The planted bugs fit the engine that there is, and what looks for them finds and misses them."""

from __future__ import annotations

import pytest

from engine.core import retry
from engine.core.retry import RetryPolicy
from tests.mutants.__main__ import main
from tests.mutants.catalog import SIMULATION, Mutant, Planting, catalog, plant
from tests.mutants.search import search

QUICK = (
    "forgotten-attempt", "half-the-back-off", "failure-counted-twice", "other-payload-taken",
    "told-before-commit",
)  # fmt: skip
"""Those that a simulation finds soon, here to prove that it does; `just mutants` does all."""


@pytest.mark.parametrize("mutant", catalog().values(), ids=list(catalog()))
def test_fits_the_engine(mutant: Mutant) -> None:
    """Each bug can be planted: the code that it changes is still there."""
    with mutant.planted():
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_simulation_finds(name: str) -> None:
    """The simulation finds the bug within its first seeds."""
    found = search(catalog()[name], SIMULATION)

    assert found.found, found.after


def double(value: int) -> int:
    """Something to plant a bug in."""
    return value * 2


def test_rewrite_changes_what_others_imported() -> None:
    """A bug is in the function whoever holds it, and gone when it is taken back."""
    held = double
    bug = Planting()
    bug.rewrite(double, "value * 2", "value * 3")
    planted = held(2)
    bug.undo()

    assert (planted, held(2)) == (6, 4)


def test_rewrite_complains_when_the_place_is_gone() -> None:
    """A bug that does not fit any more is an error, not one that nobody finds."""
    with pytest.raises(ValueError, match=r"has 'nothing of it' 0 times"):
        Planting().rewrite(double, "nothing of it", "")


def test_replace_takes_back() -> None:
    """An attribute is set and set back; one that is not there is an error."""
    bug = Planting()
    before = retry.DEFAULT_POLICY
    bug.replace(retry, "DEFAULT_POLICY", RetryPolicy(count=0))
    planted = retry.DEFAULT_POLICY
    bug.undo()

    assert (planted.count, retry.DEFAULT_POLICY) == (0, before)
    with pytest.raises(AttributeError):
        bug.replace(retry, "no_such_thing", None)


def test_entry_says_what_finds_it() -> None:
    """A bug that nothing could count as found is refused."""
    with pytest.raises(ValueError, match="needs `rules`"):
        plant("nothing", by=(SIMULATION,))


@pytest.mark.slow
def test_command_says_what_was_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug that survives ends the command with 1, and is named."""
    code = main(["crash-counted-as-failure", "--seeds", "0"])

    printed = capsys.readouterr().out
    assert code == 1
    assert "NOT: 0 seeds" in printed
    assert printed.endswith("0 of 1 found\nnot found: crash-counted-as-failure (simulation)\n")
