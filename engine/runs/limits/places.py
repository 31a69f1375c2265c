"""Which places an attempt needs before it may leave, and when it gives each of them back.

One at its host, and one of its client where that has a limit, until it ends, but while a post of it
hangs (`hanging.py`); one among the workflows (`workflows_in_flight_per_host_max`), if it may post,
until it ends; and one on the ramp, if its step is of before the start, until it ends or first
posts. And the gate of its host, if there is one, must let it through.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from engine.core.model import DelayBy, Flight, Run, Step
from engine.core.outcome import Outcome
from engine.ports.registry import ANY_CLIENT, Clients
from engine.runs.limits.concurrency import ClientCalls, LimitedCalls, Places
from engine.runs.limits.gates import Gates, HostPlaces, WaitsFor
from engine.runs.limits.hanging import Hanging
from engine.runs.limits.ramp import Ramp, RampCall
from engine.runs.limits.trouble import says_of_host

RETRIES = frozenset({DelayBy.POLICY, DelayBy.RETRY_AFTER, DelayBy.OPERATOR})
"""What sets the time of an attempt that is one after a failure."""


class HasPlaces(RampCall, Protocol):
    """A request, and which places it has."""

    host: str | None
    """Whose place it has, or has given up while a post of it hangs; None: it has none."""
    calls: ClientCalls | None
    """Under which limit of its client that counts; None: under none."""
    is_hanging: bool
    """It has given its place up while a post of it hangs."""
    is_beyond: bool
    """It has none at its host, and counts for its client alone: beyond the limit of that."""
    has_hung: bool
    """It did so at any time."""
    is_on_ramp: bool
    """It has one there too (`ramp.py`)."""
    workflow_host: str | None
    """The same under `workflows_in_flight_per_host_max`, for as long as it lasts."""


class AttemptPlaces:
    """The places of all kinds: an attempt takes all that it needs, or none."""

    def __init__(
        self,
        in_flight_max: int,
        per_host_max: int,
        workflows_per_host_max: int,
        began_at: int,
        warn: Callable[..., None] = lambda event, **values: None,
        clients: Clients = ANY_CLIENT,
        hanging_max: int = sys.maxsize,
    ) -> None:
        self.limited = LimitedCalls(clients)
        self.at_hosts = HostPlaces(in_flight_max, per_host_max, self.limited)
        self.hanging = Hanging(hanging_max, per_host_max)
        self.gates = Gates(self.at_hosts, warn)
        self.workflows = (
            Places(sys.maxsize, workflows_per_host_max) if workflows_per_host_max else None
        )
        self.ramp = Ramp(began_at, per_host_max)

    @property
    def waiting_by_host(self) -> dict[str, Counter[WaitsFor]]:
        """How many attempts at each host have not begun, and what they wait for."""
        found: dict[str, Counter[WaitsFor]] = {}
        for host in self.at_hosts.queued_by_host:
            its = found.setdefault(host, Counter())
            for client, count in self.at_hosts.queued_by_client(host).items():
                its[self.waits_for(host, client)] += count
        others: list[tuple[Places, WaitsFor]] = [
            (self.gates.retries, WaitsFor.RETRY_BUDGET), (self.ramp, WaitsFor.RAMP)
        ]  # fmt: skip
        if self.workflows is not None:
            others.append((self.workflows, WaitsFor.WORKFLOW_PLACE))
        for places, why in others:
            for host, count in places.queued_by_host.items():
                found.setdefault(host, Counter())[why] += count
        return found

    @property
    def queued_by_host(self) -> Counter[str]:
        """How many in all at each host."""
        return Counter({host: why.total() for host, why in self.waiting_by_host.items()})

    def waits_with(self, client: str) -> str:
        """Whom those of a client wait with: its own, when it is at its limit, else ("") all whose
        clients are not."""
        return client if self.limited.is_full(client) else ""

    def queued_at(self, host: str, client: str) -> int:
        """How many wait at a host of those that wait together (`waits_with`)."""
        its = self.at_hosts.queued_by_client(host)
        if client:
            return its.get(client, 0)
        beside = sum(n for other, n in its.items() if self.limited.is_full(other))
        return self.queued_by_host[host] - beside

    @property
    def queued(self) -> int:
        """How many in all."""
        return self.queued_by_host.total()

    @property
    def queued_by_reason(self) -> dict[str, int]:
        """The same by what they wait for."""
        found = Counter({why.value: 0 for why in WaitsFor})
        for its in self.waiting_by_host.values():
            found.update({why.value: count for why, count in its.items()})
        return dict(found)

    def waits_for(self, host: str, client: str) -> WaitsFor:
        """What those of a client wait for who queue for a place at this host."""
        if self.limited.is_full(client):
            return WaitsFor.CLIENT_PLACE
        return self.at_hosts.waits_for(host)

    def has_room(self, host: str, client: str) -> bool:
        """Whether there is a place of every kind for an attempt of the client at this host."""
        kinds = (self.at_hosts, self.ramp, self.workflows)
        return not self.limited.is_full(client) and all(
            places is None or places.has_room(host) for places in kinds
        )

    def take(self, request: HasPlaces, run: Run, step: Step, host: str) -> Places | None:
        """Take what the step's next attempt, this request, needs. Else those of which none is
        free."""
        workflows = self.workflows
        if workflows is not None:
            if not _may_post(run, step):
                workflows = None
            elif not workflows.has_room(host):
                return workflows
        on_ramp = self.ramp.was_overdue(step)
        if on_ramp and not self.ramp.has_room(host):
            return self.ramp
        gates = self.at_hosts.gates
        gate = gates.get(host) if gates else None
        is_retry = gate is not None and step.delay_by in RETRIES
        if is_retry and not self.gates.has_retry_left(host):
            return self.gates.retries
        calls = self.limited.of(run.client)
        if (calls is not None and calls.is_full) or not self.at_hosts.take(host):
            return self.at_hosts
        if calls is not None:
            calls.in_flight += 1
            request.calls = calls
        if gate is not None:
            gate.call_begins(request, is_retry=is_retry)
        request.host = host
        if on_ramp:
            self.ramp.take(host)
            request.is_on_ramp = True
            self.ramp.call_begins(host, request)
        if workflows is not None:
            workflows.take(host)
            request.workflow_host = host
        return None

    def showed(self, request: HasPlaces) -> None:
        """The attempt made its first post: its host has taken it."""
        host = request.host
        if host is None:
            return
        if self.at_hosts.gates:
            self.gates.call_ended(host, request, failed=False)
        if request.is_on_ramp:
            self._leave_ramp(host, request, answered=True)

    def post_hangs(self, request: HasPlaces) -> None:
        """A post of the attempt hangs: it gives its place up, if so many may."""
        if request.host is None or request.is_hanging:
            return
        request.has_hung = True
        if request.is_beyond:
            assert request.calls is not None
            request.is_beyond, request.is_hanging = False, True
            self.hanging.hang_again(request.calls)
            self.at_hosts.call_of_limited_ends(request.calls)
            return
        if not self.hanging.enter(request.calls):
            self.hanging.kept[request] = None
            return
        if self.hanging.kept:
            self.hanging.kept.pop(request, None)
        request.is_hanging = True
        self._leave_host(request.host, request, request.calls, answered=True)

    def no_post_hangs(self, request: HasPlaces) -> None:
        """None of its posts hangs any more: it counts again, also beyond a limit; where that is its
        client's, for the client alone."""
        if self.hanging.kept:
            self.hanging.kept.pop(request, None)
        if not request.is_hanging:
            return
        assert request.host is not None
        request.is_hanging, calls = False, request.calls
        if calls is not None and self.limited.any and calls.is_full:
            request.is_beyond = True
            self.hanging.come_back(calls)
        else:
            self.hanging.leave(calls)
            self.at_hosts.take_back(request.host)
        if calls is not None:
            calls.in_flight += 1

    def let_kept_go(self) -> None:
        """Who has kept its place although a post of it hangs gives it up, as far as there is room
        now."""
        while (request := self.hanging.next()) is not None:
            self.post_hangs(cast(HasPlaces, request))

    def call_ended(
        self, host: str, request: object, outcome: Outcome | None, flight: Flight | None
    ) -> None:
        """What a call came to is known: it is perhaps a sign of how its host does. `outcome` None:
        no answer in time."""
        failed = says_of_host(outcome, flight)
        if failed is not None:
            self.gates.call_ended(host, request, failed=failed)

    def give_back(self, request: HasPlaces, *, answered: bool = False) -> None:
        """The attempt is over; `answered`: the host could take it."""
        host, request.host = request.host, None
        calls, request.calls = request.calls, None
        if host is not None:
            if request.is_hanging:
                request.is_hanging = False
                self.hanging.leave(calls)
            elif request.is_beyond:
                assert calls is not None
                request.is_beyond = False
                self.hanging.hang_again(calls)
                self.hanging.leave(calls)
                self.at_hosts.call_of_limited_ends(calls)
            else:
                if self.hanging.kept:
                    self.hanging.kept.pop(request, None)
                self._leave_host(host, request, calls, answered=answered)
        if request.workflow_host is not None:
            assert self.workflows is not None
            host, request.workflow_host = request.workflow_host, None
            self.workflows.give_back(host)

    def _leave_host(
        self, host: str, request: HasPlaces, calls: ClientCalls | None, *, answered: bool
    ) -> None:
        if self.at_hosts.gates:
            self.gates.call_left(host, request)
        if request.is_on_ramp:
            self._leave_ramp(host, request, answered=answered)
        fewer = None if calls is None else partial(self.at_hosts.call_of_limited_ends, calls)
        self.at_hosts.give_back(host, fewer)

    def _leave_ramp(self, host: str, request: HasPlaces, *, answered: bool) -> None:
        request.is_on_ramp = False
        self.ramp.call_ends(host, request, answered=answered)

    def is_waited_for(self, request: HasPlaces) -> bool:
        """Whether somebody waits for a place that the attempt has: at its host, in all, of its
        client, or among the workflows."""
        its, calls, host = self.at_hosts, request.calls, request.host
        if self.workflows is not None and request.workflow_host in self.workflows.queued_by_host:
            return True
        if host is None or request.is_hanging or not (queued := its.queued_by_host):
            return False
        if calls is not None and calls.is_full and calls.passed_over:
            return True
        if request.is_beyond:
            return False
        if its.in_flight >= its.in_flight_max:
            return True
        return host in queued and not its.has_room(host) and its.waits_for(host) is WaitsFor.PLACE


def _may_post(run: Run, step: Step) -> bool:
    """Whether its attempt is counted also while it waits: a root, or one that has posted."""
    return step.is_root or step.id in run.children
