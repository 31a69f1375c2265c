"""Run, step and flight: what the engine knows of a tree of steps, and how they are named.

The records are mutable, and nobody outside the core changes them: `machine.evolve` does as events
tell, `core/rules/flight.py` for what no event tells, `core/rules/next.py` for what a limit keeps
from starting. All times are milliseconds: `…_at` on the engine's steady UTC scale
(`engine/process/clock.py`), `…_ms` durations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import copy
from enum import StrEnum
from functools import lru_cache
from heapq import heapify

from msgspec import Struct, field
from msgspec.structs import replace

from engine.core.retry import DEFAULT_POLICY, OnExhausted, RetryPolicy

ATTEMPT_TIMEOUT_MS_DEFAULT = 60_000


class StepState(StrEnum):
    """Where a step stands. `docs/reference/protocol.md` §1."""

    PENDING = "pending"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({StepState.COMPLETED, StepState.FAILED, StepState.CANCELLED})
OPEN = frozenset(StepState) - ENDED


class PauseReason(StrEnum):
    """Why a step is paused."""

    OPERATOR = "operator"
    EXHAUSTED = "exhausted"
    POISONED = "poisoned"
    UNHANDLED_FAILURE = "unhandled-failure"
    """A step below it has failed, and no attempt has dealt with that or said that it ends it."""
    ENGINE_ERROR = "engine-error"
    """A bug of the engine's stopped the run, so that the others go on."""
    TARGET_NOT_ALLOWED = "target-not-allowed"
    """Its client's targets do not, or no longer, allow that it is called."""


class DelayBy(StrEnum):
    """What set the time of a step's next attempt."""

    POLICY = "policy"
    RETRY_AFTER = "retry-after"
    INTERRUPTED = "interrupted"
    CHILD_ENDED = "child-ended"
    OPERATOR = "operator"


class StepSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a post says of its step. A step that opens again takes the spec of the new post."""

    workflow: str
    key: str
    url: str
    """Absolute and normalised."""
    step_key: str
    name: str
    fingerprint: bytes
    """SHA-256 of the payload's canonical JSON."""
    retry: RetryPolicy | None = None
    attempt_timeout_ms: int = ATTEMPT_TIMEOUT_MS_DEFAULT
    trace: str | None = None
    """The trace context of the post (`core/rules/trace.py`); it decides nothing."""

    @property
    def identity(self) -> tuple[str, str, str]:
        """Names the step inside its run."""
        return (self.workflow, self.key, self.step_key)


class Repair(Struct, frozen=True, array_like=True):
    """What an operator did in the place of an endpoint or of who posted (`rules/repair.py`)."""

    generation: int
    """Of the step: the one that it ended, or began."""
    act: str
    """set-result, skip or rerun."""
    at: int
    actor: str
    reason: str
    key: str | None = None
    """The idempotency key that it was asked for with."""
    digest: bytes = b""
    """SHA-256 of what was given."""
    was_status: int | None = None
    was_error: str | None = None
    was_excerpt: str | None = None
    """Of a step that stood failed: how it had. What failed because of it goes on saying so."""


