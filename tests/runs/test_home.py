"""Who is sent home, and when: on a mock clock, with the real engine. `protocol.md` §4."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Recorded, Result, StillOpen, Wait, Why
from tests.world import World, ok, recorded, world

STEP = "http://steps:9000/"
LATER = RetryPolicy(count=5, back_off_ms=60_000, factor=1, jitter=0)
"""A minute after each failure."""


NEVER = 1e6
ALONE = EngineLimits(standstill_s=NEVER)
"""The rule for pools of workers keeps out: here a step may work for as long as it likes."""


class Suspended(Exception):
    """What a client raises for 504 `suspended`."""


class App:
    """A workflow function of the test's, and steps that do what their names say."""

    def __init__(self, function: Callable[[App, Invocation], Awaitable[object]]) -> None:
        self.function = function
        self.world: World
        self.seen: list[tuple[Any, str]] = []
        """When which post of the function's was refused or let go."""

    async def __call__(self, call: Invocation) -> Outcome:
        name = call.url.rpartition("/")[2]
        if name == "index":
            try:
                await self.function(self, call)
            except Suspended:
                return Answered(500)
            return ok()
        if name == "second":  # succeeds at its second attempt
            return ok() if call.attempt > 1 else Answered(500)
        if name.isdecimal():
            await trio.sleep(int(name))
        return ok()

    async def step(
        self, call: Invocation, name: str, retry: RetryPolicy = LATER, **options: object
    ) -> Result:
        """Post a step. Raises Suspended."""
        try:
            parent = call.parent_token
            result = await self.world.post(STEP + name, parent_token=parent, retry=retry, **options)  # type: ignore[arg-type]
        except Refused as refused:
            self.seen.append((trio.current_time(), f"{name} {refused.problem}"))
            if refused.problem is Problem.SUSPENDED:
                raise Suspended from None
            raise
        if isinstance(result, StillOpen) and result.why is Why.SUSPENDED:
            self.seen.append((trio.current_time(), f"{name} let go"))
            raise Suspended
        return result

    async def run(self, path: Path, **limits: float) -> tuple[World, Recorded]:
        """Submit the workflow to an engine of its own, until it has ended."""
        settings = EngineLimits(**{"standstill_s": NEVER, **limits})  # type: ignore[arg-type]
        async with world(path, self, limits=settings) as it:
            self.world = it
            return it, recorded(await it.post())


async def waits(app: App, call: Invocation) -> None:
    """A function that waits for a step which succeeds after a minute."""
    await app.step(call, "second")


async def test_who_waits_for_a_step_that_backs_off_goes_after_20_s(autojump_clock, path: Path):
    """Not a moment earlier; it is called again when the step has ended, and not before."""
    app = App(waits)
    it, done = await app.run(path)
    assert app.seen == [(pytest.approx(20, abs=0.01), "second let go")]
    assert it.caller.times("second") == pytest.approx([0, 60], abs=0.01)
    assert it.caller.times("index") == pytest.approx([0, 60], abs=0.01)
    assert (done.step.attempts, done.step.failures) == (2, 0)


@pytest.mark.parametrize("after_s", [0.001, 3600])
async def test_suspend_after_is_a_setting(autojump_clock, path: Path, after_s: float):
    """From a millisecond to an hour: with the latter nobody goes within a minute."""
    app = App(waits)
    _, done = await app.run(path, suspend_after_s=after_s)
    assert done.step.attempts == (1 if after_s == 3600 else 2)


async def test_who_waits_for_a_step_that_works_stays(autojump_clock, path: Path):
    """A call may take as long as it likes; the time counts from when nothing moves any more."""

    async def function(app: App, call: Invocation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.step, call, "50")
            nursery.start_soon(app.step, call, "second")

    app = App(function)
    it, done = await app.run(path)
    assert app.seen == []
    assert done.step.attempts == 1
    assert it.caller.times("second") == pytest.approx([0, 60], abs=0.01)


