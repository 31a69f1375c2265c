"""The engine's time against clocks that are wrong, drift, and stand still."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.shown import times
from tests.tui.support import (
    NOW,
    STEADY,
    FakeClock,
    event_read,
    status_read,
    step_row,
    store_at,
    tree_read,
)
from tui.data.clock import SAMPLES_KEPT_MAX, SLEW_MS_PER_S, STEP_MS_MIN, ServerClock
from tui.text import fmt

HOUR = 3_600.0


@pytest.mark.parametrize("off_s", [-HOUR, HOUR])
def test_client_clock_wrong_by_an_hour(off_s: float) -> None:
    """A countdown is right: it is held against what the engine says the time is."""
    clock = FakeClock(wall=NOW / 1000 + off_s)
    store = store_at(clock)
    store.apply(status_read(NOW, clock))
    store.apply(tree_read(step_row(status="backing-off", due=7_000)))
    (step,) = store.trees.popitem()[1].steps.values()
    assert step.due_at is not None
    assert times.countdown(step.due_at - store.time.now_ms()) == "in 7s"
    clock.pass_s(1)
    assert times.countdown(step.due_at - store.time.now_ms()) == "in 6s"


def test_before_the_engine_was_heard_of_our_own_clock_counts() -> None:
    """There is nothing better."""
    time = ServerClock(FakeClock())
    assert not time.known
    assert time.now_ms() == NOW
    assert time.round_trip_ms is None


def test_the_shortest_round_trip_is_the_best_sample() -> None:
    """An answer that was under way for long tells the time badly, the more so on one way only."""
    clock = FakeClock()
    time = ServerClock(clock)
    sent = clock.monotonic()
    clock.pass_s(1.0)
    time.sample(NOW + 950, sent, clock.monotonic())  # all of the trip was on the way there
    assert time.now_ms() == pytest.approx(NOW + 1_450)
    sent = clock.monotonic()
    clock.pass_s(0.01)
    time.sample(NOW + 1_005, sent, clock.monotonic())
    for _ in range(60):
        clock.pass_s(1.0)
        time.now_ms()
    assert time.now_ms() == pytest.approx(NOW + 61_010, abs=1)
    assert time.round_trip_ms == pytest.approx(1_000, abs=1)


def test_the_round_trip_is_the_median_of_the_latest() -> None:
    """One slow answer does not show, a slow engine does."""
    clock = FakeClock()
    time = ServerClock(clock)
    for trip in [9.0] + [0.010, 0.014, 0.012] * 3:
        time.sample(NOW, clock.monotonic(), clock.monotonic() + trip)
    assert time.round_trip_ms == pytest.approx(12)
    assert SAMPLES_KEPT_MAX < 10


def test_a_heartbeat_is_a_hint_and_no_sample() -> None:
    """It may have been under way for any time: the first answer tells better, and how long."""
    clock = FakeClock()
    store = store_at(clock)
    late = {"serverTime": "2026-09-21T14:13:15.000Z", "instance": "a"}
    store.apply(event_read("", "heartbeat", late))
    assert store.time.known
    assert store.time.now_ms() == NOW - 5_000
    assert store.time.round_trip_ms is None
    store.apply(status_read(NOW, clock, trip_s=0.020))
    assert store.time.now_ms() == pytest.approx(NOW - 10)


def test_a_small_correction_is_slewed() -> None:
    """No second is skipped or seen twice for half a second that the estimate was off."""
    clock = FakeClock()
    time = ServerClock(clock)
    time.sample(NOW, clock.monotonic(), clock.monotonic() + 1)
    first = time.now_ms()
    time.sample(NOW + 1_000, clock.monotonic(), clock.monotonic())
    assert time.now_ms() == first
    clock.pass_s(2)
    assert time.now_ms() == pytest.approx(first + 2_000 + 2 * SLEW_MS_PER_S)


def test_far_off_is_corrected_at_once() -> None:
    """Slewing a minute away would take twenty."""
    clock = FakeClock()
    time = ServerClock(clock)
    time.sample(NOW, clock.monotonic(), clock.monotonic() + 1)
    time.sample(NOW + 60_000, clock.monotonic(), clock.monotonic())
    assert time.now_ms() == NOW + 60_000


@STEADY
@given(
    st.lists(
        st.tuples(st.floats(0.05, 5), st.floats(-900, 900), st.floats(0, 1)),
        min_size=2,
        max_size=40,
    )
)
def test_no_countdown_is_seen_to_step_back(samples: list[tuple[float, float, float]]) -> None:
    """Whatever the samples say within a second of each other: time goes on, at nearly its pace."""
    clock = FakeClock()
    time = ServerClock(clock)
    time.sample(NOW, clock.monotonic(), clock.monotonic())
    last = time.now_ms()
    for passed, error, trip in samples:
        clock.pass_s(passed)
        true_ms = NOW + (clock.monotonic() - 1_000) * 1000
        time.sample(round(true_ms + error), clock.monotonic() - trip, clock.monotonic())
        now = time.now_ms()
        assert abs(now - last - passed * 1000) <= passed * SLEW_MS_PER_S + 0.01
        last = now


def test_laptop_sleep_is_noticed_once() -> None:
    """Ten minutes asleep: what was measured before is forgotten, the next answer sets it right."""
    clock = FakeClock()
    time = ServerClock(clock)
    time.sample(NOW, clock.monotonic(), clock.monotonic())
    clock.pass_s(3)
    assert not time.slept()
    clock.sleep_s(600)
    assert time.slept()
    assert not time.slept()
    assert time.round_trip_ms is None
    assert time.now_ms() == NOW + 3_000
    time.sample(NOW + 603_000, clock.monotonic(), clock.monotonic())
    assert time.now_ms() == NOW + 603_000
    assert STEP_MS_MIN < 600_000


@pytest.mark.parametrize("off_s", [-1e15, 1e15])
def test_the_time_can_be_told_whatever_a_recording_says(off_s: float) -> None:
    """An answer of another age of the machine's makes no time that no calendar has."""
    time = ServerClock(FakeClock())
    time.sample(NOW, off_s, off_s)
    assert fmt.time_of_day(time.now_ms(), UTC)
