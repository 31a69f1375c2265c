"""A client's own limit for calls in flight: who is over it waits, and nobody else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from engine.core.access.client import Client, ClientLimits
from engine.core.events import Actor
from engine.core.model import StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.hold import HoldKind
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.gates import EVERY_S, WaitsFor
from engine.runs.open.callers import Wait
from tests.runs.limits.endpoint import Endpoint, all_completed
from tests.world import ROOT, World, ok, recorded, still_open, taking, world

ASYNC = Wait(prefer_ms=0)
HOST, OTHER = "app:9000", "other:9000"


class Limits:
    """What clients may take, as it is set now."""

    clients: Mapping[str, Client] = {}
    limits: Mapping[str, ClientLimits] = {}

    def __init__(self, **in_flight_max: int) -> None:
        self.set(**in_flight_max)

    def set(self, **in_flight_max: int) -> None:
        self.limits = {
            client: ClientLimits(in_flight_max=most) for client, most in in_flight_max.items()
        }


class Calls(Endpoint):
    """The same by client."""

    def __init__(self, takes_s: float) -> None:
        super().__init__(taking(takes_s))
        self.now, self.peak = Counter[str](), Counter[str]()

    async def __call__(self, call: Invocation) -> Outcome:
        self.now[call.client] += 1
        self.peak |= self.now
        try:
            return await super().__call__(call)
        finally:
            self.now[call.client] -= 1


async def post_many(it: World, count: int, host: str = HOST, client: str = "shop") -> None:
    for number in range(count):
        await it.post(f"http://{host}/x", f"{host}{number}", client=client, wait=ASYNC)


def waiting(it: World, host: str = HOST) -> dict[WaitsFor, int]:
    return dict(it.engine.places.waiting_by_host.get(host, {}))


async def test_at_the_limit_and_one_beyond(autojump_clock, path: Path) -> None:
    """Three begin and the fourth waits, unrefused and with its retries; other clients, and steps of
    this one that are there before, do not feel it."""
    app = Calls(1)
    async with world(path, app, registry=Limits(shop=3)) as it:
        await post_many(it, 3)
        await trio.sleep(0)
        assert (app.open, it.engine.places.queued) == (3, 0)
        run = still_open(await it.post("http://app:9000/x", "beyond", wait=ASYNC)).run_id
        await post_many(it, 50, client="bank")
        await trio.sleep(0.5)
        assert app.now == {"shop": 3, "bank": 50}
        assert waiting(it) == {WaitsFor.CLIENT_PLACE: 1}
        assert it.engine.waiting_for["client-place"] == 1
        assert await all_completed(it, 54) == pytest.approx(1.5, abs=0.1)
        assert app.peak["shop"] == 3
        assert it.engine.places.limited.of("bank") is None, "nothing is counted of it"
        done = await it.engine.outcome(run, ASYNC)
        assert recorded(done).step.attempts == 1


async def test_it_counts_calls_to_all_hosts_and_they_take_turns(autojump_clock, path: Path) -> None:
    """Two places for many calls to each of two hosts: both hosts get on, equally."""
    app = Calls(0.1)
    async with world(path, app, registry=Limits(shop=2)) as it:
        await post_many(it, 100, HOST)
        await post_many(it, 100, OTHER)
        await trio.sleep(2.05)
        by_host = Counter(call.url.split("/")[2] for _, call in it.caller.calls)
        assert by_host.total() == 42
        assert abs(by_host[HOST] - by_host[OTHER]) <= 2
        await all_completed(it, 200)
        assert app.peak["shop"] == 2


@pytest.mark.parametrize("depth", [1, 5])
async def test_a_function_that_waits_for_its_step_keeps_no_place(
    depth: int, autojump_clock, path: Path
) -> None:
    """With one call in flight at most, ten workflows that post steps that post steps all end."""

    async def app(call: Invocation) -> Outcome:
        below = int(call.url.rpartition("=")[2])
        if below:
            url = f"http://app:9000/s?below={below - 1}"
            key, token = call.idempotency_key, call.parent_token
            recorded(await it.post(url, key, client=call.client, parent_token=token))
        await trio.sleep(0.1)
        return ok()

    async with world(path, app, registry=Limits(shop=1)) as it:
        for number in range(10):
            await it.post(f"http://app:9000/w?below={depth}", f"k{number}", wait=ASYNC)
        await all_completed(it, 10)
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert (calls.in_flight, dict(calls.passed_over)) == (0, {})


async def test_a_limit_that_comes_counts_what_is_in_flight(autojump_clock, path: Path) -> None:
    """Set while seven are in flight, three hold back what comes until four have ended; raised, it
    lets go at once; without it nothing waits."""
    app, limits = Calls(10), Limits()
    async with world(path, app, registry=limits) as it:
        await post_many(it, 7)
        await trio.sleep(5)
        limits.set(shop=3)
        await post_many(it, 10, OTHER)
        await trio.sleep(1)
        calls = it.engine.places.limited.of("shop")
        assert calls is not None
        assert (calls.in_flight, app.open) == (7, 7)
        await trio.sleep(4.5)
        assert (calls.in_flight, app.open) == (3, 3)
        limits.set(shop=5)
        await trio.sleep(EVERY_S + 0.01)
        assert (calls.in_flight, app.open) == (5, 5)
        limits.set()
        await trio.sleep(EVERY_S + 0.01)
        assert (app.open, it.engine.places.queued) == (10, 0)
        limits.set(shop=1)
        await post_many(it, 1)
        again = it.engine.places.limited.of("shop")
        assert again is not None
        assert again.in_flight == 10
        await all_completed(it, 17)
        assert again.in_flight == 0


async def test_retries_count_and_wait_too(autojump_clock, path: Path) -> None:
    """What backs off keeps no place, and what is due again waits for one: each call of many that
    fail once is made, two at a time."""
    failed = set[str]()

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(0.1)
        if call.idempotency_key in failed:
            return ok()
        failed.add(call.idempotency_key)
        return Answered(404)

    endpoint = Endpoint(app)
    async with world(path, endpoint, registry=Limits(shop=2)) as it:
        retry = RetryPolicy(count=1, back_off_ms=200, jitter=0)
        for number in range(30):
            await it.post("http://app:9000/x", f"k{number}", retry=retry, wait=ASYNC)
        assert await all_completed(it, 30) == pytest.approx(3, abs=0.2)
        assert endpoint.most == 2


async def test_what_is_cancelled_waits_no_more(autojump_clock, path: Path) -> None:
    """A step that waited for its client's place and is cancelled leaves nothing behind."""
    app = Calls(5)
    async with world(path, app, registry=Limits(shop=1)) as it:
        await post_many(it, 1)
        run = still_open(await it.post("http://other:9000/x", "c", wait=ASYNC)).run_id
        await trio.sleep(0.1)
        assert waiting(it, OTHER) == {WaitsFor.CLIENT_PLACE: 1}
        await it.act(run, Action.CANCEL)
        await trio.sleep(6)
        assert it.store.writer.run_counts[StepState.CANCELLED] == 1
        assert it.engine.places.queued == 0
        assert not it.engine.places.limited.some_passed_over
        assert len(it.caller.calls) == 1


