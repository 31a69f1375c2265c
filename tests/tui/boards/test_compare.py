"""Two runs beside each other: data, text and screen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.wire import AttemptRow, RunTree
from tests.tui.golden import same
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, step_row
from tests.tui.support import NOW
from tui.boards.cells import Seen, text_of
from tui.boards.looks import in_ascii
from tui.boards.run.compare import comparison, pairs
from tui.data.model import run_of, step_of
from tui.data.tree import Tree
from tui.text.sanitize import width

LEFT, RIGHT = run_row(1, "completed"), run_row(2, "failed")


def tree(run: Any, *steps: Any) -> Tree:
    """A run with these steps."""
    return Tree(run_of(run), {step.id: step_of(step) for step in steps})


def ended(
    run: Any, name: str | None, status: str, http_status: int, tries: int = 1, **more: Any
) -> Any:
    """A step that has ended, a second for each of its tries."""
    rows = tuple(
        AttemptRow(n, 1, "success" if n == tries and status == "completed" else "failure",
                   at(n), at(n + 1), http_status)
        for n in range(1, tries + 1)
    )  # fmt: skip
    return step_row(
        run.id, name, status, attempts=tries, attempt_rows=rows, http_status=http_status,
        ended_at=at(tries + 1), **more,
    )  # fmt: skip


def both() -> tuple[Tree, Tree]:
    """The second charged at the fourth try, failed to ship, and never notified."""
    left = tree(
        LEFT,
        ended(LEFT, None, "completed", 200),
        ended(LEFT, "reserve", "completed", 200),
        ended(LEFT, "charge", "completed", 200),
        ended(LEFT, "ship", "completed", 201, parent_id=f"{LEFT.id}-charge"),
        ended(LEFT, "notify", "completed", 200),
    )
    right = tree(
        RIGHT,
        ended(RIGHT, None, "failed", 502),
        ended(RIGHT, "reserve", "completed", 200),
        ended(RIGHT, "charge", "completed", 200, 4),
        ended(RIGHT, "ship", "failed", 422, parent_id=f"{RIGHT.id}-charge", error="http-status"),
        step_row(RIGHT.id, "refund", "backing-off", due_at=at(9), attempts=0),
    )
    return left, right


@pytest.mark.parametrize("cells", [75, 135])
def test_a_comparison_as_text(cells: int) -> None:
    """What went otherwise comes first; a step that one of them lacks has nothing beside it."""
    lines = comparison(*both(), cells, Seen(NOW))
    told = [text_of(line) for line in lines]
    assert max(map(width, told)) <= cells
    text = "\n".join(line.rstrip() for line in told) + "\n"
    same(f"compare-{cells}", text)
    same(f"compare-{cells}-ascii", in_ascii(text))


def test_steps_are_paired_by_name_and_key() -> None:
    """The same key is beside the same, whatever the order; other keys of a name in their order."""
    left = tree(
        LEFT, *(ended(LEFT, name, "completed", 200) for name in (None, "b", "a", "x1", "x2"))
    )
    right = tree(RIGHT, *(ended(RIGHT, name, "completed", 200) for name in (None, "a", "b", "y1")))
    for side in (left, right):
        for id, step in side.steps.items():
            if step.name[0] in "xy":
                side.steps[id] = msgspec.structs.replace(step, name="x")
    found = [
        (pair.left and pair.left.step_key, pair.right and pair.right.step_key)
        for pair in pairs(left, right)
    ]
    assert found == [("order", "order"), ("b", "b"), ("a", "a"), ("x1", "y1"), ("x2", None)]
    assert [pair.differs for pair in pairs(left, right)] == [False] * 4 + [True]


@on_screen()
async def test_d_compares_two_marked_runs(world: World) -> None:
    """Those that are not known are read; with another number of marks it is said what to do."""
    rows = [run_row(1, "completed"), run_row(2, "failed"), run_row(3)]
    world.runs(*rows)
    world.tree(rows[0], ended(LEFT, None, "completed", 200))
    read = RunTree(rows[1], (ended(RIGHT, None, "failed", 500),), at(0))
    world.answers[rows[1].id] = (200, msgspec.to_builtins(read))
    await world.shown()
    line_with(await world.press("d"), "mark two runs with space, then d compares them: 0 are")
    lines = await world.press("space", "space", "d")
    assert "Compare two runs" in lines[0]
    line_with(lines, "1 step, 1 differs")
    line_with(lines, "✓ completed   1    1.0s    ✗ failed      1    1.0s")
    await world.press("escape")
    line_with(await world.press("space", "d"), "3 are marked")
    assert world.posts == []


@on_screen()
async def test_d_says_what_cannot_be_read(world: World) -> None:
    """A run that the engine does not know any more."""
    world.runs(run_row(1), run_row(2))
    problem = {"type": "x", "title": "No", "status": 404, "detail": "It has gone."}
    world.answers["/runs/" + run_row(1).id] = (404, problem)
    await world.shown()
    line_with(await world.press("space", "space", "d"), "It has gone")
