"""One run while it is in memory: its nursery, its open requests, its callers.

Every change of a run is one synchronous passage: look, decide, change, queue the write. Nothing is
awaited inside it, so no two tasks ever see a run half changed. What has to wait (the commit, the
endpoint) waits in a task of the run's own nursery, never in a request's: callers come and go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import trio

from engine.core.access.client import ALERTS_CLIENT
from engine.core.events import Held, LateEnd, Started
from engine.core.machine import Change, park
from engine.core.model import Run, Step, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retarget import MovedStep
from engine.core.rules.attempt import drain, settle
from engine.core.rules.flight import note_held, note_left
from engine.core.rules.hold import Hold, held_since, own_hold
from engine.core.rules.next import decide, put_back, set_aside
from engine.core.rules.post import Placed
from engine.ports.receipt import Receipt
from engine.ports.store import Body, Write
from engine.process.deadlines import Timer
from engine.process.tasks import Tasks
from engine.runs.attempt import Attempt, answer_body
from engine.runs.limits.concurrency import Places, host_of
from engine.runs.limits.refusals import store_unavailable
from engine.runs.open.callers import Slot
from engine.runs.open.flow import Payloads
from engine.runs.open.request import Request
from engine.runs.shared import Shared

NOT_TAKEN = frozenset({429, 502, 503, 504})
"""What a host answers that has no room for a call."""
LET_GO_AT_ONCE = 100
"""Steps whose callers are let go within one turn of the loop: answering one takes a tenth of a
millisecond, and an operator may cancel ten thousand steps at once."""
BEGUN_AT_ONCE = 32
"""Attempts of a run that begin within one turn: one takes a quarter of a millisecond, and a run may
have as many as a host has places."""
LEAVES_MEMORY_AFTER_MS = 2_000
"""A run whose next attempt is further away than this, and that no caller waits for, is let go."""


class LiveRun:
    """A run in memory, and the one task that drives it."""

    # Thousands are in memory at once, and an empty set is larger than an empty dict.
    __slots__ = (
        "_alarm", "_due_at", "_forget", "_park", "_shared", "_tasks", "_under_way", "_wake",
        "payloads", "queued", "receipt", "requests", "run", "slots", "stopped_by",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        run: Run,
        park: Callable[[LiveRun, Exception], bool],
        forget: Callable[[LiveRun], None],
    ) -> None:
        """`park` is told of an exception out of a passage that changes or drives the run (False: it
        is to go on), `forget` that nothing of the run needs memory."""
        self._shared, self._park, self._forget = shared, park, forget
        self.run = run
        self.requests: dict[str, Request] = {}
        self.slots: dict[str, Slot] = {}
        self.queued: dict[str, Places] = {}
        """Steps that wait for a place under the concurrency limits."""
        self.payloads = Payloads(shared.budget, run.client)
        """Of steps that are called before long, until their attempts have taken them."""
        self.receipt: Receipt | None = None
        self.stopped_by = ""
        """What was wrong when a bug stopped the run."""
        self._tasks = Tasks()
        self._under_way = False
        self._due_at: int | None = None
        """What the driver sleeps until."""
        self._alarm = Timer(self.wake)
        self._wake = trio.Event()

    # -- changing the run: synchronous ---------------------------------------------------------

    def commit(
        self, change: Change, bodies: tuple[Body, ...] = (), *, now: int | None = None
    ) -> Receipt | None:
        """Start what may start, queue the write, wake the driver. Ends every passage.

        `now` is the time of the passage (`Clock.steady_ms`), if it has asked for it already.
        """
        if now is None:
            now = self._shared.clock.steady_ms()
        for step in change.ended:
            if (late := self.requests.get(step.id)) is not None:
                self._shared.late.add(late)
        started = self._start_due(change, now)
        self._count_under_way()
        if not change.events:
            return self.receipt
        change.close(now)
        if self._shared.new_runs.open:
            self._shared.new_runs.note(change)
        promised: list[Attempt] = []
        at_once: list[Attempt] = []
        for each in started:
            (promised if self._leaves_after_commit(each) else at_once).append(each)
        then = None
        if change.ended or promised:
            kept = {body.step_id: body for body in bodies if body.answer}
            ended = [(step, kept.get(step.id)) for step in change.ended]
            then = partial(self._when_durable, ended, promised)
        watch = self._shared.watch
        watch.count(change)
        say = watch.log.changed(change)
        self.receipt = self._shared.store.write(Write(change, bodies, then, say))
        for each in at_once:
            self._tasks.start_soon(self._run_attempt, each)
        if self._may_be_idle or (self.run.due and self.run.due[0][0] != self._due_at):
            self._wake.set()  # perhaps nothing is left to do here, or it is due at another time
        return self.receipt

    def commit_post(self, change: Change, placed: Placed, payload: bytes, now: int) -> None:
        """The same, of what a post changes. Of its payload nothing is stored, when its step was
        recorded before."""
        if not placed.new:
            self.commit(change, now=now)
            return
        step = self.run.steps[placed.step_id]
        self.payloads.keep(step.id, host_of(step.spec.url), payload)
        self.commit(change, (Body(step.id, step.payload_generation, payload),), now=now)
        if step.id not in self.requests:
            self.payloads.step_queues(step.id)

    def _count_under_way(self) -> None:
        under_way = bool(self.requests or self.queued) and not self.run.parked
        self._shared.under_way += under_way - self._under_way
        self._under_way = under_way

    def _leaves_after_commit(self, attempt: Attempt) -> bool:
        """Whether an attempt's request leaves when its beginning is durable. The first of a child
        need not wait: a crash takes child and attempt back, and the workflow posts it again."""
        step_id = attempt.step_id
        return attempt.number > 1 or step_id == self.run.id or step_id not in self.payloads

    @property
    def _may_be_idle(self) -> bool:
        return not (self.requests or self.slots or self.queued)

    async def wait_durable(self) -> None:
        """Return when everything recorded of this run so far is durable.

        Raises Refused (`store-unavailable`) when that cannot be for now.
        """
        if self.receipt is None or self.receipt.durable:
            return
        while not await self.receipt.wait_unless_away():
            if (away := self._shared.store.away) is not None:
                raise store_unavailable(away, unknown=True)

    async def wait_all_durable(self) -> None:
        """The same, however long it takes."""
        if self.receipt is not None and not self.receipt.durable:
            await self.receipt.wait()

    def wake(self) -> None:
        """Have the driver look again at what may start."""
        self._wake.set()

    def _start_due(self, change: Change, now: int) -> list[Attempt]:
        started: list[Attempt] = []
        calls = decide(self.run, now).calls
        if not calls or self._shared.draining or self._shared.store.away is not None:
            return started
        for step_id in calls:
            if step_id in self.queued:  # since before it was cancelled and opened again
                set_aside(self.run, step_id)
                continue
            if step_id in self.requests:
                continue  # an attempt of a cancelled generation is still open
            step = self.run.steps[step_id]
            if self._shared.holds.any_in_force and self._is_held(change, step, now):
                continue
            host = host_of(step.spec.url)
            attempt = Attempt(self._shared, self, step)
            full = self._shared.places.take(attempt, self.run, step, host)
            if full is not None:
                self.queued[step_id] = full
                set_aside(self.run, step_id)
                new = step.is_root and not step.attempts
                offer = partial(self._take_offered, step_id, full)
                full.queue(host, self.run.client, offer, new=new)
                self._shared.home.step_queued(self, step)
                continue
            change.do(Started(now, step_id, attempt.number))
            note_left(self.run.flights[step_id], left=False)
            self.requests[step_id] = attempt
            started.append(attempt)
            if step_id in self.slots:
                self._note_movement(step_id)
        return started

    def _hold_over(self, step: Step) -> Hold | None:
        run = self.run
        what = (run.client, run.root.spec.workflow, step.spec.url)
        if run.client == ALERTS_CLIENT:
            return own_hold(self._shared.holds.all_over(*what), run.submitted_at)
        return self._shared.holds.over(*what)

    def _is_held(self, change: Change, step: Step, now: int) -> bool:
        """A hold keeps the step from starting: it is recorded, once, and found again in the store
        when the hold is released (`held.py`). The run may leave memory."""
        hold = self._hold_over(step)
        if hold is None:
            return False
        if step.held_since is None:
            change.do(Held(now, step.id, held_since(hold.since, step, now)))
        else:
            set_aside(self.run, step.id)
        return True

    def _note_held(self, step: Step, number: int) -> None:
        flight, hold = self.run.flight(step.id, number), self._hold_over(step)
        if flight is not None and hold is not None:
            note_held(flight, hold.since)

    def put_back_released(self) -> None:
        """Of a run that has just been read: what no hold keeps any more may start. Nobody else may
        look for it: it may have been stopped while its hold was released."""
        holds, run = self._shared.holds, self.run
        for step_id in list(run.aside):
            what = (run.client, run.root.spec.workflow, run.steps[step_id].spec.url)
            if holds.over(*what) is None and holds.pacing(*what) is None:
                put_back(run, step_id)

    def let_go(self, step_id: str) -> bool:
        """A step that was held may start, if it still wants to. True: it does, or queues."""
        step = self.run.steps.get(step_id)
        if step is None or step.held_since is None or step_id in self.queued or self.run.parked:
            return False
        self._look_again(step_id)
        return True

    def _look_again(self, step_id: str) -> None:
        try:
            put_back(self.run, step_id)
            self.commit(Change(self.run))
        except Exception as error:
            if not self._park(self, error):
                raise
        self._wake.set()

    def _hold_queued(self, step_id: str, places: Places) -> None:
        """A step to which a place was offered while it was held queues no more."""
        if self.queued.get(step_id) is places and not self.run.parked:
            del self.queued[step_id]
            self._look_again(step_id)

    def _take_offered(self, step_id: str, places: Places) -> bool:
        """A place is free for a step that queued for one. True if it was taken."""
        holds = self._shared.holds
        if holds.any_in_force and self._hold_over(self.run.steps[step_id]) is not None:
            # Thousands may be offered one place, one after the other: it must cost next to nothing.
            holds.offer_held(partial(self._hold_queued, step_id, places))
            return False
        self.queued.pop(step_id, None)
        taken = places.in_flight
        try:
            if not self.run.parked:
                put_back(self.run, step_id)
                self.commit(Change(self.run))
        except Exception as error:
            if not self._park(self, error):
                raise
        self._wake.set()  # it may have been cancelled, and was all that kept the run in memory
        return places.in_flight > taken

    def call_elsewhere(self, moved: list[MovedStep]) -> None:
        """Steps that queue for a place at the host that their URL named, or are held with it, do so
        no more."""
        for each in moved:
            is_held = self.run.steps[each.step_id].held_since is not None
            if self.queued.pop(each.step_id, None) is not None or is_held:
                put_back(self.run, each.step_id)

    def _when_durable(self, ended: list[tuple[Step, Body | None]], promised: list[Attempt]) -> None:
        """A change is durable: callers may know the outcomes in it, and its requests may leave."""
        waited_for: list[Slot] = []
        for step, body in ended:
            slot = self.slots.pop(step.id, None)
            if slot is not None:
                slot.outcome, slot.body = step, body
                waited_for.append(slot)
        if len(waited_for) > LET_GO_AT_ONCE:
            self._tasks.start_soon(self._let_go, waited_for[LET_GO_AT_ONCE:])
            del waited_for[LET_GO_AT_ONCE:]
        for slot in waited_for:
            slot.let_go()
        if len(promised) > BEGUN_AT_ONCE:
            self._tasks.start_soon(self._begin_many, promised[BEGUN_AT_ONCE:])
            promised = promised[:BEGUN_AT_ONCE]
        for each in promised:
            self._tasks.start_soon(self._run_attempt, each)
        if self._may_be_idle:
            self._wake.set()

    async def _begin_many(self, promised: list[Attempt]) -> None:
        """Begin many attempts, and others have their turns in between."""
        for number, each in enumerate(promised):
            if not number % BEGUN_AT_ONCE:
                await trio.lowlevel.checkpoint()
            self._tasks.start_soon(self._run_attempt, each)

    async def _let_go(self, waited_for: list[Slot]) -> None:
        """Let the callers of many steps go, and others have their turns in between."""
        for number, slot in enumerate(waited_for):
            if not number % LET_GO_AT_ONCE:
                await trio.lowlevel.checkpoint()
            slot.let_go()

    def add_caller(self, step_id: str, event: trio.Event, *, without_parent: bool) -> Slot:
        """Join the callers of an open step: its outcome sets `event`."""
        slot = self.slots.get(step_id)
        if slot is None:
            slot = self.slots[step_id] = Slot(self._shared.deadlines.now())
        slot.callers[event] = without_parent
        return slot

    def _note_movement(self, step_id: str) -> None:
        """An attempt of the step begins or ends: its callers wait for something that moves."""
        slot = self.slots.get(step_id)
        if slot is not None:
            slot.moved_at = self._shared.deadlines.now()

    def remove_caller(self, step_id: str, slot: Slot, event: trio.Event) -> None:
        """Leave them."""
        del slot.callers[event]
        if not slot.callers and self.slots.get(step_id) is slot:
            del self.slots[step_id]
            self._wake.set()

    # -- driving -------------------------------------------------------------------------------

    async def drive(self) -> None:
        """Run the run until nothing of it needs memory."""
        try:
            async with trio.open_nursery() as nursery:
                self._tasks.opened(nursery)
                while not self.run.parked:
                    self._wake = trio.Event()
                    now = self._shared.clock.steady_ms()
                    try:
                        self.commit(Change(self.run), now=now)
                    except Exception as error:
                        if not self._park(self, error):
                            raise
                    self._due_at = decide(self.run, now).wake_at
                    if not self._may_leave_memory(now):
                        self._set_alarm(self._due_at)
                        await self._wake.wait()  # set already if a bug has just stopped the run
                    elif self.receipt is None or self.receipt.durable:
                        self._forget(self)
                        return
                    else:
                        await self.receipt.wait()
        finally:
            self._tasks.closed()
            self._shared.deadlines.stop(self._alarm)

    def _set_alarm(self, due_at: int | None) -> None:
        at = math.inf
        if due_at is not None and not self._shared.draining and self._shared.store.away is None:
            # A millisecond later: due times are whole milliseconds, and early would mean looking
            # twice.
            at = self._shared.clock.trio_time(due_at) + 0.001
        self._shared.deadlines.move(self._alarm, at)

    def _may_leave_memory(self, now: int) -> bool:
        if not self._may_be_idle or self.run.parked:
            return False
        return self._due_at is None or self._due_at > now + LEAVES_MEMORY_AFTER_MS

    async def _run_attempt(self, attempt: Attempt) -> None:
        """One request, from its leaving to its recorded end, and what it has meanwhile."""
        flow = attempt.open(self.payloads.take(attempt.step_id))
        try:
            await attempt.call(flow, self._attempt_ended)
            if flow.answer is not None:
                await self.wait_all_durable()
        except Exception as error:
            if not self._park(self, error):
                raise
        finally:
            attempt.close()
        if self.run.parked:  # nobody can tell what its end means
            self._shared.places.give_back(attempt)
            self.requests.pop(attempt.step_id, None)
            self._shared.request_ended.set()

    def _attempt_ended(self, attempt: Attempt, outcome: Outcome) -> None:
        change = Change(self.run)
        clock = self._shared.clock
        now = clock.steady_ms()
        step_id, number = attempt.step_id, attempt.number
        del self.requests[step_id]
        attempt.note_maybe_refused()
        step = self.run.steps[step_id]
        if self._shared.holds.any_in_force:
            self._note_held(step, number)
        settle(change, step_id, number, outcome, now=now, chance=clock.chance())
        self._note_movement(step_id)
        bodies: tuple[Body, ...] = ()
        late = isinstance(change.events[0], LateEnd)
        if isinstance(outcome, Answered):
            bodies = (answer_body(step, number, outcome, late=late),)
        if late or step.state is not StepState.COMPLETED:
            self._shared.home.attempt_failed(attempt, step, outcome)
        self.commit(change, bodies, now=now)
        taken = isinstance(outcome, Answered) and outcome.http_status not in NOT_TAKEN
        self._shared.places.give_back(attempt, answered=taken)
        self._shared.request_ended.set()

    def park(self, stopped_by: str) -> None:
        """A bug stopped this run: nothing of it starts, nobody waits for it, it has no place."""
        park(self.run)
        self.stopped_by = stopped_by
        self.payloads.let_go()
        self._wake.set()
        self._count_under_way()
        self.let_callers_go()
        for request in list(self.requests.values()):
            self._shared.places.give_back(request)

    def let_callers_go(self) -> None:
        """Let every caller go without an outcome: the engine stops, or the run is parked."""
        for slot in self.slots.values():
            slot.let_go()
        self.slots.clear()

    # -- stopping ------------------------------------------------------------------------------

    def drain(self, *, parents_only: bool) -> None:
        """Record attempts in flight (of parents, or all) as interrupted, and abort them."""
        change = Change(self.run)
        clock = self._shared.clock
        for step_id, request in list(self.requests.items()):
            step = self.run.steps[step_id]
            if parents_only and not step.open_children:
                continue
            if self.run.parked:
                request.scope.cancel()
                continue
            if self.run.flight(step_id, request.number) is not None:
                drain(change, step_id, now=clock.steady_ms(), chance=clock.chance())
            request.drained = True
            request.scope.cancel()
            del self.requests[step_id]
            self._shared.places.give_back(request)
        if not self.run.parked:
            self.commit(change)
