"""How states look: one table of glyph, word and style, for every board, the tree and the help.

A state is never told by colour alone. All glyphs are one cell wide everywhere (East Asian width
neutral, and none is an emoji); the ASCII set is for terminals and fonts that have none of them.
"""

from __future__ import annotations

from typing import NamedTuple

from tui.model import State
from tui.sanitize import width


class Look(NamedTuple):
    """How a state is shown. `style` is the name of a style of the theme."""

    glyph: str
    ascii: str
    style: str
    meaning: str


LOOKS: dict[State, Look] = {
    State.PENDING: Look("◌", ".", "pending", "recorded, no attempt has started"),
    State.RUNNING: Look("▸", ">", "running", "an attempt is in flight"),
    State.BACKING_OFF: Look("↻", "r", "backing-off", "an attempt failed, the next has a time"),
    State.WAITING: Look("◷", "w", "waiting", "runs again when one of its steps ends"),
    State.PAUSED: Look("◫", "=", "paused", "by a person, or its retries are used up"),
    State.COMPLETED: Look("✓", "+", "completed", "has its outcome"),
    State.FAILED: Look("✗", "X", "failed", "for good: needs a person"),
    State.CANCELLED: Look("⊘", "~", "cancelled", "ended by a person, or with the run"),
    State.UNKNOWN: Look("?", "?", "unknown", "a state that this dashboard does not know"),
}
STYLES = (*(look.style for look in LOOKS.values()), "dim", "strong", "alarm", "good", "plain")
"""Every name of a style that a cell may have."""


class Shapes(NamedTuple):
    """What else is drawn, and is there twice."""

    branch: str
    last: str
    pipe: str
    folded: str
    bar: str
    failed_bar: str
    dots: str
    waits: str
    cursor: str
    mark: str
    live: str
    stale: str
    more: str
    arrow_up: str
    arrow_down: str
    crumb: str
    rule: str


UNICODE = Shapes(
    "├─ ", "└─ ", "│  ", "▹", "█", "▒", "·", "┄", "▌", "◆", "●", "◌", "↓", "▴", "▾", "›", "▔",
)  # fmt: skip
ASCII = Shapes(
    "|- ", "`- ", "|  ", ",", "#", "x", ".", "-", ">", "*", "o", ".", "v", "^", "v", ">", "-",
)  # fmt: skip


_ASCII = {
    **{ord(look.glyph): look.ascii for look in LOOKS.values()},
    **{
        ord(mine): theirs
        for shape, plain in zip(UNICODE, ASCII, strict=True)
        for mine, theirs in zip(shape, plain, strict=True)
    },
    **dict(zip(map(ord, "▁▂▃▄▅▆▇"), ".:-=+*#", strict=True)),
    **dict(zip(map(ord, "—…≈×←⏎“”•"), '-~~x<>""*', strict=True)),
}


def in_ascii(text: str) -> str:
    """The text with a plain character for each that is none: our own signs by their likes, the
    rest as `?`. A character that takes two cells becomes two."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _ASCII.get(ord(c)) or "?" * width(c) for c in text)


def shapes(*, ascii_only: bool) -> Shapes:
    """The set to draw with."""
    return ASCII if ascii_only else UNICODE


def glyph(state: State, *, ascii_only: bool = False) -> str:
    """The glyph of a state."""
    look = LOOKS[state]
    return look.ascii if ascii_only else look.glyph
