"""What is looked at now and then: hosts, holds, room, and runs that are open for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from engine.alerts.rules import Facts, Rule, Trouble
from engine.core.access.client import ALERTS_CLIENT
from engine.core.rules.hold import Hold
from engine.ports.views import LateFound
from engine.process.memory import is_low, room_of
from engine.runs.limits.gates import Gate
from engine.runs.store_room import WARNED_PART, StoreRoom

HOLD_MS = 3_600_000
"""A hold that is older was perhaps forgotten."""


def hosts_down(gates: Mapping[str, Gate], own_host: str) -> Iterator[Trouble]:
    """Hosts whose breaker is open; not that of the alerts, which nobody could be told of."""
    for host, gate in gates.items():
        if gate.trouble is not None and gate.trouble.opened_at is not None and host != own_host:
            yield Trouble(Rule.HOST_DOWN, host, {"host": host})


def old_holds(holds: Iterable[Hold], now: int) -> Iterator[Trouble]:
    """What is held for long."""
    for hold in holds:
        if hold.released_at is None and now >= hold.since + HOLD_MS:
            facts: Facts = {"held": hold.text, "actor": hold.actor}
            if hold.reason is not None:
                facts["reason"] = hold.reason
            yield Trouble(Rule.HOLD, hold.text, facts)


def low_room(directory: Path | None, room: StoreRoom) -> Iterator[Trouble]:
    """Where the database lies, if that is a disk here, and of `store_bytes_max`. Waits for the
    disk."""
    if room.bytes_max and room.bytes_used >= WARNED_PART * room.bytes_max:
        facts: Facts = {
            "why": f"{room.bytes_used:,} bytes of store_bytes_max ({room.bytes_max:,}) are used",
            "bytesUsed": room.bytes_used,
            "bytesMax": room.bytes_max,
        }
        yield Trouble(Rule.DISK, "store_bytes_max", facts)
    if directory is None:
        return
    try:
        free, size = room_of(directory)
    except OSError:
        return
    if is_low(free, size):
        why = f"The disk of the database has {free >> 20:,} MiB left of {size >> 20:,}"
        facts = {"why": why, "bytesFree": free, "bytesOfDisk": size}
        yield Trouble(Rule.DISK, "disk", facts)


def late(found: LateFound, after_s: int) -> Iterator[Trouble]:
    """Workflows with runs that are open for long."""
    for it in found.runs:
        if it.client != ALERTS_CLIENT:
            facts: Facts = {
                "client": it.client, "workflow": it.workflow, "afterS": after_s,
                "runId": it.first_id,
            }  # fmt: skip
            cause = f"{it.client}/{it.workflow}"
            yield Trouble(Rule.LATE, cause, facts, count=it.runs, at_least=found.is_cut)
