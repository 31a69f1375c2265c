"""Figures of the engine as the status shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from engine import wire
from engine.core.errors import Refused
from engine.core.model import Step, StepState
from engine.core.rules.hold import Hold
from engine.core.text.times import rfc3339
from engine.front.access.listeners import Listeners
from engine.front.show.rows import hold_row
from engine.ports.store import Away
from engine.process.budget import Budget
from engine.process.config import Config
from engine.registry.limits import LimitKind, SetLimits
from engine.registry.registry import BadFile
from engine.runs.engine import Engine
from engine.runs.limits.gates import Gate, WaitsFor
from engine.runs.limits.holds import HoldKey, Holds
from engine.runs.limits.hosts import HostFigures
from engine.runs.limits.places import AttemptPlaces
from engine.runs.limits.standstill import HostPool, standstill_text
from engine.runs.store_room import StoreRoom

HOSTS_TOLD_MAX = 200
CLIENTS_TOLD_MAX = 200


def run_counts(runs: Mapping[str, int]) -> wire.RunCounts:
    """Runs by state."""
    return wire.RunCounts(**{state.name.lower(): runs.get(state, 0) for state in StepState})


def memory_used(budget: Budget) -> wire.Memory:
    """What counts against `memory_bytes_max`, and who waits or was refused for it."""
    return wire.Memory(
        bytes_max=budget.bytes_max,
        bytes={kind: pool.used for kind, pool in budget.pools.items()},
        waiting={kind: pool.waiting for kind, pool in budget.pools.items()},
        refused=budget.refused,
    )


def limits_set(config: Config, memory_bytes_max: int) -> wire.Limits:
    """The settings of these names; that of memory says what holds where none was set."""
    limits = msgspec.convert(config, wire.Limits, from_attributes=True)
    return replace(limits, memory_bytes_max=memory_bytes_max)


def store_status(away: Away | None, backlog: int, now: int, now_s: float) -> wire.StoreStatus:
    """Whether it can be written; if not, since when, why, and who keeps it so."""
    if away is None:
        return wire.StoreStatus(available=True)
    return wire.StoreStatus(
        available=False,
        since=_then(away.since_s, now, now_s),
        why=away.why,
        held_by=away.who or None,
        events_waiting=backlog,
    )


def with_room(told: wire.StoreStatus, room: StoreRoom) -> wire.StoreStatus:
    """And how much of `store_bytes_max` is used, where that is set."""
    if not room.bytes_max:
        return told
    told = replace(told, bytes_used=room.bytes_used, bytes_max=room.bytes_max)
    return with_full(replace(told, filling=True) if room.is_filling else told, room)


def with_full(told: wire.StoreStatus, room: StoreRoom) -> wire.StoreStatus:
    """And whether that is reached: every client's new runs are refused then."""
    return replace(told, full=True) if room.is_full else told


def bad_file_rows(files: Iterable[BadFile]) -> tuple[wire.BadFileRow, ...]:
    """Files of clients and tokens that are not as they should be."""
    return tuple(wire.BadFileRow(it.file, rfc3339(it.since), it.why) for it in files)


def hold_rows(holds: Holds) -> tuple[wire.HoldRow, ...]:
    """What is held, by kind and name."""
    return tuple(hold_row(hold, holds.waiting.get(hold.key, 0)) for hold in holds.all)


def listener_rows(listeners: Listeners, client: str | None = None) -> tuple[wire.ListenerRow, ...]:
    """Who listens to events, the latest first; with a client those that see only that one."""
    told = listeners.told(client)
    return tuple(wire.ListenerRow(it.actor, rfc3339(it.since), it.client) for it in told)


def holds_of(holds: Holds, client: str) -> tuple[wire.HoldRow, ...]:
    """For who sees no other client: those on everything and on the client itself, and those under
    which steps of its runs wait, with how many of these. What holds others alone is not told."""
    waiting = holds.waiting_of(client)
    return tuple(hold_row(hold, waiting[hold.key]) for hold in holds.all if hold.key in waiting)


