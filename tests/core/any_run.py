"""One run and anything that can happen to it, in any order: the moves of a machine.

`Driven` checks every invariant after each change (`support.check`). At the end the run is driven to
its own end by answers of 200 alone: whatever happened, nothing is stuck.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.core.errors import Refused
from engine.core.model import Step, StepState
from engine.core.outcome import Answered, CallError, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.flight import note_held
from engine.core.rules.next import decide
from engine.core.rules.post import Parent, RunLimits
from tests.core.support import BAD, OK, Driven, spec

NAMES = st.sampled_from("abcdef")
POLICIES = st.none() | st.builds(
    RetryPolicy,
    count=st.sampled_from([0, 0, 1, 3]),
    back_off_ms=st.sampled_from([0, 10, 1_000]),
    max_elapsed_ms=st.none() | st.just(2_000),
    stop_on=st.sampled_from([(), (410,)]),
    on_exhausted=st.none() | st.sampled_from(OnExhausted),
)
OUTCOMES = st.one_of(
    st.just(OK),
    st.just(BAD),
    st.just(Answered(500, no_retry=True)),
    st.just(Answered(424)),
    st.builds(
        Answered,
        st.sampled_from([200, 204, 302, 404, 410, 500, 503]),
        retry_after_ms=st.none() | st.integers(0, 10**7),
        no_retry=st.booleans(),
        suspend=st.booleans(),
    ),
    st.builds(Unanswered, st.sampled_from(CallError), st.just("why")),
)
POSTS = st.sampled_from(["fine", "fine", "fine", "cut", "refused"])
"""What becomes of an attempt's posts before it ends."""
PICK = st.integers(0, 10**6)
CHANCE = st.floats(0, 1, exclude_max=True)
LIMITS = RunLimits(steps_per_run_max=10, depth_max=3)
APP = "http://app:9000"
MOVES = (
    (f"{APP}/steps", f"{APP}/v2"),
    (f"{APP}/v2", f"{APP}/steps"),
    (f"{APP}/steps/a", f"{APP}/steps/b"),
    (f"{APP}/", f"{APP}/api/"),
    (f"{APP}/workflows", f"{APP}/v2/workflows"),
)


REPAIRS = (Action.SET_RESULT, Action.SKIP)


