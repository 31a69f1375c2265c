"""What is said before something is done: while the engine is asked, and in the question."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.wire import BEYOND_A_JOB, AttemptRow, RunRow, StepRow
from tests.tui.on_screen import (
    World,
    accepted,
    at,
    bulk,
    line_with,
    on_screen,
    run_row,
    showing,
    step_row,
)
from tui.act.open import open_run
from tui.boards.cells import Part
from tui.screen.dialogs.ask import Confirmation


def with_a_call(number: int = 1) -> tuple[RunRow, StepRow, StepRow]:
    """A run whose step's call has been in flight for two minutes, while its own attempt waits."""
    run = run_row(number)
    before = AttemptRow(1, 1, "interruption", at(-125), at(-124))
    root = step_row(run.id, None, "waiting", attempt_rows=(before,))
    now = AttemptRow(1, 1, "running", at(-120))
    called = step_row(run.id, "render", "running", attempt_rows=(now,))
    return run, root, called


def charted(world: World, step_id: str) -> list[Part]:
    """The chart of a step."""
    cells = world.app.rows.cells("run", step_id)
    assert cells is not None
    return [part for part in cells["chart"] if not isinstance(part, str)]


# -- cancel with a call in flight ------------------------------------------------------------------


@on_screen()
async def test_a_cancellation_says_that_the_call_goes_on(world: World) -> None:
    """How many calls are in flight and for how long; nothing is said to be cut."""
    run, *steps = with_a_call()
    world.runs(run)
    world.tree(run, *steps)
    lines = await world.press("C")
    line_with(lines, "1 call is in flight for 2m00.")
    line_with(lines, "It is let finish, and its effect may still happen.")
    line_with(lines, "Nothing is compensated.")
    assert not any("cut" in line for line in lines)


@on_screen()
async def test_a_step_is_cancelled_with_its_own_calls(world: World) -> None:
    """Only those of the step and of what is below it are counted; of a step that backs off there is
    none."""
    run, root, called = with_a_call()
    idle = step_row(run.id, "idle", "backing-off", due_at=at(60), attempt_rows=())
    world.runs(run)
    world.tree(run, root, called, idle)
    open_run(world.app, run.id, idle.id)
    await world.shown()
    lines = await world.press("C")
    line_with(lines, "› idle")
    assert not any("in flight" in line for line in lines)


@on_screen()
async def test_marked_runs_are_cancelled_with_the_calls_of_all(world: World) -> None:
    """The steps of runs that were not opened are read for it."""
    told = [with_a_call(number) for number in (1, 2)]
    world.runs(*(run for run, *_ in told))
    for run, *steps in told:
        world.tree(run, *steps)
    world.store.trees.clear()
    await world.shown()
    lines = await world.press("space", "space", "C")
    line_with(lines, "Cancel: 2 marked")
    line_with(lines, "2 calls are in flight, the oldest for 2m00.")
    line_with(lines, "their effects may still happen")


@on_screen()
async def test_a_job_that_cancels_says_that_calls_go_on(world: World) -> None:
    """Not how many: the engine acts on the runs one after the other, and calls begin and end."""
    whole_filter(world, action="cancel")
    await world.shown()
    line_with(await world.press("a", "C"), "Calls in flight are let finish, and their effects")
    world.answers["/bulk"] = (200, bulk(action="pause"))
    world.clock.pass_s(1)
    await world.press("escape")
    assert not any("let finish" in line for line in await world.press("P"))


@on_screen()
async def test_a_run_that_cannot_be_read_is_cancelled_all_the_same(world: World) -> None:
    """What is in flight is not known, and that is said."""
    run = run_row(1)
    world.runs(run)
    world.trees.clear()
    world.answers[run.id] = (503, {"type": "/problems/engine-error", "detail": "broken row"})
    world.answers["/actions"] = accepted(run)
    await world.shown()
    line_with(await world.press("C"), "which calls are in flight is not known")
    world.clock.pass_s(1)
    await world.press("y")
    assert [members["action"] for _, members in world.posts] == ["cancel"]


