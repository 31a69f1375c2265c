"""Looking at one run, its tree and its steps' bodies, or at two beside each other."""

from __future__ import annotations

from functools import partial
from itertools import chain

from engine.client import AtomicError
from tui.act.stage import BodyPage, ComparePage, Does, Page, Stage, telling
from tui.boards import said
from tui.boards.home import leads_to
from tui.data.filter import held_filter
from tui.data.model import Step, run_of, short_id, step_of
from tui.data.reach import why_no_bodies
from tui.data.tree import Tree
from tui.text.sanitize import clean


def open_run(
    stage: Stage, run_id: str, step_id: str | None = None, *, was_named: bool = False
) -> None:
    """Open a run, at one of its steps: by its id, or its name if a person named it."""
    stage.looking.open_run(run_id, step_id, was_named=was_named)
    stage.show("run")


def step_at(stage: Stage) -> Step | None:
    """The step under the cursor of the open run."""
    return stage.looking.step(stage.selection("run").cursor_id)


def list_runs(stage: Stage, q: str) -> None:
    """Go to the runs that a filter finds."""
    stage.looking.list_runs(q)
    stage.show("runs")


def _open(stage: Stage, _: str) -> None:
    """Open what is under the cursor."""
    store, row_id = stage.store, stage.selection().cursor_id
    if row_id is None:
        return
    match stage.looking.view:
        case "runs":
            run = store.runs.get(row_id)
            at = None if run is None or run.at is None else run.at.step_id
            open_run(stage, row_id, at)
        case "retries":
            retry = store.retries.get(row_id)
            if retry is not None:  # else it has left, and that is not drawn yet
                open_run(stage, retry.run_id, row_id)
        case "causes":
            list_runs(stage, f"is:stuck cause:{row_id}")
        case "hosts":
            list_runs(stage, f"is:live host:{row_id}")
        case "events":
            kept = chain(store.notable, store.events)
            event = next((e for e in kept if e.id == row_id), None)
            if event is not None:
                open_run(stage, event.run_id, event.step_id)
        case "jobs":
            list_runs(stage, f"job:{row_id}")
        case "home":
            _open_from_home(stage, row_id)
        case _ if stage.looking.toggles_rest(row_id):
            stage.redraw()
        case _:
            step = stage.looking.step(row_id)
            if step is not None and step.cause_id in stage.looking.lines:
                stage.selection().move_to_id(step.cause_id)
                stage.tell(f"{step.label} ended for this one: b shows its own last answer")
            else:
                _answer(stage, "")


def about_cause(stage: Stage) -> None:
    """All that is known of the cause under the cursor, and what was said of it."""
    cause = stage.store.causes.get(stage.selection().cursor_id or "")
    if cause is not None:
        lines = partial(said.about_cause, cause, stage.looking.seen(stage.store))
        stage.open(Page(f"Cause {cause.id}", lines))


def _open_from_home(stage: Stage, row_id: str) -> None:
    kind, name = leads_to(row_id)
    match kind:
        case "cause":
            list_runs(stage, f"is:stuck cause:{name}")
        case "host":
            list_runs(stage, f"is:live host:{name}")
        case "hold":
            list_runs(stage, held_filter(*name.split(":", 1)))
        case "run":
            run = stage.store.runs.get(name)
            open_run(stage, name, None if run is None or run.at is None else run.at.step_id)
        case _:
            stage.looking.go_into(kind)
            stage.show(kind)


def _neighbour(by: int) -> Does:
    def does(stage: Stage, _: str) -> None:
        ids, run_id = stage.store.listing("runs").ids, stage.looking.run_id
        at = ids.index(run_id) + by if run_id in ids else -1
        if 0 <= at < len(ids):
            stage.selection("runs").move_to_id(ids[at])
            open_run(stage, ids[at])
        else:
            stage.tell("no other run of the list there", "alarm")

    return does


def _problem(by: int) -> Does:
    def does(stage: Stage, _: str) -> None:
        rows = stage.selection("run")
        found = stage.looking.problem(rows.ids, rows.cursor, by)
        if found is None:
            stage.tell("no step failed, is failing or paused")
            return
        if found not in rows.ids:  # it was folded
            stage.redraw()
        rows.move_to_id(found)

    return does


def _collapse(stage: Stage, _: str) -> None:
    """Hide what is below; where nothing is, go to the step above."""
    rows = stage.selection()
    above = stage.looking.collapse(rows.cursor_id)
    if above is None:
        stage.redraw()
    else:
        rows.move_to_id(above)


def _expand(stage: Stage, _: str) -> None:
    row_id = stage.selection().cursor_id
    line = stage.looking.lines.get(row_id or "")
    if line is not None and line.step is not None and not line.children:
        stage.tell(f"no step is below {line.step.label}")
        return
    stage.looking.expand(row_id)
    stage.redraw()


def _chart(stage: Stage, _: str) -> None:
    stage.looking.toggle_chart()
    stage.redraw()


# -- bodies ----------------------------------------------------------------------------------------


def _payload(stage: Stage, _: str) -> None:
    step = step_at(stage)
    if step is not None:
        _read_body(stage, step, None)


def _answer(stage: Stage, _: str) -> None:
    step = step_at(stage)
    if step is None:
        return
    if step.last_answered is None:
        stage.tell(step.why_no_answer, "alarm")
    else:
        _read_body(stage, step, step.last_answered)


def _read_body(stage: Stage, step: Step, attempt: int | None) -> None:
    if stage.client is None:
        stage.tell("bodies are not in a recording", "alarm")
    elif why := why_no_bodies(stage.store.status):
        stage.tell(why, "alarm")
    else:
        stage.open(BodyPage(step, attempt))


# -- comparing -------------------------------------------------------------------------------------


def _compare(stage: Stage, _: str) -> None:
    """Show the steps of the two marked runs side by side."""
    marked, is_whole = list(stage.selection().marks), stage.looking.whole_filter
    if len(marked) != 2 or is_whole:
        told = "every run of the filter is" if is_whole else f"{len(marked)} are"
        stage.tell(f"mark two runs with space, then d compares them: {told} marked", "alarm")
        return
    work = telling(stage, partial(_compared, stage, *marked))
    stage.start(work, "compare", exclusive=True)


async def _compared(stage: Stage, first: str, second: str) -> None:
    left, right = await read_tree(stage, first), await read_tree(stage, second)
    stage.open(ComparePage(left, right))


async def read_tree(stage: Stage, run_id: str) -> Tree:
    """A run with its steps: as it is known, or read for this. Raises AtomicError."""
    known = stage.store.trees.get(run_id)
    if known is not None and not known.outdated:
        return known
    if stage.client is None:
        raise AtomicError(f"the steps of {short_id(run_id)} are not in the recording")
    found = clean(await stage.client.operate.run(run_id))
    return Tree(run_of(found.run), {row.id: step_of(row) for row in found.steps})


DOES: dict[str, Does] = {
    "open": _open,
    "next-run": _neighbour(1),
    "previous-run": _neighbour(-1),
    "next-problem": _problem(1),
    "previous-problem": _problem(-1),
    "collapse": _collapse,
    "expand": _expand,
    "chart": _chart,
    "payload": _payload,
    "answer": _answer,
    "compare": _compare,
}
