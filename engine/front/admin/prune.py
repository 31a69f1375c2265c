"""`POST /api/v1/prune`, and what the status says of it. `docs/how-to/keep-and-prune.md`."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from engine.core.errors import Problem, Refused
from engine.core.rules.retention import LONGER, Retention
from engine.core.text.times import maybe_rfc3339, rfc3339
from engine.front.asked import decode_asked
from engine.jobs.retention import Pass, Pruning
from engine.wire.retention import PruneAnswer, PruneRequest, PruningPass, RetentionStatus

_decode = msgspec.json.Decoder(PruneRequest).decode


async def prune(pruning: Pruning, body: bytes, actor: str) -> PruneAnswer:
    """Say what goes, and begin unless it is a dry run. Raises Refused."""
    asked = decode_asked(body, _decode, "prune request")
    retention = _retention(pruning, asked)
    plan = await pruning.plan(retention)  # before any of it goes
    begins_at = UNSET if asked.dry_run else rfc3339(pruning.begin(actor))
    return PruneAnswer(
        dry_run=asked.dry_run,
        retention_days=retention.days,
        keys_kept_days=retention.keys_days or None,
        runs=dict(plan.runs),
        keys=plan.keys,
        steps=plan.steps,
        events=plan.old.events,
        bytes_about=plan.bytes_about,
        runs_stay=max(0, plan.old.runs + plan.old.runs_behind - plan.runs_go),
        runs_carried=plan.runs_carried,
        events_stay=plan.old.events_behind,
        begins_at=begins_at,
    )


def _retention(pruning: Pruning, asked: PruneRequest) -> Retention:
    days, keys_days = asked.retention_days, asked.keys_kept_days
    if days is None and keys_days is None:
        return pruning.retention
    if not asked.dry_run:
        raise Refused(
            Problem.INVALID_REQUEST,
            "`retentionDays` and `keysKeptDays` are for a dry run: what is removed the engine's"
            " settings say.",
        )
    holds = pruning.retention
    retention = Retention(
        holds.days if days is None else days, holds.keys_days if keys_days is None else keys_days
    )
    if 0 < retention.keys_days < LONGER * retention.days:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`keysKeptDays`: at least twice `retentionDays` ({LONGER * retention.days}), or for"
            " ever.",
        )
    return retention


def retention_status(pruning: Pruning, now: int) -> RetentionStatus | None:
    """How long things are kept; None: for ever."""
    holds = pruning.retention
    if not holds.is_on:
        return None
    return RetentionStatus(
        retention_days=holds.days,
        keys_kept_days=holds.keys_days or None,
        acts_at=rfc3339(pruning.acts_at) if pruning.acts_at > now else None,
        runs_expired=pruning.runs_expired,
        keys_forgotten=pruning.keys_forgotten,
        events_removed=pruning.events_removed,
        under_way=_told(pruning.under_way),
        last_pass=_told(pruning.last),
    )


def _told(it: Pass | None) -> PruningPass | UnsetType:
    if it is None:
        return UNSET
    return PruningPass(
        since=rfc3339(it.since),
        runs_expired=it.runs,
        keys_forgotten=it.keys,
        events_removed=it.events,
        ended_at=maybe_rfc3339(it.ended_at),
        took_ms=None if it.ended_at is None else it.ended_at - it.since,
        error=it.error,
    )
