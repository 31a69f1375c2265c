"""Looking at one run: its tree, its steps' bodies, and copying what is under the cursor."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from engine.client import AtomicError
from tui.boards import Cell
from tui.detail import body_lines
from tui.model import Step
from tui.rows import RUN
from tui.screens.ask import Choose, Read

if TYPE_CHECKING:
    from tui.app import Dashboard
    from tui.widgets.grid import Grid

BODY_BYTES_SHOWN = 65_536


class Reading:
    """The run that is open, and what of it is folded."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.run_id: str | None = None
        self.collapsed: set[str] = set()
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
        self._at = step_id
        app.show_view("run")
        app.draw()

    def land(self, grid: Grid) -> None:
        """Put the cursor on the step that the run was opened at, as soon as it is there."""
        if self._at is None or self._app.view != "run" or not grid.ids:
            return
        at, self._at = self._at, None
        grid.move_to_id(at)

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
                self.open_run(store.retries[row_id].run_id, row_id)
            case "causes":
                app.filters["runs"] = f"is:stuck cause:{row_id}"
                app.show_view("runs")
            case "hosts":
                app.filters["runs"] = f"is:live host:{row_id}"
                app.show_view("runs")
            case "events":
                event = next((e for e in store.events if e.id == row_id), None)
                if event is not None:
                    self.open_run(event.run_id, event.step_id)
            case "jobs":
                job = next((job for job in store.jobs if job.id == row_id), None)
                if job is not None:
                    app.filters["runs"] = job.q
                    app.show_view("runs")
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
        grid = self._app.grid("run")
        shown = any(column.key == "chart" for column in grid.columns)
        grid.columns = tuple(c for c in RUN if c.key != "chart") if shown else RUN
        grid.refresh()

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
        if self._app.client is None:
            self._app.flash("bodies are not in a recording", "alarm")
        else:
            self._app.run_worker(self._show_body(step, attempt), group="body", exclusive=True)

    async def _show_body(self, step: Step, attempt: int | None) -> None:
        client = self._app.client
        assert client is not None
        try:
            if attempt is None:
                part = await client.payload(step.id, count=BODY_BYTES_SHOWN)
            else:
                part = await client.answer(step.id, attempt, count=BODY_BYTES_SHOWN)
        except AtomicError as error:
            self._app.flash(str(error), "alarm")
            return
        what = "payload" if attempt is None else f"answer to try {attempt}"
        lines: list[Cell] = body_lines(part, self._app.size.width - 6)
        self._app.push_screen(Read(f"{step.name}: {what}", lines))

    # -- copying -------------------------------------------------------------------------------

    def do_copy(self) -> None:
        choices = self._copies()
        if not choices:
            self._app.flash("nothing to copy here", "alarm")
            return
        shown = [(name[0], name, value) for name, value in choices.items()]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._app.copy_to_clipboard(choices[name])
                to = "browser, if it allows" if self._app.is_web else "terminal (OSC 52)"
                self._app.flash(f"{name} sent to the {to}")

        self._app.push_screen(Choose("Copy", shown), chosen)

    def _copies(self) -> dict[str, str]:
        app = self._app
        row_id = app.grid().cursor_id
        if row_id is None:
            return {}
        if app.view == "run":
            step = self.step()
            if step is None:
                return {}
            url = shlex.quote(step.url)
            return {
                "id": step.id,
                "key": step.key,
                "url": step.url,
                "curl": f"curl -i -X POST -H 'Content-Type: application/json' {url}",
            }
        run = app.store.runs.get(row_id)
        return {"id": row_id} | ({} if run is None else {"key": run.key})
