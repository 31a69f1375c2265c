"""When somebody is told: at once, then with the count, then that it is over; 20 an hour in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.alerts.rules import Rule, Trouble
from engine.alerts.windows import (
    HOUR_MS,
    INCIDENTS_MAX,
    KEPT_FOR_ENGINE,
    OTHERS,
    PER_HOUR_MAX,
    REMEMBERED_MAX,
    WINDOW_MS,
    Alert,
    Remembered,
    Telling,
    Windows,
)

FIRST, AGAIN, OVER = Telling.FIRST, Telling.AGAIN, Telling.OVER
MINUTE_MS = 60_000


def failed(cause: str = "c", run: int = 0) -> Trouble:
    return Trouble(Rule.FAILED, cause, {"runId": f"R{run}"})


def down(host: str = "app:9000") -> Trouble:
    return Trouble(Rule.HOST_DOWN, host, {"host": host})


def tell(windows: Windows, now: int) -> list[Alert]:
    """All that is to be told now; it is recorded."""
    return list(_telling(windows, now, lambda alert: None))


def said(windows: Windows, now: int) -> list[tuple[Telling, str, int, int]]:
    """The same as: what, of which cause, how many in all, and how many since the last."""
    found: list[tuple[Telling, str, int, int]] = []

    def keep(alert: Alert) -> None:
        it = alert.incident
        found.append((alert.telling, it.latest.cause, it.count, it.unsaid))

    list(_telling(windows, now, keep))
    return found


def _telling(windows: Windows, now: int, keep: Callable[[Alert], None]) -> Iterator[Alert]:
    while (alert := windows.next(now)) is not None:
        keep(alert)
        windows.said(alert, f"id-{now}-{alert.telling}", now)
        yield alert


def test_first_at_once_then_with_the_count_then_over() -> None:
    """Of one cause: one in fifteen minutes, and fifteen minutes without any it is over."""
    windows = Windows()
    windows.note(failed(), 0)
    assert said(windows, 0) == [(FIRST, "c", 1, 1)]
    for n in range(300):
        windows.note(failed(run=n), n * 1_000)
        assert said(windows, n * 1_000) == []
    assert said(windows, WINDOW_MS - 1) == []
    assert said(windows, WINDOW_MS) == [(AGAIN, "c", 301, 300)]
    assert said(windows, 2 * WINDOW_MS - 1) == []
    assert said(windows, 2 * WINDOW_MS) == [(OVER, "c", 301, 0)]
    assert said(windows, 10 * WINDOW_MS) == []
    assert windows.going_on == 0


def test_one_that_comes_alone_is_over_after_a_window() -> None:
    """And the next of its kind is told at once again."""
    windows = Windows()
    windows.note(failed(), 0)
    assert said(windows, 0) == [(FIRST, "c", 1, 1)]
    assert said(windows, WINDOW_MS) == [(OVER, "c", 1, 0)]
    windows.note(failed(), WINDOW_MS + 1)
    assert said(windows, WINDOW_MS + 1) == [(FIRST, "c", 1, 1)]


def test_an_incident_keeps_the_name_of_its_first_alert() -> None:
    """So that a receiver can join them; the next incident has another."""
    windows = Windows()
    windows.note(failed(), 0)
    tell(windows, 0)
    windows.note(failed(), 5)
    names = []
    for now in (WINDOW_MS, 2 * WINDOW_MS):
        alert = windows.next(now)
        assert alert is not None
        names.append(alert.incident.id)
        windows.said(alert, "another", now)
    assert names == ["id-0-first"] * 2
    windows.note(failed(), 3 * WINDOW_MS)
    alert = windows.next(3 * WINDOW_MS)
    assert alert is not None
    assert alert.incident.id == ""


def test_rules_and_causes_have_windows_of_their_own() -> None:
    """The most urgent first."""
    windows = Windows()
    windows.note(failed("a"), 0)
    windows.note(failed("b"), 0)
    windows.note(Trouble(Rule.PAUSED, "a"), 0)
    windows.see(Rule.HOST_DOWN, [down()], 0)
    rules = [(it.incident.rule, it.incident.latest.cause) for it in tell(windows, 0)]
    assert rules == [
        (Rule.HOST_DOWN, "app:9000"), (Rule.PAUSED, "a"), (Rule.FAILED, "a"), (Rule.FAILED, "b"),
    ]  # fmt: skip


def test_what_is_looked_at_is_over_when_it_is_no_more() -> None:
    """At once; and while it goes on nothing more is told."""
    windows = Windows()
    windows.see(Rule.HOST_DOWN, [down()], 0)
    assert said(windows, 0) == [(FIRST, "app:9000", 1, 1)]
    for minute in range(1, 120):
        windows.see(Rule.HOST_DOWN, [down()], minute * MINUTE_MS)
        assert said(windows, minute * MINUTE_MS) == []
    windows.see(Rule.HOST_DOWN, [], 120 * MINUTE_MS)
    assert said(windows, 120 * MINUTE_MS) == [(OVER, "app:9000", 1, 0)]


def test_a_host_that_comes_and_goes_tells_twice_in_a_window() -> None:
    """However often: down and up every minute for an hour."""
    windows = Windows()
    told = 0
    for minute in range(60):
        now = minute * MINUTE_MS
        windows.see(Rule.HOST_DOWN, [down()] if minute % 2 == 0 else [], now)
        told += len(said(windows, now))
    assert told == 2 * (HOUR_MS // WINDOW_MS)


def test_what_was_over_before_anybody_was_told_is_not_told() -> None:
    """It began again within the window of the one before, and ended there."""
    windows = Windows()
    for now, found in ((0, [down()]), (1, []), (2, [down()]), (3, [])):
        windows.see(Rule.HOST_DOWN, found, now)
        tell(windows, now)
    assert said(windows, WINDOW_MS) == []
    assert windows.going_on == 0


def test_more_of_what_is_looked_at_is_counted() -> None:
    """Late runs: those that came since are told after the window, fewer are not told."""
    windows = Windows()

    def late(count: int, now: int) -> list[tuple[Telling, str, int, int]]:
        windows.see(Rule.LATE, [Trouble(Rule.LATE, "w", count=count)], now)
        return said(windows, now)

    assert late(3, 0) == [(FIRST, "w", 3, 3)]
    assert late(5, 1) == []
    assert late(2, WINDOW_MS) == [(AGAIN, "w", 5, 2)]
    windows.see(Rule.LATE, [], 3 * WINDOW_MS)
    assert said(windows, 3 * WINDOW_MS) == [(OVER, "w", 5, 0)]


def test_before_hosts_are_called_nothing_is_over() -> None:
    """After a start: `ends` False."""
    windows = Windows()
    windows.see(Rule.HOST_DOWN, [down()], 0)
    tell(windows, 0)
    windows.see(Rule.HOST_DOWN, [], 1, ends=False)
    assert said(windows, 1) == []
    assert windows.going_on == 1


@pytest.mark.parametrize(("rule", "most"), [(Rule.FAILED, 15), (Rule.HOST_DOWN, 20)])
def test_twenty_an_hour_in_all(rule: Rule, most: int) -> None:
    """Of a thousand causes; the last that finds room says until when further ones wait, and these
    come then. Of what happens to runs fifteen, so that there is room for the engine's own."""
    windows = Windows()
    for n in range(500):
        windows.note(Trouble(rule, f"c{n}"), n)
    first = tell(windows, 500)
    assert len(first) == most
    assert [it.further_at for it in first] == [None] * (most - 1) + [500 + HOUR_MS]
    assert windows.held_back(500) == 500 - most
    assert tell(windows, 499 + HOUR_MS) == []
    assert len(tell(windows, 500 + HOUR_MS)) == most
    assert (PER_HOUR_MAX, KEPT_FOR_ENGINE) == (20, 5)


