"""The engine on a mock clock: whole workflows, the real store, endpoints as functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait, Why
from tests.store.support import the_run
from tests.world import World, ok, recorded, still_open, taking, world

STEP = "http://app:9000/workflows/w/steps/"
NO_JITTER = RetryPolicy(jitter=0)


async def test_seeds_sequence_at_its_own_times(autojump_clock, path: Path) -> None:
    """The seed's diagram with the seed's numbers: 404, 404, 404, 200 after 1, 2 and 4 seconds."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await it.post(STEP + "createUser", retry=NO_JITTER)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: it.post(STEP + "sendEmail", retry=NO_JITTER))
                nursery.start_soon(lambda: it.post(STEP + "sendAnalytics", retry=NO_JITTER))
            return ok(b'{"done":true}')
        if call.url.endswith("sendAnalytics") and call.attempt < 4:
            return Answered(404)
        return ok()

    async with world(path, app) as it:
        answer = recorded(await it.post())

        assert answer.step.state is StepState.COMPLETED
        assert answer.body is not None
        assert answer.body.data == b'{"done":true}'
        assert it.caller.times("sendAnalytics") == pytest.approx([0, 1, 3, 7], abs=0.01)
        assert len(it.caller.times("createUser")) == len(it.caller.times("sendEmail")) == 1

        again = recorded(await it.post())

        assert again.replayed
        assert len(it.caller.calls) == 7


@pytest.mark.parametrize(
    ("policy", "asked_ms", "times"),
    [
        (RetryPolicy(back_off_ms=0, jitter=0), None, [0, 0, 0]),
        (RetryPolicy(back_off_ms=60, jitter=0), 1_000, [0, 1, 2]),
        (RetryPolicy(back_off_ms=60, jitter=0), 0, [0, 0.06, 0.18]),
    ],
)
async def test_retries_are_on_time(
    autojump_clock, path: Path, policy: RetryPolicy, asked_ms: int | None, times: list[float]
) -> None:
    """A back-off of 0 is none at all; `Retry-After` makes one longer, and never shorter."""

    async def app(call: Invocation) -> Outcome:
        return ok() if call.attempt == 3 else Answered(503, retry_after_ms=asked_ms)

    async with world(path, app) as it:
        assert recorded(await it.post(retry=policy)).step.attempts == 3
        assert it.caller.times("index") == pytest.approx(times, abs=0.005)


async def test_identical_posts_at_once_are_one_run(autojump_clock, path: Path) -> None:
    """200 identical submissions: one call, one answer for all."""

    async def app(call: Invocation) -> Outcome:
        await trio.sleep(1)
        return ok(b'"once"')

    async with world(path, app) as it:
        answers = []

        async def submit() -> None:
            answers.append(recorded(await it.post()))

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(submit)

        assert len(it.caller.calls) == 1
        assert {answer.step.id for answer in answers} == {answers[0].step.id}
        assert len(answers) == 200