class AnyRun(RuleBasedStateMachine):
    """Everything that the engine can do to the core."""

    drives = Driven
    driven: Driven
    parent_tokens: list[Parent]

    @initialize(retry=POLICIES)
    def open(self, retry: RetryPolicy | None) -> None:
        """The first post."""
        self.driven, self.parent_tokens = self.drives(retry), []
        self.driven.start()
        self.parent_tokens.append(self.driven.parent_token())

    def _flying(self) -> list[Step]:
        return [self.driven.run.steps[id] for id in self.driven.run.flights]

    def _try(self, does: Callable[[], Any]) -> Any:
        """What `does` returns; a refusal changes nothing."""
        run = self.driven.run
        before = deepcopy(run)
        try:
            return does()
        except Refused:
            assert run == before, "a refusal changed the run"
            return None

    @rule(
        name=NAMES,
        payload=st.sampled_from("xxy"),
        retry=POLICIES,
        by=PICK,
        parent_token=st.booleans(),
        count=st.integers(0, 2),
    )
    def post(
        self,
        name: str,
        payload: str,
        retry: RetryPolicy | None,
        by: int,
        parent_token: bool,
        count: int,
    ) -> None:
        """A step's function posts with its parent token (perhaps a stale one), or one without."""
        parent = (
            self.parent_tokens[-1 - by % min(4, len(self.parent_tokens))] if parent_token else None
        )
        posted = spec(name, payload=payload, retry=retry)
        placed = self._try(lambda: self.driven.post(posted, parent, LIMITS))
        if placed is not None and placed.poster is not None:
            run = self.driven.run
            step, flight = run.steps[placed.step_id], run.flights[placed.poster]
            if step.state in (StepState.FAILED, StepState.CANCELLED):
                flight.known_failure = step.id
        self._start(count)

    def _start(self, count: int) -> None:
        """Some of the calls that the core wants now."""
        for id in decide(self.driven.run, self.driven.now).calls[:count]:
            name = self.driven.run.steps[id].spec.name
            self.driven.start(name)
            self.parent_tokens.append(self.driven.parent_token(name))

    @precondition(lambda self: bool(decide(self.driven.run, self.driven.now).calls))
    @rule(count=st.integers(1, 4))
    def start(self, count: int) -> None:
        """Calls that the core wants now leave."""
        self._start(count)

    @rule(back_ms=st.sampled_from([0, 0, 5_000]))
    def hold(self, back_ms: int) -> None:
        """A hold, of now or of before, keeps what wants to start from that."""
        self.driven.hold(max(0, self.driven.now - back_ms))

    def _held(self) -> list[Step]:
        return [it for it in self.driven.run.steps.values() if it.held_since is not None]

    @precondition(lambda self: bool(self._held()))
    @rule(which=PICK)
    def let_go(self, which: int) -> None:
        """It is released: a step that it kept from starting starts."""
        step = self._held()[which % len(self._held())]
        paused_ms, held_ms = step.paused_ms, max(0, self.driven.now - (step.held_since or 0))
        self.driven.let_go(step.spec.name)
        lived_ms = self.driven.now - step.opened_at
        assert step.paused_ms == min(paused_ms + held_ms, max(paused_ms, lived_ms))
        self.parent_tokens.append(self.driven.parent_token(step.spec.name))

    @precondition(lambda self: bool(self.driven.run.flights))
    @rule(which=PICK, outcome=OUTCOMES, chance=CHANCE, posts=POSTS, held=st.booleans())
    def end(
        self, which: int, outcome: Any, chance: float, posts: str, *, held: bool = False
    ) -> None:
        """An attempt in flight ends, perhaps under a hold; its posts may have been cut or refused
        before."""
        step = self._flying()[which % len(self.driven.run.flights)]
        flight = self.driven.run.flights[step.id]
        if held:
            note_held(flight, max(0, self.driven.now - 5_000))
        if posts == "cut":
            flight.cut.update(s.id for s in self.driven.run.steps.values() if not s.ended)
        flight.refused_post |= posts == "refused"
        failures = step.failures
        below = any(
            self.driven.run.steps[id].state in (StepState.FAILED, StepState.CANCELLED)
            for id in self.driven.run.children.get(step.id, ())
        )
        self.driven.end(step.spec.name, outcome, chance)
        if below and step.state is StepState.FAILED:
            named = step.spec.retry is not None and step.spec.retry.on_exhausted is OnExhausted.FAIL
            assert named or (isinstance(outcome, Answered) and self._says_so(step, outcome))
        assert step.id not in self.driven.run.flights
        assert step.failures in (failures, failures + 1)
        if step.state is StepState.BACKING_OFF and step.due_at is not None:
            assert step.due_at == self.driven.now + step.delay_ms

    def _says_so(self, step: Step, outcome: Answered) -> bool:
        status = outcome.http_status
        return status == 424 or outcome.no_retry or status in step.policy.stop_on

    @rule(which=PICK, outcome=OUTCOMES)
    def end_late(self, which: int, outcome: Any) -> None:
        """An answer of an attempt that is no longer its step's changes no step."""
        parent_token = self.parent_tokens[which % len(self.parent_tokens)]
        step = self.driven.run.steps[parent_token.step_id]
        flight = self.driven.run.flights.get(step.id)
        if flight is None or flight.number != parent_token.attempt:
            before = self.driven.states()
            self.driven.end_attempt(step.spec.name, parent_token.attempt, outcome)
            assert self.driven.states() == before

    @rule(ms=st.none() | st.sampled_from([0, 1, 500, 70_000]), count=st.integers(0, 4))
    def pass_time(self, ms: int | None, count: int) -> None:
        """Time goes on, or just to the moment the core asked for; calls leave."""
        wake_at = decide(self.driven.run, self.driven.now).wake_at
        if ms is not None:
            self.driven.now += ms
        elif wake_at is not None:
            self.driven.now = wake_at
        self._start(count)

    @rule(action=st.sampled_from(Action), which=st.none() | PICK)
    def act(self, action: Action, which: int | None) -> None:
        """An operator, who may ask for what is not possible."""
        steps = list(self.driven.run.steps.values())
        name = None if which is None else steps[which % len(steps)].spec.name
        if action is Action.RETARGET:
            of = 0 if which is None else which % len(MOVES)
            self._try(lambda: self.driven.retarget(*MOVES[of]))
        elif action in REPAIRS:
            self._try(lambda: self.driven.repair(action, name))
        else:
            self._try(lambda: self.driven.act(action, name, "so"))

    @rule(which=st.none() | PICK)
    def call_with_another_payload(self, which: int | None) -> None:
        """An operator has the run called again; mostly it is none of a step's."""
        steps = list(self.driven.run.steps.values())
        name = None if which is None else steps[which % len(steps)].spec.name
        self._try(lambda: self.driven.repair(Action.RERUN, name))

    @rule(back_ms=st.sampled_from([0, 0, 3_600_000]), times=st.sampled_from([1, 1, 2, 11]))
    def crash(self, back_ms: int, times: int) -> None:
        """The engine dies and recovers, perhaps with the clock set back, perhaps in a loop."""
        self.driven.now = max(0, self.driven.now - back_ms)
        for _ in range(times):
            self.driven.crash()
            for step in self.driven.run.steps.values():
                if step.state is StepState.BACKING_OFF and step.due_at is not None:
                    assert step.due_at <= self.driven.now + step.delay_ms
            if times > 1:
                self.pass_time(70_000, 4)

    @rule(count=st.integers(0, 4))
    def drain(self, count: int) -> None:
        """The engine stops in good order and comes back."""
        self.driven.drain()
        assert self.driven.run.flights == {}
        self.driven.crash()
        self.pass_time(70_000, count)

    def teardown(self) -> None:
        """Drive the run to its end: every call answered 200, every pause lifted."""
        if not hasattr(self, "driven"):
            return
        driven, run = self.driven, self.driven.run
        for _ in range(10 * len(run.steps) + 10):
            moves = decide(run, driven.now)
            if run.flights:
                driven.end(self._flying()[0].spec.name, OK)
            elif moves.calls:
                driven.start(run.steps[moves.calls[0]].spec.name)
            elif self._held():
                driven.let_go(self._held()[0].spec.name)
            elif moves.wake_at is not None:
                driven.now = moves.wake_at
            elif StepState.PAUSED in driven.states().values():
                driven.act(Action.RESUME)
            else:
                break
        assert run.open_steps == 0, f"stuck: {driven.states()}"
