"""Bugs in the places under the limits of requests in flight: `engine/runs/limits/concurrency.py`
and its users."""

from __future__ import annotations

from engine.runs.limits.concurrency import Places
from tests.mutants.catalog import Planting, plant


@plant("a place that became free is offered to nobody", rules=("liveness",))
def freed_place_not_offered(bug: Planting) -> None:
    bug.rewrite(Places.give_back, "self._offer(host)", "return")


@plant("a host whose queue the limit in all has stopped is forgotten", rules=("liveness",))
def blocked_host_forgotten(bug: Planting) -> None:
    bug.rewrite(Places.queue, "self._blocked.append(host)", "pass")
