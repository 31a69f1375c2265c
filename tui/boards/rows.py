"""Which rows a view has, and what stands on them: the store, through `boards` and `steptree`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tui.boards import cells as boards
from tui.boards import home, hosts, jobs, sorting, steptree
from tui.boards.cells import Cell, Column, Seen
from tui.boards.looking import Looking
from tui.boards.looks import LOOKS, SHAPES, glyph
from tui.boards.presence import acts_lately
from tui.boards.rest import Rest, median_text, rest_in_short, rest_name
from tui.boards.said import hand_note, hand_sign
from tui.boards.steptree import TreeLine
from tui.data.model import Step, short_id
from tui.data.store import Store
from tui.past.happened import EventRow, EventRows, step_of, workflow_of
from tui.text import fmt
from tui.text.sanitize import width

CHART_FROM_CELLS = 60
"""A narrower run has no chart."""
TIMES_FROM_CELLS = 64

RUN_PLAIN = (
    Column("tree", "STEP", 24, flex=2, most=80),
    Column("try", "TRY", 6),
    Column("next", "NEXT / TOOK", 11),
)
RUN = (*RUN_PLAIN, Column("chart", "", 16, flex=3, from_width=CHART_FROM_CELLS))
RUN_TIMES = (
    *RUN_PLAIN,
    Column("began", "STARTED", 8, from_width=TIMES_FROM_CELLS),
    Column("ended", "ENDED", 8, from_width=TIMES_FROM_CELLS),
)
GRIDS: dict[str, tuple[Column, ...]] = {
    "home": home.HOME,
    "runs": boards.RUNS,
    "retries": boards.RETRIES,
    "causes": boards.CAUSES,
    "hosts": hosts.HOSTS,
    "events": boards.EVENTS,
    "jobs": jobs.JOBS,
    "run": RUN,
}
CELLS: dict[str, Callable[[Any, Seen], dict[str, Cell]]] = {
    "runs": boards.run_cells,
    "retries": boards.retry_cells,
    "causes": boards.cause_cells,
    "hosts": hosts.host_cells,
    "jobs": jobs.job_cells,
}
"""From a row that the store holds to what stands on it."""


class BoardRows:
    """The rows of every view, as of the moment that `seen_now` took."""

    def __init__(self, store: Store, looking: Looking | None = None) -> None:
        self._store = store
        self.looking = looking or Looking()
        self.seen = Seen(0.0)
        self._home: dict[str, dict[str, Cell]] | None = None
        self._lines = 0
        self._events = EventRows(store, self._event_told)
        self.chart_head = ""
        self._chart_cells = 0
        self._span: steptree.Span | None = None
        self._below: dict[str, list[steptree.Stretch]] = {}

    def seen_now(self, *, narrow: bool = False, lines: int = 0) -> None:
        """From now on cells are as of now. `narrow`: without a column for reasons. Home has so many
        `lines`."""
        seen = self.looking.seen(self._store)
        self.seen = seen._replace(acts=acts_lately(self._store), narrow=narrow)
        self._home, self._lines = None, lines

    def ids(self, view: str) -> list[str]:
        """The rows of a view, in order."""
        if view == "run":
            return list(self.looking.lines)
        if view == "home":
            return list(self._at_home())
        if view == "events":
            return self._events.ids(
                self.looking.filters.get("events", ""), every=self.looking.every_event
            )
        row_ids = self._store.listing(view).ids
        if view not in self.looking.sorted_by:
            return row_ids
        key, down = self.looking.sorted_by[view]
        return sorting.ordered(
            row_ids, partial(self.row, view), sorting.SORTS[view][key], down=down
        )

    def row(self, view: str, row_id: str) -> Any:
        """A row of a board that the store holds by its id; None: it is not known any more."""
        store = self._store
        if view == "jobs":
            return store.job(row_id)
        rows: dict[str, Mapping[str, Any]] = {
            "runs": store.runs, "retries": store.retries, "causes": store.causes,
            "hosts": store.hosts,
        }  # fmt: skip
        return rows[view].get(row_id)

    def cells(self, view: str, row_id: str) -> dict[str, Cell] | None:
        """A row's cells; None: it is not known any more."""
        match view:
            case "home":
                return self._at_home().get(row_id)
            case "run":
                line = self.looking.lines.get(row_id)
                return None if line is None else self._line_cells(line)
            case "events":
                event = self._events.row(row_id)
                if event is None:
                    return None
                return boards.event_cells(event, self._name(event), self.seen)
            case _:
                row = self.row(view, row_id)
                return None if row is None else CELLS[view](row, self.seen)

    def _name(self, row: EventRow) -> str:
        """Workflow and step of an event, as far as they are known."""
        event, store = row.event, self._store
        told = workflow_of(event, store) or f"run {short_id(event.run_id)}"
        if event.is_root:
            return told
        return f"{told} {SHAPES.into} {step_of(event, store) or short_id(event.step_id)}"

    def _event_told(self, row: EventRow) -> str:
        words, more = boards.event_words(row)[0], boards.event_more(row)
        return f"{words}\n{self._name(row)}\n{more}"

    def _at_home(self) -> dict[str, dict[str, Cell]]:
        """Its rows, made once for the moment that they are of."""
        if self._home is None:
            self._home = home.home_rows(self._store, self.seen, self._lines)
        return self._home

    # -- a run ---------------------------------------------------------------------------------

    def draw_run(self, columns: Sequence[Column], cells_wide: int, *, ids: bool = True) -> None:
        """Lay the run out that is open. Without `ids` only what moves with time."""
        tree = self.looking.tree(self._store)
        if ids or not self.looking.lines:
            self.looking.lay_out(tree)
            self._below = {} if tree is None else steptree.open_below(tree)
        if tree is None:
            self._span = None
            return
        sized = {column.key: cells for column, cells in boards.layout(columns, cells_wide - 2)}
        self._chart_cells = sized.get("chart", 0)
        self._span = steptree.span_of(tree, self.seen.now_ms)
        self.chart_head = steptree.axis(self._span, self._chart_cells)

    def _line_cells(self, line: TreeLine) -> dict[str, Cell]:
        if line.rest is not None:
            return self._rest_cells(line, line.rest)
        step = line.step
        assert step is not None
        began = step.tries[0].started_at if step.tries else None
        return {
            "tree": self._tree_cell(line, step),
            "try": (fmt.tries(step.attempts, step.tries_left), "plain"),
            "next": steptree.took_cell(step, self.seen),
            "chart": self._chart(step),
            "began": boards.time_cell(began, self.seen),
            "ended": boards.time_cell(step.ended_at, self.seen),
        }

    def _rest_cells(self, line: TreeLine, rest: Rest) -> dict[str, Cell]:
        sign = SHAPES.folded if line.collapsed else SHAPES.arrow_down
        chart = " "
        for part in rest_in_short(rest, self.seen):
            if width(chart) + width(part) + 1 <= self._chart_cells:
                chart += f" {part} "
        return {
            "tree": ((line.prefix, "dim"), (f"{sign} ", "dim"), (rest_name(rest), "plain")),
            "next": (median_text(rest), "dim"),
            "chart": (chart, "dim"),
        }

    def _tree_cell(self, line: TreeLine, step: Step) -> Cell:
        folded = f" {SHAPES.folded}{line.children}" if line.collapsed else ""
        parts = (
            (line.prefix, "dim"),
            (f"{glyph(step.state)} ", LOOKS[step.state].style),
            hand_sign(step),
            (step.label, "strong" if step.parent_id is None else "plain"),
            hand_note(step),
            (folded, "dim"),
        )
        return tuple(part for part in parts if part[0])

    def _chart(self, step: Step) -> Cell:
        if self._span is None or not self._chart_cells:
            return ("", "plain")
        below = self._below.get(step.id, ())
        return tuple(steptree.chart(step, self._span, self._chart_cells, below))