@pytest.mark.slow
async def test_a_clients_backlog_is_let_go_beside_anothers(autojump_clock, path: Path) -> None:
    """A host is released under which both have much: the one waits for its own limit, and the other
    is let go as quickly as the host takes it."""
    app, many = Calls(0.1), 600
    async with world(path, app, registry=Limits(shop=1)) as it:
        await it.engine.hold(HoldKind.HOST, HOST, None, Actor("ada"))
        await post_many(it, many)
        await post_many(it, many, client="bank")
        await trio.sleep(1)
        assert app.open == 0
        await it.engine.release(HoldKind.HOST, HOST, None, Actor("ada"))
        await trio.sleep(20)
        ended = Counter(call.client for _, call in it.caller.calls)
        assert ended["bank"] == many
        assert app.peak["shop"] == 1
        await all_completed(it, 2 * many)


async def test_a_full_client_costs_others_nothing(autojump_clock, path: Path) -> None:
    """At a host with two places, 500 slow attempts of a client that may have one: two posts of
    another at a time take what they take with one place alone."""
    limits, took = EngineLimits(in_flight_per_host_max=2), list[float]()

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(5 if call.client == "flood" else 0.1)
        return ok()

    async def post(key: str) -> None:
        began = trio.current_time()
        recorded(await it.post(ROOT, key))
        took.append(trio.current_time() - began)

    async with world(path, app, limits=limits, registry=Limits(flood=1)) as it:
        await post_many(it, 500, client="flood")
        for number in range(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, f"a{number}")
                nursery.start_soon(post, f"b{number}")
        assert max(took) == pytest.approx(0.2, abs=0.03)
