"""Bugs of what the engine does by itself: `engine/jobs/`."""

from __future__ import annotations

from engine.jobs.bulk import Bulk
from tests.mutants.catalog import PROPERTY, Planting, plant

BULK = "tests/front/test_bulk.py::test_"


@plant("a client's bulk jobs push out another's", by=(PROPERTY,),
       test=f"{BULK}jobs_of_one_client_push_out_no_others")  # fmt: skip
def jobs_push_out_others(bug: Planting) -> None:
    bug.rewrite(Bulk._make_room, "if job.asked.only == only", "if True")
