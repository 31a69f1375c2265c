"""Draws what the store knows: the rows of a view, the inspector, the bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import bars
from tui.boards import Cell, Column
from tui.detail import inspector
from tui.notices import Asked, notice
from tui.rows import RUN, RUN_PLAIN, RUN_TIMES
from tui.selection import Selection
from tui.tree import at_fault
from tui.widgets.bar import Bar
from tui.widgets.grid import Grid
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from tui.app import Dashboard

CHART_CELLS_MIN, WIDE_CELLS_MIN, WIDER_CELLS_MIN = 80, 120, 160
"""From so many columns on a run has its chart, the inspector beside it, and a wider one."""
SHORT_LINES_MIN, TALL_LINES_MIN = 16, 24
"""From so many lines on there is a drawer below a run, and one of full height."""


class Drawing:
    """Brings the view up to date."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    def draw(self, *, ids: bool) -> None:
        """The view. Without `ids` only what moves with time."""
        app = self._app
        grid = app.grid()
        grid.stale = app.store.stale
        app.rows.seen_now()
        if app.looking.view == "run":
            self._lay_out_run(grid)
        if ids and not self._keeps_rows():
            looking = app.looking
            follow = looking.following and looking.view in ("events", "runs")
            rows = app.rows.ids(looking.view)
            at_end = self._jumps(grid.selection, rows)
            now = app.store.clock.monotonic()
            moved = grid.set_ids(rows, now, follow=follow and looking.newest_first)
            if app.looking.view == "runs" and not (moved and moved.lost):
                looking.turned()
            if moved and moved.marks_lost and not looking.is_turning:  # else it tells that
                gone = f"{moved.marks_lost:,} marked, and left the list"
                app.flash(f"{gone}: not marked any more", "alarm")
            tree = app.store.trees.get(looking.run_id or "")
            if (step_id := looking.land(rows, tree)) is not None:
                grid.selection.move_to_id(step_id)
            if at_end:
                grid.selection.move_to(-1)
        else:
            grid.refresh_cells()
        app.acting.drawn(grid.selection.ids_seen)
        if not grid.selection.ids and grid.size.width:  # it may not be laid out yet
            self._tell_why(grid)
        if app.looking.view == "run":
            self._draw_inspector()
        self._draw_bars(grid)

    def _jumps(self, selection: Selection, rows: list[str]) -> bool:
        """Whether the last page has come for a cursor that waits for it at the end of what was read
        before. It goes on to the last row; its old one has not left."""
        listing = self._app.store.listing("runs")
        if self._app.looking.view != "runs" or not listing.has_jumped:
            return False
        listing.has_jumped = False
        if not rows or selection.cursor != len(selection.ids) - 1:
            return False
        selection.stand_in(rows[-1])
        return True

    def _keeps_rows(self) -> bool:
        """Rows whose order is being turned stand as they were until the others are read."""
        app = self._app
        turning = app.looking.is_turning and app.store.listing("runs").total is None
        return turning and app.looking.view == "runs"

    def _lay_out_run(self, grid: Grid) -> None:
        looking, rows = self._app.looking, self._app.rows
        columns: tuple[Column, ...] = RUN_TIMES
        if looking.has_chart:
            columns = RUN if self._app.size.width >= CHART_CELLS_MIN else RUN_PLAIN
        if columns != grid.columns:
            grid.show_columns(columns)
        rows.draw_run(columns, grid.size.width)
        grid.set_title("chart", rows.chart_head)

    def _tell_why(self, grid: Grid) -> None:
        """There are no rows: say why in their place."""
        app = self._app
        asked = Asked(
            view=app.looking.view,
            url=app.options.url,
            q=app.looking.filter,
            run_id=app.looking.run_id,
            is_recording=app.looking.is_recording,
        )
        grid.set_notice(notice(app.store, asked, grid.size.width - 2))

    def _draw_inspector(self) -> None:
        app = self._app
        step = app.looking.step(app.selection().cursor_id)
        tree = app.store.trees.get(app.looking.run_id or "")
        moves = (
            tree.moves if tree is not None and step is not None and step.id == tree.run.id else ()
        )
        shown = app.query_one("#inspector", Lines)
        roomy = app.size.width >= WIDE_CELLS_MIN
        cells = shown.size.width or app.size.width
        self._lay_out_drawer(shown, beside=roomy)
        seen = app.rows.seen
        lines: list[Cell] = []
        if step is not None and tree is not None:
            cause = tree.steps.get(step.cause_id or "")
            if step.id == tree.run.id and step.cause_id is not None:
                cause = at_fault(tree)
            answer = app.reading.last_answer.lines(step, cells)
            lines = inspector(
                step, seen, cells, roomy=roomy, moves=moves, cause=cause, answer=answer
            )
        shown.show(lines)

    def _lay_out_drawer(self, drawer: Lines, *, beside: bool) -> None:
        """Below the steps it has at least the lines that they leave: it grows and shrinks as steps
        come, not as the cursor moves."""
        app = self._app
        rows = len(app.selection().ids)
        has_room = bool(rows) or beside  # else in place of the steps stands why
        if (drawer.styles.max_height is None) is not has_room:
            drawer.styles.max_height = None if has_room else 0
        left = app.query_one("#run").size.height - (rows + 1) if rows else 0
        drawer.styles.min_height = 0 if beside else max(0, left)

    def _draw_bars(self, grid: Grid) -> None:
        top = self._app.query_one("#top", Bar)
        for at, (left, right) in enumerate(bars.top(self._app)):
            top.set_line(at, left, right)
        left, right = bars.status(self._app, grid.selection)
        self._app.query_one("#status", Bar).set_line(0, left, right)
        self.draw_foot()

    def draw_foot(self) -> None:
        """The keys; while something is typed what could follow, or what is wrong with it."""
        app = self._app
        left, right = bars.foot(app)
        if app.prompt.kind:
            left, right = app.prompt.foot(app.size.width), []
        app.query_one("#foot", Bar).set_line(0, left, right)