def test_a_full_disk_is_told_among_a_thousand_failures() -> None:
    """It finds the room that failures leave."""
    windows = Windows()
    for n in range(500):
        windows.note(failed(f"c{n}"), 0)
    tell(windows, 0)
    windows.note(Trouble(Rule.DISK, "disk"), 1)
    assert said(windows, 1) == [(FIRST, "disk", 1, 1)]


def test_causes_without_number_take_no_memory() -> None:
    """What is beyond the limit is one incident of its rule, and counted."""
    windows = Windows()
    for n in range(3 * INCIDENTS_MAX):
        windows.note(failed(f"c{n}"), 0)
    assert windows.going_on == INCIDENTS_MAX + 1


def test_a_restart_knows_what_was_told() -> None:
    """And what was not yet, how often each, and how many in the hour; so many as are worth it."""
    windows, now = Windows(), 10 * HOUR_MS
    windows.note(failed("told"), now)
    tell(windows, now)
    windows.note(failed("told"), now + 1)
    for n in range(2 * REMEMBERED_MAX):
        windows.note(failed(f"untold{n}"), now + 2 + n)
    kept = windows.remember()
    assert len(kept.incidents) == REMEMBERED_MAX
    again = Windows(kept, now + 300)
    assert again.sent_in_hour == 1
    assert len(said(again, now + 300)) == 14
    again.note(failed("told"), now + 301)
    assert (AGAIN, "told", 3, 2) in said(again, now + HOUR_MS + 300)
    assert Windows(Remembered()).next(0) is None


