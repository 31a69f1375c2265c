"""The hosts that attempts are made at: how they do, which of them stand still, which got worse.

Worse is a change, not a level: a host that has always failed for every third attempt is as it was.
And no chance either: what failed lately is more than that share would have made of so few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from msgspec import UNSET, Struct

from engine.wire import HoldKind, HostRow, Status
from tui.data.holds import Holds
from tui.data.model import ms_of

LATELY_MINUTES = 3
"""The one that runs, and the two before it: as many as tell of now, and still of enough."""
ENDED_MIN = 5
"""Of fewer attempts no share is told."""
WORSE_SHARE_MIN = 0.1
"""So much of the attempts more than before."""
WORSE_MIN = 3
"""So many attempts more than before's share would have made: one failure is no alarm."""
SPREADS_MIN = 2.0
"""And so many standard deviations: what chance makes of that share is no alarm."""
FAILING_SHARE = 0.1
"""A host does badly of whose attempts more fail."""
NEW_SHARE_MIN = 0.5
"""Of a host of which nothing is known from before."""
NOT_ENDED = ("suspended", "passed-on")
"""Results of attempts that say nothing of the host: they wait for steps, or one of these failed."""
NO_FAILURES = ("2xx", *NOT_ENDED)
"""Results of attempts that did not fail."""


class Trend(NamedTuple):
    """How attempts at a host ended lately, and before."""

    ended: int = 0
    failed: int = 0
    before: float | None = None
    """The share that failed in the minutes before; None: too few ended."""
    by_minute: tuple[float | None, ...] = ()
    """The share that failed of each minute, the latest last; None: none ended."""
    ended_by_minute: tuple[int, ...] = ()
    why: tuple[tuple[str, int], ...] = ()
    """What those that failed lately came to, the most first."""

    @property
    def share(self) -> float:
        """Of the attempts that ended lately those that failed."""
        return self.failed / self.ended if self.ended else 0.0

    @property
    def is_worse(self) -> bool:
        """Whether more fail than before, by more than chance."""
        if self.ended < ENDED_MIN or self.failed < WORSE_MIN:
            return False
        if self.before is None:
            return self.share >= NEW_SHARE_MIN
        more = self.failed - self.ended * self.before
        spread = sqrt(max(0.0, self.ended * self.before * (1 - self.before)))
        is_more = more >= max(WORSE_MIN, SPREADS_MIN * spread)
        return is_more and self.share - self.before >= WORSE_SHARE_MIN


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
    trend: Trend = Trend()
    """How its attempts ended lately, and in the minutes before."""
    why: tuple[tuple[str, int], ...] = ()
    """What those of `ended` that failed came to, the most first."""


def failing_share(ended: int, succeeded: int) -> float | None:
    """Of so many attempts those that failed, from 0 to 1; None: too few to say so of a host."""
    failed = ended - succeeded
    return failed / ended if ended >= ENDED_MIN and failed >= WORSE_MIN else None


def _worst_first(host: Host) -> tuple[bool, float, str]:
    """What fails for too many of its attempts, the most of them first; then all others by name."""
    share = failing_share(host.ended, host.succeeded) or 0.0
    bad = share if share > FAILING_SHARE else 0.0
    return host.stands_still is None, -bad, host.id


def standing_still(status: Status) -> dict[str, str]:
    """Hosts whose workers all wait for each other, as the engine sees it, and why in a sentence."""
    return {row.host: row.why for row in status.standstills or ()}


def hosts_of(status: Status) -> dict[str, Host]:
    """The hosts of the wire by their names, the worst first; and those that are held, which may be
    called no more."""
    still = standing_still(status)
    found = {row.host: host_row(row, status, still.get(row.host)) for row in status.hosts or ()}
    held = Holds.of(status.holds or ())
    covered = {hold.name for host in found for hold in held.over_host(host)}
    for hold in held.in_force:
        if hold.kind == HoldKind.HOST and hold.name not in covered:
            found.setdefault(hold.name, Host(hold.name, 0, 0, None, (), 0, 0))
    return {host.id: host for host in sorted(found.values(), key=_worst_first)}


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
        trend=trend_of(row.results),
        why=failures(row.results, len(row.by_minute)),
    )


def trend_of(results: Mapping[str, Sequence[int]]) -> Trend:
    """From what attempts came to, by minute, the latest last."""
    minutes = max((len(each) for each in results.values()), default=0)
    failed, ended = [0] * minutes, [0] * minutes
    for name, counts in results.items():
        for at, count in enumerate(counts, minutes - len(counts)):
            failed[at] += 0 if name in NO_FAILURES else count
            ended[at] += 0 if name in NOT_ENDED else count
    begun = max(0, minutes - LATELY_MINUTES)
    ended_before = sum(ended[:begun])
    return Trend(
        ended=sum(ended[begun:]),
        failed=sum(failed[begun:]),
        before=sum(failed[:begun]) / ended_before if ended_before >= ENDED_MIN else None,
        by_minute=tuple(f / e if e else None for f, e in zip(failed, ended, strict=True)),
        ended_by_minute=tuple(ended),
        why=failures(results, LATELY_MINUTES),
    )


def failures(results: Mapping[str, Sequence[int]], minutes: int) -> tuple[tuple[str, int], ...]:
    """What attempts that failed within so many minutes came to, and how many: the most first."""
    found = [
        (name, count)
        for name, counts in results.items()
        if minutes and name not in NO_FAILURES and (count := sum(counts[-minutes:]))
    ]
    return tuple(sorted(found, key=lambda each: (-each[1], each[0])))
