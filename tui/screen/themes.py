"""The dashboard's looks. Each tells every state apart; with the two for colour-blind people success
and failure differ as blue and orange do (Okabe and Ito, "Color Universal Design", 2008; with their
purple lighter, to be read on the row of the cursor).

The stylesheet takes the colours of states from these names: accent runs, warning backs off, primary
waits, secondary is paused, success is completed, error has failed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from tui.act.stage import Page, Stage
from tui.boards.cells import Cell

ORANGE, SKY, YELLOW, PURPLE = "#E69F00", "#56B4E9", "#F0E442", "#D285B1"


def muted(*, dark: bool) -> str:
    """The colour of what is not in the foreground."""
    return "#A8A8A8" if dark else "#595959"


CURSOR_SHARE = 0.13
"""Of black, or in a dark theme of white, in the row of the cursor. What Textual lightens is white
on white in a light theme."""


@cache
def _cursor_row(background: str, *, dark: bool) -> str:
    page = Color.parse(background)
    return page.blend(Color.parse("white" if dark else "black"), CURSOR_SHARE).hex


def variables(theme: Theme) -> dict[str, str]:
    """What the stylesheet takes and Textual's own themes do not have."""
    if theme.ansi:
        return {"state-dim": "ansi_bright_black", "cursor-row": "ansi_default"}
    page = theme.background or ("#121212" if theme.dark else "#EFEFEF")  # as Textual has it
    return {
        "state-dim": muted(dark=theme.dark),
        "cursor-row": _cursor_row(page, dark=theme.dark),
    }


def _theme(name: str, *, dark: bool, **colors: Any) -> Theme:
    return Theme(
        name=name,
        dark=dark,
        foreground="#E4E4E4" if dark else "#1A1A1A",
        background="#121212" if dark else "#FAFAFA",
        surface="#1E1E1E" if dark else "#F0F0F0",
        panel="#303030" if dark else "#D8D8D8",
        variables={"state-dim": muted(dark=dark)},
        **colors,
    )


THEMES = (
    _theme(
        "dark", dark=True, primary="#5FAFFF", secondary="#D787FF", accent="#5FD7FF",
        warning="#FFAF5F", error="#FF6E6E", success="#5FD787",
    ),
    _theme(
        "light", dark=False, primary="#0050C8", secondary="#7B2FA8", accent="#005F87",
        warning="#8A4B00", error="#B00020", success="#196831",
    ),
    _theme(
        "cb-dark", dark=True, primary="#8592FF", secondary=PURPLE, accent=YELLOW,
        warning=ORANGE, error="#F0783C", success=SKY,
    ),
    _theme(
        "cb-light", dark=False, primary="#3B5566", secondary="#5A2A48", accent="#1A1AE6",
        warning="#7A5200", error="#9C4400", success="#00578A",
    ),
    Theme(
        name="contrast", dark=True, foreground="#FFFFFF", background="#000000", surface="#000000",
        panel="#808080", primary="#80C0FF", secondary="#FF80FF", accent="#00FFFF",
        warning="#FFD000", error="#FF8080", success="#00FF00", variables={"state-dim": "#D0D0D0"},
    ),
)  # fmt: skip
ON_LIGHT = {
    "block-cursor-foreground": "ansi_black",
    "block-cursor-background": "ansi_cyan",
    **dict.fromkeys(
        ("scrollbar-background", "scrollbar-background-hover", "scrollbar-background-active"),
        "ansi_default",
    ),
}
"""The chosen row of a list, and what a scroll bar stands on. Textual has them white: in some light
palettes that is a dark grey, on which nothing can be read."""
ANSI_THEMES = tuple(
    replace(
        theme,
        accent="ansi_cyan",
        warning="ansi_yellow",
        secondary="ansi_magenta",
        variables=theme.variables if theme.dark else {**theme.variables, **ON_LIGHT},
    )
    for theme in (BUILTIN_THEMES["ansi-dark"], BUILTIN_THEMES["ansi-light"])
)
"""Textual's own, which take the terminal's colours, with another one for each state: theirs has
running look like completed, or backing off like failed."""
DEFAULT = "dark"
NAMES = tuple(theme.name for theme in (*THEMES, *ANSI_THEMES))
"""What there is. Each is tested: the states can be told apart and read, on the cursor's row too."""
LIKE = {
    name: "dark" if theme.dark else "light"
    for name, theme in BUILTIN_THEMES.items()
    if name not in NAMES
}
"""Textual's other ones were taken too, in which running may look like failed: what comes in their
place."""


def begin(app: App[Any], stage: Stage) -> None:
    """Offer these themes alone, and take the one that the options name."""
    for theme in (*THEMES, *ANSI_THEMES):
        app.register_theme(theme)
    wanted = stage.options.theme or DEFAULT
    app.theme = wanted if wanted in NAMES else LIKE.get(wanted, DEFAULT)
    for name in LIKE:
        app.unregister_theme(name)
    if app.theme != wanted:
        stage.tell(f"there is no theme {wanted} any more: this is {app.theme}", "alarm")


def choose_theme(app: App[Any], stage: Stage, name: str) -> None:
    """Another look; without a name those that there are."""
    if not name:
        names: list[Cell] = [(each, "plain") for each in NAMES]
        stage.open(Page(f"Themes: {app.theme} now", lambda cells: names))
    elif name in NAMES:
        app.theme = name
    else:
        stage.tell(f"there is no theme `{name}`: `:theme` lists them", "alarm")