async def test_the_time_counts_from_when_the_step_comes_to_rest(autojump_clock, path: Path):
    """An attempt of 30 s that fails is followed by a back-off: 20 s of that, and not one less."""
    the: list[App] = []

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "slow")

    async def endpoint(call: Invocation) -> Outcome:
        if call.url.endswith("slow"):
            await trio.sleep(30)
            return ok() if call.attempt > 1 else Answered(500)
        return await the[0](call)

    the.append(App(function))
    async with world(path, endpoint, limits=ALONE) as it:
        the[0].world = it
        await it.post()
    assert the[0].seen == [(pytest.approx(50, abs=0.01), "slow let go")]


async def test_a_post_that_comes_begins_the_time_anew(autojump_clock, path: Path):
    """The function does something beside its wait: that one does not only wait."""

    async def function(app: App, call: Invocation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.step, call, "second")
            for number in range(3):
                await trio.sleep(15)
                await app.step(call, f"quick{number}", wait=Wait(prefer_ms=0))

    app = App(function)
    _, done = await app.run(path)
    assert (app.seen, done.step.attempts) == ([], 1)


async def test_a_paused_step_sends_home_and_an_outside_caller_stays(autojump_clock, path: Path):
    """Whoever submits from outside hangs on, also on the very step."""

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "second", RetryPolicy(count=0, on_exhausted=OnExhausted.PAUSE))

    app = App(function)
    async with world(path, app, limits=ALONE) as it:
        app.world = it
        outside: list[Result] = []

        async def ask() -> None:
            await trio.sleep(1)
            outside.append(await it.engine.outcome(step, Wait()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post)
            await trio.sleep(0.5)
            (live,) = it.engine.memory.live.values()
            step = next(id for id in live.run.steps if id != live.run.id)
            nursery.start_soon(ask)
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        assert not outside
    assert app.seen == [(pytest.approx(20, abs=0.01), "second let go")]


@pytest.mark.parametrize("answer", [ok(), Answered(424), Unanswered(CallError.DNS, "cut")])
async def test_a_function_that_swallows_it_completes_nothing(
    autojump_clock, path: Path, answer: Outcome
):
    """It posts a compensation, is refused, and answers whatever it likes: called again."""
    the: list[App] = []

    async def endpoint(call: Invocation) -> Outcome:
        app = the[0]
        if call.url.endswith("/index"):
            try:
                await app.step(call, "first")
                await app.step(call, "second")
            except Suspended:
                with pytest.raises(Suspended):
                    await app.step(call, "compensate")
                recorded(await app.step(call, "first"))
                return answer
            return ok(b'"whole"')
        return await app(call)

    the.append(App(waits))
    async with world(path, endpoint, limits=ALONE) as it:
        the[0].world = it
        done = recorded(await it.post())
        assert (done.body and done.body.data, done.step.failures) == (b'"whole"', 0)
        assert it.caller.times("compensate") == []
        assert it.caller.times("index") == pytest.approx([0, 60], abs=0.01)


async def test_a_timed_out_attempt_below_sends_home_who_waits_above(autojump_clock, path: Path):
    """Before the step is tried again: perhaps those who wait have the worker that it needs."""
    the: list[App] = []

    async def endpoint(call: Invocation) -> Outcome:
        app = the[0]
        if call.url.endswith("/slow"):
            await trio.sleep(5 if call.attempt == 1 else 0)
            return ok()
        if call.url.endswith("/nested"):
            try:
                await app.step(call, "slow", RetryPolicy(back_off_ms=2_000), attempt_timeout_ms=900)
            except Suspended:
                return Answered(500)
            return ok()
        return await app(call)

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "nested")

    the.append(App(function))
    async with world(path, endpoint, limits=ALONE) as it:
        the[0].world = it
        done = recorded(await it.post())
    told = [(pytest.approx(0.9, abs=0.01), name) for name in ("slow let go", "nested let go")]
    assert sorted(the[0].seen, key=lambda each: each[1]) == sorted(told, key=lambda each: each[1])
    assert (done.step.attempts, done.step.failures) == (2, 0)