class Step(Struct):
    """One durable HTTP call: its spec, where it stands, and the counters its rules need."""

    id: str
    run_id: str
    parent_id: str | None
    ordinal: int
    depth: int
    spec: StepSpec
    submitted_at: int
    recorded_by: int
    """The parent's attempt that recorded the spec; 0 for a root or when none was in flight."""
    state: StepState = StepState.PENDING
    rev: int = 0
    generation: int = 1
    reruns: int = 0
    payload_generation: int = 1
    """Under which generation the payload lies in the store."""
    attempts: int = 0
    failures: int = 0
    """Failed attempts that count against the retry policy since the budget was fresh."""
    interruptions: int = 0
    """Interrupted attempts in a row with nothing new recorded in the run."""
    crashes: int = 0
    crash_mark: int = -1
    """`Run.progress` at the last crash that cut an attempt of this step."""
    due_at: int | None = None
    delay_ms: int = 0
    delay_by: DelayBy | None = None
    opened_at: int = 0
    """When this generation began: the start of `maxElapsed`."""
    paused_at: int | None = None
    paused_ms: int = 0
    paused_ms_at: int | None = None
    """Until when that is counted: the end of the last pause, or hold, that is in it."""
    pause_reason: PauseReason | None = None
    held_since: int | None = None
    """It wants to start and a hold keeps it from that: since when its `maxElapsed` stands still."""
    resumes_to: StepState | None = None
    """What a paused step was doing, and will be when it is resumed."""
    pause_asked: bool = False
    """Pause was asked for while an attempt was in flight."""
    awaiting_post: bool = False
    """Open again, but called only when the workflow posts it again."""
    cancel_asked: bool = False
    """A step above it failed while an attempt was in flight: this attempt is the last."""
    ended_at: int | None = None
    cause_id: str | None = None
    http_status: int | None = None
    """Of the last attempt."""
    error: str | None = None
    """Of the last attempt."""
    excerpt: str | None = None
    """Of the last attempt (`core/rules/excerpt.py`)."""
    answer_attempt: int = 0
    """The attempt whose answer is the outcome; below 0: it was set, and lies in the store under
    this number, which is that of the generation."""
    ended_url: str | None = None
    """The URL under which it ended, where the run has been moved since: its outcome says that."""
    may_post: bool = False
    """Of an open root: the function of its last attempt may still be at work (`alive.py`)."""
    repairs: tuple[Repair, ...] = ()
    """In their order."""
    open_children: int = 0
    """Children that can still end by themselves. Counted, not stored."""

    @property
    def is_root(self) -> bool:
        return self.parent_id is None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def began_at(self) -> int:
        """Since when its generation is open: from then on is counted how long it takes. Posted, or
        opened again, or (of a later generation) resumed with a fresh budget."""
        return self.submitted_at if self.generation == 1 else self.opened_at

    @property
    def set_by(self) -> Repair | None:
        """By what its outcome was set; None: it has none, or its endpoint answered it."""
        was_set = self.ended and self.answer_attempt == -self.generation  # not one before
        return self.repairs[-1] if was_set else None

    @property
    def own_key(self) -> str:
        """The key sent to the endpoint: constant over attempts, restarts and `retry`."""
        return self.id if self.reruns == 0 else f"{self.id}-r{self.reruns}"

    @property
    def policy(self) -> RetryPolicy:
        return self.spec.retry or DEFAULT_POLICY

    @property
    def on_exhausted(self) -> OnExhausted:
        """A root without its own policy pauses, all else fails."""
        if self.spec.retry is None:
            return OnExhausted.PAUSE if self.is_root else OnExhausted.FAIL
        return self.spec.retry.on_exhausted or OnExhausted.FAIL


class Flight(Struct):
    """What is known of an attempt while its request is open. Lost in a crash, as it should be."""

    number: int
    progress_at_start: int
    known_failure: str | None = None
    """The failed or cancelled step that it was told of last, whatever it has posted since."""
    cut: set[str] = field(default_factory=set)
    """Children for which a post of it waited, and ended without an outcome."""
    open_at_end: frozenset[str] = frozenset()
    """Children that were open when the request ended: it is judged a moment later, and one that
    ends in that moment excuses no less."""
    refused_post: bool = False
    maybe_refused: bool = False
    """While it was in flight a post was refused before anybody could tell whose it was."""
    child_ended: bool = False
    """Since it began, or since it was sent home."""
    asked: set[str] = field(default_factory=set)
    """Steps that it has posted and that were recorded before it began."""
    sent_home: str = ""
    """Why it was: from then on it records and completes nothing. Empty: it was not."""
    refusal: str | None = None
    """Why the last post of it that was refused was: for people, in what it came to."""
    left: bool = True
    """Its endpoint may be at work. Not before its request leaves, nor while a connection for it
    is being made: who runs the attempt says so."""
    posted: bool = False
    """Its function has posted a step."""
    held_since: int | None = None
    """A hold that is over its step when it ends began then."""


class Move(Struct, frozen=True, array_like=True):
    """A rule of a run that was moved: URLs that begin with the one stand for those with the other
    (`retarget.py`)."""

    from_url: str
    to_url: str
    at: int = 0
    """When; 0: not known, as of what is only asked for."""
    actor: str = ""
    """Who moved it. Empty: not known, or only asked for."""


class Note(Struct, frozen=True, array_like=True):
    """What a person wrote of a run."""

    at: int
    actor: str
    text: str


