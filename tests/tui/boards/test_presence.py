"""Who else looks, and who has just acted: on the top line, and on the page of a run."""

from __future__ import annotations

from typing import Any

import pytest

from engine.wire import OwnToken, RetryPage, Status
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import RUN as RETRIED
from tests.tui.support import retry_row
from tui.boards.presence import own_name
from tui.data.inputs import RetriesRead

ME = "me@desk"
RUN = run_row(7)


def listeners(*names: str) -> list[dict[str, Any]]:
    return [{"actor": name, "since": at(-60)} for name in names]


def acts(world: World, actor: str, action: str = "retry", run_id: str = RUN.id) -> None:
    world.event(
        "step", "acted", run_id, run_id, status="backing-off", rev=9, action=action, actor=actor
    )


@pytest.mark.parametrize(
    ("names", "cells", "told"),
    [
        (("ana@laptop",), 140, "ana@laptop looks too"),
        (("bob", "ana", "ana", ME), 140, "bob, ana look too"),
        (("a", "b", "c", "d"), 140, "a, b and 2 more look too"),
        (("x" * 64,), 140, f"{'x' * 23}… looks too"),
        (("ana@laptop",), 80, "ana@laptop looks too"),
        (("ana@workstation.example", "desk (bob@host)"), 80, "ana, desk (bob) look too"),
        (("ana", "bob", "cleo"), 80, "ana, bob and 1 more look too"),
        (("annamariakatharina", "bobbybobbybobby", "c"), 80, "3 more look"),
        (("http:10.1.2.3",), 80, "somebody at 10.1.2.3 looks too"),
        ((ME,), 140, ""), ((), 140, ""),
    ],
)  # fmt: skip
def test_the_top_line_says_who_else_looks(names: tuple[str, ...], cells: int, told: str) -> None:
    """Each once, by name where there is room; never oneself."""

    async def test(world: World) -> None:
        world.live(listeners=listeners(*names))
        top = (await world.shown())[0]
        assert told in top
        assert bool(told) is ("look" in top)
        assert top.rstrip().endswith("ended 0/s")
        assert ME not in top

    showing(test, size=(cells, 24), actor=ME)


@on_screen(size=(140, 40), actor=ME)
async def test_the_top_line_says_what_another_has_just_done(world: World) -> None:
    """For a quarter of a minute, and how long ago; not what one has done oneself, nor each run of
    a job."""
    for actor in (ME, "ana bulk:01M8", f"{ME} bulk:01M8"):
        acts(world, actor)
        assert " ago" not in (await world.shown())[0]
    acts(world, "http:10.1.2.3")
    assert "retried by somebody at 10.1.2.3 0ms ago" in (await world.passes(0))[0]
    acts(world, "ana")
    assert f"{RUN.id[-8:]} retried by ana 0ms ago" in (await world.passes(0))[0]
    assert "retried by ana 1.5s ago" in (await world.passes(1.5))[0]
    acts(world, ME)
    assert "retried by ana 13s ago" in (await world.passes(11.5))[0]
    assert " ago" not in (await world.passes(3))[0]


@on_screen(size=(80, 24), actor=ME)
async def test_what_has_no_room_is_left_out(world: World) -> None:
    """The machine, the run, who looks; what the line said before is never cut for it."""
    world.live(listeners=listeners("ana"))
    acts(world, "ana@workstation")
    top = (await world.passes(0))[0]
    assert "00000007 retried by ana 0ms ago  ended 0/s" in top
    assert "look" not in top
    world.live(listeners=listeners("ana"), lateCount=1_234, cancelledInFlight=5, stuckCount=10_000)
    top = (await world.passes(0))[0]
    assert "late 1,234" in top
    assert " ago" not in top
    assert top.rstrip().endswith("ended 0/s")


