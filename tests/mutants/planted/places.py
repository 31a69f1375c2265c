"""Bugs in the places under the limits of requests in flight: `engine/runs/limits/concurrency.py`
and its users."""

from __future__ import annotations

from engine.call.transport import LeanTransport
from engine.core.access.turns import Turns
from engine.process import descriptors
from engine.process.costly import CostlyWork, TurnPlaces
from engine.runs.engine import Engine
from engine.runs.home import Home
from engine.runs.limits.concurrency import Places
from engine.runs.limits.gates import Gate, HostPlaces
from engine.runs.limits.hanging import Hanging
from engine.runs.limits.places import AttemptPlaces
from engine.runs.limits.trouble import Trouble
from engine.runs.open.late import LateCalls
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
_HANGING = "tests/runs/limits/test_hanging.py::"
COUNTS = _HANGING + "test_a_function_counts_whose_steps_are_open_and_of_which_no_post_hangs"
COUNTS_AGAIN = _HANGING + "test_who_hangs_no_more_counts_again_also_beyond_the_limit"
OTHER_BRANCH = _HANGING + "test_two_functions_that_post_one_step_wait_for_it_without_a_place"
SO_MANY = _HANGING + "test_at_most_so_many_hang_uncounted"
QUICKLY = _HANGING + "test_who_keeps_its_place_is_sent_home_quickly"
KEPT = _HANGING + "test_who_kept_its_place_gives_it_up_when_there_is_room"
SHARED = _HANGING + "test_a_client_with_a_limit_leaves_others_room_to_hang"
CLOSED = _HANGING + "test_a_cancelled_call_counts_and_is_closed_when_others_wait"
GRACE = _HANGING + "test_a_cancelled_call_has_its_grace_and_what_came_of_it_is_told"
LATE_COUNTS = _HANGING + "test_a_cancelled_step_counts_while_its_post_hangs"
_BEYOND = "tests/runs/limits/test_beyond.py::"
BEYOND_CLIENT = _BEYOND + "test_who_counts_again_beyond_its_client_takes_no_place_of_others"
NO_CALL_MORE = _BEYOND + "test_who_counts_for_its_client_alone_is_no_call_more"
WAITS_AGAIN = _BEYOND + "test_one_beyond_its_clients_limit_may_wait_again"
BEYOND = (
    "tests/runs/limits/test_concurrency.py::test_a_host_is_served_that_ended_all_beyond_the_limit"
)
FIT = "tests/process/test_descriptors.py::test_all_limits_together_fit"
IDLE = "tests/call/test_pool.py::test_idle_connections_give_way"
READ = "tests/process/test_costly.py::test_another_client_waits_for_one_slice_at_a_time"
TURNS = "tests/runs/limits/test_concurrency.py::test_clients_take_turns_on_a_host"


@plant("a place that became free is offered to nobody", rules=("liveness",))
def freed_place_not_offered(bug: Planting) -> None:
    bug.rewrite(Places.give_back, "self._offer(host)", "return")


@plant("a host whose queue the limit in all has stopped is forgotten", rules=("liveness",))
def blocked_host_forgotten(bug: Planting) -> None:
    bug.rewrite(Places.queue, "self._note_blocked(host)", "pass")


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
    its = "self._leave_host(request.host, request, request.calls, answered=True)"
    bug.rewrite(AttemptPlaces.post_hangs, its, "pass")


@plant("a client at its limit is offered places at one host alone", by=(PROPERTY,), test=BY_TURNS)
def limited_clients_hosts_take_no_turns(bug: Planting) -> None:
    bug.rewrite(HostPlaces.call_of_limited_ends, "range(len(calls.passed_over))", "()")


@plant("calls of a client with a limit begin as those of others", by=(PROPERTY,), test=BESIDE)
def limit_of_client_not_asked(bug: Planting) -> None:
    bug.rewrite(AttemptPlaces.take, "calls is not None and calls.is_full", "False")


@plant("a client at its limit keeps those behind it back", by=(PROPERTY,), test=PASSED)
def limited_client_not_passed_over(bug: Planting) -> None:
    bug.rewrite(Turns.whose, "filter(may, self._by_client)", "filter(may, [*self._by_client][:1])")


@plant("a function that has posted a step counts nowhere", by=(PROPERTY,), test=COUNTS)
def poster_not_counted(bug: Planting) -> None:
    bug.rewrite(
        Engine._record_post, "self.places.showed(request)", "self.places.post_hangs(request)"
    )


