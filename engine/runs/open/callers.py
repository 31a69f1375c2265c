"""The callers of steps: what they ask, and what they are told. `protocol.md` §2."""

from __future__ import annotations

from enum import StrEnum

import trio
from msgspec import Struct, field

from engine.core.model import Step, StepState
from engine.ports.store import Body
from engine.process.budget import Charge


class Wait(Struct, frozen=True):
    """How long a caller waits: `timeout_ms` ends in 504, `prefer_ms` in 202 (0: respond-async)."""

    timeout_ms: int | None = None
    prefer_ms: int | None = None


class Slot(Struct, gc=False):
    """Where the callers of one step wait. Filled when its outcome is durable."""

    moved_at: float
    """When an attempt of the step last began or ended, or else the first caller came."""
    callers: dict[trio.Event, bool] = field(default_factory=dict)
    """An event for each, in their order: one caller can be let go without the others. True: it
    sent no parent token, so it may be a nested function, whatever the engine takes it for."""
    outcome: Step | None = None
    body: Body | None = None

    def let_go(self) -> None:
        """Let all of them go."""
        for event in self.callers:
            event.set()


class Recorded(Struct, frozen=True):
    """The outcome of a step, durable."""

    step: Step
    body: Body | None
    cause: Step | None
    replayed: bool
    payload_differs: bool = False
    left_out: int = 0
    """Bytes of a body that is still to be read, when there is room for it."""
    room: Charge | None = None
    """What a large body takes, until it is sent: whoever is given this gives it back."""


class Why(StrEnum):
    """Why a caller was answered although its step is open."""

    ASYNC = "async"
    WAIT = "wait"
    TIMEOUT = "timeout"
    DRAINING = "draining"
    PARKED = "parked"
    SUSPENDED = "suspended"


class StillOpen(Struct, frozen=True):
    """The step is recorded and has no outcome yet."""

    step_id: str
    run_id: str
    state: StepState
    why: Why


Result = Recorded | StillOpen
