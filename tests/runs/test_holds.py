"""Holds, on a mock clock with the real engine and its store: what they keep from starting, and what
becomes of it. `protocol.md` §5."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import Move, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.hold import HoldKind
from engine.ports.caller import Invocation
from engine.runs import held
from engine.runs.limits.bounds import EngineLimits
from engine.runs.limits.holds import HOLDS_MAX, Holds
from engine.runs.limits.ramp import FIRST_PLACES
from engine.runs.open.callers import Wait
from tests.world import ROOT, FakeClock, World, ok, recorded, still_open, taking, world

ASYNC = Wait(prefer_ms=0)
ADA = Actor("ada")
STEP = "http://steps:9000/step"
HOUR = 3600.0
SOON = RetryPolicy(count=50, back_off_ms=10_000, factor=1, jitter=0)
HOLDS = [
    (HoldKind.CLIENT, "shop"),
    (HoldKind.WORKFLOW, "w"),
    (HoldKind.HOST, "app:9000"),
    (HoldKind.ALL, "*"),
]


class Registered:
    """A registry that forgets."""

    registered: tuple[Any, ...] = ()

    def register(self, entry: Any) -> Any:
        """Nothing is kept."""


async def hold(it: World, kind: HoldKind, name: str, reason: str | None = None) -> None:
    """Hold it, durably."""
    now = it.engine.clock.steady_ms()
    await it.engine.holds.hold(kind, name, reason, ADA, now)[1].wait()


async def release(it: World, kind: HoldKind, name: str, rate: int | None = None) -> None:
    """Release it, durably."""
    now = it.engine.clock.steady_ms()
    await it.engine.holds.release(kind, name, rate, ADA, now)[1].wait()


async def calls_ok(call: Invocation) -> Outcome:
    """An endpoint that answers at once."""
    return ok()


@pytest.mark.parametrize(("kind", "name"), HOLDS)
async def test_under_a_hold_nothing_starts(
    autojump_clock, path: Path, kind: HoldKind, name: str
) -> None:
    """A post is recorded, its caller hangs on, its run leaves memory when nobody waits for it; all
    starts when it is released, and then the hold is gone."""
    async with world(path, calls_ok) as it, trio.open_nursery() as nursery:
        await hold(it, kind, name, "a deploy")
        first = still_open(await it.post(key="first", wait=ASYNC))
        assert first.state is StepState.PENDING
        nursery.start_soon(it.post, ROOT, "second")
        await trio.sleep(HOUR)
        assert it.caller.calls == []
        assert len(it.engine.memory.live) == 1, "the one that is waited for"
        assert it.engine.holds.waiting == {(kind, name): 2}
        assert it.engine.holds.waiting_in_all == 2
        await release(it, kind, name)
        await trio.sleep(2)
        assert Counter(call.url for _, call in it.caller.calls) == {ROOT: 2}
        assert recorded(await it.post(key="first")).step.state is StepState.COMPLETED
        assert it.engine.holds.all == []
        assert it.store.registered == ()


@pytest.mark.parametrize(("kind", "name"), HOLDS)
async def test_whom_a_hold_concerns(autojump_clock, path: Path, kind: HoldKind, name: str) -> None:
    """Its client before anything waits, and everybody where everything is held."""
    async with world(path, calls_ok) as it:
        await hold(it, kind, name)
        this = {(kind, name): 0}
        everybody = this if kind is HoldKind.ALL else {}
        own = this if kind in (HoldKind.ALL, HoldKind.CLIENT) else {}
        assert it.engine.holds.waiting_of("shop") == own
        assert it.engine.holds.waiting_of("forum") == everybody


@pytest.mark.parametrize(
    ("kind", "name"),
    [(HoldKind.CLIENT, "bank"), (HoldKind.WORKFLOW, "x"), (HoldKind.HOST, "app:9001")],
)
async def test_others_go_on(autojump_clock, path: Path, kind: HoldKind, name: str) -> None:
    """A hold is about what it names."""
    async with world(path, calls_ok) as it:
        await hold(it, kind, name)
        assert recorded(await it.post()).step.state is StepState.COMPLETED


@pytest.mark.parametrize(("kind", "name"), HOLDS[:2])
async def test_a_function_at_work_goes_on_and_its_new_steps_wait(
    autojump_clock, path: Path, kind: HoldKind, name: str
) -> None:
    """The hold of a client or a workflow is over its steps, wherever they are called. The function
    that waits for one is sent home, and completes when it is called again."""
    it: World

    async def app(call: Invocation) -> Outcome:
        if call.url == ROOT:
            await trio.sleep(1)
            step = await it.post(STEP, parent_token=call.parent_token)
            return Answered(500) if step.__class__.__name__ == "StillOpen" else ok()
        return ok()

    async with world(path, app, limits=EngineLimits(standstill_s=1e6)) as it:
        begun = still_open(await it.post(wait=ASYNC))
        await hold(it, kind, name)
        await trio.sleep(HOUR)
        assert it.caller.times("step") == []
        assert it.caller.times("index") == [pytest.approx(0, abs=0.1)]
        assert it.engine.home.sent == 1
        assert len(it.engine.memory.live) == 0
        await release(it, kind, name)
        done = recorded(await it.engine.outcome(begun.step_id, Wait()))
        assert (done.step.state, done.step.failures) == (StepState.COMPLETED, 0)
        assert len(it.caller.times("step")) == 1


async def test_what_is_in_flight_ends_and_is_recorded(autojump_clock, path: Path) -> None:
    """Its caller hears of it."""
    async with world(path, taking(10)) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.post)
        await trio.sleep(1)
        await hold(it, HoldKind.CLIENT, "shop")
        assert recorded(await it.post()).step.state is StepState.COMPLETED
        assert trio.current_time() == pytest.approx(10, abs=0.1)


async def test_retries_that_come_due_wait_and_cost_nothing(autojump_clock, path: Path) -> None:
    """Each is recorded as held once, and is not looked at again: neither by the sweeps nor at a
    start. `maxElapsed` stands still."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500) if call.attempt == 1 else ok()

    retry = RetryPolicy(count=50, back_off_ms=10_000, factor=1, jitter=0, max_elapsed_ms=60_000)
    async with world(path, app) as it:
        ids = [
            still_open(await it.post(key=f"k{number}", retry=retry, wait=ASYNC)).step_id
            for number in range(300)
        ]
        await trio.sleep(5)
        await hold(it, HoldKind.HOST, "app")
        await trio.sleep(60)
        assert len(it.engine.memory.live) == 0
        events, commits = it.store.last_seq, it.store.writer.commits
        await trio.sleep(HOUR)
        assert (it.store.last_seq, it.store.writer.commits) == (events, commits)
        assert it.engine.holds.waiting_in_all == 300
    async with world(path, app) as it:
        await trio.sleep(40)
        assert (it.caller.calls, it.store.last_seq) == ([], events)
        assert len(it.engine.memory.live) == 0
        assert [held.text for held in it.engine.holds.all] == ["host app"]
        await release(it, HoldKind.HOST, "app")
        for step_id in ids:
            done = recorded(await it.engine.outcome(step_id, Wait()))
            assert (done.step.state, done.step.attempts) == (StepState.COMPLETED, 2)


