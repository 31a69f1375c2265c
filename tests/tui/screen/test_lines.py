"""Lines that are read lose nothing to a scroll bar, nor to the end of a frame."""

from __future__ import annotations

import pytest

from engine.wire import AttemptRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tui.act.stage import Question
from tui.boards.cells import Cell
from tui.screen.widgets.lines import Lines, wrapped

WHY = f'must be an integer of cents, was {"0123456789" * 12} "12,50"'
LONG_URL = "http://127.0.0.1:9762/" + "a" * 40 + "/" + "b" * 40 + "/chargeCard"


def squeezed(text: str) -> str:
    """What it says, however it is wrapped."""
    return "".join(text.split())


@pytest.mark.parametrize("size", [(80, 24), (120, 30), (140, 40), (200, 50)])
def test_the_inspector_loses_nothing_to_its_scroll_bar(size: tuple[int, int]) -> None:
    """Each wrapped line lost its last character to it, without a sign."""

    async def test(world: World) -> None:
        tries = tuple(
            AttemptRow(n, 1, "failure", at(n - 50), at(n - 50), 422, excerpt=WHY)
            for n in range(1, 30)
        )
        row = run_row(1, "failed")
        world.runs(row)
        world.tree(row, step_row(row.id, None, "failed", attempt_rows=tries))
        await world.open_first()
        drawer = world.app.query_one("#inspector", Lines)
        assert drawer.show_vertical_scrollbar
        seen = drawer.scrollable_content_region
        lines = [line[seen.x : seen.right] for line in await world.shown()]
        assert squeezed(WHY) in squeezed("".join(lines[seen.y : seen.bottom]))

    showing(test, size=size)


@on_screen()
async def test_a_question_says_its_urls_to_their_ends(world: World) -> None:
    """Yes is said to what can be read: at the end of a URL is what matters of it."""
    lines: list[Cell] = [
        (("from ", "dim"), (LONG_URL, "plain")),
        (f"  {LONG_URL} → {LONG_URL}", "dim"),
    ]
    world.app.ask(Question("Retarget?", lines), lambda answer: None)
    await world.pilot.pause()
    shown = [line for line in await world.shown() if "│" in line]
    assert not any("…" in line for line in shown)
    assert sum("/chargeCard" in line for line in shown) == 3
    line_with(shown, "from http://127.0.0.1:9762/")


def test_what_goes_on_stands_below_where_it_began() -> None:
    """Below the text of a label; as far in as a line that is set in."""
    pair: Cell = (("from ", "dim"), ("one two three", "plain"))
    assert list(wrapped(pair, 12)) == [
        (("from ", "dim"), ("one two", "plain")),
        (("     ", "dim"), ("three", "plain")),
    ]
    assert list(wrapped(("  one two", "dim"), 6)) == [("  one", "dim"), ("  two", "dim")]
    alone: Cell = (("one two", "dim"),)
    assert list(wrapped(alone, 4)) == [("one", "dim"), ("two", "dim")]
