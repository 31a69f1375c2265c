"""Bugs of what the engine does by itself: `engine/jobs/`."""

from __future__ import annotations

from engine.jobs import bulk
from engine.jobs.bulk import Bulk
from engine.jobs.work import Worker
from engine.runs.acts import carry_out
from engine.store.tables.views import jobs
from tests.mutants.catalog import PROPERTY, SIMULATION, Planting, plant

BULK = "tests/front/test_bulk.py::test_"
RECORDED = "tests/front/test_jobs_recorded.py::test_"
ONCE = "tests/front/test_jobs_once.py::test_"
FIRST = "tests/front/test_first.py::test_"


@plant("a client's bulk jobs push out another's", by=(PROPERTY,),
       test=f"{RECORDED}of_too_many_the_oldest_go")  # fmt: skip
def jobs_push_out_others(bug: Planting) -> None:
    bug.rewrite(
        bulk._too_old_or_many,
        "jobs[each.only] = jobs.get(each.only, 0) + 1",
        "jobs[each.only] = len(jobs) + sum(jobs.values()) + 1",
    )


@plant("a job is noted when its action is durable, and not with it", by=(PROPERTY,),
       test=f"{ONCE}every_run_once_whenever_the_engine_ends")  # fmt: skip
def job_noted_afterwards(bug: Planting) -> None:
    bug.rewrite(
        carry_out,
        "        acted(run.root.generation)\n"
        "    await (live.wait_durable() if order.dry_run else live.wait_all_durable())",
        "        await live.wait_all_durable()\n"
        "        acted(run.root.generation)\n"
        "    await (live.wait_durable() if order.dry_run else live.wait_all_durable())",
    )


@plant("what a job did to a run is not recorded with it", by=(SIMULATION,), rules=("R34",))
def job_forgets_its_runs(bug: Planting) -> None:
    bug.rewrite(Worker._refusal, "self._store.record(job, came_to)", "pass")


@plant("runs of a job that never began are kept", by=(PROPERTY,),
       test=f"{RECORDED}a_job_is_there_with_all_its_runs_or_not_at_all")  # fmt: skip
def unbegun_jobs_stay(bug: Planting) -> None:
    bug.rewrite(Bulk._take_up, "await self._store.unbegun()", "[]")


@plant("a job goes on though its token was taken away", by=(PROPERTY,),
       test=f"{RECORDED}who_may_not_any_more_does_nothing_more")  # fmt: skip
def job_of_lost_token(bug: Planting) -> None:
    bug.rewrite(Worker._why_forbidden, "if not name", "if True")


@plant("a job goes on when one of the first has failed", by=(PROPERTY, SIMULATION),
       rules=("R35",),
       test=f"{FIRST}one_that_does_not_complete_stops_the_job")  # fmt: skip
def canary_that_failed(bug: Planting) -> None:
    bug.rewrite(Worker._judge, "it.state != StepState.COMPLETED", "it.state is None")


@plant("a job does not wait until all of the first have ended", by=(PROPERTY, SIMULATION),
       rules=("R35",),
       test=f"{FIRST}the_rest_waits_until_the_first_have_completed")  # fmt: skip
def canary_not_waited_for(bug: Planting) -> None:
    bug.rewrite(Worker._may_go_on, "and all(it.state for it in ends)", "")


@plant("a job of a copied file goes on", by=(PROPERTY,),
       test=f"{RECORDED}in_a_copy_of_the_store_no_job_goes_on")  # fmt: skip
def job_of_a_copy(bug: Planting) -> None:
    bug.rewrite(Worker._act_on_all, "job.file_id != self._store.file_id", "False")


@plant("a first run that failed is looked up though it has gone", by=(PROPERTY,),
       test="tests/store/test_jobs.py::test_"
       "a_first_run_that_failed_and_has_gone_is_told_without_a_reason")  # fmt: skip
def reason_of_gone_run(bug: Planting) -> None:
    bug.rewrite(jobs._ends, 'and not row["is_gone"]', "")
