"""`/api/v1/alerts`, and how the status tells of alerts. `docs/how-to/alerts.md`."""

from __future__ import annotations

from engine.alerts.alerts import Alerts
from engine.alerts.cloud_event import trouble_of
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.text.secrets import without_secrets
from engine.core.text.times import rfc3339
from engine.wire import alerts as wire


async def test_alerts(alerts: Alerts | None, actor: Actor) -> wire.AlertTest:
    """`POST /api/v1/alerts/test`. Raises Refused."""
    if alerts is None:
        raise Refused(
            Problem.NOT_POSSIBLE,
            "This engine sends no alerts: set alerts_url and alerts_signing_secret_file, and start"
            " it anew.",
        )
    return wire.AlertTest(await alerts.test(actor))


def alerts_status(alerts: Alerts | None) -> wire.AlertsStatus | None:
    """How they are; None: nobody is told anything."""
    if alerts is None:
        return None
    last = alerts.last_failed
    return wire.AlertsStatus(
        url=alerts.settings.url,
        rules=tuple(sorted(alerts.settings.rules)),
        going_on=alerts.going_on,
        sent_in_hour=alerts.sent_in_hour,
        held_back=alerts.held_back,
        sent=alerts.sent.total(),
        delivered=alerts.delivered,
        failed=alerts.failed,
        last_failed=None
        if last is None
        else wire.AlertFailed(rfc3339(last.at), last.run_id, without_secrets(last.why)),
        troubles=tuple(
            wire.AlertTrouble(it.rule, trouble_of(it), rfc3339(it.began_at), it.count)
            for it in alerts.troubles()
        ),
    )
