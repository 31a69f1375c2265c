"""What an alert can be about. `docs/how-to/alerts.md`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


class Rule(StrEnum):
    """Why somebody is told."""

    FAILED = "failed"
    """A run has failed."""
    PAUSED = "paused"
    """The engine has paused a step: its retries are used up, or nobody knows what to do."""
    LATE = "late"
    """A run is open, and not paused, for longer than `alerts_late_after_s`."""
    HOST_DOWN = "host-down"
    """Nearly every call to a host fails: its breaker is open."""
    DISK = "disk"
    """Room for the database is nearly used up."""
    HOLD = "hold"
    """Something is held for longer than an hour."""
    NEW_CAUSE = "new-cause"
    """Runs need a person for a reason for which none did before."""


TYPES = {
    Rule.FAILED: "dev.atomic.run.failed",
    Rule.PAUSED: "dev.atomic.run.paused",
    Rule.LATE: "dev.atomic.run.late",
    Rule.HOST_DOWN: "dev.atomic.host.down",
    Rule.DISK: "dev.atomic.disk.low",
    Rule.HOLD: "dev.atomic.hold.old",
    Rule.NEW_CAUSE: "dev.atomic.cause.new",
}
"""Of the CloudEvent that tells of it."""
TEST_TYPE = "dev.atomic.test"
OF_ENGINE = frozenset({Rule.DISK, Rule.HOST_DOWN, Rule.HOLD})
"""The others are of runs: there may be as many of them as clients like."""

Facts = dict[str, str | int]


class Trouble(Struct, frozen=True):
    """One that was heard of or seen."""

    rule: Rule
    cause: str
    """The same for all of a rule that are one trouble."""
    facts: Facts = field(default_factory=dict)
    """Of the latest, by their names in an alert. Texts are not masked yet."""
    is_new: bool = False
    """No run needed a person for this cause before."""
    count: int = 1
    """Of what is looked at: how many there are."""
    at_least: bool = False
    """There may be more of them."""
