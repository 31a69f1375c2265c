"""The rate at which a client opens runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.limits.rates import BURST_S, Rates
from engine.runs.limits.refusals import quota


def opened(rates: Rates, per_s: float, times: list[float]) -> list[float]:
    """The times at which a client that posts at these may open a run."""
    let = []
    for now in times:
        if rates.wait_s("shop", per_s, now) == 0:
            rates.take("shop", per_s, now)
            let.append(now)
    return let


def test_a_burst_of_one_second_and_then_the_rate() -> None:
    """Ten a second: ten at once, the eleventh a tenth of a second later, and not sooner."""
    rates = Rates()
    assert len(opened(rates, 10, [5.0] * 20)) == 10
    assert rates.wait_s("shop", 10, 5.0) == pytest.approx(0.1)
    assert opened(rates, 10, [5.09]) == []
    assert opened(rates, 10, [5.11, 5.11]) == [5.11]
    assert len(opened(rates, 10, [60.0] * 20)) == 10, "no more is saved up than a second brings"
    assert rates.wait_s("bank", 10, 60.0) == 0, "each client has its own"


def test_a_rate_below_one_a_second() -> None:
    """One in ten seconds is one, and the next ten seconds later."""
    rates = Rates()
    assert opened(rates, 0.1, [0.0, 0.0, 9.9, 10.01, 10.02]) == [0.0, 10.01]
    assert rates.wait_s("shop", 0.1, 12.01) == pytest.approx(8.0)


@given(
    per_s=st.floats(0.01, 1_000),
    steps=st.lists(st.floats(0, 2), max_size=200),
)
def test_never_more_than_the_rate_and_a_burst(per_s: float, steps: list[float]) -> None:
    """Over any span, whatever comes when; and after the wait that it is told a client may."""
    rates, now, times = Rates(), 0.0, []
    for step in steps:
        now += step
        if (wait_s := rates.wait_s("shop", per_s, now)) == 0:
            rates.take("shop", per_s, now)
            times.append(now)
        else:
            assert rates.wait_s("shop", per_s, now + wait_s + 1e-6) == 0
    for first, begun in enumerate(times):
        for last in range(first, len(times)):
            span = times[last] - begun
            assert last - first + 1 <= max(1, per_s * BURST_S) + per_s * span + 1e-6


@pytest.mark.parametrize(
    ("per_s", "told"), [(50, (50, 1)), (2.5, (2, 1)), (1, (1, 1)), (0.3, (1, 4)), (0.01, (1, 100))]
)
def test_a_rate_in_whole_numbers(per_s: float, told: tuple[int, int]) -> None:
    """As `RateLimit-Policy` has it, which knows no others."""
    assert quota(per_s) == told
