"""Which runs are in memory: found there or in the store, loaded once, and forgotten.

The record is the truth. What is in memory is the part of it that somebody waits for or that is due
soon; everything else is found again by identity, by id, or by the index on due times (`sweep.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeGuard

import trio
from msgspec import Struct, field

from engine.core.errors import Refused
from engine.core.events import ReadAgain
from engine.core.machine import Change
from engine.core.model import Run, step_label
from engine.core.rules.attempt import recover
from engine.ports.audit import Names
from engine.ports.registry import restored_up_to
from engine.ports.retention import Expired
from engine.ports.store import Found, Look, Stopped, Stored
from engine.runs.limits.refusals import (
    engine_error,
    outcome_expired,
    store_silent,
    store_unavailable,
)
from engine.runs.live import LEAVES_MEMORY_AFTER_MS, LiveRun
from engine.runs.open.request import Request
from engine.runs.shared import Shared
from engine.runs.stopped import StoppedRuns, stopped_refusal

TAKEN_UP_AT_ONCE = 20
"""So many runs are taken up before others get their turn: some milliseconds."""

ANSWER_S_MAX, ANSWER_AWAY_S_MAX = 5.0, 0.5
"""How long a store may take to say who has an identity, and one that is away: then the post is
refused. It can be made again, and what waits is in memory."""

Identity = tuple[str, str, str]
"""Client, workflow, key."""
Suffices = Callable[[Run], bool]
"""Whether what is recorded of a run is all that somebody asks for."""


class _Loading(Struct):
    """A run that is being read from the store."""

    over: trio.Event = field(default_factory=trio.Event)
    read: Run | None = None
    """The run, if it was only read, and not taken into memory."""


class _Asking(Struct):
    """The store is being asked who has an identity. Meanwhile no run of it is opened."""

    over: trio.Event = field(default_factory=trio.Event)
    found: Found = None
    refused: Refused | None = None
    """Why there is no answer."""


class Memory:
    """Those of one engine. `start` starts a task that goes on as long as the engine runs."""

    def __init__(self, shared: Shared, stopped: StoppedRuns, start: Callable[..., None]) -> None:
        self.live: dict[str, LiveRun] = {}
        self._shared, self._stopped, self._start = shared, stopped, start
        self._by_identity: dict[Identity, LiveRun] = {}
        self._loading: dict[str, _Loading] = {}
        self._asking: dict[Identity, _Asking] = {}
        self._restored_up_to = restored_up_to(shared.store.registered)

    @property
    def is_full(self) -> bool:
        """No further run may be opened, or be brought for its own sake."""
        return len(self.live) >= self._shared.limits.runs_in_memory_max

    @property
    def cancelled_in_flight(self) -> int:
        """Requests of steps that were cancelled: they are let finish (`open/late.py`), and no step
        is in flight for it."""
        lives = self.live.values()
        return sum(live.run.steps[id].ended for live in lives for id in live.requests)

    def in_flight(self) -> Iterator[tuple[str, Request]]:
        """Requests that have a place at their host or gave it up, each with its client."""
        for live in self.live.values():
            for request in live.requests.values():
                if request.host is not None:
                    yield live.run.client, request

    # -- finding -------------------------------------------------------------------------------

    def by_key_nowait(self, client: str, workflow: str, key: str) -> LiveRun | None:
        """The run of this identity, if it is in memory."""
        return self._by_identity.get((client, workflow, key))

    def names(self, run_id: str, step_id: str) -> Names | None:
        """What a run is called, and a step of it below its root; None: it is not in memory."""
        if (live := self.live.get(run_id)) is None:
            return None
        run, step = live.run, live.run.steps.get(step_id)
        label = None
        if step is not None and not step.is_root:
            label = step_label(step.spec.name, step.spec.step_key)
        return Names(run.client, run.root.spec.workflow, run.root.spec.key, label)

    def client_of(self, run_id: str) -> str | None:
        """Whose run it is; None: it is not in memory."""
        live = self.live.get(run_id)
        return None if live is None else live.run.client

    async def read_by_key(
        self, client: str, workflow: str, key: str, suffices: Suffices
    ) -> LiveRun | Run | None:
        """The same as `read`, of the run of this identity. Raises Refused if it has expired.

        Nothing is awaited between the moment for which it says that there is none, and its return.
        """
        while True:
            who = await self.find(client, workflow, key)
            if who is None:
                return None
            if isinstance(who, LiveRun):
                return _not_stopped(who)
            if isinstance(who, Expired):
                raise outcome_expired(who)
            if (found := await self.read(who, suffices)) is not None:
                return found
            # It has gone meanwhile, and its key is what is found next.

    async def find(self, client: str, workflow: str, key: str) -> LiveRun | Found:
        """Who has this identity: a run in memory, or as the store says. Raises Refused if there is
        no answer.

        Where the store knows at once nothing is awaited. Else one asks, and others wait for the
        answer: so while one is on its way nobody opens a run that it knows nothing of, and that
        might have ended and left memory when it comes. Nothing is awaited once it is here.
        """
        identity = client, workflow, key
        while True:
            if (live := self._by_identity.get(identity)) is not None:
                return live
            found = self._shared.store.find_run(client, workflow, key)
            if not isinstance(found, Look):
                return found
            if (asking := self._asking.get(identity)) is None:
                return await self._ask(identity, found)
            await asking.over.wait()
            if asking.refused is not None:
                raise asking.refused
            if asking.found is not None:
                return asking.found
            # Nobody had it: who asked has opened it, or it is this one's turn to ask.

    async def _ask(self, identity: Identity, look: Look) -> Found:
        asking, store = _Asking(), self._shared.store
        self._asking[identity] = asking
        try:
            with trio.move_on_after(ANSWER_S_MAX if store.away is None else ANSWER_AWAY_S_MAX):
                asking.found = await look.ask()
                return asking.found
            raise store_silent() if store.away is None else store_unavailable(store.away)
        except Refused as refused:
            asking.refused = refused
            raise
        finally:
            del self._asking[identity]
            asking.over.set()

    async def read(self, run_id: str, suffices: Suffices) -> LiveRun | Run | None:
        """The run: as recorded, if it is not in memory, and that suffices. Else from memory.

        Raises Refused if a bug has stopped it.
        """
        found = await self._find(run_id, suffices)
        return found if isinstance(found, Run) else _not_stopped(found)

    async def get(self, run_id: str) -> LiveRun | None:
        """The run, taken into memory. Raises Refused if a bug has stopped it."""
        return _not_stopped(await self.get_or_stopped(run_id))

    async def get_or_stopped(self, run_id: str) -> LiveRun | Stopped | None:
        """The run, taken into memory if it can be."""
        found = await self._find(run_id, lambda run: False)
        assert not isinstance(found, Run)
        return found

    async def _find(self, run_id: str, suffices: Suffices) -> LiveRun | Run | Stopped | None:
        """The run, from memory or the store. Several at once load it once."""
        while True:
            if (live := self.live.get(run_id)) is not None:
                return live
            if (loading := self._loading.get(run_id)) is not None:
                await loading.over.wait()
                if loading.read is not None and suffices(loading.read):
                    return loading.read
                continue
            with self._load(run_id) as loading:
                found = await self._shared.store.load_runs((run_id,), self._payloads_until())
                if not found:
                    return None
                if self._is_as_recorded(found[0]) and suffices(found[0].run):
                    loading.read = found[0].run
                    return loading.read
                return self._take_up(found[0])

    def _is_as_recorded(self, stored: Stored | Stopped) -> TypeGuard[Stored]:
        """Whether nothing has to be done to the run before anybody is told of it."""
        return (
            isinstance(stored, Stored)
            and stored.run.engine_error is None
            and self._stopped.being_recorded(stored.run.id) is None
        )

    async def get_all(self, run_ids: list[str]) -> None:
        """Bring runs into memory that are not there, and that nobody is bringing."""
        missing = [id for id in run_ids if id not in self.live and id not in self._loading]
        with ExitStack() as loading:
            for run_id in missing:
                loading.enter_context(self._load(run_id))
            found = await self._shared.store.load_runs(missing, self._payloads_until())
            for number, stored in enumerate(found, 1):
                self._take_up(stored)
                if not number % TAKEN_UP_AT_ONCE:
                    await trio.lowlevel.checkpoint()

    @contextmanager
    def set_apart(self, run_ids: Sequence[str]) -> Iterator[list[str]]:
        """Those of these runs that are at rest: who asks for one waits until this is left, and
        looks then."""
        at_rest = list(filter(self._is_at_rest, run_ids))
        with ExitStack() as apart:
            for run_id in at_rest:
                apart.enter_context(self._load(run_id))
            yield at_rest

    def _is_at_rest(self, run_id: str) -> bool:
        """It is not in memory, nor on its way there, and no stop of it is to be recorded."""
        in_memory = run_id in self.live or run_id in self._loading
        return not in_memory and self._stopped.being_recorded(run_id) is None

    @contextmanager
    def _load(self, run_id: str) -> Iterator[_Loading]:
        loading = self._loading[run_id] = _Loading()
        try:
            yield loading
        finally:
            del self._loading[run_id]
            loading.over.set()

    def _payloads_until(self) -> int:
        """Until when payloads are read along with their runs."""
        return self._shared.clock.steady_ms() + LEAVES_MEMORY_AFTER_MS

    # -- coming and going ----------------------------------------------------------------------

    def enter(self, run: Run) -> LiveRun:
        """A run that is not in memory comes there, and is driven."""
        live = LiveRun(self._shared, run, self._stopped.park, self._forget)
        self.live[run.id] = live
        spec = run.root.spec
        self._by_identity[run.client, spec.workflow, spec.key] = live
        self._start(self._drive_to_end, live)
        return live

    def _take_up(self, stored: Stored | Stopped) -> LiveRun | Stopped:
        """Take a stored run up again: what was in flight when the engine ended was interrupted."""
        if isinstance(stored, Stopped):
            self._stopped.stop_unreadable(stored)
            return stored
        if (stopped := self._stopped.being_recorded(stored.run.id)) is not None:
            return stopped
        live = self.enter(stored.run)
        try:
            for step_id, payload in stored.payloads.items():
                live.payloads.keep_small(step_id, payload)
            change = Change(stored.run)
            now, chance = self._shared.clock.steady_ms(), self._shared.clock.chance()
            if stored.run.engine_error is None:
                recover(change, now=now, chance=chance, of_copy=self._is_of_copy(stored))
            else:
                change.do(ReadAgain(now, stored.run.id))
                why = "the engine could not go on with the run"
                recover(change, now=now, chance=chance, why=why)
            live.put_back_released()
            live.commit(change)
        except Exception as error:
            if not self._stopped.park(live, error):
                raise
        return live

    def _is_of_copy(self, stored: Stored) -> bool:
        """Nothing has happened to it since it was restored: with the first, what was in flight has
        an end."""
        return stored.seq is not None and stored.seq <= self._restored_up_to

    async def _drive_to_end(self, live: LiveRun) -> None:
        try:
            await live.drive()
        except Exception as error:
            if not self._stopped.park(live, error):
                raise
        if live.run.parked:  # nothing of it is open any more
            await self._stopped.wait_recorded(live.run.id)
            self._forget(live)
            # The store may be away, or damaged there: then the sweep looks again.
            with suppress(Refused):
                await self.get_or_stopped(live.run.id)  # perhaps it was let go on meanwhile

    def _forget(self, live: LiveRun) -> None:
        """Nothing of the run needs memory."""
        live.payloads.let_go()
        spec = live.run.root.spec
        del self.live[live.run.id]
        del self._by_identity[live.run.client, spec.workflow, spec.key]

    def stop_unwritable(self, run: Run, error: Exception) -> bool:
        """The rows of a run do not fit the tables. False: the error is to end the engine.

        It may have left memory since it was changed.
        """
        if (live := self.live.get(run.id)) is not None:
            return self._stopped.park(live, error)
        return self._stopped.stop_forgotten(run, error)


def _not_stopped(found: LiveRun | Stopped | None) -> LiveRun | None:
    if isinstance(found, Stopped):
        raise stopped_refusal(found)
    if found is not None and found.run.parked:
        raise engine_error(found.run.id, found.stopped_by)
    return found
