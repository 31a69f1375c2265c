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


class Reading:
    """The run that is open, and what of it is folded."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.redactor = Redactor(app.options.redact)
        self.last_answer = LastAnswer(app)
        self.copying = Copying(app)

    # -- which run and step --------------------------------------------------------------------

    def open_run(self, run_id: str, step_id: str | None = None) -> None:
        """Open a run, at one of its steps."""
        app = self._app
        app.looking.open_run(run_id, step_id)
        app.show_view("run")
        app.draw()

    def step(self) -> Step | None:
        """The step under the cursor of the open run."""
        return self._app.looking.step(self._app.selection("run").cursor_id)

    def do_open(self) -> None:
        """Open what is under the cursor."""
        app, store = self._app, self._app.store
        row_id = app.selection().cursor_id
        if row_id is None:
            return
        match app.looking.view:
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
        ids, run_id = app.store.listing("runs").ids, app.looking.run_id
        if run_id in ids:
            at = ids.index(run_id) + by
            if 0 <= at < len(ids):
                app.selection("runs").move_to_id(ids[at])
                self.open_run(ids[at])
                return
        app.flash("no other run of the list there", "alarm")

    def do_next_run(self) -> None:
        self._neighbour(1)

    def do_previous_run(self) -> None:
        self._neighbour(-1)

    def _problem(self, by: int) -> None:
        app = self._app
        rows = app.selection("run")
        found = app.looking.problem(rows.ids, rows.cursor, by)
        if found is None:
            app.flash("no step failed, is failing or paused")
        else:
            rows.move_to_id(found)

    def do_next_problem(self) -> None:
        self._problem(1)

    def do_previous_problem(self) -> None:
        self._problem(-1)

    def do_collapse(self) -> None:
        """Hide what is below; where nothing is, go to the step above."""
        app = self._app
        above = app.looking.collapse(app.selection().cursor_id)
        if above is None:
            app.draw()
        else:
            app.selection().move_to_id(above)

    def do_expand(self) -> None:
        self._app.looking.expand(self._app.selection().cursor_id)
        self._app.draw()

    def do_inspector(self) -> None:
        inspector = self._app.query_one("#inspector")
        inspector.display = not inspector.display

    def do_chart(self) -> None:
        """The chart, or the times of the attempts in its place."""
        self._app.looking.toggle_chart()
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
        marked = list(app.selection().marks)
        if len(marked) != 2 or app.looking.whole_filter:
            told = (
                "every run of the filter is" if app.looking.whole_filter else f"{len(marked)} are"
            )
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
        found = clean(await app.client.operate.run(run_id))
        return Tree(run_of(found.run), {row.id: step_of(row) for row in found.steps})
