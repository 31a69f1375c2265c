"""Each look can be read, and tells the states apart."""

from __future__ import annotations

import math
import re
from importlib import resources
from itertools import combinations

import pytest
from rich.color import Color as RichColor
from rich.color import ColorType, parse_rgb_hex
from rich.segment import Segment
from rich.style import Style

from tests.tui.on_screen import World, found, line_with, run_row, showing
from tui.boards.looks import LOOKS
from tui.keys import BY_ID
from tui.screen.themes import ANSI_THEMES, LIKE, NAMES, THEMES

CONTRAST_MIN = 4.5
"""WCAG 2.2, 1.4.3, for text of usual size."""
VISIBLE_MIN = 1.3
"""Of a surface that is told from another one beside it. Text is told by `CONTRAST_MIN`."""
DISTANCE_MIN = 40.0
ALIKE_BELOW = 28.0
"""Distance in CIE L*a*b* (1976) of two states."""
ALIKE_BELOW_IN = {"cb-light": 20.0}
"""Dark colours that colour-blind people tell apart are few."""
WHITES = (7, 15)
"""In the terminal's palette."""
STATES = ("completed", "failed", "backing-off", "paused", "running", "waiting")
Color = tuple[float, float, float]

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIMULATED = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
}  # fmt: skip


def linear(color: Color) -> Color:
    """sRGB from 0 to 255 in linear light from 0 to 1."""
    r, g, b = (
        c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color
    )
    return r, g, b


