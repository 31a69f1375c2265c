"""One table for every board: virtual, keyed by row ids, and thrifty with what it draws.

The terminal is drawn as regions that are marked dirty, and all of a region crosses the wire: a
table that repaints itself for one cell costs twenty kilobytes a tick. So this one remembers what
text it has drawn in each cell that is seen, and marks those that differ now. Which rows there are,
where the cursor is and what is marked is its `selection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.boards.cells import Cell, Column, Part, layout
from tui.boards.looks import SHAPES
from tui.boards.selection import CursorMove, Selection
from tui.screen.widgets.styled import Styled
from tui.text.sanitize import clip, fit, side_by_side, width

HEAD_LINES = 1
GUTTER_CELLS = 1
EDGE_CELLS = 1
"""At the right of the last column, so that its numbers do not touch the end of the screen."""
NOTICE_INDENT_CELLS = 1
NEAR_EDGE_ROWS = 40
"""So near the end of what was read more is asked for."""
BLANK: dict[str, Cell] = {}
BEYOND: Cell = ("", "")


def fit_parts(cell: Cell, cells: int, *, right: bool = False, middle: bool = False) -> list[Part]:
    """A cell in exactly so many cells; what is cut ends with `…`, also between two parts."""
    if is_part(cell):
        return [(fit(cell[0], cells, right=right, middle=middle), cell[1] or "plain")]
    parts = [part for part in cell if not isinstance(part, str)]
    is_cut = sum(width(text) for text, _ in parts) > cells
    *shown, blank = side_by_side((text for text, _ in parts), cells, is_cut=is_cut)
    styles = (style for _, style in parts)
    return [*zip(shown, styles, strict=False), (blank, "plain")]


def differing(column: Column, wide: int, old: Cell, new: Cell) -> tuple[int, int]:
    """Which cells of a column that is so wide are drawn anew: the first, and how many."""
    was, is_now = (
        fit_parts(cell, wide, right=column.right, middle=column.middle) for cell in (old, new)
    )
    if not all(width(c) == 1 for text, _ in (*was, *is_now) for c in text):
        return 0, wide
    pairs = zip(_in_cells(was), _in_cells(is_now), strict=True)
    others = [at for at, (before, after) in enumerate(pairs) if before != after]
    return (others[0], others[-1] + 1 - others[0]) if others else (0, 0)


def _in_cells(parts: Sequence[Part]) -> list[Part]:
    """Each cell by itself; of a blank no style is seen."""
    return [(c, "" if c == " " else style) for text, style in parts for c in text]


def is_part(cell: Cell) -> TypeGuard[Part]:
    """Whether a cell has one style throughout."""
    return len(cell) == 2 and isinstance(cell[0], str)


class Grid(ScrollView, Styled, can_focus=True, inherit_bindings=False):
    """A table of rows that others keep. `cells_of` gives a row's cells by the key of the column."""

    ALLOW_SELECT = False

    class CursorMoved(Message):
        """The cursor is on another row; `lost`: because its row has gone."""

        def __init__(self, grid: Grid, *, lost: bool) -> None:
            super().__init__()
            self.grid, self.lost = grid, lost

    class Opened(Message):
        """A row was double-clicked."""

    class HeadClicked(Message):
        """The head of a column was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Touched(Message):
        """The mouse moved what is seen, or the cursor."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            self.grid = grid

    class Sized(Message):
        """It has another size."""

    class NearEdge(Message):
        """The cursor, or what is seen, is near the end of the rows."""

        def __init__(self, grid: Grid, *, at_head: bool) -> None:
            super().__init__()
            self.grid, self.at_head = grid, at_head

    def __init__(
        self,
        columns: Sequence[Column],
        cells_of: Callable[[str], dict[str, Cell] | None],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._titles: dict[str, str] = {}
        """Heads that differ from those of the columns."""
        self._cells_of = cells_of
        self.selection = Selection(self._cursor_moved, self.refresh_cells)
        self._stale = False
        self._notice: list[Cell] = []
        """Stands in place of the table while there are no rows."""
        self.sorted_by: tuple[str, bool] | None = None
        """The column by which rows are sorted, and whether downwards."""
        self._drawn: dict[int, list[Cell]] = {}
        """By line of the screen, what was drawn there last."""

    # -- rows ----------------------------------------------------------------------------------

    def set_ids(self, ids: Sequence[str], now: float, *, follow: bool = False) -> CursorMove | None:
        """The rows are these now, on the monotonic clock. The cursor stays on its row, and its row
        on its line. None: they are the same.

        `follow`: what is seen stays at the head instead, and the row moves on below it.
        """
        rows = self.selection
        moved = rows.set_ids(ids, now)
        if moved is None:
            self.refresh_cells()
            return None
        before, lost, _ = moved
        if self._notice and (not rows.ids or before < 0):
            self._drawn.clear()
            self.refresh()
        self.virtual_size = Size(self.size.width, len(rows.ids) + HEAD_LINES)
        if follow:
            self.scroll_to(y=0, animate=False)
        elif before >= 0 and not lost and rows.cursor != before and rows.is_seen(before):
            self.scroll_to(y=self.scroll_offset.y + rows.cursor - before, animate=False)
        if lost:
            self.post_message(self.CursorMoved(self, lost=True))
        self.refresh_cells()
        self._look_for_edges()
        return moved

    def dim(self, *, stale: bool) -> None:
        """What is drawn from now on may have passed."""
        self._stale = stale

    def show_columns(self, columns: Sequence[Column]) -> None:
        """The columns are these now."""
        if self.columns != columns:
            self.columns = tuple(columns)
            self.refresh()

    def columns_seen(self) -> list[str]:
        """The keys of the columns for which there is room."""
        return [column.key for column, _ in self._layout()]

    def set_title(self, key: str, title: str) -> None:
        """The head of a column is this now."""
        if self._titles.get(key) != title:
            self._titles[key] = title
            self.refresh(Region(0, 0, self.size.width, HEAD_LINES))

    def set_notice(self, lines: Sequence[Cell]) -> None:
        """What to say in place of the table while there are no rows."""
        old, self._notice = self._notice, list(lines)
        if self.selection.ids or not self.is_attached:
            return
        if len(old) != len(self._notice):
            self.refresh()
            return
        for y, (before, after) in enumerate(zip(old, self._notice, strict=True)):
            if before != after:
                self.refresh(Region(0, y, self.size.width, 1))

    def show_order(self, by: tuple[str, bool] | None) -> None:
        """Say in the head by which column the rows are sorted, and whether downwards."""
        if by != self.sorted_by:
            self.sorted_by = by
            self.refresh(Region(0, 0, self.size.width, HEAD_LINES))

    def refresh_cells(self) -> None:
        """Draw again what differs from what was drawn."""
        if not self.is_attached or not self.size.width:
            return
        sized = self._layout()
        for line in range(HEAD_LINES, self.size.height):
            cells = self._line_cells(line, sized)
            drawn = self._drawn.get(line)
            if drawn is None or len(drawn) != len(cells):
                self._drawn[line] = cells
                self.refresh(Region(0, line, self.size.width, 1))
                continue
            if drawn == cells:
                continue
            self._drawn[line] = cells
            if drawn[0] != cells[0]:  # the cursor, or a mark
                self.refresh(Region(0, line, self.size.width, 1))
                continue
            x = GUTTER_CELLS
            for at, (column, wide) in enumerate(sized, 1):
                if drawn[at] != cells[at]:
                    first, count = differing(column, wide, drawn[at], cells[at])
                    if count:
                        self.refresh(Region(x + first, line, count, 1))
                x += wide + 1

    def _layout(self) -> list[tuple[Column, int]]:
        room = self.scrollable_content_region.width - GUTTER_CELLS - EDGE_CELLS
        return layout(self.columns, room)

    def _line_cells(self, line: int, sized: list[tuple[Column, int]]) -> list[Cell]:
        """What stands on a line; first what the whole line depends on."""
        rows = self.selection
        at = self.scroll_offset.y + line - HEAD_LINES
        if not 0 <= at < len(rows.ids):
            return [BEYOND]
        row_id = rows.ids[at]
        row = self._cells_of(row_id) or BLANK
        whole = f"{row_id == rows.cursor_id} {row_id in rows.marks} {self._stale}"
        return [(whole, ""), *(row.get(column.key, ("", "plain")) for column, _ in sized)]

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw what is another on its line then; Textual would draw all of it."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = new_value
        if round(old_value) != round(new_value):
            self._tell_seen()
            self.refresh_cells()
            self._look_for_edges()

    def on_resize(self, event: events.Resize) -> None:
        self._drawn.clear()
        self.virtual_size = Size(event.size.width, len(self.selection.ids) + HEAD_LINES)
        self._tell_seen()
        self._show_cursor()
        self.refresh()
        self.post_message(self.Sized())

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn.clear()
        self.refresh()  # of what it has drawn the cursor's row also tells the focus

    # -- drawing -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        sized = self._layout()
        if not self.selection.ids and self._notice:
            return self._notice_strip(y, width)
        if y < HEAD_LINES:
            return self._head_strip(sized, width)
        cells = self._line_cells(y, sized)
        self._drawn[y] = cells
        if len(cells) == 1:
            return Strip.blank(width, self.rich_style)
        row_id = self.selection.ids[self.scroll_offset.y + y - HEAD_LINES]
        over = Style(dim=True) if self._stale else Style()
        if row_id == self.selection.cursor_id:
            over += self._cursor_style()
        segments = [self._gutter(row_id, over)]
        for (column, cells_wide), cell in zip(sized, cells[1:], strict=True):
            for text, style in fit_parts(
                cell, cells_wide, right=column.right, middle=column.middle
            ):
                segments.append(Segment(text, self.style_of(style) + over))
            segments.append(Segment(" ", self.style_of("plain") + over))
        blank = self.style_of("plain") + over
        return Strip(segments).adjust_cell_length(width, blank)

    def _cursor_style(self) -> Style:
        """What the cursor's row has over the styles of its cells. In the terminal's own colours,
        which nobody knows, it is reversed: its states are known by glyph and word."""
        if self.app.native_ansi_color:
            return Style(color="default", bgcolor="default", reverse=True, bold=self.has_focus)
        return Style(bgcolor=self.style_of("cursor").bgcolor, bold=self.has_focus)

    def _notice_strip(self, y: int, width: int) -> Strip:
        if y >= len(self._notice):
            return Strip.blank(width, self.rich_style)
        parts = fit_parts(self._notice[y], width - NOTICE_INDENT_CELLS)
        segments = [Segment(text, self.style_of(style)) for text, style in parts]
        blank = Segment(" " * NOTICE_INDENT_CELLS, self.style_of("plain"))
        return Strip([blank, *segments]).adjust_cell_length(width, self.style_of("plain"))

    def _gutter(self, row_id: str, over: Style) -> Segment:
        if row_id in self.selection.marks:
            return Segment(SHAPES.mark, self.style_of("mark") + over)
        if row_id == self.selection.cursor_id:
            return Segment(SHAPES.cursor, self.style_of("cursor") + over)
        return Segment(" ", self.style_of("plain") + over)

    def _head_strip(self, sized: list[tuple[Column, int]], whole: int) -> Strip:
        style = self.style_of("head")
        segments = [Segment(" ", style)]
        for column, cells in sized:
            title = self._titles.get(column.key, column.title)
            if self.sorted_by is not None and self.sorted_by[0] == column.key:
                arrow = SHAPES.arrow_down if self.sorted_by[1] else SHAPES.arrow_up
                title = f"{title} {arrow}"
                if width(title) > cells:
                    title = clip(self._titles.get(column.key, column.title), cells - 1) + arrow
            segments.append(Segment(fit(title, cells, right=column.right) + " ", style))
        return Strip(segments).adjust_cell_length(whole, style)

    # -- what is seen --------------------------------------------------------------------------

    def _cursor_moved(self) -> None:
        """The cursor was moved to another row: see that it is seen."""
        self._show_cursor()
        self.refresh_cells()
        self.post_message(self.CursorMoved(self, lost=False))
        self._look_for_edges()

    def _tell_seen(self) -> None:
        self.selection.see(self.scroll_offset.y, max(1, self.size.height - HEAD_LINES))

    def _show_cursor(self) -> None:
        """Scroll to the cursor's row, if it is not seen."""
        at, rows = self.selection.cursor, self.selection
        if at < 0:
            return
        if at < rows.first_seen:
            self.scroll_to(y=at, animate=False)
        elif not rows.is_seen(at):
            self.scroll_to(y=at - rows.rows_seen + 1, animate=False)

    def _look_for_edges(self) -> None:
        rows = self.selection
        if not rows.ids:
            return
        seen_to = max(rows.cursor, rows.first_seen + rows.rows_seen)
        if seen_to >= len(rows.ids) - NEAR_EDGE_ROWS:
            self.post_message(self.NearEdge(self, at_head=False))
        if min(max(rows.cursor, 0), rows.first_seen) < NEAR_EDGE_ROWS:
            self.post_message(self.NearEdge(self, at_head=True))

    # -- the mouse -----------------------------------------------------------------------------

    def on_mouse_scroll_down(self) -> None:
        self.post_message(self.Touched(self))

    def on_mouse_scroll_up(self) -> None:
        self.post_message(self.Touched(self))

    def on_click(self, event: events.Click) -> None:
        rows = self.selection
        if not rows.ids:
            return
        if event.y < HEAD_LINES:
            x = GUTTER_CELLS
            for column, cells in self._layout():
                if x <= event.x <= x + cells:
                    self.post_message(self.HeadClicked(column.key))
                x += cells + 1
            return
        at = rows.first_seen + event.y - HEAD_LINES
        if at < len(rows.ids):
            self.post_message(self.Touched(self))
            rows.move_to(at)
            if event.chain > 1:
                self.post_message(self.Opened())
