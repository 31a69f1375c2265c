"""What a key was not meant for is not done: rows that left, marks that left, runs that changed."""

from __future__ import annotations

import msgspec

from engine.client import Action
from engine.wire import RunPage
from tests.tui.on_screen import World, accepted, bulk, line_with, on_screen, run_row, step_row
from tui.act.change.doing import NOTHING_GIVEN, Left
from tui.act.change.targets import Given, Target
from tui.act.open import list_runs
from tui.act.sort import filter_by
from tui.data.inputs import RunsRead, TreeGone
from tui.data.listing import Edge
from tui.keys import COMMANDS


@on_screen()
async def test_a_key_meant_for_a_row_that_has_just_left(world: World) -> None:
    """For half a second after the cursor's row has left nothing is done; then, or when the cursor
    was moved, the key is meant for the row that is there."""
    rows = [run_row(number, "backing-off") for number in range(3)]
    world.answers["/actions"] = accepted(rows[2])
    await world.lists(*rows)
    await world.press("j")
    await world.lists(rows[0], rows[2])
    line_with(await world.press("R"), "has just left: look again")
    assert world.posts == []
    world.clock.pass_s(0.6)
    await world.press("R")
    assert [path for path, _ in world.posts] == [f"/api/v1/runs/{rows[2].id}/actions"]


@on_screen()
async def test_a_moved_cursor_is_meant(world: World) -> None:
    """Who moves the cursor has seen where it is."""
    rows = [run_row(number, "backing-off") for number in range(4)]
    world.answers["/actions"] = accepted(rows[3])
    await world.lists(*rows)
    await world.press("j")
    await world.lists(rows[0], rows[2], rows[3])
    await world.press("j", "R")
    assert [path for path, _ in world.posts] == [f"/api/v1/runs/{rows[3].id}/actions"]


@on_screen()
async def test_marks_that_left_are_counted(world: World) -> None:
    """It is told how many, and how many are marked still."""
    rows = [run_row(number) for number in range(5)]
    await world.lists(*rows)
    await world.press("space", "space", "space")
    world.runs(*rows[2:])
    line = line_with(await world.shown(), "2 marked, and left the list")
    assert "1 marked" in line


@on_screen()
async def test_more_than_a_hundred_are_no_loop_of_ours(world: World) -> None:
    """What is marked by hand is posted one by one, a hundred at most; a filter that finds more is a
    job of the engine's, also when all of its rows were read."""
    world.runs(*(run_row(number, "failed") for number in range(120)))
    world.app.looking.filters["runs"] = ""
    await world.shown()
    line_with(await world.press("a", "R"), "more than 100 are marked by hand")
    assert world.posts == []
    world.app.looking.filters["runs"] = "wf:order"
    world.answers["/bulk"] = (200, bulk(matched=120, total=120, skipped={}))
    line_with(await world.press("a", "R"), "retry 120 of 120 runs")


