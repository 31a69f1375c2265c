"""Whether a host got worse: by a change that is more than chance, not by a level."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.wire import status_of
from tui.data.hosts import (
    ENDED_MIN,
    LATELY_MINUTES,
    WORSE_MIN,
    Trend,
    failing_share,
    failures,
    hosts_of,
    trend_of,
)

MINUTES = 11


def minutes(before: int, lately: int) -> list[int]:
    """So many in each minute before, and lately."""
    return [before] * (MINUTES - LATELY_MINUTES) + [lately] * LATELY_MINUTES


@pytest.mark.parametrize(
    ("ok", "failed", "is_worse"),
    [
        (minutes(10, 10), minutes(0, 0), False),
        (minutes(10, 10), minutes(0, 4), True),
        (minutes(10, 10), minutes(5, 5), False),  # as it has always been
        (minutes(10, 10), minutes(5, 40), True),
        (minutes(10, 0), minutes(0, 10), True),
        (minutes(0, 0), minutes(10, 10), False),  # down for long: a level
        (minutes(1_000, 1_000), minutes(0, 50), False),  # beyond chance, but little
        (minutes(0, 0), minutes(0, 10), True),  # new, and most of it fails
        (minutes(0, 7), minutes(0, 3), False),  # new, and most of it does not
    ],
)
def test_what_is_worse(ok: list[int], failed: list[int], is_worse: bool) -> None:
    """The share that fails has risen by a tenth of the attempts or more."""
    assert trend_of({"2xx": ok, "5xx": failed}).is_worse is is_worse


@pytest.mark.parametrize(
    ("failed", "is_worse"), [(0, False), (1, False), (WORSE_MIN - 1, False), (WORSE_MIN, True)]
)
def test_one_failure_is_no_alarm(failed: int, is_worse: bool) -> None:
    """Nor are two, however few attempts there are beside them."""
    last = [0] * (MINUTES - 1)
    results = {"2xx": minutes(10, 2), "connection-refused": [*last, failed]}
    assert trend_of(results).is_worse is is_worse


@pytest.mark.parametrize(("ended", "is_worse"), [(ENDED_MIN - 1, False), (ENDED_MIN, True)])
def test_of_few_attempts_nothing_is_said(ended: int, is_worse: bool) -> None:
    """Though all of them failed."""
    before = [10] * (MINUTES - LATELY_MINUTES)
    results = {"2xx": [*before, 0, 0, 0], "5xx": [0] * (MINUTES - 1) + [ended]}
    assert trend_of(results).is_worse is is_worse


@pytest.mark.parametrize(("failed", "is_worse"), [(7, False), (8, True)])
def test_chance_is_no_alarm(failed: int, is_worse: bool) -> None:
    """Of twenty attempts at a host that fails for every fifth one seven fail now and then."""
    before = [8] * (MINUTES - LATELY_MINUTES)
    results = {
        "2xx": [*before, 0, 0, 20 - failed],
        "5xx": [*(2 for _ in before), 0, 0, failed],
    }
    assert trend_of(results).before == pytest.approx(0.2)
    assert trend_of(results).is_worse is is_worse


def test_the_edge_between_lately_and_before() -> None:
    """Three minutes are lately: this one, and two that are over."""
    at = MINUTES - LATELY_MINUTES
    ok = [10] * MINUTES
    assert trend_of({"2xx": ok, "5xx": [*[0] * at, 9, 0, 0]}).is_worse
    assert not trend_of({"2xx": ok, "5xx": [*[0] * (at - 1), 9, 0, 0, 0]}).is_worse


def test_who_waits_for_steps_has_not_failed() -> None:
    """Nor does it count as an attempt that ended."""
    trend = trend_of({"2xx": minutes(1, 1), "suspended": minutes(0, 100)})
    assert (trend.ended, trend.failed, trend.is_worse) == (3, 0, False)


def test_what_is_told_of_it() -> None:
    """The share of each minute, what those that failed lately came to, and how many ended."""
    results: dict[str, Sequence[int]] = {
        "2xx": [2, 0, 1, 0, 1], "5xx": [2, 0, 1, 2, 0], "attempt-timeout": [0, 0, 2, 1, 0],
        "4xx": [9, 0, 0, 0, 0],
    }  # fmt: skip
    trend = trend_of(results)
    assert trend.by_minute == (11 / 13, None, 0.75, 1.0, 0.0)
    assert trend.ended_by_minute == (13, 0, 4, 3, 1)
    assert trend.why == (("5xx", 3), ("attempt-timeout", 3))
    assert (trend.ended, trend.failed) == (8, 6)
    assert trend.before == pytest.approx(11 / 13)


@pytest.mark.parametrize(
    ("ended", "succeeded", "share"),
    [(5, 2, 0.6), (4, 0, None), (5, 3, None), (200, 197, 0.015), (0, 0, None)],
)
def test_how_much_of_a_host_failed(ended: int, succeeded: int, share: float | None) -> None:
    """Of little nothing is said: two failures are no alarm."""
    assert failing_share(ended, succeeded) == share


def test_the_worst_host_stands_first() -> None:
    """By the share that failed, if it is too much; then by name. What was passed on from steps at
    another host is not its failure."""
    rows = [("a", 20, 19), ("b", 6, 4), ("c", 100, 35), ("d", 50, 10), ("e", 0, 0)]
    status = status_of(
        {"hosts": [
            {"host": name, "ended": ended, "succeeded": ok, "p95Ms": 1, "byMinute": [[ended, ok]],
             "inFlight": 0, "queued": 0, "results": {"2xx": [ok], "passed-on": [90]}}
            for name, ended, ok in rows
        ]}
    )  # fmt: skip
    found = hosts_of(status)
    assert list(found) == ["d", "c", "a", "b", "e"]
    assert found["c"].trend.failed == 0


def test_what_failed_within_so_many_minutes() -> None:
    """The minute that runs is one of them; of none nothing is told."""
    results = {"2xx": [9, 9, 9], "suspended": [9, 9, 9], "5xx": [4, 0, 1], "4xx": [0, 2, 0]}
    assert failures(results, 3) == (("5xx", 5), ("4xx", 2))
    assert failures(results, 2) == (("4xx", 2), ("5xx", 1))
    assert failures(results, 1) == (("5xx", 1),)
    assert failures(results, 0) == failures({}, 3) == ()


@pytest.mark.parametrize("results", [{}, {"2xx": ()}, {"5xx": (1,)}, {"2xx": (1,), "5xx": (1, 2)}])
def test_whatever_an_engine_tells_breaks_nothing(results: dict[str, Sequence[int]]) -> None:
    """An older one tells nothing of it."""
    assert not trend_of(results).is_worse
    assert not Trend().is_worse
    assert Trend().share == 0.0
