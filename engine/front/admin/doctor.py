"""`GET /api/v1/doctor`: what of the engine, its file and its machine is not as it should be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import trio
from msgspec import Struct

from engine.core.access.client import ALERTS_CLIENT
from engine.core.rules.hold import Hold
from engine.core.text.times import rfc3339
from engine.front.admin import machine
from engine.jobs.backups import Backups
from engine.ports.caller import Targets
from engine.ports.registry import Clients
from engine.ports.store import Store
from engine.wire.doctor import DoctorAnswer, Finding, Verdict

TARGETS_TRIED_MAX = 50
AT_ONCE = 10
OLD_BACKUPS = 2
"""So many times as old as it should be is a backup that is warned of."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Room(Protocol):
    """What is used of `store_bytes_max`."""

    bytes_max: int
    """0: there is no limit."""
    bytes_used: int
    is_filling: bool
    is_full: bool


class Examined(Struct, frozen=True):
    """The parts of an engine that are looked at."""

    store: Store
    file: str | None
    """The database, as it is set; None: it lies in no file."""
    alerts_url: str | None
    """Where alerts go; None: none are sent."""
    durability: Callable[[], dict[str, str | int]]
    """As the connection that writes has it now."""
    backups: Backups
    backup_dir: str | None
    backup_every_h: int
    room: Room
    clients: Clients
    targets: Targets
    hold: Callable[[], Hold | None]
    """The one on everything."""
    utc_ms: Callable[[], int]
    steady_ms: Callable[[], int]


async def examine(it: Examined) -> DoctorAnswer:
    """Each in a line."""
    good = it.backups.good
    is_there = good is not None and await trio.to_thread.run_sync(os.path.exists, good.file)
    found = [
        *_of_store(it),
        *await trio.to_thread.run_sync(partial(_of_machine, it.file, it.backup_dir)),
        _clock(it),
        *_of_engine(it),
        machine.server_backup() if _is_on_server(it) else _backup(it, is_there),
        *_of_holds(it),
        *await _targets(it),
    ]
    return DoctorAnswer(tuple(found))


def _is_on_server(it: Examined) -> bool:
    return "postgresql" in it.durability()


def _of_store(it: Examined) -> list[Finding]:
    durability = it.durability()
    if _is_on_server(it):
        return [machine.server_finding(durability)]
    if it.file is None:
        told = "everything is in memory, and gone when this process ends"
        todo = "For tests alone: atomic serve keeps it in a file."
        return [Finding("durability", Verdict.WARN, told, todo)]
    return [
        machine.durability_finding(durability),
        machine.sqlite_finding(str(durability["sqlite"])),
    ]


def _of_machine(file: str | None, backup_dir: str | None) -> list[Finding]:
    found: list[Finding] = []
    if file is not None:
        db = Path(file).resolve()
        found += [machine.disk_finding(db.parent, "disk"), *machine.file_findings(db)]
    if backup_dir is not None:
        found.append(machine.disk_finding(Path(backup_dir), "backup disk"))
    return [*found, machine.descriptors_finding()]


def _clock(it: Examined) -> Finding:
    now = it.utc_ms()
    return machine.clock_finding(now - it.steady_ms(), now, it.store.last_at)


def _of_engine(it: Examined) -> Iterator[Finding]:
    away = it.store.away
    if away is not None:
        yield Finding("store", Verdict.FAIL, f"it cannot be written: {away.why}",
                      "See docs/how-to/operate.md, When the store cannot be written.")  # fmt: skip
    if (filled := _room(it.room)) is not None:
        yield filled


def _of_holds(it: Examined) -> Iterator[Finding]:
    hold = it.hold()
    if hold is not None and hold.released_at is None:
        yield Finding("holds", Verdict.WARN, f"everything is held since {rfc3339(hold.since)} by"
                      f" {hold.actor}: nothing is called", "atomic release --all")  # fmt: skip


def _room(room: Room) -> Finding | None:
    """Told where there is a limit."""
    if not room.bytes_max:
        return None
    told = f"{room.bytes_used:,} of {room.bytes_max:,} bytes (store_bytes_max) are in use"
    mend = "Keep runs for less long, and atomic prune; or raise it (docs/how-to/keep-and-prune.md)."
    if room.is_full:
        return Finding("store room", Verdict.FAIL, f"{told}: no new run is taken", mend)
    if room.is_filling:
        return Finding("store room", Verdict.WARN, told, mend)
    return Finding("store room", Verdict.OK, told)


def _backup(it: Examined, is_there: bool) -> Finding:
    backups, now = it.backups, it.utc_ms()
    good, at = backups.good, backups.made_at(backups.good)
    mend = "Set backup_dir, if not set, or make one: atomic backup FILE."
    gone = "" if is_there else ", which is not there any more: moved, or removed"
    if backups.last is not None and backups.last.error is not None:
        why = f"the last one failed: {backups.last.error.removesuffix('.')}"
        mend = "Mend that, or make one: atomic backup FILE."
        if good is None or at is None or now - at > DAY_MS:
            return Finding("backup", Verdict.FAIL, why, mend)
        told = f"{why}; there is one of {rfc3339(at)}: {good.file}{gone}"
        return Finding("backup", Verdict.WARN, told, mend)
    if good is None:
        return Finding("backup", Verdict.WARN, "there was none yet", mend)
    told = f"the last one is of {rfc3339(good.at)}: {good.file}{gone}"
    if at is None:
        told += "; that time has not come yet, so nobody knows how old it is"
        return Finding("backup", Verdict.WARN, told, mend)
    due = backups.due_at
    if due is not None and now > due + OLD_BACKUPS * it.backup_every_h * HOUR_MS:
        return Finding(
            "backup",
            Verdict.WARN,
            told,
            "The next is late: is one under way (atomic status), or the disk slow?",
        )
    return Finding("backup", Verdict.OK, told)


async def _targets(it: Examined) -> list[Finding]:
    """A connection to each host that a client may have called."""
    asked = [
        (client.name, url)
        for client in it.clients.clients.values()
        for url in client.targets
        if not client.disabled
    ]
    if it.alerts_url is not None:
        asked.append((ALERTS_CLIENT, it.alerts_url))
    if not asked:
        return [
            Finding("targets", Verdict.OK, "no client that is enabled has a list: none is tried")
        ]
    found: dict[tuple[str, str], str | None] = {}
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def reach(name: str, url: str) -> None:
        async with limiter:
            found[name, url] = await it.targets.reach(name, url)

    async with trio.open_nursery() as nursery:
        for name, url in asked[:TARGETS_TRIED_MAX]:
            nursery.start_soon(reach, name, url)
    bad = [
        Finding(
            f"target of {name}",
            Verdict.WARN,
            f"{url}: {why}",
            "Start what listens there, or mend the client's list.",
        )
        for (name, url), why in sorted(found.items())
        if why is not None
    ]
    rest = len(asked) - len(found)
    more = f"; {rest} more were not tried" if rest else ""
    return [*bad, Finding("targets", Verdict.OK, f"{len(found) - len(bad)} of {len(found)} can be"
                          f" connected to{more}")]  # fmt: skip
