"""What the dashboard knows of runs, steps and attempts: the wire's rows, with times as numbers.

Every text in here has been through `sanitize`. Records are replaced, never changed, so that two
screens that hold one see the same. All times are milliseconds, `…_at` since the epoch on the
engine's clock.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import UNSET, Struct

from engine.wire import (
    AttemptRow,
    BulkAnswer,
    CauseRow,
    DismissalRow,
    NoteRow,
    Reason,
    RepairRow,
    RetryRow,
    RunRow,
    StepAt,
    StepRow,
    WaitRow,
    step_label,
)
from engine.wire.events import Accepted, AnyFact, Event, Other, Replaced, Spec, Stamped

SHORT_ID_CHARACTERS = 8
WAITS_FROM_MS = 1_000
"""What is due and has not begun for so long waits for something."""


class State(StrEnum):
    """Where a run or step stands: the protocol's words. Later engines may have more of them."""

    PENDING = "pending"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, word: object) -> State:
        """The state of this name; `UNKNOWN` for one that is not known here."""
        try:
            return cls(word) if isinstance(word, str) else cls.UNKNOWN
        except ValueError:
            return cls.UNKNOWN


ENDED = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
SET_BY_HAND = 0
"""Among the numbers of attempts, which begin at 1: the answer that a person set."""
ENDS_BY_HAND = frozenset({"set-result", "skip"})
"""Repairs that are a step's outcome, in the place of an answer."""
SETTLED = frozenset({*ENDED, "expired"})
"""What came of a run of a bulk job for good."""
STUCK = frozenset({State.FAILED, State.PAUSED})
"""States of runs that need a person, unless they are dismissed."""
GOES_ON = frozenset({State.RUNNING, State.BACKING_OFF, State.WAITING})

MS_MAX = 253_370_764_800_000
"""The year 9999: `datetime` can tell every time before it, in every zone."""


def ms_of(time: object) -> int | None:
    """A time of the wire (RFC 3339) in milliseconds; None for none, and for one that is not one."""
    if not isinstance(time, str):
        return None
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    ms = round(at.timestamp() * 1000)
    return ms if 0 <= ms < MS_MAX else None


def short_id(run_id: str) -> str:
    """The end of an id, which tells runs of one minute apart (the beginning is the time)."""
    return run_id.rpartition("-")[2][-SHORT_ID_CHARACTERS:]


