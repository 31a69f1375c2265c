"""A past hour, made of what an engine tells now, and played."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from engine.core.text.times import rfc3339
from tests.tui.engine_stand_in import TrioClock
from tests.tui.past.support import (
    BORN,
    GONE,
    OLD,
    SINCE,
    STILL,
    Telling,
    asking,
    engine,
    no_progress,
)
from tests.tui.support import NOW
from tui.data.feed import Board
from tui.data.filter import past_fault
from tui.data.model import State
from tui.past import hour as hours
from tui.past.hour import LENGTH_MS_MAX, read_hour
from tui.past.player import PlayedClock, Player
from tui.past.reading import PastError


class Played:
    """What is known at a moment."""

    def __init__(self, player: Player) -> None:
        self.player, self.store = player, player.store

    async def at(self, at_s: float, q: str = "is:live") -> dict[str, str]:
        """The runs that the board lists then, and their states."""
        self.player.go_to(at_s)
        await trio.sleep(0.3)
        self.player.look(Board("runs", q), None)
        ids = self.store.listing("runs").ids
        return {run_id: str(self.store.runs[run_id].state) for run_id in ids}


@asynccontextmanager
async def played(told: Telling | None = None) -> AsyncIterator[Played]:
    """The hour, standing still."""
    hour = await read_hour(asking(told or engine()), NOW, no_progress)
    player = Player(PlayedClock(TrioClock()), hour.lines, 1.0, hour)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(player.run)
        await trio.sleep(0)
        player.wait()
        yield Played(player)
        nursery.cancel_scope.cancel()


async def test_which_runs_were_open(autojump_clock) -> None:
    """Those of before with their states of then, also one that is gone now; and those that came."""
    async with played() as it:
        assert await it.at(1) == {GONE: "running", STILL: "waiting", OLD: "running"}
        assert await it.at(10) == {STILL: "waiting", OLD: "backing-off"}
        assert await it.at(40) == {STILL: "waiting", OLD: "running"}
        assert await it.at(70) == {STILL: "waiting"}
        assert await it.at(110) == {BORN: "running", STILL: "waiting"}
        assert await it.at(3_600) == {STILL: "waiting"}
        assert await it.at(3_600, "") == {
            GONE: "completed", BORN: "failed", STILL: "waiting", OLD: "completed",
        }  # fmt: skip
        assert await it.at(10) == {STILL: "waiting", OLD: "backing-off"}


async def test_what_the_list_says_of_them(autojump_clock) -> None:
    """Whose they are, where they were, and when they go on."""
    async with played() as it:
        await it.at(10)
        old = it.store.runs[OLD]
        assert (old.workflow, old.key, old.client) == ("order.fulfil", "ord-99", "shop")
        assert old.at is not None
        assert (old.at.state, old.at.attempts, old.at.http_status) == (State.BACKING_OFF, 1, 503)
        assert old.at.due_at == NOW + 30_000
        assert it.store.time.now_ms() == pytest.approx(NOW + 10_000)
        await it.at(110)
        born = it.store.runs[BORN]
        assert (born.workflow, born.key, born.client) == ("refund", "r-1", "shop")
        assert born.submitted_at == NOW + 100_000


async def test_counts_are_those_of_then(autojump_clock) -> None:
    """Backwards from now: at the end they are the engine's own."""
    async with played() as it:
        for at_s, wanted, stuck in (
            (1, {"running": 2, "waiting": 1, "completed": 10, "failed": 3}, 2),
            (12, {"backing-off": 1, "waiting": 1, "completed": 11, "failed": 3}, 2),
            (110, {"running": 1, "waiting": 1, "completed": 12, "failed": 3}, 2),
            (3_600, {"waiting": 1, "completed": 12, "failed": 4}, 3),
        ):
            await it.at(at_s)
            assert {state: n for state, n in it.store.counts.items() if n} == wanted, at_s
            assert it.store.status.stuck_count == stuck


async def test_a_run_of_before_as_it_was(autojump_clock) -> None:
    """Its attempts of then; those in flight have no end, those of later are not there."""
    async with played() as it:
        for at_s, tries in ((1, [None]), (10, [5_000]), (40, [5_000, None])):
            await it.at(at_s)
            it.player.look(Board("run"), OLD)
            (step,) = it.store.trees[OLD].steps.values()
            ends = [each.ended_at and each.ended_at - NOW for each in step.tries]
            assert ends == tries, at_s
        assert it.store.trees[OLD].run.state is State.RUNNING


