"""Alerts of an engine on fakes: what is told, as what, and what is told of alerts themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from engine.alerts.alerts import RETRY, Alerts
from engine.alerts.rules import Rule
from engine.alerts.windows import WINDOW_MS
from engine.core.access.client import ALERTS_CLIENT
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import DAY_MS, RetryPolicy
from engine.core.rules import attempt
from engine.core.rules.action import Action
from engine.core.rules.hold import EVERYTHING, HoldKind
from engine.core.rules.repair import Given
from engine.main import _errors
from engine.ports.caller import Invocation
from engine.ports.registry import KIND_ALERTS
from engine.runs.limits.bounds import EngineLimits
from tests.alerts.receiver import Kept, failing, settings, telling
from tests.world import World, ok, recorded, world

NOT_AGAIN = RetryPolicy(count=0)
ADA = Actor("ada")


async def post_failing(it: World, key: str = "k", **options: Any) -> str:
    """Post a run that fails at its first attempt; its id."""
    found = recorded(await it.post(key=key, retry=NOT_AGAIN, **options))
    assert found.step.state is StepState.FAILED
    return found.step.run_id


async def test_a_failed_run_is_told_at_once_then_that_it_is_over(
    autojump_clock: object, path: Path
) -> None:
    """As a CloudEvent; the second alert names the first."""
    async with telling(path, failing) as (it, _, said):
        await trio.sleep(93)
        run_id = await post_failing(it, payload=b'"canary-2"')
        await trio.sleep(1)
        (event,) = said.events
        assert said.at[0] == 93
        data = event["data"]
        assert {name: value for name, value in event.items() if name != "data"} == {
            "specversion": "1.0",
            "id": data["incident"],
            "source": "urn:atomic:F1",
            "type": "dev.atomic.run.failed",
            "time": "2023-11-14T22:14:53.000Z",
            "datacontenttype": "application/json",
            "subject": "shop/w",
        }
        assert {name: data[name] for name in ("telling", "rule", "count", "more", "runId")} == {
            "telling": "first", "rule": "failed", "count": 1, "more": 1, "runId": run_id,
        }  # fmt: skip
        assert data["newCause"] is True
        assert data["summary"] == (
            "A run of w (client shop) failed at index: 500, no pay, password=***."
        )
        await trio.sleep(WINDOW_MS / 1000 + 20)
        assert said.lines == ["dev.atomic.run.failed first", "dev.atomic.run.failed over"]
        assert said.data()["incident"] == data["incident"]
        assert "No run of w (client shop) failed for 15 minutes" in said.data()["summary"]
        assert "canary" not in json.dumps(said.events)


async def test_what_the_engine_paused_is_told_and_what_an_operator_paused_is_not(
    autojump_clock: object, path: Path
) -> None:
    """A root whose retries are used up pauses."""
    async with telling(path, failing) as (it, _, said):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.post)
            await trio.sleep(900)
            assert said.lines[0] == "dev.atomic.run.paused first"
            assert said.data(0)["pauseReason"] == "exhausted"
            nursery.cancel_scope.cancel()
    said_of_operator: list[str] = []

    async def slow(call: Invocation) -> Outcome:
        await trio.sleep(1)
        return Answered(500)

    async with telling(path, slow) as (it, _, said):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(it.post, key="other"))
            await trio.sleep(0.5)
            run_id = next(id for id, live in it.engine.memory.live.items() if live.requests)
            await it.act(run_id, Action.PAUSE)
            await trio.sleep(60)
            said_of_operator += said.lines
            nursery.cancel_scope.cancel()
    assert said_of_operator == []


@pytest.mark.parametrize(
    ("action", "given"),
    [
        (Action.RERUN, Given(0, b"sha", data=b'{"type":"forged"}')),
        (Action.RERUN, None),
        (Action.SET_RESULT, Given(200, b"sha", data=b"{}")),
        (Action.SKIP, Given(204, b"sha", data=b"null")),
    ],
)
async def test_nobody_else_says_what_an_alert_is(
    autojump_clock: object, path: Path, action: Action, given: Given | None
) -> None:
    """It is signed as the engine's own word; `retry` and `cancel` are an operator's."""
    async with telling(path, failing) as (it, _, said):
        await post_failing(it)
        await trio.sleep(5)
        (event,) = said.events
        with pytest.raises(Refused, match="an alert of the engine's") as refused:
            await it.act(event["id"], action, step_id=event["id"], given=given, reason="so")
        assert refused.value.problem is Problem.NOT_POSSIBLE
        await trio.sleep(60)
        assert len(said.events) == 1


@pytest.mark.slow
async def test_ten_thousand_runs_that_fail_at_once_are_twenty_alerts_at_most(
    autojump_clock: object, path: Path
) -> None:
    """Nine of ten for one cause, the others each for one of its own. None is lost: they are
    counted, and told when there is room."""

    async def refusing(call: Invocation) -> Outcome:
        return Answered(400)  # as 500 it would be the host that is called less and less

    async with telling(path, refusing, asked=settings(Rule.FAILED)) as (it, alerts, said):
        began = trio.current_time()
        for first in range(0, 10_000, 500):
            async with trio.open_nursery() as nursery:
                for n in range(first, first + 500):
                    workflow = "w" if n % 10 else f"w{n}"
                    nursery.start_soon(partial(post_failing, it, f"{n}", workflow=workflow))
        await trio.sleep(30)
        assert trio.current_time() < began + 600
        assert 10 <= len(said.events) <= 20
        assert alerts.held_back > 900
        assert any("further ones wait until" in it["data"]["summary"] for it in said.events)
        await trio.sleep(3_600)
        assert 20 < len(said.events) <= 40
        assert max(it["data"]["count"] for it in said.events) == 9_000


async def test_an_alert_is_tried_again_and_the_same(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under one id, with back-off, for a day at most (here a quarter of an hour); then it has
    failed, which alerts nobody."""
    assert RETRY.max_elapsed_ms == DAY_MS
    monkeypatch.setattr("engine.alerts.alerts.RETRY", replace(RETRY, max_elapsed_ms=WINDOW_MS))
    async with telling(path, failing) as (it, alerts, said):
        said.answer = lambda: Answered(503)
        await post_failing(it)
        await trio.sleep(2_400)
        calls = [call for _, call in it.caller.calls if call.client == ALERTS_CLIENT]
        first = [call for call in calls if call.run_id == calls[0].run_id]
        assert len(first) > 5
        assert len({call.payload for call in first}) == 1
        assert {call.step_own_key for call in first} == {json.loads(first[0].payload)["id"]}
        assert alerts.failed == 2  # the first, and that it is over
        assert alerts.last_failed is not None
        assert alerts.sent_in_hour <= 2
        told = {json.loads(call.payload)["data"]["rule"] for call in calls}
        assert told == {"failed"}
        assert said.events == []


