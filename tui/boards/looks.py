"""How states look: one table of glyph, word and style, for every board, the tree and the help.

A state is never told by colour alone. All glyphs are one cell wide everywhere (East Asian width
neutral, and none is an emoji). For terminals and fonts that have none of them `in_ascii` is applied
to what is drawn, once, at the end.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.shown.states import SIGNS, UNKNOWN_SIGN
from tui.data.model import State
from tui.text.sanitize import width


class Look(NamedTuple):
    """How a state is shown. `style` is the name of a style of the theme."""

    glyph: str
    ascii: str
    style: str
    meaning: str


MEANINGS = {
    State.PENDING: "recorded, no attempt has started",
    State.RUNNING: "an attempt is in flight",
    State.BACKING_OFF: "an attempt failed, the next has a time",
    State.WAITING: "runs again when one of its steps ends",
    State.PAUSED: "by a person, or its retries are used up",
    State.COMPLETED: "has its outcome",
    State.FAILED: "for good: needs a person",
    State.CANCELLED: "ended by a person, or with the run",
    State.UNKNOWN: "a state that this dashboard does not know",
}
LOOKS = {
    state: Look(*SIGNS.get(state, UNKNOWN_SIGN), str(state), meaning)
    for state, meaning in MEANINGS.items()
}
STYLES = (
    *(look.style for look in LOOKS.values()), "dim", "strong", "alarm", "good", "plain",
    "json-name", "json-string", "json-number", "json-word",
)  # fmt: skip
"""Every name of a style that a cell may have."""


class Shapes(NamedTuple):
    """What else is drawn."""

    branch: str
    last: str
    pipe: str
    folded: str
    bar: str
    failed_bar: str
    thin: str
    dots: str
    waits: str
    cursor: str
    mark: str
    live: str
    stale: str
    arrow_up: str
    arrow_down: str
    into: str
    by_hand: str


SHAPES = Shapes(
    "├─ ", "└─ ", "│  ", "▹", "━", "╍", "─", "·", "┄", "▌", "◆", "●", "◌", "▴", "▾", "›", "✎",
)  # fmt: skip

_ASCII = str.maketrans(
    {
        **{look.glyph: look.ascii for look in LOOKS.values()},
        **dict(zip("├─└│▹█▒·┄▌◆●▴▾›✎", "|-`|,#x.~|*o^v>&", strict=True)),
        **dict(zip("▁▂▃▄▅▆▇", ".:-=+*#", strict=True)),
        **dict(zip("—…≈×←“”•", '-~~x<""*', strict=True)),
        # what Textual draws frames and scroll bars with
        **dict.fromkeys("═▔", "-"),
        **dict(zip("━╍", "=x", strict=True)),
        **dict.fromkeys("┃║▏▎▍▕▊", "|"),
        **dict.fromkeys("╭╮╰╯┌┐┘┤┬┴┼", "+"),
    }
)


def in_ascii(text: str) -> str:
    """The text with a plain character for each that is none: our own signs by their likes, the
    rest as `?`. A character that takes two cells becomes two."""
    text = text.translate(_ASCII)
    if text.isascii():
        return text
    return "".join(c if c.isascii() else "?" * width(c) for c in text)


def glyph(state: State) -> str:
    """The glyph of a state."""
    return LOOKS[state].glyph
