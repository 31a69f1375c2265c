"""Why each step waits, in a sentence: put together when somebody asks, from where it stands."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from engine.core.access.client import ClientLimits
from engine.core.access.limits import HostLimits
from engine.core.events import Actor
from engine.core.outcome import CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.hold import HoldKind
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.ramp import FIRST_PLACES
from engine.runs.limits.trouble import CALLS_MIN
from engine.runs.open.callers import Wait
from engine.runs.waits import WhyWaits, why_wait
from tests.runs.limits.limited import Limited
from tests.world import FakeClock, World, still_open, taking, world

ASYNC = Wait(prefer_ms=0)
HOST = "app:9000"
URL = f"http://{HOST}/x"
ONE = EngineLimits(in_flight_per_host_max=1)


async def post(it: World, key: str, url: str = URL, **options: object) -> str:
    """Post a run, and let it begin or queue; returns its id."""
    result = await it.post(url, key, wait=ASYNC, **options)  # type: ignore[arg-type]
    await trio.sleep(0.01)
    return still_open(result).run_id


async def why(it: World, run_id: str) -> WhyWaits | None:
    """Why the run's root waits."""
    engine = it.engine
    live = await engine.memory.get(run_id)
    assert live is not None
    run = live.run
    found = why_wait(
        engine.places, engine.holds, live, run.client, run.root.spec.workflow, run.steps.values()
    )
    return found.get(run_id)


async def test_for_a_place_at_its_host(autojump_clock: MockClock, path: Path) -> None:
    """And no more once it has begun."""
    async with world(path, taking(1), limits=ONE) as it:
        first, second = await post(it, "a"), await post(it, "b")
        assert await why(it, first) is None
        text = "waits for app:9000: 1 of 1 calls in flight"
        assert await why(it, second) == WhyWaits("place", text)
        it.engine.places.gates.set_limits({HOST: HostLimits(in_flight_max=1, calls_per_s=9)})
        assert await why(it, second) == WhyWaits("place", text)
        await trio.sleep(1.05)
        assert await why(it, second) is None


async def test_for_a_place_in_all(autojump_clock: MockClock, path: Path) -> None:
    """The engine's own limit is told, not that of the host, which is free."""
    async with world(path, taking(1), limits=EngineLimits(in_flight_max=2)) as it:
        await post(it, "a", "http://other:9000/x")
        await post(it, "b", "http://other:9000/x")
        text = "waits for the engine: 2 of 2 calls in flight"
        assert await why(it, await post(it, "c")) == WhyWaits("place", text)


async def test_for_the_limit_of_its_client(autojump_clock: MockClock, path: Path) -> None:
    """Also where its host is full as well."""
    registry = Limited(ClientLimits(in_flight_max=1))
    async with world(path, taking(1), limits=ONE, registry=registry) as it:
        await post(it, "a")
        text = "waits for client shop: 1 of 1 calls in flight"
        assert await why(it, await post(it, "b")) == WhyWaits("client-place", text)


async def test_for_the_rate_of_its_host(autojump_clock: MockClock, path: Path) -> None:
    """With when the next may begin."""
    async with world(path, taking(0)) as it:
        it.engine.places.gates.set_limits({HOST: HostLimits(calls_per_s=0.5)})
        await post(it, "a")
        found = await why(it, await post(it, "b"))
        text = "waits for app:9000: 0.5 calls a second, the next in 2.0 s"
        assert found == WhyWaits("rate", text)


