"""Costly work has half of the loop's time for all of it together, and everybody gets a turn."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trio
from trio.testing import MockClock

from engine.process.costly import AT_ONCE_MAX, SLICE_S, CostlyWork

STEP_S = SLICE_S / 4


class World:
    """Work that takes time by this clock, and a log of whose steps it was."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.costly = CostlyWork()
        self.steps: list[str] = []

    def work(self, name: str, steps: int) -> Generator[None, None, str]:
        for _ in range(steps):
            self.clock.jump(STEP_S)
            self.steps.append(name)
            yield
        return name

    async def run(self, name: str, steps: int) -> None:
        assert await self.costly.run(self.work(name, steps)) == name


async def test_what_fits_into_a_slice_waits_for_nobody(autojump_clock: MockClock) -> None:
    """Also while others have work for minutes."""
    world = World(autojump_clock)
    async with trio.open_nursery() as nursery:
        for number in range(AT_ONCE_MAX + 1):
            nursery.start_soon(world.run, f"costly {number}", 100_000)
        await trio.sleep(SLICE_S)
        before = trio.current_time()
        await world.run("cheap", 3)
        assert trio.current_time() - before == pytest.approx(3 * STEP_S)
        nursery.cancel_scope.cancel()


async def test_the_loop_has_the_other_half(autojump_clock: MockClock) -> None:
    """After each slice everybody else has as long as it took, however many have work."""
    world = World(autojump_clock)
    bodies, steps = 16, 40
    async with trio.open_nursery() as nursery:
        for number in range(bodies):
            nursery.start_soon(world.run, str(number), steps)
    first_slices = bodies * SLICE_S
    rest = bodies * steps * STEP_S - first_slices
    assert trio.current_time() == pytest.approx(first_slices + 2 * rest, abs=bodies * SLICE_S)


async def test_they_take_turns(autojump_clock: MockClock) -> None:
    """One with little left does not wait for one with much."""
    world = World(autojump_clock)
    ended: list[str] = []

    async def run(name: str, steps: int) -> None:
        await world.run(name, steps)
        ended.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "long", 1_000)
        nursery.start_soon(run, "short", 12)
    assert ended == ["short", "long"]
    assert world.steps[8:24] != ["long"] * 16


async def test_only_a_few_are_under_way(autojump_clock: MockClock) -> None:
    """Half-read bodies take memory: the others wait as they came."""
    world = World(autojump_clock)
    async with trio.open_nursery() as nursery:
        for number in range(3 * AT_ONCE_MAX):
            nursery.start_soon(world.run, str(number), 400)
    begun = world.steps[3 * AT_ONCE_MAX * 4 :]  # after everybody's first slice
    assert len(set(begun[: AT_ONCE_MAX * 300])) == AT_ONCE_MAX


async def test_who_leaves_gives_the_place_back(autojump_clock: MockClock) -> None:
    """A caller that hangs up, and work that fails, hold up nobody."""
    world = World(autojump_clock)

    def fails() -> Generator[None, None, None]:
        yield from world.work("fails", 9)
        raise ValueError("no JSON")

    for _ in range(2 * AT_ONCE_MAX):
        with trio.move_on_after(10 * SLICE_S) as left:
            await world.run("leaves", 10_000)
        assert left.cancelled_caught
        with pytest.raises(ValueError, match="no JSON"):
            await world.costly.run(fails())
    await world.run("stays", 100)
