"""Lists of targets in the engine: what is not taken, what waits, and that a slip ends nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.call.dial import Dialler
from engine.call.policy import Policies
from engine.core.access.client import Client, ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.model import PauseReason, StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retarget import read_move
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.runs.open.callers import StillOpen, Wait
from tests.world import ok, recorded, still_open, taking, world

APP, ELSEWHERE = "http://app:9000", "http://elsewhere:1"
AT_ONCE = Wait(prefer_ms=0)
ONE_TRY = RetryPolicy(count=0)


SLIP = Unanswered(CallError.TARGET_NOT_ALLOWED, "none of the targets covers it", pauses=True)
"""What the caller says of a call while the list lacks its target."""


class Lists:
    """A registry with one client."""

    def __init__(self, *targets: str) -> None:
        self.clients = {"shop": Client("shop", targets)}
        self.limits = dict[str, ClientLimits]()


def lists(*targets: str) -> Policies:
    """The targets of client `shop`."""
    return Policies(Lists(*targets), Dialler())


async def refused(posting: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await posting  # type: ignore[misc]
    return caught.value


async def test_a_post_elsewhere_records_nothing(autojump_clock: object, path: Path) -> None:
    """No run is opened and nobody is called; another URL may have the key then."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app, targets=lists(f"{APP}/")) as it:
        error = await refused(it.post(f"{ELSEWHERE}/w"))
        assert error.problem is Problem.TARGET_NOT_ALLOWED
        assert error.detail == (
            f"{ELSEWHERE}/w may not be called: none of the targets of client shop covers it; to"
            f" allow it: `atomic client targets shop --add {ELSEWHERE}/`."
        )
        assert not it.engine.memory.live
        assert it.store.find_run("shop", "w", "k") is None
        assert recorded(await it.post(f"{APP}/w")).step.state is StepState.COMPLETED
        assert len(it.caller.calls) == 1


async def test_a_client_that_is_not_known_posts_nothing(autojump_clock: object, path: Path) -> None:
    """While there are clients, whoever lets its post pass."""
    async with world(path, taking(0), targets=lists(f"{APP}/")) as it:
        error = await refused(it.post(f"{APP}/w", client="other"))
        assert error.problem is Problem.TARGET_NOT_ALLOWED
        assert "there is no client other" in error.detail


async def test_a_child_elsewhere_is_refused_and_the_run_says_why(
    autojump_clock: object, path: Path
) -> None:
    """With and without a parent token; the step that was posted first goes on."""
    problems: list[Problem] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return ok()
        for token in (None, call.parent_token):
            error = await refused(it.post(f"{ELSEWHERE}/step", parent_token=token))
            problems.append(error.problem)
        await it.post(f"{APP}/step", parent_token=call.parent_token)
        return ok()

    async with world(path, app, targets=lists(f"{APP}/")) as it:
        assert recorded(await it.post(f"{APP}/w")).step.state is StepState.COMPLETED
        assert problems == [Problem.TARGET_NOT_ALLOWED] * 2
        assert len(it.caller.calls) == 2


async def test_a_slip_in_a_list_ends_no_run(autojump_clock: object, path: Path) -> None:
    """Steps that were accepted wait for a person, their callers hang on, over a restart too;
    mended and resumed all of them complete, each called once."""
    slipped = True

    async def app(call: Invocation) -> Outcome:
        if slipped:
            return SLIP
        if call.url.endswith("/step"):
            return ok()
        answer = await it.post(f"{APP}/step", call.idempotency_key, parent_token=call.parent_token)
        return ok() if recorded(answer).step.state is StepState.COMPLETED else Answered(500)

    keys = [f"k{n}" for n in range(5)]
    async with world(path, app, targets=lists(f"{APP}/")) as it:
        for key in keys:
            still_open(await it.post(f"{APP}/w", key, retry=ONE_TRY, wait=AT_ONCE))
        await trio.sleep(3600)
        assert len(it.caller.calls) == 5
    async with world(path, app, targets=lists(f"{ELSEWHERE}/")) as it:
        states: list[StepState] = []

        async def wait_for(key: str) -> None:
            states.append(recorded(await it.post(f"{APP}/w", key)).step.state)

        async with trio.open_nursery() as nursery:
            for key in keys:
                nursery.start_soon(wait_for, key)
            await trio.sleep(3600)
            assert (states, it.caller.calls) == ([], [])
            runs = [live.run for live in it.engine.memory.live.values()]
            told = [(run.root.pause_reason, run.root.failures) for run in runs]
            assert told == [(PauseReason.TARGET_NOT_ALLOWED, 0)] * 5
            slipped = False
            it.engine.targets = lists(f"{APP}/")
            for run in runs:
                await it.act(run.id, Action.RESUME)
        assert states == [StepState.COMPLETED] * 5
        assert len(it.caller.calls) == 10


async def test_a_child_that_waits_for_a_list_does_not_fail_its_workflow(
    autojump_clock: object, path: Path
) -> None:
    """Its function is sent home while the step waits, which costs no retry, and is told when it has
    been called after all."""
    slipped = True

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return SLIP if slipped else ok()
        result = await it.post(f"{APP}/step", parent_token=call.parent_token, retry=ONE_TRY)
        return ok() if not isinstance(result, StillOpen) else Answered(500)

    async with world(path, app, targets=lists(f"{APP}/")) as it:
        run_id = still_open(await it.post(f"{APP}/w", retry=ONE_TRY, wait=AT_ONCE)).run_id
        await trio.sleep(3600)
        slipped = False
        await it.act(run_id, Action.RESUME)
        root = recorded(await it.post(f"{APP}/w", retry=ONE_TRY)).step
        assert (root.state, root.failures) == (StepState.COMPLETED, 0)
        assert len(it.caller.times("/w")) == len(it.caller.times("/step")) == 2


async def test_a_moved_run_passes_the_gate(autojump_clock: object, path: Path) -> None:
    """To where the list leads; elsewhere it is 409, also as a dry run, and nothing is moved."""
    targets = lists(f"{APP}/", f"{ELSEWHERE}/hooks")

    async def away(call: Invocation) -> Outcome:
        return Answered(503)

    async with world(path, away, targets=targets) as it:
        run_id = still_open(await it.post(f"{APP}/w", wait=AT_ONCE)).run_id
        await trio.sleep(0.5)
        for dry_run in (True, False):
            move = read_move(f"{APP}/", f"{ELSEWHERE}/")
            error = await refused(it.act(run_id, Action.RETARGET, move=move, dry_run=dry_run))
            assert error.problem is Problem.NOT_POSSIBLE
            assert f"{ELSEWHERE}/w: none of the targets of client shop covers it" in error.detail
        await it.act(run_id, Action.RETARGET, move=read_move(f"{APP}/", f"{ELSEWHERE}/hooks/"))
        assert it.engine.memory.live[run_id].run.root.spec.url == f"{ELSEWHERE}/hooks/w"
