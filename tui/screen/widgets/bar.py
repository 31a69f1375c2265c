"""A few lines of text that change in place: the top bar, the status, the footer."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip

from tui.boards.cells import Piece
from tui.screen.widgets.styled import Styled
from tui.text.sanitize import side_by_side, width

NEAR_CELLS = 8
"""What is the same between two stretches that differ is drawn along if it takes fewer cells: to go
over them takes as many bytes."""


class Bar(Styled):
    """Lines of pieces, with others at the right end. Only what changed is drawn again."""

    ALLOW_SELECT = False

    def __init__(self, lines: int = 1, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: list[list[Piece]] = [[] for _ in range(lines)]
        self._right: list[list[Piece]] = [[] for _ in range(lines)]
        self._drawn: dict[int, list[Piece]] = {}
        self.styles.height = lines

    def set_line(self, at: int, left: Sequence[Piece], right: Sequence[Piece] = ()) -> None:
        """Show these pieces on a line."""
        self._left[at], self._right[at] = list(left), list(right)
        if not self.is_attached or not self.size.width:
            return
        old, new = self._drawn.get(at), self._pieces(at)
        if old == new:
            return
        self._drawn[at] = new
        for first, last in _differences(old or [], new, self.size.width):
            self.refresh(Region(first, at, last - first, 1))

    def on_resize(self, event: events.Resize) -> None:
        self._drawn.clear()
        self.refresh()

    def _pieces(self, at: int) -> list[Piece]:
        """The pieces of a line, exactly as wide as the bar; the right ones go before the left."""
        room = self.size.width
        right_width = sum(width(text) for text, _, _ in self._right[at])
        if right_width > room:
            right, right_width = [], 0
        else:
            right = self._right[at]
        room -= right_width
        return [*fit_pieces(self._left[at], room), *right]

    def render_line(self, y: int) -> Strip:
        pieces = self._drawn[y] = self._pieces(y)
        return Strip([Segment(text, self.style_of(style)) for text, style, _ in pieces])

    async def on_click(self, event: events.Click) -> None:
        x = 0
        for text, _, action in self._drawn.get(event.y, []):
            x += width(text)
            if event.x < x:
                if action:
                    await self.app.run_action(action)
                return


def fit_pieces(pieces: Sequence[Piece], cells: int) -> list[Piece]:
    """Pieces in exactly so many cells; what is cut ends with `…`, also between two of them."""
    texts = [text for text, _, _ in pieces]
    is_cut = width("".join(texts).rstrip()) > cells  # blanks at the end are no loss
    *shown, blank = side_by_side(texts, cells, is_cut=is_cut)
    found = [piece._replace(text=text) for piece, text in zip(pieces, shown, strict=False)]
    return [*found, Piece(blank)]


def _differences(old: Sequence[Piece], new: Sequence[Piece], whole: int) -> list[tuple[int, int]]:
    """The stretches of cells in which two lines differ."""
    before, after = _cells(old), _cells(new)
    if len(before) != len(after):
        return [(0, whole)]
    found: list[tuple[int, int]] = []
    for at, (a, b) in enumerate(zip(before, after, strict=True)):
        if a != b:
            is_near = found and at - found[-1][1] < NEAR_CELLS
            first = found.pop()[0] if is_near else at
            found.append((first, at + 1))
    return found or [(0, whole)]


def _cells(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """A line cell by cell. A wide character takes two."""
    found: list[tuple[str, str]] = []
    for text, style, _ in pieces:
        for character in text:
            found += [(character, style)] * max(1, width(character))
    return found
