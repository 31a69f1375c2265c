"""Bugs in who is sent home, and in what that means for the attempt."""

from __future__ import annotations

from engine.core.rules import attempt, post
from engine.core.rules import home as core_home
from engine.runs.home import Home
from engine.runs.limits.standstill import Standstill
from tests.mutants.catalog import Planting, plant


@plant("an attempt that was sent home and answers 2xx completes", rules=("R4",))
def sent_home_completes(bug: Planting) -> None:
    bug.rewrite(attempt._verdict, "if flight.sent_home:", "if False:")


@plant("an attempt that was sent home records what it posts", rules=("R18",))
def sent_home_records(bug: Planting) -> None:
    bug.rewrite(post.find_or_record, "and flight.sent_home:", "and False:")


@plant("who was sent home is called again for a step that had ended before", rules=("R19",))
def old_end_calls_again(bug: Planting) -> None:
    bug.rewrite(core_home.send_home, "flight.child_ended = False", "pass")


@plant("who waits above a step whose attempt timed out waits on", rules=("R27",))
def no_safety_net(bug: Planting) -> None:
    bug.rewrite(Home.attempt_failed, "if not request.sent_home and", "if False and")


@plant("a nested function fails for what the root was told", rules=("R29",))
def nested_fails_for_the_root(bug: Planting) -> None:
    bug.rewrite(core_home.note_suspended, "= its_own < max(1, len(posted))", "= False")


@plant("a host whose workers all wait for each other stands still", rules=("POOL", "liveness"))
def standstill_unseen(bug: Planting) -> None:
    bug.rewrite(Standstill._look, "if now < due:", "if True:\n        due = max(due, now + 60)")


@plant("who is sent home is not told: its posts hang on", rules=("POOL", "liveness", "R27"))
def nobody_is_told(bug: Planting) -> None:
    bug.rewrite(Home._let_go, "event.set()", "pass")


@plant("an execution that is over waits for open steps, with a worker",
       rules=("POOL", "liveness"))  # fmt: skip
def over_and_waiting(bug: Planting) -> None:
    bug.rewrite(post.find_or_record, "if stale and not found.ended:", "if False:")
