"""Limits for one host by name, and a host that fails: who waits for what, how long, and at no cost
to its retries."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import trio

from engine.core.access.limits import HostLimits
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.gates import WaitsFor
from engine.runs.limits.trouble import CALLS_MIN, PROBE_EVERY_S, RETRIES_PER_S, WINDOW_S
from engine.runs.open.callers import Wait
from tests.runs.limits.endpoint import Endpoint, all_completed
from tests.world import World, ok, taking, world

ASYNC = Wait(prefer_ms=0)
HOST = "app:9000"
URL = f"http://{HOST}/x"
ONCE_MORE = RetryPolicy(count=1, back_off_ms=100, jitter=0)


class Fails:
    """An endpoint that fails until it is mended."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.mended, self.takes_s = outcome, False, 0.01

    async def __call__(self, call: Invocation) -> Outcome:
        await trio.sleep(self.takes_s)
        if "well" in call.url or self.mended:
            return ok()
        return self.outcome


def most_within(times: list[float], seconds: float) -> int:
    """The most of these times that lie within so long."""
    return max(sum(at <= each < at + seconds for each in times) for at in times)


async def post_many(
    it: World, count: int, retry: RetryPolicy = ONCE_MORE, *, name: str = "k"
) -> None:
    for number in range(count):
        await it.post(URL, f"{name}{number}", retry=retry, wait=ASYNC)


def waiting(it: World) -> dict[str, int]:
    found = it.engine.places.waiting_by_host.get(HOST, Counter[WaitsFor]())
    return {why.value: count for why, count in found.items()}


async def test_calls_in_flight_of_a_named_host(autojump_clock, path: Path) -> None:
    """Three at once for this host, whatever the setting for all hosts says; others as ever."""
    endpoint = Endpoint(taking(1))
    async with world(path, endpoint) as it:
        it.engine.places.gates.set_limits({HOST: HostLimits(in_flight_max=3)})
        await post_many(it, 9)
        await trio.sleep(0.5)
        assert endpoint.open == 3
        assert waiting(it) == {WaitsFor.PLACE: 6}
        await it.post("http://other:9000/x", "o", wait=ASYNC)
        await trio.sleep(0)
        assert endpoint.open == 4
        assert await all_completed(it, 10) == pytest.approx(2.5, abs=0.1)
        assert endpoint.most == 4


async def test_calls_begun_within_a_second(autojump_clock, path: Path) -> None:
    """At most five within any second, and five in every one; none is lost."""
    async with world(path, taking(0.01)) as it:
        it.engine.places.gates.set_limits({HOST: HostLimits(calls_per_s=5)})
        await post_many(it, 50)
        await trio.sleep(0.5)
        assert waiting(it) == {WaitsFor.RATE: 45}
        took_s = await all_completed(it, 50)
        assert most_within(it.caller.times("/x"), 0.999) == 5
        assert 8.0 <= took_s <= 10.5


async def test_a_rate_below_one_and_its_end(autojump_clock, path: Path) -> None:
    """One in four seconds; without the limit all begin at once."""
    async with world(path, taking(0.01)) as it:
        it.engine.places.gates.set_limits({HOST: HostLimits(calls_per_s=0.25)})
        await post_many(it, 20)
        await trio.sleep(9)
        first, second, third = it.caller.times("/x")
        assert second - first >= 4
        assert third - second >= 4
        it.engine.places.gates.set_limits({})
        assert await all_completed(it, 20) < 0.1
        assert not it.engine.places.at_hosts.gates, "nothing is kept of a host without limits"


@pytest.mark.parametrize(
    "outcome",
    [
        Unanswered(CallError.CONNECTION_REFUSED, "refused"),
        Unanswered(CallError.ATTEMPT_TIMEOUT, "late"),
        Answered(503),
        Answered(429),
    ],
)
async def test_a_host_that_fails_is_tried_once_a_second(
    outcome: Outcome, autojump_clock, path: Path
) -> None:
    """From 20 failures on: who waits spends no retry, and all of them end well when it is mended,
    though each had only one retry."""
    app = Fails(outcome)
    told: list[tuple[str, dict[str, object]]] = []
    warn = lambda event, **values: told.append((event, values))  # noqa: E731
    async with world(path, app, warn=warn) as it:
        await post_many(it, CALLS_MIN, RetryPolicy(count=3, back_off_ms=100, jitter=0))
        await trio.sleep(0.05)
        assert len(it.caller.calls) == CALLS_MIN
        await post_many(it, 200, name="late")
        began = trio.current_time()
        await trio.sleep(10.5)
        probes = [at for at in it.caller.times("/x") if at > began]
        assert 9 <= len(probes) <= 11
        assert most_within(probes, 0.99 * PROBE_EVERY_S) == 1
        assert waiting(it)[WaitsFor.BREAKER] > 200
        app.mended = True
        await all_completed(it, CALLS_MIN + 200 - len(it.store.writer.run_counts) + 1)
        assert it.store.writer.run_counts.get(StepState.FAILED, 0) == 0
    events = [event for event, _ in told]
    assert events.count("breaker-open") == events.count("breaker-closed") == 1
    assert it.engine.places.gates.opened == 1