async def test_alerts_survive_a_restart(autojump_clock: object, path: Path) -> None:
    """One that was not taken is sent by the next life; what was told is not told again."""
    kept = Kept()
    async with telling(path, failing, kept=kept) as (it, _, said):
        said.answer = lambda: Unanswered(CallError.CONNECTION_REFUSED, "away")
        await post_failing(it)
        await trio.sleep(2)
        assert {entry.kind for entry in kept.entries} == {KIND_ALERTS}
    async with telling(path, failing, kept=kept) as (it, _, said):
        await post_failing(it, "k2")
        await trio.sleep(60)
        assert said.lines == ["dev.atomic.run.failed first"]
        await trio.sleep(WINDOW_MS / 1000)
        assert said.lines[1:] == ["dev.atomic.run.failed again"]
        assert said.data()["count"] == 2


async def test_what_was_not_told_yet_survives_too(autojump_clock: object, path: Path) -> None:
    """It is kept once a minute."""
    kept = Kept()
    async with telling(path, failing, kept=kept) as (it, _, said):
        for key in ("k1", "k2", "k3"):
            await post_failing(it, key)
            await trio.sleep(2)
        assert len(said.events) == 1
        await trio.sleep(70)
    async with telling(path, failing, kept=kept) as (it, _, said):
        await trio.sleep(WINDOW_MS / 1000)
        assert said.lines == ["dev.atomic.run.failed again"]
        assert (said.data()["count"], said.data()["more"]) == (3, 2)


