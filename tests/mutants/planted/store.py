"""Bugs in what is done while the store cannot be written."""

from __future__ import annotations

from engine.runs import store_away
from engine.runs.live import LiveRun
from engine.store.sqlite.sink import SqliteSink
from engine.store.tables.views.times import Times
from engine.store.tables.views.views import TableViews
from tests.mutants.catalog import PROPERTY, Planting, plant

SINCE = "tests/store/test_times.py::test_"
READS_ON = "tests/runs/test_store_away.py::test_reads_go_on_and_say_nothing_untrue"


@plant("a commit that was refused counts as made", rules=("R1", "I6", "fold"))
def refused_commit_counts(bug: Planting) -> None:
    bug.rewrite(SqliteSink.append, "return error", "return None")


@plant("steps are taken, and called, while nothing can be recorded", rules=("R26",))
def steps_taken_while_away(bug: Planting) -> None:
    bug.rewrite(store_away.would_record, "return found is None or", "return False and")
    bug.rewrite(LiveRun._start_due, "or self._shared.store.away is not None", "")


@plant("nobody looks again when the store is back", rules=("R14", "liveness"))
def not_woken_when_back(bug: Planting) -> None:
    bug.rewrite(store_away.follow_store, "live.wake()", "pass")


@plant("lists lack what no rows of the tables tell yet", by=(PROPERTY,), test=READS_ON)
def last_second_not_listed(bug: Planting) -> None:
    bug.rewrite(TableViews._of_all, "if is_away:", "if False:")


@plant("events since a time lack some where the clock was set back", by=(PROPERTY,),
       test=f"{SINCE}nothing_since_then_is_left_out")  # fmt: skip
def times_taken_to_rise(bug: Planting) -> None:
    bug.rewrite(Times.look_on, "max(self._latest, at)", "at")


@plant("events since a time lack those that were removed, unsaid", by=(PROPERTY,),
       test=f"{SINCE}what_may_have_been_cut_is_told")  # fmt: skip
def removed_events_unsaid(bug: Planting) -> None:
    bug.rewrite(Times.behind, "None if 0 < floor == seq - 1 else", "")
