"""Which posts may open a run, by the limits of their client."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client, ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.front.show.replies import refusal
from engine.ports.caller import Invocation
from engine.runs.open.callers import Wait
from tests.world import ROOT, World, ok, world

AT_ONCE = Wait(prefer_ms=0)


class Limited:
    """`shop` has limits, `bank` has none, and nobody else is defined."""

    def __init__(self, limits: ClientLimits) -> None:
        self.clients = {"shop": Client("shop", limits=limits), "bank": Client("bank")}


async def never(call: Invocation) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


async def refused(it: World, key: str, client: str = "shop") -> Refused | None:
    """Post, as one that opens a run; why it is refused."""
    try:
        await it.post(key=key, client=client, wait=AT_ONCE)
    except Refused as error:
        return error
    return None


async def test_a_rate_hits_new_runs_alone(autojump_clock: MockClock, path: Path) -> None:
    """At the rate they are taken and one beyond is not, with when to come again; nothing is
    recorded of it. Posts for a run that is open are, and other clients do not feel it."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=2))) as it:
        assert [await refused(it, key) for key in "ab"] == [None, None]
        sequence = it.store.last_seq
        error = await refused(it, "c")
        assert error is not None
        assert error.problem is Problem.RATE_LIMITED
        assert (error.members["limit"], error.members["retryAfter"]) == ("new_runs_per_s", 1)
        headers = dict(refusal(error).headers)
        assert headers["retry-after"] == "1"
        assert headers["ratelimit-policy"] == '"new-runs";q=2;w=1'
        assert headers["ratelimit"] == '"new-runs";r=0;t=1'
        assert b"rateLimit" not in refusal(error).body
        assert it.store.last_seq == sequence
        assert await refused(it, "a") is None, "it is open"
        await it.post(ROOT + "/step", key="a", wait=AT_ONCE)
        assert [await refused(it, key, "bank") for key in "abcdef"] == [None] * 6
        assert [await refused(it, key, "other") for key in "abcdef"] == [None] * 6
        await trio.sleep(0.51)
        assert await refused(it, "c") is None
        assert it.engine.new_runs.refused == {"shop": 1}


async def test_many_at_once_are_as_many_as_may(autojump_clock: MockClock, path: Path) -> None:
    """Of posts that come together exactly so many open runs; two of one key open one."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=5))) as it:
        let: list[bool] = []

        async def post(key: str) -> None:
            let.append(await refused(it, key) is None)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(post, f"{number // 2}")
        assert (len(it.engine.memory.live), sum(let)) == (5, 10)


async def test_a_flood_is_refused_before_it_is_looked_at(
    autojump_clock: MockClock, path: Path
) -> None:
    """As soon as the key is known; one that is recorded already is none of it."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=1))) as it:
        it.engine.refuse_if_full("shop", "w", "a")
        await it.post(key="a", wait=AT_ONCE)
        it.engine.refuse_if_full("shop", "w", "a")
        it.engine.refuse_if_full("bank", "w", "b")
        with pytest.raises(Refused, match="may open new runs at 1 a second"):
            it.engine.refuse_if_full("shop", "w", "b")


async def test_what_was_refused_elsewhere_spends_nothing(
    autojump_clock: MockClock, path: Path
) -> None:
    """A post that finds its run ended, or that the engine has no room for, takes no part of the
    rate."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app, registry=Limited(ClientLimits(new_runs_per_s=0.1))) as it:
        await it.post(key="a")
        for _ in range(5):
            assert await refused(it, "a") is None
        await trio.sleep(10)
        assert await refused(it, "b") is None
