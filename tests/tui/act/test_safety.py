"""The cursor stays on its run, and nothing is done to another one."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.wire import BulkAnswer
from tests.tui.on_screen import World, accepted, at, bulk, line_with, on_screen, run_row, step_row
from tests.tui.support import event_read
from tui.act.open import open_run
from tui.act.sort import filter_by
from tui.data.inputs import JobsRead, LinkMoved, LinkState
from tui.keys import COMMANDS, LISTS, WRITES


def cursor(lines: list[str]) -> str:
    """The line that the cursor is on."""
    return next(line for line in lines if line.startswith("▌"))


@on_screen()
async def test_the_cursor_stays_on_its_run(world: World) -> None:
    """Rows come above, the run moves, the order turns: the cursor is on that run. When it goes, the
    cursor is on its neighbour and that is said."""
    rows = [run_row(number) for number in range(100, 120)]
    await world.lists(*rows)
    await world.press("j", "j", "j")
    mine = rows[3].id
    assert world.app.selection().cursor_id == mine
    world.runs(*(run_row(number) for number in range(100)), *rows)
    assert rows[3].id[-8:] in cursor(await world.shown())
    world.runs(*reversed(rows))
    assert rows[3].id[-8:] in cursor(await world.shown())
    lines = await world.lists(*(row for row in reversed(rows) if row.id != mine))
    assert world.app.selection().cursor_id in {rows[2].id, rows[4].id}
    line_with(lines, "the row under the cursor has left the list")


@on_screen()
async def test_a_reconnect_keeps_cursor_marks_filter_and_folds(world: World) -> None:
    """The engine goes and comes back with events missed; all is read again, and is where it was."""
    rows = [run_row(number) for number in range(5)]
    steps = [step_row(rows[2].id, name, "running") for name in (None, "pay", "ship")]
    world.runs(*rows)
    world.tree(rows[2], *steps)
    filter_by(world.app, "wf:order")
    await world.press("space", "j", "enter", "h")
    for kind in ("heartbeat", "reset"):
        world.store.apply(LinkMoved(LinkState.LOST, "cut", 1, 0.5))
        await world.shown()
        world.live()
        world.store.apply(event_read("", kind, {}))
        world.runs(run_row(9), *rows)
        world.tree(rows[2], *steps)
        await world.shown()
    app = world.app
    assert (app.looking.view, list(app.looking.lines)) == ("run", [rows[2].id])
    assert app.looking.lines[rows[2].id].collapsed
    await world.press("escape")
    assert (app.looking.view, app.looking.filters["runs"]) == ("runs", "wf:order")
    assert (app.selection().cursor_id, list(app.selection().marks)) == (
        rows[2].id,
        [rows[0].id],
    )


@on_screen()
async def test_marks_stay_on_their_runs(world: World) -> None:
    """Marks survive another order; that of a run which vanished is dropped and goes nowhere."""
    rows = [run_row(number) for number in range(5)]
    await world.lists(*rows)
    await world.press("space", "space")
    assert set(world.app.selection().marks) == {rows[0].id, rows[1].id}
    await world.lists(*reversed(rows[1:]))
    assert set(world.app.selection().marks) == {rows[1].id}
    line_with(await world.shown(), "1 marked")


@on_screen()
async def test_a_question_is_about_the_run_it_was_asked_for(world: World) -> None:
    """Cancel is asked for one run; the list moves; yes cancels that one."""
    rows = [run_row(number) for number in range(5)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("C")
    await world.lists(*reversed(rows[1:]))
    world.clock.pass_s(1)
    await world.press("y")
    assert world.posts == [(f"/api/v1/runs/{rows[0].id}/actions", {"action": "cancel"})]


@pytest.mark.parametrize("key", ["escape", "q", "enter", "n"])
@on_screen()
async def test_a_question_is_not_answered_by_accident(world: World, key: str) -> None:
    """Keys typed ahead do not answer it, and enter, escape and q are never Yes."""
    await world.lists(run_row(1))
    await world.press("C", "y")
    assert len(world.app.screen_stack) == 2, "answered before it could be read"
    world.clock.pass_s(1)
    await world.press(key)
    assert world.posts == []


@on_screen()
async def test_only_the_writing_keys_post(world: World) -> None:
    """Every other command of every view posts nothing, and each key has one command."""
    run = run_row(1, "backing-off", at={"status": "backing-off", "due_at": at(9)})
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"), step_row(run.id, "a", "failed"))
    world.answers["/response"] = (200, b"{}")
    world.answers["/payload"] = (200, b"{}")
    await world.shown()
    for view in (*sorted(LISTS), "run"):
        for command in COMMANDS:
            if command.writes or command.id in ("quit", "up-or-quit"):
                continue
            if view == "run":
                open_run(world.app, run.id)
            else:
                world.app.show(view)
            world.app.run_command(command.id)
            await world.works_end()
            await world.pilot.pause()
            while len(world.app.screen_stack) > 1:
                world.app.pop_screen()
            world.app.close_prompt()
    assert world.posts == []
    assert all(key == "z" or (key.isupper() and key not in "GN") for key in WRITES)


@on_screen()
async def test_many_at_once_are_confirmed_by_their_number(world: World) -> None:
    """A filter of more than a hundred runs: another number is refused, the right one posts one job
    with the number that was seen."""
    await world.press("slash")
    world.app.looking.filters["runs"] = "wf:order"
    await world.press("escape")
    world.runs(*(run_row(number, "failed") for number in range(200)), total=231)
    world.store.listing("runs").at_tail = False
    world.answers["/bulk"] = (200, bulk())
    await world.shown()
    asked = await world.press("a", "R")
    line_with(asked, "retry 219 of 231 runs")
    line_with(asked, "12: it is running")
    world.clock.pass_s(1)
    await world.press("2", "3", "enter")
    assert len(world.posts) == 1, "the wrong number began the job"
    world.answers["/bulk"] = (202, bulk(id="01JOB", state="running"))
    told = await world.press("2", "3", "1", "enter")
    path, members = world.posts[-1]
    assert path == "/api/v1/bulk"
    assert (members["q"], members["expect"], members["dryRun"]) == ("wf:order", 231, False)
    line_with(told, "began: 219 runs")


@on_screen()
async def test_a_job_goes_on_before_ones_eyes_until_it_is_aborted(world: World) -> None:
    """How far it is stands on its board; X stops the one under the cursor, and tells how far."""
    jobs = msgspec.convert([bulk(id="01JOB", state="running", done=40)], list[BulkAnswer])
    world.store.apply(JobsRead(tuple(jobs)))
    lines = await world.press("6")
    line_with(lines, "40 of 219")
    assert "6 Jobs 1" in lines[1]
    world.answers["/abort"] = (200, bulk(id="01JOB", state="aborted", done=41))
    line_with(await world.press("X"), "job 01JOB stops: 41 of 219 done")
    assert [path for path, _ in world.posts] == ["/api/v1/bulk/01JOB/abort"]
    world.store.apply(JobsRead((msgspec.structs.replace(jobs[0], state="aborted"),)))
    await world.shown()
    line_with(await world.press("X"), "the job under the cursor is not running")
    assert len(world.posts) == 1


@on_screen()
async def test_an_empty_filter_is_no_bulk_job(world: World) -> None:
    """Everything there is cannot be marked by an empty filter: only the rows that were read are."""
    world.app.looking.filters["runs"] = ""
    world.runs(run_row(1), run_row(2), total=500)
    world.store.listing("runs").at_tail = False
    await world.shown()
    await world.press("a")
    assert not world.app.looking.whole_filter
    assert len(world.app.selection().marks) == 2


@on_screen(read_only=True)
async def test_read_only_reads(world: World) -> None:
    """With --read-only every writing key says why it does nothing, and nothing is posted."""
    run = run_row(1, "backing-off")
    world.runs(run)
    world.tree(run, step_row(run.id, None, "running"))
    line_with(await world.shown(), "READ ONLY")
    await world.press("enter")
    for key in sorted(WRITES):
        line_with(await world.press(key), "only reads (--read-only)")
    assert world.posts == []


@on_screen()
async def test_z_takes_a_pause_back(world: World) -> None:
    """After P, z resumes and says so; with nothing to take back it says that."""
    run = run_row(1)
    world.answers["/actions"] = accepted(run)
    await world.lists(run)
    line_with(await world.press("z"), "nothing to take back")
    line_with(await world.press("P"), "z takes it back")
    line_with(await world.press("z"), "taken back")
    assert [members["action"] for _, members in world.posts] == ["pause", "resume"]


@on_screen()
async def test_two_presses_are_told_apart_by_the_revision(world: World) -> None:
    """Each press names the revision that was seen, so the engine does the second one only if the
    first has changed nothing."""
    run = run_row(1, "backing-off")
    world.answers["/actions"] = accepted(run)
    await world.lists(run)
    world.answers_after = asyncio.Event()
    await world.pilot.press("R", "R")  # nothing is answered yet
    world.answers_after.set()
    await world.press()
    assert {members["ifRev"] for _, members in world.posts} == {4}


@pytest.mark.parametrize(
    "text", ["[/red]", "[@click=app.quit]x[/]", "[link='", "\x1b]0;title\x07", "\u202egnol"]
)
@on_screen()
async def test_markup_is_shown_as_it_is(world: World, text: str) -> None:
    """What third parties wrote is no markup: the app lives, the text or its picture is there."""
    run = run_row(1, "failed", workflow_name=text, idempotency_key=text, client=text,
                  at={"name": text, "url": f"http://{text}/", "error": text})  # fmt: skip
    steps = (step_row(run.id, None, "failed", error=text), step_row(run.id, text, "failed"))
    world.runs(run)
    world.tree(run, *steps)
    for keys in ((), ("enter",), ("y",), ("escape",), ("escape",), ("C",), ("escape",)):
        for line in await world.press(*keys) if keys else await world.shown():
            assert "\x1b" not in line
            assert "\u202e" not in line
    assert world.app.is_running


@on_screen()
async def test_a_stale_board_refuses_actions(world: World) -> None:
    """When nothing is heard for ten seconds that is said, times are guesses, and keys that act are
    refused with the reason; moving goes on."""
    world.runs(*(run_row(n, "backing-off", at={"status": "backing-off", "due_at": at(60)})
                 for n in range(3)))  # fmt: skip
    await world.shown()
    world.clock.pass_s(11)
    world.app.tick()
    lines = await world.shown()
    assert "stale 11s" in lines[0]
    assert "≈49s" in cursor(lines)
    line_with(await world.press("R"), "not connected")
    assert world.posts == []
    await world.press("j")
    assert world.app.selection().cursor == 1


@on_screen()
async def test_lost_marks_do_not_become_the_cursors_row(world: World) -> None:
    """When every marked run has left the list, a key does nothing and says why: it was meant for
    those, not for the run that happens to be under the cursor."""
    rows = [run_row(number) for number in range(4)]
    await world.lists(*rows)
    await world.press("space")
    await world.lists(*rows[1:])
    line_with(await world.press("P"), "what was marked has left the list")
    assert world.posts == []


@on_screen()
async def test_a_yes_that_comes_too_late_does_nothing(world: World) -> None:
    """A question that is answered when the engine is not heard of any more is answered in vain."""
    await world.lists(run_row(1))
    await world.press("C")
    world.clock.pass_s(60)
    line_with(await world.press("y"), "nothing was done: not connected")
    assert world.posts == []