def luminance(color: Color) -> float:
    """Relative luminance (WCAG 2.2)."""
    r, g, b = linear(color)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: Color, other: Color) -> float:
    """Contrast ratio (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen_by(color: Color, kind: str) -> Color:
    """The colour as somebody sees it, back in sRGB."""
    light = linear(color)
    mixed = [sum(w * c for w, c in zip(row, light, strict=True)) for row in SIMULATED[kind]]
    r, g, b = (
        255 * (12.92 * c if c <= 0.0031308 else 1.055 * max(c, 0.0) ** (1 / 2.4) - 0.055)
        for c in (min(max(c, 0.0), 1.0) for c in mixed)
    )
    return r, g, b


def perceived(color: Color) -> Color:
    """The colour in CIE L*a*b* (1976), of sRGB's white point."""
    r, g, b = linear(color)
    x, y, z = (
        share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116
        for share in (
            (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
            0.2126 * r + 0.7152 * g + 0.0722 * b,
            (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.0890,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def apart(one: Color, other: Color) -> float:
    """How far from each other."""
    return math.dist(one, other)


def rgb(color: RichColor | None) -> Color:
    """A colour of the screen in numbers."""
    assert color is not None
    r, g, b = color.get_truecolor()
    return float(r), float(g), float(b)


def colors(name: str) -> dict[str, tuple[Color, Color]]:
    """Of each state's style in a theme: colour and background."""
    found: dict[str, tuple[Color, Color]] = {}

    async def test(world: World) -> None:
        world.live()
        await world.lists(run_row(1))
        grid = world.app.grid()
        for look in LOOKS.values():
            style: Style = grid.style_of(look.style)
            assert style.color is not None
            assert style.bgcolor is not None
            mine, behind = style.color.get_truecolor(), style.bgcolor.get_truecolor()
            found[look.style] = (tuple(map(float, mine)), tuple(map(float, behind)))  # type: ignore[assignment]

    showing(test, theme=name)
    return found


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
def test_states_can_be_read(name: str) -> None:
    """Every state's word stands out from what is behind it."""
    low = {
        style: round(contrast(*pair), 2)
        for style, pair in colors(name).items()
        if contrast(*pair) < CONTRAST_MIN
    }
    assert low == {}


def cursor_rows(name: str) -> dict[str, Segment]:
    """The gutter of the cursor's row, and of a row that is like it, in a theme; and the cells of
    the first by their texts."""
    found: dict[str, Segment] = {}

    async def test(world: World) -> None:
        world.live()
        await world.lists(run_row(1, "backing-off"), run_row(2, "backing-off"))
        grid = world.app.grid()
        cursor, other = (list(grid.render_line(y)) for y in (1, 2))
        found.update({part.text.strip(): part for part in cursor})
        found["cursor"], found["other"] = cursor[-1], other[-1]

    showing(test, theme=name)
    return found


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
def test_the_row_of_the_cursor_is_seen(name: str) -> None:
    """It stands out from the page, in every theme: a light one too, where lighter is white."""
    row, page = (cursor_rows(name)[it].style for it in ("cursor", "other"))
    assert row is not None
    assert page is not None
    assert contrast(rgb(row.bgcolor), rgb(page.bgcolor)) >= VISIBLE_MIN


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
def test_states_can_be_read_on_the_row_of_the_cursor(name: str) -> None:
    """Every state's word stands out from the cursor's row too."""
    row = cursor_rows(name)["cursor"].style
    assert row is not None
    behind = rgb(row.bgcolor)
    low = {
        style: round(contrast(mine, behind), 2)
        for style, (mine, _) in colors(name).items()
        if contrast(mine, behind) < CONTRAST_MIN
    }
    assert low == {}


@pytest.mark.parametrize("name", [theme.name for theme in ANSI_THEMES])
def test_the_terminals_own_colours_tell_the_states_apart(name: str) -> None:
    """Backing off, failed, running, paused, waiting and completed have six colours, all of the
    palette, as what is muted has; the cursor's row is reversed."""

    async def test(world: World) -> None:
        await world.lists(run_row(1, "backing-off"))
        grid = world.app.grid()
        shown = {}
        for word in ("backing-off", "failed", "running", "paused", "waiting", "completed", "dim"):
            color = grid.style_of(word).color
            assert color is not None
            assert color.type is ColorType.STANDARD, (word, color)
            shown[word] = color.number
        assert len(set(shown.values())) == len(shown), shown
        assert all(part.style and part.style.reverse for part in list(grid.render_line(1))[1:])
        assert world.app.native_ansi_color

    showing(test, theme=name)


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
def test_no_two_states_look_alike(name: str) -> None:
    """Of each two states the colours differ at a glance, not only their words."""
    shown = colors(name)
    alike = {}
    for one, other in combinations(STATES, 2):
        distance = apart(*(perceived(shown[each][0]) for each in (one, other)))
        if distance < ALIKE_BELOW_IN.get(name, ALIKE_BELOW):
            alike[one, other] = round(distance)
    assert alike == {}


@pytest.mark.parametrize("kind", sorted(SIMULATED))
@pytest.mark.parametrize("name", ["cb-dark", "cb-light"])
def test_colour_blind_people_tell_the_states_apart(name: str, kind: str) -> None:
    """What runs, is completed, failed, backs off and is paused differ also for who sees no red or
    no green."""
    shown = colors(name)
    close = {}
    for one, other in combinations(("completed", "failed", "backing-off", "paused", "running"), 2):
        distance = apart(*(seen_by(shown[each][0], kind) for each in (one, other)))
        if distance < DISTANCE_MIN and {one, other} != {"failed", "backing-off"}:
            close[one, other] = round(distance)
    assert close == {}


def part_with(world: World, text: str) -> Style:
    """How a text of the screen looks."""
    strips = world.app.screen._compositor.render_strips()
    style = next(part.style for strip in strips for part in strip if text in part.text)
    assert style is not None
    return style


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
def test_choices_and_palette_can_be_read(name: str) -> None:
    """Why something cannot be chosen, the choice under the cursor, and what a command does."""

    async def test(world: World) -> None:
        await world.lists(run_row(1))
        await world.press("x")
        shown = {"refused": part_with(world, "it is running")}
        await world.press("escape", "c")
        shown["chosen"] = part_with(world, "1  STATE")
        await world.press("escape")
        await found(world, "", BY_ID["runs"].help)
        shown["first"] = part_with(world, BY_ID["home"].help)
        shown["others"] = part_with(world, BY_ID["runs"].help)
        low = {
            what: round(ratio, 2)
            for what, style in shown.items()
            if (ratio := contrast(rgb(style.color), rgb(style.bgcolor))) < CONTRAST_MIN
        }
        assert low == {}

    showing(test, theme=name)


@pytest.mark.parametrize("name", [theme.name for theme in ANSI_THEMES])
def test_choices_in_the_terminals_own_colours(name: str) -> None:
    """What cannot be chosen is muted, and what is marked to be typed over is reversed."""

    async def test(world: World) -> None:
        await world.lists(run_row(1))
        await world.press("x")
        muted = world.app.grid().style_of("dim").color
        assert part_with(world, "it is running").color == muted
        assert part_with(world, "end it as cancelled").color != muted
        await world.press("escape", "slash")
        assert part_with(world, "is:live").reverse

    showing(test, theme=name)


def test_nothing_is_white_in_a_light_terminal() -> None:
    """In some of their palettes white is a dark grey, on which nothing can be read."""

    async def test(world: World) -> None:
        await world.lists(*map(run_row, range(40)))
        await world.press("c")
        chosen = part_with(world, "1  STATE")
        behind = world.app.grid().styles.scrollbar_background.rich_color
        for color in (chosen.color, chosen.bgcolor, behind):
            assert color is not None
            assert color.number not in WHITES

    showing(test, theme="ansi-light")


@pytest.mark.parametrize(("name", "start"), [("light", ":root {"), ("dark", "scheme: dark) {")])
def test_the_pages_below_ui_have_these_colours(name: str, start: str) -> None:
    """A state looks the same in a terminal and in a browser."""
    sheet = (resources.files("engine.front.ui") / "static" / "ui.css").read_text("utf-8")
    block = sheet[sheet.index(start) :]
    told = dict(re.findall(r"--([\w-]+): (#\w{6});", block[: block.index("}")]))
    for state in STATES:
        its, ours = parse_rgb_hex(told[state][1:]), colors(name)[state][0]
        assert max(abs(a - b) for a, b in zip(its, ours, strict=True)) <= 1, state  # it is rounded


def test_only_what_is_tested_is_offered() -> None:
    """Seven of our own: for each the tests above say that it can be read."""
    assert len(NAMES) == len(THEMES) + len(ANSI_THEMES) == 7

    async def test(world: World) -> None:
        assert set(world.app.available_themes) == set(NAMES)
        line_with(await world.press("colon", *"theme d", "tab", "enter"), "Runs")
        assert world.app.theme == "dark"
        world.app.prompt.open("command", "theme dracula")
        line_with(await world.press("enter"), "there is no theme `dracula`")

    showing(test)


@pytest.mark.parametrize(("name", "like"), [("dracula", "dark"), ("solarized-light", "light")])
def test_a_theme_of_before_is_not_refused(name: str, like: str) -> None:
    """A file of settings that names one works on: its like is taken, and that is said."""
    assert LIKE[name] == like

    async def test(world: World) -> None:
        assert world.app.theme == like
        line_with(await world.shown(), f"there is no theme {name} any more: this is {like}")

    showing(test, theme=name)
