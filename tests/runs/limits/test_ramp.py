"""After a start: what was overdue reaches a host a few calls at a time; all else as ever."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.ramp import ANSWERS_FOR_A_PLACE, FIRST_PLACES, LASTS_S, SILENT_S, Ramp
from engine.runs.open.callers import Wait
from tests.runs.limits.endpoint import Endpoint, all_completed
from tests.world import EPOCH_MS, FakeClock, World, taking, world

ASYNC = Wait(prefer_ms=0)
RETRY = RetryPolicy(count=5, back_off_ms=5_000, jitter=0)
HOUR_MS = 3_600_000
RUNS = 200


async def failing(call: Invocation) -> Outcome:
    return Answered(500)


async def post_all(it: World, count: int = RUNS) -> None:
    for number in range(count):
        await it.post("http://app:9000/x", f"k{number}", retry=RETRY, wait=ASYNC)


def an_hour_later() -> FakeClock:
    return FakeClock(base_ms=EPOCH_MS + HOUR_MS)


async def test_overdue_calls_begin_with_few_places(autojump_clock, path: Path) -> None:
    """200 overdue calls that take 0.1 s: 16 at first, never all, and soon done."""
    async with world(path, failing) as it:
        await post_all(it)
        await trio.sleep(1)
    endpoint = Endpoint(taking(0.1))
    async with world(path, endpoint, clock=an_hour_later()) as it:
        await trio.sleep(0.05)
        assert (endpoint.open, it.engine.places.queued) == (FIRST_PLACES, RUNS - FIRST_PLACES)
        assert it.engine.places.queued_by_host == {"app:9000": RUNS - FIRST_PLACES}
        took_s = await all_completed(it, RUNS)
        assert endpoint.most <= FIRST_PLACES + RUNS / ANSWERS_FOR_A_PLACE
        assert took_s <= 0.1 * RUNS / FIRST_PLACES
        assert (it.engine.places.at_hosts.in_flight, it.engine.places.ramp.in_flight) == (0, 0)


async def test_what_is_submitted_after_the_start_is_not_held_back(
    autojump_clock, path: Path
) -> None:
    """A new engine, or new runs beside the overdue ones: the limits are those of always."""
    async with world(path, failing) as it:
        await post_all(it, count=100)
        await trio.sleep(1)
    endpoint = Endpoint(taking(10.0))
    async with world(path, endpoint, clock=an_hour_later()) as it:
        for number in range(50):
            await it.post("http://app:9000/new", f"new{number}", wait=ASYNC)
        await trio.sleep(0.1)
        assert endpoint.open == FIRST_PLACES + 50


async def test_what_was_in_flight_is_not_held_back(autojump_clock, path: Path) -> None:
    """The host had room for it before the crash."""
    before = Endpoint(taking(HOUR_MS))
    async with world(path, before) as it:
        await post_all(it, count=100)
        await trio.sleep(1)
        assert before.open == 100
    after = Endpoint(taking(10.0))
    async with world(path, after, clock=an_hour_later()) as it:
        await trio.sleep(6)
        assert after.open == 100


async def test_a_host_that_takes_its_time_gets_more_with_it(autojump_clock, path: Path) -> None:
    """200 overdue calls of 30 s: all are open within a few seconds."""
    async with world(path, failing) as it:
        await post_all(it)
        await trio.sleep(1)
    endpoint = Endpoint(taking(30.0))
    async with world(path, endpoint, clock=an_hour_later()) as it:
        await trio.sleep(SILENT_S)
        assert endpoint.open == FIRST_PLACES
        await trio.sleep(2)
        assert endpoint.open == RUNS


async def test_hosts_do_not_wait_for_each_other(autojump_clock, path: Path) -> None:
    """Each has its own ramp."""
    async with world(path, failing) as it:
        for host in ("slow", "quick"):
            url = f"http://{host}:9000/{host}"
            for number in range(50):
                await it.post(url, f"{host}{number}", retry=RETRY, wait=ASYNC)
        await trio.sleep(1)

    async def app(call: Invocation) -> Outcome:
        return await taking(50 if call.url.endswith("slow") else 0.1)(call)

    async with world(path, app, clock=an_hour_later()) as it:
        await all_completed(it, 50)
        assert it.engine.places.at_hosts.by_host.keys() == {"slow:9000"}


class Open:
    """A call that has left."""

    dialling_since: float | None = None
    took_ms = 100.0


async def test_quick_answers_give_places_and_slow_ones_take_them(mock_clock) -> None:
    """One for so many answers; half go when one takes long, down to the first, once a second."""
    ramp = Ramp(0, 512)

    def answers(count: int, took_ms: float) -> None:
        for _ in range(count):
            call = Open()
            call.took_ms = took_ms
            assert ramp.take("h")
            ramp.call_begins("h", call)
            ramp.call_ends("h", call, answered=True)

    def room() -> int:
        count = 0
        while ramp.take("h"):
            count += 1
        for _ in range(count):
            ramp.give_back("h")
        return count

    answers(48 * ANSWERS_FOR_A_PLACE, 100)
    assert room() == FIRST_PLACES + 48
    answers(3, 1_100)
    assert room() == (FIRST_PLACES + 48) // 2
    mock_clock.jump(1)
    answers(1, 1_100)
    assert room() == FIRST_PLACES
    mock_clock.jump(1)
    answers(1, 1_100)
    assert room() == FIRST_PLACES


@pytest.mark.parametrize("is_stuck", [False, True])
async def test_a_host_that_takes_no_connection_gets_no_more(autojump_clock, is_stuck: bool) -> None:
    """Silence of one that drops connections is no sign of room; when the start is over all go."""
    ramp = Ramp(0, 512)
    call = Open()
    call.dialling_since = trio.current_time() if is_stuck else None
    offered: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ramp.run)
        for _ in range(FIRST_PLACES):
            assert ramp.take("h")
        ramp.call_begins("h", call)

        def offer(number: int) -> bool:
            offered.append(number)
            return ramp.take("h")

        for number in range(100):
            ramp.queue("h", "shop", partial(offer, number), new=False)
        await trio.sleep(LASTS_S - 1)
        assert len(offered) == (0 if is_stuck else 100)
        await trio.sleep(2)
        assert offered == list(range(100))
        nursery.cancel_scope.cancel()
