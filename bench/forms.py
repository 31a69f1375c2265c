"""How much is measured: the full form, which the tables are made of, and a short one for a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Record = Callable[..., None]
"""Keeps one result: record(row, **values)."""


@dataclass(frozen=True)
class Form:
    """Counts and durations; a round is one run of every system in turn."""

    name: str
    rounds: int
    quiet_wait_s: float
    """How long each run waits for a quiet machine, at most."""
    warm_s: float
    window_s: float
    systems: tuple[str, ...]
    peers_everywhere: bool
    """Whether bytes written and recovery are measured on the peers too."""
    stored_runs: int
    waiting_runs: int
    soon_runs: int
    """Of the waiting runs, how many are due together after the engine's second start."""
    soon_s: float
    """How long after the loading they are due: the engine is watched that long."""
    held_callers: int
    probe_s: float
    """How long other requests are timed while callers are held."""
    recovered_runs: int
    overload_s: float
    action_steps: int
    """Steps of the runs that actions are carried out on: their limit, by default."""
    hanging_posts: tuple[int, ...] = (50, 200, 1_000)
    """How many posts of the application hang while its client is measured."""


ROUND = ("atomic", "atomic-httpx", "restate-calls", "restate-calls-uvloop", "dbos-sqlite", "floor")
FULL = Form(
    "full",
    3,
    60,
    2,
    8,
    ROUND,
    True,
    1_000_000,
    1_000_000,
    1_000,
    60,
    10_000,
    30,
    2_000,
    120,
    10_000,
)
SHORT = Form(
    "short", 1, 2, 1, 2.5, ("atomic", "restate-calls", "dbos-sqlite", "floor"), False,
    20_000, 20_000, 1_000, 15, 2_000, 5, 2_000, 10, 2_000, (200,),
)  # fmt: skip


def say(text: Any) -> None:
    """A line of progress."""
    print(f"  {text}", flush=True)