@pytest.mark.parametrize("many", [100, INCIDENTS_MAX - 1])
def test_what_is_new_goes_before_what_waits(many: int) -> None:
    """After hours in which there were more causes than there is room for: the one of this minute
    is told at once, and before what is over."""
    windows, fresh = Windows(), 2 * HOUR_MS
    for n in range(many):
        windows.note(failed(f"c{n}"), n)
    for now in range(0, fresh, MINUTE_MS):
        tell(windows, now)
    windows.note(failed("fresh"), fresh)
    assert said(windows, fresh)[:1] == [(FIRST, "fresh", 1, 1)]


def test_clients_take_turns() -> None:
    """Whose causes are a thousand, and later, does not keep another's only one from being told."""
    windows = Windows()
    windows.note(Trouble(Rule.FAILED, "ill", {"client": "bank"}), 0)
    for n in range(500):
        windows.note(Trouble(Rule.PAUSED, f"c{n}", {"client": "shop"}), 1)
    assert [cause for _, cause, _, _ in said(windows, 1)].index("ill") <= 1


def test_late_runs_leave_room_for_a_full_disk() -> None:
    """They are looked at, as it is, but there may be as many as clients like."""
    windows = Windows()
    windows.see(Rule.LATE, [Trouble(Rule.LATE, f"w{n}") for n in range(40)], 0)
    assert len(said(windows, 0)) == 15
    windows.note(Trouble(Rule.DISK, "disk"), 1)
    assert said(windows, 1) == [(FIRST, "disk", 1, 1)]


def test_what_goes_on_is_not_told_again_beside_many_causes() -> None:
    """Of what is looked at there are few: they are told apart, however many runs fail."""
    windows = Windows()
    for n in range(INCIDENTS_MAX):
        windows.note(failed(f"c{n}"), 0)
    windows.see(Rule.HOST_DOWN, [down()], 0)
    assert (FIRST, "app:9000", 1, 1) in said(windows, 0)
    for minute in range(1, 60):
        windows.see(Rule.HOST_DOWN, [down()], minute * MINUTE_MS)
        told = said(windows, minute * MINUTE_MS)
        assert [it for it in told if it[1] == "app:9000"] == []


def test_a_clock_that_was_ahead_silences_nothing() -> None:
    """What it noted is of now for the next start: the room of the hour, and each incident."""
    windows, ahead, now = Windows(), 400 * 24 * HOUR_MS, 24 * HOUR_MS
    for n in range(15):
        windows.note(failed(f"c{n}"), ahead)
    assert len(tell(windows, ahead)) == 15
    again = Windows(windows.remember(), now)
    again.note(failed("fresh"), now)
    again.note(failed("c1"), now + 1)
    assert said(again, now + 1) == [(FIRST, "fresh", 1, 1)]
    assert (AGAIN, "c1", 2, 1) in said(again, now + WINDOW_MS + 1)


def test_a_test_takes_room_too() -> None:
    """When there is none it is told when there will be."""
    windows = Windows()
    for n in range(PER_HOUR_MAX):
        assert windows.free_at(n) is None
        windows.said_unasked(n)
    assert windows.free_at(100) == HOUR_MS
    assert windows.free_at(HOUR_MS) is None


def test_of_more_late_workflows_than_are_told_apart_the_rest_is_counted_once() -> None:
    """Looked at again each minute: as one, with their sum and what they have in common. One that
    comes to it is one more."""
    windows = Windows()
    late = [
        Trouble(Rule.LATE, f"shop/w{n}", {"client": "shop", "workflow": f"w{n}", "afterS": 60})
        for n in range(INCIDENTS_MAX + 2)
    ]

    def others() -> list[tuple[int, dict[str, str | int]]]:
        found = windows.latest(INCIDENTS_MAX + 2)
        return [(it.count, it.latest.facts) for it in found if it.latest.cause == OTHERS]

    for minute in range(3):
        windows.see(Rule.LATE, late[:-1], minute * MINUTE_MS)
        assert others() == [(1, late[-2].facts)]
    windows.see(Rule.LATE, late, 3 * MINUTE_MS)
    assert others() == [(2, {"client": "shop", "afterS": 60})]
    assert windows.going_on == INCIDENTS_MAX + 1
    windows.see(Rule.LATE, [], 4 * MINUTE_MS)
    assert all(it.over_since is not None for it in windows.latest(INCIDENTS_MAX + 2))