async def test_a_backlog_is_released_at_a_rate(autojump_clock, path: Path) -> None:
    """So many each second, oldest first, until all that waited has started; what is new does not
    wait for it. A crash in the middle changes nothing of that."""
    async with world(path, calls_ok) as it:
        await hold(it, HoldKind.CLIENT, "shop")
        for number in range(20):
            await it.post(key=f"k{number}", wait=ASYNC)
            await trio.sleep(0.01)
        await release(it, HoldKind.CLIENT, "shop", 2)
        await it.post(key="new")
        began = trio.current_time()
        await trio.sleep(4.9)
        keys = [call.idempotency_key for _, call in it.caller.calls]
        assert [key for key in keys if key != "new"] == [f"k{number}" for number in range(10)]
    async with world(path, calls_ok) as it:
        await trio.sleep(0.01)
        assert [held.rate_per_s for held in it.engine.holds.all] == [2]
        await trio.sleep(3)
        assert len(it.caller.calls) == pytest.approx(7, abs=1)
        now = it.engine.clock.steady_ms()
        it.engine.holds.release(HoldKind.CLIENT, "shop", None, ADA, now)
        await trio.sleep(2)
        assert len(it.caller.calls) == 10
        assert it.engine.holds.all == []
    assert began < trio.current_time()


async def test_without_a_rate_a_backlog_comes_along_the_ramp(autojump_clock, path: Path) -> None:
    """As much at once as after a start: few, and more as they are answered."""
    most = 0
    open_now = 0

    async def app(call: Invocation) -> Outcome:
        nonlocal most, open_now
        open_now += 1
        most = max(most, open_now)
        await trio.sleep(0.2)
        open_now -= 1
        return ok()

    async with world(path, app) as it:
        await trio.sleep(HOUR)
        await hold(it, HoldKind.HOST, "app:9000")
        for number in range(200):
            await it.post(key=f"k{number}", wait=ASYNC)
        await release(it, HoldKind.HOST, "app:9000")
        await trio.sleep(0.15)
        assert most == FIRST_PLACES
        await trio.sleep(10)
        assert len(it.caller.calls) == 200
        assert FIRST_PLACES < most < 100


