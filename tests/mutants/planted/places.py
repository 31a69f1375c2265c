"""Bugs in the places under the limits of requests in flight: `engine/runs/limits/concurrency.py`
and its users."""

from __future__ import annotations

from engine.runs.limits.concurrency import Places
from engine.runs.limits.turns import Turns
from tests.mutants.catalog import PROPERTY, Planting, plant

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