async def test_a_run_that_came(autojump_clock) -> None:
    """Folded from its events; it goes on as time does, and goes when one goes back before it."""
    async with played() as it:
        await it.at(105)
        it.player.look(Board("run"), BORN)
        assert it.store.trees[BORN].steps[BORN].state is State.RUNNING
        it.player.go_to(130)
        await trio.sleep(1)
        step = it.store.trees[BORN].steps[BORN]
        assert (step.state, step.excerpt) == (State.FAILED, "no room")
        it.player.go_to(50)
        await trio.sleep(1)
        assert BORN not in it.store.trees


async def test_nothing_looks_lost_in_a_quiet_hour(autojump_clock) -> None:
    """An engine that says nothing for an hour was there."""
    quiet = engine()
    quiet.recorded.clear()
    quiet.answers["status"] |= {"sequence": "f-0"}
    async with played(quiet) as it:
        for at_s in (1, 1_000, 2_003, 3_600):
            assert await it.at(at_s) == {STILL: "waiting"}
            assert not it.store.stale


async def test_a_filter_asks_for_what_is_known(autojump_clock) -> None:
    """By the same language; what only an engine can answer is refused in words."""
    async with played() as it:
        assert list(await it.at(110, "wf:refund")) == [BORN]
        assert list(await it.at(130, "is:stuck")) == [BORN]
        assert list(await it.at(130, "error:room is:failed")) == [BORN]
        assert list(await it.at(130, "age:<1m")) == [BORN]
        assert BORN not in await it.at(130, "age:>1m")
    wrong = past_fault("cause:x")
    assert wrong is not None
    assert wrong.detail.startswith("`cause:` is asked of an engine. Of a past hour there are is:")


async def test_of_a_run_that_is_gone_the_id_says_when_it_was_posted(autojump_clock) -> None:
    """And nothing else is known: not whose it was."""
    async with played() as it:
        await it.at(1)
        gone = it.store.runs[GONE]
        assert (gone.workflow, gone.key, gone.at) == ("?", "", None)
        assert abs(gone.submitted_at - 1_763_900_000_000) < 400_000_000


# -- limits ----------------------------------------------------------------------------------------


async def test_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it is shown; beyond it the answer says for how long there would be room."""
    monkeypatch.setattr(hours, "EVENTS_MAX", len(SINCE))
    assert await read_hour(asking(engine()), NOW, no_progress)
    monkeypatch.setattr(hours, "EVENTS_MAX", len(SINCE) - 1)
    with pytest.raises(PastError, match=r"more than 12 events .* --replay 2m"):
        await read_hour(asking(engine()), NOW, no_progress)


async def test_so_long_ago() -> None:
    """By the engine's clock: 24 hours are shown, a millisecond more is not."""
    told = engine()
    told.answers["status"] |= {"serverTime": rfc3339(NOW + LENGTH_MS_MAX)}
    assert await read_hour(asking(told), NOW, no_progress)
    told.answers["status"] |= {"serverTime": rfc3339(NOW + LENGTH_MS_MAX + 1)}
    with pytest.raises(PastError, match="at most the last 24 hours"):
        await read_hour(asking(told), NOW, no_progress)


async def test_so_many_runs_are_read(monkeypatch: pytest.MonkeyPatch, autojump_clock) -> None:
    """Of the others stands there what a list or an event tells of them."""
    monkeypatch.setattr(hours, "TREES_READ_MAX", 1)
    told = engine()
    async with played(told) as it:
        assert await it.at(1) == {GONE: "running", STILL: "waiting", OLD: "running"}
        assert [path for _, path, _ in told.asked if path.startswith("runs/")] == [f"runs/{OLD}"]
        it.player.look(Board("run"), STILL)
        assert STILL not in it.store.trees


async def test_why_there_is_none() -> None:
    """Events that are gone, and an engine that cannot tell, are errors before there is a screen."""
    told = engine()
    told.was_removed = True
    with pytest.raises(PastError, match="retention removes"):
        await read_hour(asking(told), NOW, no_progress)
    old = engine()
    old.knows_times = False
    with pytest.raises(PastError, match="too old"):
        await read_hour(asking(old), NOW, no_progress)
