"""Who is sent home: attempts that only wait, where their waiting does harm. `protocol.md` §4.

A function that waits for its steps keeps a worker of its application and connections of the engine.
It is let go, and called again when a step of its has ended, if

- it waits for steps that cannot move soon, for `suspend_after_ms`;
- its host stands still: a pool of workers that all wait for each other
  (`runs/limits/standstill.py`);
- a step below it needs a place among workflows, as it may itself (`runs/limits/concurrency.py`);
- an attempt of a step below it timed out, or was answered 504: before that is tried again, in case
  the workers that would answer it are those that wait.

What that means for the attempt is the core's (`core/rules/home.py`). An attempt waits when the
engine has not answered a post that was made during it; what its function does beside, nobody sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import trio

from engine.core.alive import GATEWAY_TIMEOUT
from engine.core.model import Step, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.rules.flight import note_refusal
from engine.core.rules.home import IDLE, note_suspended, send_home, why_it_stays
from engine.ports.store import Store
from engine.process.deadlines import Deadlines, Timer
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.concurrency import host_of
from engine.runs.limits.places import AttemptPlaces
from engine.runs.limits.standstill import Standstill, standstill_text
from engine.runs.open.request import Request, RunUnderWay
from engine.telemetry.run_log import RunLog

SUSPEND_UNDER_PRESSURE_S = 1.0
"""Instead of `suspend_after_ms`, while connections run short, or the room for attempts whose posts
hang. And how often that is looked at."""
CANNOT_MOVE = "as its steps cannot move soon"


class Home:
    """Tells the attempts that only wait, and lets their posts go."""

    def __init__(
        self,
        limits: EngineLimits,
        deadlines: Deadlines,
        store: Store,
        places: AttemptPlaces,
        run_log: RunLog,
        warn: Callable[..., None],
        pressed: Callable[[], bool] | None,
    ) -> None:
        """`pressed`: whether connections run short; None: nobody can tell."""
        self.suspend_after_s = limits.suspend_after_s
        self.rule = Standstill(limits.standstill_s)
        self.sent = 0
        """Attempts sent home so far."""
        self._deadlines, self._store = deadlines, store
        self._places, self._run_log = places, run_log
        self._workflow_places = places.workflows
        self._log, self._pressed = warn, pressed
        self._fresh: dict[Request, None] = {}
        """Attempts that wait, in the order of their last post: most are gone before their turn."""
        self._looks: list[tuple[float, int, Request]] = []
        """Heap of when to look again at those that had their turn."""
        self._order = count()  # requests themselves cannot be compared
        self._timer = Timer(self._look_at_due)
        self._rule_timer = Timer(self._ask_rule)
        self._was_pressed = False
        kept_timer = Timer(places.let_kept_go)
        places.hanging.freed = lambda: deadlines.move(kept_timer, deadlines.now())

    # -- what happens --------------------------------------------------------------------------

    def wait_begins(self, request: Request, event: trio.Event, step: Step) -> None:
        """A post of the attempt hangs, for this step."""
        request.posts[event] = step.id
        now = self._post_moved(request)
        if not request.sent_home:
            self.rule.wait_begins(request, host_of(step.spec.url), now)
            if self.rule.look_at < self._rule_timer.deadline:
                self._set_rule_timer()
            if self._workflow_places is not None:
                self._look_for_workflow_places(request.live)
            self._places.post_hangs(request)
            if self._places.hanging.kept and self._timer.deadline > now + self._every_s():
                self._deadlines.move(self._timer, now + self._every_s())

    def wait_ends(self, request: Request, event: trio.Event, step: Step) -> None:
        """The post was answered, or cut."""
        del request.posts[event]
        if request.posts:
            now = self._post_moved(request)
        else:
            now = request.posted_at = self._deadlines.now()
            self._fresh.pop(request, None)
            request.look_at = math.inf
            self._places.no_post_hangs(request)
        self.rule.wait_ends(request, host_of(step.spec.url), now)
        if self.rule.look_at < self._rule_timer.deadline:
            self._set_rule_timer()

    def step_queued(self, live: RunUnderWay, step: Step) -> None:
        """The step queues for a place. If that is one of workflows, who waits for it goes home:
        each may have the place that the other waits for."""
        if live.queued[step.id] is not self._workflow_places:
            return
        while step.parent_id is not None:
            step = live.run.steps[step.parent_id]
            if (above := live.requests.get(step.id)) is not None:
                self.tell_to_go(
                    above, "as a step below it needs a place among the host's workflows"
                )

    def _look_for_workflow_places(self, live: RunUnderWay) -> None:
        for step_id, places in list(live.queued.items()):
            if places is self._workflow_places:
                self.step_queued(live, live.run.steps[step_id])

    def post_came(self, request: Request, *, new: bool) -> None:
        """A post of the attempt came; `new`: it recorded a step."""
        if new or not request.shown:
            self.rule.attempt_showed(request, self._deadlines.now())
        if request.posts:
            now = self._post_moved(request)
            self.rule.post_moved(request, now)
            if self.rule.look_at < self._rule_timer.deadline:
                self._set_rule_timer()

    def attempt_failed(self, request: Request, step: Step, outcome: Outcome) -> None:
        """The attempt is over and its step goes on: nobody reads what its function, which perhaps
        lives on behind a connection that was cut, will answer. It need not wait any longer. If the
        attempt timed out, who waits above it goes home."""
        if not request.sent_home and (ended := _how_it_timed_out(outcome)):
            self._send_home_above(request, step, ended)
        if request.posts:
            request.sent_home = True
            self._let_go(request)

    def _send_home_above(self, request: Request, step: Step, ended: str) -> None:
        run = request.live.run
        why = f"as an attempt of {step.spec.name} {ended}"
        while step.parent_id is not None:
            step = run.steps[step.parent_id]
            above = request.live.requests.get(step.id)
            if above is not None:
                self.tell_to_go(above, why)

    # -- what follows --------------------------------------------------------------------------

    def tell_to_go(self, request: Request, why: str) -> bool:
        """Send the attempt home, if it only waits and may go. True if it was sent."""
        live, step_id = request.live, request.step_id
        if not request.posts:
            return False
        if self._store.away is not None:
            return False  # nothing would be called in its place: its posts hang on
        flight = live.run.flight(step_id, request.number)
        if flight is None or flight.sent_home:
            return False
        if (stays := why_it_stays(live.run, step_id)) is not None:
            if flight.refusal is None:
                note_refusal(flight, stays)
            return False
        if any(live.run.steps[id].ended for id in request.posts.values()):
            return False  # being committed: its function is about to hear of it
        send_home(live.run, step_id, why)
        request.sent_home = True
        self.rule.let_go(request, self._deadlines.now())
        self.sent += 1
        self._run_log.sent_home(live.run, step_id, request.number, why)
        self._let_go(request)
        return True

    def _let_go(self, request: Request) -> None:
        run, slots = request.live.run, request.live.slots
        without_parent: set[str] = set()
        for event, step_id in request.posts.items():
            if not run.steps[step_id].ended:  # else it is being committed, and they hear of it
                slot = slots.get(step_id)
                if slot is not None and slot.callers.get(event):
                    without_parent.add(step_id)
                event.set()
        if without_parent:
            note_suspended(run, without_parent)  # all at once: each looks at all that is in flight

    def _set_rule_timer(self) -> None:
        self._deadlines.move(self._rule_timer, self.rule.look_at)

    def _ask_rule(self) -> None:
        going = self.rule.who_goes_home(self._deadlines.now())
        news, self.rule.news = self.rule.news, []
        for pool, still in news:
            if still:
                self._log(
                    "host-stands-still", host=pool.name, waiting=pool.waited,
                    unaccepted=pool.unaccepted, times=pool.stands, pause_s=round(pool.pause, 1),
                    why=standstill_text(pool.name, pool.waited, pool.unaccepted),
                )  # fmt: skip
            else:
                self._log("host-moves-again", host=pool.name)
        for attempt, pool in going:
            assert isinstance(attempt, Request)
            self.tell_to_go(attempt, f"as those who wait at {pool.name} may have all its workers")
        self._set_rule_timer()

    def _post_moved(self, request: Request) -> float:
        now = request.posted_at = self._deadlines.now()
        request.look_at = math.inf
        self._fresh.pop(request, None)
        self._fresh[request] = None
        if self._timer.deadline == math.inf:
            self._deadlines.move(self._timer, now + self._every_s())
        return now

    def _every_s(self) -> float:
        if self._pressed is None and not self._places.hanging.kept:
            return self.suspend_after_s
        return min(SUSPEND_UNDER_PRESSURE_S, self.suspend_after_s)

    def _look_at_due(self) -> None:
        """Look at those whose turn it is."""
        now, hanging = self._deadlines.now(), self._places.hanging
        pressed = self._pressed is not None and self._pressed()
        some_pressed = pressed or bool(hanging.kept)
        after = self._every_s() if some_pressed else self.suspend_after_s
        if some_pressed and not self._was_pressed:
            self._begin_anew()
        self._was_pressed = some_pressed
        while self._fresh:
            request = next(iter(self._fresh))
            if request.posted_at + after > now:
                break
            del self._fresh[request]
            self._look_at(request, now, after if pressed else self._after(request))
        while self._looks and self._looks[0][0] <= now:
            at, _, request = heappop(self._looks)
            if at == request.look_at:
                self._look_at(request, now, after if pressed else self._after(request))
        self._set_timer(now, after)
        if hanging.kept:  # a limit may have been changed
            self._places.let_kept_go()

    def _after(self, request: Request) -> float:
        """How long this one may wait, by what its client has left of the room for those that
        hang."""
        short = self._places.hanging.is_short(request.calls)
        return self._every_s() if short else self.suspend_after_s

    def _begin_anew(self) -> None:
        """Everybody's turn comes sooner than it was thought."""
        waiting = [*self._fresh, *(request for at, _, request in self._looks
                                   if at == request.look_at)]  # fmt: skip
        self._looks.clear()
        self._fresh = dict.fromkeys(sorted(waiting, key=lambda request: request.posted_at))

    def _set_timer(self, now: float, after: float) -> None:
        at = math.inf
        if self._fresh:
            at = next(iter(self._fresh)).posted_at + after
        if self._looks:
            at = min(at, self._looks[0][0])
        if at < math.inf:
            at = max(now, min(at, now + self._every_s()))
        self._deadlines.move(self._timer, at)

    def _look_at(self, request: Request, now: float, after: float) -> None:
        since = idle_since(request)
        if since is not None and since + after <= now and self.tell_to_go(request, CANNOT_MOVE):
            return
        at = now + after if since is None or since + after <= now else since + after
        request.look_at = at
        heappush(self._looks, (at, next(self._order), request))


def idle_since(request: Request) -> float | None:
    """Since when every step that the attempt waits for cannot move soon. None: one can."""
    live = request.live
    since = request.posted_at
    for step_id in request.posts.values():
        step = live.run.steps[step_id]
        if step.state not in IDLE and not (
            step.state is StepState.PENDING
            and (step_id in live.queued or step.held_since is not None)
        ):
            return None
        since = max(since, live.slots[step_id].moved_at)
    return since


def _how_it_timed_out(outcome: Outcome) -> str:
    """How an attempt ended whose function nobody waits for any more: by its own deadline, or, as
    504 says, by that of a server between. Empty: otherwise."""
    if isinstance(outcome, Answered) and outcome.http_status == GATEWAY_TIMEOUT:
        return f"was answered {GATEWAY_TIMEOUT}"
    is_ours = isinstance(outcome, Unanswered) and outcome.error is CallError.ATTEMPT_TIMEOUT
    return "timed out" if is_ours else ""
