"""How durations and countdowns are told, where there is room and where there is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.shown import times
from tests.tui.support import STEADY

SPANS = [
    (-5, "0s"), (0, "0s"), (999, "0s"), (1_000, "1s"), (59_999, "59s"), (60_000, "1m00"),
    (62_000, "1m02"), (1_708_000, "28m28"), (3_599_999, "59m59"), (3_600_000, "1h00"),
    (4_999_000, "1h23"), (86_399_000, "23h59"), (86_400_000, "1d00"), (187_200_000, "2d04"),
    (40_000_000_000, "462d23"),
]  # fmt: skip
TOOK = [
    (-7, "0ms"), (0, "0ms"), (4, "4ms"), (99, "99ms"), (100, "0.1s"), (880, "0.9s"),
    (3_400, "3.4s"), (9_949, "9.9s"), (9_950, "10s"), (12_400, "12s"),
    (59_600, "1m00"), (62_000, "1m02"),
]  # fmt: skip
COUNTDOWNS = [
    (7_000, "in 7s", "≈7s"), (6_001, "in 7s", "≈7s"), (1, "in 1s", "≈1s"),
    (0, "due now", "≈due"), (-999, "due now", "≈due"), (-1_000, "late 1s", "≈due"),
    (-1_500, "late 1s", "≈due"), (-62_000, "late 1m02", "≈due"),
    (62_000, "in 1m02", "≈1m02"), (120_000, "in 2m00", "≈2m00"), (123_000, "in 2m00", "≈2m00"),
    (126_000, "in 2m05", "≈2m05"), (898_000, "in 14m55", "≈14m55"), (4_999_000, "in 1h23", "≈1h23"),
]  # fmt: skip


@pytest.mark.parametrize(("ms", "told"), SPANS)
def test_span(ms: float, told: str) -> None:
    """Two units at most, and never a negative time."""
    assert times.span(ms) == told


@pytest.mark.parametrize(
    ("ms", "step_s", "told"),
    [(64_999, 5, "1m00"), (65_000, 5, "1m05"), (3_661_000, 60, "1h01"), (119_000, 60, "1m00")],
)
def test_coarse_span(ms: float, step_s: int, told: str) -> None:
    """What nobody watches moves seldom."""
    assert times.coarse_span(ms, step_s) == told


@pytest.mark.parametrize(("ms", "told"), TOOK)
def test_took(ms: float, told: str) -> None:
    """Short times to the tenth, long ones rounded."""
    assert times.took(ms) == told


@pytest.mark.parametrize(("left_ms", "told", "guessed"), COUNTDOWNS)
def test_a_countdown_says_when_it_is_due_and_late(left_ms: float, told: str, guessed: str) -> None:
    """Down to zero, then `due now`, then `late`; of an engine that is away nothing behind zero."""
    assert times.countdown(left_ms) == told
    assert times.countdown(left_ms, estimated=True) == guessed


@STEADY
@given(st.floats(-1e12, 1e12), st.floats(0, 1e6))
def test_a_countdown_never_says_that_it_is_due_too_early(left: float, passed: float) -> None:
    """`due` is said when it is due, and not before; and what is due is not `in` anything."""
    told = times.countdown(left)
    assert told.startswith("in ") == (left > 0)
    assert "-" not in told + times.countdown(left, estimated=True)
    assert not (left <= 0 and times.countdown(left - passed).startswith("in "))


def test_whole_span() -> None:
    """Round durations in their largest unit."""
    assert [times.whole_span(ms) for ms in (10_000, 60_000, 600_000, 7_200_000, 86_400_000)] == [
        "10s", "1m", "10m", "2h", "1d",
    ]  # fmt: skip


@STEADY
@given(st.integers(0, 10**12))
def test_both_spellings_tell_the_same_duration(ms: int) -> None:
    """The columns' `1m02` is the lines' `1 m 2 s`; of what is short the lines tell more."""

    def numbers(told: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", told)]

    assert numbers(times.span(ms)) == numbers(times.span(ms, wide=True))
    if ms >= 10_000:
        assert numbers(times.took(ms)) == numbers(times.took(ms, wide=True))