@on_screen()
async def test_x_stops_marked_rows_between_two(world: World) -> None:
    """What is done stays done, the rest stays marked."""
    rows = [run_row(number, "backing-off") for number in range(4)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("space", "space", "space")
    await world.press("P")
    world.clock.pass_s(1)
    many, doing = world.app.acting.many, world.app.acting.doing
    one = doing.act_on

    async def stopped_after_it(
        action: Action, target: Target, given: Given = NOTHING_GIVEN
    ) -> Target | Left:
        now = await one(action, target, given)
        many.abort()
        return now

    doing.act_on = stopped_after_it  # type: ignore[assignment, method-assign]
    lines = await world.press("y")
    line_with(lines, "1 done, 2 left (still marked)")
    assert len(world.posts) == 1


@on_screen()
async def test_z_takes_back_what_it_was_told_about(world: World) -> None:
    """With the revision that the action left behind: what somebody changed since is theirs."""
    run = run_row(1)
    world.answers["/actions"] = accepted(msgspec.structs.replace(run, status="paused", rev=5))
    await world.lists(run)
    await world.press("P", "z")
    assert [members.get("ifRev") for _, members in world.posts] == [None, 5]


@on_screen()
async def test_the_question_says_which_way_a_key_goes(world: World) -> None:
    """`P` resumes what is paused: the question and the answer say so. Of rows of both kinds all are
    resumed, as the footer says, and none is paused in passing."""
    rows = [run_row(1, "paused"), run_row(2, "paused"), run_row(3)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    line_with(await world.press("space", "space", "P"), "Resume: 2 marked")
    world.clock.pass_s(1)
    line_with(await world.press("y"), "resume: 2 done")
    line_with(await world.press("a", "P"), "Resume: 3 marked")


@on_screen()
async def test_p_on_every_run_of_a_filter_does_what_the_footer_says(world: World) -> None:
    """Of a filter that finds paused runs they are resumed, not paused once more."""
    page = RunPage((run_row(1, "paused"),), 500, False, "next")
    world.store.apply(RunsRead("runs", Edge.HEAD, page))
    plan = bulk(action="resume", q="is:paused", matched=500, total=500, skipped={})
    world.answers["/bulk"] = (200, plan)
    world.app.looking.filters["runs"] = "is:paused"
    await world.shown()
    line_with(await world.press("a"), "P Resume")
    line_with(await world.press("P"), "Resume: 500 runs")
    assert world.posts[0][1]["action"] == "resume"


@on_screen()
async def test_z_takes_back_all_that_were_marked(world: World) -> None:
    """Each of them, with its own revision."""
    rows = [run_row(number) for number in range(3)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("space", "space", "P")
    world.clock.pass_s(1)
    await world.press("y")
    line_with(await world.press("z"), "taken back: 2 of 2 resumed")
    assert [members["action"] for _, members in world.posts] == ["pause"] * 2 + ["resume"] * 2


@on_screen()
async def test_the_menu_says_what_cannot_be_done_and_why(world: World) -> None:
    """`x` lists every action of the view; one that cannot be done gives its reason, and its key
    does nothing."""
    await world.lists(run_row(1, "completed"))
    lines = await world.press("x")
    line_with(lines, "it is completed")
    line_with(await world.press("R"), "it is completed")
    assert len(world.app.screen_stack) == 2
    await world.press("escape")
    assert world.posts == []


@on_screen()
async def test_the_menu_has_nothing_chosen_beforehand(world: World) -> None:
    """`enter`, typed ahead, does nothing; what the cursor was moved to it does."""
    row = run_row(1, "backing-off")
    world.answers["/actions"] = accepted(row)
    await world.lists(row)
    await world.press("x", "enter")
    assert world.posts == []
    assert len(world.app.screen_stack) == 2
    await world.press("down", "enter")
    assert [members["action"] for _, members in world.posts] == ["retry"]


@on_screen(read_only=True)
async def test_the_menu_when_read_only(world: World) -> None:
    """All of it is there, grey."""
    of_runs = [it for it in COMMANDS if it.writes and "runs" in it.views]
    await world.lists(run_row(1, "backing-off"))
    lines = await world.press("x")
    assert sum("only reads (--read-only)" in line for line in lines) == len(of_runs)
    await world.press("R")
    assert world.posts == []


@on_screen()
async def test_the_menu_is_about_the_row_it_was_opened_on(world: World) -> None:
    """The list moves under it; the action is done to that run."""
    rows = [run_row(number, "backing-off") for number in range(3)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    await world.press("x")
    await world.lists(*rows[1:])
    await world.press("R")
    assert [path for path, _ in world.posts] == [f"/api/v1/runs/{rows[0].id}/actions"]


@on_screen()
async def test_escape_takes_back_one_layer(world: World) -> None:
    """Marks, then the filter that was typed; then nothing: a board is a floor."""
    app = world.app
    world.runs(run_row(1), run_row(2))
    await world.press("2", "1")
    filter_by(app, "wf:order")
    await world.press("space", "escape")
    assert (app.looking.view, app.looking.filters["runs"]) == ("runs", "wf:order")
    await world.press("escape")
    assert (app.looking.view, app.looking.filters["runs"]) == ("runs", "is:live")
    await world.press("escape")
    assert app.looking.view == "runs"
    list_runs(app, "is:stuck cause:a91c")
    await world.press("escape", "1")
    assert app.looking.filters["runs"] == "is:live"


@on_screen()
async def test_a_run_by_the_end_of_its_id(world: World) -> None:
    """One that was seen opens; none, or several, is told; so is what the engine does not know."""
    one, other = run_row(71), run_row(171)
    world.runs(one, other)
    world.tree(one, step_row(one.id, None, "running"))
    await world.shown()
    world.app.run_command("run", "00071")
    assert world.app.looking.run_id == one.id
    world.app.run_command("run", "71")
    line_with(await world.shown(), "2 runs that were seen end with 71")
    world.app.run_command("run", "99")
    line_with(await world.shown(), "no run that was seen ends with 99: give its whole id")
    unknown = "01K" + "9" * 23
    world.app.run_command("run", unknown)
    world.store.apply(TreeGone(unknown))
    world.clock.pass_s(6)
    line_with(await world.shown(), "knows no run 99999999")


@on_screen()
async def test_what_is_typed_or_pasted_is_shown_safely(world: World) -> None:
    """Control characters that are pasted into the line at the foot reach no terminal."""
    await world.press("slash")
    prompt = world.app.screen.focused
    assert prompt is not None
    prompt.insert_text_at_cursor("wf:\x1b]52;c;aGk=\x07\u202e")  # type: ignore[attr-defined]
    for line in await world.shown():
        assert not {"\x1b", "\x07", "\u202e"} & set(line)


@on_screen()
async def test_a_key_is_not_for_a_row_that_is_not_seen(world: World) -> None:
    """With the wheel the cursor's row leaves the screen: a key that acts shows it first."""
    rows = [run_row(number, "backing-off") for number in range(90)]
    world.answers["/actions"] = accepted(rows[0])
    await world.lists(*rows)
    world.app.looking.follow(following=False)
    world.app.grid().scroll_to(y=50, animate=False)
    await world.shown()
    line_with(await world.press("R"), "its row was out of sight, and is shown now: press again")
    assert world.posts == []
    await world.press("R")
    assert [path for path, _ in world.posts] == [f"/api/v1/runs/{rows[0].id}/actions"]


@on_screen()
async def test_a_key_of_another_board_says_so(world: World) -> None:
    """It is not dead; and what was wrong is no longer told when something else was done."""
    await world.lists(run_row(1))
    told = "Filter: that is for Runs, Retries, Events and the steps of a run, not for Stuck"
    line_with(await world.press("3", "slash"), told)
    assert "that is for" not in "\n".join(await world.press("1"))
