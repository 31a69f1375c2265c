"""The board of events: which of them it shows, and what stands on each row.

Most of what happens is how things go on: an attempt starts, a step is posted, a run runs. Whoever
looks wants to know what people did, what failed and what ended; and one row for it, also where the
engine tells of one change in several events. So what an act of somebody's did stands in the act's
row, and what a failure meant for its run in the failure's. All events can be had.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from engine.shown import times
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
from tui.boards.cells import REASON_CELLS, Cell, Column, Part, Seen, why_text
from tui.boards.looks import LOOKS, SHAPES, glyph
from tui.data.filter import Subject, event_filter
from tui.data.fold import BY_PEOPLE
from tui.data.model import Happening, State, host_of, short_id
from tui.data.store import Store
from tui.text import fmt

EVENTS_SHOWN_MAX = 1_000
EVENTS = (
    Column("at", "TIME", 12),
    Column("what", "WHAT", 20),
    Column("run", "RUN", 8, from_width=92),
    Column("step", "WORKFLOW › STEP", 20, flex=2, most=40),
    Column("more", "DETAIL", 16, flex=5, from_width=72, most=REASON_CELLS),
)


class EventRow(Struct, frozen=True):
    """A row: what happened, and what it meant for the run, if that was told in the same moment."""

    event: Happening
    end: Happening | None = None
    """That the run ended by it, or is paused for it."""

    @property
    def state(self) -> State:
        return (self.end or self.event).state


class EventRows:
    """The rows, the latest last. They are made as events come: a redraw looks at new ones alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._how: tuple[str, bool] = ("", False)
        self._looked_at = 0
        """So many events of the store."""
        self._change: tuple[str, int] | None = None
        """The run and the moment of the event before: those of one change stand together."""
        self._row: EventRow | None = None
        """The row of that change, if it has one, also where a filter leaves it out."""
        self._rows: OrderedDict[str, EventRow] = OrderedDict()

    def ids(self, q: str, *, every: bool) -> list[str]:
        """The rows that a filter finds, the newest first: of `every` event, or of what is told by
        itself."""
        store = self._store
        events, seen = store.notable, store.notable_seen
        if every:
            events, seen = store.events, store.events_seen
        if self._how != (q, every) or seen < self._looked_at:
            self._how, self._looked_at = (q, every), 0
            self._rows.clear()
            self._change, self._row = None, None
        fits = event_filter(q)
        for event in _latest(events, seen - self._looked_at):
            row = self._row_with(event, every=every)
            if row is not None and fits is not None and not fits(self._subject(row)):
                self._rows.pop(row.event.id, None)
            elif row is not None:
                self._rows[row.event.id] = row
        self._looked_at = seen
        while len(self._rows) > EVENTS_SHOWN_MAX:
            self._rows.popitem(last=False)
        return list(reversed(self._rows))

    def cells(self, row_id: str, seen: Seen) -> dict[str, Cell] | None:
        """What stands on a row; None: it is not known any more."""
        row = self._rows.get(row_id)
        return None if row is None else event_cells(row, name_of(row.event, self._store), seen)

    def _row_with(self, event: Happening, *, every: bool) -> EventRow | None:
        """The row that there is by an event; None: what it tells stands in another already."""
        if every:
            return EventRow(event)
        change = (event.run_id, event.at)
        row = self._row if change == self._change else None
        self._change = change
        if row is None or not _belongs(event, row):
            self._row = EventRow(event)
        elif isinstance(row.event.fact, BY_PEOPLE):
            return None
        else:
            self._row = replace(row, end=event)
        return self._row

    def _subject(self, row: EventRow) -> Subject:
        """What a filter asks of a row."""
        event, store = row.event, self._store
        run, root = store.runs.get(event.run_id), store.named(event.run_id)
        step, fact = store.named(event.step_id), event.fact
        ended = fact if isinstance(fact, (AttemptEnded, LateEnd)) else None
        at = None if run is None else run.at
        host = at.host if at is not None and at.step_id == event.step_id else None
        key = run.key if run is not None else None if root is None else root.key
        client = run.client if run is not None else None if root is None else root.client
        words, name = event_words(row)[0], name_of(event, store)
        return Subject(
            row.state,
            workflow=workflow_of(event, store),
            client=client,
            key=key,
            step=None if event.is_root else step_of(event, store),
            host=host if step is None else host_of(step.url),
            tries=fact.number if isinstance(fact, (Started, AttemptEnded, LateEnd)) else None,
            code=None if ended is None else ended.http_status,
            why="" if ended is None else f"{ended.excerpt or ''} {ended.error or ''}",
            seen="\n".join((words, name, event_more(row), key or "", client or "", event.run_id)),
        )


def _latest(events: deque[Happening], number: int) -> Iterable[Happening]:
    """The last so many, in their order."""
    return reversed(list(islice(reversed(events), max(0, number))))


def _belongs(event: Happening, row: EventRow) -> bool:
    """Whether an event of the same run and moment tells of what a row has."""
    if isinstance(row.event.fact, BY_PEOPLE):
        return not isinstance(event.fact, (Acted, AttemptEnded, LateEnd))
    return isinstance(event.fact, RunMoved) and row.end is None


# -- whose it is -----------------------------------------------------------------------------------


def workflow_of(event: Happening, store: Store) -> str | None:
    """The workflow of the run; None: neither a list nor an event has told."""
    run, posted = store.runs.get(event.run_id), store.named(event.run_id)
    if run is not None:
        return run.workflow
    return None if posted is None else posted.workflow


def step_of(event: Happening, store: Store) -> str | None:
    """What the step is called; None likewise."""
    run, tree = store.runs.get(event.run_id), store.trees.get(event.run_id)
    step = None if tree is None else tree.steps.get(event.step_id)
    if step is not None:
        return step.label
    if (posted := store.named(event.step_id)) is not None:
        return posted.name
    at = None if run is None else run.at
    return at.name if at is not None and at.step_id == event.step_id else None


def name_of(event: Happening, store: Store) -> str:
    """Workflow and step, as far as they are known."""
    told = workflow_of(event, store) or f"run {short_id(event.run_id)}"
    if event.is_root:
        return told
    return f"{told} {SHAPES.into} {step_of(event, store) or short_id(event.step_id)}"


# -- what stands there -----------------------------------------------------------------------------


def event_cells(row: EventRow, name: str, seen: Seen) -> dict[str, Cell]:
    """A row's cells; `name`: its workflow and step."""
    words, style = event_words(row)
    return {
        "at": (fmt.time_of_day(row.event.at, seen.zone, millis=True), "dim"),
        "what": (f"{glyph(row.state)} {words}", style),
        "run": (short_id(row.event.run_id), "dim"),
        "step": (name, "plain"),
        "more": (event_more(row), "dim"),
    }


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
