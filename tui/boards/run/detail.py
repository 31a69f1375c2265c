"""What the inspector says of a step: how it stands, whom it calls, its attempts, what followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.shown import said, times
from engine.shown.states import SET_BY
from engine.wire import DelayBy, Failure, FailureKind, HoldRow, MoveRow, NoteRow, PauseReason
from tui.boards.cells import Cell, Part, Seen, last_text, step_state_cell, why_text
from tui.boards.held import hold_text, way_out
from tui.boards.looks import LOOKS
from tui.boards.said import notes_told, repairs_told
from tui.boards.steptree import STILL, took_cell
from tui.data.model import Attempt, State, Step, ms_of
from tui.text import fmt
from tui.text.sanitize import width, wrap

ATTEMPTS_SHOWN_MAX = 200
MOVES_SHOWN_MAX = 3
LINES_OF_A_TEXT_MAX = 4
"""So much of a long address or error is shown."""
INDENT_CELLS, RESULT_AT = 7, 25
"""Where an attempt's time begins, and what it came to."""

UNHANDLED_HINT = (
    "A step below failed; this neither dealt with that nor answered 424."
    " P resumes it: it is told again, with a fresh budget. R on the failed step opens that."
)


def inspector(
    step: Step,
    seen: Seen,
    cells: int,
    *,
    roomy: bool = False,
    moves: Sequence[MoveRow] = (),
    notes: Sequence[NoteRow] = (),
    holds: Sequence[HoldRow] = (),
    releasing_takes: str = "",
    cause: Step | None = None,
    answer: Sequence[Cell] = (),
) -> list[Cell]:
    """A step, in lines of so many cells. `roomy`: there are lines enough for all of it. `moves`: of
    the run whose root it is, to other URLs; `notes`: of that run. `holds`: those on it, and what
    beside the command `releasing_takes`. `cause`: the step for which it ended. `answer`: how the
    answer to its last attempt begins."""
    state, style = step_state_cell(step)
    took, took_style = took_cell(step, seen)
    if step.state is State.PAUSED or took == "—":
        took = ""  # nothing, or what its state says already
    took = took.removeprefix(STILL)  # which the state says too
    lines: list[Cell] = [
        ((f"{step.label}  ", "strong"), (state, style), (f"  {took}", took_style)),
    ]
    whom, moved = _whom(step, seen, roomy=roomy), _moved(moves, seen)
    held = _held(step, holds, releasing_takes, seen)
    for label, text, style in (
        *_why(step, cause),
        *repairs_told(step, seen),
        *notes_told(notes, seen),
        *held,
        *whom,
        *moved,
        *_next(step, seen),
    ):
        lines += _told(f"{label:<6} ", text, style, cells)
    if step.awaiting_post:
        lines.append(("starts when the workflow posts it again", "dim"))
    tries = [("", "plain"), *_attempts(step, seen, cells, roomy=roomy)]
    told = [("", "plain"), *answer] if answer else []
    return [*lines, *told, *tries] if roomy else [*lines, *tries, *told]


def _told(label: str, text: str, style: str, cells: int) -> Iterator[Cell]:
    """A text behind its label, on as many lines as it takes, up to a few."""
    indent = len(label)
    for at, line in enumerate(wrap(text, cells - indent, LINES_OF_A_TEXT_MAX)):
        yield ((label if not at else " " * indent, "dim"), (line, style))


def _whom(step: Step, seen: Seen, *, roomy: bool) -> Iterator[tuple[str, str, str]]:
    """What is called, and how it is known."""
    yield "POST", step.url, "plain"
    yield "key", step.key, "plain"
    yield "id", step.id, "plain"
    if roomy:
        began = fmt.time_of_day(step.submitted_at, seen.zone)
        ended = step.ended_at
        until = "" if ended is None else f", ended {fmt.time_of_day(ended, seen.zone)}"
        opened = step.opened_at
        again = "" if opened is None else f", opened again {fmt.time_of_day(opened, seen.zone)}"
        yield "at", f"submitted {began}{again}{until}", "plain"
    if step.generation > 1:
        yield "gen", f"{step.generation}", "plain"


def _moved(moves: Sequence[MoveRow], seen: Seen) -> Iterator[tuple[str, str, str]]:
    """To which URLs its run was moved, the latest first."""
    for move in moves[: -MOVES_SHOWN_MAX - 1 : -1]:
        at = ms_of(move.at)
        when = "" if at is None else f"{fmt.time_of_day(at, seen.zone)} "
        who = "" if move.actor is None else f"by {said.who_text(move.actor)} "
        yield "moved", f"{when}{who}{move.from_} → {move.to}", "plain"
    if len(moves) > MOVES_SHOWN_MAX:
        yield "", f"… and {len(moves) - MOVES_SHOWN_MAX} before", "dim"


def _why(step: Step, cause: Step | None) -> Iterator[tuple[str, str, str]]:
    """What went wrong: first of all, as it is what one looks for."""
    if step.error is not None and step.state is not State.COMPLETED:
        # who waits was sent home until a step below it ends: that is no failure
        yield "last", _last(step), "waiting" if step.state is State.WAITING else "failed"
    if cause is not None and cause.id != step.id:
        yield "cause", f"{cause.label}: {_last(cause)}", "failed"
    elif step.cause_id is not None:
        yield "cause", step.cause_id, "plain"


