"""What the store is given: answers that were read, events of the stream, moves of the connection.

Each is a struct of its own, so a recording of them (`record.py`) is read as what it was.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from engine.wire import BulkAnswer, CauseList, RetryPage, RunPage, RunTree, Status
from engine.wire.events import Event
from tui.data.listing import Edge


class LinkState(StrEnum):
    """How the connection to the engine is."""

    CONNECTING = "connecting"
    """For the first time: there is nothing to show yet."""
    LIVE = "live"
    LOST = "lost"
    """It will be tried again."""
    REJECTED = "rejected"
    """We are not let in, by what stands before the engine: trying again would not help."""
    UNAUTHORIZED = "unauthorized"
    """The engine asks for a token: we have none, or one that it does not know."""
    FORBIDDEN = "forbidden"
    """The token's role does not let us look."""
    UNTRUSTED = "untrusted"
    """The engine's certificate is not trusted. Trying again would not help either."""


class LinkMoved(Struct, frozen=True, tag="link"):
    """The connection changed."""

    state: LinkState
    reason: str = ""
    tries: int = 0
    """Since it was lost."""
    delay_s: float = 0.0
    """Until the next try."""


class StatusRead(Struct, frozen=True, tag="status"):
    """`GET /api/v1/status` was answered. `sent` and `received` are monotonic seconds."""

    status: Status = field(name="members")
    sent: float
    received: float


class RunsRead(Struct, frozen=True, tag="runs"):
    """A page of runs for a listing was answered."""

    listing: str
    edge: Edge
    page: RunPage
    behind: str | None = None


class RetriesRead(Struct, frozen=True, tag="retries"):
    """A page of what is tried next was answered."""

    listing: str
    page: RetryPage


class CausesRead(Struct, frozen=True, tag="causes"):
    """The causes were answered."""

    found: CauseList


class JobsRead(Struct, frozen=True, tag="jobs"):
    """The bulk jobs were answered."""

    found: tuple[BulkAnswer, ...]


class JobRead(Struct, frozen=True, tag="job"):
    """One of them was answered, with what came of its runs."""

    found: BulkAnswer


class TreeRead(Struct, frozen=True, tag="tree"):
    """`GET /api/v1/runs/{id}` was answered."""

    tree: RunTree


class TreeGone(Struct, frozen=True, tag="tree-gone"):
    """The engine does not know the run any more."""

    run_id: str


Answer = (
    LinkMoved
    | StatusRead
    | RunsRead
    | RetriesRead
    | CausesRead
    | JobsRead
    | JobRead
    | TreeRead
    | TreeGone
)
Input = Answer | Event
