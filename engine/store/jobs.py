"""Bulk jobs with a commit: how one stands, and what it did to a run, beside what that changed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from engine.ports.jobs import CameTo, JobRun


class JobRow(Struct, frozen=True):
    """How a job stands: the whole of it as JSON, and what is looked for."""

    id: str
    client: str | None
    """The only client whose runs there were for who asked; None: every one's."""
    key: str | None
    total: int
    ended_at: int | None
    record: str


class JobWrite(Struct):
    """What is written of one job."""

    job_id: str
    row: JobRow | None = None
    runs: Sequence[JobRun] = ()
    """To be added."""
    came_to: CameTo | None = None
    forget: bool = False
    """Some of its runs go; the job when none is left."""
    gone: int = 0
    """How many runs went, once it is made."""

    @property
    def is_small(self) -> bool:
        """It costs next to nothing."""
        return not (self.runs or self.forget)