def _held(
    step: Step, holds: Sequence[HoldRow], takes: str, seen: Seen
) -> Iterator[tuple[str, str, str]]:
    """By what and whom it is held, and how that ends."""
    for hold in holds:
        told = hold_text(hold, seen.now_ms, seen.zone)
        rest = told.removeprefix("held: ")
        yield "held" if rest != told else "", rest, "paused"
        if command := way_out(hold):
            yield "", f"{command} lets it start{takes}", "dim"
    if step.held_since is not None:
        since = fmt.moment(step.held_since, seen.now_ms, seen.zone)
        yield "" if holds else "held", f"maxElapsed stands still since {since}", "dim"


def _next(step: Step, seen: Seen) -> Iterator[tuple[str, str, str]]:
    """What it waits for, and what set that."""
    if step.waits is not None and step.held_since is None:
        yield "waits", step.waits.text.removeprefix("waits "), "backing-off"
    elif step.state is State.BACKING_OFF and step.due_at is not None and step.held_since is None:
        at = fmt.time_of_day(step.due_at, seen.zone)
        delay = "" if step.delay_ms is None else f" ({times.took(step.delay_ms)} back-off)"
        by = SET_BY.get(step.delay_by or "", step.delay_by or "")
        yield "next", f"{at}{delay}, set by {by}", "plain"
    if step.pause_reason is not None:
        yield "paused", step.pause_reason, "paused"
        if step.pause_reason == PauseReason.UNHANDLED_FAILURE:
            yield "", UNHANDLED_HINT, "dim"
    left = step.tries_left
    if left is not None:
        yield "tries", f"{step.attempts} made, {left} left", "plain"


def _last(step: Step) -> str:
    """How its last attempt ended, whole: what its answer says, and what its error says beyond
    that."""
    told = why_text(step.http_status, step.error, step.excerpt)
    error, failure = step.error or "", Failure.parse(step.error)
    if step.http_status is not None and failure.kind is FailureKind.HTTP_STATUS:
        return told + (failure.beyond(step.http_status) or "")
    return told if step.excerpt is not None and step.excerpt in error else error or told


def _attempts(step: Step, seen: Seen, cells: int, *, roomy: bool) -> Iterator[Cell]:
    if not step.tries:
        yield ("no attempt yet", "dim")
        return
    yield (" try   started   took    result", "dim")
    for attempt in reversed(step.tries[-ATTEMPTS_SHOWN_MAX:]):
        yield from _attempt(attempt, seen, cells, roomy=roomy)
    if len(step.tries) > ATTEMPTS_SHOWN_MAX:
        yield (f"… and {len(step.tries) - ATTEMPTS_SHOWN_MAX:,} before", "dim")


_COUNTS = {
    "success": State.COMPLETED,
    "failure": State.FAILED,
    "running": State.RUNNING,
    "interruption": State.WAITING,
    "crash": State.CANCELLED,
    "late": State.CANCELLED,
}


def _attempt(attempt: Attempt, seen: Seen, cells: int, *, roomy: bool) -> Iterator[Cell]:
    """An attempt, with what followed behind it, or below it where there is no room."""
    look = LOOKS[_COUNTS.get(attempt.status, State.UNKNOWN)]
    ended_at = seen.now_ms if attempt.is_open else attempt.ended_at
    lasted = "?" if ended_at is None else times.took(ended_at - attempt.started_at)
    result, why = last_text(attempt.http_status, attempt.error), attempt.excerpt
    if attempt.status in ("interruption", "crash", "late"):
        result = f"{attempt.status} {'' if result == '—' else result}".rstrip()
    if attempt.is_open:
        result = "in flight"
    waits = ""
    if attempt.delay_ms is not None and attempt.delay_by is not None:
        by = "Retry-After" if attempt.delay_by == DelayBy.RETRY_AFTER else attempt.delay_by
        waits = f"then {times.took(attempt.delay_ms)} ← {by}"
    if why is not None:  # on the same line if there is room for it
        joint = " " if result.isdigit() else ": "
        room = cells - RESULT_AT - (2 + width(waits) if waits else 0)
        if width(f"{result}{joint}{why}") <= room:
            result, why = f"{result}{joint}{why}", None
    line: tuple[Part, ...] = (
        (f"{attempt.number:>4} ", "plain"),
        (f"{look.glyph} ", look.style),
        (f"{fmt.time_of_day(attempt.started_at, seen.zone)}  ", "dim"),
        (f"{lasted:<7} ", "plain"),
        (result, look.style),
    )
    indent = " " * INDENT_CELLS
    fits = RESULT_AT + width(result) + 2 + width(waits) <= cells
    yield (*line, (f"  {waits}", "backing-off")) if waits and fits else line
    if why is not None:
        yield from _told(indent, why, look.style, cells)
    failure = Failure.parse(attempt.error)
    more, beyond = failure.more, failure.beyond(attempt.http_status)
    # "" is beyond a status that stands above, and an excerpt says more than other failures do
    if roomy and more and beyond != "" and (attempt.excerpt is None or beyond is not None):
        yield from _told(indent, more, "dim", cells)
    if waits and not fits:
        yield ((indent, "plain"), (waits, "backing-off"))