def holds_over(
    holds: Holds, client: str, workflow: str, steps: Iterable[Step]
) -> tuple[wire.HoldRow, ...]:
    """What keeps steps of a run from starting, or is still to let go of them."""
    found: dict[HoldKey, Hold] = {}
    for step in steps:
        what = (client, workflow, step.spec.url)
        if step.ended:
            continue
        keeping = holds.all_over(*what)
        if not keeping and step.held_since is not None and (pacing := holds.pacing(*what)):
            keeping = [pacing]
        found.update((hold.key, hold) for hold in keeping)
    return tuple(hold_row(found[key]) for key in sorted(found))


def host_rows(
    figures: Iterable[HostFigures],
    places: AttemptPlaces,
    now: int,
    now_s: float,
) -> tuple[wire.HostRow, ...]:
    """Hosts that were called lately, or have something in flight or queued."""
    known = {each.host: each for each in figures}
    in_flight, waiting = places.at_hosts.by_host, places.waiting_by_host
    names = sorted({*known, *in_flight, *waiting})[:HOSTS_TOLD_MAX]
    rows = (
        wire.HostRow(
            host=name,
            ended=each.ended,
            succeeded=each.succeeded,
            p95_ms=each.p95_ms,
            by_minute=each.by_minute,
            results=each.results,
            retries=each.retries,
            in_flight=in_flight.get(name, 0),
            queued=its.total(),
            waits_for={why.value: count for why, count in sorted(its.items())},
        )
        for name in names
        for each in (known.get(name) or HostFigures(name),)
        for its in (waiting.get(name) or Counter[WaitsFor](),)
    )
    gates = places.gates.by_host
    return tuple(_with_gate(row, gates.get(row.host), now, now_s) for row in rows)


def _with_gate(row: wire.HostRow, gate: Gate | None, now: int, now_s: float) -> wire.HostRow:
    """What keeps calls to the host back."""
    if gate is None:
        return row
    limits, since = gate.limits, gate.breaker_since
    return replace(
        row,
        in_flight_max=UNSET if limits.in_flight_max is None else limits.in_flight_max,
        calls_per_s=UNSET if limits.calls_per_s is None else limits.calls_per_s,
        breaker_since=UNSET if since is None else _then(since, now, now_s),
    )


async def client_rows(
    limits: SetLimits, engine: Engine, only: str | None = None
) -> tuple[wire.ClientUse, ...]:
    """What clients with limits take of them, by name; `only` this one."""
    names = sorted(engine.registry.limits)[:CLIENTS_TOLD_MAX]
    if only is not None:
        names = [only] if only in engine.registry.limits else []
    rows = []
    for name in names:
        used = await _used(engine, name)
        its = tuple(
            wire.LimitUsed(
                it.name, it.value, it.set_by, None if it.value is None else used.get(it.name)
            )
            for it in limits.of(LimitKind.CLIENT, name)
        )
        rows.append(wire.ClientUse(name, its, engine.new_runs.refused.get(name, 0)))
    return tuple(rows)


async def _used(engine: Engine, client: str) -> dict[str, int | float | None]:
    """By limit; what has none is not counted."""
    calls, budget, open_runs = engine.places.limited.of(client), engine.budget, None
    its = engine.registry.limits.get(client)
    if its is not None and its.open_runs_max is not None:
        with suppress(Refused):  # the store cannot be read now
            open_runs = await engine.new_runs.open_now(client)
    return {
        "open_runs_max": open_runs,
        "in_flight_max": None if calls is None else calls.in_flight,
        "waiting_callers_max": engine.new_runs.waiting.get(client, 0),
        "memory_share": round(budget.of_client(client) / budget.bytes_max, 4),
    }


def standstill_rows(
    pools: Iterable[HostPool], now: int, now_s: float
) -> tuple[wire.StandstillRow, ...]:
    """Hosts whose workers all waited for each other, and may again."""
    return tuple(
        wire.StandstillRow(
            host=pool.name,
            since=_then(pool.still_from, now, now_s),
            until=_then(pool.narrow_until, now, now_s),
            waiting=pool.waited,
            unaccepted=pool.unaccepted,
            times=pool.stands,
            why=standstill_text(pool.name, pool.waited, pool.unaccepted),
        )
        for pool in islice(pools, HOSTS_TOLD_MAX)
        if pool.still_from is not None
    )


def _then(at_s: float, now: int, now_s: float) -> str:
    """A time on Trio's clock; `now` and `now_s` are the same moment."""
    return rfc3339(now + round((at_s - now_s) * 1000))
