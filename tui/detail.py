"""What the inspector says of a step: how it stands, whom it calls, its attempts, what followed."""

from __future__ import annotations

from collections.abc import Iterator

from tui import fmt
from tui.boards import Cell, Seen, last_text, state_cell
from tui.looks import LOOKS
from tui.model import Attempt, State, Step
from tui.steptree import took_cell

ATTEMPTS_SHOWN_MAX = 200

SET_BY = {
    "policy": "the retry policy",
    "retry-after": "Retry-After",
    "interrupted": "an interruption, which costs no retry",
    "child-ended": "the end of a step below",
    "operator": "an operator",
}


def inspector(step: Step, seen: Seen) -> list[Cell]:
    """A step, in lines."""
    state, style = state_cell(step.state, seen)
    took, took_style = took_cell(step, seen.now_ms, estimated=seen.estimated)
    lines: list[Cell] = [
        ((f"{step.name}  ", "strong"), (state, style), (f"  {took}", took_style)),
        (("POST ", "dim"), (step.url, "plain")),
        (("key  ", "dim"), (step.key, "plain")),
        (("id   ", "dim"), (step.id, "plain")),
    ]
    if step.generation > 1:
        lines.append((("gen  ", "dim"), (f"{step.generation}", "plain")))
    lines += _why(step, seen)
    lines += [("", "plain"), *_attempts(step, seen)]
    return lines


def _why(step: Step, seen: Seen) -> Iterator[Cell]:
    """What it waits for, and what set that."""
    if step.state is State.BACKING_OFF and step.due_at is not None:
        at = fmt.time_of_day(step.due_at, seen.zone)
        delay = "" if step.delay_ms is None else f" ({fmt.took(step.delay_ms)} back-off)"
        by = SET_BY.get(step.delay_by or "", step.delay_by or "")
        yield (("next ", "dim"), (f"{at}{delay}, set by {by}", "plain"))
    if step.pause_reason is not None:
        yield (("paused ", "dim"), (step.pause_reason, "paused"))
    if step.awaiting_post:
        yield ("starts when the workflow posts it again", "dim")
    left = step.tries_left
    if left is not None:
        yield (("tries ", "dim"), (f"{step.attempts} made, {left} left", "plain"))
    if step.error is not None and step.state is not State.COMPLETED:
        told = last_text(step.http_status, step.error)
        yield (("last ", "dim"), (told if told.isdigit() else step.error, "failed"))
    if step.cause_id is not None:
        yield (("because of ", "dim"), (step.cause_id, "plain"))


def _attempts(step: Step, seen: Seen) -> Iterator[Cell]:
    if not step.tries:
        yield ("no attempt yet", "dim")
        return
    yield (" try  started   took    result", "dim")
    for attempt in reversed(step.tries[-ATTEMPTS_SHOWN_MAX:]):
        yield _attempt(attempt, seen)
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


def _attempt(attempt: Attempt, seen: Seen) -> Cell:
    look = LOOKS[_COUNTS.get(attempt.status, State.UNKNOWN)]
    mark = look.ascii if seen.ascii_only else look.glyph
    lasted = (attempt.ended_at or seen.now_ms) - attempt.started_at
    result = last_text(attempt.http_status, attempt.error)
    if attempt.status in ("interruption", "crash", "late"):
        result = f"{attempt.status} {'' if result == '—' else result}".rstrip()
    if attempt.is_open:
        result = "in flight"
    waits = ""
    if attempt.delay_ms is not None and attempt.delay_by is not None:
        by = "Retry-After" if attempt.delay_by == "retry-after" else attempt.delay_by
        arrow = "<-" if seen.ascii_only else "←"
        waits = f"  then {fmt.took(attempt.delay_ms)} {arrow} {by}"
    return (
        (f"{attempt.number:>4} ", "plain"),
        (f"{mark} ", look.style),
        (f"{fmt.time_of_day(attempt.started_at, seen.zone)}  ", "dim"),
        (f"{fmt.took(lasted):<7} ", "plain"),
        (result, look.style),
        (waits, "backing-off"),
    )
