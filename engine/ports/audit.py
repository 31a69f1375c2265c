"""The port of the audit: what people did, and the tokens that were refused, as the store keeps it.

With several engines on one store it will be shared.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from engine.ports.receipt import Receipt


class Names(Struct, frozen=True):
    """What a run, and a step of it, is called."""

    client: str
    workflow: str
    key: str
    step: str | None = None
    """As it is shown; None: the whole run."""


class AuditEntry(Struct, frozen=True):
    """One act, or refusals of one kind."""

    id: str
    """A ULID: entries in the order of their ids are in that of their acts."""
    at: int
    """When it was asked for, in milliseconds since the epoch, UTC."""
    actor: str
    """Who: as in the events of runs; of a refused token what is known of it."""
    address: str | None
    """Where it came from; None: it was done in the file, or who asked had gone."""
    act: str
    """What was done, in the words of the command: `retry`, `token add`."""
    what: str
    """What it was done to: a run, a client, a filter."""
    detail: str = ""
    """The rest of what was asked, as JSON; of a refusal why. Bodies are not in it."""
    status: int | None = None
    """What was answered. None: not known, as the engine ended meanwhile."""
    problem: str | None = None
    """The type of the problem that was answered."""
    count: int = 1
    """So many refusals."""
    client: str | None = None
    """Of what an act on a run or a step is about the `Names`, where that was known when it was
    asked for."""
    workflow: str | None = None
    key: str | None = None
    step: str | None = None


class AuditQuery(Struct, frozen=True):
    """Which entries, the newest first, from where."""

    since: int = 0
    """Milliseconds since the epoch, UTC."""
    actor: str | None = None
    """Whose, whatever they claimed beside (in parentheses)."""
    act: str | None = None
    what: str | None = None
    cursor: str | None = None
    """Id behind which the page begins."""
    limit: int = 50


class AuditStore(Protocol):
    """Where they are kept."""

    def audit(self, entry: AuditEntry) -> Receipt:
        """Keep it; the later of two with the same id holds. It makes the commit no sooner, and is
        durable no later than whatever is written after it."""

    def unaudit(self, entry_id: str) -> Receipt:
        """Take one away again: of what was refused, and is counted elsewhere."""

    def forget_audit(self, before: int) -> Receipt:
        """Take away some of the oldest entries, if they are older than this."""

    async def audited_before(self, at: int) -> int:
        """How many durable entries are older than this."""

    async def audited(self, query: AuditQuery) -> list[AuditEntry]:
        """Those that are durable."""
