"""What is written to the terminal says the same in fewer bytes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from engine.wire import RetryPage
from tests.tui.on_screen import World, at, line_with, on_screen, run_row
from tests.tui.support import STEADY, retry_row
from tui.boards.cells import Cell, Column
from tui.data.inputs import RetriesRead
from tui.screen.widgets.grid import differing
from tui.screen.widgets.tight import PLAIN, TightUpdate, moved, turned

TICK_BYTES_MAX, ROWS_BYTES_MAX = 300, 1_800
"""Nineteen rows that tick, and that are others; rows come every two and a half seconds there."""
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


STEPS = {"A": (0, -1), "B": (0, 1), "C": (1, 0), "D": (-1, 0)}


class Paper:
    """A terminal that knows as much as an update sends: what stands where, and how it looks."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], object] = {}
        self._x = self._y = 0
        self._style = ""

    def take(self, written: str) -> None:
        """Obey what is written."""
        for told, letter, sign in re.findall(r"\x1b\[([\d;]*)([A-Zm])|([^\x1b])", written):
            numbers = [int(number) for number in told.split(";") if number]
            if letter == "m":
                self._style = "" if told == "0" else f"{self._style}\x1b[{told}m"
            elif letter == "H":
                self._y, self._x = (number - 1 for number in numbers)
            elif letter or sign == "\b":
                right, down = STEPS[letter or "D"]
                count = numbers[0] if numbers else 1
                self._x, self._y = self._x + right * count, self._y + down * count
            else:
                ((_, look),) = shown(self._style + sign)
                self.cells[self._x, self._y] = on_paper(sign, look)
                self._x += cell_len(sign)


def on_paper(character: str, look: Any) -> object:
    """What is seen of a character in a style: of a blank only the ground, unless it is reversed."""
    _, back, _, _, is_reversed = look
    return (" ", back) if character == " " and not is_reversed else (character, look)


def update(lines: list[Strip], spans: list[tuple[int, int, int]]) -> TightUpdate:
    """One of lines that are one piece each; spans are (y, first, last)."""
    return TightUpdate([{0: line} for line in lines], spans, [[line.cell_length] for line in lines])


TEXTS = st.text("ab ›注", min_size=1, max_size=4)
LINES = st.lists(st.lists(st.tuples(TEXTS, STYLES), min_size=1, max_size=5), min_size=1, max_size=4)
SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), min_size=4, max_size=4)


@STEADY
@given(LINES, SPANS)
def test_an_update_shows_its_spans(
    lines: list[list[tuple[str, Style]]], spans: list[tuple[int, int]]
) -> None:
    """In whatever order they are sent, and however the cursor goes: each cell of them is seen as it
    is, no other is touched, and at the end the terminal writes as usual."""
    strips = [Strip([Segment(text, style) for text, style in line]) for line in lines]
    taken = [
        (y, first, first + cells)
        for (y, _), (first, cells) in zip(enumerate(strips), spans, strict=False)
    ]
    written = update(strips, taken).render_segments(Console(color_system="truecolor"))
    wanted: dict[tuple[int, int], object] = {}
    for y, first, last in taken:
        x = first
        for text, style, _ in strips[y].crop(first, last):
            for character in text:
                wanted[x, y] = on_paper(character, as_seen(style or PLAIN))
                x += cell_len(character)
    paper = Paper()
    paper.take(written)
    assert paper.cells == wanted
    paper.take("x")
    assert list(paper.cells.values()).count(("x", as_seen(PLAIN))) == 1


def test_what_is_in_one_style_is_sent_together() -> None:
    """Ten countdowns in their column, beside names: two styles are said, and between two countdowns
    there are four bytes."""
    styles = Style(color="#e4e4e4", bgcolor="#121212"), Style(color="#ffaf5f", bgcolor="#121212")
    line = Strip([Segment("a", styles[0]), Segment("  ", styles[1]), Segment("7", styles[1])])
    spans = [span for y in range(10) for span in ((y, 0, 1), (y, 3, 4))]
    written = update([line.extend_cell_length(8)] * 10, spans).render_segments(
        Console(color_system="truecolor")
    )
    names, times = "\x1b[B\ba" * 9, "\x1b[B\b7" * 9
    assert written == (
        f"\x1b[1;1H\x1b[38;2;228;228;228;48;2;18;18;18ma{names}"
        f"\x1b[1;4H\x1b[38;2;255;175;95m7{times}\x1b[0m"
    )


