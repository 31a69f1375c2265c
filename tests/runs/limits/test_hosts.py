"""How hosts do: what ended within the last minutes, how well and how fast; and who is counted."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio

from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.concurrency import Places
from engine.runs.limits.hosts import (
    HOSTS_KEPT_MAX,
    MINUTES,
    OK,
    RESULT_MINUTES,
    HostFigures,
    Hosts,
)
from engine.runs.open.callers import StillOpen, Wait
from tests.world import EPOCH_MS, ROOT, ok, still_open, world

MINUTE_MS = 60_000
NOW = 100 * MINUTE_MS
NO_RETRY = RetryPolicy(count=0)
HOUR = RetryPolicy(back_off_ms=3_600_000, jitter=0)


def ended(
    hosts: Hosts,
    at: int,
    result: int | CallError = OK,
    *,
    retry: bool = False,
    took_ms: float | None = 10,
    host: str = "h",
) -> None:
    hosts.ended(host, result, retry=retry, took_ms=took_ms, now_ms=at)


def figures(hosts: Hosts, now: int = NOW) -> HostFigures:
    (only,) = hosts.figures(now)
    return only


def test_nothing_was_called() -> None:
    """An engine that has just started knows no host."""
    assert Hosts().figures(NOW) == []


def test_minutes_of_the_window() -> None:
    """Each minute by itself, the latest last; those in which nothing ended are nought."""
    hosts = Hosts()
    ended(hosts, NOW - 3 * MINUTE_MS)
    ended(hosts, NOW - 1)
    ended(hosts, NOW, 5)
    ended(hosts, NOW + 59_999)
    found = figures(hosts)
    assert found.by_minute == (*((0, 0),) * 4, (1, 1), (0, 0), (1, 1), (2, 1))
    assert (found.host, found.ended, found.succeeded) == ("h", 4, 3)
    assert len(found.by_minute) == MINUTES


def test_what_is_older_than_the_window_counts_no_more() -> None:
    """Also when nothing has ended since: the figures are of the moment at which they are asked."""
    hosts = Hosts()
    for minute in range(20):
        ended(hosts, NOW + minute * MINUTE_MS)
    last = NOW + 19 * MINUTE_MS
    assert figures(hosts, last).ended == MINUTES
    assert figures(hosts, last + 7 * MINUTE_MS).by_minute == ((1, 1), *((0, 0),) * 7)
    assert figures(hosts, last + 8 * MINUTE_MS).by_minute == HostFigures("h").by_minute
    assert figures(hosts, last + 10 * MINUTE_MS).results == {"2xx": (1, *(0,) * 10)}
    assert figures(hosts, last + 11 * MINUTE_MS) == HostFigures("h")


def test_what_they_came_to_by_minute() -> None:
    """Ten minutes and the one that runs, the latest last; what none came to is left out. The first
    millisecond of a minute is that minute's, the last of the one before is not."""
    hosts = Hosts()
    ended(hosts, NOW - 11 * MINUTE_MS, 4)
    ended(hosts, NOW - 10 * MINUTE_MS - 1, 3)
    ended(hosts, NOW - 10 * MINUTE_MS, CallError.DNS)
    ended(hosts, NOW - 1, CallError.ATTEMPT_TIMEOUT, retry=True)
    for _ in range(3):
        ended(hosts, NOW, 5, retry=True)
    ended(hosts, NOW + MINUTE_MS - 1)
    found = figures(hosts, NOW + MINUTE_MS - 1)
    assert found.results == {
        "2xx": (*(0,) * 10, 1),
        "5xx": (*(0,) * 10, 3),
        "attempt-timeout": (*(0,) * 9, 1, 0),
        "dns": (1, *(0,) * 10),
    }
    assert found.retries == (*(0,) * 9, 1, 3)
    assert {len(each) for each in found.results.values()} == {RESULT_MINUTES}
    later = figures(hosts, NOW + MINUTE_MS)
    assert later.results["5xx"] == (*(0,) * 9, 3, 0)
    assert "dns" not in later.results


