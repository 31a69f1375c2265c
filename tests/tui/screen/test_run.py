"""A run on the screen: its chart, its drawer and inspector at each size, and where it opens."""

from __future__ import annotations

import pytest

from engine.wire import AttemptRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tui.act.open import open_run

SUCCEEDED = AttemptRow(1, 1, "success", at(-50), at(-40), 200)


def fill(world: World, *, steps: int = 3, at_step: int = 1) -> str:
    """A run of some steps, at one of them; its id."""
    row = run_row(1)
    row = run_row(1, at={"step_id": f"{row.id}-s{at_step}"})
    world.runs(row)
    world.tree(
        row,
        step_row(row.id, None, "running"),
        *(
            step_row(row.id, f"s{n}", "completed", ended_at=at(-40), attempt_rows=(SUCCEEDED,))
            for n in range(steps)
        ),
    )
    return row.id


@pytest.mark.parametrize("size", [(80, 24), (120, 30), (140, 40), (200, 50)])
def test_a_run_that_is_opened_has_its_chart_at_once(size: tuple[int, int]) -> None:
    """Not only when the clock has ticked: it is drawn once its width is known."""

    async def test(world: World) -> None:
        fill(world)
        lines = await world.open_first()
        assert "0s" in line_with(lines, "NEXT / TOOK")
        assert "━" in line_with(lines, "├─ ✓ s1")

    showing(test, size=size)


@on_screen()
async def test_the_chart_grows_with_the_terminal(world: World) -> None:
    """What is laid out by its width is laid out anew, at once."""
    fill(world)
    before = line_with(await world.open_first(), "├─ ✓ s1").count("━")
    await world.pilot.resize_terminal(110, 24)
    await world.pilot.pause()
    assert line_with(await world.shown(), "├─ ✓ s1").count("━") > before


@on_screen()
async def test_a_run_opens_at_the_step_that_was_asked_for(world: World) -> None:
    """Also when that is one of many that are folded into one line."""
    run_id = fill(world, steps=200, at_step=150)
    lines = await world.open_first()
    assert world.app.selection().cursor_id == f"{run_id}-s150"
    assert line_with(lines, "s150").startswith("▌├─ ✓ s150")
    line_with(lines, "steps ×199  ✓199")


@on_screen()
async def test_a_run_opens_at_a_step_that_is_only_now_posted(world: World) -> None:
    """What was kept of the run is read again first, and does not have it yet."""
    run_id = fill(world)
    world.store.trees[run_id].outdated = True
    open_run(world.app, run_id, f"{run_id}-new")
    await world.shown()
    assert world.app.selection().cursor_id == run_id
    row = run_row(1)
    world.tree(row, step_row(run_id, None, "running"), step_row(run_id, "new", "running"))
    await world.shown()
    assert world.app.selection().cursor_id == f"{run_id}-new"


@pytest.mark.parametrize(
    ("size", "drawer", "has_chart"),
    [((60, 16), 0, False), ((79, 30), 0, False), ((80, 15), 0, True), ((80, 16), 5, True),
     ((100, 23), 12, True), ((80, 24), 13, True), ((119, 50), 39, True)],
)  # fmt: skip
def test_the_drawer_takes_what_there_is(
    size: tuple[int, int], drawer: int, *, has_chart: bool
) -> None:
    """All that the steps leave; none on a flat or narrow terminal, where `i` opens it."""

    async def test(world: World) -> None:
        fill(world)
        lines = await world.open_first()
        inspector = world.app.query_one("#inspector")
        assert (inspector.size.height if inspector.display else 0) == drawer
        assert ("0s" in line_with(lines, "NEXT / TOOK")) == has_chart
        lines = await world.press("i")
        assert inspector.display == (not drawer)
        assert any("POST   http" in line for line in lines) == (not drawer)

    showing(test, size=size)


@pytest.mark.parametrize(("size", "drawer"), [((80, 16), 4), ((80, 24), 8)])
def test_the_drawer_of_a_run_with_many_steps(size: tuple[int, int], drawer: int) -> None:
    """Eight lines, four on a short terminal: the steps leave none."""

    async def test(world: World) -> None:
        fill(world, steps=40)
        await world.open_first()
        assert world.app.query_one("#inspector").size.height == drawer

    showing(test, size=size)


@pytest.mark.parametrize(("columns", "cells"), [(120, 58), (159, 58), (160, 64), (200, 64)])
def test_the_inspector_stands_beside_a_wide_run(columns: int, cells: int) -> None:
    """All of an address is there, on as many lines as it takes."""

    async def test(world: World) -> None:
        run_id = fill(world)
        tree = world.store.trees[run_id]
        url = f"http://pay.test/{'a-long-way/' * 12}end"
        step = tree.steps[f"{run_id}-s1"]
        tree.steps[step.id] = type(step)(**{f: getattr(step, f) for f in step.__struct_fields__}
                                         | {"url": url})  # fmt: skip
        lines = await world.open_first()
        inspector = world.app.query_one("#inspector")
        assert inspector.outer_size.width == cells
        told = "".join(line[columns - cells + 9 :].rstrip() for line in lines[3:8])
        assert url in told

    showing(test, size=(columns, 40))


@on_screen()
async def test_times_in_place_of_the_chart(world: World) -> None:
    """`t` tells when steps began and ended, and once more draws the chart again."""
    fill(world)
    await world.open_first()
    lines = await world.press("t")
    assert line_with(lines, "STARTED").rstrip().endswith("ENDED")
    assert "14:12:30" in line_with(lines, "s1")
    assert "0s" in line_with(await world.press("t"), "NEXT / TOOK")
