"""The engine: takes posts and what operators ask, and hands them to the runs that they are for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio
from msgspec.structs import replace

from engine.core.access.client import NAMES_TO_COME
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.machine import Change
from engine.core.model import Run, StepSpec, run_of
from engine.core.rules.action import Done, Order
from engine.core.rules.flight import note_refusal
from engine.core.rules.hold import Hold, HoldKind
from engine.core.rules.post import (
    Parent,
    Placed,
    RunLimits,
    check_target,
    find_or_record,
    note_refused,
    open_run,
    payload_was_set,
    poster_of,
)
from engine.ports.caller import ALL_TARGETS, Targets
from engine.ports.store import Stopped
from engine.process.budget import Parcel
from engine.process.clock import Ids
from engine.process.tasks import Tasks
from engine.runs.acts import carry_out
from engine.runs.held import follow_holds
from engine.runs.limits.admission import Admission
from engine.runs.limits.refusals import (
    draining,
    engine_error,
    name_to_come,
    no_such_run,
    no_such_step,
    outcome_expired,
    overloaded,
    parent_token_of_another,
    store_full,
    store_unavailable,
    unknown_parent_token,
)
from engine.runs.live import LiveRun
from engine.runs.memory import Memory
from engine.runs.open.callers import Result, Wait
from engine.runs.open.flow import let_go_when_durable
from engine.runs.open.parent import ParentToken
from engine.runs.outcomes import read_outcome, wait_for
from engine.runs.shared import Shared
from engine.runs.stopped import OnActed, StoppedRuns
from engine.runs.store_away import follow_store, would_record
from engine.runs.sweep import sweep


class Engine:
    """All runs of one store. `run` drives them; the rest is called from the front's tasks."""

    def __init__(
        self,
        shared: Shared,
        *,
        log: Callable[..., None] = lambda event, **values: None,
        strict: bool = False,
        targets: Targets = ALL_TARGETS,
    ) -> None:
        self.shared, self.limits = shared, shared.limits
        self.store, self.clock = shared.store, shared.clock
        self.parent_tokens = shared.parent_tokens
        self.places, self.home, self.hosts = shared.places, shared.home, shared.hosts
        self.holds = shared.holds
        self.budget, self.run_log = shared.budget, shared.watch.log
        self.admission = Admission(self.limits.new_runs_wait_s_max, lambda: shared.under_way)
        self.new_runs, self.registry = shared.new_runs, shared.registry
        self.ready = False
        """Every run that was in flight at the last stop has been taken up again."""
        self._tasks = Tasks()
        self.stopped = StoppedRuns(
            self.store, self.clock, log, self._tasks.start_soon, strict=strict
        )
        self.memory = Memory(shared, self.stopped, self._tasks.start_soon)
        self.store.tell_unwritable(self.memory.stop_unwritable)
        self.places.limited.in_flight = self.memory.in_flight
        self.targets = targets
        self._ids = Ids(self.clock)

    @property
    def draining(self) -> bool:
        """The engine stops: it takes nothing new."""
        return self.shared.draining

    # -- posts ---------------------------------------------------------------------------------

    async def submit(
        self, client: str, spec: StepSpec, payload: Parcel, parent: ParentToken | None, wait: Wait
    ) -> Result:
        """Record a post, or find what was recorded, and wait as asked. Raises Refused.

        The payload is let go when it is durable.
        """
        if self.shared.draining:
            self._refuse_while_draining(client, spec, parent)
        found = self._at_hand(client, spec, parent) or await self._find_run(client, spec, parent)
        if found is None:
            self._refuse_to_open(client, spec)
        if found is None and await self._wait_to_open(client, wait):
            if self.shared.draining:
                self._refuse_while_draining(client, spec, parent)
            with self.admission.entering():
                found = await self._find_run(client, spec, parent)
        if isinstance(found, Run):
            payload.let_go()
            differs = payload_was_set(found)
            return await read_outcome(self.shared, found, found.id, payload_differs=differs)
        if found is None:
            live, placed = self._open_run(client, spec, payload.take(), wait)
        else:
            live = found
            if self.shared.draining:  # since it was looked for
                self._refuse_while_draining(client, spec, parent)
            placed = self._record_post(live, spec, payload.take(), self._parent_of(live, parent))
        if placed.new and payload.has_room:
            self._tasks.start_soon(let_go_when_durable, payload, live.receipt)
        else:
            payload.let_go()
        return await wait_for(self.shared, live, placed, wait, without_parent=parent is None)

    async def _wait_to_open(self, client: str, wait: Wait) -> bool:
        """Wait until a run of this client may be opened; returns whether there was a wait. Raises
        Refused."""
        counted = False
        if self.registry.limits:
            counted = await self.new_runs.enter(client, waits=wait.prefer_ms != 0)
        return await self.admission.enter(client) or counted

    def is_full(self, client: str, *, waits: bool = False) -> bool:
        """New runs cannot even queue, or this client may not open one yet: who posts is to
        `refuse_new` first. `waits`: for an outcome, as far as that is known."""
        if self.shared.draining:
            return False
        if self.admission.is_full(client):
            return True
        if not self.registry.limits:
            return False
        return not self.new_runs.may_open(client, waits=waits)

    async def refuse_new(
        self, client: str, workflow: str, key: str, *, waits: bool = False
    ) -> None:
        """Refuse a post that would open a run while that is so. Raises Refused.

        Under overload most posts end so: it is asked before anything that costs more.
        """
        if await self.memory.find(client, workflow, key) is None:
            self.new_runs.check(client, waits=waits)
            if self.admission.is_full(client):
                raise self.admission.refuse(client)

    def _record_post(
        self, live: LiveRun, spec: StepSpec, payload: bytes, parent: Parent | None
    ) -> Placed:
        """Record a post to a run that there is. Raises Refused."""
        self._refuse_if_full(live, parent, spec)
        try:
            change, now = Change(live.run), self.clock.steady_ms()
            why_not = self.targets.why_not if self.targets.listed else None
            limits = self._run_limits(live.run.client)
            placed = find_or_record(change, spec, parent, limits, now, why_not)
            live.commit_post(change, placed, payload, now)
            if placed.poster is not None:
                request = live.requests.get(placed.poster)
                if request is not None and request.left:
                    if not request.shown:
                        self.places.showed(request)
                    self.home.post_came(request, new=placed.new)
            return placed
        except Exception as error:
            if not self.stopped.park(live, error):
                raise
        raise engine_error(live.run.id, live.stopped_by)

    def _run_limits(self, client: str) -> RunLimits:
        """Bounds of a run of this client's."""
        its = self.registry.clients.get(client)
        if its is None or its.steps_need_parent is None:
            return self.limits.run
        return replace(self.limits.run, steps_need_parent=its.steps_need_parent)

    def parent_token(self, text: str) -> ParentToken:
        """What a parent token says. Raises Refused: for a made-up one as for another client's."""
        parent_token = self.parent_tokens.read(text)
        if parent_token is None:
            raise unknown_parent_token()
        return parent_token

    def _parent_of(self, live: LiveRun, parent: ParentToken | None) -> Parent | None:
        if parent is not None and parent.step_id not in live.run.steps:
            # a child's first attempt may leave before its commit; a crash took the child back
            detail = "The step this post comes from was lost in a crash; no step is recorded below."
            raise Refused(Problem.STALE_EXECUTION, detail, runId=live.run.id, stepId=parent.step_id)
        return self.parent_tokens.parent(parent)

    def _at_hand(self, client: str, spec: StepSpec, parent: ParentToken | None) -> LiveRun | None:
        """The run of a post, if it is in memory and nothing speaks against it."""
        if parent is None:
            live = self.memory.by_key_nowait(client, spec.workflow, spec.key)
        else:
            live = self.memory.live.get(parent.run_id)
        if live is None or live.run.parked or live.run.client != client:
            return None
        return live

    async def _find_run(
        self, client: str, spec: StepSpec, parent: ParentToken | None
    ) -> LiveRun | Run | None:
        """The run of a post; only read, if the post asks for the outcome of a run that has one."""
        if parent is None:
            asks = partial(_asks_for_outcome, spec)
            return await self.memory.read_by_key(client, spec.workflow, spec.key, asks)
        live = await self.memory.get(parent.run_id)
        if live is None:
            raise await self.gone_or(parent.run_id, unknown_parent_token(), only=client)
        if live.run.client != client:
            raise parent_token_of_another(live.run.client, client)
        return live

    def _open_run(
        self, client: str, spec: StepSpec, payload: bytes, wait: Wait
    ) -> tuple[LiveRun, Placed]:
        """No run has this identity: this post opens it.

        Nothing is awaited between the look-up and `enter`, so that of two posts at once only one
        opens a run and the other finds it. What was decided before the look-up may be otherwise.
        """
        if self.shared.draining:
            raise draining()
        self._refuse_to_open(client, spec)
        if self.memory.is_full:
            raise overloaded("runs_in_memory_max")
        if (limit := self._limit_reached(2)) is not None:
            raise self._count_overload(limit)
        now = self.clock.steady_ms()
        if self.registry.limits:
            self.new_runs.check(client, waits=wait.prefer_ms != 0)
        run = Run(id=self._ids.run_id(), client=client, submitted_at=now)
        change, placed = open_run(run, spec, now)
        live = self.memory.enter(run)
        if self.registry.limits:
            self.new_runs.opened(client)
        try:
            live.commit_post(change, placed, payload, now)
            return live, placed
        except Exception as error:
            if not self.stopped.park(live, error):
                raise
        raise engine_error(run.id, live.stopped_by)

    def _refuse_while_draining(
        self, client: str, spec: StepSpec, parent: ParentToken | None
    ) -> None:
        if (live := self._at_hand(client, spec, parent)) is not None:
            note_refused(live.run, spec, self.parent_tokens.parent(parent))
        raise draining()

    def _refuse_to_open(self, client: str, spec: StepSpec) -> None:
        """Refuse a post that would open a run under a name that is kept for the engine, or for
        which the store has no room, or is away; or that may not be called."""
        if client in NAMES_TO_COME:
            raise name_to_come(client)
        self._refuse_if_away()
        if self.shared.store_room.is_full:
            raise store_full(self.limits.store_bytes_max)
        if self.targets.listed:
            check_target(client, spec.url, self.targets.why_not)

    def _refuse_if_away(self) -> None:
        if (away := self.store.away) is not None:
            raise store_unavailable(away)

    def _refuse_if_full(self, live: LiveRun, parent: Parent | None, spec: StepSpec) -> None:
        """Refuse a post to a run for which there is no room, in memory or in the store."""
        away, limit = self.store.away, self._limit_reached(1)
        if (away is None and limit is None) or not would_record(live.run, parent, spec):
            return
        if away is not None:
            refused = store_unavailable(away)
        else:
            assert limit is not None
            refused = self._count_overload(limit)
        note_refused(live.run, spec, parent)
        raise refused

    def _limit_reached(self, part: int) -> str | None:
        """The limit of which the backlog has reached one part of so many."""
        if self.store.backlog >= self.limits.backlog_events_max // part:
            return "backlog_events_max"
        if self.store.backlog_bytes >= self.budget.backlog_bytes_max // part:
            return "memory_bytes_max"
        return None

    def _count_overload(self, limit: str) -> Refused:
        self.budget.refused += limit == "memory_bytes_max"
        return overloaded(limit)

    def note_refused(self, text: str | None) -> None:
        """A post was refused before it was read, for want of room: the attempt that made it counts
        as interrupted (`protocol.md` §4); without a parent token each that it may have been
        (`Flight.maybe_refused`)."""
        if not text:
            self.shared.refused_unread += 1
            return
        live, parent = self._of_token(text)
        if live is not None:
            note_refused(live.run, None, parent)

    def note_reason(
        self, client: str, workflow: str, key: str, url: str, text: str | None, why: str
    ) -> None:
        """A post was refused for good: the attempt that made it says so when it ends, if it can be
        told which that was. `text`: the parent token; the others as far as they were read."""
        if text:
            live, parent = self._of_token(text)
        else:
            live, parent = self.memory.by_key_nowait(client, workflow, key), None
        flight = None if live is None else poster_of(live.run, url, parent)
        if flight is not None:
            note_refusal(flight, why)

    def _of_token(self, text: str) -> tuple[LiveRun | None, Parent | None]:
        """The run of a parent token, if it is in memory, and what the token says."""
        parent_token = self.parent_tokens.read(text)
        live = None if parent_token is None else self.memory.live.get(parent_token.run_id)
        return live, self.parent_tokens.parent(parent_token)

    async def outcome(self, step_id: str, wait: Wait) -> Result:
        """The outcome of a step by its id, waiting as asked. Raises Refused (`not-found`; where as
        many callers of its client wait as may)."""
        found = await self.memory.read(
            run_of(step_id), lambda run: (step := run.steps.get(step_id)) is None or step.ended
        )
        run = found.run if isinstance(found, LiveRun) else found
        if run is None:
            raise await self.gone_or(run_of(step_id), no_such_step(step_id))
        if step_id not in run.steps:
            raise no_such_step(step_id)
        if isinstance(found, LiveRun):
            if self.registry.limits and wait.prefer_ms != 0 and not run.steps[step_id].ended:
                self.new_runs.check_waiting(run.client)
            return await wait_for(self.shared, found, Placed(step_id), wait)
        return await read_outcome(self.shared, run, step_id)

    async def gone_or(self, run_id: str, unknown: Refused, only: str | None = None) -> Refused:
        """The refusal of a run that is not there: that it has expired, if it was there once.

        `only`: the only client whose runs there are for who asks.
        """
        expired = await self.store.expired(run_id)
        if expired is None or only not in (None, expired.client):
            return unknown
        return outcome_expired(expired)

    # -- operators -----------------------------------------------------------------------------

    async def act(
        self, run_id: str, order: Order, acted: OnActed = lambda generation: None
    ) -> tuple[Run | None, Done]:
        """Carry an order out, durably; returns the run and what was done to which steps.

        `acted` is called in the passage that writes it, with the root's generation (None: it was
        not read): what that writes is durable with it.
        None for the run: a bug has stopped it, and it is not read here. Raises Refused.
        """
        if self.draining:
            raise draining()
        live = await self.memory.get_or_stopped(run_id)
        if isinstance(live, Stopped) or (live is not None and live.run.parked):
            if await self.stopped.act(
                live, order.action, order.actor, order.reason, step_id=order.step_id,
                if_rev=order.if_rev, dry_run=order.dry_run, acted=acted,
            ):  # fmt: skip
                await self.memory.get_or_stopped(run_id)
            return None, Done([], [])
        if live is None:
            raise await self.gone_or(run_id, no_such_run(run_id))
        try:
            away, why_not = self.store.away, self.targets.why_not
            return await carry_out(live, order, self.clock, away, why_not, acted)
        except Exception as error:
            if order.dry_run or not self.stopped.park(live, error):
                raise
        raise engine_error(run_id, live.stopped_by)

    async def hold(self, kind: HoldKind, name: str, reason: str | None, actor: Actor) -> Hold:
        """Start nothing of it, durably, until it is released. Raises Refused."""
        self._refuse_to_change_holds()
        held, receipt = self.holds.hold(kind, name, reason, actor, self.clock.steady_ms())
        await receipt.wait()
        return held

    async def release(
        self, kind: HoldKind, name: str, rate_per_s: int | None, actor: Actor
    ) -> Hold:
        """Let what was held start again, durably. Raises Refused (`not-found`)."""
        self._refuse_to_change_holds()
        now = self.clock.steady_ms()
        released, receipt = self.holds.release(kind, name, rate_per_s, actor, now)
        await receipt.wait()
        return released

    def _refuse_to_change_holds(self) -> None:
        if self.draining:
            raise draining()
        self._refuse_if_away()

    @property
    def waiting_for(self) -> dict[str, int]:
        """Attempts that could start but for a limit or a hold, by what they wait for."""
        return self.places.queued_by_reason | {"release": self.holds.waiting_in_all}

    # -- running -------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drive the runs, each in its own nursery, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._tasks.opened(nursery)
                nursery.start_soon(self.shared.deadlines.run)
                nursery.start_soon(sweep, self.shared, self.memory, self._is_ready)
                nursery.start_soon(self.places.ramp.run)
                nursery.start_soon(self.places.gates.run)
                nursery.start_soon(follow_store, self.store, self.memory.live)
                if self.limits.store_bytes_max:
                    nursery.start_soon(self.shared.store_room.run)
                nursery.start_soon(follow_holds, self.shared, self.memory)
                task_status.started()
        finally:
            self._tasks.closed()

    def _is_ready(self) -> None:
        self.ready = True

    # -- stopping ------------------------------------------------------------------------------

    async def drain(self, grace_s: float) -> None:
        """Stop well: no new attempt, no new post; what is in flight is recorded.

        Parents are recorded as interrupted before their waiting callers are answered (else their
        functions would fail for it). Other requests have `grace_s` to end.
        """
        self.shared.draining = True
        self.admission.let_all_in()
        self._drain_requests(parents_only=True)
        await self._wait_durable()
        for live in list(self.memory.live.values()):
            live.let_callers_go()
        with trio.move_on_after(grace_s):
            while any(live.requests for live in self.memory.live.values()):
                self.shared.request_ended = trio.Event()
                await self.shared.request_ended.wait()
        self._drain_requests(parents_only=False)
        await self._wait_durable()

    async def _wait_durable(self) -> None:
        """Return when all is durable, or cannot be: then the store says what was not recorded."""
        for live in list(self.memory.live.values()):
            with suppress(Refused):
                await live.wait_durable()

    def _drain_requests(self, *, parents_only: bool) -> None:
        for live in list(self.memory.live.values()):
            live.drain(parents_only=parents_only)


def _asks_for_outcome(spec: StepSpec, run: Run) -> bool:
    """Whether a post without parent token is the root again, and that has ended: nothing is
    recorded of it."""
    root = run.root
    return (
        root.ended
        and not run.moves
        and (spec.url, spec.fingerprint) == (root.spec.url, root.spec.fingerprint)
    )
