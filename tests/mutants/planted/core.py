"""Bugs in what the core decides: `engine/core/`."""

from __future__ import annotations

from engine.core import machine
from engine.core.rules import attempt, post
from tests.mutants.catalog import Planting, plant


@plant("after a crash nobody remembers the attempts that were in flight",
       rules=("liveness", "engine", "fold"))  # fmt: skip
def forgotten_attempt(bug: Planting) -> None:
    bug.rewrite(
        attempt.recover, "for step in list(run.steps.values()):", "for step in list[Step]():"
    )


@plant("retries come after half their back-off", rules=("R10",))
def half_the_back_off(bug: Planting) -> None:
    bug.rewrite(
        attempt._failed,
        "next_delay_ms(policy, retry, chance)",
        "next_delay_ms(policy, retry, chance) // 2",
    )


@plant("a failed attempt is counted twice", rules=("R4",))
def failure_counted_twice(bug: Planting) -> None:
    bug.rewrite(machine._end_attempt, "step.failures += 1", "step.failures += 2")


@plant("a crash of the engine counts as a failed attempt", rules=("R4", "R22"))
def crash_counted_as_failure(bug: Planting) -> None:
    bug.rewrite(attempt.recover, "Count.CRASH", "Count.FAILURE")


@plant("a paused parent misses that its child has ended", rules=("I4", "liveness"))
def paused_parent_not_woken(bug: Planting) -> None:
    bug.rewrite(
        attempt.wake_parent,
        "parent.resumes_to if parent.state is StepState.PAUSED else parent.state",
        "parent.state",
    )


@plant("a parent token of an attempt that is over records new steps", rules=("R11",))
def stale_parent_token_taken(bug: Planting) -> None:
    bug.rewrite(post.find_or_record, "    if stale:", "    if False:")


@plant("another payload under a run's key is taken for the same", rules=("R6",))
def other_payload_taken(bug: Planting) -> None:
    bug.rewrite(post._same_root, "spec.fingerprint != run.root.spec.fingerprint", "False")
