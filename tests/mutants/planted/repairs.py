"""Bugs of what people do by hand in the place of an endpoint, or of who posted."""

from __future__ import annotations

from engine.core import cause
from engine.core.below import as_it_failed
from engine.core.model import Step
from engine.core.rules import reopen, repair
from engine.runs import acts
from engine.runs.acts import carry_out
from engine.store.commit import _other_bodies
from engine.store.tables.writing import _insert
from tests.mutants.catalog import PROPERTY, SIMULATION, Planting, plant

CORE = "tests/core/test_repair.py::test_"
RUNS = "tests/runs/test_repair.py::test_"


@plant("a run that one failure of two had paused goes on when that is mended", by=(PROPERTY,),
       test=f"{CORE}it_stays_paused_while_another_failure_stands")  # fmt: skip
def resumed_with_a_failure_left(bug: Planting) -> None:
    bug.rewrite(
        repair._another_stands,
        "if step.parent_id in called and step.state in STANDS and step.id not in opened:",
        "if False:",
    )


@plant("only what stands right below the paused step keeps it so", by=(PROPERTY,),
       test=f"{CORE}it_stays_paused_while_a_failure_beside_it_stands")  # fmt: skip
def resumed_with_a_failure_left_deeper(bug: Planting) -> None:
    bug.rewrite(repair.set_result, "{paused.id} | between, opened", "{paused.id}, opened")


@plant("what was cancelled with a step is not opened with it", by=(PROPERTY,),
       test=f"{CORE}what_was_cancelled_with_the_steps_between_runs_again")  # fmt: skip
def cancelled_stays_so(bug: Planting) -> None:
    bug.rewrite(reopen.cancelled_with, "found.add(step.id)", "pass")


@plant("a later generation ends with what one before was given", by=(PROPERTY,),
       test=f"{CORE}a_later_generation_was_not_set")  # fmt: skip
def set_for_ever(bug: Planting) -> None:
    set_by = vars(Step)["set_by"].fget
    bug.rewrite(set_by, "self.answer_attempt == -self.generation", "self.answer_attempt < 0")


@plant("a retry takes a result away that was set", by=(PROPERTY,),
       test=f"{CORE}a_run_that_has_failed_stays_so_until_it_is_retried")  # fmt: skip
def retry_takes_the_result(bug: Planting) -> None:
    bug.rewrite(reopen._causes, "if step.state not in STANDS:", "if False:")


@plant("what failed because of a step says another reason once that is mended", by=(PROPERTY,),
       test=f"{CORE}what_failed_because_of_it_goes_on_saying_so")  # fmt: skip
def another_reason(bug: Planting) -> None:
    bug.rewrite(as_it_failed, "if since is None:", "if True:")


@plant("a run that stays failed has another cause once that step is mended", by=(PROPERTY,),
       test=f"{CORE}a_run_that_stays_failed_keeps_its_cause")  # fmt: skip
def another_cause(bug: Planting) -> None:
    was = "as_it_failed(run.steps[step.cause_id], step.ended_at or 0)"
    bug.rewrite(cause._at_fault, was, "run.steps[step.cause_id]")


@plant("a key of before makes another repair", by=(PROPERTY,),
       test=f"{CORE}asked_again_with_its_key_it_is_the_same")  # fmt: skip
def key_forgotten(bug: Planting) -> None:
    bug.rewrite(repair.is_repeated, "if repair.key == given.key:", "if False:")


@plant("a parent that waits is not called when a result is set", by=(PROPERTY,),
       test=f"{CORE}a_parent_that_waits_is_called")  # fmt: skip
def parent_not_woken(bug: Planting) -> None:
    bug.rewrite(repair.set_result, "after_end(change, step, now)", "pass")


@plant("the first payload is not found when another was set", by=(PROPERTY,),
       test=f"{RUNS}the_original_is_kept_and_readable")  # fmt: skip
def first_payload_lost(bug: Planting) -> None:
    bug.rewrite(_insert, "db.execute(SQL_KEEP_PAYLOAD, each.payload)", "pass")


@plant("where a result lies that was set is not written", by=(PROPERTY,),
       test=f"{RUNS}a_waiting_caller_gets_the_set_answer")  # fmt: skip
def result_lost(bug: Planting) -> None:
    bug.rewrite(_other_bodies, "number < (0 if answer else root.payload_generation)", "False")


@plant("a result is recorded without its bytes", by=(SIMULATION,), rules=("R33", "R4"))
def result_without_bytes(bug: Planting) -> None:
    bug.rewrite(carry_out, "() if done.repeated else _bodies(live, order)", "()")


@plant("a run is called with another payload than the one that was set", by=(SIMULATION,),
       rules=("R9", "R36"))  # fmt: skip
def other_payload_than_set(bug: Planting) -> None:
    bug.rewrite(
        acts._bodies,
        "live.payloads.keep_small(step.id, given.data)\n"
        "        return (Body(step.id, step.payload_generation, given.data),)",
        'return (Body(step.id, step.payload_generation, given.data.replace(b"again", b"never")),)',
    )