async def test_other_payload_is_refused(autojump_clock, path: Path) -> None:
    """Same key, other payload: 422 with both fingerprints; another spelling of it is the same."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app) as it:
        await it.post(payload=b'{"a": 1}')
        await it.post(payload=b'{"a":1.0}')
        with pytest.raises(Refused) as refused:
            await it.post(payload=b'{"a": 2}')

        assert refused.value.problem is Problem.KEY_REUSED
        assert len(it.caller.calls) == 1


async def test_crash_resumes(autojump_clock, path: Path) -> None:
    """After a crash the run goes on; a step that was recorded is not called again."""
    the: list[World] = []
    done = trio.Event()

    async def app(call: Invocation) -> Outcome:
        it = the[-1]
        if call.url.endswith("/index"):
            await it.post(STEP + "one", retry=NO_JITTER)
            await it.post(STEP + "two", retry=NO_JITTER)
            done.set()
            return ok(b'"finished"')
        if call.url.endswith("two") and len(the) == 1:
            await trio.sleep_forever()
        return ok()

    async with world(path, app) as it:
        the.append(it)
        still_open(await it.post(wait=Wait(prefer_ms=0)))
        await trio.sleep(0.5)
        assert len(it.caller.times("two")) == 1
        first = it.caller
    async with world(path, app) as it:
        the.append(it)
        answer = recorded(await it.post())

        assert answer.step.state is StepState.COMPLETED
        assert len(first.times("one")) == 1
        assert not it.caller.times("one")
        assert len(it.caller.times("two")) == 1


async def test_waits_end_as_asked(autojump_clock, path: Path) -> None:
    """timeout, Prefer: wait and respond-async leave the work going on."""

    async with world(path, taking(10)) as it:
        assert still_open(await it.post(wait=Wait(prefer_ms=0))).why is Why.ASYNC
        assert still_open(await it.post(wait=Wait(timeout_ms=1000))).why is Why.TIMEOUT
        assert still_open(await it.post(wait=Wait(prefer_ms=2000))).why is Why.WAIT
        assert trio.current_time() == pytest.approx(3, abs=0.01)
        assert recorded(await it.post()).step.attempts == 1


async def test_exhausted_root_pauses_and_step_fails(autojump_clock, path: Path) -> None:
    """A step out of retries fails; a root without its own policy pauses."""

    async def app(call: Invocation) -> Outcome:
        return Answered(500)

    async with world(path, app) as it:
        failed = recorded(await it.post(retry=RetryPolicy(count=2, back_off_ms=100, jitter=0)))
        assert failed.step.state is StepState.FAILED
        assert failed.step.attempts == 3

        paused = still_open(await it.post(key="other", wait=Wait(timeout_ms=10_000_000)))
        run = the_run((await it.store.load_runs([paused.run_id], 0))[0])
        assert run is not None
        assert run.state is StepState.PAUSED


async def test_no_lock_out(autojump_clock, path: Path) -> None:
    """Four places, 50 workflows of three steps: all complete, and never more than four at once."""
    open_leaves = 0
    most = 0

    async def app(call: Invocation) -> Outcome:
        nonlocal open_leaves, most
        if call.url.endswith("/index"):
            for name in ("a", "b", "c"):
                await it.post(STEP + name, key=call.idempotency_key)
            return ok()
        open_leaves += 1
        most = max(most, open_leaves)
        await trio.sleep(0.1)
        open_leaves -= 1
        return ok()

    limits = EngineLimits(in_flight_max=4, in_flight_per_host_max=4)
    async with world(path, app, limits=limits) as it:

        async def submit(key: str) -> None:
            assert recorded(await it.post(key=key)).step.state is StepState.COMPLETED

        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(submit, f"k{number}")
        assert most <= 4
        assert it.engine.places.at_hosts.in_flight == 0


async def test_attempt_timeout_stands_still_while_a_post_waits(autojump_clock, path: Path) -> None:
    """A workflow waits for a child longer than its own attemptTimeout; alone it is cut."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await it.post(STEP + "slow", key=call.idempotency_key)
            await trio.sleep(0.5)
            return ok()
        await trio.sleep(5)
        return ok()

    async with world(path, app, limits=EngineLimits(standstill_s=60)) as it:
        assert recorded(await it.post(attempt_timeout_ms=1000)).step.attempts == 1

        policy, began = RetryPolicy(count=0), trio.current_time()
        cut = recorded(await it.post(STEP + "slow", key="x", retry=policy, attempt_timeout_ms=1000))
        assert trio.current_time() - began == pytest.approx(1, abs=0.01)
        assert cut.step.state is StepState.FAILED
        assert (cut.step.error or "").startswith(CallError.ATTEMPT_TIMEOUT)


async def test_runs_that_wait_leave_memory_and_come_back(autojump_clock, path: Path) -> None:
    """A run in a long back-off is not in memory; it is called again when it is due."""

    async def app(call: Invocation) -> Outcome:
        return Answered(503) if call.attempt == 1 else ok()

    async with world(path, app) as it:
        policy = RetryPolicy(back_off_ms=60_000, jitter=0)
        await it.post(retry=policy, wait=Wait(prefer_ms=0))
        await trio.sleep(10)
        assert not it.engine.memory.live
        await trio.sleep(55)
        assert it.caller.times("index") == pytest.approx([0, 60], abs=0.1)
        assert recorded(await it.post()).step.attempts == 2


async def test_connection_lost_with_open_child_costs_no_retry(autojump_clock, path: Path) -> None:
    """A proxy cuts every request after 1 s while a step backs off 5 s: no retry is used up."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            with trio.move_on_after(1):
                await it.post(STEP + "slow", retry=RetryPolicy(back_off_ms=5000, jitter=0))
                return ok()
            return Unanswered(CallError.CONNECTION_LOST, "cut")
        return Answered(500) if call.attempt == 1 else ok()

    async with world(path, app) as it:
        policy = RetryPolicy(count=0, back_off_ms=100, jitter=0)
        answer = recorded(await it.post(retry=policy))

        assert answer.step.state is StepState.COMPLETED
        assert it.caller.times("slow") == pytest.approx([0, 5], abs=0.01)
        assert len(it.caller.times("index")) <= 5


async def test_child_ends_while_the_lost_attempt_is_judged(autojump_clock, path: Path) -> None:
    """The connection is lost, its function still holds a post: the child's end is no failure."""

    async def post_slow() -> None:
        await it.post(STEP + "slow")

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/slow"):
            await trio.sleep(1)
            return ok()
        if call.attempt == 1:
            functions.start_soon(post_slow)
            await trio.sleep(0.95)  # the hang-up is waited for until 1.05
            return Unanswered(CallError.CONNECTION_LOST, "cut")
        await post_slow()
        return ok()

    async with world(path, app) as it, trio.open_nursery() as functions:
        answer = recorded(await it.post(retry=RetryPolicy(count=0, back_off_ms=5000, jitter=0)))

        assert (answer.step.state, answer.step.failures) == (StepState.COMPLETED, 0)
        assert it.caller.times("index") == pytest.approx([0, 1], abs=0.01)
