"""The hosts that attempts are made at: how they do, and which of them stand still."""

from __future__ import annotations

from msgspec import UNSET, Struct

from engine.wire import HoldKind, HostRow, Status
from tui.data.holds import Holds
from tui.data.model import ms_of


class Host(Struct, frozen=True):
    """How attempts at a host did lately, and what it has to do now."""

    id: str
    ended: int
    succeeded: int
    p95_ms: int | None
    by_minute: tuple[tuple[int, int], ...]
    in_flight: int
    queued: int
    stands_still: str | None = None
    """Why it does, in a sentence; None: it does not."""
    waits_for: dict[str, int] = {}
    """How many of those that are queued wait for what."""
    in_flight_max: int | None = None
    """The most that may be in flight there, where it is set for this host or is waited for."""
    calls_per_s: float | None = None
    """How many calls may begin within a second; None: any."""
    breaker_since: int | None = None
    """Since when its breaker is open: one waiting attempt a second is tried. None: it is not."""


def standing_still(status: Status) -> dict[str, str]:
    """Hosts whose workers all wait for each other, as the engine sees it, and why in a sentence."""
    return {row.host: row.why for row in status.standstills or ()}


def hosts_of(status: Status) -> dict[str, Host]:
    """The hosts of the wire, by name; and those that are held, which may be called no more."""
    still = standing_still(status)
    found = {row.host: host_row(row, status, still.get(row.host)) for row in status.hosts or ()}
    held = Holds.of(status.holds or ())
    covered = {hold.name for host in found for hold in held.over_host(host)}
    for hold in held.in_force:
        if hold.kind == HoldKind.HOST and hold.name not in covered:
            found.setdefault(hold.name, Host(hold.name, 0, 0, None, (), 0, 0))
    return found


def host_row(row: HostRow, status: Status, stands_still: str | None = None) -> Host:
    """A host of the wire."""
    most = None if row.in_flight_max is UNSET else row.in_flight_max
    if most is None and "place" in row.waits_for and status.limits is not None:
        most = status.limits.in_flight_per_host_max
    return Host(
        id=row.host,
        ended=row.ended,
        succeeded=row.succeeded,
        p95_ms=row.p95_ms,
        by_minute=row.by_minute,
        in_flight=row.in_flight,
        queued=row.queued,
        stands_still=stands_still,
        waits_for=row.waits_for,
        in_flight_max=most,
        calls_per_s=None if row.calls_per_s is UNSET else row.calls_per_s,
        breaker_since=None if row.breaker_since is UNSET else ms_of(row.breaker_since),
    )