def host_of(url: str) -> str:
    """Host and port of a URL."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return url


def tries_left(state: State, retries_max: int, failures: int) -> int | None:
    """How many attempts may still start; None: the step has ended. One in flight is none of them,
    and one that was interrupted costs none."""
    if state in ENDED:
        return None
    return max(0, retries_max + 1 - failures - (state is State.RUNNING))


class Attempt(Struct, frozen=True):
    """One HTTP request of a step."""

    number: int
    generation: int
    status: str
    """running, success, failure, interruption, crash or late."""
    started_at: int
    ended_at: int | None = None
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    """Why it failed, as its answer or its connection says, in one line."""
    delay_ms: int | None = None
    delay_by: str | None = None

    @property
    def is_open(self) -> bool:
        """Its request is in flight. One that was lost with the engine is not, and has no end."""
        return self.status == "running"


class Step(Struct, frozen=True):
    """A step as it stands, with its attempts."""

    id: str
    run_id: str
    parent_id: str | None
    name: str
    workflow: str
    key: str
    step_key: str
    url: str
    state: State
    rev: int
    generation: int
    attempts: int
    failures: int
    retries_max: int
    submitted_at: int
    ended_at: int | None = None
    due_at: int | None = None
    delay_ms: int | None = None
    delay_by: str | None = None
    pause_reason: str | None = None
    cause_id: str | None = None
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    """Of its latest attempt."""
    awaiting_post: bool = False
    held_since: int | None = None
    """A hold keeps it from starting, and since then its `maxElapsed` stands still."""
    waits: WaitRow | None = None
    """Why it has not begun though it is due, as it was when the run was read."""
    tries: tuple[Attempt, ...] = ()
    repairs: tuple[RepairRow, ...] = ()
    """What people did in the place of its endpoint, or of who posted it, in their order."""
    opened_at: int | None = None  # its generation, if later than it was submitted

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def label(self) -> str:
        """What tells it from the others of its run."""
        return step_label(self.name, self.step_key)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def by_hand(self) -> RepairRow | None:
        """What a person did by which it stands as it does: said what came of it, did without it, or
        had it called with another payload. None: nothing of its generation is by hand."""
        last = self.repairs[-1] if self.repairs else None
        return last if last is not None and last.generation == self.generation else None

    @property
    def outcome_by_hand(self) -> RepairRow | None:
        """The repair that it ended by; None: it did not."""
        last = self.by_hand
        return last if last is not None and self.ended and last.act in ENDS_BY_HAND else None

    @property
    def outlived_by(self) -> Attempt | None:
        """Its call that is still in flight though it has ended: it was cancelled meanwhile, and the
        call's effect may still happen. None: there is none."""
        if not self.ended or not self.tries or not self.tries[-1].is_open:
            return None  # the next attempt begins when the one before is over
        return self.tries[-1]

    @property
    def is_pausing(self) -> bool:
        """A pause was asked for while its call is in flight, and begins when that ends."""
        return self.state is State.RUNNING and self.pause_reason is not None

    @property
    def answered(self) -> list[Attempt]:
        """Its attempts that got an answer, whatever it was."""
        return [each for each in self.tries if not each.is_open and each.http_status is not None]

    @property
    def answers(self) -> list[int]:
        """The answers that can be read: attempts by their numbers, and what was set by hand."""
        by = self.outcome_by_hand
        given = [SET_BY_HAND] if by is not None and by.act == "set-result" else []
        return [*(attempt.number for attempt in self.answered), *given]

    @property
    def last_answered(self) -> int | None:
        """What it ended with, or else the last of its attempts that got an answer; None: there is
        no answer (`why_no_answer`)."""
        return None if self.is_skipped or not self.answers else self.answers[-1]

    @property
    def is_skipped(self) -> bool:
        """A person did without it."""
        return self.outcome_by_hand is not None and self.outcome_by_hand.act == "skip"

    @property
    def why_no_answer(self) -> str:
        """Why there is no last answer."""
        if not self.is_skipped:
            return "no attempt has been answered yet"
        earlier = ": p, then ] shows what its attempts were answered" if self.answers else ""
        return f"it was skipped, and has no answer{earlier}"

    @property
    def tries_left(self) -> int | None:
        """How many attempts may still start; None: it has ended."""
        if self.ended:
            return None
        return tries_left(self.state, self.retries_max, self.failures)

    def keeps_waiting(self, now_ms: float) -> bool:
        """Whether it is due, and something else than time keeps it: no event tells what."""
        if self.awaiting_post or self.held_since is not None:
            return False
        since = {State.BACKING_OFF: self.due_at, State.PENDING: self.submitted_at}.get(self.state)
        return since is not None and now_ms >= since + WAITS_FROM_MS

    @property
    def is_problem(self) -> bool:
        """What an operator steps through: failed, paused, or failing."""
        return self.state in (State.FAILED, State.PAUSED, State.BACKING_OFF)


class At(Struct, frozen=True):
    """The step at which a run is, as lists show it."""

    step_id: str
    name: str
    host: str
    state: State
    attempts: int
    tries_left: int | None
    started_at: int | None
    """Of its latest attempt."""
    due_at: int | None
    delay_by: str | None
    http_status: int | None
    error: str | None
    excerpt: str | None = None
    url: str = ""


class Run(Struct, frozen=True):
    """A run as it stands."""

    id: str
    client: str
    workflow: str
    key: str
    state: State
    rev: int
    generation: int
    dismissed: bool
    submitted_at: int
    ended_at: int | None = None
    at: At | None = None
    pause_reason: str | None = None
    reason: Reason | None = None
    """What it fails, pauses or backs off for, as it was read: the step's, not the 500 that its
    workflow made of it."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_pausing(self) -> bool:
        """A pause was asked for while its own call is in flight, and begins when that ends."""
        return self.pause_reason is not None and self.state in GOES_ON


class Retry(Struct, frozen=True):
    """A step whose next attempt has a time."""

    run_id: str
    workflow: str
    rev: int
    at: At
    client: str = ""


class Cause(Struct, frozen=True):
    """Runs that need a person for the same reason, as the latest shows it."""

    id: str
    runs: int
    new_runs: int
    first_at: int
    last_at: int
    run_id: str
    workflow: str
    state: State
    at: At | None
    reason: Reason | None = None
    pattern: str | None = None
    last_at_told: str | None = None
    """`last_at` as the engine told it, to be said again."""
    notes: tuple[NoteRow, ...] = ()
    dismissal: DismissalRow | None = None

    @property
    def is_dismissed(self) -> bool:
        """It needs nobody until it comes again."""
        return self.dismissal is not None and not self.dismissal.came_again


class Happening(NamedTuple):
    """One event of the stream: what happened to which run and step."""

    id: str
    at: int
    run_id: str
    step_id: str
    state: State
    rev: int
    fact: AnyFact | Other

    @property
    def is_root(self) -> bool:
        """Whether it happened to a run's own step (a run's id is its root's)."""
        return self.run_id == self.step_id

    @property
    def spec(self) -> Spec | None:
        """What a post said of the step; None: it was none."""
        return self.fact.spec if isinstance(self.fact, (Accepted, Replaced)) else None


