"""What counts again beyond its client's limit: for the client alone, and bounded all the same."""

from __future__ import annotations

from pathlib import Path

import trio
from msgspec.structs import replace

from engine.core.access.client import ClientLimits
from engine.figures import show_engine
from engine.runs.limits.concurrency import ClientCalls
from engine.runs.limits.places import AttemptPlaces
from engine.telemetry.metrics import Metrics
from tests.runs.limits.endpoint import all_completed
from tests.runs.limits.functions import ASYNC, HOST, PATIENT, App, post_many
from tests.runs.limits.limited import Limited
from tests.world import World, recorded, still_open, world


async def come_back_together(it: World, clients: list[str]) -> None:
    """Of each client a workflow begins, and five functions of it that wait for one step, which ends
    after five seconds; they then work on for ten seconds and more."""
    for client in clients:
        await post_many(it, 1, "five", client=client)
    await trio.sleep(4)
    for client in clients:
        calls = it.engine.places.limited.of(client)
        assert calls is not None
        assert (calls.in_flight, calls.hanging) == (1, 6)
    await trio.sleep(2)


async def test_who_counts_again_beyond_its_client_takes_no_place_of_others(
    autojump_clock, path: Path
) -> None:
    """A host takes 24 calls, and five clients may have one each. Their functions work on in one
    moment, 25 of them: each client counts all of its own, and the host what each may have. So one
    of another client begins at once."""
    app, clients = App(), [f"shop{number}" for number in range(5)]
    limits = replace(PATIENT, in_flight_per_host_max=24)
    registry = Limited(ClientLimits(in_flight_max=1))
    registry.limits = dict.fromkeys(clients, ClientLimits(in_flight_max=1))
    async with world(path, app.calls, limits=limits, registry=registry) as it:
        app.it = it
        await come_back_together(it, clients)
        places = it.engine.places
        assert app.calls.open == 30
        assert places.limited.by_client == dict.fromkeys(clients, 5)
        assert places.at_hosts.by_host == {"app:9000": 5}
        assert (places.hanging.count, places.hanging.beyond) == (5, 20)
        metrics = Metrics()
        show_engine(metrics, it.engine)
        figures = metrics.ask()
        assert figures["atomic_attempts_hanging"] == {(): 5}
        assert figures["atomic_attempts_beyond_client_limit"] == {(): 20}
        began = trio.current_time()
        recorded(await it.post(HOST + "new", client="bank"))
        assert trio.current_time() - began < 0.1
        (waits,) = await post_many(it, 1, "new", client="shop0")
        await trio.sleep(0.1)
        still_open(await it.engine.outcome(waits, ASYNC))
        await all_completed(it, 7)
        assert places.limited.by_client == dict.fromkeys(clients, 0)
        assert (places.at_hosts.in_flight, places.hanging.count, places.hanging.beyond) == (0, 0, 0)
        assert all(calls.beyond == 0 for calls in map(places.limited.of, clients) if calls)


async def test_who_counts_for_its_client_alone_is_no_call_more(autojump_clock, path: Path) -> None:
    """Ten may be in flight and 24 hang: those of eight clients that come back, round after round,
    keep what room they had, and no more calls are ever open than both together."""
    app, clients = App(), [f"shop{number}" for number in range(8)]
    limits = replace(PATIENT, in_flight_max=10, hanging_max=24)
    registry = Limited(ClientLimits(in_flight_max=1))
    registry.limits = dict.fromkeys(clients, ClientLimits(in_flight_max=1))
    async with world(path, app.calls, limits=limits, registry=registry) as it:
        app.it = it
        most_beyond = 0
        for client in clients:
            await post_many(it, 3, "five", client=client)
        with trio.move_on_after(600):
            while True:
                most_beyond = max(most_beyond, it.engine.places.hanging.beyond)
                await trio.sleep(0.5)
        assert most_beyond >= 8
        assert app.calls.most <= 34
        await all_completed(it, 24)
        places = it.engine.places
        assert (places.at_hosts.in_flight, places.hanging.count, places.hanging.beyond) == (0, 0, 0)


async def test_one_beyond_its_clients_limit_may_wait_again(autojump_clock, path: Path) -> None:
    """Its room to hang is still its own: it gives its client's place up, and no other."""
    places = AttemptPlaces(
        8, 8, 0, 0, clients=Limited(ClientLimits(in_flight_max=1)), hanging_max=8
    )
    calls = places.limited.of("shop")
    assert calls is not None
    first, second = (Calls(calls, "app:9000") for _ in range(2))
    for each in (first, second):
        places.at_hosts.take_back("app:9000")
        calls.in_flight += 1
        places.post_hangs(each)  # type: ignore[arg-type]
    for each in (first, second):
        places.no_post_hangs(each)  # type: ignore[arg-type]
    assert (first.is_beyond, second.is_beyond) == (False, True)
    assert (calls.in_flight, calls.hanging, calls.beyond) == (2, 0, 1)
    assert places.at_hosts.by_host == {"app:9000": 1}
    places.post_hangs(second)  # type: ignore[arg-type]
    assert (calls.in_flight, calls.hanging, calls.beyond) == (1, 1, 0)
    assert (places.hanging.count, places.hanging.beyond) == (1, 0)
    assert places.at_hosts.by_host == {"app:9000": 1}
    places.no_post_hangs(second)  # type: ignore[arg-type]
    assert not places.is_waited_for(second)  # type: ignore[arg-type]
    for each in (first, second):
        places.give_back(each)  # type: ignore[arg-type]
    assert (calls.in_flight, calls.hanging, calls.beyond) == (0, 0, 0)
    assert (places.at_hosts.in_flight, places.hanging.count, places.hanging.beyond) == (0, 0, 0)


def test_where_a_limit_was_taken_away_nothing_is_beyond_it() -> None:
    """What hung when it was counts at its host again as everybody's does."""
    clients = Limited(ClientLimits(in_flight_max=1))
    places = AttemptPlaces(8, 8, 0, 0, clients=clients, hanging_max=8)
    calls = places.limited.of("shop")
    assert calls is not None
    both = [Calls(calls, "app:9000") for _ in range(2)]
    for each in both:
        places.at_hosts.take_back("app:9000")
        calls.in_flight += 1
        places.post_hangs(each)  # type: ignore[arg-type]
    clients.limits = {}
    for each in both:
        places.no_post_hangs(each)  # type: ignore[arg-type]
    assert [each.is_beyond for each in both] == [False, False]
    assert places.at_hosts.by_host == {"app:9000": 2}
    for each in both:
        places.give_back(each)  # type: ignore[arg-type]
    assert (places.at_hosts.in_flight, places.hanging.count, places.hanging.beyond) == (0, 0, 0)


class Calls:
    """A request, as far as places go."""

    def __init__(self, calls: ClientCalls, host: str) -> None:
        self.calls: ClientCalls | None = calls
        self.host: str | None = host
        self.is_hanging = self.is_beyond = self.has_hung = self.is_on_ramp = False
        self.workflow_host: str | None = None
