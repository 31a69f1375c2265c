"""How the screen looks: heads over what they name, nothing stray, nothing cut that need not be."""

from __future__ import annotations

import pytest

from engine.wire import CauseList, CauseRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tui.act.open import open_run
from tui.boards.around.help import help_lines
from tui.boards.cells import text_of
from tui.data.inputs import CausesRead
from tui.keys import COMMANDS, EVERYWHERE
from tui.text.sanitize import width


@on_screen(size=(100, 24))
async def test_the_chart_has_the_head_of_its_run(world: World) -> None:
    """The head of the chart tells the time that it shows, also when a run grows older or another
    one is opened."""
    for number, age_s in ((1, 40), (2, 3_600)):
        run = run_row(number, submitted_at=at(-age_s))
        world.tree(run, step_row(run.id, None, "running", submitted_at=at(-age_s)))
    run_ids = list(world.store.trees)
    for run_id, half in zip(run_ids, ("20s", "30m00"), strict=True):
        open_run(world.app, run_id)
        head = line_with(await world.shown(), "STEP")
        assert head.split()[-3:] == ["0s", half, "now"]
    lines = await world.passes(600)
    assert line_with(lines, "STEP").split()[-3:] == ["0s", "35m00", "now"]


@on_screen()
async def test_the_edge_is_plain_but_for_the_cursors_row(world: World) -> None:
    """The cell before a row has the cursor's background on the cursor's row alone."""
    await world.lists(*map(run_row, range(3)))
    grid = world.app.grid()
    edges = [next(iter(grid.render_line(y))).style for y in (1, 2, 3)]
    shown = [None if edge is None else edge.bgcolor for edge in edges]
    assert shown[0] == grid.style_of("cursor").bgcolor
    assert shown[1:] == [grid.style_of("plain").bgcolor] * 2
    assert shown[0] != shown[1]


@on_screen()
async def test_the_status_has_a_dot_between_two_things_alone(world: World) -> None:
    """The place in the list stands by itself where nothing is filtered or marked."""
    world.runs(*(run_row(n, at={"http_status": None}) for n in range(3)))
    assert "filter is:live · row 1 of 3 runs  " in line_with(await world.shown(), "1 of 3")
    world.app.looking.filters["runs"] = ""
    assert line_with(await world.press("j"), "2 of 3").startswith(" row 2 of 3 runs  ")
    lines = await world.press("space")
    assert line_with(lines, "3 of 3").startswith(" 1 marked  · row 3 of 3 runs  ")


@on_screen(size=(60, 16))
async def test_events_name_their_steps(world: World) -> None:
    """Whole, also on a narrow screen; the one of a run that is listed by what the list says."""
    run = run_row(1)
    world.runs(run)
    assert run.at is not None
    world.event("attempt", "started", run.id, run.at.step_id, status="running", rev=3, number=2)
    world.event("step", "paused", run.id, f"{run.id}-0123456789abcdef", status="paused", rev=2)
    world.event("run", "run-moved", "01K-unknown", "01K-unknown", status="failed", rev=9)
    told = [" ".join(line.split()[2:]) for line in (await world.press("5", "m"))[3:6]]
    assert told == [
        "run failed run unknown",
        "paused order › 89abcdef",
        "try 2 started order › charge",
    ]


WIDE = " 0 Home  1 Runs  2 Retries  3 Stuck 512  4 Hosts  5 Events"


@pytest.mark.parametrize(
    ("cells_wide", "read_only", "told"),
    [
        (80, True, f"{WIDE:<70}READ ONLY "),
        (60, False, WIDE),
        (70, True, f"{WIDE:<60}READ ONLY "),
        (60, True, f"{' 0  1 Runs  2  3 512  4  5':<50}READ ONLY "),
    ],
)
def test_tabs_are_not_cut(cells_wide: int, read_only: bool, told: str) -> None:
    """Where there is little room they lose the names of those not chosen, never what is stuck."""

    async def test(world: World) -> None:
        world.live(timedCount=1_421, stuckCount=512)
        assert (await world.shown())[1].rstrip() == told.rstrip()

    showing(test, size=(cells_wide, 16), read_only=read_only, live=False)


