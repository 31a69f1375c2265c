"""How counts, sizes and times of day are told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.support import NOW, STEADY
from tui.boards.looks import in_ascii
from tui.text import fmt


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
    assert fmt.sparkline([0, 1, 4, 8]) == "▁▁▄▇"
    assert in_ascii(fmt.sparkline([0, 1, 4, 8])) == "..=#"
    assert fmt.sparkline([0, 0, 0]) == "▁▁▁"
    assert fmt.sparkline([]) == ""
    assert fmt.sparkline([0.5, None, 0.0, 1.0], top=1.0) == "▄ ▁▇"
    assert fmt.sparkline([None]) == " "


def test_time_of_day() -> None:
    """In local time unless another zone is asked for."""
    assert fmt.time_of_day(NOW + 42) == "14:13:20"
    assert fmt.time_of_day(NOW + 42, UTC, millis=True) == "14:13:20.042"
    assert fmt.time_of_day(NOW, timezone(timedelta(hours=2))) == "16:13:20"


def test_time_typed_where_clocks_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local time is of the offset that held then, also where another holds by now; one that came
    twice is the later one that is not yet to come."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()

    def typed(text: str, latest: str) -> str:
        latest_ms = datetime.fromisoformat(latest).timestamp() * 1000
        found = fmt.time_typed(text, latest_ms)
        return "" if found is None else f"{datetime.fromtimestamp(found / 1000, UTC):%d %H:%M}"

    assert typed("01:30", "2026-10-25T03:30+01:00") == "24 23:30"
    assert typed("02:30", "2026-10-25T03:30+01:00") == "25 01:30"
    assert typed("02:30", "2026-10-25T02:10+01:00") == "25 00:30"
    assert typed("04:00", "2026-10-25T03:30+01:00") == "24 02:00"
    assert typed("2026-10-24T04:00", "2026-10-25T03:30+01:00") == "24 02:00"
    assert typed("0001-01-01T00:00", "2026-10-25T03:30+01:00") == ""
