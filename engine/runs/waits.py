"""Why a step that is due has not begun, in a sentence: put together when somebody asks.

A step waits under a hold, or in one of the queues of `limits/places.py`; where it is says why.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio
from msgspec import Struct

from engine.core.model import Step
from engine.runs.limits.concurrency import Places, host_of
from engine.runs.limits.gates import Gate, WaitsFor
from engine.runs.limits.holds import Holds
from engine.runs.limits.places import AttemptPlaces
from engine.runs.live import LiveRun

RELEASE = "release"
"""What a step waits for that is held; the other reasons are those of `WaitsFor`."""


class WhyWaits(Struct, frozen=True):
    """Why one waits."""

    waits_for: str
    """One of `WaitsFor`, or `release`."""
    text: str
    """The same in a sentence, with the limit and how much of it is taken."""


def why_wait(
    places: AttemptPlaces,
    holds: Holds,
    live: LiveRun | None,
    client: str,
    workflow: str,
    steps: Iterable[Step],
) -> dict[str, WhyWaits]:
    """By step, of those of a run that wait. `live`: the run, if it is in memory."""
    found: dict[str, WhyWaits] = {}
    for step in steps:
        queue = None if live is None else live.queued.get(step.id)
        if queue is not None:
            found[step.id] = _why_queued(places, queue, host_of(step.spec.url), client)
        elif step.held_since is not None:
            found[step.id] = _why_held(holds, client, workflow, step.spec.url)
    return found


def _why_held(holds: Holds, client: str, workflow: str, url: str) -> WhyWaits:
    keeping = sorted(holds.all_over(client, workflow, url), key=lambda hold: hold.key)
    if keeping:
        return WhyWaits(RELEASE, "held by " + " and ".join(hold.text for hold in keeping))
    pacing = holds.pacing(client, workflow, url)
    if pacing is None:
        return WhyWaits(RELEASE, "about to start: no hold keeps it any more")
    rate = "" if pacing.rate_per_s is None else f", {pacing.rate_per_s:,} a second"
    return WhyWaits(RELEASE, f"waits for its turn: {pacing.text} was released{rate}")


def _why_queued(places: AttemptPlaces, queue: Places, host: str, client: str) -> WhyWaits:
    gate = places.at_hosts.gates.get(host)
    if queue is places.workflows:
        text = f"{_taken(queue, host, queue.in_flight_per_host_max)} workflows in flight"
        return WhyWaits(WaitsFor.WORKFLOW_PLACE, f"waits for {host}: {text}")
    if queue is places.ramp:
        taken = _taken(queue, host, places.ramp.most(host))
        return WhyWaits(
            WaitsFor.RAMP, f"waits for {host}: {taken} calls there of what was overdue, or held"
        )
    if queue is places.gates.retries:
        text = f"waits for {host}, which fails: enough calls there are retries"
        return WhyWaits(WaitsFor.RETRY_BUDGET, text)
    why = places.waits_for(host, client)
    return WhyWaits(why, _text(places, why, host, client, gate))


def _taken(places: Places, host: str, most: float) -> str:
    return f"{places.by_host.get(host, 0):,} of {int(most):,}"


def _text(places: AttemptPlaces, why: WaitsFor, host: str, client: str, gate: Gate | None) -> str:
    at_hosts, calls = places.at_hosts, places.limited.of(client)
    if why is WaitsFor.CLIENT_PLACE and calls is not None:
        taken = f"{calls.in_flight:,} of {calls.most:,}"
        return f"waits for client {client}: {taken} calls in flight"
    if why is WaitsFor.BREAKER and gate is not None and gate.trouble is not None:
        trouble = gate.trouble
        if not trouble.room:
            probe_s = trouble.next_probe_in_s(trio.current_time())
            return f"waits for {host}, which fails: breaker open, next probe in {probe_s:.1f} s"
        taken = f"{len(trouble.calls):,} of {int(trouble.room):,}"
        return f"waits for {host}, which has failed: {taken} calls for now"
    if why is WaitsFor.RATE and gate is not None:
        next_s = gate.next_call_in_s(trio.current_time())
        per_s = gate.limits.calls_per_s
        return f"waits for {host}: {per_s:g} calls a second, the next in {next_s:.1f} s"
    if at_hosts.in_flight >= at_hosts.in_flight_max:
        taken = f"{at_hosts.in_flight:,} of {at_hosts.in_flight_max:,}"
        return f"waits for the engine: {taken} calls in flight"
    most = at_hosts.in_flight_per_host_max
    if gate is not None and gate.limits.in_flight_max is not None:
        most = gate.limits.in_flight_max
    return f"waits for {host}: {_taken(at_hosts, host, most)} calls in flight"