async def test_a_host_that_is_down_and_answers_again(autojump_clock: object, path: Path) -> None:
    """By its breaker; nothing is told of the receiver's own host."""
    is_down = True

    async def app(call: Invocation) -> Outcome:
        return Unanswered(CallError.CONNECTION_REFUSED, "refused") if is_down else ok()

    async with telling(path, app, asked=settings(Rule.HOST_DOWN)) as (it, _, said):
        async with trio.open_nursery() as nursery:
            for n in range(30):
                nursery.start_soon(it.post, "http://app:9000/w", f"k{n}")
            await trio.sleep(100)
            assert said.lines == ["dev.atomic.host.down first"]
            assert said.events[0]["subject"] == "app:9000"
            is_down = False
            await trio.sleep(200)
        assert said.lines == ["dev.atomic.host.down first", "dev.atomic.host.down over"]
        assert said.data()["summary"] == "app:9000 answers again."


async def test_a_hold_is_told_after_an_hour_though_it_holds_everything(
    autojump_clock: object, path: Path
) -> None:
    """An alert that was on its way when all was held waits like the rest: a copy of the record
    sends nothing that is old."""
    async with telling(path, failing, asked=settings(Rule.HOLD, Rule.FAILED)) as (it, _, said):
        said.answer = lambda: Answered(503)
        await post_failing(it)
        await trio.sleep(3)
        said.answer = ok
        await it.engine.hold(HoldKind.ALL, EVERYTHING, "look first, token=canary-3", ADA)
        await trio.sleep(3_590)
        assert said.lines == ["dev.atomic.run.failed over"]
        await trio.sleep(30)
        assert said.lines[1:] == ["dev.atomic.hold.old first"]
        assert said.data()["summary"] == "Everything is held for longer than an hour."
        assert said.data()["reason"] == "look first, token=***"
        await it.engine.release(HoldKind.ALL, EVERYTHING, None, ADA)
        await trio.sleep(1_000)
        assert "dev.atomic.hold.old over" in said.lines
        assert "dev.atomic.run.failed first" in said.lines


async def test_a_cause_is_new_once(autojump_clock: object, path: Path) -> None:
    """Without the rules that tell of each: until no run needs a person for it, and then anew."""
    async with telling(path, failing, asked=settings(Rule.NEW_CAUSE)) as (it, _, said):
        await trio.sleep(10)
        runs = [await post_failing(it, f"k{n}") for n in range(3)]
        await trio.sleep(1_000)
        assert said.lines == ["dev.atomic.cause.new first"]
        for run_id in runs:
            await it.act(run_id, Action.DISMISS)
        await trio.sleep(130)
        assert said.lines[1:] == ["dev.atomic.cause.new over"]
        await trio.sleep(1_000)
        await post_failing(it, "again")
        await trio.sleep(2)
        assert said.lines[2:] == ["dev.atomic.cause.new first"]


async def test_causes_from_before_the_start_are_not_new(autojump_clock: object, path: Path) -> None:
    """They are in the record."""
    async with world(path, failing) as it:
        await post_failing(it)
        await trio.sleep(2)
    async with telling(path, failing, asked=settings(Rule.NEW_CAUSE)) as (it, _, said):
        await trio.sleep(10)
        await post_failing(it, "k2")
        await trio.sleep(100)
        assert said.events == []


