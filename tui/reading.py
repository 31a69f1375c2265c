"""Looking at one run, its tree and its steps' bodies, or at two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.client import AtomicError
from tui.answered import LastAnswer
from tui.compare import comparison
from tui.copying import Copying
from tui.model import Step, run_of, short_id, step_of
from tui.redact import Redactor
from tui.sanitize import clean
from tui.screens.ask import READ_FRAME_CELLS, Read
from tui.screens.body import BodyScreen
from tui.tree import Tree

if TYPE_CHECKING:
    from tui.app import Dashboard
    from tui.widgets.grid import Grid


class Reading:
    """The run that is open, and what of it is folded."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.run_id: str | None = None
        self.collapsed: set[str] = set()
        self.asked: str | None = None
        """The step at which it was opened: it is never folded."""
        self.has_chart = True
        self.redactor = Redactor(app.options.redact)
        self.last_answer = LastAnswer(app)
        self.copying = Copying(app)
        self._at: str | None = None
        """The step to go to when the run has been read."""

    # -- which run and step --------------------------------------------------------------------

    def open_run(self, run_id: str, step_id: str | None = None) -> None:
        """Open a run, at one of its steps."""
        self.run_id = run_id
        self.collapsed = set()
        app = self._app
        grid = app.grid("run")
        grid.set_ids([])
        self._at = self.asked = step_id
        app.show_view("run")
        app.draw()

    def land(self, grid: Grid) -> None:
        """Put the cursor on the step that the run was opened at, as soon as it is there."""
        if self._at is None or self._app.view != "run" or not grid.ids:
            return
        tree = self._app.store.trees.get(self.run_id or "")
        if grid.move_to_id(self._at) or tree is None or not tree.outdated:
            self._at = None

    def step(self) -> Step | None:
        """The step under the cursor of the open run."""
        line = self._app.rows.lines.get(self._app.grid("run").cursor_id or "")
        return None if line is None else line.step

    def do_open(self) -> None:
        """Open what is under the cursor."""
        app, store = self._app, self._app.store
        row_id = app.grid().cursor_id
        if row_id is None:
            return
        match app.view:
            case "runs":
                run = store.runs.get(row_id)
                at = None if run is None or run.at is None else run.at.step_id
                self.open_run(row_id, at)
            case "retries":
                retry = store.retries.get(row_id)
                if retry is not None:  # else it has left, and that is not drawn yet
                    self.open_run(retry.run_id, row_id)
            case "causes":
                app.list_runs(f"is:stuck cause:{row_id}")
            case "hosts":
                app.list_runs(f"is:live host:{row_id}")
            case "events":
                event = next((e for e in store.events if e.id == row_id), None)
                if event is not None:
                    self.open_run(event.run_id, event.step_id)
            case "jobs":
                job = app.rows.row("jobs", row_id)
                if job is not None:
                    app.list_runs(job.q)
            case _:
                self.do_answer()

    def _neighbour(self, by: int) -> None:
        app = self._app
        ids = app.store.listing("runs").ids
        if self.run_id in ids:
            at = ids.index(self.run_id) + by
            if 0 <= at < len(ids):
                app.grid("runs").move_to_id(ids[at])
                back = app.back_to
                self.open_run(ids[at])
                app.back_to = back
                return
        app.flash("no other run of the list there", "alarm")

    def do_next_run(self) -> None:
        self._neighbour(1)

    def do_previous_run(self) -> None:
        self._neighbour(-1)

    def _problem(self, by: int) -> None:
        app = self._app
        grid = app.grid("run")
        ids, at = grid.ids, grid.cursor
        for step in range(1, len(ids) + 1):
            line = app.rows.lines.get(ids[(at + by * step) % len(ids)])
            if line is not None and line.step is not None and line.step.is_problem:
                grid.move_to_id(line.id)
                return
        app.flash("no step failed, is failing or paused")

    def do_next_problem(self) -> None:
        self._problem(1)

    def do_previous_problem(self) -> None:
        self._problem(-1)

    def do_collapse(self) -> None:
        """Hide what is below; where nothing is, go to the step above."""
        app = self._app
        line = app.rows.lines.get(app.grid().cursor_id or "")
        if line is None or line.step is None:
            return
        if line.children and not line.collapsed:
            self.collapsed.add(line.id)
            app.draw()
        elif line.step.parent_id is not None:
            app.grid().move_to_id(line.step.parent_id)

    def do_expand(self) -> None:
        self.collapsed.discard(self._app.grid().cursor_id or "")
        self._app.draw()

    def do_inspector(self) -> None:
        inspector = self._app.query_one("#inspector")
        inspector.display = not inspector.display

    def do_chart(self) -> None:
        """The chart, or the times of the attempts in its place."""
        self.has_chart = not self.has_chart
        self._app.draw()

    # -- bodies --------------------------------------------------------------------------------

    def do_payload(self) -> None:
        step = self.step()
        if step is not None:
            self._read_body(step, None)

    def do_answer(self) -> None:
        step = self.step()
        if step is None:
            return
        if step.last_answered is None:
            self._app.flash("no attempt has been answered yet", "alarm")
        else:
            self._read_body(step, step.last_answered)

    def _read_body(self, step: Step, attempt: int | None) -> None:
        app = self._app
        if app.client is None:
            app.flash("bodies are not in a recording", "alarm")
        else:
            app.push_screen(BodyScreen(app, app.client, step, attempt))

    # -- copying and comparing -----------------------------------------------------------------

    def do_copy(self) -> None:
        self.copying.ask()

    def do_compare(self) -> None:
        """Show the steps of the two marked runs side by side."""
        app = self._app
        marked = list(app.grid().marks)
        if len(marked) != 2 or app.whole_filter:
            told = "every run of the filter is" if app.whole_filter else f"{len(marked)} are"
            app.flash(f"mark two runs with space, then d compares them: {told} marked", "alarm")
            return
        app.run_worker(self._compared(*marked), group="compare", exclusive=True)

    async def _compared(self, first: str, second: str) -> None:
        app = self._app
        try:
            left, right = await self.tree(first), await self.tree(second)
        except (AtomicError, ValueError) as error:
            app.flash(str(error), "alarm")
            return
        lines = comparison(left, right, app.size.width - READ_FRAME_CELLS, app.rows.seen)
        app.push_screen(Read("Compare two runs", lines))

    async def tree(self, run_id: str) -> Tree:
        """A run with its steps: as it is known, or read for this. Raises AtomicError."""
        app = self._app
        known = app.store.trees.get(run_id)
        if known is not None and not known.outdated:
            return known
        if app.client is None:
            raise AtomicError(f"the steps of {short_id(run_id)} are not in the recording")
        found = clean(await app.client.run(run_id))
        return Tree(run_of(found.run), {row.id: step_of(row) for row in found.steps})
