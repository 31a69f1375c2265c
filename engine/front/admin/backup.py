"""`/api/v1/backups`, and how the status tells of copies. `protocol.md` §5."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from engine.core.events import Actor
from engine.core.text.times import maybe_rfc3339, rfc3339
from engine.front.asked import decode_asked
from engine.jobs.backups import BackupDone, Backups, BackupUnderWay
from engine.registry.audit import Audit
from engine.wire import backup as wire
from engine.wire.access import BACKUP_FAILED, BACKUP_MADE

_decode = msgspec.json.Decoder(wire.BackupRequest).decode


def begin_backup(backups: Backups, body: bytes, actor: Actor) -> wire.BackupProgress:
    """`POST /api/v1/backups`. Raises Refused."""
    return _progress(backups.begin(decode_asked(body, _decode, "backup").file, actor))


def note_end(audit: Audit, done: BackupDone, asked_by: Actor) -> None:
    """Have the audit know what came of one, beside that it was asked for."""
    if done.error is not None:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return audit.came_of(BACKUP_FAILED, done.file, done.error, asked_by, status)
    told = msgspec.json.encode({"bytes": done.size, "tookMs": done.took_ms}).decode()
    audit.came_of(BACKUP_MADE, done.file, told, asked_by, HTTPStatus.OK)


def backup_status(backups: Backups) -> wire.BackupStatus | None:
    """How they are; None: none was ever made or is to be."""
    under_way = backups.under_way
    status = wire.BackupStatus(
        under_way=None if under_way is None else _progress(under_way),
        last=_row(backups.last),
        last_good=_row(backups.good),
        next_at=maybe_rfc3339(backups.due_at),
    )
    return None if status == wire.BackupStatus() else status


def _progress(it: BackupUnderWay) -> wire.BackupProgress:
    return wire.BackupProgress(it.file, rfc3339(it.since), it.actor, it.done, it.of)


def _row(it: BackupDone | None) -> wire.BackupRow | None:
    if it is None:
        return None
    return wire.BackupRow(it.file, rfc3339(it.at), it.took_ms, it.actor, it.size, it.error)
