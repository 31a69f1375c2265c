"""A past hour, made into a recording of what an engine tells of it now: its events since, the runs
that were open then, and its status.

Events say what happened. How it was before them follows backwards: a run's first move says from
which state it moved, counts are those of now without what has been counted since, and the attempts
of a step say when they began and ended. Of a run that retention has removed meanwhile only the id
is known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from engine.client import ProblemError
from engine.wire import AttemptRow, RetryPage, RunPage, RunRow, Status, StepAt, StepRow
from engine.wire.events import (
    Accepted,
    Acted,
    AttemptEnded,
    Event,
    RunMoved,
    Stamped,
    Started,
)
from engine.wire.status import Rates, RunCounts
from tui.data.feed import Board
from tui.data.filter import retry_filter, run_filter
from tui.data.inputs import Input, LinkMoved, LinkState, RetriesRead, RunsRead, StatusRead
from tui.data.listing import ROWS_KEPT_MAX, Edge
from tui.data.model import (
    ENDED,
    MS_MAX,
    STUCK,
    State,
    happening_of,
    ms_of,
    retry_of,
    run_of,
    step_of,
)
from tui.data.store import Store
from tui.data.tree import Tree
from tui.past.history import take
from tui.past.reading import PastError, Progress, events_since, rfc3339
from tui.past.waiting import Waiting
from tui.text.sanitize import clean

if TYPE_CHECKING:
    from engine.client import AsyncClient

LENGTH_MS_MAX = 24 * 3_600_000
EVENTS_MAX = 200_000
"""They are held in memory, some kilobyte each."""
TREES_READ_MAX = 500
"""Runs from before are read one by one."""
OPEN_LISTED_MAX = 2_000
STATUS_EVERY_S = 5.0
COUNTS_EVERY_S = 1.0
GIVEN = "given"
"""The listing by which a store is given runs; no board shows it."""
PAGE_ROWS = 200
DIGITS, TIME_CHARACTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 10
"""Of a run's id (a ULID): its milliseconds."""


class Line(Struct, frozen=True):
    """An input, `at_s` seconds after the beginning."""

    at_s: float
    input: Input


class Hour:
    """See the head of this file."""

    def __init__(
        self,
        began_ms: int,
        lines: list[Line],
        rows: dict[str, RunRow],
        steps: dict[str, tuple[StepRow, ...]],
    ) -> None:
        """`rows`: runs as they were then, or when they were posted; `steps`: theirs, where they are
        known."""
        self.began_ms, self.lines = began_ms, lines
        self._rows, self._steps = rows, steps
        self._events: defaultdict[str, list[int]] = defaultdict(list)
        """By run: which lines tell of it."""
        for at, line in enumerate(lines):
            if isinstance(line.input, Event) and isinstance(line.input.data, Stamped):
                self._events[line.input.data.run_id].append(at)
        self._waiting = Waiting([line.input for line in lines], rows, steps)

    def show(self, store: Store, board: Board, run_id: str, upto: int) -> None:
        """List the runs, or the retries, that the board asks for, and have the open run in the
        store; so many of the lines have been taken in."""
        if board.name == "runs":
            fits, now_ms = run_filter(board.q), store.time.now_ms()
            ids = [run.id for run in store.runs.values() if fits is None or fits(run, now_ms)]
            ids.sort(reverse=board.newest_first)  # they rise with time
            store.listing("runs").put(ids[:ROWS_KEPT_MAX], whole=len(ids) <= ROWS_KEPT_MAX)
            store.changes.listings.add("runs")
        if board.name == "retries":
            waits = retry_filter(board.q)
            retries = [row for row in self._waiting.rows(upto)
                       if waits is None or waits(retry_of(row))]  # fmt: skip
            store.apply(RetriesRead("retries", RetryPage(tuple(retries[:ROWS_KEPT_MAX]))))
        is_there = bool(self._steps.get(run_id)) or self._events[run_id][:1] < [upto]
        if run_id in self._steps and run_id not in store.trees and is_there:
            store.put_tree(self._tree(run_id, upto))

    def _tree(self, run_id: str, upto: int) -> Tree:
        """A run after so many lines."""
        tree = Tree(
            run_of(clean(self._rows[run_id])),
            {row.id: step_of(clean(row)) for row in self._steps[run_id]},
        )
        for at in self._events[run_id]:
            read = self.lines[at].input
            if at < upto and isinstance(read, Event):
                event = happening_of(clean(read))
                if event is not None and event.fact.kind == "run-moved":
                    tree.take_run(event)
                elif event is not None:
                    take(tree, event)
        return tree


