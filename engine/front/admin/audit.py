"""`/api/v1/audit`: what people did. `protocol.md` §5."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from engine.core.errors import Problem, Refused
from engine.core.filter import duration_ms
from engine.core.text.times import rfc3339
from engine.front.asked import check_names, page_limit
from engine.ports.audit import AuditEntry, AuditQuery
from engine.registry.audit import Audit
from engine.wire.access import AuditPage, AuditRow
from engine.wire.routes import AUDIT


async def audit_page(audit: Audit, query: Mapping[str, str], now: int) -> AuditPage:
    """`GET /api/v1/audit`; `now` in milliseconds since the epoch, UTC. Raises Refused."""
    check_names(query, AUDIT.queries)
    limit = page_limit(query)
    found = await audit.page(
        AuditQuery(
            since=_since(query.get("since"), now),
            actor=query.get("actor"),
            act=query.get("act"),
            what=query.get("what"),
            cursor=query.get("cursor"),
            limit=limit + 1,
        )
    )
    shown = found[:limit]
    return AuditPage(tuple(map(_row, shown)), shown[-1].id if len(found) > limit else None)


def _since(text: str | None, now: int) -> int:
    """Milliseconds since the epoch, UTC, of a time or of so long before now. Raises Refused."""
    if text is None:
        return 0
    if (ago := duration_ms(text)) is not None:
        return max(0, now - ago)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            Problem.INVALID_REQUEST,
            f"`since`: {text[:64]!r} is no time: write 2026-11-23T12:00:00Z, or 12h or 90d for so"
            " long before now.",
            member="since",
        ) from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _row(entry: AuditEntry) -> AuditRow:
    return AuditRow(
        id=entry.id,
        at=rfc3339(entry.at),
        actor=entry.actor,
        address=entry.address,
        act=entry.act,
        what=entry.what,
        detail=entry.detail,
        status=entry.status,
        problem=entry.problem,
        count=entry.count,
    )
