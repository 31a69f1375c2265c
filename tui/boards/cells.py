"""What stands in each column of each board: plain functions from a row to its cells.

A cell is a text and the name of its style. Nothing here knows a screen, so that what an operator
reads is tested as text, and `--once` prints the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import NamedTuple

from engine.shown import times
from engine.wire import Failure, FailureKind, Reason
from engine.wire import last_text as last_text
from engine.wire import why_text as why_text
from engine.wire.events import (
    Accepted,
    Acted,
    AttemptEnded,
    LateEnd,
    PayloadSet,
    ResultSet,
    Retargeted,
    RunMoved,
    Started,
)
from tui.boards.held import holds_in_list, holds_over_row
from tui.boards.looks import LOOKS, SHAPES, glyph
from tui.data.fold import BY_PEOPLE
from tui.data.holds import NOTHING_HELD, Holds
from tui.data.model import (
    STUCK,
    At,
    Cause,
    Retry,
    Run,
    State,
    Step,
    short_id,
)
from tui.past.happened import EventRow
from tui.text import fmt

Part = tuple[str, str]
"""Text, and the name of its style."""
Cell = Part | tuple[Part, ...]
NONE: Part = ("—", "dim")
HELD: Part = ("held", "paused")
"""In place of when something starts that a hold keeps from that."""
WAITS: Part = ("waits", "backing-off")
"""The same of what is due, and waits for a limit."""
STILL_IN_FLIGHT = ", still in flight"
"""Of what was cancelled: its call is let finish, and its effect may still happen."""
CAME_AGAIN = "came again"
"""Of a cause that was dismissed until then."""
PAUSING = "pausing"
"""Paused as soon as the call that is in flight has ended."""
MIDDLE, WIDE, WIDEST = 96, 117, 157
"""What a terminal of 100, 120 or 160 columns has for cells beside its edges and a scroll bar."""
ASKED_FOR = -1
"""From so many cells on a column is shown that somebody asked for: before all others."""
COUNTED_MAX = 10_000
"""Steps whose next attempt has a time, and late ones, are counted by the engine up to here."""
REASON_CELLS = 100
"""The most that a reason takes: a status, and an excerpt of 120 bytes is mostly shorter."""


class Piece(NamedTuple):
    """Text, the name of its style, and the action that a click on it runs (or none)."""

    text: str
    style: str = "plain"
    action: str = ""


class Column(NamedTuple):
    """A column, and from how many cells for all of them on it is shown."""

    key: str
    title: str
    cells: int
    """Its width, or the least if it flexes."""
    flex: int = 0
    """Its share of what is left over."""
    right: bool = False
    from_width: int = 0
    most: int = 0
    """It flexes no further; 0: as far as there is room."""
    middle: bool = False
    """What does not fit is cut in its middle: an id or a key."""


class Seen(NamedTuple):
    """By what cells are told beside their row."""

    now_ms: float
    estimated: bool = False
    """The engine is not heard of: times are guesses."""
    zone: tzinfo | None = None
    """That times of the day are told in; None: the local one."""
    holds: Holds = NOTHING_HELD
    """What is held."""
    acts: Mapping[str, tuple[str, str]] = {}
    """By run and by step, what somebody has just done to it: in words, and by whom alone."""
    narrow: bool = False
    """A list of runs has no column for reasons."""


def text_of(cell: Cell) -> str:
    """What a cell says."""
    if isinstance(cell[0], str):
        return cell[0]
    return "".join(part[0] for part in cell)


def layout(columns: Iterable[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into so many cells, each with its width; one cell between two. Those for
    which there is no room are left out, first the one that is shown from the widest on."""
    shown = [column for column in columns if width >= column.from_width]
    while len(shown) > 1 and sum(column.cells for column in shown) + len(shown) - 1 > width:
        shown.remove(max(reversed(shown), key=lambda column: column.from_width))
    sizes = [column.cells for column in shown]
    left = max(0, width - sum(sizes) - len(shown) + 1)
    growing = [at for at, column in enumerate(shown) if column.flex]
    while left and growing:  # a round more for each column that has enough
        flex, room = sum(shown[at].flex for at in growing), left
        for at in growing:
            share, most = room * shown[at].flex // flex, shown[at].most
            room, flex = room - share, flex - shown[at].flex
            taken = min(share, most - sizes[at]) if most else share
            sizes[at], left = sizes[at] + taken, left - taken
        growing = [at for at in growing if not shown[at].most or sizes[at] < shown[at].most]
    return list(zip(shown, sizes, strict=True))


