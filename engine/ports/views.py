"""The port of the views: what the front reads of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct

from engine.core.cause import stuck
from engine.core.filter import Filter
from engine.core.model import Move, Note, PauseReason, Run, Step, StepState, run_state
from engine.ports.audit import Names
from engine.ports.store import Body, Larger


class AttemptRecord(Struct):
    """One attempt, as recorded."""

    step_id: str
    number: int
    generation: int
    started_at: int
    epoch: int
    ended_at: int | None = None
    counts_as: str | None = None
    """success, failure, interruption, crash or late; None: in flight."""
    http_status: int | None = None
    error: str | None = None
    delay_ms: int | None = None
    delay_by: str | None = None
    answer_in: int | None = None
    """The journal's entry that holds the answer; None: there is none."""
    excerpt: str | None = None
    """Why it failed, in one line."""


class OutcomeRecord(Struct, frozen=True):
    """What came of one generation of a step."""

    step_id: str
    generation: int
    state: str
    attempts: int
    answer_attempt: int
    """As of `Step`."""
    http_status: int | None
    error: str | None
    cause_id: str | None
    ended_at: int


class StepAt(Struct, frozen=True):
    """The step at which a run is: the one that an operator would ask about."""

    id: str
    name: str
    url: str
    state: str
    attempts: int
    failures: int
    retries_max: int
    started_at: int | None
    """Of its latest attempt."""
    due_at: int | None
    delay_by: str | None
    http_status: int | None
    error: str | None
    excerpt: str | None = None
    pause_reason: str | None = None


class Reason(Struct, frozen=True):
    """What a run fails, pauses or backs off for: how the last attempt of a step of it ended."""

    step_id: str
    name: str
    http_status: int | None
    error: str | None
    excerpt: str | None


class RunRecord(Struct, frozen=True):
    """A run's row for lists: its own columns and its root's."""

    id: str
    client: str
    workflow: str
    key: str
    state: str
    rev: int
    dismissed: bool
    steps: int
    open_steps: int
    failed_steps: int
    submitted_at: int
    generation: int
    ended_at: int | None
    due_at: int | None
    pause_reason: str | None
    cause_id: str | None
    error: str | None
    cause: str | None = None
    """Why it needs a person; None: it does not."""
    stuck_at: int | None = None
    at: StepAt | None = None
    reason: Reason | None = None
    moves: tuple[Move, ...] = ()
    """Its rules, in their order."""
    notes: tuple[Note, ...] = ()


def record_of(run: Run) -> RunRecord:
    """A run in memory as a store records it, but for `at` and `reason`, which are looked up."""
    root, state, need = run.root, run_state(run), stuck(run)
    due: list[int] = []
    if state is StepState.BACKING_OFF:
        timed = (step for step in run.steps.values() if step.state is StepState.BACKING_OFF)
        due = [step.due_at for step in timed if step.due_at is not None]
    stands_still = run.engine_error and state is StepState.PAUSED
    return RunRecord(
        id=run.id,
        client=run.client,
        workflow=root.spec.workflow,
        key=root.spec.key,
        state=state,
        rev=run.rev,
        dismissed=run.dismissed,
        steps=len(run.steps),
        open_steps=run.open_steps,
        failed_steps=run.failed_steps,
        submitted_at=run.submitted_at,
        generation=root.generation,
        ended_at=root.ended_at,
        due_at=min(due, default=None),
        pause_reason=PauseReason.ENGINE_ERROR if stands_still else root.pause_reason,
        cause_id=root.cause_id,
        error=run.engine_error or root.error,
        cause=None if need is None else need.cause,
        stuck_at=None if need is None else need.since,
        moves=run.moves,
        notes=run.notes,
    )


class StepOutline(NamedTuple):
    """What a page of a run is laid out by: of each of its steps, however many."""

    id: str
    parent_id: str | None
    name: str
    state: str
    submitted_at: int
    ended_at: int | None
    due_at: int | None
    by_hand: bool = False
    """Somebody repaired it, in this generation or before (`Step.repairs`)."""


class Outline(Struct, frozen=True):
    """A run, and its steps in their order."""

    run: RunRecord
    steps: list[StepOutline]


class RunQuery(Struct, frozen=True):
    """Which runs, in which order, from where."""

    client: str | None = None
    workflow: str | None = None
    key: str | None = None
    states: tuple[str, ...] = ()
    filter: Filter | None = None
    """Terms that must hold too."""
    now: int = 0
    """What ages and due times are compared with."""
    newest_first: bool = True
    cursor: str | None = None
    """Id behind which the page begins."""
    limit: int = 50
    without_steps: bool = False
    """Neither the steps at which the runs are, nor why: read for each, they cost most of it."""
    only: str | None = None
    """The only client whose runs there are for who asks, whatever else they ask for."""


class RunsFound(Struct, frozen=True):
    """A page of runs."""

    runs: tuple[RunRecord, ...]
    total: int
    total_is_estimate: bool
    next: str | None
    """The cursor of the next page; None: this is the last. With it a page may come short."""


class CauseRecord(Struct, frozen=True):
    """Runs that need a person for the same reason."""

    cause: str
    runs: int
    new_runs: int
    """Of them, since the time asked for."""
    first_at: int
    last_at: int
    latest: RunRecord
    """Of it are the pattern and the reason that are shown."""


class StuckOf(Struct, frozen=True):
    """How many runs need a person for one cause."""

    runs: int
    last_at: int
    """When the latest of them got stuck."""


class RetryRecord(Struct, frozen=True):
    """A step whose next attempt has a time."""

    client: str
    workflow: str
    rev: int
    at: StepAt


