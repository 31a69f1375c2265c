"""The port of the store: where runs are kept, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from engine.core.errors import EngineError
from engine.core.events import Actor
from engine.core.machine import Change
from engine.core.model import Run
from engine.ports.audit import AuditStore
from engine.ports.receipt import Receipt
from engine.ports.registry import RegistryStore
from engine.ports.retention import Expired, RetainingStore


class StoreError(EngineError):
    """The store cannot be opened; the message says why and what to do."""


class BadFile(StoreError):
    """What is in the file is not as it must be: it is damaged, or another program's."""


class StoreStopped(EngineError):
    """The store ends the engine, for a reason that is known: the message tells it."""


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


class Due(Struct, frozen=True):
    """A step the engine must look at, at `wake_at` (0: since before it was last stored)."""

    wake_at: int
    step_id: str
    run_id: str


class HeldStep(Struct, frozen=True):
    """A step that a hold keeps from starting, and what decides by which."""

    step_id: str
    run_id: str
    client: str
    workflow: str
    """Of its run."""
    url: str


class HeldCount(Struct, frozen=True):
    """How many of them there are with these in common."""

    client: str
    workflow: str
    url: str
    """Of their host: scheme, host and port."""
    steps: int


class Stored(Struct, frozen=True):
    """A run from the store."""

    run: Run
    """With all its steps, indexes rebuilt."""
    payloads: dict[str, bytes]
    """By step, those that were read along: small ones, of steps that are called before long."""
    seq: int | None = None
    """The last event that its rows know; None: they are not written yet."""

    @property
    def run_id(self) -> str:
        return self.run.id


class Stopped(Struct, frozen=True):
    """A run that a bug of the engine's stopped, as far as it can be told without reading it."""

    run_id: str
    client: str
    state: str
    """As last recorded: `paused`, once that is recorded, or how it was ended."""
    rev: int
    root_state: str
    root_rev: int
    error: str
    """What was wrong."""
    recorded: bool = False
    """The record says so; False: it was found just now."""


Found = str | Expired | None
"""Who has an identity: the run of this id; one that retention removed; nobody."""


class Look(Struct, frozen=True):
    """In place of an answer that takes time."""

    ask: Callable[[], Awaitable[Found]]
    """Asks. It may be cancelled at any moment, and tells what was so at some moment of it."""


class BackedUp(Struct, frozen=True):
    """A copy that was made, and checked."""

    file: str
    size: int
    """In bytes."""
    last_seq: int
    """The number of the last event in it."""


class Copies(Protocol):
    """Who makes copies of a store that is open."""

    async def back_up(self, target: Path, told: Callable[[int, int], None]) -> BackedUp:
        """Copy the state of one commit under a name that nothing has yet; `told`, in another
        thread, how much of it is made, of how much. Raises StoreError."""


class Stops(Protocol):
    """What is done to runs that a bug of the engine's stopped."""

    def tell_unwritable(self, stop_run: Callable[[Run, Exception], bool]) -> None:
        """Have this called of a run whose rows could not be written. False: the engine is to end.

        Its events are durable.
        """

    def withhold(self, run_id: str) -> bool:
        """A bug stopped the run: nothing of it is written from memory any more. True: its rows lack
        something, until its stop is recorded."""

    def stop(self, stopped: Stopped, at: int) -> Receipt:
        """Record that a bug stopped a run, without a look at what the bug may have broken."""

    def end_stopped(self, stopped: Stopped, at: int, actor: Actor, reason: str | None) -> Receipt:
        """End a stopped run as it is: all that is open of it is cancelled."""

    def let_go_on(
        self, stopped: Stopped, at: int, action: str, actor: Actor, reason: str | None
    ) -> Receipt:
        """A stopped run is to be loaded like any other, with `Run.engine_error` empty."""

    async def read_again(self, run_id: str) -> Run:
        """Try to read a stopped run as it was recorded. Raises whatever reading it raises."""


class Store(Stops, RegistryStore, AuditStore, RetainingStore, Protocol):
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

    async def bytes_used(self) -> int:
        """What all that it keeps takes; not what was freed, and is used again."""

    async def wait_away_moved(self) -> None:
        """Return when `away` has come or gone."""

    @property
    def backlog_bytes(self) -> int:
        """Of the small bodies (up to `SMALL_BYTES_MAX`) that wait for a commit."""

    def find_run(self, client: str, workflow: str, key: str) -> Found | Look:
        """Who has this identity; or how to ask, where that takes time. Of a run that is opened
        after it was asked the answer knows nothing."""

    async def load_runs(self, run_ids: Sequence[str], until: int) -> list[Stored | Stopped]:
        """The runs that there are, in this order.

        With small payloads of the steps that are to be called by `until`. Those that a bug stopped
        are not read, and one that cannot be read is told as such.
        """

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int | None = None
    ) -> Body | Larger | None:
        """A payload by its generation, or an answer by its attempt; `Larger` beyond `bytes_max`."""

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`."""

    async def held(self, after: str, limit: int) -> list[HeldStep]:
        """Steps that a hold keeps from starting, by id, from just behind this one; from the
        beginning (empty) with all that was written before, unless the store is away."""

    async def held_counts(self) -> list[HeldCount]:
        """How many of them there are. What was written within the last second may be missing."""


class OpenStore(Store, Protocol):
    """A store as whoever opened it knows it: the composition root."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    @property
    def file_id(self) -> str:
        """Its own name: what was recorded elsewhere has other numbers."""

    @property
    def secret(self) -> bytes:
        """What parent tokens are signed with."""

    @property
    def epoch(self) -> int:
        """Of this owner: higher than of every one before it."""

    def durability(self) -> dict[str, str | int]:
        """The settings that durability rests on, as the store reports them."""

    def give_up_at(self, at: float) -> None:
        """After this, on Trio's clock, it ends the engine rather than wait while it is away."""

    def tell_commits(self, took: Callable[[float], None]) -> None:
        """Have this called of each commit with how long it took, its failed tries included."""

    @property
    def file_bytes(self) -> int:
        """How long the file is, with what was freed in it, and without the log; 0: not known."""

    @property
    def log_bytes(self) -> int:
        """How long the log is that commits go to first."""

    @property
    def last_seq(self) -> int:
        """The number of the last event that is durable."""
