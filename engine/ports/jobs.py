"""The port of bulk jobs: what people asked for, the runs that it is about, and what came of it.

How a job stands is written with the action on each of its runs, in one commit: whoever goes on with
it finds each run either acted on or not. With several engines on one store jobs are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, field

from engine.core.events import Actor
from engine.core.model import Move
from engine.core.rules.action import Action
from engine.ports.receipt import Receipt
from engine.ports.store import Away
from engine.ports.views import Reason

EXPIRED = "expired"
"""What came of a run that retention has removed since."""


class JobOrder(Struct, frozen=True):
    """What an operator asks for."""

    action: Action
    q: str
    """The filter as it was written."""
    expect: int
    """How many runs the operator has seen to match."""
    rate_per_s: int
    actor: Actor
    reason: str | None = None
    move: Move | None = None
    """What `retarget` does."""
    only: str | None = None
    """The only client whose runs there are for who asks."""
    first: int | None = None
    """So many it acts on first; it goes on when all of them have completed, and only then."""
    token: str = ""
    """The name of the token it was asked for with; empty: none was asked for."""
    key: str | None = None
    """With this key the job is begun once."""


class Job(Struct):
    """A bulk action, under way or over."""

    id: str
    asked: JobOrder
    file_id: str
    """The store that it was begun in. In a copy of it the job does not go on."""
    started_at: int
    total: int
    """Runs that it acts on, as far as they let it."""
    matched: int
    skipped: dict[str, int]
    """Runs that were left alone, by why."""
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """What those were told that refused the action when their turn came, by the problem."""
    done: int = 0
    ended_at: int | None = None
    aborted: bool = False
    stopped_because: str | None = None
    """Of one that was aborted: by whom, or why it stopped by itself."""
    first_completed: bool = False
    """The runs that it was to act on first have completed."""

    @property
    def state(self) -> str:
        if self.ended_at is None:
            return "running"
        return "aborted" if self.aborted else "done"


class JobRun(Struct, frozen=True, gc=False):
    """A run that a job acts on."""

    run_id: str
    if_rev: int | None
    """The revision that it was found at, if it was at rest."""


class CameTo(Struct, frozen=True):
    """What a job did to a run when its turn came."""

    run_id: str
    at: int
    generation: int | None = None
    """Which generation of its root the action left it in; None: that was not looked at."""
    refused: str | None = None
    """The problem with which the run was left alone; None: the job acted on it."""


class Came(Struct, frozen=True):
    """How many of the runs that a job acted on have come to the same."""

    state: str
    """How the generation has ended that the job left the run in; of one that has not, the state of
    the run; or `EXPIRED`."""
    runs: int
    http_status: int | None = None
    """Of failed ones: what the step at fault was answered last."""
    error: str | None = None
    """And what kind of failure that was."""


class RunEnd(Struct, frozen=True):
    """What came of one of them."""

    run_id: str
    state: str | None
    """How it has ended; None: it has not."""
    reason: Reason | None = None
    """Of one that has failed, and has not been opened again since."""


class KeptJob(Struct, frozen=True):
    """A job that has ended: what is asked of those that are kept, to keep no more than may be."""

    id: str
    only: str | None
    total: int
    ended_at: int


class JobStore(Protocol):
    """Where they are kept."""

    @property
    def file_id(self) -> str:
        """The store's own name."""

    @property
    def away(self) -> Away | None:
        """Why the store cannot be written for now; None: it can."""

    def add_runs(self, job_id: str, runs: Sequence[JobRun]) -> Receipt:
        """Keep runs of a job that is about to begin. There is none before `record`."""

    def record(self, job: Job, came_to: CameTo | None = None) -> Receipt:
        """Keep how a job stands, and what it did to a run, with whatever else is written in the
        same passage: all of it is durable, or nothing."""

    async def forget(self, job_id: str) -> None:
        """Forget a job and its runs, durably."""

    async def under_way(self) -> list[Job]:
        """Those that have not ended, the earliest first."""

    async def unbegun(self) -> list[str]:
        """Jobs of which there are runs and no more: their engine ended before they began."""

    async def kept(self) -> list[KeptJob]:
        """Those that have ended, the earliest first; and those that cannot be read any more, as of
        their beginning."""

    async def job(self, job_id: str) -> Job | None:
        """One of them."""

    async def job_of_key(self, only: str | None, key: str) -> Job | None:
        """The one that was begun with this key."""

    async def jobs(self, only: str | None, cursor: str | None, limit: int) -> list[Job]:
        """The latest first, from just behind `cursor`; `only`: those for this client alone."""

    async def to_do(self, job_id: str, after: str, limit: int) -> list[JobRun]:
        """Runs whose turn has not come, by id, from just behind `after`."""

    async def came(self, job_id: str) -> list[Came]:
        """What came of the runs that a job acted on. While the store is away, as of before."""

    async def ends(self, job_id: str, limit: int) -> list[RunEnd]:
        """What came of each of the first of them. It may be a moment old."""