@on_screen(size=(140, 40), actor=ME)
async def test_the_page_of_a_run_says_who_acted_on_it(world: World) -> None:
    """For a minute, whoever it was; not what was done to another."""
    world.runs(RUN)
    world.tree(RUN, step_row(RUN.id, None, "backing-off"))
    await world.open_first()
    acts(world, "ana", run_id=run_row(8).id)
    assert "by ana" not in line_with(await world.passes(0), "Runs ›")
    acts(world, "ana", "pause")
    assert "paused by ana 0ms ago" in line_with(await world.passes(0), "Runs ›")
    acts(world, ME, "resume")
    assert f"resumed by {ME} 59s ago" in line_with(await world.passes(59), "Runs ›")
    assert " ago" not in line_with(await world.passes(2), "Runs ›")


@on_screen(size=(80, 24), actor=ME)
async def test_who_acted_on_a_run_is_told_where_there_is_little_room(world: World) -> None:
    """Without the machine, and before the counts, which its steps tell too; of a step with its
    name, where that is known."""
    world.runs(RUN)
    world.tree(RUN, step_row(RUN.id, None, "backing-off"))
    await world.open_first()
    acts(world, "ana@workstation")
    assert "retried by ana 12s ago" in line_with(await world.passes(12), "Runs ›")
    step = f"{RUN.id}-ship"
    members = {"status": "backing-off", "rev": 4, "action": "skip", "actor": "ana"}
    world.event("step", "acted", RUN.id, step, **members)
    assert "a step skipped by ana 0ms ago" in line_with(await world.passes(0), "Runs ›")


@on_screen(size=(140, 40), actor=ME)
async def test_an_engine_that_is_away_tells_of_nobody(world: World) -> None:
    """Who looked then may have left."""
    world.live(listeners=listeners("ana"))
    assert "ana looks too" in (await world.shown())[0]
    world.clock.pass_s(60)
    world.app.tick()
    assert "look" not in (await world.shown())[0]


def test_as_whom_the_engine_knows_one() -> None:
    """By the token's name, with the claim in parentheses, as those who act."""
    desk = Status(token=OwnToken("desk", "read"))
    assert own_name(Status(), ME) == ME
    assert own_name(desk, ME) == f"desk ({ME})"
    assert own_name(desk, "") == "desk"


@on_screen(size=(140, 40), actor=ME)
async def test_a_row_says_who_has_just_acted_on_it(world: World) -> None:
    """Before its reason, for a quarter of a minute, whoever it was; of a job by whose it is. Other
    rows do not."""
    world.runs(RUN, run_row(8))
    acts(world, "ana@laptop")
    lines = await world.passes(0)
    assert "retried by ana 0ms ago · 503" in line_with(lines[2:], "00000007")
    assert " ago" not in line_with(lines[2:], "00000008")
    acts(world, "bob bulk:01M8", run_id=run_row(8).id)
    lines = await world.passes(4)
    assert "retried by ana 4.0s ago" in line_with(lines[2:], "00000007")
    assert "retried by bob 4.0s ago" in line_with(lines[2:], "00000008")
    acts(world, ME, "pause")
    assert "paused by me 10s ago · 503" in line_with((await world.passes(10))[2:], "00000007")
    assert " ago" not in line_with((await world.passes(6))[2:], "00000007")


@on_screen(size=(80, 24), actor=ME)
async def test_a_row_says_who_has_just_acted_where_there_is_no_reason(world: World) -> None:
    """In the place of its step, for as long."""
    world.runs(RUN)
    assert " charge" in line_with(await world.shown(), "00000007")
    acts(world, "ana@laptop")
    assert " by ana 4s " in line_with(await world.passes(4), "order ")
    assert " charge" in line_with(await world.passes(12), "order ")


@on_screen(size=(80, 24), actor=ME, board="retries")
async def test_a_step_that_is_tried_next_says_who_has_just_acted_on_it(world: World) -> None:
    """Before its reason; not what was done to another of its run."""
    world.store.apply(RetriesRead("retries", RetryPage((retry_row(f"{RETRIED}-a", 9_000),))))
    members = {"status": "backing-off", "rev": 4, "action": "retry"}
    world.event("step", "acted", RETRIED, f"{RETRIED}-b", **members, actor="bob")
    world.event("step", "acted", RETRIED, f"{RETRIED}-a", **members, actor="ana@laptop")
    lines = await world.passes(0)
    line_with(lines[2:], "retried by ana")
    assert not any("by bob" in line for line in lines[2:])
