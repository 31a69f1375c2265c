"""Lines of text to read and scroll: the inspector, bodies, the help, a question."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.boards.cells import Cell
from tui.screen.widgets.grid import fit_parts
from tui.screen.widgets.styled import Styled


class Lines(ScrollView, Styled, can_focus=True):
    """Lines of cells. What is on them is made safe by whoever gives them."""

    class Sized(Message):
        """It has another size: what is wrapped may be wrapped otherwise."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Cell] = []

    def show(self, lines: Sequence[Cell], *, stay: bool = True) -> None:
        """Show these lines. `stay`: where it was scrolled to."""
        old, self._lines = self._lines, list(lines)
        if not stay:
            self.scroll_to(y=0, animate=False)
        if not self.is_attached:
            return
        if len(old) != len(self._lines) or not stay:
            self.virtual_size = Size(self.size.width, len(self._lines))
            self.refresh()
            return
        for at, (before, after) in enumerate(zip(old, self._lines, strict=True)):
            if before != after:
                self.refresh_line(at)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self._lines))
        self.refresh()
        self.post_message(self.Sized())

    def render_line(self, y: int) -> Strip:
        at = self.scroll_offset.y + y
        width = self.size.width
        if at >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        parts = fit_parts(self._lines[at], width)
        return Strip([Segment(text, self.style_of(style)) for text, style in parts])

    def scroll_lines(self, by: int) -> None:
        """Scroll by so many lines."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False, force=True)
