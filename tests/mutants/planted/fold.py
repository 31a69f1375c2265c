"""Bugs in the dashboard's fold of the event stream: `tui/data/fold.py`."""

from __future__ import annotations

from tests.mutants.catalog import PROPERTY, Planting, plant
from tui.data import fold

HELD_TO_EVOLVE = (
    "tests/tui/data/test_fold_evolve.py::test_the_fold_of_the_stream_is_the_fold_of_the_records"
)


@plant("a reopened step shows its old failures", by=(PROPERTY,), test=HELD_TO_EVOLVE)
def old_failures_shown(bug: Planting) -> None:
    bug.rewrite(fold._reopened, "failures=0,", "")


@plant("an ended attempt leaves the time of the next one", by=(PROPERTY,), test=HELD_TO_EVOLVE)
def due_time_not_shown(bug: Planting) -> None:
    bug.rewrite(fold._attempt_ended, "due_at=ms_of(ended.due_at),", "")


@plant("a run that was moved is not read again", by=(PROPERTY,), test=HELD_TO_EVOLVE)
def old_urls_shown(bug: Planting) -> None:
    bug.rewrite(fold.says_all, "isinstance(fact, UNTOLD)", "False")


@plant("a step's revisions are not counted along", by=(PROPERTY,), test=HELD_TO_EVOLVE)
def always_read_again(bug: Planting) -> None:
    bug.rewrite(fold.step_after, "rev=step.rev + 1, ", "")