def test_those_last_called_are_kept() -> None:
    """Of too many hosts the one that was not called for longest is dropped."""
    hosts = Hosts()
    for number in range(HOSTS_KEPT_MAX):
        ended(hosts, NOW, host=f"h{number:03}")
    ended(hosts, NOW + MINUTE_MS, host="h000")
    ended(hosts, NOW + MINUTE_MS, host="new")
    names = [each.host for each in hosts.figures(NOW + MINUTE_MS)]
    assert len(names) == HOSTS_KEPT_MAX
    assert {"h000", "new"} < {*names}
    assert "h001" not in names
    assert names == sorted(names)


def test_how_long_95_of_100_took() -> None:
    """To within a fifth, over all minutes; what waited for steps says nothing of it."""
    random, hosts, all_took = Random(1), Hosts(), []
    for number in range(1_000):
        took = 10 ** random.uniform(0.5, 4.5)
        all_took.append(took)
        at = NOW + number * MINUTES // 1_000 * MINUTE_MS
        ended(hosts, at, took_ms=took)
        ended(hosts, at, took_ms=None)
    exact = sorted(all_took)[949]
    told = figures(hosts, at).p95_ms
    assert told is not None
    assert exact <= told + 0.5 < exact * 1.2 + 1


@pytest.mark.parametrize(
    ("took", "told"), [(None, None), (0, 1), (0.2, 1), (1, 1), (1_000, 1_024), (1e12, 2**27.25)]
)
def test_the_ends_of_the_scale(took: float | None, told: float | None) -> None:
    """No time, none to speak of, and one beyond all classes have their places."""
    hosts = Hosts()
    ended(hosts, NOW, took_ms=took)
    assert figures(hosts).p95_ms == (None if told is None else round(told))


def test_who_queues_is_told_by_host() -> None:
    """Those that find no place, for each host where any do."""
    places = Places(2, 1)
    assert places.queued_by_host == {}
    assert places.take("a")
    for host in ("a", "a", "b"):
        places.queue(host, "shop", lambda: True, new=False)
    assert places.queued_by_host == {"a": 2, "b": 1}
    places.give_back("a")
    assert places.queued_by_host == {"b": 1}


async def test_attempts_are_counted_for_their_host(autojump_clock: object, path: Path) -> None:
    """By what came back and how long it took: answers, failures, and no answer within the time."""

    async def app(call: Invocation) -> Outcome:
        if "slow" in call.url:
            await trio.sleep(0.5)
            return ok()
        if "dead" in call.url:
            return Unanswered(CallError.CONNECTION_REFUSED, "nobody listens")
        if "mute" in call.url:
            await trio.sleep_forever()
        return Answered(503)

    async with world(path, app) as it:
        hosts = ("slow", "dead:81", "mute", "ill")
        for host in hosts:
            url, wait = f"http://{host}/x", Wait(prefer_ms=0)
            posted = await it.post(url, host, retry=HOUR, attempt_timeout_ms=2_000, wait=wait)
            still_open(posted)
        await trio.sleep(10)
        found = {each.host: each for each in it.engine.hosts.figures(EPOCH_MS + 10_000)}
    assert {host: (each.ended, each.succeeded) for host, each in found.items()} == {
        "slow": (1, 1),
        "dead:81": (1, 0),
        "mute": (1, 0),
        "ill": (1, 0),
    }
    came = {
        host: {why: sum(it) for why, it in each.results.items()} for host, each in found.items()
    }
    assert came == {
        "slow": {"2xx": 1},
        "dead:81": {"connection-refused": 1},
        "mute": {"attempt-timeout": 1},
        "ill": {"5xx": 1},
    }
    times = {host: each.p95_ms for host, each in found.items()}
    assert times["slow"] == pytest.approx(550, rel=0.1)
    assert times["mute"] == pytest.approx(2_200, rel=0.1)
    assert times["ill"] == 1


