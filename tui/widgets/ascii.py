"""Everything that is drawn, in ASCII: for terminals and fonts that have nothing else.

A filter over whole lines of the screen, so that borders, scroll bars and what third parties wrote
are covered too. Each character becomes one of the same width.
"""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.looks import ASCII, LOOKS, UNICODE
from tui.sanitize import width

_SAME: dict[str, str] = {
    **{look.glyph: look.ascii for look in LOOKS.values()},
    **dict(zip("".join(UNICODE), "".join(ASCII), strict=True)),
    **dict.fromkeys("─━═▁▔", "-"),
    **dict.fromkeys("│┃║▏▎▍▕▊", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    **dict.fromkeys("▂▃▄▅▆▇█", "#"),
    "×": "x", "…": "~", "—": "-", "≈": "~", "←": "<", "“": '"', "”": '"', "␦": "?",
}  # fmt: skip


@lru_cache(maxsize=4_096)
def to_ascii(text: str) -> str:
    """The text in ASCII, as wide as it was."""
    if text.isascii():
        return text
    return "".join(
        character if character.isascii() else _SAME.get(character, "?") * max(1, width(character))
        for character in text
    )


class Asciify(LineFilter):
    """The filter."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in ASCII."""
        return [
            Segment(to_ascii(text), style, control)
            if not control
            else Segment(text, style, control)
            for text, style, control in segments
        ]
