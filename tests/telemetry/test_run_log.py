"""What the log says of runs, with the real engine on a mock clock: why, where, and when."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.rules.action import Action
from engine.front.access.who import EVERYBODY
from engine.front.api.submit import answer_submission
from engine.front.server.reply import Reply
from engine.ports.caller import Invocation
from engine.process.budget import Parcel
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import StillOpen, Wait
from engine.telemetry.run_log import ERROR_CHARS_MAX, RunLog, Watchers
from engine.telemetry.throttle import LEFT_OUT
from tests.world import Handler, World, front_of, ok, recorded, taking, world

STEP = "http://app:9000/workflows/w/steps/"
ONCE = RetryPolicy(count=0)
TWICE = RetryPolicy(count=1, back_off_ms=10, jitter=0)
JSON = "application/json"
DECLINED = Answered(402, b'{"error": "insufficient funds"}', JSON)


class Heard:
    """What was said, in order: (level, event, values)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.times: list[float] = []
        self.log = RunLog(self._hear("warning"), self._hear("info"))

    def _hear(self, level: str) -> Callable[..., None]:
        def say(event: str, **values: Any) -> None:
            self.lines.append((level, event, values))
            self.times.append(trio.current_time())

        return say

    def of(self, event: str) -> list[dict[str, Any]]:
        return [values for _, name, values in self.lines if name == event]

    def count(self, event: str, level: str) -> int:
        """How many things the lines of this event tell of."""
        return sum(
            values.get("count", 1 + values.get("left_out", 0))
            for said_at, name, values in self.lines
            if (said_at, name) == (level, event)
        )

    def busiest_second(self) -> int:
        """How many lines there were within a second, wherever that began."""
        return max(sum(at <= other < at + 1 - 1e-6 for other in self.times) for at in self.times)

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(level, event) for level, event, _ in self.lines]


@asynccontextmanager
async def heard_world(
    path: Path, app: Handler, **options: Any
) -> AsyncIterator[tuple[World, Heard]]:
    """An engine that tells a log; left, all has been said."""
    heard = Heard()
    async with world(path, app, watch=Watchers(log=heard.log), **options) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heard.log.run)
            yield it, heard
            nursery.cancel_scope.cancel()


async def test_a_run_that_fails_and_each_attempt(autojump_clock, path: Path) -> None:
    """All that a person needs to go on, with the reason that the endpoint gave."""

    async def app(call: Invocation) -> Outcome:
        return DECLINED

    async with heard_world(path, app) as (it, heard):
        step = recorded(await it.post(workflow="checkout", key="k 1", retry=TWICE)).step
        await trio.sleep(2)
    where = {
        "run_id": step.id, "client": "shop", "workflow": "checkout", "key": "k 1", "step": "index",
        "step_id": step.id,
    }  # fmt: skip
    what = {
        "http_status": 402, "error": "http-status: answered 402", "excerpt": "insufficient funds"
    }  # fmt: skip
    assert heard.lines == [
        ("info", "attempt-failed",
         {**where, "attempt": 1, **what, "state": "backing-off", "delay_ms": 10}),
        ("warning", "run-failed", {**where, "attempt": 2, **what}),
        ("info", "attempt-failed", {**where, "attempt": 2, **what, "state": "failed"}),
    ]  # fmt: skip
    assert [*heard.lines[0][2]][:6] == [*where]  # people read them in this order


async def test_the_runs_line_says_the_steps_reason(autojump_clock, path: Path) -> None:
    """Not the 424 that the workflow answers because of it, nor the 500 for which it is paused."""

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await it.post(
                STEP + "charge", workflow=call.workflow, key=call.idempotency_key,
                step_key="card 7", retry=ONCE, parent_token=call.parent_token,
            )  # fmt: skip
            return Answered(424 if call.workflow == "lets-out" else 500)
        return DECLINED

    async with heard_world(path, app) as (it, heard):
        recorded(await it.post(workflow="lets-out"))
        await it.post(key="k2", wait=Wait(prefer_ms=0))
        while not heard.of("run-paused"):
            await trio.sleep(60)
    (failed,), (paused,) = heard.of("run-failed"), heard.of("run-paused")
    for line in (failed, paused):
        assert (line["step"], line["attempt"]) == ("charge (card 7)", 1)
        assert (line["http_status"], line["excerpt"]) == (402, "insufficient funds")
        assert line["step_id"] != line["run_id"]
    assert paused["pause_reason"] == "unhandled-failure"
    unhandled = heard.of("failure-not-handled")[0]
    assert ("warning", "failure-not-handled") in heard.events
    assert (unhandled["step"], unhandled["http_status"], unhandled["attempt"]) == ("index", 500, 1)
    assert "(answered 402: insufficient funds)" in unhandled["error"]


async def test_a_step_that_pauses_under_a_run_that_does_not(autojump_clock, path: Path) -> None:
    """Its run goes on, as its function waits; a person is needed all the same."""
    the: list[World] = []
    paused = RetryPolicy(count=0, on_exhausted=OnExhausted.PAUSE)

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await the[0].post(STEP + "charge", retry=paused, parent_token=call.parent_token)
            return ok()
        return Unanswered(CallError.CONNECTION_REFUSED, "no")

    async with heard_world(path, app) as (it, heard):
        the.append(it)
        assert isinstance(await it.post(wait=Wait(prefer_ms=1_000)), StillOpen)
    assert ("warning", "step-paused") in heard.events
    (line,) = heard.of("step-paused")
    assert (line["step"], line["pause_reason"]) == ("charge", "exhausted")
    assert line["error"] == "connection-refused: no"
    assert heard.of("run-paused") == []


