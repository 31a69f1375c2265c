"""What is done with a file that no engine has open: changes of clients and tokens (the first token,
say), and checks.

For a change the file's lock is taken as an engine takes it, so while one runs it is refused, in the
words that name it. What is there is brought up to date first, as by any start.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from msgspec import Struct

from engine.core.errors import Refused
from engine.core.events import Actor
from engine.core.rules.hold import EVERYTHING, Hold, HoldKind
from engine.core.text.times import rfc3339
from engine.front.admin import clients, machine
from engine.parts import changes_of
from engine.ports.audit import AuditEntry
from engine.ports.registry import KIND_HOLD, KIND_RESTORED, Registered, Restored
from engine.ports.report import Progress, Report
from engine.ports.store import BackedUp
from engine.process.clock import Ids, SystemClock
from engine.registry.audit import Audit
from engine.registry.changes import Changes
from engine.registry.registry import Registry
from engine.store.sqlite.backup.backup import Pace, copy
from engine.store.sqlite.backup.new_file import check_new
from engine.store.sqlite.backup.restore import (
    last_event,
    last_recorded,
    restore,
    sqlite_version,
)
from engine.store.sqlite.compact import Compacted, compact
from engine.store.sqlite.file.owner import Owner, check_unowned, the_file
from engine.store.sqlite.store import open_store
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.views.views import TableViews
from engine.wire import PROBLEMS, access
from engine.wire.doctor import Finding, Verdict

T = TypeVar("T")
Work = Callable[[Changes, int], Awaitable[T]]
"""What is done, and when that is, in milliseconds since the epoch, UTC."""


def add_client_to(db: Path, asked: access.ClientRequest, actor: str) -> access.ClientAnswer:
    """Make a client known, as `POST /api/v1/clients` does. Raises StoreError and Refused."""
    body = msgspec.json.encode(asked)
    done = Done("client add", asked.name, body, actor)
    return _changed(db, done, lambda it, now: clients.add_client(it, body, actor, now))


def add_token_to(db: Path, asked: access.TokenRequest, actor: str) -> access.TokenAnswer:
    """Make a token, as `POST /api/v1/tokens` does. Raises StoreError and Refused."""
    body = msgspec.json.encode(asked)
    done = Done("token add", asked.name, body, actor)
    return _changed(db, done, lambda it, now: clients.add_token(it, body, actor, now))


def back_up_file(db: Path, target: Path, told: Callable[[int, int], None]) -> BackedUp:
    """Copy a file that no engine has open. Raises StoreError."""
    check_unowned(db)
    return copy(the_file(db), target, Pace(told, lambda: True))


def doctor_file(db: Path) -> list[Finding]:
    """What can be told of a file that no engine has open. Raises StoreError."""
    check_unowned(db)
    path = the_file(db)
    last_at, now = last_recorded(path), trio.run(_moment)[0]
    return [
        machine.sqlite_finding(sqlite_version()),
        machine.disk_finding(path.parent, "disk"),
        *machine.file_findings(path),
        machine.clock_finding(None, now, last_at),
        Finding("content", Verdict.OK, "not looked at", f"atomic verify {db}"),
    ]


class RestoredFile(Struct, frozen=True):
    """A file that was made of a copy."""

    file_id: str
    size: int
    """In bytes."""
    state_at: str
    """When the last that is in it was recorded."""


def restore_file(
    backup: Path, target: Path, actor: str, progress: Progress
) -> tuple[Report, RestoredFile | None]:
    """Make a file out of a copy, with everything on hold; None: the copy is not whole, as the
    report says. Raises StoreError."""
    check_new(target)
    report = verify(backup, progress)
    if report.faults:
        return report, None
    (now, id), source = trio.run(_moment), the_file(backup)
    last, at = last_event(source)
    state_at = rfc3339(at) if at else "its beginning"
    reason = f"restored from {backup.name}, as it was at {state_at}: look before you release"
    # By a clock that is behind the copy its alerts would be newer than the hold (`own_hold`).
    hold = Hold(HoldKind.ALL, EVERYTHING, max(now, at), actor, None, reason)
    value = msgspec.json.encode(hold)
    entries = [
        Registered(KIND_HOLD, f"{hold.kind}/{hold.name}", value, now, actor),
        Registered(KIND_RESTORED, "copy", msgspec.json.encode(Restored(last)), now, actor),
    ]
    audit = AuditEntry(
        id, now, actor, None, access.RESTORE, str(target), str(backup), HTTPStatus.OK
    )
    told = lambda done, of: progress("copy", done, of)  # noqa: E731
    done = restore(source, target, entries, audit, told)
    return report, RestoredFile(done.file_id, done.size, state_at)


async def _moment() -> tuple[int, str]:
    clock = SystemClock()
    return clock.utc_ms(), Ids(clock).run_id()


def verify_file(db: Path, progress: Progress) -> Report:
    """Look at all of a file. Raises StoreError where it cannot be looked at."""
    return verify(db, progress)


def compact_file(db: Path) -> Compacted:
    """Have a file give back what was freed in it. Raises StoreError where it cannot."""
    return compact(db, trio.run(_own))


class Done(Struct, frozen=True):
    """What the audit is to know of it."""

    act: str
    what: str
    asked: bytes
    actor: str


def _changed(db: Path, done: Done, work: Work[T]) -> T:
    answer = trio.run(_change, db, done, work)
    if isinstance(answer, Refused):
        raise answer
    return answer


async def _change(db: Path, done: Done, work: Work[T]) -> T | Refused:
    clock = SystemClock()
    async with open_store(db, _owner(clock), started_at=clock.steady_ms()) as store:
        registry = Registry(store, clock.utc_ms)
        audit = Audit(store, clock)
        entry = audit.begin(done.act, done.what, done.asked.decode(), Actor(done.actor, None))
        try:
            answer = await work(changes_of(registry, TableViews(store), clock), clock.utc_ms())
        except Refused as refused:
            audit.end(entry, PROBLEMS[refused.problem].status, refused.problem)
            return refused  # raised here it would leave within a group of the store's nursery
        audit.end(entry, HTTPStatus.OK)
        return answer


async def _own() -> Owner:
    return _owner(SystemClock())


def _owner(clock: SystemClock) -> Owner:
    """Of a file that this process has open: it has no address."""
    return Owner(os.getpid(), clock.token_bytes(6).hex(), rfc3339(clock.utc_ms()))