async def test_after_a_probe_calls_come_back_a_few_at_a_time(autojump_clock, path: Path) -> None:
    """A host that has just answered one call does not get all that waited at once."""
    app = Fails(Answered(500))
    endpoint = Endpoint(app)
    async with world(path, endpoint) as it:
        await post_many(it, CALLS_MIN)
        await trio.sleep(0.05)
        await post_many(it, 400, name="late")
        app.mended, app.takes_s, endpoint.most = True, 0.1, 0
        await all_completed(it, 1)
        assert endpoint.most <= 4
        assert await all_completed(it, 400 + CALLS_MIN) < 4
        assert endpoint.most < 300


async def test_below_twenty_calls_everything_is_as_without(autojump_clock, path: Path) -> None:
    """19 that fail are retried when they are due, and so are those of a host that answers 404."""

    async def app(call: Invocation) -> Outcome:
        return Answered(404) if "notfound" in call.url else Answered(500)

    policy = RetryPolicy(count=3, back_off_ms=4_000, factor=1, jitter=0)
    async with world(path, app) as it:
        await post_many(it, CALLS_MIN - 1, policy)
        for number in range(300):
            await it.post(f"http://{HOST}/notfound", f"n{number}", retry=policy, wait=ASYNC)
        await trio.sleep(3)
        assert waiting(it) == {}
        await trio.sleep(12)
        assert len(it.caller.times("/notfound")) == 4 * 300
        assert len(it.caller.times("/x")) == 4 * (CALLS_MIN - 1)


async def test_retries_are_a_part_of_the_calls_to_a_host_that_half_fails(
    autojump_clock, path: Path
) -> None:
    """Within ten seconds at most a fifth of first attempts and a hundred; first attempts go on, and
    who waits has spent nothing."""

    async def app(call: Invocation) -> Outcome:
        return ok() if "well" in call.url else Answered(500)

    policy = RetryPolicy(count=100, back_off_ms=50, factor=1, jitter=0)
    async with world(path, app) as it:
        firsts = 0
        for _ in range(200):
            for _ in range(3):
                firsts += 1
                url = URL if firsts % 3 == 1 else f"http://{HOST}/well"
                await it.post(url, f"k{firsts}", retry=policy, wait=ASYNC)
            await trio.sleep(0.1)
        begun = [at for at, _ in it.caller.calls]
        assert len([1 for at, call in it.caller.calls if call.attempt == 1]) == firsts
        retries = [at for at, call in it.caller.calls if call.attempt > 1]
        most = RETRIES_PER_S * WINDOW_S + 0.2 * most_within(begun, WINDOW_S)
        assert most_within(retries, WINDOW_S - 1) <= most + 20
        assert len(retries) > RETRIES_PER_S * 15
        assert waiting(it)[WaitsFor.RETRY_BUDGET] > 30


async def test_a_workflow_that_posts_says_that_its_host_lives(autojump_clock, path: Path) -> None:
    """Functions that answer 500 because a step of theirs failed are no sign of a dead host."""
    it: World

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return Answered(400, no_retry=True)
        key = call.idempotency_key
        await it.post(f"http://{HOST}/step", key, parent_token=call.parent_token)
        return Answered(500)

    async with world(path, app) as it:
        await post_many(it, 60)
        await trio.sleep(3)
        assert it.engine.places.gates.opened == 0
        assert len(it.caller.times("/step")) == 60


async def test_what_waits_at_a_gate_survives_a_crash(autojump_clock, path: Path) -> None:
    """It is due in the record: the next engine calls it."""
    async with world(path, Fails(Answered(500))) as it:
        await post_many(it, CALLS_MIN)
        await trio.sleep(0.05)
        await post_many(it, 50, name="late")
        await trio.sleep(0.5)
    async with world(path, taking(0.01)) as it:
        await all_completed(it, 50 + CALLS_MIN)
