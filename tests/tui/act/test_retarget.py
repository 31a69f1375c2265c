"""Moving runs to other URLs: what is asked, what is told before it is done, and what is sent."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from tests.tui.on_screen import World, accepted, line_with, on_screen, run_row, step_row

OLD, NEW = "http://pay.test/v1", "http://pay.test/v2"


def would_move(run: Any, *names: str) -> tuple[int, Any]:
    """What the engine answers of a retarget that takes these steps along."""
    status, body = accepted(run)
    moved = [
        {"stepId": name, "stepName": name, "from": f"{OLD}/{name}", "to": f"{NEW}/{name}"}
        for name in names
    ]
    return status, to_builtins(body) | {"action": "retarget", "moved": moved}


async def typed(world: World, text: str) -> list[str]:
    """Put this in the line at the foot, and go on."""
    world.app.prompt.field.value = text
    return await world.press("enter")


@on_screen()
async def test_a_run_is_moved_after_two_urls_and_a_yes(world: World) -> None:
    """The engine is asked what would be moved; that is shown; then it is done."""
    run = run_row(1, "backing-off")
    world.answers["/actions"] = would_move(run, "order", "charge")
    await world.lists(run)
    line_with(await world.press("M"), " retarget from ")
    line_with(await typed(world, OLD), f" retarget to {OLD}")
    lines = await typed(world, NEW)
    line_with(lines, "Retarget?")
    line_with(lines, "2 steps would be moved")
    line_with(lines, f"charge → {NEW}/charge")
    urls = {"action": "retarget", "from": OLD, "to": NEW}  # whatever its revision is by now
    assert [body for _, body in world.posts] == [urls | {"dryRun": True}]
    world.clock.pass_s(1)
    line_with(await world.press("y"), "retargeted: order")
    assert [body for _, body in world.posts[1:]] == [urls]


@on_screen()
async def test_where_to_begins_with_where_from(world: World) -> None:
    """It is replaced by what is typed or pasted, as what the other lines begin with is; a key that
    moves in it changes a part."""
    await world.lists(run_row(1, "backing-off"))
    await world.press("M")
    line_with(await typed(world, OLD), "end changes a part of it")
    line_with(await world.press("end", "backspace", "2"), f" retarget to {NEW}")
    await world.press("escape", "M")
    await typed(world, OLD)
    line_with(await world.press("h", "t", "t", "p"), " retarget to http ")
    await world.press("escape")
    line_with(await world.press("slash", "w", "f"), " filter / wf")


@on_screen()
async def test_nothing_is_asked_of_the_engine_without_two_urls(world: World) -> None:
    """`esc` leaves, and the same twice, or nothing, is no move."""
    await world.lists(run_row(1, "backing-off"))
    await world.press("M")
    line_with(await typed(world, ""), "both URLs are needed and differ")
    await world.press("M")
    await typed(world, OLD)
    line_with(await typed(world, OLD), "both URLs are needed and differ")
    await world.press("M", "escape")
    assert world.app.prompt.kind == ""
    assert world.posts == []


@on_screen()
async def test_marked_runs_are_moved_one_after_the_other(world: World) -> None:
    """After what all of them would move was asked for; their sum is told."""
    runs = [run_row(number, "backing-off") for number in range(2)]
    world.answers["/actions"] = would_move(runs[0], "order")
    await world.lists(*runs)
    await world.press("space", "space", "M")
    await typed(world, OLD)
    lines = await typed(world, NEW)
    line_with(lines, "2 runs")
    line_with(lines, "2 steps would be moved")
    world.clock.pass_s(1)
    line_with(await world.press("y"), "retarget: 2 done")
    assert [body.get("dryRun", False) for _, body in world.posts] == [True, True, False, False]


@on_screen()
async def test_a_filter_is_moved_as_a_job(world: World) -> None:
    """With what the engine would do and leave alone, and both URLs."""
    world.runs(run_row(1, "backing-off"), total=9)
    job = {
        "id": "01K", "action": "retarget", "q": "is:live", "state": "running", "total": 8,
        "matched": 9, "done": 0, "skipped": {"it has ended": 1}, "ratePerS": 20,
    }  # fmt: skip
    world.answers["/bulk"] = (200, job)
    await world.shown()
    world.app.looking.whole_filter = True
    await world.press("M")
    await typed(world, OLD)
    lines = await typed(world, NEW)
    line_with(lines, "retarget 8 of 9 runs")
    line_with(lines, f"to     {NEW}")
    world.clock.pass_s(1)
    await world.press("y")
    asked = [(it["from"], it["to"], it.get("dryRun", False)) for _, it in world.posts]
    assert asked == [(OLD, NEW, True), (OLD, NEW, False)]


@on_screen()
async def test_a_step_is_not_moved_by_itself(world: World) -> None:
    """In a run the root stands for it, and its URL is what one begins with."""
    run = run_row(1, "waiting")
    world.runs(run)
    world.tree(run, step_row(run.id, None, "waiting"), step_row(run.id, "charge", "running"))
    await world.press("enter")
    line_with(await world.press("g", "M"), " retarget from http://pay.test/order")
    line_with(await world.press("escape", "j", "M"), "runs are retargeted, not steps")
