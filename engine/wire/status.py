"""`GET /api/v1/status`: the engine itself, as operators see it."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from engine.wire.view import DueBucket, HostRow, StandstillRow


class RunCounts(Struct, frozen=True, rename="kebab"):
    """Runs by state."""

    pending: int
    running: int
    backing_off: int
    waiting: int
    paused: int
    completed: int
    failed: int
    cancelled: int


class Rates(Struct, frozen=True, rename="camel"):
    """What happened each second, lately."""

    runs_per_s: float
    finished_per_s: float
    steps_per_s: float
    attempts_per_s: float
    failures_per_s: float


class StoreStatus(Struct, frozen=True, rename="camel"):
    """Whether the store can be written. What follows is told when it cannot."""

    available: bool
    since: str | UnsetType = UNSET
    why: str | UnsetType = UNSET
    """A sentence."""
    held_by: str | UnsetType | None = UNSET
    """The processes that keep it so, as far as is known."""
    events_waiting: int | UnsetType = UNSET


class Memory(Struct, frozen=True, rename="camel"):
    """What counts against `memory_bytes_max`."""

    bytes_max: int
    bytes: dict[str, int]
    """By kind."""
    waiting: dict[str, int]
    """Who waits for room, by kind."""
    refused: int
    """Since the start."""


class Limits(Struct, frozen=True, rename="camel"):
    """The settings that bound what is taken and done at once."""

    body_bytes_max: int
    answer_bytes_max: int
    json_depth_max: int
    steps_per_run_max: int
    depth_max: int
    in_flight_max: int
    in_flight_per_host_max: int
    workflows_in_flight_per_host_max: int
    runs_in_memory_max: int
    memory_bytes_max: int
    connections_max: int


class Status(Struct, frozen=True, rename="camel"):
    """The engine as it stands."""

    instance: str
    version: str
    server_time: str
    started_at: str
    ready: bool
    draining: bool
    sequence: str
    """The id of the last event."""
    durability: dict[str, str | int]
    """Settings, as the store reports them."""
    store: StoreStatus
    counts: RunCounts
    rates: Rates
    stuck_count: int
    """Runs that need a person."""
    late_count: int
    timed_count: int
    due: tuple[DueBucket, ...]
    hosts: tuple[HostRow, ...]
    standstills: tuple[StandstillRow, ...]
    in_memory: int
    in_flight: int
    cancelled_in_flight: int
    """Calls of cancelled steps that are let finish."""
    queued: int
    memory: Memory
    limits: Limits