async def test_an_operators_pause(autojump_clock, path: Path) -> None:
    """Is said of the run, and not with an error of before."""

    async def app(call: Invocation) -> Outcome:
        return DECLINED

    async with heard_world(path, app) as (it, heard):
        done = await it.post(wait=Wait(prefer_ms=5_000))
        assert isinstance(done, StillOpen)
        await it.act(done.run_id, Action.PAUSE)
    (line,) = heard.of("run-paused")
    assert (line["pause_reason"], line["run_id"]) == ("operator", done.run_id)
    assert line["actor"] == "ada"
    assert not {"error", "excerpt", "attempt"} & {*line}
    assert heard.of("step-paused") == []


async def test_nothing_is_said_before_it_is_durable(autojump_clock, path: Path) -> None:
    """A run that a crash would bring back has not failed."""

    async def app(call: Invocation) -> Outcome:
        return DECLINED

    async with heard_world(path, app) as (it, heard):
        append = it.store.writer._sink.append
        gate = trio.Event()

        async def slow(commit: Any) -> Exception | None:
            if not heard.lines and it.caller.calls:
                await gate.wait()
            return await append(commit)

        it.store.writer._sink.append = slow  # type: ignore[method-assign]
        await it.post(wait=Wait(prefer_ms=0))
        await trio.sleep(0.5)
        assert len(it.caller.calls) == 1
        assert heard.lines == []
        gate.set()
        await trio.sleep(0.5)
        assert heard.events == [("info", "attempt-failed")]


async def test_who_is_sent_home_and_why(autojump_clock, path: Path) -> None:
    """Suspensions for standstill are told of, with the host."""
    hung = trio.Event()

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            await it.post(STEP + "charge", parent_token=call.parent_token)
            return Answered(500)
        await hung.wait()
        return ok()

    async with heard_world(path, app) as (it, heard):
        assert isinstance(await it.post(wait=Wait(prefer_ms=10_000)), StillOpen)
    (line,) = heard.of("attempt-sent-home")
    assert ("info", "attempt-sent-home") in heard.events
    assert (line["step"], line["attempt"], line["workflow"]) == ("index", 1, "w")
    assert line["why"] == "as those who wait at app:9000 may have all its workers"


@pytest.mark.parametrize("runs", [20, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("alike", [True, False])
async def test_ten_thousand_attempts_that_fail_in_ten_seconds(
    autojump_clock, path: Path, runs: int, alike: bool
) -> None:
    """Ten each, a second apart: a line a second if they are alike, and else under a hundred; all
    are counted."""

    async def app(call: Invocation) -> Outcome:
        return DECLINED if alike else Answered(402, b"card of %s" % call.run_id.encode())

    attempts = 10
    policy = RetryPolicy(count=attempts - 1, back_off_ms=1_000, factor=1, jitter=0)
    limits = EngineLimits(in_flight_max=4_096, in_flight_per_host_max=4_096)
    async with heard_world(path, app, limits=limits) as (it, heard):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(runs):
                nursery.start_soon(lambda key: it.post(key=key, retry=policy), f"k{number}")
        assert trio.current_time() - began < 15
    attempts_said = sum(heard.count(event, "info") for event in ("attempt-failed", LEFT_OUT))
    runs_said = sum(heard.count(event, "warning") for event in ("run-failed", LEFT_OUT))
    assert (attempts_said, runs_said) == (runs * attempts, runs)
    if alike:
        assert len(heard.lines) <= 25
    assert heard.busiest_second() < 100


async def test_secrets_and_long_errors_are_cut(autojump_clock, path: Path) -> None:
    """The error of a redirect is its target, whatever stands in that."""
    where = "https://ada:hunter2@id.example/login?token=hunter2&" + "x" * ERROR_CHARS_MAX

    async def app(call: Invocation) -> Outcome:
        return Answered(302, location=where if call.attempt == 1 else where[:60])

    async with heard_world(path, app) as (it, heard):
        await it.post(retry=TWICE)
        await trio.sleep(2)
    assert "hunter2" not in str(heard.lines)
    assert all(len(line["error"]) <= ERROR_CHARS_MAX + 2 for line in heard.of("attempt-failed"))


async def test_refusals_of_overload(autojump_clock, path: Path) -> None:
    """Which limit, and whose post it was; alike ones once a second."""

    async def post(it: World, key: str) -> Reply:
        body = {"workflowName": "w", "stepInvokeUrl": STEP + "s", "idempotencyKey": key}
        headers = ((b"prefer", b"respond-async"),)
        data = Parcel(msgspec.json.encode({**body, "payload": None}))
        return await answer_submission(front_of(it.engine), EVERYBODY, "shop", headers, data)

    limits = EngineLimits(runs_in_memory_max=1)
    async with heard_world(path, taking(math.inf), limits=limits) as (it, heard):
        assert (await post(it, "k0")).status == 202
        for number in range(1, 4):
            assert (await post(it, f"k{number}")).status == 503
        await trio.sleep(2)
    who = {"limit": "runs_in_memory_max", "client": "shop", "workflow": "w"}
    assert heard.lines == [
        ("warning", "overloaded", {**who, "key": "k1", "retry_after_s": 1}),
        ("warning", "overloaded", {**who, "key": "k3", "retry_after_s": 1, "left_out": 1}),
    ]


def test_a_log_of_nobody_says_nothing() -> None:
    """What tests and simulations have."""
    RunLog().overloaded("connections_max")
