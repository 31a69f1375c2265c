"""Walking in a run's own time: back from now, moment by moment, and on to now again."""

from __future__ import annotations

from functools import partial

from anyio import to_thread

from tui.act.stage import Does, Stage, telling
from tui.boards.around.past import moment_text
from tui.data.tree import Tree
from tui.past.history import Gathered, History
from tui.past.reading import PastError, happened_to
from tui.text import fmt

GROUP = "past"
NO_TIME = "`{}` is no time: 03:12, 03:12:07 or 03:12:07.250"
NOT_READ = "the run is not read yet"


def _walk(by: int) -> Does:
    def does(stage: Stage, _: str) -> None:
        past = stage.looking.past
        if past is None and by > 0:
            stage.tell("this is now: , shows the run as it was a moment before", "alarm")
        elif past is None:
            _begin(stage, None)
        elif past.go(past.index + by):
            _shown(stage)
        elif by < 0:
            stage.tell("nothing happened to it before", "alarm")
        else:
            leave(stage)

    return does


def go_to(stage: Stage, text: str) -> None:
    """Show the open run as it was at a time of the day."""
    at_ms = fmt.time_typed(text, stage.store.time.now_ms(), stage.looking.zone)
    if at_ms is None:
        stage.tell(NO_TIME.format(text), "alarm")
    elif stage.looking.past is None:
        _begin(stage, at_ms)
    else:
        _go(stage, stage.looking.past, at_ms)


def _go(stage: Stage, past: History, at_ms: float) -> None:
    """Stand at the last moment up to a time."""
    to = past.at(at_ms)
    past.go(max(0, to))
    _shown(stage)
    if to < 0:
        stage.tell(f"it began at {moment_text(past, stage.looking.seen(stage.store))}", "alarm")


def _shown(stage: Stage) -> None:
    """It is another moment, which the last line tells."""
    stage.tell("")
    stage.redraw()


def leave(stage: Stage) -> bool:
    """Back to now, also from reading what was. False: this is now."""
    if not stage.looking.leave_past():
        return False
    stage.start(_nothing(), GROUP, exclusive=True)  # in place of what reads
    stage.redraw()
    stage.tell("this is now")
    return True


async def _nothing() -> None:
    pass


def _begin(stage: Stage, at_ms: float | None) -> None:
    """Show the run as it was at a time, or at its last moment: from what the dashboard has seen
    happen to it, or else from what the engine tells."""
    tree = stage.store.trees.get(stage.looking.run_id or "")
    if tree is None:
        stage.tell(NOT_READ, "alarm")
        return
    gathered = Gathered(tree)
    for event in stage.store.events:
        if event.run_id == tree.run.id:
            gathered.take(event)
    if gathered.may_be_whole:
        _show(stage, History(tree, gathered.events), at_ms)
    elif stage.client is None:
        stage.tell("not all that happened to this run is in the recording", "alarm")
    else:
        stage.looking.read_past("reading what happened to it… · esc leaves it")
        stage.start(telling(stage, partial(_read, stage, tree, at_ms)), GROUP, exclusive=True)
        stage.redraw(ids=False)


async def _read(stage: Stage, tree: Tree, at_ms: float | None) -> None:
    looking, client = stage.looking, stage.client
    assert client is not None

    def passed(events: int) -> None:
        if looking.reads_past:
            looking.read_past(f"reading what happened to it: {events:,} events… · esc leaves it")
            stage.redraw(ids=False)
        else:  # something else is looked at by now
            stage.start(_nothing(), GROUP, exclusive=True)

    try:
        events = await happened_to(client, tree, passed)
        past = await to_thread.run_sync(History, tree, events)  # of a wide run half a second
        if looking.reads_past and looking.open_run_id == tree.run.id:
            _show(stage, past, at_ms)
    except PastError as error:
        stage.tell(f"{error}", "alarm")
    finally:
        if looking.past is None:
            looking.leave_past()


def _show(stage: Stage, past: History, at_ms: float | None) -> None:
    stage.looking.walk(past)
    if at_ms is None:
        _shown(stage)
    else:
        _go(stage, past, at_ms)


DOES: dict[str, Does] = {"earlier": _walk(-1), "later": _walk(1)}
