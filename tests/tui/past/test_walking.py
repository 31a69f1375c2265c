"""Walking in a run's own time: the screen says that it is not now, and nothing is done there."""

from __future__ import annotations

import asyncio
import json

from tests.tui.on_screen import World, line_with, on_screen
from tests.tui.past.support import HAPPENED
from tests.tui.support import RUN, event, run_row, step_row
from tui.data.model import State

PASSED_S = 60


def opened(world: World) -> None:
    """The run as it has ended, which the dashboard opens."""
    run = run_row(status="completed", rev=3)
    ship = step_row("ship", "completed", parent=RUN, rev=5)
    world.runs(run)
    world.tree(run, step_row("order", "completed", rev=3), ship)


def has_seen(world: World) -> None:
    """All that happened to it, while the dashboard looked."""
    for seq, (kind, rev, status, step, at, members) in enumerate(HAPPENED):
        world.store.apply(event(kind, rev, status, step, seq=seq, at=at, **members))


def tells(world: World) -> None:
    """The engine tells what happened, and that an hour ago."""
    lines = ["event: heartbeat\nid: f-0\ndata: {}\n\n"]
    for seq, (kind, rev, status, step, at, members) in enumerate(HAPPENED, 1):
        read = event(kind, rev, status, step, seq=seq, at=at, **members)
        told = json.dumps(json.loads(bytes(read.raw)))
        lines.append(f"event: {read.kind}\nid: {read.id}\ndata: {told}\n\n")
    world.streams = {"/events": "".join(lines).encode()}
    world.answers["/status"] = (200, {"sequence": f"f-{len(HAPPENED)}"})


@on_screen(size=(120, 30))
async def test_back_moment_by_moment_and_on_to_now(world: World) -> None:
    """Each with what happened then; at the end of it is now, and esc goes there at once."""
    opened(world)
    has_seen(world)
    world.clock.pass_s(PASSED_S)
    now = await world.open_first()
    assert not any("NOT NOW" in line for line in now)
    shown = await world.press(",")
    assert line_with(shown, "NOT NOW · ")
    assert "8 of 8 moments" in line_with(shown, "walk · esc now")
    shown = await world.press(*",,,")
    badge = line_with(shown, "NOT NOW")
    assert ".090 · try 1 failed " in badge
    assert "↻ backing-off" not in badge  # that is the step's: its run still ran
    status = line_with(shown, "5 of 8 moments")
    assert "✗" not in status
    assert "try 1 failed › ship  503 · again in 0s" in status
    assert "in 1s" in line_with(shown, "└─ ↻ ship")
    shown = await world.press(".")
    assert "try 2 started › ship" in line_with(shown, "6 of 8 moments")
    assert line_with(shown, "└─ ▸ ship")
    shown = await world.press("escape")
    assert not any("NOT NOW" in line for line in shown)
    assert line_with(shown, "└─ ✓ ship")
    assert world.app.looking.view == "run"
    shown = await world.press(",", ".")
    assert not any("NOT NOW" in line for line in shown)


@on_screen(size=(120, 30))
async def test_the_first_moment_and_now_are_ends(world: World) -> None:
    """Which is said."""
    opened(world)
    has_seen(world)
    assert line_with(await world.open_first("."), "this is now: , shows")
    await world.press(*"," * 8)
    assert line_with(await world.press(","), "nothing happened to it before")
    assert list(world.app.looking.tree(world.store).steps) == [RUN]  # type: ignore[union-attr]


@on_screen(size=(120, 30))
async def test_time_stands_still_there(world: World) -> None:
    """What is shown is as of the moment, however much passes; what comes is not missed."""
    opened(world)
    has_seen(world)
    await world.open_first()
    before = await world.press(*",,,,")
    world.event("step", "acted", RUN, RUN, status="completed", rev=4, action="note", actor="ana")
    after = await world.passes(30)
    assert after[2:-1] == before[2:-1]
    await world.press("escape")
    assert world.store.trees[RUN].steps[RUN].rev == 4


