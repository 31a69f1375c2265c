"""Moving the cursor over rows, and marking them. With a move what is seen stops following."""

from __future__ import annotations

from collections.abc import Callable

from tui.act.stage import Does, Stage
from tui.boards.selection import MARKED_MAX
from tui.data import filter as query
from tui.data.listing import Edge

STEPS: dict[str, Callable[[int], int]] = {
    "down": lambda seen: 1,
    "up": lambda seen: -1,
    "half-down": lambda seen: seen // 2,
    "half-up": lambda seen: -(seen // 2),
    "page-down": lambda seen: seen,
    "page-up": lambda seen: -seen,
}
"""By how many rows a command moves, of so many that are seen."""


def _step(command_id: str) -> Does:
    def does(stage: Stage, _: str) -> None:
        stage.looking.follow(following=False)
        rows = stage.selection()
        rows.move(STEPS[command_id](rows.rows_seen))

    return does


def first(stage: Stage, _: str = "") -> None:
    """To the head of the list, also if that was not read yet."""
    _to_the_end(stage, 0, Edge.HEAD)


def _to_the_end(stage: Stage, index: int, edge: Edge) -> None:
    looking = stage.looking
    listing = stage.store.listing(looking.view)
    is_read = listing.at_head if edge is Edge.HEAD else listing.at_tail
    if looking.view == "runs" and stage.feed is not None and not is_read:
        stage.feed.want_more(edge)
    looking.follow(following=False)
    stage.selection().move_to(index)


def near_edge(stage: Stage, *, at_head: bool) -> None:
    """Read more of a long list before its end is reached."""
    listing = stage.store.listing("runs")
    if stage.feed is None or stage.looking.view != "runs":
        return
    if at_head and not listing.at_head:
        stage.feed.want_more(Edge.BEFORE)
    elif not at_head and not listing.at_tail and listing.ids:
        stage.feed.want_more(Edge.AFTER)


def _mark(stage: Stage, _: str) -> None:
    stage.looking.mark_filter(whole=False)  # from here on what is marked is what is seen to be
    stage.selection().toggle_mark()
    DOES["down"](stage, "")
    stage.redraw()


def _mark_range(stage: Stage, _: str) -> None:
    stage.selection().mark_range()
    stage.redraw()


def _mark_all(stage: Stage, _: str) -> None:
    looking = stage.looking
    listing = stage.store.listing(looking.view)
    stage.selection().mark_all()
    read = listing.at_head and listing.at_tail and len(listing) <= MARKED_MAX
    is_filtered = looking.view == "runs" and not query.is_empty(looking.filter)
    looking.mark_filter(whole=is_filtered and not read)
    stage.redraw()


def unmark(stage: Stage, _: str = "") -> None:
    """Take all marks away, those of a whole filter too."""
    stage.looking.mark_filter(whole=False)
    stage.selection().clear_marks()
    stage.redraw()


DOES: dict[str, Does] = {
    **{command_id: _step(command_id) for command_id in STEPS},
    "first": first,
    "last": lambda stage, _: _to_the_end(stage, -1, Edge.TAIL),
    "mark": _mark,
    "mark-range": _mark_range,
    "mark-all": _mark_all,
    "unmark": unmark,
}
