"""Bugs in copies, in what is made of them, and in what checks them."""

from __future__ import annotations

from engine.jobs.backups import Backups
from engine.runs.limits.holds import Holds
from engine.store.sqlite import content
from engine.store.sqlite.backup import backup, new_file, restore
from engine.store.sqlite.verify.fold import FoldCheck
from engine.store.sqlite.verify.journal import JournalCheck
from engine.store.sqlite.verify.rows import RowComparison
from engine.store.tables import expiry
from tests.mutants.catalog import PROPERTY, Planting, plant

STORE, JOBS = "tests/store/test", "tests/jobs/test_backups.py"
FAULTS = f"{STORE}_verify.py::test_a_fault_is_named_by_its_place"
EVERYTHING = "tests/runs/test_holds.py::test_under_a_hold_nothing_starts"
RESTORED = f"{STORE}_restore.py::test_a_restored_file_has_another_name_and_all_that_was_in_the_copy"
SHAPE = f"{STORE}_shape.py::test_"
TAKEN = f"{STORE}_backup.py::test_a_name_that_is_taken_meanwhile_stays_whose_it_is"
ROOM = f"{STORE}_backup.py::test_a_full_disk_is_left_as_it_was"
KEPT = f"{JOBS}::test_as_many_as_a_setting_says_are_kept"


@plant("a copy with a foreign trigger passes verify", by=(PROPERTY,),
       test=f"{SHAPE}what_the_migrations_do_not_make_is_named")  # fmt: skip
def foreign_trigger_passes(bug: Planting) -> None:
    bug.rewrite(content.strange_in, "if (kind, name) not in should:",
                "if kind == 'trigger' and (kind, name) not in should:\n            pass\n"
                "        elif (kind, name) not in should:")  # fmt: skip


@plant("a copy with a foreign trigger is restored", by=(PROPERTY,),
       test=f"{SHAPE}what_the_migrations_do_not_make_is_named")  # fmt: skip
def foreign_trigger_is_restored(bug: Planting) -> None:
    bug.rewrite(content.check_shape, "if strange:", "if False:")


@plant("a hold on everything holds nothing", by=(PROPERTY,), test=EVERYTHING)
def everything_is_not_held(bug: Planting) -> None:
    bug.rewrite(Holds.over, "found.get((HoldKind.ALL, EVERYTHING))", "None")


@plant("what was restored keeps the id of the old file", by=(PROPERTY,), test=RESTORED)
def restored_under_the_old_id(bug: Planting) -> None:
    bug.rewrite(restore._rename, 'SET file_id = ?", (file_id,)', 'SET owner = ?", ("",)')


@plant("what was restored is on no hold", by=(PROPERTY,), test=RESTORED)
def restored_without_a_hold(bug: Planting) -> None:
    bug.rewrite(restore._rename, "write_registered(db, entry)", "pass")


@plant("a copy is put over what has its name", by=(PROPERTY,), test=TAKEN)
def copy_over_another(bug: Planting) -> None:
    bug.rewrite(new_file._name, "os.link(part, target, follow_symlinks=False)",
                "part.replace(target); part.touch()")  # fmt: skip


@plant("a copy fills the disk", by=(PROPERTY,), test=ROOM)
def copy_fills_the_disk(bug: Planting) -> None:
    bug.rewrite(backup._check_room, "free < needed + ROOM_LEFT_BYTES", "False")


@plant("one copy more is deleted than is asked for", by=(PROPERTY,), test=KEPT)
def one_copy_too_few(bug: Planting) -> None:
    bug.rewrite(Backups._remove_old, "[: -self._settings.keep]", "[: 1 - self._settings.keep]")


@plant(
    "a copy of a clock that was ahead keeps others away until its time has come",
    by=(PROPERTY,),
    test=f"{JOBS}::test_a_clock_that_was_set_back_keeps_none_away",
)
def copy_of_tomorrow(bug: Planting) -> None:
    bug.rewrite(Backups.made_at, "done.at > self._clock.utc_ms() + AHEAD_MS_MAX", "False")


@plant("verify takes a gap of the journal for none", by=(PROPERTY,), test=FAULTS)
def gap_unseen(bug: Planting) -> None:
    bug.rewrite(JournalCheck._look, "if seq > expected:", "if False:")


@plant("verify takes a row that is missing for one that is not needed", by=(PROPERTY,), test=FAULTS)
def missing_row_unseen(bug: Planting) -> None:
    bug.rewrite(RowComparison._compare_table, "for told in by_key.values():", "for told in ():")


@plant("verify takes rows that lack an event for whole", by=(PROPERTY,), test=FAULTS)
def lacking_event_unseen(bug: Planting) -> None:
    bug.rewrite(FoldCheck._see_later, "if seq <= self.caught_up:", "if False:")


@plant(
    "verify does not look at what a start would fold",
    by=(PROPERTY,),
    test=f"{STORE}_verify.py::test_an_event_that_a_start_could_not_fold_is_a_fault",
)
def tail_unseen(bug: Planting) -> None:
    bug.rewrite(FoldCheck._see_later, "self._go_on_from_rows(seq, line)", "pass")


@plant(
    "verify takes as many rows as there should be for those",
    by=(PROPERTY,),
    test=FAULTS,
)
def rows_by_number(bug: Planting) -> None:
    bug.rewrite(RowComparison._are_equal, " or distinct != set(found)", "")


@plant(
    "a dry run counts what is carried on as what goes",
    by=(PROPERTY,),
    test="tests/runs/test_retention.py::test_what_a_dry_run_says_is_what_goes_and_what_stays",
)
def plan_counts_late_entries(bug: Planting) -> None:
    bug.rewrite(expiry.old, "(before, id_before)", "(1 << 60, id_before)")
