"""What is said of a run that is shown as it was: that this is not now, when it is, and what
happened then."""

from __future__ import annotations

from tui.boards.cells import Part, Piece, Seen
from tui.boards.events import EventRow, event_more, event_words
from tui.boards.looks import SHAPES, glyph
from tui.past.history import History
from tui.text import fmt


def badge(past: History, seen: Seen) -> Piece:
    """Before the head of the run: no look passes it."""
    return Piece(f" NOT NOW · {moment_text(past, seen)} · {_words(past)[0]} ", "reverse")


def moment_text(past: History, seen: Seen) -> str:
    """When it was, to the millisecond."""
    return fmt.time_of_day(past.moment.at, seen.zone, millis=True)


def past_told(past: History) -> list[Piece]:
    """Which moment it is of how many, and what happened then."""
    event = past.moment.headline
    words, style = _words(past)
    step = past.tree.steps.get(event.step_id)
    where = "" if event.is_root or step is None else f" {SHAPES.into} {step.label}"
    pieces = [
        Piece(f" {past.index + 1:,} of {len(past.moments):,} moments  ", "dim"),
        Piece(f"{glyph(event.state)} {words}{where}", style),
    ]
    if more := event_more(EventRow(event)):
        pieces.append(Piece(f"  {more}", "plain"))
    if others := len(past.moment.events) - 1:
        pieces.append(Piece(f"  and {others:,} more", "dim"))
    return pieces


def why_not_then(past: History, seen: Seen) -> str:
    """Why nothing can be done to a run that is shown as it was."""
    return f"this is how it was at {moment_text(past, seen)}: esc goes back to now"


def _words(past: History) -> Part:
    return event_words(EventRow(past.moment.headline))
