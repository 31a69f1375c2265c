"""The pages of lists: home, runs, what is stuck, jobs."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.errors import Refused
from engine.core.text.times import rfc3339
from engine.front.access.who import Who
from engine.front.api import bulk, causes, read
from engine.front.api.figures import hold_rows, holds_of
from engine.front.server.reply import Reply
from engine.front.ui.site import Site
from engine.wire import HoldRow, RunPage
from engine.wire.routes import DISMISSED

ROWS = 100
"""Of a page."""
LATEST_RUNS = 10
CAUSES_AT_HOME = 8
HOSTS_AT_HOME = 12
VIEWS = (("live", "is:live"), ("stuck", "is:stuck"), ("ended", "is:ended"), ("all", ""))
"""Filters that are one click away."""


async def home(site: Site, who: Who) -> Reply:
    """`/ui`: whether all is well, what needs a person, what has just begun."""
    front = site.front
    status = await read.status(front, who)
    needing = await causes.causes(front, who, {})
    latest = await read.runs(front, who, {"limit": str(LATEST_RUNS)})
    hosts = sorted(
        status.hosts or (),
        key=lambda it: (it.succeeded / it.ended if it.ended else 1.0, -it.in_flight - it.queued),
    )
    members = {
        "status": status,
        "now": status.server_time,
        "holds": status.holds or (),
        "found": needing,
        "causes": needing.causes[:CAUSES_AT_HOME],
        "more_causes": max(0, len(needing.causes) - CAUSES_AT_HOME),
        "runs": latest.runs,
        "hosts": hosts[:HOSTS_AT_HOME],
        "more_hosts": max(0, len(hosts) - HOSTS_AT_HOME),
    }
    return await site.page("home", who, members)


async def runs(site: Site, who: Who, query: Mapping[str, str]) -> Reply:
    """`/ui/runs`: runs that a filter finds, newest first. What is wrong with a filter stands below
    it."""
    q, cursor = query.get("q", ""), query.get("cursor")
    asked = {"q": q, "limit": str(ROWS), **({"cursor": cursor} if cursor else {})}
    found, refused = RunPage((), 0, total_is_estimate=False), None
    try:
        found = await read.runs(site.front, who, asked)
    except Refused as error:
        if error.members.get("member") != "q":
            raise
        refused = error
    members = {
        "now": rfc3339(site.front.clock.steady_ms()),
        "q": q,
        "views": VIEWS,
        "first": cursor is None,
        "found": found,
        "holds": _holds(site, who),
        "fault": refused.detail.removeprefix("`q`: ") if refused else "",
        "fault_at": refused.members.get("position", 0) if refused else 0,
    }
    return await site.page("runs", who, members, 400 if refused else 200)


def _holds(site: Site, who: Who) -> tuple[HoldRow, ...]:
    holds = site.front.engine.holds
    return hold_rows(holds) if who.client is None else holds_of(holds, who.client)


async def stuck(site: Site, who: Who, query: Mapping[str, str]) -> Reply:
    """`/ui/stuck`: what needs a person, by cause; `dismissed`: also what needs nobody until it
    comes again."""
    found = await causes.causes(site.front, who, query)
    needing = [it for it in found.causes if it.dismissal is None or it.dismissal.came_again]
    members = {
        "now": rfc3339(site.front.clock.steady_ms()),
        "found": found,
        "causes": found.causes[:ROWS],
        "needing": len(needing),
        "runs": sum(it.runs for it in needing),
        "also_dismissed": query.get(DISMISSED) == "true",
    }
    return await site.page("stuck", who, members)


async def jobs(site: Site, who: Who, query: Mapping[str, str]) -> Reply:
    """`/ui/jobs`: bulk jobs, the latest first."""
    cursor = query.get("cursor")
    asked = {"limit": str(ROWS), **({"cursor": cursor} if cursor else {})}
    found = await bulk.jobs(site.front.bulk, asked, who)
    now = rfc3339(site.front.clock.steady_ms())
    members = {"now": now, "found": found, "first": cursor is None}
    return await site.page("jobs", who, members)


async def job(site: Site, who: Who, id: str) -> Reply:
    """`/ui/jobs/ID`: one of them, with what came of its runs."""
    found = await bulk.show(site.front.bulk, id, who)
    now = rfc3339(site.front.clock.steady_ms())
    return await site.page("job", who, {"now": now, "job": found})
