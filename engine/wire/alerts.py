"""How the status tells of alerts, and `POST /api/v1/alerts/test`."""

from __future__ import annotations

from msgspec import Struct


class AlertFailed(Struct, frozen=True, rename="camel"):
    """One that did not come through."""

    at: str
    run_id: str
    why: str


class AlertTrouble(Struct, frozen=True, rename="camel"):
    """Something that somebody is told of, and that is not over."""

    rule: str
    summary: str
    """A sentence for people, as in its first alert."""
    since: str
    count: int
    """How many since it began."""


class AlertsStatus(Struct, frozen=True, rename="camel"):
    """What somebody is told of, and what came of it. Counts are since the start of the engine."""

    url: str
    """Where alerts go."""
    rules: tuple[str, ...]
    going_on: int
    """Troubles that are not over."""
    sent_in_hour: int
    held_back: int
    """That wait for room within the hour."""
    sent: int
    delivered: int
    """That the receiver took."""
    failed: int
    """That it did not take in the time that they are tried."""
    last_failed: AlertFailed | None = None
    troubles: tuple[AlertTrouble, ...] = ()
    """Of those that are not over the latest, 20 at most."""


class AlertTest(Struct, frozen=True, rename="camel"):
    """The run that sends a test."""

    run_id: str