async def test_for_a_host_that_fails(autojump_clock: MockClock, path: Path) -> None:
    """While its breaker is open the next probe is told; then how many it may have."""

    async def dead(call: Invocation) -> Outcome:
        return Unanswered(CallError.CONNECTION_REFUSED, "refused")

    retry = RetryPolicy(count=20, back_off_ms=100, factor=1, jitter=0)
    async with world(path, dead) as it:
        for number in range(CALLS_MIN):
            await post(it, f"k{number}", retry=retry)
        await trio.sleep(0.5)
        waits = await post(it, "waits")
        found = await why(it, waits)
        assert found is not None
        assert found.waits_for == "breaker"
        assert found.text.startswith(
            "waits for app:9000, which fails: breaker open, next probe in 0."
        )
        trouble = it.engine.places.gates.by_host[HOST].trouble
        assert trouble is not None
        trouble.room, trouble.calls = 2.0, {1: None, 2: None}
        text = "waits for app:9000, which has failed: 2 of 2 calls for now"
        assert await why(it, waits) == WhyWaits("breaker", text)


async def test_for_retries_to_become_fewer(autojump_clock: MockClock, path: Path) -> None:
    """One that is over the budget of a host that half fails."""

    async def half(call: Invocation) -> Outcome:
        if "well" in call.url:
            return await taking(0)(call)
        return Unanswered(CallError.CONNECTION_REFUSED, "refused")

    retry = RetryPolicy(count=9, back_off_ms=100, factor=1, jitter=0)
    async with world(path, half) as it:
        for number in range(60):
            await post(it, f"k{number}", retry=retry)
            await post(it, f"w{number}", f"http://{HOST}/well")
        await trio.sleep(2)
        reasons = {
            found.waits_for: found.text
            for live in list(it.engine.memory.live.values())
            if (found := await why(it, live.run.id)) is not None
        }
        assert "retry-budget" in reasons, reasons
        assert reasons["retry-budget"] == (
            "waits for app:9000, which fails: enough calls there are retries"
        )


async def test_for_its_turn_after_a_start(autojump_clock: MockClock, path: Path) -> None:
    """What was overdue begins with few at each host."""
    async with world(path, taking(9)) as it:
        await it.engine.hold(HoldKind.HOST, HOST, None, Actor("ada"))
        runs = [await post(it, f"k{number}") for number in range(FIRST_PLACES + 1)]
        await it.engine.release(HoldKind.HOST, HOST, None, Actor("ada"))
        await trio.sleep(0.05)
        found = [found for run in runs if (found := await why(it, run)) is not None]
        text = "waits for app:9000: 16 of 16 calls there of what was overdue, or held"
        assert found == [WhyWaits("ramp", text)]


async def test_for_a_place_among_workflows(autojump_clock: MockClock, path: Path) -> None:
    """`workflows_in_flight_per_host_max`."""
    limits = EngineLimits(workflows_in_flight_per_host_max=1)
    async with world(path, taking(1), limits=limits) as it:
        await post(it, "a")
        text = "waits for app:9000: 1 of 1 workflows in flight"
        assert await why(it, await post(it, "b")) == WhyWaits("workflow-place", text)


async def test_for_the_release_of_holds(autojump_clock: MockClock, path: Path) -> None:
    """All that keep it are named; after a release at a rate, that; after a restart too."""
    ada = Actor("ada")
    async with world(path, taking(1)) as it:
        await it.engine.hold(HoldKind.CLIENT, "shop", "deploy", ada)
        await it.engine.hold(HoldKind.HOST, HOST, None, ada)
        runs = [await post(it, key) for key in "abc"]
        text = "held by client shop and host app:9000"
        assert await why(it, runs[-1]) == WhyWaits("release", text)
        await it.engine.release(HoldKind.CLIENT, "shop", None, ada)
        assert await why(it, runs[-1]) == WhyWaits("release", "held by host app:9000")
    async with world(path, taking(1), clock=FakeClock(base_ms=1_700_000_100_000)) as it:
        assert await why(it, runs[-1]) == WhyWaits("release", "held by host app:9000")
        await it.engine.release(HoldKind.HOST, HOST, 1, ada)
        await trio.sleep(0.01)
        text = "waits for its turn: host app:9000 was released, 1 a second"
        assert await why(it, runs[-1]) == WhyWaits("release", text)