@plant("one whose post was answered does not count again", by=(PROPERTY,), test=COUNTS_AGAIN)
def answered_function_not_counted(bug: Planting) -> None:
    bug.rewrite(AttemptPlaces.no_post_hangs, "calls.in_flight += 1", "pass")


@plant("who waits for a step of another's keeps its place", by=(PROPERTY,), test=OTHER_BRANCH)
def place_kept_for_anothers_step(bug: Planting) -> None:
    its = "self._places.post_hangs(request)"
    bug.rewrite(Home.wait_begins, its, f"step.parent_id != request.step_id or {its}")


@plant("any number of functions hang uncounted", by=(PROPERTY,), test=SO_MANY)
def hanging_without_end(bug: Planting) -> None:
    bug.rewrite(Hanging.has_room, "self.count + self.beyond < self.most", "True")


@plant("one client takes all the room for functions that hang", by=(PROPERTY,), test=SHARED)
def hanging_room_of_one(bug: Planting) -> None:
    bug.rewrite(Hanging.has_room, "calls.hanging + calls.beyond < self.of_client_max", "True")


@plant("a few clients fill a host with what each may not have", by=(PROPERTY,), test=BEYOND_CLIENT)
def beyond_its_client_fills_host(bug: Planting) -> None:
    bug.rewrite(AttemptPlaces.no_post_hangs, "self.limited.any and calls.is_full", "False")


@plant("what counts for its client alone is bounded by nothing", by=(PROPERTY,), test=NO_CALL_MORE)
def beyond_without_end(bug: Planting) -> None:
    bug.rewrite(Hanging.has_room, "self.count + self.beyond", "self.count")
    bug.rewrite(Hanging.come_back, "calls.beyond += 1", "pass")
    bug.rewrite(Hanging.hang_again, "calls.beyond -= 1", "pass")


@plant("one beyond its client's limit that waits again keeps the client's place", by=(PROPERTY,),
       test=WAITS_AGAIN)  # fmt: skip
def beyond_waits_and_counts(bug: Planting) -> None:
    its = "self.at_hosts.call_of_limited_ends(request.calls)"
    bug.rewrite(AttemptPlaces.post_hangs, its, "pass")


@plant("room for functions that hang is offered to nobody", by=(PROPERTY,), test=KEPT)
def hanging_room_not_offered(bug: Planting) -> None:
    bug.rewrite(Hanging.leave, "self.freed()", "pass")


@plant(
    "who keeps its place for want of such room waits as long as others",
    by=(PROPERTY,),
    test=QUICKLY,
)
def kept_wait_long(bug: Planting) -> None:
    bug.rewrite(Hanging.is_short, "bool(self.kept)", "False")


@plant("cancelled calls keep their places to the end", by=(PROPERTY,), test=CLOSED)
def cancelled_calls_kept(bug: Planting) -> None:
    bug.rewrite(LateCalls._look, "request.scope.cancel()", "pass")


@plant("cancelled calls are closed for nobody", by=(PROPERTY,), test=CLOSED)
def cancelled_calls_closed(bug: Planting) -> None:
    its = "wanted and since + GRACE_S <= now and self._places.is_waited_for(request)"
    bug.rewrite(LateCalls._look, its, "since + GRACE_S <= now")


@plant("a cancelled call that was closed counts for its host", by=(PROPERTY,), test=GRACE)
def closed_call_counts(bug: Planting) -> None:
    bug.rewrite(LateCalls._look, "request.closed = True", "pass")


@plant("a cancelled call whose post hangs counts nowhere", by=(PROPERTY,), test=LATE_COUNTS)
def cancelled_call_not_counted(bug: Planting) -> None:
    bug.rewrite(LateCalls.add, "self._places.no_post_hangs(request)", "pass")


@plant("a host that ended all its calls beyond the limit is forgotten", by=(PROPERTY,), test=BEYOND)
def host_beyond_the_limit_forgotten(bug: Planting) -> None:
    bug.rewrite(Places._offer, "self._note_blocked(host)", "pass")


@plant("functions that wait have no descriptors", by=(PROPERTY,), test=FIT)
def hanging_without_descriptors(bug: Planting) -> None:
    bug.rewrite(descriptors.within, "_hanging_max(config) * free // whole", "_hanging_max(config)")


@plant("idle connections are kept beyond the descriptors", by=(PROPERTY,), test=IDLE)
def idle_beyond_descriptors(bug: Planting) -> None:
    bug.rewrite(LeanTransport._connect, "self._close_oldest()", "pass")
