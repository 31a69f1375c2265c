"""Bugs of alerts: too many, none, of themselves, or with what should not be told."""

from __future__ import annotations

from engine.alerts import cloud_event, windows
from engine.alerts.alerts import Alerts
from engine.alerts.heard import heard
from engine.alerts.opening import open_own
from engine.alerts.windows import Windows
from engine.call.caller import HttpCaller
from engine.call.policy import Policies
from engine.core.rules.hold import own_hold
from tests.mutants.catalog import PROPERTY, Planting, plant

WINDOWS = "tests/alerts/test_windows.py::test_"
ALERTS = "tests/alerts/test_alerts.py::test_"
UNWRAPPED = "tests/call/test_unwrapped.py::test_"


@plant("an alert that fails alerts somebody", by=(PROPERTY,),
       test=f"{ALERTS}an_alert_is_tried_again_and_the_same")  # fmt: skip
def alerts_of_alerts(bug: Planting) -> None:
    bug.rewrite(Alerts.watch, "self._note_own(change)\n        return", "self._note_own(change)")


@plant("each failure is told, not one in fifteen minutes", by=(PROPERTY,),
       test=f"{WINDOWS}first_at_once_then_with_the_count_then_over")  # fmt: skip
def no_window(bug: Planting) -> None:
    bug.rewrite(windows._telling, "if not _passed(it.said_at, now):", "if False:")


@plant("alerts without a limit of the hour", by=(PROPERTY,),
       test=f"{WINDOWS}twenty_an_hour_in_all")  # fmt: skip
def no_limit_of_the_hour(bug: Planting) -> None:
    bug.rewrite(Windows._note_sent, "self._sent.append(now)", "pass")


@plant("failures take all the room of the hour", by=(PROPERTY,),
       test=f"{WINDOWS}a_full_disk_is_told_among_a_thousand_failures")  # fmt: skip
def nothing_kept_for_the_engine(bug: Planting) -> None:
    bug.rewrite(windows._kept_from, "KEPT_FOR_ENGINE", "0")


@plant("that it is over is not told", by=(PROPERTY,),
       test=f"{ALERTS}a_host_that_is_down_and_answers_again")  # fmt: skip
def never_over(bug: Planting) -> None:
    bug.rewrite(Windows.see, "if ends:", "if False:")


@plant("a restart forgets what was told", by=(PROPERTY,),
       test=f"{ALERTS}alerts_survive_a_restart")  # fmt: skip
def told_anew_after_a_restart(bug: Planting) -> None:
    bug.rewrite(Alerts._note_told, "self._remember()", "pass")


@plant("a secret of a reason stands in an alert", by=(PROPERTY,),
       test=f"{ALERTS}a_hold_is_told_after_an_hour_though_it_holds_everything")  # fmt: skip
def unmasked_texts(bug: Planting) -> None:
    bug.rewrite(cloud_event._masked, "return without_secrets(value)", "return value")


@plant("what an operator paused is told as the engine's", by=(PROPERTY,),
       test=f"{ALERTS}what_the_engine_paused_is_told_and_what_an_operator_paused_is_not",
)  # fmt: skip
def operators_pause_told(bug: Planting) -> None:
    bug.rewrite(heard, "(None, PauseReason.OPERATOR)", "(None,)")


@plant("a full store refuses the alert that tells of it", by=(PROPERTY,),
       test=f"{ALERTS}room_that_is_used_up_is_told")  # fmt: skip
def full_store_refuses_alerts(bug: Planting) -> None:
    bug.rewrite(
        open_own, "    now = engine.clock", "    engine._refuse_to_open()\n    now = engine.clock"
    )


@plant("a hold on everything holds the alert that tells of it", by=(PROPERTY,),
       test=f"{ALERTS}a_hold_is_told_after_an_hour_though_it_holds_everything")  # fmt: skip
def alerts_held(bug: Planting) -> None:
    bug.rewrite(own_hold, "it.kind is not HoldKind.ALL or submitted_at <= it.since", "True")


@plant("a copy of the record sends the alerts of then", by=(PROPERTY,),
       test=f"{ALERTS}a_hold_is_told_after_an_hour_though_it_holds_everything")  # fmt: skip
def old_alerts_sent(bug: Planting) -> None:
    bug.rewrite(own_hold, " or submitted_at <= it.since", "")


@plant("an alert has the envelope of a call, and its parent token", by=(PROPERTY,),
       test=f"{UNWRAPPED}an_alert_is_the_event_and_nothing_else")  # fmt: skip
def wrapped_alerts(bug: Planting) -> None:
    bug.rewrite(HttpCaller.call, "policy is not None and policy.unwrapped:", "False:")


@plant("without clients alerts go where any call may", by=(PROPERTY,),
       test=f"{UNWRAPPED}elsewhere_nothing_is_sent_and_nothing_waits")  # fmt: skip
def no_policy_of_alerts(bug: Planting) -> None:
    bug.rewrite(Policies.of, "return self._own.get(name)", "return None")


@plant("a restart forgets what was not told yet", by=(PROPERTY,),
       test=f"{ALERTS}what_was_not_told_yet_survives_too")  # fmt: skip
def untold_forgotten(bug: Planting) -> None:
    bug.rewrite(Alerts._count, "self._keep()", "pass")
