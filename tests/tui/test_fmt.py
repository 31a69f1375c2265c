"""How durations, countdowns, counts and sizes are told."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.support import NOW, STEADY
from tui.boards.looks import in_ascii
from tui.text import fmt

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
    assert fmt.span(ms) == told


@pytest.mark.parametrize(
    ("ms", "step_s", "told"),
    [(64_999, 5, "1m00"), (65_000, 5, "1m05"), (3_661_000, 60, "1h01"), (119_000, 60, "1m00")],
)
def test_coarse_span(ms: float, step_s: int, told: str) -> None:
    """What nobody watches moves seldom."""
    assert fmt.coarse_span(ms, step_s) == told


@pytest.mark.parametrize(("ms", "told"), TOOK)
def test_took(ms: float, told: str) -> None:
    """Short times to the tenth, long ones rounded."""
    assert fmt.took(ms) == told


@pytest.mark.parametrize(("left_ms", "told", "guessed"), COUNTDOWNS)
def test_a_countdown_says_when_it_is_due_and_late(left_ms: float, told: str, guessed: str) -> None:
    """Down to zero, then `due now`, then `late`; of an engine that is away nothing behind zero."""
    assert fmt.countdown(left_ms) == told
    assert fmt.countdown(left_ms, estimated=True) == guessed


@STEADY
@given(st.floats(-1e12, 1e12), st.floats(0, 1e6))
def test_a_countdown_never_says_that_it_is_due_too_early(left: float, passed: float) -> None:
    """`due` is said when it is due, and not before; and what is due is not `in` anything."""
    told = fmt.countdown(left)
    assert told.startswith("in ") == (left > 0)
    assert "-" not in told + fmt.countdown(left, estimated=True)
    assert not (left <= 0 and fmt.countdown(left - passed).startswith("in "))


@pytest.mark.parametrize(
    ("number", "whole", "short"),
    [
        (0, "0", "0"), (903, "903", "903"), (999, "999", "999"), (1_000, "1,000", "1.0k"),
        (1_421, "1,421", "1.4k"), (9_949, "9,949", "9.9k"), (9_950, "9,950", "10k"),
        (10_204, "10,204", "10k"), (999_499, "999,499", "999k"), (999_500, "999,500", "1.0M"),
        (1_234_567, "1,234,567", "1.2M"), (4_000_000_000, "4,000,000,000", "4.0G"),
    ],
)  # fmt: skip
def test_count_and_short(number: int, whole: str, short: str) -> None:
    """Whole where there is room, four characters where there is none."""
    assert fmt.count(number) == whole
    assert fmt.short(number) == short


@STEADY
@given(st.integers(0, 900_000_000_000))
def test_short_is_short(number: int) -> None:
    """It has a place of four characters, whatever the number."""
    assert len(fmt.short(number)) <= 4


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 B"), (812, "812 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (4_301, "4.2 KiB"),
        (1_048_575, "1.0 MiB"), (5_242_880, "5.0 MiB"), (3 << 30, "3.0 GiB"),
    ],
)  # fmt: skip
def test_size(number: int, told: str) -> None:
    """In the unit that needs the fewest digits."""
    assert fmt.size(number) == told


def test_rate() -> None:
    """A tenth where it says something."""
    assert [fmt.rate(r) for r in (0, 0.4, 9.94, 9.95, 84.2, 1_421)] == [
        "0/s", "0.4/s", "9.9/s", "10/s", "84/s", "1.4k/s",
    ]  # fmt: skip


def test_tries() -> None:
    """How many were started, of how many there may be; the last one is marked."""
    assert fmt.tries(0, 8) == "—"
    assert fmt.tries(0) == "—"
    assert fmt.tries(3, 8) == "3/11"
    assert fmt.tries(10, 1) == "10/11!"
    assert fmt.tries(11, 0) == "11/11"
    assert fmt.tries(4) == "4"


def test_sparkline() -> None:
    """From nothing to the most, a cell a value; nothing at all is flat, not absent."""
    assert fmt.sparkline([0, 1, 4, 8]) == "▁▁▄█"
    assert in_ascii(fmt.sparkline([0, 1, 4, 8])) == "..=#"
    assert fmt.sparkline([0, 0, 0]) == "▁▁▁"
    assert fmt.sparkline([]) == ""
    assert fmt.sparkline([0.5, None, 0.0, 1.0], top=1.0) == "▄ ▁█"
    assert fmt.sparkline([None]) == " "


def test_time_of_day() -> None:
    """In local time unless another zone is asked for."""
    assert fmt.time_of_day(NOW + 42) == "14:13:20"
    assert fmt.time_of_day(NOW + 42, UTC, millis=True) == "14:13:20.042"
    assert fmt.time_of_day(NOW, timezone(timedelta(hours=2))) == "16:13:20"


def test_whole_span() -> None:
    """Round durations in their largest unit."""
    assert [fmt.whole_span(ms) for ms in (10_000, 60_000, 600_000, 7_200_000, 86_400_000)] == [
        "10s", "1m", "10m", "2h", "1d",
    ]  # fmt: skip
