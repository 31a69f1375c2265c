"""Whoever is wrong too often waits."""

from __future__ import annotations

from engine.front.access.wrong import ADDRESSES_MAX, TRIES_MAX, WITHIN_MS, WrongTries


def test_five_within_a_minute() -> None:
    """The sixth waits until a minute after the first; others do not."""
    now = 0
    tries = WrongTries(lambda: now)
    for at in range(TRIES_MAX):
        now = at * 1_000
        assert tries.wait_s("a") == 0
        tries.was_wrong("a")
    assert tries.wait_s("a") == (WITHIN_MS - now) // 1_000
    assert tries.wait_s("b") == 0
    now = WITHIN_MS - 1
    assert tries.wait_s("a") == 1
    now = WITHIN_MS
    assert tries.wait_s("a") == 0
    tries.was_wrong("a")
    assert tries.wait_s("a") == 1


def test_many_addresses_take_no_more_than_so_much() -> None:
    """Of more the one that was wrong longest ago is forgotten."""
    tries = WrongTries(lambda: 0)
    for _ in range(TRIES_MAX):
        tries.was_wrong("first")
    for number in range(ADDRESSES_MAX - 1):
        tries.was_wrong(f"{number}")
    assert tries.wait_s("first")
    tries.was_wrong("one more")
    assert not tries.wait_s("first")
    assert len(tries._tries) == ADDRESSES_MAX
