"""What people say of a run or a cause, and do to a step by hand, in words: notes, that a cause was
dismissed, and what they did in the place of a step's endpoint, or of who posted it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.shown import said, times
from engine.wire import DismissalRow, NoteRow, RepairRow
from tui.boards.cells import Cell, Part, Seen, age_cell, cause_text, cause_what
from tui.boards.looks import SHAPES
from tui.data.model import Cause, Step, ms_of
from tui.text import fmt
from tui.text.sanitize import wrap

REPAIRS_SHOWN_MAX = 3
NOTES_SHOWN_MAX = 3
"""Of a run, where its page has other things to tell too."""


def ago(at: str, now_ms: float) -> str:
    """`2h ago`."""
    return f"{times.span(max(0.0, now_ms - (ms_of(at) or 0)))} ago"


def note_text(note: NoteRow, now_ms: float) -> str:
    """`note 2h ago by ana: vendor informed`."""
    return said.note_text(ago(note.at, now_ms), note.actor, note.text)


def dismissal_text(it: DismissalRow, now_ms: float) -> str:
    """`dismissed 2h ago by ana: known`; `came again after ana dismissed it 2h ago: known`."""
    when = ago(it.at, now_ms)
    return said.dismissal_text(when, it.actor, it.reason, came_again=it.came_again)


def latest_note(notes: Sequence[NoteRow], now_ms: float) -> str:
    """The latest, and how many there are before it; empty: there is none."""
    if not notes:
        return ""
    before = f" (and {len(notes) - 1} before)" if len(notes) > 1 else ""
    return f"{note_text(notes[-1], now_ms)}{before}"


def said_of(cause: Cause, now_ms: float) -> Iterator[Part]:
    """Of a cause: its dismissal, and the latest note."""
    if (dismissal := cause.dismissal) is not None:
        style = "alarm" if dismissal.came_again else "dim"
        yield dismissal_text(dismissal, now_ms), style
    if note := latest_note(cause.notes, now_ms):
        yield note, "strong"


def notes_told(notes: Sequence[NoteRow], seen: Seen) -> Iterator[tuple[str, str, str]]:
    """The latest first, each with when and by whom."""
    for note in notes[: -NOTES_SHOWN_MAX - 1 : -1]:
        when = fmt.moment(ms_of(note.at) or 0, seen.now_ms, seen.zone)
        yield "note", f"{note.text} ({note.actor}, {when})", "strong"
    if len(notes) > NOTES_SHOWN_MAX:
        yield "", f"… and {len(notes) - NOTES_SHOWN_MAX} before: atomic show", "dim"


def about_cause(cause: Cause, seen: Seen, cells: int) -> list[Cell]:
    """All that is known of a cause, and all that was said of it, in lines of so many cells."""
    told: list[tuple[str, str, str]] = [
        ("what", cause_text(cause), str(cause.state)),
        ("where", cause_what(cause)[0], "plain"),
        ("runs", fmt.count(cause.runs), "plain"),
        ("first", _passed(cause.first_at, seen), "plain"),
        ("last", _passed(cause.last_at, seen), "plain"),
        ("id", cause.id, "plain"),
    ]
    if cause.pattern is not None and cause.pattern not in cause_text(cause):
        told.insert(1, ("all", cause.pattern, "plain"))
    if cause.dismissal is not None:
        style = "alarm" if cause.dismissal.came_again else "plain"
        told.append(("", dismissal_text(cause.dismissal, seen.now_ms), style))
    told += (("", note_text(note, seen.now_ms), "plain") for note in cause.notes)
    return [line for label, text, style in told for line in _beside(label, text, style, cells)]


def _passed(at: int, seen: Seen) -> str:
    """`11m ago, at 18:22:33`: when one of the runs that are stuck for it now got stuck."""
    return f"{age_cell(at, seen)[0]} ago, at {fmt.moment(at, seen.now_ms, seen.zone)}"


def _beside(label: str, text: str, style: str, cells: int) -> Iterator[Cell]:
    for at, line in enumerate(wrap(text, cells - 7)):
        yield ((f"{'' if at else label:<7}", "dim"), (line, style))


# -- by hand --------------------------------------------------------------------------------------


def hand_text(repair: RepairRow) -> str:
    """`result set by ana`."""
    return said.repair_text(repair.act, repair.actor)


def hand_sign(step: Step) -> Part:
    """Before the name of a step that stands as it does by a person's hand; else nothing."""
    return (f"{SHAPES.by_hand} ", "paused") if step.by_hand is not None else ("", "plain")


def hand_note(step: Step) -> Part:
    """The same behind its name: what was done, and by whom."""
    repair = step.by_hand
    return ("", "plain") if repair is None else (f"  {hand_text(repair)}", "paused")


def repairs_told(step: Step, seen: Seen) -> Iterator[tuple[str, str, str]]:
    """All of them, the latest first, each with when and why."""
    label = "hand"
    for repair in step.repairs[: -REPAIRS_SHOWN_MAX - 1 : -1]:
        at = ms_of(repair.at)
        when = "" if at is None else f", {fmt.moment(at, seen.now_ms, seen.zone)}"
        why = f": {repair.reason}" if repair.reason else ""
        yield label, f"{hand_text(repair)}{when}{why}", "paused"
        label = ""
    if len(step.repairs) > REPAIRS_SHOWN_MAX:
        yield "", f"… and {len(step.repairs) - REPAIRS_SHOWN_MAX} before", "dim"
