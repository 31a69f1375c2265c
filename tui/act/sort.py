"""Which rows of a board are listed, and in which order they stand."""

from __future__ import annotations

import re

from tui.act.stage import Choice, Does, Question, Stage, TypedLine
from tui.boards.looks import SHAPES
from tui.boards.rows import GRIDS
from tui.boards.sorting import FIXED, SORTS
from tui.data import filter as query

KINDS = {"run": "steps", "events": "events"}
"""What is typed behind `/`, where it is no filter of runs."""
_OF_JOB = re.compile(r"(^|\s)job:")
AS_LISTED = "as the engine lists them"


def _filter(stage: Stage, text: str) -> None:
    if text:
        filter_by(stage, text)
    else:
        kind = KINDS.get(stage.looking.view, "filter")
        text = stage.looking.filter
        begin = f"{text} " if _OF_JOB.search(text) else text  # what is typed adds to it
        stage.ask(TypedLine(kind, begin), lambda typed: filter_by(stage, typed))


def filter_by(stage: Stage, text: str) -> None:
    """List other rows; what is wrong with the filter is said."""
    kind = KINDS.get(stage.looking.view, "filter")
    if stage.player is not None and stage.player.hour is not None and kind == "filter":
        kind = "past"
    if (fault := query.FAULTS[kind](text)) is not None:
        stage.tell(fault.detail, "alarm")
        return
    stage.looking.filter_by(text)
    stage.show(stage.looking.view)


def _sort(stage: Stage, _: str) -> None:
    """Choose a column; of runs there is one, so it is turned round."""
    view = stage.looking.view
    if view == "runs":
        _turn_order(stage)
        return
    if view not in SORTS:
        stage.tell(FIXED[view], "alarm")
        return
    columns = [column for column in GRIDS[view] if column.key in SORTS[view]]
    keys = {column.title.lower(): column.key for column in columns}
    now = stage.looking.sorted_by.get(view)
    choices = [
        Choice(f"{at}", title, title, _direction(key, now))
        for at, (title, key) in enumerate(keys.items(), 1)
    ]
    choices.append(Choice("0", AS_LISTED, AS_LISTED, "" if now else "now"))

    def chosen(title: str) -> None:
        if title:
            _sort_by(stage, keys.get(title))

    stage.ask(Question("Sort by", choices=choices), chosen)


def clicked(stage: Stage, key: str) -> None:
    """The head of a column was clicked."""
    view = stage.looking.view
    if view == "runs" and key == "age":
        _turn_order(stage)
    elif key in SORTS.get(view, {}):
        _sort_by(stage, key)
    else:
        stage.tell(FIXED.get(view, "this column does not sort"), "alarm")


def _sort_by(stage: Stage, key: str | None) -> None:
    stage.looking.sort(key)
    stage.redraw()


def _turn_order(stage: Stage) -> None:
    """Oldest first, or newest first again. The cursor stays on its run, and marks on theirs."""
    looking, listing = stage.looking, stage.store.listing("runs")
    if stage.store.stale and not (listing.at_head and listing.at_tail):
        stage.tell("not connected: the other end of the list cannot be read", "alarm")
        return
    looking.turn()
    if stage.feed is not None:
        stage.feed.show(looking.board)
    else:
        listing.turn()
    if stage.player is not None:
        stage.player.look(looking.board, looking.open_run_id)
    looking.turned(done=listing.total is not None)
    stage.redraw()


def row_lost(stage: Stage) -> str:
    """What to say when the cursor's row is not among those that were read."""
    if not stage.looking.is_turning:
        return "the row under the cursor has left the list"
    stage.looking.turned()
    marks = stage.selection("runs").marks_lost
    told = f", and {marks:,} marks were taken away" if marks else ""
    return f"its run is further down in this order: the cursor is on another one{told}"


def _direction(key: str, now: tuple[str, bool] | None) -> str:
    if now is None or now[0] != key:
        return ""
    return f"now {SHAPES.arrow_down if now[1] else SHAPES.arrow_up}, again turns it round"


DOES: dict[str, Does] = {"filter": _filter, "sort": _sort}