def wanted_columns(columns: tuple[Column, ...], wanted: Mapping[str, bool]) -> tuple[Column, ...]:
    """The columns without those that somebody put away; others give way to what was asked for."""
    if not wanted:
        return columns
    return tuple(
        column._replace(from_width=ASKED_FOR) if wanted.get(column.key) else column
        for column in columns
        if wanted.get(column.key, True)
    )


# -- cells that several boards share -------------------------------------------------------------


def state_cell(state: State) -> Part:
    """Glyph and word."""
    return f"{glyph(state)} {state}", LOOKS[state].style


def step_state_cell(step: Step) -> Part:
    """The same of a step, and what its state alone does not say."""
    told, style = state_cell(step.state)
    if step.outlived_by is not None:
        return f"{told}{STILL_IN_FLIGHT}", style
    if step.is_pausing:
        return f"{glyph(step.state)} {PAUSING}", "paused"
    return told, style


def counted(steps: int, told: Callable[[int], str]) -> str:
    """A count of steps that may have ended early: `10,000+`."""
    return f"{told(steps)}{'+' if steps >= COUNTED_MAX else ''}"


def age_cell(since_ms: int | None, seen: Seen) -> Part:
    """Time that has passed; what is old moves seldom, for each change is drawn."""
    if since_ms is None:
        return NONE
    passed = max(0.0, seen.now_ms - since_ms)
    if passed <= times.FINE_MS_MAX:
        return times.span(passed), "dim"
    step_s = times.COARSE_STEP_S if passed < times.HOUR_S * 1000 else times.MINUTE_S
    return times.coarse_span(passed, step_s), "dim"


def time_cell(at_ms: int | None, seen: Seen) -> Part:
    """A time of the day."""
    return NONE if at_ms is None else (fmt.time_of_day(at_ms, seen.zone), "dim")


def due_cell(due_at: int, seen: Seen) -> Part:
    """A countdown to the next attempt."""
    shown = times.countdown(due_at - seen.now_ms, estimated=seen.estimated)
    return shown, "alarm" if shown.startswith("late") else "backing-off"


def tries_cell(at: At | None) -> Part:
    """Attempts started, of how many there may be."""
    if at is None or not at.attempts:
        return NONE
    shown = fmt.tries(at.attempts, at.tries_left)
    return shown, "alarm" if shown.endswith("!") else "plain"


def next_cell(state: State, at: At | None, seen: Seen) -> Part:
    """When what happens next: a countdown, or how long the attempt has been in flight; of what is
    paused nothing does."""
    if at is None or state in (State.COMPLETED, State.CANCELLED, State.FAILED):
        return NONE
    if State.PAUSED in (state, at.state):
        return "paused", "paused"
    if at.state is State.BACKING_OFF and at.due_at is not None:
        return due_cell(at.due_at, seen)
    if at.state is State.RUNNING and at.started_at is not None:
        return f"{glyph(State.RUNNING)} {age_cell(at.started_at, seen)[0]}", "running"
    return NONE


def why_cell(at: At | Reason | None) -> Part:
    """What the last attempt came to, and why."""
    if at is None:
        return NONE
    return why_text(at.http_status, at.error, at.excerpt), "plain"


# -- runs ------------------------------------------------------------------------------------------

RUNS = (
    Column("state", "STATE", 13),
    Column("workflow", "WORKFLOW", 12, flex=3, most=32),
    Column("run", "RUN", 8, from_width=72),
    Column("at", "AT STEP", 10, flex=2, most=28),
    Column("try", "TRY", 6, from_width=72),
    Column("next", "NEXT", 10),
    Column("age", "AGE", 6, right=True, from_width=72),
    Column("host", "HOST", 14, flex=2, from_width=WIDE, most=36),
    Column("reason", "REASON", 18, flex=10, from_width=MIDDLE, most=REASON_CELLS),
    Column("client", "CLIENT", 10, flex=1, from_width=WIDEST, most=20),
    Column("key", "KEY", 16, flex=2, from_width=WIDEST, most=64, middle=True),
)


def run_state_cell(run: Run) -> Part:
    """Glyph and word of a run."""
    if run.is_pausing and run.at is not None and run.at.state is State.PAUSED:
        return state_cell(State.PAUSED)  # its function only waits for a step, which waits for us
    if run.is_pausing:
        return f"{glyph(run.state)} {PAUSING}", "paused"
    return state_cell(run.state)


def reason_cell(run: Run, seen: Seen) -> Part:
    """Why it failed or is paused; of others by what it is held, else what the last attempt came to
    of the step at which it is, or of the step below it that failed, if that attempt did not handle
    it."""
    holds = holds_over_row(run, seen.holds)
    if holds and run.state is not State.PAUSED:
        return holds_in_list(holds), "paused"
    needs_a_person = run.state in STUCK
    error = None if run.at is None else run.at.error
    unhandled = Failure.parse(error).kind is FailureKind.UNHANDLED
    told = run.reason if (needs_a_person or unhandled) and run.reason is not None else run.at
    return why_cell(told)


