"""What is looked at: a view with its filter and its order, the open run, and the way back.

Plain data. Nothing here draws, reads from the engine or knows a screen: who changes it has it drawn
anew, and the tests need neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

from msgspec import Struct, field

from tui.boards import steptree
from tui.boards.cells import Seen
from tui.boards.sorting import SORTS, UPWARDS
from tui.boards.steptree import REST, Arranged, TreeLine
from tui.data.feed import Board
from tui.data.filter import step_filter
from tui.data.model import Step
from tui.data.store import Store
from tui.data.tree import Tree
from tui.past.history import History

BACK_MAX = 10
"""So many views are remembered."""


GONE_INTO = frozenset({"run", "jobs"})


class Visit(NamedTuple):
    """Where `esc` goes back to: a view, the filters as they were, and those before them."""

    view: str
    filters: dict[str, str]
    before_typed: dict[str, str]


class Looking(Struct, kw_only=True):
    """See the head of this file. Its methods change it, nobody else does."""

    view: str = "runs"
    filters: dict[str, str] = field(default_factory=lambda: {"runs": "", "retries": ""})
    before_typed: dict[str, str] = field(default_factory=dict)
    """The filters that were there before others were typed over them."""
    back: list[Visit] = field(default_factory=list)
    is_recording: bool = False
    """There is no engine behind what is shown."""
    every_event: bool = False
    """Of events all are shown, not only acts, failures and ends."""
    newest_first: bool = True
    following: bool = True
    """The newest rows stay in sight."""
    whole_filter: bool = False
    """Every run of the filter is marked, read or not."""
    is_turning: bool = False
    """The runs are read in their new order: until they are there the old rows are shown."""
    sorted_by: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """By board: the column and whether downwards, where that was asked for."""
    with_dismissed: bool = False
    """Causes that were dismissed are listed too."""
    wanted: dict[str, dict[str, bool]] = field(default_factory=dict)
    """By board: columns that were asked for (True), or put away."""
    zone: tzinfo | None = None
    """That times of the day are shown in; None: the local one."""
    helped: bool = False
    """The help was looked at: nobody needs to be told how to find it."""
    run_id: str | None = None
    """The run that is open, or was last."""
    opened_at: str | None = None
    """The step at which it was opened: it is never folded."""
    landing: str | None = None
    """The step to go to when the run has been read: its id, or its name."""
    was_named: bool = False
    """A person named that step: it is told if there is none."""
    past: History | None = None
    """The open run as it was at a moment of its own time; None: it is shown as it is now."""
    reads_past: str = ""
    """What is told while what happened to it is read; empty: it is not."""
    collapsed: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    """Steps whose many children all have lines of their own."""
    has_chart: bool = True
    found: int = 0
    """So many of its steps its filter finds; those above them have lines too."""
    lines: dict[str, TreeLine] = field(default_factory=dict)
    """The run as it was laid out last, by the ids of its lines."""

    # -- which view ----------------------------------------------------------------------------

    @property
    def open_run_id(self) -> str | None:
        """The run that is looked at now; None: a board is."""
        return self.run_id if self.view == "run" else None

    @property
    def filter(self) -> str:
        """The filter of the view; empty where it has none."""
        return self.filters.get(self.view, "")

    @property
    def board(self) -> Board:
        """The list that is looked at, as it is to be read."""
        dismissed = self.with_dismissed and self.view == "causes"
        return Board(self.view, self.filter, self.newest_first, dismissed)

    @property
    def order(self) -> tuple[str, bool] | None:
        """The column by which the rows are sorted, and whether downwards, where that is shown."""
        return ("age", self.newest_first) if self.view == "runs" else self.sorted_by.get(self.view)

    def seen(self, store: Store) -> Seen:
        """As of now, on this clock; in the past of a run as of that moment. What was held then is
        told by its steps alone."""
        if self.past is not None:
            return Seen(self.past.now_ms, zone=self.zone)
        return Seen(store.time.now_ms(), store.stale, self.zone, store.holds)

    def tree(self, store: Store) -> Tree | None:
        """The open run with its steps, as it is or as it was; None: it is not known."""
        return store.trees.get(self.run_id or "") if self.past is None else self.past.tree

    def walk(self, past: History) -> None:
        """Look at the run as it was."""
        self.past, self.reads_past = past, ""

    def read_past(self, told: str) -> None:
        """What happened to it is read, which is told so."""
        self.reads_past = told

    def leave_past(self) -> bool:
        """Look at the run as it is now; False: one did already."""
        was_there = self.past is not None or bool(self.reads_past)
        self.past, self.reads_past = None, ""
        return was_there

    def here(self) -> object:
        """The view, and what of it: what was asked for here is meant for nothing else."""
        return self.view, self.filter, self.open_run_id, self.whole_filter

    def go(self, view: str) -> None:
        """Look at a view, from its newest row on. A run, and the jobs, are gone into: the view
        before is gone back to. The other boards are where one begins: behind them is nothing."""
        if view in GONE_INTO and view != self.view:
            self._remember()
        elif view != self.view and self.back:  # out of what was gone into
            _, self.filters, self.before_typed = self.back[0]
            self.back = []
        if view != "run":
            self.leave_past()
        self.view = view
        self.whole_filter = False
        self.following = True

    def go_back(self) -> bool:
        """Back to the filter before the typed one, or else to the view before; False: this is where
        it began."""
        if self.view in self.before_typed:
            self.filters[self.view] = self.before_typed.pop(self.view)
        elif self.back:
            self.view, self.filters, self.before_typed = self.back.pop()
        elif self.view in GONE_INTO:
            self.view = "runs"
        else:
            return False
        return True

    def go_into(self, view: str) -> None:
        """Look at a board from another one: that is gone back to."""
        self._remember()
        self.view = view

    def list_runs(self, q: str) -> None:
        """Look at the runs that a filter finds."""
        self.go_into("runs")
        self.filters["runs"] = q
        self.before_typed.pop("runs", None)

    def filter_by(self, text: str) -> None:
        """List other rows of this view; going back takes the filter away again."""
        before = self.before_typed.setdefault(self.view, self.filter)
        self.filters[self.view] = text.strip()
        if self.filters[self.view] == before:
            del self.before_typed[self.view]

    def _remember(self) -> None:
        here = Visit(self.view, dict(self.filters), dict(self.before_typed))
        self.back = [*self.back[1 - BACK_MAX :], here]

    # -- how -----------------------------------------------------------------------------------

    def follow(self, *, following: bool = True) -> None:
        """Keep the newest rows in sight, or stay at those that are."""
        self.following = following

    def mark_filter(self, *, whole: bool) -> None:
        """Mean every run of the filter, or only the rows that are marked."""
        self.whole_filter = whole

    def sort(self, key: str | None) -> None:
        """Sort by a column, the other way round if it is so already; None: as the engine does."""
        before = self.sorted_by.pop(self.view, None)
        if key is not None:
            is_again = before is not None and before[0] == key
            down = not before[1] if is_again and before is not None else key not in UPWARDS
            self.sorted_by[self.view] = (key, down)

    def list_dismissed(self) -> bool:
        """List what was dismissed too, or no more; returns which."""
        self.with_dismissed = not self.with_dismissed
        return self.with_dismissed

    def want_columns(self, wanted: Mapping[str, bool]) -> None:
        """Have these columns of the view (True), or put them away; none: all as there is room."""
        self.wanted[self.view] = {**self.wanted.get(self.view, {}), **wanted} if wanted else {}

    def turn(self) -> None:
        """Look at the runs the other way round."""
        self.newest_first = not self.newest_first
        self.following = False

    def toggle_every_event(self) -> None:
        """Show all events, or the choice of them again."""
        self.every_event = not self.every_event

    def turned(self, *, done: bool = True) -> None:
        """Whether the runs are there in their new order."""
        self.is_turning = not done

    def tell_times_in_utc(self) -> bool:
        """Or in local time again; returns which."""
        self.zone = UTC if self.zone is None else None
        return self.zone is not None

    def help(self) -> None:
        """The help is looked at."""
        self.helped = True

    # -- a run ---------------------------------------------------------------------------------

    def open_run(self, run_id: str, step_id: str | None = None, *, was_named: bool = False) -> None:
        """Have a run open, at one of its steps; `go` looks at it."""
        self.run_id, self.was_named = run_id, was_named
        self.landing = self.opened_at = step_id
        self.leave_past()
        self.collapsed, self.listed, self.lines = set(), set(), {}
        self.filters.pop("run", None)
        self.before_typed.pop("run", None)

    def land(self, ids: Sequence[str], tree: Tree | None) -> str | None:
        """The step to go to now, once: as soon as it is there, or as it is known that it is not."""
        wanted = self.landing
        if wanted is None or self.view != "run" or not ids:
            return None
        if wanted not in ids and tree is not None and tree.outdated:
            return None
        self.landing = None
        return wanted

    def lay_out(self, tree: Tree | None) -> None:
        """The open run is this now."""
        if tree is not None and self.landing is not None and self.landing not in tree.steps:
            self.landing = self.opened_at = tree.step_called(self.landing) or self.landing
        how = self._arranged()
        found = [] if tree is None else steptree.lines(tree, how)
        if tree is not None and how.keeps is not None:
            self.found = sum(map(how.keeps, tree.steps.values()))
        self.lines = {line.id: line for line in found}

    def _arranged(self) -> Arranged:
        key, down = self.sorted_by.get("run", ("", False))
        keeps = step_filter(self.filters.get("run", ""))
        by = SORTS["run"].get(key)
        return Arranged(self.collapsed, self.listed, self.opened_at, keeps, by, down)

    def step(self, line_id: str | None) -> Step | None:
        """The step of a line of the open run."""
        line = self.lines.get(line_id or "")
        return None if line is None else line.step

    def problem(self, ids: Sequence[str], at: int, by: int) -> str | None:
        """The next line in this direction whose step failed, is failing or paused, and not for
        another one below it. Where those that are folded have one, they are listed."""
        for step in range(1, len(ids) + 1):
            found = self.step(row_id := ids[(at + by * step) % len(ids)])
            if found is not None and found.is_problem and found.cause_id is None:
                return row_id
            line = self.lines.get(row_id)
            if line is not None and line.rest is not None and line.collapsed:
                inside = line.rest.problem
                if inside is not None:
                    self.toggles_rest(row_id)
                    return inside.id
        return None

    def collapse(self, line_id: str | None) -> str | None:
        """Hide what is below a line; where nothing is, returns the step above, to go there."""
        line = self.lines.get(line_id or "")
        if line is not None and line.rest is not None:
            if not line.collapsed:
                self.toggles_rest(line.id)
                return None
            return line.id.removesuffix(REST)
        if line is None or line.step is None:
            return None
        if line.children and not line.collapsed:
            self.collapsed.add(line.id)
            return None
        return line.step.parent_id

    def expand(self, line_id: str | None) -> None:
        """Show again what is below a line, and list what it stands for."""
        line = self.lines.get(line_id or "")
        if line is not None and line.rest is not None and line.collapsed:
            self.toggles_rest(line.id)
        self.collapsed.discard(line_id or "")

    def toggles_rest(self, line_id: str) -> bool:
        """Whether a line stands for many steps: lists them below it, or folds them again."""
        line = self.lines.get(line_id)
        if line is None or line.rest is None:
            return False
        self.listed ^= {line_id.removesuffix(REST)}
        return True

    def toggle_chart(self) -> None:
        """The chart, or the times of the attempts in its place."""
        self.has_chart = not self.has_chart
