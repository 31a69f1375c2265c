"""Actions on runs of many steps: what each of them costs grows as the steps do, and no faster.

Counted in the interpreter's operations, so that the machine has no say in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from types import FrameType
from typing import Any

import pytest

from engine.core.errors import Refused
from engine.core.events import Accepted, Actor, Started
from engine.core.machine import Change
from engine.core.model import Move, Run, StepState, child_id
from engine.core.outcome import Outcome
from engine.core.rules.action import Action, Order, act
from engine.core.rules.attempt import settle
from engine.core.rules.next import TIMERS_POPPED_MAX, decide
from engine.core.rules.post import open_run
from tests.core.support import BAD, LETS_OUT, OK, spec

FEW, MANY = 40, 160
DEPTH = 32

MOVE = Move("http://app:9000/", "http://app:9001/")
"""What `retarget` does: every step goes along."""


def order(action: Action, step_id: str | None) -> Order:
    """By whoever, and moving everything."""
    return Order(action, step_id, Actor("test"), None, MOVE)


def run_of(count: int, shape: str) -> Run:
    """A run whose root is in flight, with so many steps that may start: in a row below it, or in
    chains as deep as the limit."""
    run = Run("R", "acme", 0)
    change, _ = open_run(run, spec("root"), 0)
    change.do(Started(0, "R", 1))
    parent = "R"
    for number in range(count - 1):
        if shape == "flat" or number % (DEPTH - 1) == 0:
            parent = "R"
        posted = spec(f"s{number}")
        step_id = child_id("R", posted.identity)
        change.do(Accepted(1, step_id, parent, posted, 1))
        parent = step_id
    return run


def ended(run: Run, outcome: Outcome, root: Outcome | None = None) -> Run:
    """The same with the attempts of its steps ended so, the lowest first; perhaps the root's."""
    change = Change(run)
    for step in list(run.steps.values()):
        if step.state is StepState.PENDING:
            change.do(Started(2, step.id, 1))
    for step in reversed(list(run.steps.values())):
        if step.state is StepState.RUNNING and not step.is_root:
            settle(change, step.id, 1, outcome, now=3, chance=0.0)
    if root is not None:
        settle(change, "R", 1, root, now=3, chance=0.0)
    return run


def acted(run: Run, action: Action, now: int = 5) -> Run:
    """The same after an action."""
    act(Change(run), order(action, None), now=now)
    return run


STATES: dict[str, Callable[[int, str], Run]] = {
    "pending": run_of,
    "backing off": lambda count, shape: ended(run_of(count, shape), BAD),
    "completed": lambda count, shape: ended(run_of(count, shape), OK),
    "failed": lambda count, shape: ended(run_of(count, shape), LETS_OUT, LETS_OUT),
    "paused": lambda count, shape: acted(ended(run_of(count, shape), BAD), Action.PAUSE),
    "cancelled": lambda count, shape: acted(ended(run_of(count, shape), BAD), Action.CANCEL),
}


def operations(work: Callable[[], Any]) -> int:
    """How many of the interpreter's operations some work takes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def cost(count: int, shape: str, state: str, action: Action, of_step: bool) -> int:
    """Of an action, and of the looks for what may start that follow it; 0: it is refused."""
    run = STATES[state](count, shape)
    step_id = list(run.steps)[count // 2] if of_step else None
    change = Change(run)

    def work() -> None:
        act(change, order(action, step_id), now=10)
        change.close(10)
        decide(run, 10)
        decide(run, 10)

    try:
        return operations(work)
    except Refused:
        return 0


@pytest.mark.parametrize("shape", ["flat", "deep"])
@pytest.mark.parametrize("state", STATES)
def test_an_action_costs_as_the_steps_are_many(shape: str, state: str) -> None:
    """Four times the steps, four times the operations: of the run, and of a step in its middle."""
    done = 0
    for action in Action:
        for of_step in (False, True):
            # From Python 3.12 on a function is counted from its second call on: hence the first.
            counts = (2, FEW, MANY)
            _, few, many = (cost(count, shape, state, action, of_step) for count in counts)
            assert (few > 0) == (many > 0), action
            assert many <= 4.5 * few, (action, of_step, few, many)
            done += few > 0
    assert done >= 2


@pytest.mark.parametrize("state", STATES)
def test_a_dry_run_changes_a_copy(state: str) -> None:
    """Nothing of the run itself is touched, whatever is done to the copy."""
    run = STATES[state](40, "deep")
    before = deepcopy(run)
    for action in Action:
        copied = run.copied()
        assert copied == before
        try:
            act(Change(copied), order(action, None), now=10)
        except Refused:
            continue
        decide(copied, 10)
        for flight in copied.flights.values():
            flight.cut.add("x")
        assert run == before, action


def test_many_timers_at_once() -> None:
    """Stale, due and later ones, more than are popped one by one: each is told once, in order."""
    run = ended(run_of(6 * TIMERS_POPPED_MAX, "flat"), BAD)
    children = [step for step in run.steps.values() if not step.is_root]
    due_at = children[0].due_at
    assert due_at is not None
    change = Change(run)
    for step in children[: 3 * TIMERS_POPPED_MAX]:
        act(change, order(Action.RETRY, step.id), now=due_at - 100)
    for step in children[: TIMERS_POPPED_MAX + 5]:
        act(change, order(Action.PAUSE, step.id), now=due_at - 100)
    woken = children[TIMERS_POPPED_MAX + 5 : 3 * TIMERS_POPPED_MAX]
    for _ in range(2):  # what is due stays so until its call has started
        moves = decide(run, due_at - 50)
        assert sorted(moves.calls) == sorted(step.id for step in woken)
        assert moves.wake_at == due_at
    moves = decide(run, due_at)
    assert set(moves.calls) == {step.id for step in children[TIMERS_POPPED_MAX + 5 :]}
    assert set(moves.calls[: len(woken)]) == {step.id for step in woken}
    assert moves.wake_at is None
