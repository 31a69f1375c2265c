"""Bugs in how causes are told apart, in notes, and in what is dismissed: `engine/core/cause.py`,
`engine/core/text/pattern.py`, `engine/registry/causes.py`."""

from __future__ import annotations

from engine.core import cause, machine
from engine.core.text import pattern
from engine.registry.causes import Dismissal, SaidOfCauses
from tests.mutants.catalog import PROPERTY, Planting, plant

ORDERS = "tests/core/test_pattern.py::test_five_hundred_orders_are_one"
FAULTS = "tests/store/test_boards.py::test_five_hundred_runs_of_two_faults_are_two_causes"
CUT = "tests/core/test_pattern.py::test_where_it_was_cut_does_not_count"
CODES = "tests/core/test_pattern.py::test_what_tells_faults_apart_stays"
WHOSE = "tests/registry/test_causes.py::test_each_client_has_its_own_and_who_sees_all_has_theirs"
AGAIN = "tests/registry/test_causes.py::test_what_got_stuck_later_has_come_again"
FOR_WHOM = (
    "tests/registry/test_causes.py"
    "::test_each_client_dismisses_for_itself_and_who_sees_all_for_those"
)
STAYS = "tests/core/test_note.py::test_a_note_stays_with_its_run_and_changes_nothing_else"
OUTAGE = "tests/core/test_cause.py::test_where_no_answer_came_the_words_do_not_count"


@plant("ids of digits and letters stay in patterns", by=(PROPERTY,), test=ORDERS)
def ids_stay(bug: Planting) -> None:
    bug.rewrite(pattern._word, "ANY if numbered else part", "ANY if part.isdigit() else part")


@plant("faults of one status are one cause", by=(PROPERTY,), test=FAULTS)
def words_do_not_count(bug: Planting) -> None:
    bug.rewrite(cause.pattern_of_cause, "return pattern_of(excerpt)", 'return ""')


@plant("where an excerpt was cut makes a cause of its own", by=(PROPERTY,), test=CUT)
def cut_counts(bug: Planting) -> None:
    bug.rewrite(pattern.pattern_of, "len(data) <= PATTERN_BYTES_MAX", "True")


@plant("codes are seen through as numbers are", by=(PROPERTY,), test=CODES)
def codes_go(bug: Planting) -> None:
    bug.rewrite(pattern._seen, 'case "gone":', 'case "gone" | "code":')


@plant("how a connection was lost makes a cause of its own", by=(PROPERTY,), test=OUTAGE)
def words_of_lost_connections(bug: Planting) -> None:
    bug.rewrite(cause.pattern_of_cause, "and was_answered(http_status, error)", "")


@plant("one client is told what another writes of a cause", by=(PROPERTY,), test=WHOSE)
def notes_of_others(bug: Planting) -> None:
    bug.rewrite(SaidOfCauses.notes_of, "self._of(cause, client)", "self._of(cause, None)")


@plant("a cause that was dismissed never comes again", by=(PROPERTY,), test=AGAIN)
def never_again(bug: Planting) -> None:
    bug.rewrite(Dismissal.came_again, "last_at > self.last_at", "False")


@plant("a dismissed cause comes again by itself", by=(PROPERTY,), test=AGAIN)
def always_again(bug: Planting) -> None:
    bug.rewrite(Dismissal.came_again, "last_at > self.last_at", "last_at >= self.last_at")


@plant("what one client has dismissed is dismissed for all", by=(PROPERTY,), test=FOR_WHOM)
def dismissed_for_others(bug: Planting) -> None:
    bug.rewrite(SaidOfCauses.dismissals, "self._dismissals.get(client, {})",
                "self._dismissals.get(client or \"shop\", {})")  # fmt: skip


@plant("a note of a run is an event and nothing else", by=(PROPERTY,), test=STAYS)
def note_forgotten(bug: Planting) -> None:
    bug.rewrite(machine.evolve, "event.action == NOTE", "False")