@on_screen(size=(140, 40))
async def test_a_cancelled_step_with_a_call_in_flight_says_so(world: World) -> None:
    """The state's words, the age of the call, the chart to the present in the style of what was
    cancelled, the run's line and the top line; when the call has ended nothing of it is left."""
    world.live(cancelledInFlight=1, hosts=[])
    run, root, called = with_a_call()
    world.runs(run)
    world.tree(run, root, called)
    open_run(world.app, run.id, called.id)
    await world.shown()
    world.event("step", "cancelled", run.id, called.id, status="cancelled", rev=4)
    world.event("step", "cancelled", run.id, run.id, status="cancelled", rev=4)
    world.event("run", "run-moved", run.id, run.id, status="cancelled", rev=5)
    lines = await world.passes(14)
    line_with(lines, "render  ⊘ cancelled, still in flight  2m14")
    line_with(lines, "still 2m14")
    line_with(lines, "order 00000001  ⊘ cancelled, still in flight ")
    assert "▸ 0" in lines[0]
    assert "⊘ 1 still in flight" in lines[0]
    assert {style for text, style in charted(world, called.id) if text.strip()} == {"cancelled"}
    assert world.app.rows.chart_head.rstrip().endswith("now")
    world.live(cancelledInFlight=0, hosts=[])
    world.event("attempt", "late-end", run.id, called.id, status="cancelled", rev=5, number=1)
    lines = await world.shown()
    assert not any("still" in line for line in lines)
    line_with(lines, "late")


# -- while the engine is asked ---------------------------------------------------------------------


async def asked(world: World, *keys: str) -> list[str]:
    """Press keys; the engine has not answered yet."""
    world.answers_after = asyncio.Event()
    await world.pilot.press(*keys)
    return await world.shown()


async def answered(world: World) -> list[str]:
    """The engine answers what it was asked."""
    assert world.answers_after is not None
    world.answers_after.set()
    await world.works_end()
    return await world.shown()


def whole_filter(world: World, **members: Any) -> None:
    """More runs of a filter than were read."""
    world.app.looking.filters["runs"] = "wf:order"
    world.runs(*(run_row(number) for number in range(200)), total=231)
    world.store.listing("runs").at_tail = False
    world.answers["/bulk"] = (200, bulk(action="pause", skipped={}, total=231) | members)


@on_screen()
async def test_what_the_engine_is_asked_is_said_at_once(world: World) -> None:
    """And how long it takes; then the question is put."""
    whole_filter(world)
    await world.shown()
    line_with(await asked(world, "a", "P"), "pause: asking what it would do… · esc leaves it")
    line_with(await world.passes(12), "pause: asking what it would do… 12s · esc leaves it")
    lines = await answered(world)
    line_with(lines, "Pause: 231 runs")
    assert not any("asking" in line for line in lines)


@on_screen()
async def test_escape_leaves_what_the_engine_is_asked(world: World) -> None:
    """No question comes; what was marked is still marked."""
    whole_filter(world)
    await world.shown()
    await asked(world, "a", "P")
    await world.pilot.press("escape")
    lines = await answered(world)
    line_with(lines, "pause: not asked any more, nothing was done")
    assert len(world.app.screen_stack) == 1
    assert world.app.looking.whole_filter


@on_screen()
async def test_a_question_does_not_open_over_another_board(world: World) -> None:
    """Whoever went on is told that it was dropped, and is left in peace."""
    whole_filter(world)
    await world.shown()
    await asked(world, "a", "P", "3")
    line_with(await world.shown(), "pause: the board is another one now, nothing was done")
    lines = await answered(world)
    assert len(world.app.screen_stack) == 1
    assert world.app.looking.view == "causes"
    assert not any("Pause:" in line for line in lines)