# -- reading it ------------------------------------------------------------------------------------


async def read_hour(client: AsyncClient, since_ms: int, progress: Progress) -> Hour:
    """What an engine had from a time on, up to now. Raises PastError, AtomicError."""
    status = await client.operate.status()
    now_ms = ms_of(status.server_time) or since_ms
    if now_ms - since_ms > LENGTH_MS_MAX:
        raise PastError("at most the last 24 hours can be replayed: `24h`, or a later time")
    events = await _events(client, since_ms, status.sequence, progress)
    past = _Past(since_ms, events)
    await _read_runs(client, past)
    counts = msgspec.to_builtins(status.counts) if status.counts is not None else {}
    told = _Counting(status.instance or "", since_ms, counts, status.stuck_count or 0, events)
    return Hour(since_ms, list(_lines(past, told, now_ms)), past.rows, past.steps)


async def _events(
    client: AsyncClient, since_ms: int, last: str | None, progress: Progress
) -> list[Event]:
    found: list[Event] = []
    async with aclosing(events_since(client, since_ms, last)) as events:
        async for event in events:
            found.append(Event(event.id, event.kind, event.data))  # without its bytes
            progress(len(found))
            if len(found) > EVENTS_MAX:
                at = ms_of(getattr(event.data, "at", None)) or since_ms
                minutes = max(1, (at - since_ms) // 60_000)
                raise PastError(
                    f"more than {EVENTS_MAX:,} events have happened since then; at that rate"
                    f" {minutes:,}m hold so many: --replay {minutes}m"
                )
    return found


class _Past:
    """Which runs there were."""

    def __init__(self, since_ms: int, events: list[Event]) -> None:
        self.since_ms, self.events = since_ms, events
        self.rows: dict[str, RunRow] = {}
        self.steps: dict[str, tuple[StepRow, ...]] = {}
        self.born: set[str] = set()
        """Posted since."""
        self.revisions: Counter[str] = Counter()
        """So many events of each step, and of each run's own moves (`run_id` and `+moves`)."""
        self.first_moves: dict[str, RunMoved] = {}
        self.touched: dict[str, None] = {}
        for event in events:
            fact = event.data
            assert isinstance(fact, Stamped)
            self.touched.setdefault(fact.run_id)
            if isinstance(fact, RunMoved):
                self.first_moves.setdefault(fact.run_id, fact)
                continue
            self.revisions[fact.step_id] += 1
            if isinstance(fact, Accepted) and fact.step_id == fact.run_id:
                self.born.add(fact.run_id)
                self.rows[fact.run_id], self.steps[fact.run_id] = _born(fact), ()

    def add(self, row: RunRow, steps: Iterable[StepRow] | None) -> None:
        """A run from before, as it is now. It was open then if it is, or has moved since."""
        moved = self.first_moves.get(row.id)
        if moved is None and (row.ended_at is not None or row.status == State.UNKNOWN):
            return  # it had ended, and somebody has done something to it since
        status = row.status if moved is None else moved.before or row.status
        known = None if steps is None else tuple(self._step(step) for step in steps)
        at = row.at if known is None else _at(known)
        self.rows[row.id] = replace(
            row, status=status, rev=row.rev if moved is None else max(0, moved.rev - 1),
            ended_at=None, at=at, reason=None, generation=1,
            pause_reason=row.pause_reason if status == State.PAUSED else None,
        )  # fmt: skip
        if known is not None:
            self.steps[row.id] = tuple(step for step in known if step.rev > 0)

    def _step(self, row: StepRow) -> StepRow:
        """A step as it was, as far as its attempts tell. One that was not there has revision 0."""
        rev = max(0, row.rev - self.revisions[row.id])
        if not self.revisions[row.id]:
            return row
        told = () if row.attempt_rows is UNSET else row.attempt_rows
        tries = [_try(each, self.since_ms) for each in told
                 if (ms_of(each.started_at) or 0) < self.since_ms]  # fmt: skip
        last = tries[-1] if tries else None
        return replace(
            row, rev=rev, status=_status(last), attempts=len(tries), attempt_rows=tuple(tries),
            failures=sum(each.status == "failure" for each in tries), ended_at=None, due_at=None,
            delay_ms=None, delay_by=None, pause_reason=None, cause_id=None, waits=UNSET,
            held_since=UNSET, repairs=UNSET, awaiting_post=False,
            http_status=None if last is None else last.http_status,
            error=None if last is None else last.error,
            excerpt=None if last is None else last.excerpt,
        )  # fmt: skip


def _try(row: AttemptRow, since_ms: int) -> AttemptRow:
    """An attempt as it was: one that ended later was in flight."""
    if row.ended_at is None or (ms_of(row.ended_at) or 0) < since_ms:
        return row
    return AttemptRow(row.number, row.generation, "running", row.started_at)


def _status(last: AttemptRow | None) -> str:
    """Of a step that something has happened to since, by its last attempt before."""
    if last is None:
        return State.PENDING
    states = {"running": State.RUNNING, "success": State.COMPLETED, "failure": State.BACKING_OFF}
    return states.get(last.status, State.WAITING)


def _at(steps: Iterable[StepRow]) -> StepAt | None:
    """The step at which a run was: of those that were open the one that was called last."""
    tried = [(step.attempt_rows[-1].started_at, step) for step in steps
             if step.attempt_rows is not UNSET and step.attempt_rows
             and State.of(step.status) not in ENDED]  # fmt: skip
    if not tried:
        return None
    began, step = max(tried, key=lambda each: each[0])
    return StepAt(
        step.id, step.name, step.url, step.status, step.attempts, step.failures, step.retries_max,
        began, http_status=step.http_status, error=step.error, excerpt=step.excerpt,
    )  # fmt: skip


def _born(fact: Accepted) -> RunRow:
    """A run as it was posted."""
    state = State.PAUSED if fact.paused else State.PENDING
    row = RunRow(
        fact.run_id, fact.client or "", "", "", state, 0, 1, 1, 0, 1, False, fact.at,
    )  # fmt: skip
    if (spec := fact.spec) is None:
        return row
    at = StepAt(fact.step_id, spec.name, spec.url, state, 0, 0, spec.retry.count)
    return replace(row, workflow_name=spec.workflow, idempotency_key=spec.key, at=at)


async def _read_runs(client: AsyncClient, past: _Past) -> None:
    """The runs of before: those that have moved since, and those that are open still."""
    listed: dict[str, RunRow] = {}
    cursor: str | None = None
    while len(listed) < OPEN_LISTED_MAX:
        page = await client.operate.run_page(
            filter="is:live", sort="-submittedAt", limit=PAGE_ROWS, cursor=cursor
        )
        listed |= {row.id: row for row in page.runs
                   if (ms_of(row.submitted_at) or 0) < past.since_ms}  # fmt: skip
        if (cursor := page.next) is None:
            break
    older = [run_id for run_id in (*past.touched, *listed) if run_id not in past.born]
    for number, run_id in enumerate(dict.fromkeys(older)):
        if number < TREES_READ_MAX:
            try:
                tree = await client.operate.run(run_id)
                past.add(tree.run, tree.steps)
            except ProblemError as error:
                if error.status != 404:
                    raise
                past.add(_unknown(run_id), None)
        else:
            past.add(listed.get(run_id) or _unknown(run_id), None)


def _unknown(run_id: str) -> RunRow:
    """A run of which only the id is known, which begins with the time."""
    at_ms = 0
    for character in run_id[:TIME_CHARACTERS].upper():
        at_ms = at_ms * len(DIGITS) + max(0, DIGITS.find(character))
    submitted_at = rfc3339(min(at_ms, MS_MAX))
    return RunRow(run_id, "", "?", "", State.UNKNOWN, 0, 1, 0, 0, 0, False, submitted_at)


# -- what was counted ------------------------------------------------------------------------------


class _Counting:
    """Runs by state, those that need a person and the rate of ends, as events come: from now
    backwards to the beginning, and from there on."""

    def __init__(
        self, instance: str, since_ms: int, counts: dict[str, int], stuck: int, events: list[Event]
    ) -> None:
        self._instance, self._since_ms = instance, since_ms
        moved: Counter[str] = Counter()
        stuck_since = 0
        self._states: dict[str, str] = {}
        for event in events:
            change, more = self._change(event)
            moved.update(change)
            stuck_since += more
        self._states.clear()
        self.counts: Counter[str] = Counter(
            {str(state): counts.get(state, 0) - moved[state] for state in State}
        )
        self.stuck = stuck - stuck_since
        self._lately: list[tuple[float, str]] = []
        """What the rates are of, and when it was."""

    def _change(self, event: Event) -> tuple[dict[str, int], int]:
        """What an event adds to the counts, and to those that need a person."""
        fact = event.data
        match fact:
            case RunMoved(before=before, status=state):
                self._states[fact.run_id] = state
                change = Counter({state: 1})
                change[before or ""] -= 1
                return change, (state in STUCK) - (before in STUCK)
            case Accepted() if fact.run_id == fact.step_id:
                return {State.PAUSED if fact.paused else State.PENDING: 1}, int(fact.paused)
            case Acted(dismissed=bool(is_off)) if self._states.get(fact.run_id, "failed") in STUCK:
                return {}, -1 if is_off else 1
            case _:
                return {}, 0

    def take(self, event: Event, at_s: float) -> bool:
        """Count an event; returns whether the counts are others."""
        change, more = self._change(event)
        self.counts.update(change)
        self.stuck += more
        if (rate := _rate_of(event.data)) is not None:
            self._lately.append((at_s, rate))
        return bool(change or more)

    def told(self, at_s: float) -> StatusRead:
        """The status at that time."""
        self._lately = [each for each in self._lately if each[0] > at_s - STATUS_EVERY_S]
        per_s = Counter(rate for _, rate in self._lately)
        counts = {
            str(state): max(0, self.counts[state]) for state in State if state is not State.UNKNOWN
        }
        status = Status(
            instance=self._instance,
            server_time=rfc3339(self._since_ms + at_s * 1000),
            counts=msgspec.convert(counts, RunCounts),
            rates=Rates(**{rate: per_s[rate] / STATUS_EVERY_S for rate in RATES}),
            stuck_count=max(0, self.stuck),
        )
        return StatusRead(status, at_s, at_s)


RATES = ("runs_per_s", "finished_per_s", "steps_per_s", "attempts_per_s", "failures_per_s")


def _rate_of(fact: object) -> str | None:
    """In which rate an event counts."""
    match fact:
        case RunMoved(status=status) if status in ENDED:
            return "finished_per_s"
        case Accepted(run_id=run_id, step_id=step_id):
            return "runs_per_s" if run_id == step_id else "steps_per_s"
        case Started():
            return "attempts_per_s"
        case AttemptEnded(counts_as="failure"):
            return "failures_per_s"
        case _:
            return None


def _lines(past: _Past, counting: _Counting, now_ms: int) -> Iterator[Line]:
    older = tuple(row for run_id, row in past.rows.items() if run_id not in past.born)
    yield Line(0.0, LinkMoved(LinkState.LIVE))
    yield Line(0.0, counting.told(0.0))
    yield Line(0.0, _given(older))
    told_s, at_s, has_changed = 0.0, 0.0, False
    for event in past.events:
        fact = event.data
        assert isinstance(fact, Stamped)
        to_s = max(at_s, ((ms_of(fact.at) or 0) - past.since_ms) / 1000)
        while to_s - told_s >= (COUNTS_EVERY_S if has_changed else STATUS_EVERY_S):
            told_s += COUNTS_EVERY_S if has_changed else STATUS_EVERY_S
            yield Line(told_s, counting.told(told_s))
            has_changed = False
        at_s = to_s
        yield Line(at_s, event)
        if isinstance(fact, Accepted) and fact.run_id in past.born and fact.run_id == fact.step_id:
            yield Line(at_s, _given((past.rows[fact.run_id],)))
        has_changed |= counting.take(event, at_s)
    end_s = max(at_s, (now_ms - past.since_ms) / 1000)
    while end_s - told_s >= STATUS_EVERY_S:
        told_s += STATUS_EVERY_S
        yield Line(told_s, counting.told(told_s))
    yield Line(end_s, counting.told(end_s))


def _given(rows: tuple[RunRow, ...]) -> RunsRead:
    return RunsRead(GIVEN, Edge.HEAD, RunPage(rows, len(rows), False, None))
