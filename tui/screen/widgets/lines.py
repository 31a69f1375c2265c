"""Lines of text to read and scroll: the inspector, bodies, the help, a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.boards.cells import Cell, text_of
from tui.screen.widgets.grid import fit_parts, is_part
from tui.screen.widgets.styled import Styled
from tui.text.sanitize import width, wrap


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
            self.virtual_size = Size(self.cells, len(self._lines))
            self.refresh()
            return
        for at, (before, after) in enumerate(zip(old, self._lines, strict=True)):
            if before != after:
                self.refresh_line(at)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(self.cells, len(self._lines))
        self.refresh()
        self.post_message(self.Sized())

    @property
    def cells(self) -> int:
        """How wide a line is: what is wrapped is wrapped to this. There is room for the scroll bar
        beside it whether there is one or not; 0: it is not laid out yet."""
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        at, whole = self.scroll_offset.y + y, self.size.width
        if at >= len(self._lines):
            return Strip.blank(whole, self.rich_style)
        parts = fit_parts(self._lines[at], self.cells)
        strip = Strip([Segment(text, self.style_of(style)) for text, style in parts])
        return strip.adjust_cell_length(whole, self.style_of("plain"))

    def scroll_lines(self, by: int) -> None:
        """Scroll by so many lines."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False, force=True)


def wrapped(line: Cell, cells: int) -> Iterator[Cell]:
    """A line on as many as it takes in so many cells: what goes on stands below where it began, or
    below what its label is of. Of more parts than a label and a text it is one line still."""
    if width(text_of(line)) <= cells:
        yield line
        return
    parts = [line] if is_part(line) else [part for part in line if not isinstance(part, str)]
    if len(parts) == 1:
        [(text, style)] = parts
        indent = " " * (len(text) - len(text.lstrip()))
        for each in wrap(text.lstrip(), cells - len(indent)):
            yield f"{indent}{each}", style
    elif len(parts) == 2:
        (label, its), (text, style) = parts
        for at, each in enumerate(wrap(text, cells - width(label))):
            yield ((" " * width(label) if at else label, its), (each, style))
    else:
        yield line
