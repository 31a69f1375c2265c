"""What all runs in memory work with, and count together. A run knows this, and not the engine."""

from __future__ import annotations

from collections.abc import Callable

import trio

from engine.ports.caller import EndpointCaller
from engine.ports.registry import ANY_CLIENT, Clients
from engine.ports.store import Store
from engine.process.budget import Budget
from engine.process.clock import Clock
from engine.process.deadlines import Deadlines
from engine.runs.home import Home
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.holds import Holds
from engine.runs.limits.hosts import Hosts
from engine.runs.limits.new_runs import NewRuns
from engine.runs.limits.places import AttemptPlaces
from engine.runs.open.late import LateCalls
from engine.runs.open.parent import ParentTokens
from engine.runs.store_room import StoreRoom
from engine.telemetry.run_log import NOBODY, Watchers


class Shared:
    """Made once, for an engine. `warn` and `inform`: its log. `pressed`: whether connections run
    short."""

    def __init__(
        self,
        store: Store,
        caller: EndpointCaller,
        clock: Clock,
        parent_tokens: ParentTokens,
        limits: EngineLimits,
        watch: Watchers = NOBODY,
        warn: Callable[..., None] = lambda event, **values: None,
        pressed: Callable[[], bool] | None = None,
        registry: Clients = ANY_CLIENT,
        inform: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self.store, self.caller, self.clock = store, caller, clock
        self.parent_tokens, self.limits = parent_tokens, limits
        self.watch, self.registry = watch, registry
        self.new_runs = NewRuns(registry, clock.steady_ms)
        self.places = AttemptPlaces(
            limits.in_flight_max,
            limits.in_flight_per_host_max,
            limits.workflows_in_flight_per_host_max,
            began_at=clock.steady_ms(),
            warn=warn,
            clients=registry,
            hanging_max=limits.hanging_max,
        )
        self.holds = Holds(store, inform)
        self.budget = Budget(limits.memory_bytes_max, registry)
        self.store_room = StoreRoom(store, limits.store_bytes_max, warn)
        self.hosts = Hosts()
        self.deadlines = Deadlines()
        """Of attempts in flight, and of runs that sleep until something is due."""
        self.home = Home(limits, self.deadlines, store, self.places, watch.log, warn, pressed)
        self.late = LateCalls(self.deadlines, self.places)
        self.under_way = 0
        """Runs with a request open, or that wait for a place for one."""
        self.refused_unread = 0
        """Posts that were refused before anybody could tell whose they were."""
        self.draining = False
        self.request_ended = trio.Event()
        """Set when a request has ended: whoever drains waits for it, and makes a new one."""
