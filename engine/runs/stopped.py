"""Runs that a bug of the engine's stopped: kept from the others, recorded, and let go on.

What is in memory of such a run may be half changed. So nothing of it is written any more, its
callers are let go (503 `engine-error`), and it stays in memory only until its last request has
ended and its stop is durable. From then on the record has it as `paused`, reason `engine-error`,
and it is not read before an operator asks for it. `docs/reference/protocol.md` §4.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import trio

from engine.core.errors import Problem, Refused, what_was_wrong
from engine.core.events import Actor
from engine.core.model import ENDED, Run, StepState
from engine.core.rules.action import Action
from engine.ports.store import Stopped, Store
from engine.process.clock import Clock
from engine.runs.limits.refusals import (
    ended_unreadable,
    engine_error,
    no_such_run,
    revision_changed,
    run_cancelled,
)
from engine.runs.live import LiveRun

OnActed = Callable[[int | None], object]
"""Called in the passage that writes an action, with the root's generation; None: not read."""
READ_AGAIN = (Action.RETRY, Action.RESUME)


class StoppedRuns:
    """Those of one engine. What the record says of them is not kept here.

    `start` starts a task that goes on as long as the engine runs. `strict`: a bug ends the engine
    (in tests and simulations), and does not only stop its run.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        log: Callable[..., None],
        start: Callable[..., None],
        *,
        strict: bool,
    ) -> None:
        self._store, self._clock = store, clock
        self._log, self._start = log, start
        self._strict = strict
        self._recording: dict[str, trio.Event] = {}
        """Runs whose stop is not durable yet."""
        self._not_in_memory: dict[str, Stopped] = {}
        """Those of them that are not in memory."""

    def park(self, live: LiveRun, error: Exception) -> bool:
        """An exception left a passage that changes or drives the run. If it is no refusal it is a
        bug: the run stops, and nothing else. False: the exception is to go on."""
        if self._strict or isinstance(error, Refused):
            return False
        if not live.run.parked:
            live.park(what_was_wrong(error))
            lacks = self._store.withhold(live.run.id)
            self._recording[live.run.id] = trio.Event()
            self._log_stop(live.run.id, live.run.client, error)
            self._start(self._record_live, live, lacks)
        return True

    def stop_forgotten(self, run: Run, error: Exception) -> bool:
        """The same of a run that has left memory."""
        if self._strict:
            return False
        if run.id not in self._recording:
            self._store.withhold(run.id)
            state, root = run.shown or StepState.PENDING, run.root
            wrong = what_was_wrong(error)
            self._log_stop(run.id, run.client, error)
            self._record_soon(
                Stopped(run.id, run.client, state, run.rev, root.state, root.rev, wrong)
            )
        return True

    def being_recorded(self, run_id: str) -> Stopped | None:
        """A run that is not in memory, and whose stop is not durable yet."""
        return self._not_in_memory.get(run_id)

    def _log_stop(self, run_id: str, client: str, error: Exception) -> None:
        self._log(
            "run-stopped",
            run_id=run_id,
            client=client,
            error=what_was_wrong(error),
            traceback=traceback.format_exception(error),
        )

    async def wait_recorded(self, run_id: str) -> None:
        """Return when the run's stop is durable, if it is being recorded."""
        if (recording := self._recording.get(run_id)) is not None:
            await recording.wait()

    async def _record_live(self, live: LiveRun, lacks: bool) -> None:
        """Record it.

        Not of one that is over, unless its rows lack that: it would be read as it was
        before, and called again.
        """
        run, root = live.run, live.run.steps.get(live.run.id)
        recorded = run.shown  # by the last change that was written
        is_over = recorded in ENDED and not run.open_steps and not lacks
        if recorded is not None and not is_over:
            state, rev = (recorded, 0) if root is None else (root.state, root.rev)
            stopped = Stopped(run.id, run.client, recorded, run.rev, state, rev, live.stopped_by)
            await self._store.stop(stopped, self._clock.steady_ms()).wait()
        self._recording.pop(run.id).set()

    def stop_unreadable(self, stopped: Stopped) -> None:
        """A run that cannot be read: it is stopped, once. One that has ended stays as it is."""
        known = stopped.recorded or stopped.run_id in self._recording
        if known or stopped.state in ENDED:
            return
        self._log("run-stopped", run_id=stopped.run_id, client=stopped.client, error=stopped.error)
        self._record_soon(stopped)

    def _record_soon(self, stopped: Stopped) -> None:
        self._recording[stopped.run_id] = trio.Event()
        self._not_in_memory[stopped.run_id] = stopped
        self._start(self._record_found, stopped)

    async def _record_found(self, stopped: Stopped) -> None:
        await self._store.stop(stopped, self._clock.steady_ms()).wait()
        del self._not_in_memory[stopped.run_id]
        self._recording.pop(stopped.run_id).set()

    # -- operators -----------------------------------------------------------------------------

    async def act(
        self,
        found: LiveRun | Stopped,
        action: Action,
        actor: Actor,
        reason: str | None,
        *,
        step_id: str | None,
        if_rev: int | None,
        dry_run: bool,
        acted: OnActed = lambda generation: None,
    ) -> bool:
        """Cancel a stopped run as it is; or have it read again, once its last request has ended.

        Durable when this returns: True if the run goes on. Raises Refused, also when it still
        cannot be read.
        """
        stopped = await self._as_recorded(found)
        run_id = stopped.run_id
        if stopped.state == StepState.CANCELLED:
            raise run_cancelled(run_id)
        if step_id is not None:
            raise Refused(
                Problem.NOT_POSSIBLE,
                "The engine could not go on with this run: its steps are not read. The whole run"
                " can be read again (`retry`, `resume`) or ended as it is (`cancel`).",
                runId=run_id,
                error=stopped.error,
            )
        if if_rev is not None and if_rev != stopped.rev:
            raise revision_changed(run_id, None, stopped.rev, if_rev)
        at = self._clock.steady_ms()
        if action is Action.CANCEL:
            if not dry_run:
                ended = self._store.end_stopped(stopped, at, actor, reason)
                acted(None)
                await ended.wait()
            return False
        if action not in READ_AGAIN:
            raise Refused(
                Problem.NOT_POSSIBLE,
                "The engine could not go on with this run. It can be read again (`retry`,"
                " `resume`) or ended as it is (`cancel`).",
                runId=run_id,
                error=stopped.error,
            )
        try:
            await self._store.read_again(run_id)
        except Refused:
            raise
        except Exception as error:
            self._log_stop(run_id, stopped.client, error)
            raise engine_error(run_id, what_was_wrong(error)) from error
        if not dry_run:
            let_go_on = self._store.let_go_on(stopped, at, action, actor, reason)
            acted(None)
            await let_go_on.wait()
        return not dry_run

    async def _as_recorded(self, found: LiveRun | Stopped) -> Stopped:
        """The run as the record says that it is stopped. Raises Refused if it does not: the run was
        over, an operator has just let it go on, or nothing of it was recorded."""
        if isinstance(found, Stopped):
            run_id, stopped_by = found.run_id, found.error
        else:
            run_id, stopped_by = found.run.id, found.stopped_by
        await self.wait_recorded(run_id)
        stored = await self._store.load_runs((run_id,), 0)
        if not stored:
            raise no_such_run(run_id)
        if not isinstance(stored[0], Stopped):
            raise engine_error(run_id, stopped_by, is_paused=False)
        if not stored[0].recorded:
            raise _unreadable(stored[0])
        return stored[0]


def stopped_refusal(stopped: Stopped) -> Refused:
    """What a post to a stopped run is told, or a look at an outcome of it."""
    if stopped.state == StepState.CANCELLED:
        return run_cancelled(stopped.run_id)
    return _unreadable(stopped)


def _unreadable(stopped: Stopped) -> Refused:
    if stopped.state in ENDED:
        return ended_unreadable(stopped.run_id, stopped.error, stopped.state)
    return engine_error(stopped.run_id, stopped.error)
