"""A recording and its time: it stands still, goes faster, and is set to another moment."""

from __future__ import annotations

import trio

from tests.tui.engine_stand_in import TrioClock
from tests.tui.past.support import SECONDS, recorded
from tests.tui.support import NOW, RUN
from tui.past.player import SPEED_MAX, SPEED_MIN, PlayedClock, Player


class Playing:
    """A player at work beside the test."""

    def __init__(self, nursery: trio.Nursery, speed: float = 1.0) -> None:
        self.player = Player(PlayedClock(TrioClock()), recorded(), speed)
        nursery.start_soon(self.player.run)

    @property
    def seen(self) -> int:
        """So many events have come."""
        return self.player.store.events_seen

    async def passes(self, seconds: float) -> int:
        """Time passes; returns how many events have come by then."""
        await trio.sleep(seconds + 0.01)
        return self.seen

    @property
    def now_s(self) -> float:
        """Seconds of the recording, by what the engine said."""
        return round((self.player.store.time.now_ms() - NOW) / 1000, 1)


async def test_it_goes_as_fast_as_it_was(autojump_clock) -> None:
    """And its time is the engine's of then, on any machine."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        assert [await it.passes(1), await it.passes(2), await it.passes(0.5)] == [1, 3, 3]
        assert it.now_s == 3.5
        nursery.cancel_scope.cancel()


async def test_it_goes_faster_and_slower(autojump_clock) -> None:
    """The time too, by which countdowns go: at twice the speed it is twice as late."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery, speed=10.0)
        assert await it.passes(1) == 10
        assert it.now_s == 10.1
        it.player.go_faster(2.0)
        assert await it.passes(1) == 30
        assert it.now_s == 30.3
        it.player.go_faster(1 / 20)
        assert await it.passes(2) == 32
        nursery.cancel_scope.cancel()


async def test_speeds_have_bounds(autojump_clock) -> None:
    """The same as on the command line."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        assert it.player.go_faster(1e9) == SPEED_MAX
        assert it.player.go_faster(1e-9) == SPEED_MIN
        nursery.cancel_scope.cancel()


async def test_it_stands_still(autojump_clock) -> None:
    """For as long as one likes: nothing comes, nothing ages, and nothing looks lost."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        await it.passes(5)
        assert it.player.wait()
        assert (await it.passes(3600), it.now_s) == (5, 5.0)
        assert not it.player.store.stale
        assert not it.player.wait()
        assert (await it.passes(2), it.now_s) == (7, 7.0)
        nursery.cancel_scope.cancel()


async def test_it_is_set_on_and_back(autojump_clock) -> None:
    """What is known is as it was at that moment, from either side."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        assert await it.passes(5) == 5
        it.player.jump(30)
        assert (await it.passes(0), it.now_s) == (35, 35.0)
        assert it.player.store.trees[RUN].steps[RUN].rev == 36
        it.player.jump(-20)
        assert (await it.passes(0), it.now_s) == (15, 15.0)
        assert it.player.store.trees[RUN].steps[RUN].rev == 16
        assert await it.passes(1) == 16
        it.player.wait()
        it.player.jump(-1.02)
        assert await it.passes(9) == 15
        nursery.cancel_scope.cancel()


async def test_it_has_ends(autojump_clock) -> None:
    """It stops at its last moment, and can be set back from there; before the first is nothing."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        it.player.jump(1e6)
        assert (await it.passes(100), it.now_s) == (SECONDS, 60.0)
        ends = [it.player.is_at_end]
        assert not it.player.store.stale
        it.player.jump(-1e6)
        assert (await it.passes(0), it.now_s) == (0, 0.0)
        assert [*ends, it.player.is_at_end] == [True, False]
        assert await it.passes(1) == 1
        nursery.cancel_scope.cancel()


async def test_many_jumps_at_once_are_the_last_one(autojump_clock) -> None:
    """Keys that come while it is set elsewhere are not lost, and nothing is taken in twice."""
    async with trio.open_nursery() as nursery:
        it = Playing(nursery)
        await it.passes(10)
        for by in (40, -35, 12, -7, 3):
            it.player.jump(by)
        assert (await it.passes(0), it.now_s) == (23, 23.0)
        nursery.cancel_scope.cancel()


async def test_an_empty_recording(autojump_clock) -> None:
    """Is at its end."""
    async with trio.open_nursery() as nursery:
        player = Player(PlayedClock(TrioClock()), [])
        nursery.start_soon(player.run)
        await trio.sleep(1)
        assert player.is_at_end
        nursery.cancel_scope.cancel()
