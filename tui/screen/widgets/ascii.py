"""Everything that is drawn, in ASCII: for terminals and fonts that have nothing else.

A filter over whole lines of the screen, so that borders, scroll bars and what third parties wrote
are covered too. Each character becomes one of the same width.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.boards.looks import in_ascii


class Asciify(LineFilter):
    """The filter."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
