"""Bugs in holds: `engine/core/rules/hold.py` and its users."""

from __future__ import annotations

from engine.core import machine
from engine.core.rules import attempt, hold
from engine.runs import held
from engine.runs.limits.holds import Holds
from engine.runs.live import LiveRun
from tests.mutants.catalog import PROPERTY, Planting, plant

DUE = "tests/core/test_hold.py::test_what_was_kept_is_due_when_it_is_let_go_whatever_the_clock_says"
ONCE = "tests/core/test_hold.py::test_a_pause_under_a_hold_is_taken_off_once"
HELD_BACK = "tests/core/test_hold.py::test_max_elapsed_stands_still_under_a_hold"


@plant("who sees one client is told of no hold on everything", by=(PROPERTY,),
       test="tests/runs/test_holds.py::test_whom_a_hold_concerns")  # fmt: skip
def hold_on_everything_is_not_told(bug: Planting) -> None:
    bug.rewrite(Holds.waiting_of, ", (HoldKind.ALL, EVERYTHING)):", ",):")


@plant("a step that is due starts under a hold", rules=("R30",))
def starts_under_a_hold(bug: Planting) -> None:
    was, becomes = "if hold is None:", "if hold is not None or hold is None:"
    bug.rewrite(LiveRun._is_held, was, becomes)


@plant("holds are not registered: a restart forgets them", rules=("R30",))
def hold_not_registered(bug: Planting) -> None:
    bug.rewrite(Holds.__init__, "self._holds[hold.key] = hold", "pass")


@plant("a release lets go of what is in memory alone", rules=("liveness", "R31"))
def stored_steps_not_released(bug: Planting) -> None:
    bug.rewrite(
        held._Release._start,
        "live = await self._memory.get(step.run_id)",
        "live = self._memory.live.get(step.run_id)",
    )


@plant("the time under a hold counts for maxElapsed", by=(PROPERTY,), test=HELD_BACK)
def held_time_counts(bug: Planting) -> None:
    bug.rewrite(machine._end_hold, "max(0, at - step.held_since)", "0")


@plant("let go with the clock set back, a step waits for its back-off", by=(PROPERTY,), test=DUE)
def let_go_waits_again(bug: Planting) -> None:
    bug.rewrite(attempt._clamp, "now if step.held_since is not None else now", "now")


@plant("what a pause under a hold took is taken off twice", by=(PROPERTY,), test=ONCE)
def pause_counted_twice(bug: Planting) -> None:
    bug.rewrite(hold.held_since, "step.paused_ms_at or 0", "0")