async def test_room_that_is_used_up_is_told(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `store_bytes_max` from 80 % on, also where no run is opened any more; and of the disk."""
    limits, free = EngineLimits(store_bytes_max=1_000_000), [900 << 20, 100 << 30]
    monkeypatch.setattr("engine.alerts.seen.room_of", lambda directory: tuple(free))
    async with telling(path, failing, asked=settings(Rule.DISK), limits=limits) as (it, _, said):

        async def used() -> int:
            return 2_000_000

        monkeypatch.setattr(it.store, "bytes_used", used)
        await trio.sleep(30)
        told = {it["data"]["cause"]: it["data"]["summary"] for it in said.events}
        assert told == {
            "disk": "The disk of the database has 900 MiB left of 102,400.",
            "store_bytes_max": "2,000,000 bytes of store_bytes_max (1,000,000) are used.",
        }
        free[0] = 50 << 30
        await trio.sleep(60)
        assert said.lines[2:] == ["dev.atomic.disk.low over"]


async def test_a_test_comes_and_counts(autojump_clock: object, path: Path) -> None:
    """Of the twenty; then it is refused, with when the next may be."""
    async with telling(path, failing) as (_, alerts, said):
        await trio.sleep(1)
        for _ in range(20):
            await alerts.test(ADA)
        await trio.sleep(1)
        assert said.events[0]["type"] == "dev.atomic.test"
        assert len(said.events) == 20
        with pytest.raises(Refused, match="20 alerts were sent within an hour") as refused:
            await alerts.test(ADA)
        assert refused.value.problem is Problem.RATE_LIMITED
        await trio.sleep(3_600)
        await alerts.test(ADA)


async def test_a_test_that_cannot_be_recorded_takes_no_room(
    autojump_clock: object, path: Path
) -> None:
    """Nothing was sent, so it counts for nothing."""
    async with telling(path, failing) as (it, alerts, _):
        await trio.sleep(1)
        it.engine.shared.draining = True
        with pytest.raises(Refused) as refused:
            await alerts.test(ADA)
        assert refused.value.problem is Problem.DRAINING
        assert (alerts.sent_in_hour, alerts.sent.total()) == (0, 0)


async def test_a_run_that_a_bug_stopped_is_told(autojump_clock: object, path: Path) -> None:
    """Of it nothing but the error is known."""
    async with telling(path, failing) as (_, alerts, said):
        alerts.run_stopped("R1", "shop", "KeyError: 'x'")
        await trio.sleep(1)
        assert said.lines == ["dev.atomic.run.paused first"]
        assert said.data()["summary"] == ("A bug of the engine's has stopped a run: KeyError: 'x'.")
        await trio.sleep(1_000)
        assert said.lines[1:] == ["dev.atomic.run.paused over"]


async def test_an_alert_that_a_bug_stopped_tells_nobody(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has failed, and the status says so. Another one would be stopped by the same bug, and so
    on every quarter of an hour."""
    async with telling(path, failing, strict=False) as (it, alerts, said):
        log: list[str] = []
        monkeypatch.setattr(it.engine.stopped, "_log", hears_errors(alerts, log))
        for post in (it.post(key="k"), alerts.test(ADA)):
            with monkeypatch.context() as bug:
                bug.setattr(attempt, "_verdict", None)
                with suppress(Refused):
                    await post
                await trio.sleep(1)
        assert log == ["run-stopped"] * 3, "the run, its alert, and the test"
        assert alerts.failed == 2
        assert alerts.last_failed is not None
        assert "TypeError" in alerts.last_failed.why
        await trio.sleep(4_000)
        assert said.lines == [
            "dev.atomic.run.paused first", "dev.atomic.test None", "dev.atomic.run.paused over"
        ]  # fmt: skip


def hears_errors(alerts: Alerts, log: list[str]) -> Callable[..., None]:
    """What the engine says of bugs, to alerts as in `engine.main`."""
    hears = _errors(alerts)

    def say(event: str, **values: Any) -> None:
        log.append(event)
        hears(event, **values)

    return say


async def test_what_nobody_asked_for_is_not_told(autojump_clock: object, path: Path) -> None:
    """Rules that are not named."""
    async with telling(path, failing, asked=settings(Rule.HOLD)) as (it, alerts, said):
        await post_failing(it)
        alerts.run_stopped("R1", "shop", "bug")
        await trio.sleep(1_000)
        assert said.events == []