@pytest.mark.parametrize("key", ["question_mark", "slash", "u"])
@on_screen()
async def test_a_question_does_not_open_over_what_was_opened_meanwhile(
    world: World, key: str
) -> None:
    """The help, a line that is typed, or marks taken away: the question is not put any more."""
    whole_filter(world)
    await world.shown()
    await asked(world, "a", "P", key)
    covered = len(world.app.screen_stack)
    await answered(world)
    assert len(world.app.screen_stack) == covered
    if len(world.app.screen_stack) > 1 or world.app.prompt.kind:
        await world.press("escape")
    line_with(await world.shown(), "pause: the board is another one now")


@on_screen()
async def test_a_second_press_is_the_first_one(world: World) -> None:
    """The engine is asked once; another action takes the first one's place."""
    whole_filter(world)
    await world.shown()
    await asked(world, "a", "P", "P", "P", "C")
    lines = await answered(world)
    assert [members["action"] for _, members in world.posts][-1] == "cancel"
    assert sum("runs ─" in line for line in lines) == 1


@on_screen()
async def test_keys_that_were_under_way_are_not_typed_into_a_question(world: World) -> None:
    """Not those of the first quarter of a second, and not those that go on coming; what is to be
    typed stays in sight."""
    whole_filter(world)
    await world.shown()
    await world.press("a", "P")
    field = world.app.screen.query_one(Confirmation)
    for _ in range(3):
        await world.press("1", "a", "P")
        assert field.value == ""
        world.clock.pass_s(0.2)
    world.clock.pass_s(0.3)
    lines = await world.press("2", "3")
    assert field.value == "23"
    line_with(lines, "type 231 and enter to confirm · esc no")


def test_a_job_that_takes_only_the_first_says_so() -> None:
    """Nobody believes afterwards that all are paused."""

    async def test(world: World) -> None:
        beyond = {BEYOND_A_JOB: 50_000}
        whole_filter(world, matched=150_000, total=100_000, skipped=beyond, ratePerS=20)
        await world.shown()
        lines = await world.press("a", "P")
        line_with(lines, "Pause: the first 100,000 of 150,000 runs")
        line_with(lines, "pause the first 100,000 of 150,000 runs")
        line_with(lines, "50,000: a job takes 100,000: ask again")
        line_with(lines, "type 150000 and enter to confirm")

    for size in ((80, 24), (60, 12)):
        showing(test, size=size)


@on_screen()
async def test_a_range_that_was_begun_is_what_a_key_is_about(world: World) -> None:
    """Of `v` and moves `R` retried the first row alone, at once, and nothing said that a second `v`
    was needed."""
    world.runs(*(run_row(number, "failed") for number in range(1, 7)))
    await world.shown()
    line_with(await world.press("v"), " 1 marked, to the cursor · v ends it here ")
    line_with(await world.press("j", "j", "j", "j"), " 5 marked, to the cursor")
    line_with(await world.press("R"), "Retry: 5 marked")
    assert not world.posts


@on_screen(filter="job:01JOB is:failed")
async def test_a_filter_of_a_job_is_added_to(world: World) -> None:
    """Typing took `job:` away, and acting on what was listed then hit runs of no job."""
    await world.lists(run_row(1, "failed"))
    line_with(await world.press("slash", "w", "f"), " filter / job:01JOB is:failed wf")


@on_screen()
async def test_counts_are_read_at_once_when_marked_runs_are_done(world: World) -> None:
    """Those that failed again within a moment were counted as running for five seconds."""
    runs = [run_row(number, "failed") for number in (1, 2)]
    for run in runs:
        world.answers[f"{run.id}/actions"] = accepted(run)
    await world.lists(*runs)
    await world.press("v", "j", "R")
    world.clock.pass_s(1)
    world.store.status_outdated = False
    line_with(await world.press("y"), "retry: 2 done")
    assert world.store.status_outdated