def run_next_cell(run: Run, seen: Seen) -> Part:
    """When what happens next: of what only a hold keeps from starting nothing does."""
    at = run.at
    state = run.state if at is None else at.state
    due = at is None or at.due_at is None or at.due_at <= seen.now_ms
    starts = state is State.PENDING or (state is State.BACKING_OFF and due)
    if starts and run.state is not State.PAUSED and holds_over_row(run, seen.holds):
        return HELD
    return next_cell(run.state, at, seen)


def _acted_cell(id: str, why: Part, seen: Seen) -> Cell:
    """What somebody has just done to a run or step, before the reason of what was before."""
    if (acted := seen.acts.get(id)) is None:
        return why
    told: Part = (acted[0], "strong")
    return told if why[0] == NONE[0] else (told, (" · ", "dim"), why)


def _at_cell(run: Run, seen: Seen) -> Part:
    """The step at which it is; for a moment who has just acted on it, where there is no room for
    that elsewhere."""
    if seen.narrow and (acted := seen.acts.get(run.id)) is not None:
        return acted[1], "strong"
    return NONE if run.at is None else (run.at.name, "plain")


def run_cells(run: Run, seen: Seen) -> dict[str, Cell]:
    """A run's row."""
    at = run.at
    return {
        "state": run_state_cell(run),
        "workflow": (run.workflow, "plain"),
        "run": (short_id(run.id), "dim"),
        "at": _at_cell(run, seen),
        "try": tries_cell(at),
        "next": run_next_cell(run, seen),
        "age": age_cell(run.submitted_at, seen),
        "host": NONE if at is None else (at.host, "plain"),
        "reason": _acted_cell(run.id, reason_cell(run, seen), seen),
        "client": (run.client, "dim"),
        "key": (run.key, "dim"),
    }


# -- retries ---------------------------------------------------------------------------------------

RETRIES = (
    Column("next", "NEXT", 10),
    Column("try", "TRY", 6),
    Column("what", "WORKFLOW › STEP", 18, flex=3, most=64),
    Column("host", "HOST", 14, flex=2, from_width=MIDDLE, most=40),
    Column("reason", "REASON", 14, flex=5, most=REASON_CELLS),
    Column("run", "RUN", 8, from_width=76),
    Column("by", "SET BY", 12, from_width=WIDE),
)


def retry_cells(retry: Retry, seen: Seen) -> dict[str, Cell]:
    """A retry's row."""
    at = retry.at
    return {
        "next": next_cell(State.BACKING_OFF, at, seen),
        "try": tries_cell(at),
        "what": (f"{retry.workflow} {SHAPES.into} {at.name}", "plain"),
        "host": (at.host, "plain"),
        "reason": _acted_cell(at.step_id, why_cell(at), seen),
        "run": (short_id(retry.run_id), "dim"),
        "by": (at.delay_by or "—", "dim"),
    }


# -- causes ----------------------------------------------------------------------------------------

CAUSES = (
    Column("runs", "RUNS", 6, right=True),
    Column("new", "NEW", 5, right=True, from_width=76),
    Column("cause", "CAUSE", 20, flex=6, most=REASON_CELLS),
    Column("host", "HOST", 14, flex=2, from_width=MIDDLE, most=40),
    Column("what", "WORKFLOW › STEP", 18, flex=3, most=64),
    Column("first", "FIRST", 6, right=True, from_width=MIDDLE),
    Column("last", "LAST", 6, right=True),
    Column("id", "ID", 8, from_width=WIDE),
)


def cause_cells(cause: Cause, seen: Seen) -> dict[str, Cell]:
    """A cause's row."""
    at = cause.at
    return {
        "runs": (fmt.count(cause.runs), "strong"),
        "new": (fmt.count(cause.new_runs), _new_style(cause)),
        "cause": _cause_cell(cause),
        "host": NONE if at is None else (at.host, "plain"),
        "what": cause_what(cause),
        "first": age_cell(cause.first_at, seen),
        "last": age_cell(cause.last_at, seen),
        "id": (cause.id, "dim"),
    }


def _cause_cell(cause: Cause) -> Cell:
    """What happened; before it whether somebody wrote of it, or dismissed it."""
    style = "failed" if cause.state is State.FAILED else "paused"
    parts: list[Part] = [(f"{SHAPES.by_hand} ", "strong")] if cause.notes else []
    if cause.dismissal is not None:
        again = cause.dismissal.came_again
        parts.append((f"{CAME_AGAIN} · ", "alarm") if again else ("dismissed · ", "dim"))
        style = style if again else "dim"
    return (*parts, (cause_text(cause), style)) if parts else (cause_text(cause), style)


