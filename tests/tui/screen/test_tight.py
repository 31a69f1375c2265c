"""What is written to the terminal says the same in fewer bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem
from rich.style import Style
from textual.geometry import Region

from engine.wire import RetryPage
from tests.tui.on_screen import World, at, line_with, on_screen, run_row
from tests.tui.support import STEADY, retry_row
from tui.boards.cells import Cell, Column
from tui.data.inputs import RetriesRead
from tui.screen.widgets.grid import differing
from tui.screen.widgets.tight import PLAIN, turned

COLORS = st.sampled_from([None, "red", "#102030", "default", "color(200)"])
FLAGS = st.sampled_from([None, False, True])
STYLES = st.builds(Style, color=COLORS, bgcolor=COLORS, bold=FLAGS, dim=FLAGS, reverse=FLAGS)


def shown(written: str) -> list[tuple[str, object]]:
    """What a terminal makes of it: each character, and how it stands there."""
    (text,) = AnsiDecoder().decode(written)
    found = []
    for index, character in enumerate(text.plain):
        styles = [span.style for span in text.spans if span.start <= index < span.end]
        assert all(isinstance(style, Style) for style in styles)
        found.append((character, as_seen(Style.combine([PLAIN, *styles]))))  # type: ignore[list-item]
    return found


def as_seen(style: Style) -> object:
    """What of a style is seen: the usual colour is none."""
    front, back = (
        None if color is None or color.is_default else color.get_ansi_codes()
        for color in (style.color, style.bgcolor)
    )
    return front, back, bool(style.bold), bool(style.dim), bool(style.reverse)


@STEADY
@given(st.lists(st.tuples(st.sampled_from("abc"), STYLES), min_size=1, max_size=8))
def test_a_style_is_turned_into_the_next(pieces: list[tuple[str, Style]]) -> None:
    """Whatever stood before: what is seen is what each text's own style says, and at the end the
    terminal writes as usual."""
    written, before = "", PLAIN
    for text, style in pieces:
        written += turned(before, style, ColorSystem.TRUECOLOR) + text
        before = style
    written += turned(before, PLAIN, ColorSystem.TRUECOLOR) + "x"
    wanted = [(text, as_seen(style)) for text, style in pieces]
    assert shown(written) == [*wanted, ("x", as_seen(PLAIN))]


def test_a_style_that_goes_on_is_not_said_again() -> None:
    """Of another that which differs, and nothing for nothing."""
    style = Style(color="#102030", bgcolor="#000000", bold=True)
    system = ColorSystem.TRUECOLOR
    assert turned(style, style, system) == ""
    assert turned(style, style + Style(color="#102031"), system) == "\x1b[38;2;16;32;49m"
    assert turned(PLAIN, PLAIN, system) == ""
    assert turned(style, PLAIN, system) == "\x1b[0m"


@on_screen()
async def test_other_rows_are_drawn_where_their_text_is_another(world: World) -> None:
    """Ten rows that go on by one: of each there is the end of its run's id, and no more."""

    def read(first: int) -> RetriesRead:
        rows = [
            replace(retry_row(f"s-{number}", 60_000), run_id=f"01K{number:023d}")
            for number in range(first, first + 10)
        ]
        return RetriesRead("retries", RetryPage(tuple(rows)))

    world.store.apply(read(0))
    await world.press("2")
    grid = world.app.grid()
    drawn: list[Region] = []
    refresh = grid.refresh

    def noted(*regions: Region, **more: Any) -> Any:
        drawn.extend(regions)
        return refresh(*regions, **more)

    grid.refresh = noted  # type: ignore[method-assign]
    world.store.apply(read(1))
    world.app.flush()
    assert {region.y for region in drawn} == set(range(1, 11))
    assert {region.width for region in drawn} <= {1, 2}


@pytest.mark.parametrize(
    ("old", "new", "anew"),
    [
        (("in 10s", "a"), ("in 9s", "a"), (3, 3)),
        (("in 9s", "a"), ("in 9s", "b"), (0, 8)),
        (("in 9s", "a"), (("in", "a"), (" 9s", "b")), (0, 8)),
        (("注文", "a"), ("注目", "a"), (0, 8)),
        (("a long name", "a"), ("a long word", "a"), (0, 0)),
    ],
)
def test_what_of_a_cell_is_drawn_anew(old: Cell, new: Cell, anew: tuple[int, int]) -> None:
    """From the first character that is another to the last; all of it where styles differ, or a
    character takes two cells."""
    assert differing(Column("a", "A", 8), 8, old, new) == anew
    if anew == (3, 3):
        assert differing(Column("a", "A", 8, right=True), 8, old, new) == (2, 5)


@on_screen(slow_link=True)
async def test_over_a_slow_link_times_stand_between_two_ticks(world: World) -> None:
    """Whatever else is drawn meanwhile."""
    world.runs(run_row(1, "backing-off", at={"status": "backing-off", "due_at": at(30)}))
    line_with(await world.shown(), "in 30s")
    world.clock.pass_s(3)
    world.runs(run_row(1, "backing-off", at={"status": "backing-off", "due_at": at(30)}),
               run_row(2))  # fmt: skip
    line_with(await world.shown(), "in 30s")
    line_with(await world.passes(2), "in 25s")
