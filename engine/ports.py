"""The ports of the shell: small protocols without rules in them."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

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