def _new_style(cause: Cause) -> str:
    """That some are new says something where others are not."""
    if not cause.new_runs:
        return "dim"
    return "alarm" if cause.new_runs < cause.runs else "plain"


def cause_what(cause: Cause) -> Part:
    """Workflow and step of the latest."""
    step = "" if cause.at is None else f" {SHAPES.into} {cause.at.name}"
    return f"{cause.workflow}{step}", "plain"


def cause_text(cause: Cause) -> str:
    """What happened, in the words of the latest run's last attempt: `402 card_declined: no funds`,
    `connection-refused: …`, `paused after 503 …`."""
    last = why_cell(cause.reason or cause.at)[0]
    if cause.state is State.FAILED:
        return last if last != "—" else "failed"
    return "paused" if last == "—" else f"paused after {last}"


# -- events ----------------------------------------------------------------------------------------

EVENTS = (
    Column("at", "TIME", 12),
    Column("what", "WHAT", 20),
    Column("run", "RUN", 8, from_width=92),
    Column("step", "WORKFLOW › STEP", 20, flex=2, most=40),
    Column("more", "DETAIL", 16, flex=5, from_width=72, most=REASON_CELLS),
)


def event_cells(row: EventRow, name: str, seen: Seen) -> dict[str, Cell]:
    """A row's cells; `name`: its workflow and step."""
    words, style = event_words(row)
    return {
        "at": (fmt.time_of_day(row.event.at, seen.zone, millis=True), "dim"),
        "what": (f"{_event_sign(row)} {words}", style),
        "run": (short_id(row.event.run_id), "dim"),
        "step": (name, "plain"),
        "more": (event_more(row), "dim"),
    }


def _event_sign(row: EventRow) -> str:
    """How the step or the run stood by then; before what somebody did that would read as what came
    of the act."""
    return SHAPES.by_hand if isinstance(row.event.fact, BY_PEOPLE) else glyph(row.state)


def event_words(row: EventRow) -> Part:
    """What happened, in a few words."""
    event = row.end or row.event
    fact = event.fact
    style = "strong" if isinstance(fact, BY_PEOPLE) else LOOKS[event.state].style
    match fact:
        case Accepted():
            told = "submitted" if event.is_root else "step posted"
        case Started():
            told = f"{_try(fact)} started"
        case AttemptEnded():
            told = f"{_try(fact)} {_ENDED_AS.get(fact.counts_as or '', 'interrupted')}"
        case LateEnd():
            told = f"{_try(fact)} answered late"
        case RunMoved():
            told = f"run {event.state}"
        case Acted():
            told = fact.action or "acted"
        case ResultSet():
            told = "skipped" if fact.act == "skip" else "result set"
        case _:
            told = _EVENT_WORDS.get(fact.kind, fact.kind.replace("-", " "))
    return told, style


_EVENT_WORDS = {
    "woken": "due now",
    "retargeted": "moved",
    "payload-differed": "other payload",
    "cancel-asked": "to be cancelled",
}
"""Kinds that have another name here."""
_ENDED_AS = {"success": "succeeded", "failure": "failed", "crash": "lost in a crash"}


def _try(fact: Started | AttemptEnded | LateEnd) -> str:
    return "try" if fact.number is None else f"try {fact.number}"


def event_more(row: EventRow) -> str:
    """What there is to tell beside it: a status, when the next attempt is, who acted."""
    event, parts = row.event, list[str]()
    if row.end is not None and isinstance(event.fact, AttemptEnded):
        parts.append(_try(event.fact))  # which the words do not say
    match event.fact:
        case (
            Acted(actor=actor, reason=reason)
            | ResultSet(actor=actor, reason=reason)
            | PayloadSet(actor=actor, reason=reason)
        ):
            parts.append(f"by {actor or '?'}")
            parts += [f"“{reason}”"] if reason else []
        case Retargeted(from_url=from_url, to_url=to_url):
            parts.append(f"{from_url} → {to_url}")
        case AttemptEnded() | LateEnd() as ended:
            last = why_text(ended.http_status, ended.error, ended.excerpt)
            parts += [last] if last != "—" else []
            delay_ms = ended.delay_ms if isinstance(ended, AttemptEnded) else None
            if event.state is State.BACKING_OFF and delay_ms is not None:
                parts.append(f"again in {times.span(delay_ms)}")
    return " · ".join(parts)