class RetryQuery(Struct, frozen=True):
    """Which of them, from where."""

    now: int
    after: tuple[int, str] = (1, "")
    """Time and step behind which the page begins."""
    filter: Filter | None = None
    """Terms that must hold of their runs."""
    limit: int = 50
    only: str | None = None
    """As of `RunQuery`."""


class RetriesFound(Struct, frozen=True):
    """A page of them."""

    retries: tuple[RetryRecord, ...]
    next: tuple[int, str] | None


class DueCount(Struct, frozen=True):
    """Attempts that are due up to so long from now, and later than the class before."""

    up_to_ms: int | None
    attempts: int


class EventRecord(Struct, frozen=True):
    """An event as stored: `data` is the core's event as JSON, `state` what it led to."""

    seq: int
    at: int
    run_id: str
    step_id: str
    state: str
    rev: int
    data: str


class Summary(Struct, frozen=True):
    """What the store holds, without counting it."""

    runs: dict[str, int]
    """Runs by state."""
    stuck: int
    """Runs that need a person."""
    late: int
    """Attempts that are more than a second overdue, counted up to a bound."""
    timed: int
    """Attempts that have a time, counted up to a bound."""
    first_seq: int
    last_seq: int


class ClientSummary(Struct, frozen=True):
    """What the store holds of one client. All is counted up to a bound."""

    runs: dict[str, int]
    """Runs by state."""
    stuck: int
    late: int
    timed: int
    due: tuple[DueCount, ...]


class Signal(Protocol):
    """Something that happens once."""

    async def wait(self) -> None:
        """Return when it has happened."""


class LateRuns(Struct, frozen=True):
    """Runs of one client and workflow that are open for long."""

    client: str
    workflow: str
    runs: int
    first_id: str
    """Of the one that was opened first."""


class LateFound(Struct, frozen=True):
    """What there is of them."""

    runs: tuple[LateRuns, ...] = ()
    is_cut: bool = False
    """More open runs are as old as these than are looked at: there are at least so many, and more
    of others perhaps."""


class Views(Protocol):
    """What the front reads of the store. Everything seen here is durable."""

    @property
    def moved(self) -> Signal:
        """The next commit: a hint to read events again."""

    @property
    def last_seq(self) -> int:
        """The number of the last event that is durable."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Runs by state, as of now."""

    async def runs(self, query: RunQuery) -> RunsFound:
        """A page of runs."""

    async def tree(self, run_id: str) -> tuple[RunRecord, list[Step], list[AttemptRecord]] | None:
        """A run, its steps in order, and all their attempts."""

    async def outline(self, run_id: str) -> Outline | None:
        """A run and what its steps are laid out by, of one moment. For 10,000 steps it takes a
        tenth of what `tree` does."""

    async def some_steps(
        self, run_id: str, step_ids: Iterable[str], attempts_max: int
    ) -> list[tuple[Step, list[AttemptRecord]]]:
        """Some steps of a run, in their order, each with its latest attempts."""

    async def open_runs(self, client: str) -> int:
        """How many open runs a client has."""

    async def open_by_client(self) -> dict[str, int]:
        """How many open runs each client has that has any."""

    async def names(self, run_id: str, step_id: str) -> Names | None:
        """What a run is called, or was before it expired, and a step of it below its root; None:
        there is no such run."""

    async def client_of(self, run_id: str) -> str | None:
        """Whose run it is, or was before it expired; None: there is no such run."""

    async def clients_of(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Whose runs these are, or were before they expired, as far as the tables know them: by
        run."""

    async def client_counts(self, client: str) -> dict[str, int]:
        """Runs of a client by state, each counted up to a bound."""

    async def client_summary(self, client: str, now: int, stuck_beside: int = 0) -> ClientSummary:
        """What else is counted of it. So many of the runs that need a person are counted beside
        those that the bound is for."""

    async def causes(
        self, new_since: int, only: str | None = None, but: Iterable[str] = ()
    ) -> list[CauseRecord]:
        """Why runs need a person, what most need it for first; `only`: runs of this client; `but`:
        none of these causes."""

    async def stuck_of(
        self, causes: Iterable[str], only: str | None = None, *, as_of_now: bool = True
    ) -> dict[str, StuckOf]:
        """How many runs need a person for each of these causes, if any do; `only`: runs of this
        client. Not `as_of_now`: it may be as old as what else is counted."""

    async def known_causes(self, among: Iterable[str] | None = None) -> frozenset[str]:
        """Causes for which runs need a person: some 10,000, or all of those `among`."""

    async def late_runs(self, opened_before: int) -> LateFound:
        """Runs that are open, and not paused, since before this time (by a retry, say): among some
        10,000 of the oldest."""

    async def retries(self, query: RetryQuery) -> RetriesFound:
        """Steps whose next attempt has a time, the most overdue first."""

    async def due_counts(self, now: int) -> list[DueCount]:
        """Attempts by when they are due."""

    async def step(self, step_id: str) -> tuple[Step, list[AttemptRecord]] | None:
        """A step and its attempts."""

    async def outcomes(self, run_id: str) -> list[OutcomeRecord]:
        """What came of every generation of a run's steps."""

    async def payload_number(self, step_id: str, generation: int) -> int | None:
        """Under which generation the payload lies that this one was called with."""

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None = None
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt (`Step.answer_attempt`);
        `Larger` beyond `bytes_max`."""

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        """Events behind a sequence number, in commit order."""

    async def events_from(self, at: int) -> int | None:
        """The sequence number behind which the first event is that happened at a time or later
        (milliseconds since the epoch, UTC); of the last one, if none did. None: it may have been
        removed."""

    async def summary(self, now: int) -> Summary:
        """Counts and the ends of the event sequence."""