@pytest.mark.parametrize(
    ("was", "to", "written"),
    [
        (None, (3, 2), "\x1b[3;4H"),
        ((4, 2), (4, 2), ""),
        ((4, 2), (3, 3), "\x1b[B\b"),
        ((4, 5), (3, 3), "\x1b[2A\b"),
        ((4, 2), (9, 2), "\x1b[5C"),
        ((9, 2), (3, 2), "\x1b[6D"),
        ((50, 2), (3, 3), "\x1b[4;4H"),
    ],
)
def test_the_cursor_goes_the_shortest_way(
    was: tuple[int, int] | None, to: tuple[int, int], written: str
) -> None:
    """From where it is, if that is known."""
    assert moved(was, to) == written


def noting(widget: Widget) -> list[Region]:
    """What of it is drawn anew from now on."""
    drawn: list[Region] = []
    refresh = widget.refresh

    def noted(*regions: Region, **more: Any) -> Any:
        drawn.extend(regions)
        return refresh(*regions, **more)

    widget.refresh = noted  # type: ignore[method-assign]
    return drawn


@on_screen()
async def test_a_list_that_scrolls_is_drawn_where_it_is_another(world: World) -> None:
    """Each line has the row of its neighbour, which says the same but for its id."""
    await world.lists(*(run_row(number) for number in range(60)))
    await world.press("j", "j", "j")
    drawn = noting(world.app.grid())
    world.app.grid().scroll_to(y=1, animate=False)
    assert {region.width for region in drawn if region.y not in (3, 4)} <= {1, 2}
    assert [region.y for region in drawn if region.width > 2] == [3, 4], "the cursor's row moves"
    assert "▌" in line_with(await world.shown(), "00000003")


@on_screen()
async def test_of_a_bar_each_figure_is_drawn_by_itself(world: World) -> None:
    """Not what stands between two of them."""
    world.live(counts={"running": 1, "waiting": 1})
    await world.shown()
    drawn = noting(world.app.query_one("#top"))
    world.live(counts={"running": 2, "waiting": 2})
    world.app.flush()
    assert [(region.y, region.size) for region in drawn] == [(0, (1, 1))] * 2


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
    drawn = noting(world.app.grid())
    world.store.apply(read(1))
    world.app.flush()
    assert {region.y for region in drawn} == set(range(1, 11))
    assert {region.width for region in drawn} <= {1, 2}


def counting(world: World) -> list[int]:
    """How many bytes each update takes from now on, in true colours."""
    compositor, console = world.app.screen._compositor, Console(color_system="truecolor")
    found: list[int] = []
    render = compositor.render_partial_update

    def counted() -> Any:
        made = render()
        if made is not None:
            found.append(len(made.render_segments(console).encode()))
        return made

    compositor.render_partial_update = counted  # type: ignore[method-assign]
    return found


def incident(first: int) -> RetriesRead:
    """Twenty retries from that one on: each says something else than its neighbours, and than what
    stood there."""
    rows = []
    for number in range(first, first + 20):
        row = retry_row(
            f"s-{number}", 9_000 + 45 * number, name=("charge_card", "ship", "settle")[number % 3],
            http_status=(503, 429, None, 502)[number % 4],
            error=(None, None, "connection-refused: nothing listens there", None)[number % 4],
            excerpt=("upstream is being restarted", "slow down", None, None)[number % 4],
        )  # fmt: skip
        workflow = ("order.fulfil", "invoice.sync", "webhook.fanout", "kyc.check")[number % 4]
        rows.append(replace(row, run_id=f"01K{number * 7_919:023d}", workflow_name=workflow))
    return RetriesRead("retries", RetryPage(tuple(rows), next="more"))


@on_screen()
async def test_what_an_incident_costs(world: World) -> None:
    """S3-27 of the tour: 22 kB/s, where twenty retries are due a second. Nineteen countdowns that
    go on, and nineteen rows that are all others."""
    world.store.apply(incident(0))
    await world.press("2")
    written = counting(world)
    await world.passes(1)
    assert sum(written) <= TICK_BYTES_MAX
    written.clear()
    world.store.apply(incident(21))
    await world.shown()
    assert sum(written) <= ROWS_BYTES_MAX


@pytest.mark.parametrize(
    ("old", "new", "anew"),
    [
        (("in 10s", "a"), ("in 9s", "a"), (3, 3)),
        (("in 9s", "a"), ("in 9s", "b"), (0, 5)),
        (("in 9s", "a"), (("in", "a"), (" 9s", "b")), (3, 2)),
        (("due now", "a"), ("", "plain"), (0, 7)),
        (("in", "a"), (("in", "a"), ("  ", "b")), (0, 0)),
        (("注文", "a"), ("注目", "a"), (0, 8)),
        (("a long name", "a"), ("a long word", "a"), (0, 0)),
    ],
)
def test_what_of_a_cell_is_drawn_anew(old: Cell, new: Cell, anew: tuple[int, int]) -> None:
    """From the first character that is another, or in another style, to the last; a blank has none.
    All of it where a character takes two cells."""
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
