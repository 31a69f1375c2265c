"""What is said of a run that is shown as it was: that this is not now, when it is, and what
happened then."""

from __future__ import annotations

from tui.boards.cells import Part, Piece, Seen, event_more, event_words
from tui.boards.looks import SHAPES, glyph
from tui.data.store import Store
from tui.past.happened import EventRow
from tui.past.history import History
from tui.past.player import Player
from tui.text import fmt
from tui.text.sanitize import clip, width


def badge(past: History, seen: Seen) -> Piece:
    """Before the head of the run: no look passes it."""
    return Piece(f" NOT NOW · {moment_text(past, seen)} · {_words(past)[0]} ", "reverse")


def moment_text(past: History, seen: Seen) -> str:
    """When it was, to the millisecond."""
    return fmt.time_of_day(past.moment.at, seen.zone, millis=True)


def played_text(player: Player, store: Store) -> str:
    """Of a recording that it is one, what time it is there, and how fast that goes."""
    what = "RECORDING" if player.hour is None else "PAST"
    at = fmt.moment(store.time.now_ms(), player.clock.real.wall() * 1000)
    if player.is_at_end:
        how = " at its end"
    elif player.clock.stands:
        how = " stands still"
    else:
        how = "" if player.clock.speed == 1.0 else f" ×{player.clock.speed:g}"
    return f"{what} {at}{how}" if store.time.known else what


def past_told(past: History, cells: int) -> list[Piece]:
    """Which moment it is of how many, and what happened then, in so many cells."""
    event = past.moment.headline
    words, style = _words(past)
    step = past.tree.steps.get(event.step_id)
    where = "" if event.is_root or step is None else f" {SHAPES.into} {step.label}"
    pieces = [
        Piece(f" {past.index + 1:,} of {len(past.moments):,} moments  ", "dim"),
        Piece(f"{glyph(event.state)} {words}{where}", style),
    ]
    others = len(past.moment.events) - 1
    rest = [Piece(f"  and {others:,} more", "dim")] if others else []
    room = cells - sum(width(piece.text) for piece in (*pieces, *rest))
    if more := event_more(EventRow(event)):
        pieces.append(Piece(clip(f"  {more}", max(0, room)), "plain"))
    return [*pieces, *rest]


def why_not_then(past: History, seen: Seen) -> str:
    """Why nothing can be done to a run that is shown as it was."""
    return f"this is how it was at {moment_text(past, seen)}: esc goes back to now"


def _words(past: History) -> Part:
    return event_words(EventRow(past.moment.headline))
