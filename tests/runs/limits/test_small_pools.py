"""Small pools of workers, with the whole engine: functions hold a worker while they wait."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.core.rules.home import FORGOTTEN_MAX
from engine.front.api.figures import standstill_rows
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import StillOpen, Wait
from engine.wire import StandstillRow
from tests.world import World, ok, recorded, world

ONCE = RetryPolicy(count=0)


class Pools:
    """Applications with so many workers each, first come first served.

    `/flow/HOST/NAME,NAME` posts these steps to HOST one after the other; `/do/SECONDS/…` works.
    """

    def __init__(
        self,
        workers: dict[str, int],
        one_pool: bool = False,
        limits: EngineLimits | None = None,
    ) -> None:
        self.limits = limits
        self.functions = self.most = 0
        """Functions at work or waiting, and how many there were at most."""
        self.worked = 0
        """Calls of steps that work."""
        self.workers = {host: trio.CapacityLimiter(count) for host, count in workers.items()}
        if one_pool:
            self.workers = dict.fromkeys(workers, next(iter(self.workers.values())))
        self.world: World

    async def __call__(self, call: Invocation) -> Outcome:
        host, _, path = call.url.removeprefix("http://").partition("/")
        async with self.workers[host]:
            kind, *words = path.split("/")
            if kind == "forgets":
                return await self.forget(call, f"http://{host}/do/0.1")
            if kind == "leaver":
                return await self.leave(call, f"http://{host}/do/0.1")
            if kind == "do":
                self.worked += 1
                await trio.sleep(float(words[0]))
                return ok()
            self.functions += 1
            self.most = max(self.most, self.functions)
            try:
                return await self.function(call, words)
            finally:
                self.functions -= 1

    async def function(self, call: Invocation, words: list[str]) -> Outcome:
        """Post the steps, one after the other."""
        await trio.sleep(0.005)
        for number, name in enumerate(words[1].split(",")):
            url = f"http://{words[0]}/{name.replace(':', '/').replace(';', ':')}"
            if not await self.step(call, url, f"{call.step_id}/{number}"):
                return Answered(500)
            await trio.sleep(0.001)
        return ok(b'"done"')

    async def forget(self, call: Invocation, url: str) -> Outcome:
        """Post a step whose key stays, and one whose key is drawn anew at each call."""
        key, parent_token = call.idempotency_key, call.parent_token
        for step_key in ("stays", f"drawn {call.attempt}"):
            try:
                result = await self.world.post(
                    url, key=key, parent_token=parent_token, step_key=step_key, retry=ONCE
                )
            except Refused:
                return Answered(500)
            if isinstance(result, StillOpen) or result.step.state is not StepState.COMPLETED:
                return Answered(424)
        return ok()

    async def leave(self, call: Invocation, url: str) -> Outcome:
        """Suspend by itself while the step is open."""
        key = call.idempotency_key
        wait = Wait(prefer_ms=0)
        result = await self.world.post(url, key=key, parent_token=call.parent_token, wait=wait)
        return Answered(503, suspend=True) if isinstance(result, StillOpen) else ok()

    async def step(self, call: Invocation, url: str, step_key: str) -> bool:
        """Post a step; False: the function is sent home."""
        try:
            result = await self.world.post(
                url,
                key=call.idempotency_key,
                parent_token=call.parent_token,
                step_key=step_key,
                retry=ONCE,  # a time-out would end it
            )
        except Refused:
            return False
        if isinstance(result, StillOpen):
            return False
        assert result.step.state is StepState.COMPLETED
        return True

    async def run(self, path: Path, url: str, count: int) -> tuple[float, list[int], World]:
        """Submit so many workflows at once; how long they took, and how many attempts each."""
        attempts: list[int] = []
        async with world(path, self, limits=self.limits) as it:
            self.world = it

            async def submit(number: int) -> None:
                done = recorded(await it.post(url, key=f"k{number}"))
                assert (done.step.state, done.step.failures) == (StepState.COMPLETED, 0)
                attempts.append(done.step.attempts)

            began = trio.current_time()
            with trio.fail_after(3_600):
                async with trio.open_nursery() as nursery:
                    for number in range(count):
                        nursery.start_soon(submit, number)
            return trio.current_time() - began, attempts, it


INVOICE = "http://a/flow/a/do:0.2,do:0.2,do:0.2"


@pytest.mark.parametrize(("workflows", "at_once_s"), [(4, 0.65), (30, 4.9), (100, 16.0)])
async def test_four_workers(autojump_clock, path: Path, workflows: int, at_once_s: float):
    """All complete within 1.5 times what suspending at once takes, and 3 s; nothing times out."""
    took, _, _ = await Pools({"a": 4}).run(path, INVOICE, workflows)
    assert took <= 1.5 * at_once_s + 3


async def test_a_key_that_is_drawn_anew_does_not_run_its_step_without_end(
    autojump_clock, path: Path
):
    """It is sent home, called again when its step has ended, and records another: not for ever."""
    pools = Pools({"a": 1})
    async with world(path, pools) as it:
        pools.world = it
        with trio.fail_after(600):
            done = recorded(await it.post("http://a/forgets", key="k", retry=ONCE))
        assert done.step.state is StepState.FAILED
        assert done.step.error is not None
        assert "its keys seem to differ from call to call" in done.step.error
        assert pools.worked == FORGOTTEN_MAX + 1, "the one that stays, and those forgotten"


async def test_what_stands_still_is_told(autojump_clock, path: Path):
    """By the status and the log, with the reason; and that it moves again."""
    pools, lines = Pools({"a": 4}), []
    rows: list[StandstillRow] = []

    def told(now: int) -> tuple[StandstillRow, ...]:
        now_s = trio.current_time()
        return standstill_rows(pools.world.engine.home.rule.narrow_pools(now_s), now, now_s)

    def log(event: str, **values: object) -> None:
        lines.append((event, values.get("why")))
        rows.extend(told(100_000))

    async with world(path, pools, warn=log) as it:
        pools.world = it
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(lambda key: it.post(INVOICE, key=key), f"k{number}")
        why = "4 attempts at a wait for 4 steps that it has not accepted"
        assert lines == [("host-stands-still", why)]
        (row,) = rows
        assert (row.host, row.waiting, row.unaccepted, row.times, row.why) == ("a", 4, 4, 1, why)
        assert (row.since, row.until) == ("1970-01-01T00:01:40.000Z", "1970-01-01T00:01:50.000Z")
        assert (it.engine.home.rule.standing_still, it.engine.home.rule.stood_still) == (1, 1)
        await trio.sleep(10)
        assert lines[1:] == [("host-moves-again", None)]
        assert told(0) == ()


async def test_one_single_threaded_worker(autojump_clock, path: Path):
    """Five workflows of two steps."""
    took, _, _ = await Pools({"a": 1}).run(path, "http://a/flow/a/do:0.2,do:0.2", 5)
    assert took <= 1.5 * 2.1 + 3


async def test_one_pool_under_two_names(autojump_clock, path: Path):
    """Its functions under one, its steps under the other."""
    pools = Pools({"a": 4, "b": 4}, one_pool=True)
    took, _, _ = await pools.run(path, "http://a/flow/b/do:0.2,do:0.2,do:0.2", 4)
    assert took <= 1.5 * 0.65 + 3


async def test_two_pools_that_wait_for_each_other(autojump_clock, path: Path):
    """a > b > a, twenty at once, with four workers each."""
    url = "http://a/flow/b/flow:a:do;0.2"
    took, _, _ = await Pools({"a": 4, "b": 4}).run(path, url, 20)
    assert took <= 1.5 * 2.1 + 3


@pytest.mark.parametrize("workflows", [1, 200])
async def test_an_asynchronous_application(autojump_clock, path: Path, workflows: int):
    """Steps of 30 s: each workflow is sent home once at most, in all."""
    url = "http://a/flow/a/do:30,do:30,do:30,do:30"
    _, attempts, _ = await Pools({"a": 10_000}).run(path, url, workflows)
    assert max(attempts) <= 2


async def test_a_host_without_waits_is_left_alone(autojump_clock, path: Path):
    """Slow calls alone are no standstill, whatever they take."""
    _, attempts, it = await Pools({"a": 1}).run(path, "http://a/do/19", 3)
    assert attempts == [1, 1, 1]
    assert it.engine.home.sent == 0


@pytest.mark.parametrize("limit", [1, 3])
async def test_workflows_in_flight_are_limited(autojump_clock, path: Path, limit: int):
    """Counted also while they wait: with fewer than there are workers, no worker is missed."""
    limits = EngineLimits(workflows_in_flight_per_host_max=limit, standstill_s=1e6)
    pools = Pools({"a": 4}, limits=limits)
    _, attempts, it = await pools.run(path, INVOICE, 12)
    assert pools.most == limit
    assert attempts == [1] * 12, "nobody is sent home"
    assert it.engine.places.workflows is not None
    assert (it.engine.places.workflows.in_flight, it.engine.places.queued) == (0, 0)


async def test_without_the_limit_all_begin(autojump_clock, path: Path):
    """It is off by default."""
    pools = Pools({"a": 100})
    await pools.run(path, INVOICE, 12)
    assert pools.most == 12


async def test_nested_workflows_do_not_lock_each_other_out(autojump_clock, path: Path):
    """One place: who waits for a nested one that queues for it, or for one above it, goes home."""
    limits = EngineLimits(workflows_in_flight_per_host_max=1, standstill_s=1e6)
    pools = Pools({"a": 100}, limits=limits)
    took, _, it = await pools.run(path, "http://a/flow/a/leaver:x,do:0.1", 3)
    assert took < 5, "at once"
    assert it.engine.home.sent > 0
    assert it.engine.places.workflows is not None
    assert it.engine.places.workflows.in_flight == 0


@pytest.mark.parametrize("outcome", [Unanswered(CallError.CONNECTION_LOST, "cut"), Answered(504)])
async def test_a_function_whose_connection_was_cut_need_not_wait(
    autojump_clock, path: Path, outcome: Outcome
):
    """A proxy cuts after a second; the function behind it would hold its worker for nothing."""
    let_go: list[float] = []

    async def function(call: Invocation) -> None:
        result = await it.post("http://b/do", parent_token=call.parent_token)
        assert isinstance(result, StillOpen)
        let_go.append(trio.current_time())
        with pytest.raises(Refused) as refused:
            await it.post("http://b/do", parent_token=call.parent_token)
        assert refused.value.problem is Problem.SUSPENDED

    async def app(call: Invocation) -> Outcome:
        if call.url == "http://b/do":
            await trio.sleep(30)
            return ok()
        if call.attempt == 1:
            functions.start_soon(function, call)
            await trio.sleep(1)
            return outcome
        recorded(await it.post("http://b/do", parent_token=call.parent_token))
        return ok()

    limits = EngineLimits(standstill_s=1e6)
    async with world(path, app, limits=limits) as it, trio.open_nursery() as functions:
        done = recorded(await it.post())
        assert (done.step.failures, len(it.caller.times("do"))) == (0, 1)
        assert let_go == [pytest.approx(1.1, abs=0.01)]  # a hang-up is waited for so long
