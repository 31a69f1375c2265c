"""The board of hosts: how each does that is called."""

from __future__ import annotations

from engine.shown import times
from tui.boards.cells import NONE, Cell, Column, Part, Seen
from tui.data.model import Host
from tui.text import fmt

HOSTS = (
    Column("host", "HOST", 22, flex=3, most=48),
    Column("spark", "OK 8m", 8, from_width=74),
    Column("ok", "OK%", 6, right=True),
    Column("rate", "REQ/MIN", 7, right=True),
    Column("p95", "P95", 7, right=True),
    Column("flight", "IN FLIGHT", 9, right=True, from_width=74),
    Column("queued", "QUEUED", 7, right=True),
)
OK_ENDED_MIN = 5
"""Of fewer attempts no share is told."""


def ok_share(host: Host) -> float | None:
    """How many of a host's attempts succeeded, from 0 to 1; None: too few have ended."""
    return host.succeeded / host.ended if host.ended >= OK_ENDED_MIN else None


def host_cell(host: Host) -> Cell:
    """Its name; whether it stands still is said before, as a long name is cut."""
    name: Part = (host.id, "plain")
    return name if host.stands_still is None else (("stands still ", "alarm"), name)


def host_cells(host: Host, seen: Seen) -> dict[str, Cell]:
    """A host's row."""
    share = ok_share(host)
    bad = share is not None and share < 0.9
    shares = [succeeded / ended if ended else None for ended, succeeded in host.by_minute]
    spark = fmt.sparkline(shares, top=1.0)
    return {
        "host": host_cell(host),
        "spark": (spark, "alarm" if bad else "good"),
        "ok": (f"n<{OK_ENDED_MIN}", "dim") if share is None else (
            f"{100 * share:.1f}", "alarm" if bad else "plain"
        ),
        "rate": (fmt.short(per_minute(host)), "plain"),
        "p95": NONE if host.p95_ms is None else (times.took(host.p95_ms), "plain"),
        "flight": (fmt.count(host.in_flight), "plain" if host.in_flight else "dim"),
        "queued": (fmt.count(host.queued), "alarm" if host.queued else "dim"),
    }  # fmt: skip


def per_minute(host: Host) -> float:
    """Of the minutes since the first in which an attempt ended."""
    used = list(host.by_minute)
    while len(used) > 1 and not used[0][0]:
        del used[0]
    return host.ended / max(1, len(used))
