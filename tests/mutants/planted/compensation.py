"""Bugs by which a compensation is lost: `engine/core/below.py` and who asks it."""

from __future__ import annotations

from engine.core import below
from engine.core.rules import attempt
from engine.runs.engine import Engine
from tests.mutants.catalog import Planting, plant


@plant("any answer that is no 2xx ends a step above a failure", rules=("R15", "R16"))
def any_answer_ends_it(bug: Planting) -> None:
    bug.rewrite(
        attempt._verdict, "says_that_it_ends(step, outcome)", "isinstance(outcome, Answered)"
    )


@plant("a failure below is what the attempt was told of, not what stands", rules=("R15", "R16"))
def told_by_memory_alone(bug: Planting) -> None:
    bug.rewrite(below.failure_below, "return max(stands,", "return max((),")


@plant("retries that are used up fail a step above a failure", rules=("R15", "R16"))
def used_up_fails(bug: Planting) -> None:
    bug.rewrite(below.may_fail, "if below is None:", "if True:")


@plant("a function whose post was refused is believed when it gives up", rules=("R17",))
def refused_post_is_no_interruption(bug: Planting) -> None:
    bug.rewrite(attempt._verdict, "nobody_called or flight.refused_post", "nobody_called")


@plant("a post that a stopping engine refuses is forgotten", rules=("R17",))
def refused_while_draining(bug: Planting) -> None:
    bug.rewrite(Engine._refuse_while_draining, "is not None:", "is not None and False:")
