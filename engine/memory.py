"""Which runs are in memory: found there or in the store, loaded once, and forgotten.

The record is the truth. What is in memory is the part of it that somebody waits for or that is due
soon; everything else is found again by identity, by id, or by the index on due times (`sweep.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import trio

from engine.core import settle
from engine.core.errors import Refused
from engine.core.events import ReadAgain
from engine.core.machine import Change
from engine.core.model import Run
from engine.drive import LEAVES_MEMORY_AFTER_MS, LiveRun
from engine.ports.store import Stopped, Stored
from engine.refusals import engine_error
from engine.shared import Shared
from engine.stopped import StoppedRuns, refusal

TAKEN_UP_AT_ONCE = 20
"""So many runs are taken up before others get their turn: some milliseconds."""


class Memory:
    """Those of one engine. `start` starts a task that goes on as long as the engine runs."""

    def __init__(
        self, shared: Shared, stopped: StoppedRuns, start: Callable[..., None], runs_max: int
    ) -> None:
        self.live: dict[str, LiveRun] = {}
        self._shared, self._stopped = shared, stopped
        self._start, self._runs_max = start, runs_max
        self._by_identity: dict[tuple[str, str, str], LiveRun] = {}
        self._loading: dict[str, trio.Event] = {}

    @property
    def is_full(self) -> bool:
        """No further run may be opened, or be brought for its own sake."""
        return len(self.live) >= self._runs_max

    # -- finding -------------------------------------------------------------------------------

    def by_key_nowait(self, client: str, workflow: str, key: str) -> LiveRun | None:
        """The run of this identity, if it is in memory."""
        return self._by_identity.get((client, workflow, key))

    async def by_key(self, client: str, workflow: str, key: str) -> LiveRun | None:
        """The run of this identity. Raises Refused if a bug has stopped it."""
        if (live := self.by_key_nowait(client, workflow, key)) is not None:
            return _unparked(live)
        run_id = self._shared.store.find_run(client, workflow, key)
        return None if run_id is None else await self.get(run_id)

    async def get(self, run_id: str) -> LiveRun | None:
        """The run, from memory or the store. Raises Refused if a bug has stopped it."""
        found = await self.look(run_id)
        if isinstance(found, Stopped):
            raise refusal(found)
        return _unparked(found)

    async def look(self, run_id: str) -> LiveRun | Stopped | None:
        """The run, from memory or the store. Several at once load it once."""
        while True:
            if (live := self.live.get(run_id)) is not None:
                return live
            if (loading := self._loading.get(run_id)) is not None:
                await loading.wait()
                continue
            with self._load(run_id):
                found = await self._shared.store.load_runs((run_id,), self._soon())
                return self._take_up(found[0]) if found else None

    async def get_all(self, run_ids: list[str]) -> None:
        """Bring runs into memory that are not there, and that nobody is bringing."""
        missing = [id for id in run_ids if id not in self.live and id not in self._loading]
        with ExitStack() as loading:
            for run_id in missing:
                loading.enter_context(self._load(run_id))
            found = await self._shared.store.load_runs(missing, self._soon())
            for number, stored in enumerate(found, 1):
                self._take_up(stored)
                if not number % TAKEN_UP_AT_ONCE:
                    await trio.lowlevel.checkpoint()

    @contextmanager
    def _load(self, run_id: str) -> Iterator[None]:
        loaded = self._loading[run_id] = trio.Event()
        try:
            yield
        finally:
            del self._loading[run_id]
            loaded.set()

    def _soon(self) -> int:
        """Until when payloads are read along with their runs."""
        return self._shared.clock.steady_ms() + LEAVES_MEMORY_AFTER_MS

    # -- coming and going ----------------------------------------------------------------------

    def enter(self, run: Run) -> LiveRun:
        """A run that is not in memory comes there, and is driven."""
        live = LiveRun(self._shared, run, self._stopped.park, self._forget)
        self.live[run.id] = live
        spec = run.root.spec
        self._by_identity[run.client, spec.workflow, spec.key] = live
        self._start(self._drive, live)
        return live

    def _take_up(self, stored: Stored | Stopped) -> LiveRun | Stopped:
        """Take a stored run up again: what was in flight when the engine ended was interrupted."""
        if isinstance(stored, Stopped):
            self._stopped.found(stored)
            return stored
        if (stopped := self._stopped.being_marked(stored.run.id)) is not None:
            return stopped
        live = self.enter(stored.run)
        try:
            for step_id, payload in stored.payloads.items():
                live.payloads.keep_small(step_id, payload)
            change = Change(stored.run)
            now, chance = self._shared.clock.steady_ms(), self._shared.clock.chance()
            if stored.run.engine_error is None:
                settle.recover(change, now=now, chance=chance)
            else:
                change.do(ReadAgain(now, stored.run.id))
                why = "the engine could not go on with the run"
                settle.recover(change, now=now, chance=chance, why=why)
            live.commit(change)
        except Exception as error:
            if not self._stopped.park(live, error):
                raise
        return live

    async def _drive(self, live: LiveRun) -> None:
        try:
            await live.drive()
        except Exception as error:
            if not self._stopped.park(live, error):
                raise
        if live.run.parked:  # nothing of it is open any more
            await self._stopped.wait_marked(live.run.id)
            self._forget(live)
            with suppress(
                Refused
            ):  # the store may be away, or damaged there: the sweep looks again
                await self.look(live.run.id)  # perhaps it was let go on meanwhile

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


def _unparked(live: LiveRun | None) -> LiveRun | None:
    if live is not None and live.run.parked:
        raise engine_error(live.run.id, live.stopped_by)
    return live
