"""Draws what the store knows: the rows of a view, the inspector, the bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import App

from tui.act.answered import LastAnswer
from tui.act.change.act import Acting
from tui.act.stage import Stage
from tui.boards.around import bars
from tui.boards.around.bars import Shown
from tui.boards.around.headline import headline
from tui.boards.around.notices import Viewed, notice
from tui.boards.around.past import badge, played_text
from tui.boards.cells import Cell, Column, Part, Piece, wanted_columns
from tui.boards.held import holds_on
from tui.boards.home import verdict
from tui.boards.rest import rest_lines
from tui.boards.rows import GRIDS, RUN, RUN_PLAIN, RUN_TIMES, BoardRows
from tui.boards.run.detail import inspector
from tui.boards.selection import Selection
from tui.data.reach import releasing_takes, why_not_act
from tui.data.tree import at_fault
from tui.keys import Command
from tui.screen.widgets.bar import Bar
from tui.screen.widgets.grid import HEAD_LINES, Grid
from tui.screen.widgets.lines import Lines
from tui.text.sanitize import width

CHART_CELLS_MIN, WIDE_CELLS_MIN, WIDER_CELLS_MIN = 80, 120, 160
"""From so many columns on a run has its chart, the inspector beside it, and a wider one."""
SHORT_LINES_MIN, TALL_LINES_MIN = 16, 24
"""From so many lines on there is a drawer below a run, and one of full height."""
ACROSS: list[tuple[int, str]] | None = [
    (0, "-narrow"),
    (CHART_CELLS_MIN, "-middle"),
    (WIDE_CELLS_MIN, "-wide"),
    (WIDER_CELLS_MIN, "-wider"),
]
DOWN: list[tuple[int, str]] | None = [
    (0, "-flat"),
    (SHORT_LINES_MIN, "-short"),
    (TALL_LINES_MIN, "-tall"),
]

HEADED = frozenset({"home", "run"})
"""Above these stands in one line what they come to."""


class Drawing:
    """Brings the view up to date: what is on the `stage`, on the screen of an `app`."""

    def __init__(
        self,
        app: App[Any],
        stage: Stage,
        rows: BoardRows,
        acting: Acting,
        commands: Sequence[Command],
    ) -> None:
        self._app, self._stage, self._rows, self._acting = app, stage, rows, acting
        self._commands = commands
        self._last_answer = LastAnswer(stage)
        self._drawn: object = None
        """What was looked at when it was drawn last."""

    def draw(self, grid: Grid, *, ids: bool) -> None:
        """The rows of the view, and the inspector. Without `ids` only what moves with time."""
        looking, store = self._stage.looking, self._stage.store
        grid.dim(stale=store.stale)
        grid.show_order(looking.order)
        here = looking.here(), self._app.size.width, store.stale
        if not (ids and self._stage.options.slow_link and self._drawn == here):
            # else times stand as they were at the last tick
            narrow = here[1] < bars.REASON_FROM_COLUMNS
            self._rows.seen_now(narrow=narrow, lines=grid.size.height - HEAD_LINES)
        self._drawn = here
        if looking.view == "run":
            self._lay_out_run(grid, ids=ids)
        else:
            grid.show_columns(
                wanted_columns(GRIDS[looking.view], looking.wanted.get(looking.view, {}))
            )
        if ids and not self._keeps_rows():
            self._set_rows(grid)
        else:
            grid.refresh_cells()
        self._acting.drawn(grid.selection.ids_seen)
        if not grid.selection.ids and grid.size.width:  # it may not be laid out yet
            self._tell_why(grid)
        if looking.view == "run":
            self._draw_inspector(grid.selection)
        if looking.view == "jobs" and self._stage.feed is not None:
            self._stage.feed.look_at_job(grid.selection.cursor_id)

    def _set_rows(self, grid: Grid) -> None:
        stage, looking, rows = self._stage, self._stage.looking, grid.selection
        follow = looking.following and looking.view in ("events", "runs") and looking.newest_first
        ids = self._rows.ids(looking.view)
        at_end = self._jumps(rows, ids)
        moved = grid.set_ids(ids, stage.store.clock.monotonic(), follow=follow)
        if looking.view == "runs" and not (moved and moved.lost):
            looking.turned()
        if moved and moved.marks_lost and not looking.is_turning:  # else it tells that
            gone = f"{moved.marks_lost:,} marked, and left the list"
            stage.tell(f"{gone}: not marked any more", "alarm")
        tree = looking.tree(stage.store)
        if (step_id := looking.land(ids, tree)) is not None:
            if step_id not in ids and looking.was_named:
                stage.tell(f"the run has no step {step_id}: it is shown from its head", "alarm")
            rows.move_to_id(step_id)
        if at_end:
            rows.move_to(-1)
        untouched = looking.following and moved and (moved.before == 0 or moved.lost)
        if looking.view == "home" and untouched and rows.cursor > 0:
            rows.move_to(0)  # what needs a person comes in above it

    def _jumps(self, rows: Selection, ids: list[str]) -> bool:
        """Whether the last page has come for a cursor that waits for it at the end of what was read
        before. It goes on to the last row; its old one has not left."""
        listing = self._stage.store.listing("runs")
        if self._stage.looking.view != "runs" or not listing.take_jump():
            return False
        if not ids or rows.cursor != len(rows.ids) - 1:
            return False
        rows.stand_in(ids[-1])
        return True

    def _keeps_rows(self) -> bool:
        """Rows whose order is being turned stand as they were until the others are read."""
        looking = self._stage.looking
        turning = looking.is_turning and self._stage.store.listing("runs").total is None
        return turning and looking.view == "runs"

    def _lay_out_run(self, grid: Grid, *, ids: bool) -> None:
        columns: tuple[Column, ...] = RUN_TIMES
        if self._stage.looking.has_chart:
            columns = RUN if self._app.size.width >= CHART_CELLS_MIN else RUN_PLAIN
        grid.show_columns(columns)
        self._rows.draw_run(columns, grid.size.width, ids=ids)
        grid.set_title("chart", self._rows.chart_head)

    def _tell_why(self, grid: Grid) -> None:
        """There are no rows: say why in their place."""
        looking = self._stage.looking
        asked = Viewed(
            view=looking.view,
            url=self._stage.options.url,
            q=looking.filter,
            every_event=looking.every_event,
            run_id=looking.run_id,
            is_recording=looking.is_recording,
            is_past=self._is_past,
            token_file=self._stage.options.token_file,
        )
        grid.set_notice(notice(self._stage.store, asked, grid.size.width - 2))

    def _draw_inspector(self, rows: Selection) -> None:
        looking = self._stage.looking
        step = looking.step(rows.cursor_id)
        tree = looking.tree(self._stage.store)
        is_root = tree is not None and step is not None and step.id == tree.run.id
        shown = self._app.query_one("#inspector", Lines)
        roomy = self._app.size.width >= WIDE_CELLS_MIN
        cells = shown.cells or self._app.size.width
        self._lay_out_drawer(shown, len(rows.ids), beside=roomy)
        lines: list[Cell] = []
        if step is not None and tree is not None:
            cause = tree.steps.get(step.cause_id or "")
            if step.id == tree.run.id and step.cause_id is not None:
                cause = at_fault(tree)
            answer = self._last_answer.lines(step, cells, roomy=roomy)
            seen = self._rows.seen
            holds = holds_on(step, tree, seen.holds)
            lines = inspector(
                step, seen, cells,
                roomy=roomy, moves=tree.moves if is_root else (),
                notes=tree.notes if is_root else (), holds=holds, cause=cause, answer=answer,
                releasing_takes=releasing_takes(self._stage.store.status),
            )  # fmt: skip
        line = looking.lines.get(rows.cursor_id or "")
        if line is not None and line.rest is not None:
            is_open = not line.collapsed
            lines = list(rest_lines(line.rest, self._rows.seen, cells, is_open=is_open))
        shown.show(lines)

    def _lay_out_drawer(self, drawer: Lines, rows: int, *, beside: bool) -> None:
        """Below the steps it has at least the lines that they leave: it grows and shrinks as steps
        come, not as the cursor moves."""
        has_room = bool(rows) or beside  # else in place of the steps stands why
        if (drawer.styles.max_height is None) is not has_room:
            drawer.styles.max_height = None if has_room else 0
        left = self._app.query_one("#run").size.height - (rows + 1) if rows else 0
        drawer.styles.min_height = 0 if beside else max(0, left)

    @property
    def _is_past(self) -> bool:
        """A past hour is shown: what its engine tells of it now."""
        player = self._stage.player
        return player is not None and player.hour is not None

    def _badges(self) -> list[str]:
        """What is to be known of this dashboard all the time."""
        stage, badge = self._stage, self._stage.options.badge
        reads = stage.options.read_only or why_not_act(stage.store.status)
        played = "RECORDING" if stage.player is None else played_text(stage.player, stage.store)
        told = ((played, stage.looking.is_recording), ("READ ONLY", reads))
        return [*([badge] if badge else []), *(text for text, holds in told if holds)]

    def _shown(self, rows: Selection) -> Shown:
        stage = self._stage
        cells, actor = self._app.size.width, stage.options.actor or ""
        return Shown(stage.looking, stage.store, rows, self._commands, cells, actor)

    def draw_bars(self, rows: Selection, told: Part) -> None:
        """What is above and below it. `told`: for a moment."""
        shown = self._shown(rows)
        top = self._app.query_one("#top", Bar)
        for at, (left, right) in enumerate(bars.top(shown, self._rows.seen, self._badges())):
            top.set_line(at, left, right)
        if shown.looking.view == "run":
            past = shown.looking.past
            as_of = None if past is None else past.now_ms
            left, right = headline(shown.store, shown.looking.tree(shown.store), shown.cells, as_of)
            if past is not None:
                left = [badge(past, self._rows.seen), *left]
                if sum(width(piece.text) for piece in (*left, *right)) > shown.cells:
                    right = []  # how it stood goes before whose it is
            self._app.query_one("#headline", Bar).set_line(0, left, right)
        if shown.looking.view == "home":
            self._app.query_one("#headline", Bar).set_line(
                0, verdict(shown.store, is_past=self._is_past)
            )
        left, right = bars.status(shown, told, self._acting.asking.told())
        self._app.query_one("#status", Bar).set_line(0, left, right)

    def draw_foot(self, rows: Selection, typed: Sequence[Piece]) -> None:
        """The keys; while something is `typed` what could follow, or what is wrong with it."""
        shown = self._shown(rows)
        left, right = (list(typed), []) if typed else bars.foot(shown, self._acting.about)
        self._app.query_one("#foot", Bar).set_line(0, left, right)
