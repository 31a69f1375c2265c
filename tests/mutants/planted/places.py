"""Bugs in the places under the limits of requests in flight: `engine/runs/limits/concurrency.py`
and its users."""

from __future__ import annotations

from engine.core.access.turns import Turns
from engine.process.costly import CostlyWork, TurnPlaces
from engine.runs.limits.concurrency import Places
from engine.runs.limits.gates import Gate, HostPlaces
from engine.runs.limits.places import AttemptPlaces
from engine.runs.limits.trouble import Trouble
from tests.mutants.catalog import PROPERTY, Planting, plant

_GATES = "tests/runs/limits/test_gates.py::"
RATE = _GATES + "test_calls_begun_within_a_second"
BUDGET = _GATES + "test_retries_are_a_part_of_the_calls_to_a_host_that_half_fails"
COMES_BACK = _GATES + "test_after_a_probe_calls_come_back_a_few_at_a_time"
FEW = _GATES + "test_below_twenty_calls_everything_is_as_without"
_CLIENTS = "tests/runs/limits/test_client_calls.py::"
GIVEN_UP = _CLIENTS + "test_a_function_that_waits_for_its_step_keeps_no_place"
BY_TURNS = _CLIENTS + "test_it_counts_calls_to_all_hosts_and_they_take_turns"
PASSED = _CLIENTS + "test_a_full_client_costs_others_nothing"
BESIDE = _CLIENTS + "test_at_the_limit_and_one_beyond"
READ = "tests/process/test_costly.py::test_another_client_waits_for_one_slice_at_a_time"
TURNS = "tests/runs/limits/test_concurrency.py::test_clients_take_turns_on_a_host"


@plant("a place that became free is offered to nobody", rules=("liveness",))
def freed_place_not_offered(bug: Planting) -> None:
    bug.rewrite(Places.give_back, "self._offer(host)", "return")


@plant("a host whose queue the limit in all has stopped is forgotten", rules=("liveness",))
def blocked_host_forgotten(bug: Planting) -> None:
    bug.rewrite(Places.queue, "self._blocked.append(host)", "pass")


@plant("clients do not take turns on a host", by=(PROPERTY,), test=TURNS)
def clients_take_no_turns(bug: Planting) -> None:
    bug.rewrite(Turns.take, "self._by_client.move_to_end(client)", "pass")


@plant("what one client has to be read keeps another's from a place", by=(PROPERTY,), test=READ)
def costly_places_are_all_alike(bug: Planting) -> None:
    bug.rewrite(TurnPlaces._may_take, "self._most_with_own", "self._most")


@plant("who was read last is read again before others", by=(PROPERTY,), test=READ)
def costly_turn_is_kept(bug: Planting) -> None:
    bug.rewrite(CostlyWork._by_turns, "await self._turn.pass_on(client)", "pass")


@plant("calls are not counted against their host's rate", by=(PROPERTY,), test=RATE)
def rate_not_counted(bug: Planting) -> None:
    bug.rewrite(Gate.call_begins, "self._rate.note(now)", "pass")


@plant("the budget of retries is never used up", by=(PROPERTY,), test=BUDGET)
def retries_without_budget(bug: Planting) -> None:
    bug.rewrite(Trouble.has_retry_left, "failed * FAILING_ONE_IN < ended", "True")


@plant("the answer to one probe lets all in that wait", by=(PROPERTY,), test=COMES_BACK)
def breaker_closes_at_once(bug: Planting) -> None:
    bug.rewrite(Trouble.call_answered, "ROOM_WHEN_ANSWERED, now", "10_000.0, now")


@plant("few failures open the breaker", by=(PROPERTY,), test=FEW)
def breaker_opens_early(bug: Planting) -> None:
    bug.rewrite(Trouble.call_failed, "ended < CALLS_MIN or ", "")


@plant("a function that waits for a step counts for its client", by=(PROPERTY,), test=GIVEN_UP)
def waiting_functions_counted(bug: Planting) -> None:
    bug.rewrite(AttemptPlaces.give_up, "self._leave_host(request, answered=True)", "pass")


@plant("a client at its limit is offered places at one host alone", by=(PROPERTY,), test=BY_TURNS)
def limited_clients_hosts_take_no_turns(bug: Planting) -> None:
    bug.rewrite(HostPlaces.call_of_limited_ends, "range(len(calls.passed_over))", "()")


@plant("calls of a client with a limit begin as those of others", by=(PROPERTY,), test=BESIDE)
def limit_of_client_not_asked(bug: Planting) -> None:
    bug.rewrite(AttemptPlaces.take, "calls is not None and calls.is_full", "False")


@plant("a client at its limit keeps those behind it back", by=(PROPERTY,), test=PASSED)
def limited_client_not_passed_over(bug: Planting) -> None:
    bug.rewrite(Turns.whose, "filter(may, self._by_client)", "filter(may, [*self._by_client][:1])")
