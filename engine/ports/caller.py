"""The port of whoever sends attempts: what is sent, and what is said of its way."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from engine.core.outcome import Outcome

SMALL_BYTES_MAX = 16_384
"""A body that is no larger is read without asking for room (`engine.process.budget`): each
connection may hold a head of that size too."""


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


class Targets(Protocol):
    """Which URLs may be called, as far as can be told without a look-up of their host's name."""

    @property
    def listed(self) -> bool:
        """Whether clients have lists of targets: what is on none is not taken."""
        ...

    def why_not(self, client: str, url: str) -> str | None:
        """Why a client may not have this URL called, for people; None: it may."""
        ...

    def why_not_any(self, start: str, only: str | None = None) -> str | None:
        """Why no client may have anything called that begins so; None: one may. `only`: the one
        client that who asks may learn of."""
        ...

    async def reach(self, name: str, url: str) -> str | None:
        """Connect where a client's calls go, and hang up. Why it cannot be; None: it can."""
        ...


class AllTargets:
    """Every URL there is."""

    listed = False

    def why_not(self, client: str, url: str) -> str | None:
        """It may be."""

    def why_not_any(self, start: str, only: str | None = None) -> str | None:
        """It may be."""

    async def reach(self, name: str, url: str) -> str | None:
        """It is taken for reached."""


ALL_TARGETS = AllTargets()


class EndpointCaller(Protocol):
    """Sends one invocation. Has no time-out of its own: whoever calls cancels."""

    async def call(self, invocation: Invocation) -> Outcome:
        """Send it and report. Never raises for what a peer, DNS or TLS does."""