async def test_a_told_attempt_that_hangs_is_cut_by_its_own_time_out(autojump_clock, path: Path):
    """`attemptTimeout` goes on where it stood; the end is no failure."""

    async def function(app: App, call: Invocation) -> None:
        try:
            await app.step(call, "second")
        except Suspended:
            await trio.sleep_forever()

    app = App(function)
    async with world(path, app, limits=ALONE) as it:
        app.world = it
        once = RetryPolicy(count=0)
        done = recorded(await it.post(retry=once, attempt_timeout_ms=30_000))
        assert (done.step.state, done.step.attempts) == (StepState.COMPLETED, 2)
        assert it.caller.times("index") == pytest.approx([0, 60], abs=0.01)


async def test_connections_that_run_short_send_home_sooner(autojump_clock, path: Path):
    """A second, as soon as over half are taken: also those that had waited longer already."""
    app, short = App(waits), False
    async with world(path, app, limits=ALONE, pressed=lambda: short) as it:
        app.world = it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post)
            await trio.sleep(10)
            assert not app.seen
            short = True
            await trio.sleep(1.01)
            assert [name for _, name in app.seen] == ["second let go"]
            nursery.cancel_scope.cancel()


async def test_who_asks_for_other_steps_at_each_call_is_sent_home_once(autojump_clock, path: Path):
    """Its keys are drawn anew: another call would wait for another step, for ever."""

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "second", key=f"at {trio.current_time():.0f}")

    app = App(function)
    _, done = await app.run(path)
    assert len(app.seen) == 1
    assert done.step.attempts == 2


async def test_a_step_that_queues_for_a_place_sends_home(autojump_clock, path: Path):
    """The only place at its host is another's for a minute."""

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "50" if call.idempotency_key == "other" else "1")

    app = App(function)
    limits = EngineLimits(in_flight_per_host_max=1, standstill_s=NEVER)
    async with world(path, app, limits=limits) as it:
        app.world = it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: it.post(key="other"))
            await trio.sleep(1)
            done = recorded(await it.post())
            assert (done.step.attempts, done.step.failures) == (2, 0)
            assert [name for _, name in app.seen] == ["1 let go"]


async def test_a_cancelled_run_is_not_called_again(autojump_clock, path: Path):
    """A told attempt whose run was cancelled meanwhile ends with it."""
    app = App(waits)
    async with world(path, app, limits=ALONE) as it:
        app.world = it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post)
            await trio.sleep(30)
            (run_id,) = it.engine.memory.live
            await it.act(run_id, Action.CANCEL)
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        assert it.caller.times("index") == [0]


async def test_posts_that_are_let_go_together_are_told_of_once(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each telling looks at all that is in flight, and there may be thousands of both."""
    told: list[int] = []
    monkeypatch.setattr(
        "engine.runs.home.note_suspended", lambda run, posted: told.append(len(posted))
    )

    async def function(app: App, call: Invocation) -> None:
        async def post(step_key: str) -> None:
            await app.world.post(
                STEP + "second", key=call.idempotency_key, step_key=step_key, retry=LATER
            )

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(post, str(number))

    _, done = await App(function).run(path)
    assert (done.step.state, done.step.attempts) == (StepState.COMPLETED, 2)
    assert told == [5]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Answered(504), "was answered 504"),
        (Unanswered(CallError.ATTEMPT_TIMEOUT, "nothing within 5 s"), "timed out"),
    ],
)
async def test_why_who_waits_above_goes_home(
    autojump_clock, path: Path, outcome: Outcome, told: str
):
    """Before the step below is tried again. It says what came of it: an answer is no time-out."""
    seen: list[str] = []

    class Timing(App):
        async def __call__(self, call: Invocation) -> Outcome:
            if call.url.endswith("/proxied"):
                await trio.sleep(5)
                return outcome if call.attempt == 1 else ok()
            if call.attempt > 1:
                live = await self.world.engine.memory.get(call.run_id)
                assert live is not None
                seen.append(str(live.run.root.error))
            return await super().__call__(call)

    async def function(app: App, call: Invocation) -> None:
        await app.step(call, "proxied")

    await Timing(function).run(path)
    assert seen == [f"suspended: sent home, as an attempt of proxied {told}"]
