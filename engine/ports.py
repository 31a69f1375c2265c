"""The ports of the shell: small protocols without rules in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from engine.core.events import Actor
from engine.core.machine import Change
from engine.core.model import Move, Run, Step
from engine.core.outcome import Outcome
from engine.core.search import Search

SMALL_BYTES_MAX = 16_384
"""A body that is no larger is read without asking for room (`engine.budget`): each connection may
hold a head of that size too."""


class Flow(Protocol):
    """What whoever sends an attempt says of it: whether it can have left, and of its bytes, lest
    there come more than have room."""

    def connecting(self, *, under_way: bool) -> None:
        """A connection must be made before the request can leave, or has been made: until then no
        function can be at work for it. Not said where there is a connection."""

    def sent(self) -> None:
        """The request has left whole, or never will: its payload is needed no more."""

    async def wait_room(self, size: int) -> None:
        """Before more than `SMALL_BYTES_MAX` of an answer are read: wait for room for
        `size` bytes, which is what may come in all."""


class FreeFlow:
    """Room for everything."""

    def connecting(self, *, under_way: bool) -> None:
        """Nobody needs to know."""

    def sent(self) -> None:
        """Nobody needs to know."""

    async def wait_room(self, size: int) -> None:
        """There is."""


FREE_FLOW = FreeFlow()


class Invocation(Struct, frozen=True):
    """One attempt, ready to be sent: all that `docs/reference/protocol.md` §3 puts on the wire."""

    url: str
    idempotency_key: str
    """As the submitter gave it; goes into the body."""
    step_own_key: str
    """The step's own key; goes into the headers `Idempotency-Key` and `webhook-id`."""
    payload: bytes
    """JSON, byte for byte as first received."""
    run_id: str
    step_id: str
    client: str
    """Whose run it is: sent as `Atomic-Client`, the path under which its function posts steps."""
    workflow: str
    attempt: int
    parent_token: str
    """Sent as `Atomic-Parent`."""
    traceparent: str
    flow: Flow = FREE_FLOW


class EndpointCaller(Protocol):
    """Sends one invocation. Has no time-out of its own: whoever calls cancels."""

    async def call(self, invocation: Invocation) -> Outcome:
        """Send it and report. Never raises for what a peer, DNS or TLS does."""


class Body(Struct, frozen=True):
    """Bytes that travel with a change: a payload, or an attempt's answer."""

    step_id: str
    number: int
    """For a payload the generation it came in, for an answer the attempt."""
    data: bytes
    content_type: str = "application/json"
    answer: bool = False
    size: int = -1
    """Full size in bytes where `data` was cut; -1: nothing was cut."""
    json: bool = False
    """It is known to be JSON, as its type says. Of answers that were recorded before this was
    looked at it is not known."""


class Larger(Struct, frozen=True):
    """In place of a body that was not read, as it is larger than was asked for."""

    size: int
    """As kept, in bytes."""


class Write(Struct):
    """What one change of a run puts into the store, whole or not at all."""

    change: Change
    bodies: tuple[Body, ...] = ()
    then: Callable[[], None] | None = None
    """Called once the write is durable, from the writer's task. Must not fail."""
    say: Callable[[], None] | None = None
    """The same, of what nobody waits for: it makes the commit no sooner."""


class Away(Struct, frozen=True):
    """The store cannot be written for now: what was given to it waits, and nobody was promised it.

    It is tried on and on; `away` of the store is None again when it can be written.
    """

    since_s: float
    """On Trio's clock."""
    why: str
    """A sentence, for people."""
    who: str = ""
    """The processes that keep it so, as far as is known; found when it has lasted a while."""


class Receipt(Protocol):
    """The promise of a write."""

    @property
    def durable(self) -> bool:
        """Whether the commit has happened."""

    async def wait(self) -> None:
        """Return when it has. If the commit fails for good the engine stops, and this never
        returns."""

    async def wait_unless_away(self) -> bool:
        """Return when it has (True), or when the store is away (False)."""


class Due(Struct, frozen=True):
    """A step the engine must look at, at `wake_at` (0: since before it was last stored)."""

    wake_at: int
    step_id: str
    run_id: str


class Stored(Struct, frozen=True):
    """A run from the store."""

    run: Run
    """With all its steps, indexes rebuilt."""
    payloads: dict[str, bytes]
    """By step, those that were read along: small ones, of steps that are called before long."""

    @property
    def run_id(self) -> str:
        return self.run.id


