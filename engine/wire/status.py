"""`GET /api/v1/status`: the engine itself, as operators see it.

The engine tells all of it. What is None was not told: by an engine of another version, or not as
it is known here. It is the one answer that is taken as far as it fits: who looks at an engine that
is not as it should be sees what there is to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields

from engine.wire.alerts import AlertsStatus
from engine.wire.backup import BackupStatus
from engine.wire.limits import ClientUse
from engine.wire.retention import RetentionStatus
from engine.wire.view import DueBucket, HoldRow, HostRow, StandstillRow


class RunCounts(Struct, frozen=True, rename="kebab", omit_defaults=True):
    """Runs by state."""

    pending: int | None = None
    running: int | None = None
    backing_off: int | None = None
    waiting: int | None = None
    paused: int | None = None
    completed: int | None = None
    failed: int | None = None
    cancelled: int | None = None


class Rates(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What happened each second, lately."""

    runs_per_s: float | None = None
    finished_per_s: float | None = None
    steps_per_s: float | None = None
    attempts_per_s: float | None = None
    failures_per_s: float | None = None


class StoreStatus(Struct, frozen=True, rename="camel"):
    """Whether the store can be written. What follows is told when it cannot."""

    available: bool = True
    since: str | UnsetType = UNSET
    why: str | UnsetType = UNSET
    """A sentence."""
    held_by: str | UnsetType | None = UNSET
    """The processes that keep it so, as far as is known."""
    events_waiting: int | UnsetType = UNSET
    bytes_used: int | UnsetType = UNSET
    """Told where `store_bytes_max` is set, whether it can be written or not."""
    bytes_max: int | UnsetType = UNSET
    full: bool | UnsetType = UNSET
    """Told, and true, while no run is opened, as `bytes_max` is reached: open ones go on."""
    filling: bool | UnsetType = UNSET
    """Told, and true, from 80 % of it on, until it is below 75 %."""


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


class BadFileRow(Struct, frozen=True, rename="camel"):
    """A file that defines clients or tokens and cannot be used as it is now: what it said before
    holds."""

    file: str
    """The file, or the table in it."""
    since: str
    why: str
    """What is wrong with it, where, and what to do."""


class OwnToken(Struct, frozen=True, rename="camel"):
    """The token with which the engine was asked."""

    name: str
    role: str
    """What it allows: of each route the role that it needs is in `routes.py`."""
    client: str | None = None
    """The only client that it is good for; None: every one."""


class ListenerRow(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An open event stream."""

    actor: str
    """Who listens, as for an action: the name of the token, and the name that was claimed."""
    since: str
    client: str | None = None
    """The only client that it tells of; None: it tells of every one."""


class WhoAmI(Struct, frozen=True, rename="camel"):
    """As whom the engine knows who asks."""

    token: OwnToken | None = None
    """None: it asks for none."""


class PageLink(Struct, frozen=True, rename="camel"):
    """Where a browser sees the pages: good once, for a minute, where the engine asks for tokens."""

    path: str
    """Behind the engine's address."""
    url: str | None = None
    """The whole of it, where the engine knows how people reach it (`public_url`)."""


class Status(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The engine as it stands."""

    instance: str | None = None
    version: str | None = None
    server_time: str | None = None
    started_at: str | None = None
    ready: bool | None = None
    draining: bool | None = None
    sequence: str | None = None
    """The id of the last event."""
    durability: dict[str, str | int] | None = None
    """Settings, as the store reports them."""
    store: StoreStatus | None = None
    counts: RunCounts | None = None
    rates: Rates | None = None
    stuck_count: int | None = None
    """Runs that need a person."""
    late_count: int | None = None
    timed_count: int | None = None
    due: tuple[DueBucket, ...] | None = None
    hosts: tuple[HostRow, ...] | None = None
    standstills: tuple[StandstillRow, ...] | None = None
    in_memory: int | None = None
    in_flight: int | None = None
    cancelled_in_flight: int | None = None
    """Calls of cancelled steps that are let finish."""
    queued: int | None = None
    waiting_for: dict[str, int] | None = None
    """Attempts that could start but for a limit or a hold, by what they wait for: `place` at their
    host, `workflow-place`, `client-place`, `ramp` (overdue at the start, or held before), `rate`,
    `breaker`, `retry-budget`, `release` of a hold."""
    holds: tuple[HoldRow, ...] | None = None
    """What is held, and why. Of who sees one client those that keep its runs."""
    memory: Memory | None = None
    retention: RetentionStatus | None = None
    """How long what has ended is kept; left out: for ever."""
    limits: Limits | None = None
    backup: BackupStatus | None = None
    """Of copies of the record; None: none was ever made or is to be. Told to readers of every
    client alone."""
    alerts: AlertsStatus | None = None
    """Of those that tell somebody; None: none are set. Told like backups."""
    bad_files: tuple[BadFileRow, ...] | None = None
    """Told to readers of every client alone."""
    defined_twice: tuple[str, ...] | None = None
    """Clients that a file defines and a command added; told like bad files."""
    listeners: tuple[ListenerRow, ...] | None = None
    """Who listens to events now, the latest first. Of who sees one client those that see only
    that one."""
    clients: tuple[ClientUse, ...] | None = None
    """Those that have limits of their own. Of who sees one client that one."""
    pages_url: str | None = None
    """What the addresses of pages for people begin with, as people reach them; None: the engine
    does not know (`public_url`), or serves none."""
    token: OwnToken | None = None
    """Of who asked; None where the engine asks for no token."""

    if not TYPE_CHECKING:  # it was a mapping once: who reads it as one is told the new name

        def __getitem__(self, name: object = None, *_: object) -> NoReturn:
            new = {it.encode_name: it.name for it in fields(Status)}.get(name)
            its = f": its {name} is .{new}" if new else ", with a name for each member"
            raise TypeError(f"the status is a struct now{its}")

        get = items = keys = values = __getitem__


def status_of(members: Mapping[str, Any]) -> Status:
    """The status without members that are not what they should be."""
    found = {it.name: _fitting(members.get(it.encode_name), it.type) for it in fields(Status)}
    return Status(**found)


def _fitting(value: Any, type: Any) -> Any:
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError:
        return None
