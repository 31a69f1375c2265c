"""Which places an attempt needs before it may leave, and when it gives each of them back.

One at its host, unless steps below it are open, until it ends or has its first open child; one
among the workflows (`workflows_in_flight_per_host_max`), if it may post, until it ends; and one on
the ramp, if its step is of before the start, as long as that at its host.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Protocol

from engine.core.model import Run, Step
from engine.runs.limits.concurrency import Places
from engine.runs.limits.ramp import Ramp, RampCall


class HasPlaces(RampCall, Protocol):
    """A request, and which places it has."""

    host: str | None
    """Whose place it has; None: it has none."""
    is_on_ramp: bool
    """It has one there too (`ramp.py`)."""
    workflow_host: str | None
    """The same under `workflows_in_flight_per_host_max`, for as long as it lasts."""


class AttemptPlaces:
    """The places of all kinds: an attempt takes all that it needs, or none."""

    def __init__(
        self, in_flight_max: int, per_host_max: int, workflows_per_host_max: int, began_at: int
    ) -> None:
        self.at_hosts = Places(in_flight_max, per_host_max)
        self.workflows = (
            Places(sys.maxsize, workflows_per_host_max) if workflows_per_host_max else None
        )
        self.ramp = Ramp(began_at, per_host_max)

    @property
    def queued_by_host(self) -> Counter[str]:
        """How many attempts at each host wait for a place of any kind."""
        queued = Counter(self.at_hosts.queued_by_host)
        queued.update(self.ramp.queued_by_host)
        if self.workflows is not None:
            queued.update(self.workflows.queued_by_host)
        return queued

    @property
    def queued(self) -> int:
        """How many in all."""
        return self.queued_by_host.total()

    @property
    def queued_by_kind(self) -> dict[str, int]:
        """The same by the kind of place that they wait for."""
        workflows = 0 if self.workflows is None else self.workflows.queued
        return {
            "place": self.at_hosts.queued,
            "workflow-place": workflows,
            "ramp": self.ramp.queued,
        }

    def take(self, request: HasPlaces, run: Run, step: Step, host: str) -> Places | None:
        """Take what the step's next attempt, this request, needs. Else those of which none is
        free."""
        workflows = self.workflows
        if workflows is not None:
            if not _may_post(run, step):
                workflows = None
            elif not workflows.has_room(host):
                return workflows
        if not step.open_children:
            on_ramp = self.ramp.was_overdue(step)
            if on_ramp and not self.ramp.has_room(host):
                return self.ramp
            if not self.at_hosts.take(host):
                return self.at_hosts
            request.host = host
            if on_ramp:
                self.ramp.take(host)
                request.is_on_ramp = True
                self.ramp.call_begins(host, request)
        if workflows is not None:
            workflows.take(host)
            request.workflow_host = host
        return None

    def give_up(self, request: HasPlaces) -> None:
        """The attempt has an open child now: it has no place at its host any more."""
        self._leave_host(request, answered=True)

    def give_back(self, request: HasPlaces, *, answered: bool = False) -> None:
        """The attempt is over; `answered`: the host could take it."""
        self._leave_host(request, answered=answered)
        if request.workflow_host is not None:
            assert self.workflows is not None
            host, request.workflow_host = request.workflow_host, None
            self.workflows.give_back(host)

    def _leave_host(self, request: HasPlaces, *, answered: bool) -> None:
        host, request.host = request.host, None
        if host is None:
            return
        if request.is_on_ramp:
            self.ramp.call_ends(host, request, answered=answered)
        self.at_hosts.give_back(host)


def _may_post(run: Run, step: Step) -> bool:
    """Whether its attempt is counted also while it waits: a root, or one that has posted."""
    return step.is_root or step.id in run.children
