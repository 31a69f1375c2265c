"""Bugs in what is removed, and in what is told of it."""

from __future__ import annotations

from engine.core.rules import retention
from engine.core.rules.retention import Retention
from engine.front.api import events
from engine.runs.engine import Engine
from engine.runs.memory import Memory
from engine.runs.open import replies
from engine.store.store import JournalStore
from engine.store.tables import cut, expiry, reading
from tests.mutants.catalog import PROPERTY, SIMULATION, Planting, plant

RUNS = "tests/runs/test_retention.py::"
STORE = "tests/store/test_expiry.py::"
CUT = "tests/store/test_cut.py::"


@plant(
    "the key of a run that has gone opens another one",
    by=(SIMULATION, PROPERTY),
    rules=("R2", "R32", "effects"),
    test=RUNS + "test_what_has_gone_is_told_and_never_run_again",
)
def expired_key_runs_again(bug: Planting) -> None:
    bug.rewrite(Memory.read_by_key, "raise outcome_expired(who)", "return None")


@plant(
    "a run that goes while it is looked for is run again",
    by=(PROPERTY,),
    test=RUNS + "test_who_asks_while_a_run_goes_is_told_that_it_has_gone",
)
def run_again_as_it_goes(bug: Planting) -> None:
    bug.rewrite(
        Memory.read_by_key,
        "if (found := await self.read(who, suffices)) is not None:",
        "if (found := await self.read(who, suffices)) or True:",
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
    bug.rewrite(JournalStore.expire, "await self.writer.wait_rows(*run_ids)", "pass")


@plant(
    "runs are opened though the store is as large as it may be",
    by=(PROPERTY,),
    test="tests/runs/test_store_room.py::test_new_runs_are_refused_and_open_ones_go_on",
)
def opened_though_full(bug: Planting) -> None:
    bug.rewrite(Engine._refuse_to_open, "if self.shared.store_room.is_full:", "if False:")


@plant(
    "what the journal has of runs that stay goes with its beginning",
    by=(SIMULATION, PROPERTY),
    rules=("R33", "verify"),
    test=CUT + "test_what_it_has_of_runs_that_stay_is_carried_on",
)
def cut_past_what_is_needed(bug: Planting) -> None:
    bug.rewrite(cut._piece, "kept = runs & (there | unknown)", "kept = runs & unknown")


@plant(
    "the floor of the journal is not recorded",
    by=(PROPERTY,),
    test=CUT + "test_a_kill_between_any_two_statements_leaves_a_whole_file",
)
def floor_is_not_recorded(bug: Planting) -> None:
    bug.rewrite(cut.write_cut, 'db.execute(SQL["set_floor"], (cut.floor,))', "pass")


@plant(
    "the journal is cut before what was carried on is written",
    by=(PROPERTY,),
    test=CUT + "test_a_kill_between_any_two_statements_leaves_a_whole_file",
)
def cut_before_it_is_carried_on(bug: Planting) -> None:
    bug.rewrite(
        cut.write_cut,
        "CARRIED.insert(db,",
        'db.execute(SQL["cut_journal"], (cut.floor,)); db.execute("COMMIT"); db.execute("BEGIN");'
        " CARRIED.insert(db,",
    )


@plant(
    "events are cut that a start would fold",
    by=(PROPERTY,),
    test=CUT + "test_what_a_start_folds_stays",
)
def cut_past_what_the_tables_know(bug: Planting) -> None:
    bug.rewrite(cut.look, "entry.last > caught_up or", "")
    bug.rewrite(cut.write_cut, "or cut.floor > caught_up", "")


@plant(
    "events go before their time",
    by=(PROPERTY,),
    test=CUT + "test_nothing_goes_too_early",
)
def cut_too_early(bug: Planting) -> None:
    bug.rewrite(cut.look, "or entry.at >= before", "")


@plant(
    "a run that has gone since is carried on",
    by=(PROPERTY,),
    test=CUT + "test_the_commit_looks_again",
)
def gone_run_is_carried_on(bug: Planting) -> None:
    bug.rewrite(cut.write_cut, "if part.run_id in stay", "if True")


@plant(
    "what was carried on of a run stays when it goes",
    by=(SIMULATION, PROPERTY),
    rules=("R33", "verify"),
    test=CUT + "test_a_run_takes_along_what_was_carried_on",
)
def carried_on_for_ever(bug: Planting) -> None:
    bug.rewrite(expiry.write_expiry, 'SQL["remove_carried"],', "")


@plant(
    "bodies are looked for in the journal alone",
    by=(PROPERTY,),
    test=CUT + "test_what_it_has_of_runs_that_stay_is_carried_on",
)
def carried_bodies_are_not_found(bug: Planting) -> None:
    bug.rewrite(reading.stored_body, "or _carried_bodies(db, run_id, entry)", "")


@plant(
    "a reader whose events have gone is not told",
    by=(PROPERTY,),
    test="tests/front/test_feed_tail.py::test_a_reader_that_the_journal_was_cut_before_starts_anew",
)
def reset_is_not_sent(bug: Planting) -> None:
    bug.rewrite(events.is_cut, "told[0].record.seq != at + 1", "False")