@on_screen(size=(120, 30))
async def test_nothing_is_done_to_what_was(world: World) -> None:
    """Every key that acts is refused with the reason, and grey."""
    opened(world)
    has_seen(world)
    await world.open_first(*",,,,j")
    for key in "RPCEDMSKAX":
        shown = await world.press(key)
        assert "this is how it was at " in line_with(shown, "esc goes back to now"), key
    assert line_with(await world.press("z"), "esc goes back to now")
    assert not world.posts
    assert len(world.app.screen_stack) == 1


@on_screen(size=(120, 30))
async def test_it_is_read_from_the_engine(world: World) -> None:
    """Where the dashboard was not there; from when the run was submitted on."""
    opened(world)
    tells(world)
    shown = await world.open_first(",")
    assert line_with(shown, "8 of 8 moments")
    assert world.asked == [{"since": "2026-09-21T14:13:20.000Z"}]
    assert line_with(await world.press(*",,,"), "try 1 failed")


@on_screen(size=(120, 30))
async def test_why_it_cannot_be_shown(world: World) -> None:
    """Instead of a run that is not how it was."""
    opened(world)
    tells(world)
    world.streams["/events"] = b"event: reset\nid: f-10\ndata: {}\n\n"
    shown = await world.open_first(",")
    assert line_with(shown, "retention removes what ended")
    assert world.app.looking.past is None
    assert not world.app.looking.reads_past


@on_screen(size=(120, 30))
async def test_esc_leaves_the_reading(world: World) -> None:
    """And what comes after all does not take anybody back."""
    opened(world)
    tells(world)
    await world.open_first()
    world.answers_after = asyncio.Event()
    await world.pilot.press(",")
    await world.pilot.pause()
    assert line_with(await world.shown(), "reading what happened to it… · esc leaves it")
    await world.pilot.press("escape")
    shown = await world.shown()
    assert not any("reading what happened" in line for line in shown)
    world.answers_after.set()
    await world.works_end()
    assert world.app.looking.past is None
    assert world.app.looking.view == "run"


@on_screen(size=(120, 30))
async def test_another_run_is_shown_as_it_is(world: World) -> None:
    """So is everything else that one goes to."""
    opened(world)
    has_seen(world)
    await world.open_first(",")
    await world.press("1")
    assert world.app.looking.past is None
    await world.press("enter")
    assert world.app.looking.past is None


@on_screen(size=(120, 30))
async def test_at_a_time_of_the_day(world: World) -> None:
    """The last moment up to it; the first one, which is said, where it was not there yet."""
    opened(world)
    has_seen(world)
    world.clock.pass_s(PASSED_S)
    await world.open_first()
    await world.press(":", *"utc", "enter")
    shown = await world.press(":", *"at 14:13:20.095", "enter")
    assert line_with(shown, "5 of 8 moments")
    shown = await world.press(":", *"at 14:13:20.022", "enter")
    assert line_with(shown, "4 of 8 moments")
    shown = await world.press(":", *"at 14:13:19", "enter")
    assert line_with(shown, "it began at 14:13:20.000")
    assert world.app.looking.past.index == 0  # type: ignore[union-attr]
    shown = await world.press(":", *"at noon", "enter")
    assert line_with(shown, "`noon` is no time")


@on_screen()
async def test_at_eighty_columns(world: World) -> None:
    """The badge stands before everything, how the run stood before whose it is, and the keys back
    are there."""
    opened(world)
    has_seen(world)
    await world.open_first()
    shown = await world.press(*",,,,")
    assert shown[2].startswith(" NOT NOW · ")
    assert "▸ running for" in shown[2]
    assert "esc now" in shown[-2]


@on_screen()
async def test_a_recording_without_its_beginning(world: World) -> None:
    """Says so: there is nobody to ask."""
    opened(world)
    world.app.following.client = None
    assert line_with(await world.open_first(","), "not all that happened to this run")
    assert world.store.trees[RUN].run.state is State.COMPLETED