class Run(Struct):
    """A tree of steps with the indexes that its rules need."""

    id: str
    client: str
    submitted_at: int
    rev: int = 0
    progress: int = 0
    """Rises with every step recorded and every outcome recorded."""
    shown: StepState | None = None
    """The run's state as last recorded; `rev` rises when it changes."""
    dismissed: bool = False
    engine_error: str | None = None
    """What was wrong when a bug of the engine's stopped this run, as recorded."""
    stopped_at: int = 0
    """When that was."""
    parked: bool = False
    """The same in this process, recorded or not: nothing of the run starts."""
    moves: tuple[Move, ...] = ()
    """In the order in which they apply."""
    notes: tuple[Note, ...] = ()
    """In their order."""
    steps: dict[str, Step] = field(default_factory=dict)
    by_identity: dict[tuple[str, str, str], str] = field(default_factory=dict)
    flights: dict[str, Flight] = field(default_factory=dict)
    ready: dict[str, None] = field(default_factory=dict)
    """Pending steps that may start, in the order they came (an ordered set)."""
    due: list[tuple[int, str]] = field(default_factory=list)
    """Heap of (due_at, step id); stale entries are skipped."""
    aside: dict[str, None] = field(default_factory=dict)
    """Steps that could start but for a limit; not looked at until they are put back."""
    children: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the steps below each step that has any, in the order they came."""
    counts: dict[StepState, int] = field(default_factory=dict)
    busy_leaves: int = 0
    """Requests in flight of steps without open children."""

    @property
    def root(self) -> Step:
        return self.steps[self.id]

    @property
    def open_steps(self) -> int:
        ended = sum(self.counts.get(state, 0) for state in ENDED)
        return len(self.steps) - ended

    @property
    def failed_steps(self) -> int:
        return self.counts.get(StepState.FAILED, 0)

    @property
    def state(self) -> StepState:
        return run_state(self)

    def flight(self, step_id: str, number: int) -> Flight | None:
        """An attempt, if it is in flight."""
        flight = self.flights.get(step_id)
        return flight if flight is not None and flight.number == number else None

    def copied(self) -> Run:
        """A run that can be changed without changing this one. `deepcopy` takes a second for the
        ten thousand steps that a run may have."""
        return replace(
            self,
            steps={id: copy(step) for id, step in self.steps.items()},
            by_identity=self.by_identity.copy(),
            flights={
                id: replace(each, cut=set(each.cut), asked=set(each.asked))
                for id, each in self.flights.items()
            },
            ready=self.ready.copy(),
            due=self.due.copy(),
            aside=self.aside.copy(),
            children={id: children.copy() for id, children in self.children.items()},
            counts=self.counts.copy(),
        )

    def below(self, step_id: str) -> Iterator[Step]:
        """Every step below this one, parents before their children."""
        found = list(self.children.get(step_id, ()))
        for id in found:
            found += self.children.get(id, ())
            yield self.steps[id]


def run_state(run: Run) -> StepState:
    """The state of a run: its root's outcome, else what its steps are doing. `protocol.md` §1."""
    root = run.root
    if root.ended or root.state is StepState.PAUSED:
        return root.state
    if run.engine_error is not None:
        return StepState.PAUSED
    if not run.busy_leaves:
        if run.counts.get(StepState.BACKING_OFF, 0):
            return StepState.BACKING_OFF
        if run.counts.get(StepState.WAITING, 0):
            return StepState.WAITING
    return StepState.RUNNING


@lru_cache(maxsize=256)  # a step that is taken up is asked for twice
def child_id(run_id: str, identity: tuple[str, str, str], others: int = 0) -> str:
    """A child's id is a function of its run and identity: a crash cannot issue another.

    `others`: steps of a run that was moved which were recorded with this identity before.
    """
    named = (*identity, str(others)) if others else identity
    digest = hashlib.blake2b("\0".join(named).encode(), digest_size=10).hexdigest()
    return f"{run_id}-{digest}"


def step_label(name: str, step_key: str) -> str:
    """What tells a step from others: its name, with its key where it was given one."""
    if "://" in step_key or step_key in ("", name):
        return name
    return step_key if name in step_key else f"{name} ({step_key})"


def run_of(step_id: str) -> str:
    """A step's id begins with its run's."""
    return step_id.partition("-")[0]


def rebuild(run: Run) -> Run:
    """Fill in the indexes of a run whose steps came from the store. Returns the same run."""
    run.by_identity = {step.spec.identity: step.id for step in run.steps.values()}
    run.counts = {}
    run.ready, run.due, run.busy_leaves = {}, [], 0
    run.aside, run.children = {}, {}
    for step in run.steps.values():
        step.open_children = 0
    for step in run.steps.values():
        run.counts[step.state] = run.counts.get(step.state, 0) + 1
        if step.parent_id is not None and not step.ended and not step.awaiting_post:
            run.steps[step.parent_id].open_children += 1
    for step in sorted(run.steps.values(), key=lambda step: step.ordinal):
        if step.parent_id is not None:
            run.children.setdefault(step.parent_id, []).append(step.id)
        if step.held_since is not None:
            run.aside[step.id] = None
        elif step.state is StepState.PENDING and not step.awaiting_post:
            run.ready[step.id] = None
        elif step.state is StepState.BACKING_OFF:
            assert step.due_at is not None
            run.due.append((step.due_at, step.id))
        elif step.state is StepState.RUNNING and not step.open_children:
            run.busy_leaves += 1
    heapify(run.due)
    return run
