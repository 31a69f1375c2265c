"""How the tests are spread over the cores (pytest-xdist), and how long Hypothesis may take."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Postgres, running_postgres

SLOW = (HealthCheck.too_slow,)
settings.register_profile("suite", deadline=None, suppress_health_check=SLOW, derandomize=True)
# `just fuzz`: other examples each time
settings.register_profile(
    "fuzz", deadline=None, suppress_health_check=SLOW, print_blob=True, max_examples=500
)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """What the tests start hears a hang-up, under `nohup` too: a handler is not handed on to it."""
    tests_run_here = config.getoption("dist", "no") == "no"
    if tests_run_here and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look at it again, a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Who names tests or files has them in this process: at once, and what they print is seen.

    Else there is one for each core; xdist would count two that share their units once, where
    psutil is there.
    """
    named = all("::" in argument or argument.endswith(".py") for argument in config.args)
    return 0 if named else os.cpu_count() or 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """An equal share for each core, in order, and of the longest rest half when one has no more.

    So neighbours stay together: an engine that a file shares is seldom started twice.
    """
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a test's store; nothing is there yet."""
    return tmp_path / "a.db"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of a process: each takes a database of its own. Who stops it starts it
    again."""
    with running_postgres() as server:
        yield server
