"""The dashboard's fold is held to the core's: whatever happens to a run, in any order, the rows
that are made of the stream are the rows of what `evolve` gives.
"""

from __future__ import annotations

import pytest

from tests.core.any_run import AnyRun
from tests.core.seeded import run_of as run_of_seed
from tests.tui.watched import Watched

SEEDS = 20


class AnyWatchedRun(AnyRun):
    """Everything that may happen, and after each of it the rows are compared."""

    drives = Watched


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_fold_of_the_stream_is_the_fold_of_the_records(seed: int) -> None:
    """To the end of the run, whatever the seed's workload did to it."""
    run_of_seed(seed, AnyWatchedRun).teardown()
