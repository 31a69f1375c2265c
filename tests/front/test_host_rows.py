"""What the status tells of each host: what may be in flight there, and what keeps calls back."""

from __future__ import annotations

import trio
from msgspec import UNSET

from engine.core.access.limits import HostLimits
from engine.core.text.times import rfc3339
from engine.front.api.figures import host_rows
from engine.runs.limits.hosts import HostFigures
from engine.runs.limits.places import AttemptPlaces
from engine.runs.limits.trouble import CALLS_MIN
from engine.wire import HostRow

NOW = 1_790_000_000_000
HOST = "app:9000"


def row(places: AttemptPlaces) -> HostRow:
    """The row of the host, a second after it was called."""
    (found,) = host_rows([HostFigures(HOST)], places, NOW, trio.current_time())
    return found


def fail(places: AttemptPlaces, times: int) -> None:
    for number in range(times):
        places.gates.call_ended(HOST, number, failed=True)


async def test_limits_of_a_host_are_told_where_they_are_set() -> None:
    """And not where the engine's setting holds for it as for all."""
    places = AttemptPlaces(100, 10, 0, 0)
    assert (row(places).in_flight_max, row(places).calls_per_s) == (UNSET, UNSET)
    places.gates.set_limits({HOST: HostLimits(in_flight_max=3, calls_per_s=0.5)})
    assert (row(places).in_flight_max, row(places).calls_per_s) == (3, 0.5)
    places.gates.set_limits({HOST: HostLimits(calls_per_s=2)})
    assert (row(places).in_flight_max, row(places).calls_per_s) == (UNSET, 2)


async def test_a_breaker_is_told_while_it_is_open(autojump_clock: object) -> None:
    """Since when; not one call before it opens, nor once a probe was answered."""
    places = AttemptPlaces(100, 10, 0, 0)
    fail(places, CALLS_MIN - 1)
    assert row(places).breaker_since is UNSET
    fail(places, 1)
    await trio.sleep(2)
    assert row(places).breaker_since == rfc3339(NOW - 2_000)
    places.gates.call_ended(HOST, "a probe", failed=False)
    assert row(places).breaker_since is UNSET
