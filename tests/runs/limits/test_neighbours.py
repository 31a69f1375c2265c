"""What one client, or one host, does to the others: their waits, on the mock clock."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.outcome import CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from tests.world import World, ok, recorded, taking, world

ASYNC = Wait(prefer_ms=0)
POSTS = 100


async def p99_ms(it: World, url: str, client: str, name: str) -> float:
    """Of posts that are made one after the other."""
    took = []
    for number in range(POSTS):
        began = trio.current_time()
        recorded(await it.post(url, f"{name}{number}", client=client))
        took.append((trio.current_time() - began) * 1000)
    return round(sorted(took)[round(0.99 * POSTS) - 1], 3)


@pytest.mark.slow
async def test_a_clients_flood_at_most_doubles_anothers_time(autojump_clock, path: Path) -> None:
    """At one host with eight places, of which each call takes one for 0.1 s: 2,000 attempts of the
    one wait, and a post of the other takes at most twice what it takes alone."""
    limits = EngineLimits(in_flight_per_host_max=8)
    async with world(path, taking(0.1), limits=limits) as it:
        alone = await p99_ms(it, "http://app:9000/x", "shop", "alone")
        for number in range(2_000):
            await it.post("http://app:9000/x", f"f{number}", client="flood", wait=ASYNC)
        assert it.engine.places.queued > 1_900
        beside = await p99_ms(it, "http://app:9000/x", "shop", "beside")
        assert it.engine.places.queued > 100, "the flood lasted"
        assert alone <= beside <= 2 * alone


@pytest.mark.slow
async def test_a_dead_host_costs_a_healthy_one_nothing(autojump_clock, path: Path) -> None:
    """2,000 runs to a host that hangs until `attemptTimeout`: posts to another take at most 1.2
    times what they take alone."""

    async def app(call: Invocation) -> Outcome:
        if "dead" in call.url:
            await trio.sleep(2)
            return Unanswered(CallError.ATTEMPT_TIMEOUT, "late")
        await trio.sleep(0.1)
        return ok()

    retry = RetryPolicy(count=10, back_off_ms=1_000)
    async with world(path, app, limits=EngineLimits(in_flight_max=1_024)) as it:
        alone = await p99_ms(it, "http://app:9000/x", "shop", "alone")
        for number in range(2_000):
            await it.post("http://dead:1/x", f"d{number}", retry=retry, wait=ASYNC)
        beside = await p99_ms(it, "http://app:9000/x", "shop", "beside")
        assert it.engine.places.gates.breakers_open == 1
        assert beside <= 1.2 * alone
