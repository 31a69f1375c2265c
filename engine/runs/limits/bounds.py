"""Bounds of an engine, as its settings say."""

from __future__ import annotations

from msgspec import Struct

from engine.core.rules.post import RunLimits


class EngineLimits(Struct, frozen=True):
    """Bounds of the engine as a whole."""

    run: RunLimits = RunLimits()
    runs_in_memory_max: int = 50_000
    new_runs_wait_s_max: float = 6.0
    """How long a post that opens a run may have to wait for its turn while the engine is busy."""
    backlog_events_max: int = 100_000
    """Events waiting for a commit, beyond which also posts of open runs are refused."""
    in_flight_max: int = 4_096
    hanging_max: int = 4_096
    """Attempts beside those that have given their place up, as a post of theirs hangs."""
    in_flight_per_host_max: int = 512
    workflows_in_flight_per_host_max: int = 0
    """Attempts that may post, counted also while they wait; 0: any number."""
    suspend_after_s: float = 20.0
    """How long an attempt may wait for steps that cannot move soon."""
    memory_bytes_max: int = 1 << 30
    """Payloads, answers and bodies under way, all together."""
    store_bytes_max: int = 0
    """Bytes in use in the store, beyond which no run is opened; 0: there is no limit."""
    standstill_s: float = 2.0
    """How long a host at which attempts wait may give no sign: more, where it used to."""
