"""The boards at every size, in ASCII, without colour, empty and cut off."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from engine.store.tables.views.boards import DUE_COUNTED_MAX
from engine.wire import AttemptRow, CauseList, CauseRow, RetryPage
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tests.tui.support import retry_row
from tui.act.open import open_run
from tui.boards.cells import COUNTED_MAX
from tui.data.inputs import CausesRead, LinkMoved, LinkState, RetriesRead
from tui.keys import COMMANDS, shown_key

SIZES = [(80, 24), (100, 30), (140, 40), (60, 16), (200, 60)]
STATES = ("pending", "running", "backing-off", "waiting", "paused", "completed", "failed",
          "cancelled")  # fmt: skip


def fill(world: World) -> None:
    """A run of each state, and one that is open with some steps."""
    world.live(counts={"running": 3, "backing-off": 2}, stuckCount=1)
    rows = [run_row(n, state, at={"status": state, "due_at": at(9)})
            for n, state in enumerate(STATES)]  # fmt: skip
    world.runs(*rows)
    run = rows[2]
    failed = AttemptRow(1, 1, "failure", at(-40), at(-30), 503, delay_ms=20_000, delay_by="policy")
    world.tree(
        run,
        step_row(run.id, None, "running"),
        step_row(run.id, "reserve", "completed", attempt_rows=(
            AttemptRow(1, 1, "success", at(-50), at(-45), 200),), ended_at=at(-45)),
        step_row(run.id, "ship", "backing-off", attempt_rows=(failed,), due_at=at(9), failures=1),
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_board_fits_every_size(size: tuple[int, int]) -> None:
    """At each size every board has its two lines on top, its keys at the foot, a head over columns
    that do not overlap, and lines as wide as the screen."""

    async def test(world: World) -> None:
        fill(world)
        for key in ("0", "1", "2", "3", "4", "5", "6", "1"):
            lines = await world.press(key)
            assert len(lines) == size[1]
            assert {len(line) for line in lines} == {size[0]}
            assert "live" in lines[0]
            assert re.search(r" 1( Runs)? ", lines[1])
            assert "Open" in lines[-1]
        await world.press("j", "j")
        lines = await world.press("enter")
        line_with(lines, "ship")
        grid = world.app.grid()
        edges = [0]
        for _, cells in grid._layout():
            edges.append(edges[-1] + cells + 1)
        assert all(a < b for a, b in pairwise(edges))
        assert edges[-1] <= size[0] + 1

    showing(test, size=size, live=False)


@on_screen(ascii_only=True)
async def test_states_differ_in_ascii(world: World) -> None:
    """In ASCII nothing on the screen is beyond it, and each state has a mark and a word of its
    own."""
    fill(world)
    lines = await world.shown()
    shown = [line.split()[:2] for line in lines[3:11]]
    assert len({tuple(words) for words in shown}) == len(STATES)
    for screen in (lines, await world.press("enter"), await world.press("question_mark")):
        assert all(line.isascii() for line in screen), screen


@on_screen()
async def test_the_cursor_and_marks_are_seen_without_colour(world: World) -> None:
    """The row under the cursor and the marked ones have a sign of their own at the edge."""
    fill(world)
    await world.shown()
    lines = await world.press("space")
    assert [line[0] for line in lines[3:6]] == ["◆", "▌", " "]


@on_screen(size=(120, 90))
async def test_footer_and_help_come_from_one_table(world: World) -> None:
    """What the footer shows is in the help of the view, with the same key."""
    fill(world)
    foot = (await world.shown())[-1]
    help_lines = await world.press("question_mark")
    for command in COMMANDS:
        if command.footer and "runs" in command.views:
            assert f"{shown_key(command.keys)} " in foot
    line_with(help_lines, "the runs, the newest first")


def test_every_key_that_acts_is_in_the_footer_or_one_lists_it() -> None:
    """On a wide terminal all of them, of runs and of causes; on 80 columns as many as have room,
    and the key that lists the others."""

    async def wide(world: World) -> None:
        foot = (await world.lists(run_row(1, "failed")))[-1]
        for told in ("R Retry now", "P Pause", "C Cancel", "D Dismiss", "W Note", "H Hold"):
            assert f" {told} " in foot
        assert "More" not in foot
        foot = (await world.press("3"))[-1]
        assert " R Retry now  D Dismiss  W Note  H Hold " in foot

    async def narrow(world: World) -> None:
        foot = (await world.lists(run_row(1, "failed")))[-1]
        assert " R Retry now  P Pause  x More " in foot
        assert "Dismiss" not in foot
        foot = (await world.press("3"))[-1]
        assert " R Retry now  D Dismiss  W Note  H Hold " in foot
        assert "More" not in foot

    showing(wide, size=(140, 40))
    showing(narrow, size=(80, 24))


@on_screen()
async def test_empty_boards_say_why(world: World) -> None:
    """An empty board says what that means and what to press."""
    world.live(counts={"completed": 10_204})
    world.runs()
    line_with(await world.shown(), "No run is open. 10,204 have completed")
    world.app.looking.filters["runs"] = "wf:nothing"
    world.store.changes.counts = True
    line_with(await world.shown(), "esc clears the filter")


@on_screen()
async def test_an_empty_board_counts_one_as_one(world: World) -> None:
    """Not: 1 have completed."""
    world.live(counts={"completed": 1})
    world.runs()
    line_with(await world.shown(), "No run is open. 1 has completed.")


@on_screen()
async def test_the_footer_says_where_q_leads(world: World) -> None:
    """Out of the dashboard from a board, and from a run to the board."""
    fill(world)
    assert "q Quit" in (await world.shown())[-1]
    assert "q Back" in (await world.press("enter"))[-1]
    assert "q Quit" in (await world.press("q"))[-1]


@on_screen(live=False)
async def test_what_is_wrong_with_the_connection_is_said(world: World) -> None:
    """Connecting, lost, not let in, restarted: each is told apart in the top line."""
    assert "connecting" in (await world.shown())[0]
    world.store.apply(LinkMoved(LinkState.LOST, "refused", 2, 3.0))
    assert "reconnecting, try 2 in 3s" in (await world.shown())[0]
    world.store.apply(LinkMoved(LinkState.REJECTED, "A token is needed"))
    assert "not let in: A token is needed" in (await world.shown())[0]
    world.live()
    world.live(instance="two", startedAt=at(0))
    assert "engine restarted" in (await world.shown())[0]


@on_screen()
async def test_what_is_counted_has_a_name(world: World) -> None:
    """The figure of a tab and that of its board count the same, or say what they count."""
    fill(world)
    world.live(stuckCount=7, timedCount=1_421)
    causes = (CauseRow("a", 5, 0, at(-9), at(-9), "01K", "order", "failed", None),)
    world.store.apply(CausesRead(CauseList(causes, 9, 300_000)))
    line_with(await world.press("1"), "row 1 of 8 runs")
    lines = await world.press("3")
    line_with(lines, "9 stuck runs · 1 cause")
    assert "3 Stuck 9" in lines[1]
    page = RetryPage((retry_row("s1", 9_000), retry_row("s2", 9_000)), next="s2")
    world.store.apply(RetriesRead("retries", page))
    lines = await world.press("2")
    line_with(lines, "row 1 of the next 2 · 1,421 steps in all")
    assert "2 Retries  3" in lines[1]  # the top line has runs that back off: no other unit here
    world.store.apply(RetriesRead("retries", RetryPage(page.retries)))
    lines = await world.shown()
    line_with(lines, "row 1 of 2 steps")


def test_what_was_not_counted_on_says_so() -> None:
    """The engine counts steps that have a time up to ten thousand: `10k+`, with what is due when,
    and late ones."""

    async def test(world: World) -> None:
        due = [{"upToMs": 10_000, "attempts": 175}, {"upToMs": None, "attempts": 10_000}]
        world.live(counts={"backing-off": 150_000}, timedCount=10_000, lateCount=10_000, due=due)
        page = RetryPage((retry_row("s1", 9_000), retry_row("s2", 9_000)), next="s2")
        world.store.apply(RetriesRead("retries", page))
        lines = await world.press("2")
        line_with(lines, "row 1 of the next 2 · 10,000+ steps in all")
        line_with(lines, "late 10k+  <10s 175  later 10k+")
        assert "↻ 150,000" in lines[0]
        assert "late 10,000+" in lines[0]

    showing(test, size=(100, 24), live=False)
    assert COUNTED_MAX == DUE_COUNTED_MAX


@on_screen()
async def test_the_rows_of_a_list_say_where_the_runs_are(world: World) -> None:
    """Never at a step that has just succeeded: at the one that has begun since, at none where that
    is not known, and at the one that backs off if that is what the run does."""
    run = run_row(1, at={"status": "running"})
    assert run.at is not None
    world.runs(run)
    ended = {"countsAs": "success", "httpStatus": 200, "number": 2}
    world.event("attempt", "attempt-ended", run.id, run.at.step_id, status="completed", rev=5,
                **ended)  # fmt: skip
    row = line_with(await world.shown(), "running")
    assert "charge" not in row
    assert "200" not in row
    ship = f"{run.id}-ship"
    spec = {"name": "ship", "workflow": "order", "url": "http://ship.test/x", "key": "k",
            "retry": {"count": 4}}  # fmt: skip
    world.event("step", "accepted", run.id, ship, status="pending", rev=1, spec=spec)
    world.event("attempt", "started", run.id, ship, status="running", rev=2, number=1)
    row = line_with(await world.shown(), "running")
    assert ("ship" in row, "1/5" in row) == (True, True)
    root = dict(spec, name="index")
    world.event("step", "accepted", run.id, run.id, status="pending", rev=1, spec=root)
    world.event("attempt", "started", run.id, run.id, status="running", rev=2, number=2)
    assert "ship" in line_with(await world.shown(), "running")
    failed = {"countsAs": "failure", "httpStatus": 503, "dueAt": at(9), "delayMs": 9_000,
              "excerpt": "busy", "number": 1}  # fmt: skip
    other = f"{run.id}-other"
    world.event("step", "accepted", run.id, other, status="pending", rev=1,
                spec=dict(spec, name="other"))  # fmt: skip
    world.event("attempt", "attempt-ended", run.id, other, status="backing-off", rev=2,
                **failed)  # fmt: skip
    assert "ship" in line_with(await world.shown(), "running")
    world.event("run", "run-moved", run.id, run.id, status="backing-off", rev=9)
    row = line_with(await world.shown(), "backing-off")
    assert "other" in row
    assert "in 9s" in row


@on_screen()
async def test_a_row_that_has_left_and_is_still_drawn_does_not_open(world: World) -> None:
    """What was read has not been drawn yet when `enter` comes."""
    fill(world)
    world.store.apply(RetriesRead("retries", RetryPage((retry_row("s1", 9_000),))))
    await world.press("2")
    world.store.apply(RetriesRead("retries", RetryPage(())))
    world.app.run_command("open")
    assert world.app.looking.view == "retries"
    await world.shown()
    assert world.app.selection().cursor_id is None


@on_screen()
async def test_events_are_counted_honestly(world: World) -> None:
    """How many came, how many are listed, and how many are kept no more."""
    run = run_row(1)
    for _ in range(1_005):
        world.event("step", "started", run.id, run.id, status="running", rev=1)
    world.store.events_seen += 11_896
    shown = await world.press("5", "m")
    assert line_with(shown, "every event · m shows a choice · 1,000 of 12,901 · 11,896 dropped")


@on_screen()
async def test_filter_with_a_mistake_is_told_and_changes_nothing(world: World) -> None:
    """A filter that makes no sense is told; the list stays, and so does what was typed."""
    fill(world)
    await world.press("slash")
    prompt = world.app.query_one("#prompt")
    prompt.value = "is:nonsense"  # type: ignore[attr-defined]
    await world.press("enter")
    assert world.app.looking.filters["runs"] == "is:live"
    assert prompt.value == "is:nonsense"  # type: ignore[attr-defined]
    assert world.app.flash.now[0].startswith("`is:nonsense` is none of")


@on_screen()
async def test_back_from_the_background_everything_is_read_again(world: World) -> None:
    """The clock went on meanwhile, and so did the engine."""
    fill(world)
    asked: list[bool] = []
    feed = SimpleNamespace(
        resync=lambda: asked.append(True), open=lambda _: None, poke=lambda: None
    )
    world.app.following.feed = feed  # type: ignore[assignment]
    world.app.app_resume_signal.publish(world.app)
    line_with(await world.shown(), "STATE")
    assert asked == [True]
    world.app.following.feed = None


@on_screen()
async def test_after_a_sleep_of_the_laptop_everything_is_read_again(world: World) -> None:
    """Once, with the first tick after it; no countdown shows a time behind zero meanwhile."""
    fill(world)
    asked: list[bool] = []
    await world.shown()
    world.app.following.feed = SimpleNamespace(resync=lambda: asked.append(True))  # type: ignore[assignment]
    world.clock.sleep_s(600)
    world.app.tick()
    world.app.tick()
    assert asked == [True]
    world.app.following.feed = None
    assert not any(re.search(r"-\d", line) for line in await world.shown())


@on_screen()
async def test_esc_peels_one_layer(world: World) -> None:
    """Escape closes the prompt, then clears the marks, then goes back, one at a time."""
    fill(world)
    await world.shown()
    await world.press("space", "slash", "escape")
    assert world.app.selection().marks
    await world.press("escape")
    assert not world.app.selection().marks
    await world.press("enter")
    assert world.app.looking.view == "run"
    await world.press("escape")
    assert world.app.looking.view == "runs"


def test_utc_turns_every_time_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """`:utc` tells the times of events, attempts and a restart in UTC, and once more locally."""
    monkeypatch.setenv("TZ", "Etc/GMT-5")  # five hours ahead
    time.tzset()

    async def test(world: World) -> None:
        fill(world)
        run = run_row(2)
        world.event("step", "accepted", run.id, run.id, status="pending", rev=1)
        world.live(instance="two", startedAt=at(0))
        for turn, hour in enumerate((19, 14, 19)):
            if turn:
                await world.press("colon", "u", "t", "c", "enter")
            lines = await world.press("5", *("m" * (not turn)))
            assert f"engine restarted {hour}:13:20" in lines[0]
            line_with(lines, f"{hour}:13:20.000")
            open_run(world.app, run.id)
            line_with(await world.shown(), f"1 ▸ {hour}:12:30")

    showing(test, live=False)