class Stopped(Struct, frozen=True):
    """A run that a bug of the engine's stopped, as far as it can be told without reading it."""

    run_id: str
    client: str
    state: str
    """As last recorded: of one that is marked `paused`, or how it was ended."""
    rev: int
    root_state: str
    root_rev: int
    error: str
    """What was wrong."""
    marked: bool = False
    """The record says so; False: it was found just now."""


class Store(Protocol):
    """Where runs are kept. One owner; what it has said is durable stays so."""

    @property
    def last_at(self) -> int:
        """The latest time recorded in the events there when the store was opened; 0: none."""

    def write(self, write: Write) -> Receipt:
        """Queue a write for the next group commit. Writes are kept in the order of the calls."""

    @property
    def backlog(self) -> int:
        """Events that wait for a commit."""

    @property
    def away(self) -> Away | None:
        """Why the store cannot be written for now; None: it can."""

    async def wait_away_moved(self) -> None:
        """Return when `away` has come or gone."""

    @property
    def backlog_bytes(self) -> int:
        """Of the small bodies (up to `SMALL_BYTES_MAX`) that wait for a commit."""

    def find_run(self, client: str, workflow: str, key: str) -> str | None:
        """The id of the run with this identity."""

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs that there are, in this order.

        With small payloads of the steps that are to be called by `until`. Those that a bug stopped
        are not read, and one that cannot be read is told as such.
        """

    def tell_unwritable(self, stop_run: Callable[[Run, Exception], bool]) -> None:
        """Have this called of a run whose rows could not be written. False: the engine is to end.

        Its events are durable.
        """

    def withhold(self, run_id: str) -> bool:
        """A bug stopped the run: nothing of it is written from memory any more. True: its rows lack
        something, until it is marked."""

    def stop(self, stopped: Stopped, at: int) -> Receipt:
        """Mark a run that a bug stopped, without a look at what the bug may have broken."""

    def end_stopped(self, stopped: Stopped, at: int, actor: Actor, reason: str | None) -> Receipt:
        """End a marked run as it is: all that is open of it is cancelled."""

    def let_go_on(
        self, stopped: Stopped, at: int, action: str, actor: Actor, reason: str | None
    ) -> Receipt:
        """A marked run is to be loaded like any other, with `Run.engine_error` empty."""

    async def read_again(self, run_id: str) -> Run:
        """Try to read a marked run as it was recorded. Raises whatever reading it raises."""

    async def payload(self, step_id: str, generation: int) -> bytes:
        """The payload as first received."""

    async def answer(self, step_id: str, attempt: int) -> Body | None:
        """The answer that an attempt got, if one was kept."""

    async def body_up_to(
        self, step_id: str, number: int, bytes_max: int, *, answer: bool
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt, if it is no larger."""

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`."""


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


class RunQuery(Struct, frozen=True):
    """Which runs, in which order, from where."""

    client: str | None = None
    workflow: str | None = None
    key: str | None = None
    states: tuple[str, ...] = ()
    search: Search | None = None
    """Terms that must hold too."""
    now: int = 0
    """What ages and due times are held against."""
    newest_first: bool = True
    cursor: str | None = None
    """Id behind which the page begins."""
    limit: int = 50
    bare: bool = False
    """Without the steps at which the runs are, and why: read for each, they cost most of it."""


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
    search: Search | None = None
    """Terms that must hold of their runs."""
    limit: int = 50


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


class Views(Protocol):
    """What the front reads of the store. Everything seen here is durable."""

    async def runs(self, query: RunQuery) -> RunsFound:
        """A page of runs."""

    async def tree(self, run_id: str) -> tuple[RunRecord, list[Step], list[AttemptRecord]] | None:
        """A run, its steps in order, and all their attempts."""

    async def causes(self, new_since: int) -> list[CauseRecord]:
        """Why runs need a person, what most need it for first."""

    async def retries(self, query: RetryQuery) -> RetriesFound:
        """Steps whose next attempt has a time, the most overdue first."""

    async def due_counts(self, now: int) -> list[DueCount]:
        """Attempts by when they are due."""

    async def step(self, step_id: str) -> tuple[Step, list[AttemptRecord]] | None:
        """A step and its attempts."""

    async def body(self, step_id: str, number: int, *, answer: bool) -> Body | None:
        """A payload by its generation, or an answer by its attempt."""

    async def body_up_to(
        self, step_id: str, number: int, bytes_max: int, *, answer: bool
    ) -> Body | Larger | None:
        """The same, if it is no larger."""

    async def events(self, after: int, limit: int) -> list[EventRecord]:
        """Events behind a sequence number, in commit order."""

    async def summary(self, now: int) -> Summary:
        """Counts and the ends of the event sequence."""