@pytest.mark.parametrize("rate", [None, 1_000])
async def test_a_host_that_takes_nothing_keeps_no_other_back(
    autojump_clock, path: Path, rate: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are left where they are, and the walk goes on with those of others; a slow host
    gets them as it takes them, within one walk."""
    monkeypatch.setattr(held, "QUEUED_AT_HOST_MAX", 4)
    dead, slow = "http://dead:9000/x", "http://slow:9000/x"

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(HOUR if call.url == dead else 0.1)
        return ok()

    limits = EngineLimits(in_flight_per_host_max=2)
    async with world(path, app, limits=limits) as it:
        await hold(it, HoldKind.CLIENT, "shop")
        for number in range(60):
            await it.post(dead, key=f"d{number}", wait=ASYNC, attempt_timeout_ms=86_400_000)
        for number in range(60):
            await it.post(slow, key=f"s{number}", wait=ASYNC)
        await release(it, HoldKind.CLIENT, "shop", rate)
        await trio.sleep(20)
        calls = Counter(call.url for _, call in it.caller.calls)
        assert (calls[dead], calls[slow]) == (2, 60), calls


async def test_those_that_queued_for_a_place_are_held_too(autojump_clock, path: Path) -> None:
    """A place that becomes free goes to the next that is not held."""
    async with (
        world(path, taking(10), limits=EngineLimits(in_flight_per_host_max=1)) as it,
        trio.open_nursery() as nursery,
    ):
        for key, client in enumerate(("shop", "shop", "bank")):
            nursery.start_soon(partial(it.post, key=str(key), client=client))
            await trio.sleep(0.1)
        await hold(it, HoldKind.CLIENT, "shop")
        await trio.sleep(30)
        assert [call.client for _, call in it.caller.calls] == ["shop", "bank"]
        assert it.engine.places.queued == 0
        assert it.engine.holds.waiting_in_all == 1
        nursery.cancel_scope.cancel()


async def test_a_step_under_two_holds_waits_for_both(autojump_clock, path: Path) -> None:
    """And counts under each."""
    async with world(path, calls_ok) as it:
        await hold(it, HoldKind.CLIENT, "shop")
        await hold(it, HoldKind.HOST, "app")
        await it.post(wait=ASYNC)
        await trio.sleep(5)
        assert set(it.engine.holds.waiting.values()) == {1}
        assert it.engine.holds.waiting_in_all == 1
        await release(it, HoldKind.CLIENT, "shop")
        await trio.sleep(60)
        assert it.caller.calls == []
        assert [held.text for held in it.engine.holds.all] == ["host app"]
        await release(it, HoldKind.HOST, "app")
        await trio.sleep(1)
        assert len(it.caller.calls) == 1


@pytest.mark.parametrize("is_released", [False, True])
async def test_what_people_do_to_a_held_run(autojump_clock, path: Path, is_released: bool) -> None:
    """Paused it stays paused when the hold ends; resumed it waits for the hold; cancelled it is
    over; moved to a host that is free it starts; a retry does not start it."""
    async with world(path, calls_ok) as it:
        await hold(it, HoldKind.HOST, "app")
        ids = {
            name: still_open(await it.post(key=name, wait=ASYNC)).step_id
            for name in ("paused", "resumed", "cancelled", "moved")
        }
        await trio.sleep(5)
        await it.act(ids["paused"], Action.PAUSE)
        await it.act(ids["resumed"], Action.PAUSE)
        await it.act(ids["resumed"], Action.RESUME)
        await it.act(ids["cancelled"], Action.CANCEL)
        move = Move("http://app:9000/", "http://other:9000/")
        await it.act(ids["moved"], Action.RETARGET, move=move)
        await trio.sleep(60)
        assert [call.idempotency_key for _, call in it.caller.calls] == ["moved"]
        if is_released:
            await release(it, HoldKind.HOST, "app")
            await trio.sleep(60)
            keys = [call.idempotency_key for _, call in it.caller.calls]
            assert keys == ["moved", "resumed"]
            await it.act(ids["paused"], Action.RESUME)
            assert recorded(await it.post(key="paused")).step.state is StepState.COMPLETED


async def test_a_failed_run_that_is_retried_under_a_hold_waits(autojump_clock, path: Path) -> None:
    """It opens, and starts when the hold is released."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500) if call.attempt == 1 else ok()

    once = RetryPolicy(count=0)
    async with world(path, app) as it:
        failed = recorded(await it.post(retry=once)).step
        assert failed.state is StepState.FAILED
        await hold(it, HoldKind.WORKFLOW, "w")
        await it.act(failed.id, Action.RETRY)
        await trio.sleep(60)
        assert len(it.caller.calls) == 1
        await release(it, HoldKind.WORKFLOW, "w")
        assert recorded(await it.post(retry=once)).step.state is StepState.COMPLETED


async def test_holding_twice_and_releasing_what_is_not_held(autojump_clock, path: Path) -> None:
    """The second has the reason, the first the beginning. What is not held is told so in words;
    one that lets go can be held again."""
    async with world(path, calls_ok) as it:
        holds = it.engine.holds
        await hold(it, HoldKind.HOST, "App:9000", "first")
        began = holds.all[0].since
        await trio.sleep(5)
        await hold(it, HoldKind.HOST, "app:9000", "second")
        await hold(it, HoldKind.HOST, "app:9000")
        (held,) = holds.all
        assert (held.reason, held.since) == ("second", began)
        with pytest.raises(Refused, match="no hold on client shop") as refused:
            await release(it, HoldKind.CLIENT, "shop")
        assert refused.value.problem is Problem.NOT_FOUND
        for number in range(5):
            await it.post(key=f"k{number}", wait=ASYNC)
        await release(it, HoldKind.HOST, "app:9000", 1)
        await trio.sleep(2.5)
        await hold(it, HoldKind.HOST, "app:9000", "third")
        await trio.sleep(60)
        assert len(it.caller.calls) == 3
        assert (held := holds.all[0]).released_at is None
        assert held.since > began


async def test_there_are_so_many_holds_and_no_more(autojump_clock, path: Path) -> None:
    """One more is refused, and says what to do; one that there is can still be held again."""
    async with world(path, calls_ok) as it:
        for number in range(HOLDS_MAX):
            it.engine.holds.hold(HoldKind.CLIENT, f"c{number}", None, ADA, 0)
        with pytest.raises(Refused, match="release some first") as refused:
            it.engine.holds.hold(HoldKind.CLIENT, "more", None, ADA, 0)
        assert refused.value.problem is Problem.NOT_POSSIBLE
        it.engine.holds.hold(HoldKind.CLIENT, "c0", "again", ADA, 0)


async def test_what_is_done_is_logged() -> None:
    """Who, what and why; and when all that waited has started."""
    said: list[tuple[str, dict[str, Any]]] = []
    holds = Holds(Registered(), lambda event, **values: said.append((event, values)))
    holds.hold(HoldKind.HOST, "App:1", "a deploy", Actor("ada", "10.0.0.7"), 1)
    released, _ = holds.release(HoldKind.HOST, "app:1", 5, Actor("bob"), 2)
    holds.drained(released, 3)
    what = {"hold": "host", "name": "app:1"}
    assert said == [
        ("hold", {**what, "actor": "ada", "address": "10.0.0.7", "reason": "a deploy"}),
        ("release", {**what, "actor": "bob", "address": None, "rate_per_s": 5}),
        ("hold-over", what),
    ]


async def test_a_run_that_is_read_starts_what_nothing_holds(autojump_clock, path: Path) -> None:
    """As one that a bug had stopped while its hold was released: no walk of the release saw it."""
    async with world(path, calls_ok) as it:
        await hold(it, HoldKind.CLIENT, "shop")
        step_id = still_open(await it.post(wait=ASYNC)).step_id
        await trio.sleep(5)
        for held in it.engine.holds.all:  # not released: gone
            it.engine.holds.drained(held, 0)
        assert recorded(await it.engine.outcome(step_id, Wait())).step.attempts == 1
        assert trio.current_time() < 10, "and not when somebody looks for what was forgotten"


async def test_what_waits_under_no_hold_is_let_go(autojump_clock, path: Path) -> None:
    """Should a hold ever be lost while steps wait under it, they do not wait for ever."""
    async with world(path, calls_ok) as it:
        await hold(it, HoldKind.CLIENT, "shop")
        await it.post(wait=ASYNC)
        await trio.sleep(5)
    async with world(path, calls_ok) as it:
        for held in it.engine.holds.all:
            it.engine.holds.drained(held, 0)
        await trio.sleep(5)
        assert len(it.caller.calls) == 1


async def test_a_clock_set_back_keeps_nothing_that_was_let_go(
    autojump_clock: MockClock, path: Path
) -> None:
    """A retry that was due and held is made soon after the release, though by the clock of the new
    life its back-off has not even begun."""
    slow = RetryPolicy(count=5, back_off_ms=600_000, jitter=0)

    async def fails(call: Invocation) -> Outcome:
        return Answered(500) if call.attempt == 1 else ok()

    async with world(path, fails) as it:
        run_id = still_open(await it.post(retry=slow, wait=ASYNC)).run_id
        await trio.sleep(1)
        await hold(it, HoldKind.CLIENT, "shop")
        await trio.sleep(700)
    base_ms = FakeClock().steady_ms() - 3_600_000
    async with world(path, fails, clock=FakeClock(base_ms=base_ms)) as it:
        await release(it, HoldKind.CLIENT, "shop")
        await trio.sleep(2)
        assert recorded(await it.engine.outcome(run_id, ASYNC)).step.attempts == 2
        assert not it.engine.holds.all
