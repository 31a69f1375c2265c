"""The ports of the shell: small protocols without rules in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from engine.core.machine import Change
from engine.core.model import Run
from engine.core.outcome import Outcome


class Invocation(Struct, frozen=True):
    """One attempt, ready to be sent: all that `docs/protocol.md` §3 puts on the wire."""

    url: str
    idempotency_key: str
    """As the submitter gave it; goes into the body."""
    step_own_key: str
    """The step's own key; goes into the headers `Idempotency-Key` and `webhook-id`."""
    payload: bytes
    """JSON, byte for byte as first received."""
    run_id: str
    step_id: str
    workflow: str
    attempt: int
    token: str
    """Sent as `Atomic-Parent`."""
    traceparent: str


class EndpointCaller(Protocol):
    """Sends one invocation. Has no time-out of its own: whoever calls cancels."""

    async def call(self, invocation: Invocation) -> Outcome:
        """Send it and report. Never raises for what a peer, DNS or TLS does."""
        ...


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


class Write(Struct):
    """What one change of a run puts into the store, whole or not at all."""

    change: Change
    bodies: tuple[Body, ...] = ()
    then: Callable[[], None] | None = None
    """Called once the write is durable, from the writer's task. Must not fail."""


class Receipt(Protocol):
    """The promise of a write."""

    @property
    def durable(self) -> bool:
        """Whether the commit has happened."""
        ...

    async def wait(self) -> None:
        """Return when it has. If the commit fails the engine stops, and this never returns."""
        ...


class Due(Struct, frozen=True):
    """A step the engine must look at, at `wake_at` (0: since before it was last stored)."""

    wake_at: int
    step_id: str
    run_id: str


class Store(Protocol):
    """Where runs are kept. One owner; what it has said is durable stays so."""

    def write(self, write: Write) -> Receipt:
        """Queue a write for the next group commit. Writes are kept in the order of the calls."""
        ...

    @property
    def backlog(self) -> int:
        """Events that wait for a commit."""
        ...

    async def find_run(self, client: str, workflow: str, key: str) -> str | None:
        """The id of the run with this identity."""
        ...

    async def load_run(self, run_id: str) -> Run | None:
        """The run with all its steps, indexes rebuilt."""
        ...

    async def payload(self, step_id: str, generation: int) -> bytes:
        """The payload as first received."""
        ...

    async def answer(self, step_id: str, attempt: int) -> Body | None:
        """The answer that an attempt got, if one was kept."""
        ...

    async def due(self, after: Due, until: int, limit: int) -> list[Due]:
        """Steps with `wake_at` up to `until`, in order, from just behind `after`."""
        ...
