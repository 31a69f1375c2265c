"""Bugs in what is removed, and in what is told of it."""

from __future__ import annotations

from engine.core.rules import retention
from engine.core.rules.retention import Retention
from engine.runs.engine import Engine
from engine.runs.memory import Memory
from engine.runs.open import replies
from engine.store.sqlite import expiry
from engine.store.sqlite.store import SqliteStore
from tests.mutants.catalog import PROPERTY, SIMULATION, Planting, plant

RUNS = "tests/runs/test_retention.py::"
STORE = "tests/store/test_expiry.py::"


@plant(
    "the key of a run that has gone opens another one",
    by=(SIMULATION, PROPERTY),
    rules=("R2", "R32", "effects"),
    test=RUNS + "test_what_has_gone_is_told_and_never_run_again",
)
def expired_key_runs_again(bug: Planting) -> None:
    bug.rewrite(Memory.read_by_key, "if store.any_expired and", "if False and")


@plant(
    "a run that goes while it is looked for is run again",
    by=(PROPERTY,),
    test=RUNS + "test_who_asks_while_a_run_goes_is_told_that_it_has_gone",
)
def run_again_as_it_goes(bug: Planting) -> None:
    bug.rewrite(
        Memory.read_by_key,
        "if (found := await self.read(run_id, suffices)) is not None:",
        "if (found := await self.read(run_id, suffices)) or True:",
    )


@plant(
    "an outcome whose body has gone is told as an empty one",
    by=(PROPERTY,),
    test=RUNS + "test_an_outcome_whose_body_has_gone_is_not_an_empty_one",
)
def gone_body_is_empty(bug: Planting) -> None:
    bug.rewrite(replies._body, "if found is None and", "if False and")


@plant(
    "a run that somebody has in memory goes",
    by=(PROPERTY,),
    test=RUNS + "test_a_run_that_was_opened_again_stays",
)
def run_in_memory_goes(bug: Planting) -> None:
    bug.rewrite(Memory._is_at_rest, "run_id in self.live or", "")


@plant(
    "failed runs go as soon as those that completed",
    by=(PROPERTY,),
    test=RUNS + "test_runs_of_an_age_go_and_failed_ones_stay_twice_as_long",
)
def failed_runs_go_early(bug: Planting) -> None:
    bug.rewrite(Retention.ended_before, "LONGER * self.days", "self.days")


@plant(
    "a shorter time acts at once",
    by=(PROPERTY,),
    test=RUNS + "test_a_shorter_time_acts_an_hour_after_it_was_set",
)
def shorter_time_acts_at_once(bug: Planting) -> None:
    bug.rewrite(
        retention.acts_at,
        "if retention.is_shorter_than(before):\n        return now + ACTS_AFTER_MS",
        "",
    )


@plant(
    "the store removes whatever it is asked to",
    by=(PROPERTY,),
    test=STORE + "test_the_store_looks_again_at_the_time",
)
def store_does_not_look_again(bug: Planting) -> None:
    bug.rewrite(expiry.write_expiry, 'if row["ended_at"] < before.get(row["state"], 0)', "if True")


@plant(
    "a run goes of which the tables may lack something",
    by=(PROPERTY,),
    test=STORE + "test_a_run_stays_while_the_tables_may_lack_something_of_it",
)
def run_that_is_folded_again_goes(bug: Planting) -> None:
    bug.rewrite(
        expiry.write_expiry,
        'SQL["may_expire"]',
        'SQL["may_expire"].replace("run.seq <= (SELECT caught_up FROM engine)", "1")',
    )


@plant(
    "a run goes before its last rows are written",
    by=(PROPERTY,),
    test=STORE + "test_rows_on_their_way_come_before_a_run_goes",
)
def rows_come_back(bug: Planting) -> None:
    bug.rewrite(SqliteStore.expire, "await self.writer.wait_rows(*run_ids)", "pass")


@plant(
    "runs are opened though the store is as large as it may be",
    by=(PROPERTY,),
    test="tests/runs/test_store_room.py::test_new_runs_are_refused_and_open_ones_go_on",
)
def opened_though_full(bug: Planting) -> None:
    bug.rewrite(Engine._refuse_to_open, "if self.shared.store_room.is_full:", "if False:")
