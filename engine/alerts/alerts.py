"""Alerts of one engine: what it hears and sees becomes runs of its own, which call the receiver.

A run, so that an alert is recorded before it leaves, tried again and taken up after a restart like
anything else. Its client is one that no path can name. Of these runs nobody is told: one that fails
stands in the status, and in the list of runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.alerts.cloud_event import event_of, test_event
from engine.alerts.heard import heard, stopped
from engine.alerts.opening import open_own
from engine.alerts.rules import Rule, Trouble
from engine.alerts.seen import hosts_down, late, low_room, old_holds
from engine.alerts.settings import AlertSettings
from engine.alerts.windows import HOUR_MS, PER_HOUR_MAX, Alert, Incident, Remembered, Windows
from engine.core.access.client import ALERTS_CLIENT
from engine.core.errors import EngineError, Problem, RateLimit, Refused
from engine.core.events import Actor, RunMoved
from engine.core.machine import Change
from engine.core.model import StepSpec, StepState
from engine.core.retry import DAY_MS, OnExhausted, RetryPolicy
from engine.core.text.fingerprint import fingerprint
from engine.ports.registry import KIND_ALERTS, Registered, RegistryStore
from engine.ports.views import Views
from engine.process.clock import Clock, Ids
from engine.runs.engine import Engine

WORKFLOW = "alert"
RETRY = RetryPolicy(
    count=1_000, back_off_ms=5_000, max_back_off_ms=600_000, max_elapsed_ms=DAY_MS,
    on_exhausted=OnExhausted.FAIL,
)  # fmt: skip
"""A receiver may be down for a night; what is older than a day nobody needs to be told."""
ATTEMPT_TIMEOUT_MS = 30_000
SAY_EVERY_S = 0.5
LOOK_EVERY_S = 10.0
COUNT_EVERY_S = 60.0
SETTLED_MS = 60_000
"""After a start, before which nothing is taken for over: hosts are not called yet, perhaps."""
KNOWN_MAX = 10_000
"""Causes; with more none is told as new."""
TROUBLES_TOLD_MAX = 20
"""With the status: more nobody reads there."""
WINDOWS = "windows"
_decode = msgspec.json.Decoder(Remembered).decode
_encode = msgspec.json.Encoder().encode


class Store(RegistryStore, Protocol):
    """Where is kept what was told."""

    @property
    def file_id(self) -> str:
        """Its own name."""


class Failed(Struct, frozen=True):
    """An alert that did not come through."""

    at: int
    run_id: str
    why: str


class Alerts:
    """Made before the engine, which tells it of changes; `run` has it look and tell."""

    def __init__(
        self,
        settings: AlertSettings,
        store: Store,
        clock: Clock,
        directory: Path | None,
        inform: Callable[..., None],
        offload: Callable[[Callable[[], list[Trouble]]], Awaitable[list[Trouble]]] = (
            trio.to_thread.run_sync
        ),
    ) -> None:
        """`directory`: where the database lies; None: on no disk of this machine. `offload` runs
        what blocks in another thread."""
        self.settings = settings
        self._store, self._clock, self._directory = store, clock, directory
        self._inform, self._offload = inform, offload
        kept = next((it.value for it in store.registered if it.kind == KIND_ALERTS), None)
        now = clock.steady_ms()
        self._windows = Windows(None if kept is None else _decode(kept), now)
        self._ids = Ids(clock)
        self._began_at = now
        self._known: set[str] = set()
        """Causes for which runs need a person."""
        self._missing: frozenset[str] = frozenset()
        """Of these, those for which none was found at the last look: rows follow what is heard."""
        self._knows = False
        self._stirred = trio.Event()
        self._is_kept = True
        """Nothing was heard since incidents were registered last; what is looked at is found anew
        after a restart."""
        self._engine: Engine | None = None
        self.sent: Counter[str] = Counter()
        """Since the start, by rule."""
        self.delivered = 0
        self.failed = 0
        self.last_failed: Failed | None = None

    # -- hearing: within the passage of a run --------------------------------------------------

    def watch(self, change: Change) -> None:
        """Hear of a change of a run."""
        if change.run.client == ALERTS_CLIENT:
            self._note_own(change)
            return
        for trouble in heard(change):
            self._note(trouble)

    def run_stopped(self, run_id: str, client: str, error: str) -> None:
        """Hear that a bug has stopped a run. One of an alert is one that did not come through: told
        by another, it would stop that too, perhaps."""
        if client == ALERTS_CLIENT:
            self._note_failed(Failed(self._clock.steady_ms(), run_id, error))
        elif Rule.PAUSED in self.settings.rules:
            self._windows.note(stopped(run_id, error), self._clock.steady_ms())
            self._stir()

    def _note(self, trouble: Trouble) -> None:
        if Rule.NEW_CAUSE in self.settings.rules and self._is_new(trouble.cause):
            # One alert says both.
            is_told = trouble.rule in self.settings.rules
            rule = trouble.rule if is_told else Rule.NEW_CAUSE
            trouble = replace(trouble, rule=rule, is_new=True)
        if trouble.rule in self.settings.rules:
            self._windows.note(trouble, self._clock.steady_ms())
            self._stir()

    def _stir(self) -> None:
        self._is_kept = False
        self._stirred.set()

    def _is_new(self, cause: str) -> bool:
        known = self._known
        if cause in known or len(known) >= KNOWN_MAX:
            return False
        known.add(cause)
        return self._knows

    def _note_own(self, change: Change) -> None:
        for event in change.events:
            if isinstance(event, RunMoved):
                self.delivered += event.state is StepState.COMPLETED
                if event.state is StepState.FAILED:
                    root = change.run.root
                    why = root.excerpt or root.error or ""
                    self._note_failed(Failed(event.at, change.run.id, why))

    def _note_failed(self, failed: Failed) -> None:
        self.failed += 1
        self.last_failed = failed

    # -- what there is to see ------------------------------------------------------------------

    @property
    def going_on(self) -> int:
        """Incidents that are not over."""
        return self._windows.going_on

    def troubles(self) -> list[Incident]:
        """The latest of them, up to TROUBLES_TOLD_MAX."""
        return self._windows.latest(TROUBLES_TOLD_MAX)

    @property
    def sent_in_hour(self) -> int:
        """How many of `PER_HOUR_MAX`."""
        return self._windows.sent_in_hour

    @property
    def held_back(self) -> int:
        """Alerts that wait for room within the hour."""
        return self._windows.held_back(self._clock.steady_ms())

    # -- looking and telling -------------------------------------------------------------------

    async def run(self, engine: Engine, views: Views) -> None:
        """Look, and tell, until cancelled."""
        self._engine = engine
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look, engine)
            nursery.start_soon(self._count, views)
            while True:
                self._tell(engine)
                await trio.sleep(SAY_EVERY_S)
                with trio.move_on_after(LOOK_EVERY_S):
                    await self._stirred.wait()
                self._stirred = trio.Event()

    async def _look(self, engine: Engine) -> None:
        room = engine.shared.store_room
        while True:
            now = self._clock.steady_ms()
            hosts = hosts_down(engine.places.gates.by_host, self.settings.host)
            self._see(Rule.HOST_DOWN, list(hosts))
            self._see(Rule.HOLD, list(old_holds(engine.holds.all, now)))
            if Rule.DISK in self.settings.rules:
                found = await self._offload(lambda: list(low_room(self._directory, room)))
                self._see(Rule.DISK, found)
            await trio.sleep(LOOK_EVERY_S)

    async def _count(self, views: Views) -> None:
        while True:
            with suppress(EngineError):  # the store is away, or damaged there: the next time
                if Rule.LATE in self.settings.rules:
                    after_s = self.settings.late_after_s
                    found = await views.late_runs(self._clock.steady_ms() - after_s * 1000)
                    self._see(Rule.LATE, list(late(found, after_s)), ends=not found.is_cut)
                if Rule.NEW_CAUSE in self.settings.rules:
                    await self._follow_causes(views)
            self._keep()
            await trio.sleep(COUNT_EVERY_S)

    async def _follow_causes(self, views: Views) -> None:
        if not self._knows:
            self._known |= await views.known_causes() | self._windows.causes(Rule.NEW_CAUSE)
            self._knows = True
            return
        asked = frozenset(self._known)
        missing = asked - await views.known_causes(asked)
        gone = missing & self._missing
        self._known -= gone
        self._missing = missing - gone
        self._windows.over(Rule.NEW_CAUSE, gone, self._clock.steady_ms())

    def _see(self, rule: Rule, found: list[Trouble], *, ends: bool = True) -> None:
        """`ends`: that is all there is."""
        if rule in self.settings.rules:
            now = self._clock.steady_ms()
            ends = ends and now >= self._began_at + SETTLED_MS
            self._windows.see(rule, found, now, ends=ends)
            self._stirred.set()

    def _tell(self, engine: Engine) -> None:
        while (alert := self._windows.next(self._clock.steady_ms())) is not None:
            now, id = self._clock.steady_ms(), self._ids.run_id()
            try:
                self._open(engine, id, event_of(alert, id, self._source, now))
            except Refused:
                self._keep()
                return  # nothing can be recorded, or the engine stops: what is to be told waits
            self._note_told(alert, id, now)

    def _note_told(self, alert: Alert, id: str, now: int) -> None:
        rule = alert.incident.rule
        self._inform(
            "alert", run_id=id, rule=rule, telling=alert.telling, count=alert.incident.count
        )
        self._windows.said(alert, id, now)
        self.sent[rule] += 1
        self._remember()

    def _keep(self) -> None:
        """Have a restart know what came since the last alert."""
        if not self._is_kept and self._engine is not None and self._engine.store.away is None:
            self._remember()

    def _remember(self) -> None:
        self._is_kept = True
        value = _encode(self._windows.remember())
        now = self._clock.utc_ms()
        self._store.register(Registered(KIND_ALERTS, WINDOWS, value, now, "engine"))

    @property
    def _source(self) -> str:
        return f"urn:atomic:{self._store.file_id}"

    def _open(self, engine: Engine, id: str, body: bytes) -> None:
        url = self.settings.url
        spec = StepSpec(
            workflow=WORKFLOW,
            key=id,
            url=url,
            step_key=url,
            name=WORKFLOW,
            fingerprint=fingerprint(body),
            retry=RETRY,
            attempt_timeout_ms=ATTEMPT_TIMEOUT_MS,
        )
        open_own(engine, id, ALERTS_CLIENT, spec, body)

    async def test(self, actor: Actor) -> str:
        """Send one now, to see whether it comes. Returns the id of its run. Raises Refused."""
        engine, now = self._engine, self._clock.steady_ms()
        if engine is None:
            raise Refused(Problem.DRAINING, "The engine is starting.", retryAfter=1)
        if (free_at := self._windows.free_at(now)) is not None:
            seconds = max(1, (free_at - now + 999) // 1000)
            raise Refused(
                Problem.RATE_LIMITED,
                f"{PER_HOUR_MAX} alerts were sent within an hour, which is the limit: the next may"
                f" be sent in {seconds} s.",
                rateLimit=RateLimit("alerts", PER_HOUR_MAX, HOUR_MS // 1000, seconds),
                retryAfter=seconds,
            )
        id = self._ids.run_id()
        self._open(engine, id, test_event(id, self._source, now, actor.name))
        self._windows.said_unasked(now)
        self.sent["test"] += 1
        self._remember()
        return id
