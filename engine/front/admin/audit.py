"""`/api/v1/audit`: what people did. `protocol.md` §5."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from engine.core.text.times import rfc3339
from engine.front.asked import check_names, page_limit, since_ms
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
            since=since_ms(query["since"], now) if "since" in query else 0,
            actor=query.get("actor"),
            act=query.get("act"),
            what=query.get("what"),
            cursor=query.get("cursor"),
            limit=limit + 1,
        )
    )
    shown = found[:limit]
    return AuditPage(tuple(map(_row, shown)), shown[-1].id if len(found) > limit else None)


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
        client=_known(entry.client),
        workflow_name=_known(entry.workflow),
        idempotency_key=_known(entry.key),
        step_name=_known(entry.step),
    )


def _known(name: str | None) -> str | UnsetType:
    return UNSET if name is None else name
