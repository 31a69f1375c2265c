"""The board of hosts: how each does that is called."""

from __future__ import annotations

from collections.abc import Mapping

from engine.shown import times
from tui.boards.cells import MIDDLE, NONE, WIDE, Cell, Column, Part, Seen
from tui.data.hosts import FAILING_SHARE, Host, failing_share
from tui.text import fmt

HOSTS = (
    Column("host", "HOST", 22, flex=3, most=48),
    Column("spark", "OK 8m", 8, from_width=74),
    Column("ok", "OK%", 6, right=True),
    Column("rate", "REQ/MIN", 7, right=True),
    Column("p95", "P95", 7, right=True),
    Column("flight", "IN FLIGHT", 9, right=True, from_width=74),
    Column("queued", "QUEUED", 7, right=True),
    Column("waits", "WAITS FOR", 18, flex=2, from_width=MIDDLE, most=48),
    Column("why", "FAILED WITH", 16, flex=3, from_width=WIDE, most=64),
)
REASONS_IN_TOP = 2
MEANS = {
    "place": "in_flight_max",
    "client-place": "in_flight_max of its client",
    "workflow-place": "workflows_in_flight_per_host_max",
    "ramp": "those of before come back a few at a time",
    "retry-budget": "its host fails, and enough of its calls are retries",
}
"""What keeps those back that wait for something, as far as the word does not say it."""
DOWN_SHARE = 0.01
"""Of whose attempts fewer succeed, is as good as down."""
OK_ENDED_MIN = 5
"""Of fewer attempts no share is told."""


def ok_share(host: Host) -> float | None:
    """How many of a host's attempts succeeded, from 0 to 1; None: too few have ended."""
    return host.succeeded / host.ended if host.ended >= OK_ENDED_MIN else None


def host_cell(host: Host, seen: Seen) -> Cell:
    """Its name; that it stands still or is held is said before, as a long name is cut."""
    name: Part = (host.id, "plain")
    if host.stands_still is not None:
        return ("stands still ", "alarm"), name
    return (("held ", "paused"), name) if seen.holds.over_host(host.id) else name


def host_cells(host: Host, seen: Seen) -> dict[str, Cell]:
    """A host's row."""
    share = ok_share(host)
    bad = (failing_share(host.ended, host.succeeded) or 0.0) > FAILING_SHARE
    how = "good" if share is None or not bad else "alarm" if share >= DOWN_SHARE else "failed"
    shares = [succeeded / ended if ended else None for ended, succeeded in host.by_minute]
    spark = fmt.sparkline(shares, top=1.0)
    return {
        "host": host_cell(host, seen),
        "spark": (spark, how),
        "ok": (f"n<{OK_ENDED_MIN}", "dim") if share is None else (
            f"{100 * share:.1f}", how if bad else "plain"
        ),
        "rate": (fmt.short(per_minute(host)), "plain"),
        "p95": NONE if host.p95_ms is None else (times.took(host.p95_ms), "plain"),
        "flight": flight_cell(host),
        "queued": (fmt.count(host.queued), "alarm" if host.queued else "dim"),
        "waits": waits_cell(host),
        "why": why_cell(host),
    }  # fmt: skip


def flight_cell(host: Host) -> Part:
    """Requests there, of how many there may be, where that is set or waited for: `12/20`."""
    style = "plain" if host.in_flight else "dim"
    if host.in_flight_max is None:
        return fmt.count(host.in_flight), style
    return f"{fmt.short(host.in_flight)}/{fmt.short(host.in_flight_max)}", style


def waits_cell(host: Host) -> Part:
    """What its queued attempts wait for: `breaker`, `place 12, rate 3`."""
    reasons = _most_first(host.waits_for)
    told = ", ".join(f"{why} {fmt.short(count)}" for why, count in reasons)
    if len(reasons) == 1:
        told = reasons[0][0]
    if host.breaker_since is not None:
        return told if "breaker" in told else f"breaker open{told and ', '}{told}", "alarm"
    return (told, "backing-off") if told else NONE


def why_cell(host: Host) -> Part:
    """What those of its attempts came to that failed: `5xx 412, connection-refused 3`."""
    told = ", ".join(f"{name} {fmt.short(count)}" for name, count in host.why)
    return (told, "plain") if told else NONE


def waits_in_words(host: Host, seen: Seen) -> list[str]:
    """What waits there and why, each in the words of `atomic status`, with the limit that it
    is."""
    told = [
        f"{fmt.count(count)} {'waits' if count == 1 else 'wait'} for {why}{_because(why, host)}"
        for why, count in _most_first(host.waits_for)
    ]
    if host.breaker_since is not None:
        age = times.span(seen.now_ms - host.breaker_since)
        told.insert(0, f"breaker open for {age}: one attempt a second is tried")
    return told


def _because(why: str, host: Host) -> str:
    if why == "rate" and host.calls_per_s is not None:
        return f" (calls_per_s {host.calls_per_s:g})"
    if why == "place" and host.in_flight_max is not None:
        return f" ({MEANS[why]} {host.in_flight_max:,})"
    return f" ({MEANS[why]})" if why in MEANS else ""


def waits_in_short(waiting: Mapping[str, int]) -> str:
    """How many attempts of all hosts wait for which limits: `12 wait for breaker, rate`; empty:
    none."""
    reasons = _most_first(waiting)
    if not reasons:
        return ""
    count = sum(count for _, count in reasons)
    words = [why for why, _ in reasons[:REASONS_IN_TOP]]
    more = ", …" if len(reasons) > REASONS_IN_TOP else ""
    return f"{fmt.count(count)} {'waits' if count == 1 else 'wait'} for {', '.join(words)}{more}"


def _most_first(waiting: Mapping[str, int]) -> list[tuple[str, int]]:
    found = [(why, count) for why, count in waiting.items() if count]
    return sorted(found, key=lambda each: (-each[1], each[0]))


def per_minute(host: Host) -> float:
    """Of the minutes since the first in which an attempt ended."""
    used = list(host.by_minute)
    while len(used) > 1 and not used[0][0]:
        del used[0]
    return host.ended / max(1, len(used))
