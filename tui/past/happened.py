"""Which events are told, in rows: a choice of them, or all.

Most of what happens is how things go on: an attempt starts, a step is posted, a run runs. Whoever
looks wants to know what people did, what failed and what ended; and one row for it, also where the
engine tells of one change in several events. So what an act of somebody's did stands in the act's
row, and what a failure meant for its run in the failure's. All events can be had.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from engine.wire.events import (
    Acted,
    AttemptEnded,
    LateEnd,
    RunMoved,
    Started,
)
from tui.data.filter import Subject, event_filter
from tui.data.fold import BY_PEOPLE
from tui.data.model import Happening, State, host_of
from tui.data.store import Store

EVENTS_SHOWN_MAX = 1_000


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

    def __init__(self, store: Store, told: Callable[[EventRow], str]) -> None:
        """`told`: what stands on a row, which a filter looks through."""
        self._store, self._told = store, told
        self._how: tuple[str, bool] = ("", False)
        self._looked_at = 0
        """So many events of the store."""
        self._latest: OrderedDict[str, EventRow] = OrderedDict()
        """The last row of each run, also where a filter leaves it out: what the engine tells of one
        change may stand between what it tells of others."""
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
            self._latest.clear()
        fits = event_filter(q)
        for event in _latest(events, seen - self._looked_at):
            row = self._row_with(event, every=every)
            if fits is not None and not fits(self._subject(row)):
                self._rows.pop(row.event.id, None)
            else:
                self._rows[row.event.id] = row
        self._looked_at = seen
        while len(self._rows) > EVENTS_SHOWN_MAX:
            self._rows.popitem(last=False)
        return list(reversed(self._rows))

    def row(self, row_id: str) -> EventRow | None:
        """What a row tells; None: it is not known any more."""
        return self._rows.get(row_id)

    def _row_with(self, event: Happening, *, every: bool) -> EventRow:
        """The row that there is by an event: a new one, or the one that tells of it."""
        if every:
            return EventRow(event)
        row = self._latest.pop(event.run_id, None)
        is_new = row is None or row.event.at != event.at or not _belongs(event, row)
        joined = EventRow(event) if row is None or is_new else row
        if not is_new and not isinstance(joined.event.fact, BY_PEOPLE):
            joined = replace(joined, end=event)
        self._latest[event.run_id] = joined
        while len(self._latest) > EVENTS_SHOWN_MAX:
            self._latest.popitem(last=False)
        return joined

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
        return Subject(
            row.state,
            workflow=workflow_of(event, store),
            client=client,
            key=key,
            step=None if event.is_root else step_of(event, store),
            host=host if step is None else host_of(step.url),
            tries=fact.number if isinstance(fact, (Started, AttemptEnded, LateEnd)) else None,
            code=None if ended is None else ended.http_status,
            has_failed=isinstance(fact, AttemptEnded) and fact.counts_as == "failure",
            why="" if ended is None else f"{ended.excerpt or ''} {ended.error or ''}",
            seen="\n".join((self._told(row), key or "", client or "", event.run_id)),
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