def attempt_of(row: AttemptRow) -> Attempt:
    """An attempt of the wire."""
    return Attempt(
        number=row.number,
        generation=row.generation,
        status=row.status,
        started_at=ms_of(row.started_at) or 0,
        ended_at=ms_of(row.ended_at),
        http_status=row.http_status,
        error=row.error,
        excerpt=row.excerpt,
        delay_ms=row.delay_ms,
        delay_by=row.delay_by,
    )


def step_of(row: StepRow) -> Step:
    """A step of the wire."""
    return Step(
        id=row.id,
        run_id=row.run_id,
        parent_id=row.parent_id,
        name=row.name,
        workflow=row.workflow_name,
        key=row.idempotency_key,
        step_key=row.step_key,
        url=row.url,
        state=State.of(row.status),
        rev=row.rev,
        generation=row.generation,
        attempts=row.attempts,
        failures=row.failures,
        retries_max=row.retries_max,
        submitted_at=ms_of(row.submitted_at) or 0,
        ended_at=ms_of(row.ended_at),
        due_at=ms_of(row.due_at),
        delay_ms=row.delay_ms,
        delay_by=row.delay_by,
        pause_reason=row.pause_reason,
        cause_id=row.cause_id,
        http_status=row.http_status,
        error=row.error,
        excerpt=row.excerpt,
        awaiting_post=row.awaiting_post,
        held_since=None if row.held_since is UNSET else ms_of(row.held_since),
        waits=None if row.waits is UNSET else row.waits,
        tries=tuple(map(attempt_of, row.attempt_rows or ())),
        repairs=() if row.repairs is UNSET else row.repairs,
        opened_at=None if row.opened_at is UNSET else ms_of(row.opened_at),
    )


def run_of(row: RunRow) -> Run:
    """A run of the wire."""
    return Run(
        id=row.id,
        client=row.client,
        workflow=row.workflow_name,
        key=row.idempotency_key,
        state=State.of(row.status),
        rev=row.rev,
        generation=row.generation,
        dismissed=row.dismissed,
        submitted_at=ms_of(row.submitted_at) or 0,
        ended_at=ms_of(row.ended_at),
        at=None if row.at is None else at_of(row.at),
        pause_reason=row.pause_reason,
        reason=row.reason,
    )


def at_of(row: StepAt) -> At:
    """The step at which a run is."""
    state = State.of(row.status)
    return At(
        step_id=row.step_id,
        name=row.name,
        host=host_of(row.url),
        state=state,
        attempts=row.attempts,
        tries_left=tries_left(state, row.retries_max, row.failures),
        started_at=ms_of(row.started_at),
        due_at=ms_of(row.due_at),
        delay_by=row.delay_by,
        http_status=row.http_status,
        error=row.error,
        excerpt=row.excerpt,
        url=row.url,
    )


def retry_of(row: RetryRow) -> Retry:
    """A retry of the wire."""
    return Retry(row.run_id, row.workflow_name, row.rev, at_of(row.at), row.client)


def cause_of(row: CauseRow) -> Cause:
    """A cause of the wire."""
    return Cause(
        id=row.cause,
        runs=row.runs,
        new_runs=row.new_runs,
        first_at=ms_of(row.first_at) or 0,
        last_at=ms_of(row.last_at) or 0,
        run_id=row.run_id,
        workflow=row.workflow_name,
        state=State.of(row.status),
        at=None if row.at is None else at_of(row.at),
        reason=row.reason,
        pattern=row.pattern,
        last_at_told=row.last_at,
        notes=row.notes,
        dismissal=row.dismissal,
    )


def happening_of(event: Event) -> Happening | None:
    """A `run`, `step` or `attempt` event; None when it lacks what all of them have."""
    fact = event.data
    if not isinstance(fact, Stamped) or not fact.run_id or not fact.step_id:
        return None
    return Happening(
        id=event.id,
        at=ms_of(fact.at) or 0,
        run_id=fact.run_id,
        step_id=fact.step_id,
        state=State.of(fact.status),
        rev=fact.rev,
        fact=fact,
    )


def is_settled(job: BulkAnswer) -> bool:
    """Whether a bulk job is over, and so is each of its runs, as far as it goes by itself."""
    return job.state != "running" and job.runs is not None and job.runs.keys() <= SETTLED