@pytest.mark.parametrize("view", sorted(EVERYWHERE))
def test_help_is_whole_at_80_columns(view: str) -> None:
    """No line of it is cut by the frame around it."""
    frame = 4
    lines = map(text_of, help_lines(COMMANDS, view))
    assert [line for line in lines if width(line) > 80 - frame] == []


@pytest.mark.parametrize(("cells_wide", "last"), [(80, "▾"), (120, "REASON"), (160, "KEY")])
def test_wide_columns_are_there_at_120_and_160(cells_wide: int, last: str) -> None:
    """Also beside a scroll bar."""

    async def test(world: World) -> None:
        for many in (2, 40):
            world.runs(*map(run_row, range(many)))
            assert (await world.shown())[2].split()[-1] == last

    showing(test, size=(cells_wide, 12))


@on_screen()
async def test_nothing_touches_the_ends_of_the_screen(world: World) -> None:
    """A cell is free at the right as at the left, where only the cursor and marks stand."""
    lines = await world.lists(*map(run_row, range(3)))
    assert {line[-1] for line in lines} == {" "}
    assert [line[0] for line in lines if line[0] != " "] == ["▌"]


@on_screen()
async def test_a_recording_says_which_runs_it_does_not_have(world: World) -> None:
    """Nobody can read them: it is not said that they are being read."""
    world.runs(run_row(1))
    world.app.following.client, world.app.looking.is_recording = None, True
    line_with(await world.open_first(), "Run 00000001 is not in this recording")


@on_screen()
async def test_help_says_how_to_scroll_where_it_does_not_fit(world: World) -> None:
    """On 80x24 more than half of it is below; on a tall terminal nothing is."""
    line_with(await world.press("question_mark"), "j k scroll · esc closes")
    await world.pilot.resize_terminal(80, 120)
    line = line_with(await world.shown(), "esc closes")
    assert "scroll" not in line


@on_screen()
async def test_what_is_short_leaves_the_board_to_be_seen(world: World) -> None:
    """Five lines do not take a whole screen, also when that is another one."""
    row = CauseRow("c0ffee", 60, 0, at(-9), at(-9), "01K", "order", "failed", None)
    world.store.apply(CausesRead(CauseList((row,), 60, 300_000)))
    for size in ((80, 24), (120, 40)):
        await world.pilot.resize_terminal(*size)
        lines = await world.press("3", "i")
        first, last = (line_number(lines, text) for text in ("─ Cause c0ffee", "esc closes"))
        assert last - first < 10
        assert "3 Stuck" in lines[1]
        await world.press("escape")


@on_screen(board="jobs")
async def test_jobs_that_one_begins_with_have_the_screen(world: World) -> None:
    """No table without rows stands above them; later the board that they were opened from does."""
    jobs = world.app.query_one("#jobs")
    assert "WORKFLOW" not in "\n".join(await world.shown())
    assert (jobs.region.y, jobs.region.height) == (2, 20)
    await world.press("q")
    assert world.app.looking.view == "runs"
    await world.press("6")
    assert jobs.region.y > 2


def line_number(lines: list[str], text: str) -> int:
    """Of the line that has it."""
    return lines.index(line_with(lines, text))


@on_screen()
async def test_retries_say_how_many_are_due_when(world: World) -> None:
    """By the engine's own histogram, with the late ones apart; where there is no room, without."""
    due = [(10_000, 38), (60_000, 214), (600_000, 806), (None, 351)]
    buckets = [{"upToMs": up_to, "attempts": attempts} for up_to, attempts in due]
    world.live(due=buckets, lateCount=3)
    lines = await world.press("2")
    line_with(lines, "late 3  <10s 38  <1m 214  <10m 806  later 351")
    world.live(due=[{"upToMs": "x"}, 7])
    assert "later" not in "\n".join(await world.shown())
