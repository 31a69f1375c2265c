"""How the status tells of alerts, and `POST /api/v1/alerts/test`."""

from __future__ import annotations

from msgspec import Struct


class AlertFailed(Struct, frozen=True, rename="camel"):
    """One that did not come through."""

    at: str
    run_id: str
    why: str


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


class AlertTest(Struct, frozen=True, rename="camel"):
    """The run that sends a test."""

    run_id: str