async def test_a_failure_below_is_not_the_host_s_own(autojump_clock: object, path: Path) -> None:
    """A function that passes it on with 424 has done what it should; 424 without one is its own."""

    async def app(call: Invocation) -> Outcome:
        if call.url == ROOT:
            await it.post("http://other/step", retry=NO_RETRY)
            return Answered(424)
        return Answered(402 if "other" in call.url else 424)

    async with world(path, app) as it:
        await it.post(retry=NO_RETRY)
        await it.post("http://alone/x", "alone", retry=NO_RETRY)
        found = {each.host: each for each in it.engine.hosts.figures(EPOCH_MS)}
    came = {host: (each.ended, {why: sum(it) for why, it in each.results.items()})
            for host, each in found.items()}  # fmt: skip
    assert came == {
        "app:9000": (0, {"passed-on": 1}),
        "other": (1, {"4xx": 1}),
        "alone": (1, {"4xx": 1}),
    }


async def test_a_workflow_that_waits_says_nothing_of_its_host(
    autojump_clock: object, path: Path
) -> None:
    """Its attempt is counted, but not for how long it took: it waited for its steps."""

    async def app(call: Invocation) -> Outcome:
        if call.url == ROOT:
            await it.post("http://other/step")
            return ok()
        await trio.sleep(5)
        return ok()

    async with world(path, app, limits=EngineLimits(standstill_s=60)) as it:
        await it.post()
        found = {each.host: each for each in it.engine.hosts.figures(EPOCH_MS)}
    assert (found["app:9000"].succeeded, found["app:9000"].p95_ms) == (1, None)
    assert found["other"].p95_ms == pytest.approx(5_500, rel=0.1)


async def test_retries_are_told_by_minute(autojump_clock: object, path: Path) -> None:
    """Of the attempts that ended in each minute those whose step had failed before: not its first,
    and none that is called again as its child has ended."""
    minute = RetryPolicy(back_off_ms=MINUTE_MS, max_back_off_ms=MINUTE_MS, jitter=0)

    async def app(call: Invocation) -> Outcome:
        return ok() if call.attempt == 4 else Answered(503)

    async with world(path, app) as it:
        await it.post("http://ill/x", retry=minute)
        (found,) = it.engine.hosts.figures(EPOCH_MS + round(trio.current_time() * 1000))
    assert found.results == {
        "2xx": (*(0,) * 10, 1),
        "5xx": (*(0,) * 7, 1, 1, 1, 0),
    }
    assert found.retries == (*(0,) * 8, 1, 1, 1)


@pytest.mark.parametrize("status", [200, 503])
async def test_who_suspends_has_not_failed(autojump_clock: object, path: Path, status: int) -> None:
    """An answer with `Atomic-Suspend` while a step is open is a result of its own, whatever its
    status; it says nothing of how the host does."""

    async def app(call: Invocation) -> Outcome:
        if call.url == ROOT and call.attempt == 1:
            later = await it.post(
                "http://other/step", parent_token=call.parent_token, wait=Wait(prefer_ms=0)
            )
            still_open(later)
            return Answered(status, suspend=True)
        await trio.sleep(5)
        return ok()

    async with world(path, app) as it:
        await it.post()
        found = {each.host: each for each in it.engine.hosts.figures(EPOCH_MS)}["app:9000"]
    assert {why: sum(each) for why, each in found.results.items()} == {"2xx": 1, "suspended": 1}
    assert (found.ended, found.succeeded) == (1, 1)


@pytest.mark.parametrize("status", [200, 500, 504])
async def test_who_was_sent_home_has_not_failed(
    autojump_clock: object, path: Path, status: int
) -> None:
    """Its step is suspended, whatever it makes of the 504: so it is counted."""

    async def app(call: Invocation) -> Outcome:
        if call.url != ROOT:
            return ok() if call.attempt > 1 else Answered(429)
        posted = await it.post("http://other/step", parent_token=call.parent_token, retry=minute)
        return Answered(status) if isinstance(posted, StillOpen) else ok()

    minute = RetryPolicy(back_off_ms=MINUTE_MS, max_back_off_ms=MINUTE_MS, jitter=0)
    async with world(path, app, limits=EngineLimits(standstill_s=1e6)) as it:
        await it.post()
        found = {each.host: each for each in it.engine.hosts.figures(EPOCH_MS + MINUTE_MS)}
    came = {why: sum(each) for why, each in found["app:9000"].results.items()}
    assert came == {"2xx": 1, "suspended": 1}
