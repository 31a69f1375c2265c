"""What is alike is said once a second, with its count; nothing that was left out is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from engine.telemetry.throttle import LEFT_OUT, LINES_PER_S_MAX, Throttle


class Heard:
    """A throttle, and what it said when."""

    def __init__(self, lines_per_s_max: int = LINES_PER_S_MAX) -> None:
        self.lines: list[tuple[float, str, dict[str, Any]]] = []
        self.throttle = Throttle(self._say, lines_per_s_max=lines_per_s_max)

    def _say(self, event: str, **values: Any) -> None:
        self.lines.append((round(trio.current_time() - self.began, 6), event, values))

    began = 0.0

    def say(self, number: int, alike: object = "same") -> None:
        self.throttle.say("failed", alike, {"number": number})

    @property
    def count(self) -> int:
        """How many things the lines tell of."""
        return sum(
            values["count"] if event == LEFT_OUT else 1 + values.get("left_out", 0)
            for _, event, values in self.lines
        )

    def busiest_second(self) -> int:
        """How many lines there were within a second, wherever that began."""
        times = [at for at, _, _ in self.lines]
        return max(sum(begin <= at < begin + 1 - 1e-6 for at in times) for begin in times)


@asynccontextmanager
async def hearing(lines_per_s_max: int = LINES_PER_S_MAX) -> AsyncIterator[Heard]:
    """A throttle at work; left, it says the rest."""
    it = Heard(lines_per_s_max)
    it.began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.throttle.run)
        yield it
        nursery.cancel_scope.cancel()


async def test_what_is_alike_is_said_once_a_second(autojump_clock) -> None:
    """The first at once, then the latest with how many more there were; and no line is owed."""
    async with hearing() as heard:
        for number in range(18):
            heard.say(number)
            await trio.sleep(0.15)
        await trio.sleep(10)
        assert heard.lines == [
            (0.0, "failed", {"number": 0}),
            (1.0, "failed", {"number": 6, "left_out": 5}),
            (2.0, "failed", {"number": 13, "left_out": 6}),
            (3.0, "failed", {"number": 17, "left_out": 3}),
        ]


async def test_one_that_was_held_is_said_without_a_count(autojump_clock) -> None:
    """A second one within the second is a line of its own, at the second's end."""
    async with hearing() as heard:
        heard.say(1)
        await trio.sleep(0.4)
        heard.say(2)
        await trio.sleep(5)
        heard.say(3)
        assert heard.lines == [
            (0.0, "failed", {"number": 1}),
            (1.0, "failed", {"number": 2}),
            (5.4, "failed", {"number": 3}),
        ]


async def test_others_are_said_at_once(autojump_clock) -> None:
    """Another reason, and another event for the same reason."""
    async with hearing() as heard:
        heard.say(1, "one")
        heard.say(2, "two")
        heard.throttle.say("paused", "one", {})
        assert [(at, event) for at, event, _ in heard.lines] == [
            (0.0, "failed"), (0.0, "failed"), (0.0, "paused"),
        ]  # fmt: skip


async def test_ten_thousand_alike_in_ten_seconds_are_eleven_lines(autojump_clock) -> None:
    """And all of them are counted."""
    async with hearing() as heard:
        for number in range(10_000):
            heard.say(number)
            if not number % 100:
                await trio.sleep(0.1)
        await trio.sleep(2)
        assert len(heard.lines) == 11
        assert heard.count == 10_000


async def test_ten_thousand_that_differ_stay_under_the_limit(autojump_clock) -> None:
    """In any second, and those that were left out are told of, once a second."""
    async with hearing() as heard:
        for number in range(10_000):
            heard.say(number, alike=number)
            if not number % 100:
                await trio.sleep(0.1)
        await trio.sleep(2)
        assert heard.busiest_second() <= LINES_PER_S_MAX + 1
        assert heard.count == 10_000
        told = [at for at, event, _ in heard.lines if event == LEFT_OUT]
        assert 9 <= len(told) <= 11


async def test_at_the_limit_and_one_beyond(autojump_clock) -> None:
    """So many lines in a second; the next is counted, also where it was held until then."""
    async with hearing(lines_per_s_max=3) as heard:
        for number in range(4):
            heard.say(number, alike=number)
        for number in range(3):
            heard.say(10 + number, alike=number)
        await trio.sleep(0.5)
        assert [event for _, event, _ in heard.lines] == ["failed"] * 3
        await trio.sleep(0.6)  # the three that were held have had their turn
        heard.say(5, alike="new")
        await trio.sleep(3)
        assert [(at, event, values.get("count")) for at, event, values in heard.lines[3:]] == [
            (1.0, "failed", None), (1.0, "failed", None), (1.0, "failed", None), (1.0, LEFT_OUT, 1),
            (2.1, LEFT_OUT, 1),
        ]  # fmt: skip
        assert heard.count == 8


async def test_what_is_held_is_said_at_the_end(autojump_clock) -> None:
    """The engine stops in the middle of a second: what it left out is told before."""
    async with hearing() as heard:
        for number in range(4):
            heard.say(number)
        await trio.sleep(0.5)
    assert heard.lines[1:] == [(0.5, "failed", {"number": 3, "left_out": 2})]


async def test_the_end_keeps_to_the_limit(autojump_clock) -> None:
    """What finds no room then is counted as ever."""
    async with hearing(lines_per_s_max=2) as heard:
        for number in range(4):
            heard.say(number)
        heard.say(8, alike="another")
        heard.say(9, alike="another")
        heard.say(10, alike="a third")
        await trio.sleep(0.5)
    assert heard.lines[2:] == [(0.5, LEFT_OUT, {"count": 5})]


async def test_nothing_is_kept_of_what_is_over(autojump_clock) -> None:
    """A thousand reasons a day are not remembered."""
    async with hearing() as heard:
        for number in range(100):
            heard.say(number, alike=number)
            await trio.sleep(2)
        assert not heard.throttle._unsaid
