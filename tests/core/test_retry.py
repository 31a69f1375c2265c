"""The arithmetic of retries: defined everywhere, never early, never above the cap."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.retry import DAY_MS, DEFAULT_POLICY, RetryPolicy, next_delay_ms, nominal_delay_ms

policies = st.builds(
    RetryPolicy,
    count=st.integers(0, 1_000),
    back_off_ms=st.integers(0, DAY_MS),
    factor=st.floats(1, 1_000) | st.integers(1, 1_000),
    max_back_off_ms=st.integers(0, DAY_MS),
    jitter=st.floats(0, 1),
)
chances = st.floats(0, 1, exclude_max=True)


@given(policies, st.integers(1, 1_000_000), chances)
@example(RetryPolicy(factor=2), 1_000_000, 0.0)
@example(RetryPolicy(factor=2.0), 1_024, 0.5)
@example(RetryPolicy(factor=1_000.0, back_off_ms=DAY_MS), 104, 0.5)
def test_every_delay_is_between_nominal_and_jittered_cap(
    policy: RetryPolicy, retry: int, chance: float
) -> None:
    """Whatever the policy and number: a whole number of ms, never early, never above the cap."""
    delay, nominal = next_delay_ms(policy, retry, chance), nominal_delay_ms(policy, retry)
    assert type(delay) is int
    assert type(nominal) is int
    assert 0 <= nominal <= delay <= nominal + floor(nominal * policy.jitter)
    assert delay <= policy.max_back_off_ms * (1 + policy.jitter)


@given(policies, st.integers(1, 60), chances)
def test_a_retry_is_never_earlier_than_the_formula(
    policy: RetryPolicy, retry: int, chance: float
) -> None:
    """`min(backOff * factor^(n-1), maxBackOff)` in exact arithmetic is the lower bound."""
    exact = policy.back_off_ms * Fraction(policy.factor) ** (retry - 1)
    bound = min(exact * (1 - Fraction(1, 10**9)), Fraction(policy.max_back_off_ms))
    assert next_delay_ms(policy, retry, chance) >= bound


@given(policies, st.integers(1, 10_000))
def test_delays_never_shrink_from_retry_to_retry(policy: RetryPolicy, retry: int) -> None:
    """A later retry waits at least as long, jitter aside."""
    assert nominal_delay_ms(policy, retry) <= nominal_delay_ms(policy, retry + 1)


def test_the_seeds_policy() -> None:
    """10 retries from one second, doubled up to a minute."""
    delays = [nominal_delay_ms(DEFAULT_POLICY, retry) for retry in range(1, 11)]
    seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert delays == [1_000 * s for s in seconds]
    assert DEFAULT_POLICY.count == 10


@pytest.mark.parametrize(("retry", "chance"), [(0, 0.0), (-1, 0.0), (1, 1.0), (1, -0.1)])
def test_retries_are_numbered_from_one_and_chance_is_below_one(retry: int, chance: float) -> None:
    """A retry number or chance out of range is a bug of ours and loud."""
    with pytest.raises(AssertionError):
        next_delay_ms(DEFAULT_POLICY, retry, chance)
