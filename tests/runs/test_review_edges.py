"""Edges between concurrent posts, ends, time-outs and bugs: nobody hangs, nothing leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from engine.core.errors import IllegalEvent
from engine.core.model import StepState
from engine.core.outcome import Outcome
from engine.core.rules.action import Action
from engine.ports.caller import Invocation
from engine.process.deadlines import Deadlines
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from engine.runs.open.request import Request
from engine.store.commit import Commit
from tests.world import World, ok, recorded, still_open, taking, world

STEP = "http://app:9000/workflows/w/steps/"


async def test_a_post_that_waits_before_its_parents_request_left(autojump_clock) -> None:
    """`attemptTimeout` holds for an attempt of which a post waited before it was sent."""
    deadlines = Deadlines()
    no_run: Any = None
    early, over = Request(1, deadlines, no_run, ""), Request(2, deadlines, no_run, "")
    early.post_begins()
    early.start_clock(1_000)
    await trio.sleep(5)
    assert early.timer.deadline == float("inf"), "it stands still while the post waits"
    early.post_ends()
    assert early.timer.deadline == trio.current_time() + 1

    over.post_begins()
    over.post_ends()
    over.start_clock(1_000)
    assert over.timer.deadline == trio.current_time() + 1


async def test_a_dry_runs_bug_does_not_park_the_run(
    autojump_clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run works on a copy: what goes wrong with it has not touched the run."""

    def broken(*values: object, **named: object) -> list[str]:
        raise IllegalEvent("a bug")

    async with world(path, taking(1), strict=False) as it:
        run_id = still_open(await it.post(wait=Wait(prefer_ms=0))).run_id
        monkeypatch.setattr("engine.runs.acts.act", broken)
        with pytest.raises(IllegalEvent):
            await it.act(run_id, Action.CANCEL, dry_run=True)
        assert not it.engine.memory.live[run_id].run.parked


async def act(it: World, run_id: str, action: Action) -> None:
    await it.act(run_id, action)


async def test_a_cancelled_step_that_queued_does_not_keep_its_run(
    autojump_clock, path: Path
) -> None:
    """A run that was cancelled while it queued for a place leaves memory when one is free."""

    limits = EngineLimits(in_flight_max=1, in_flight_per_host_max=1)
    async with world(path, taking(10), limits=limits) as it:
        still_open(await it.post(key="first", wait=Wait(prefer_ms=0)))
        run_id = still_open(await it.post(key="second", wait=Wait(prefer_ms=0))).run_id
        await act(it, run_id, Action.CANCEL)
        await trio.sleep(20)

        assert len(it.caller.calls) == 1
        assert not it.engine.memory.live


async def test_an_outcome_that_is_being_committed_is_waited_for(autojump_clock, path: Path) -> None:
    """Durable before visible: a wait that ends while the outcome is on its way to the disk brings
    that outcome, never a 504 or 202 that says `completed`."""

    async with world(path, taking(1)) as it:
        append = it.store.writer._sink.append

        async def slowly(commit: Commit) -> Exception | None:
            await trio.sleep(0.2)
            return await append(commit)

        it.store.writer._sink.append = slowly  # type: ignore[method-assign]
        for wait in (Wait(timeout_ms=1_300), Wait(prefer_ms=1_300)):
            answer = recorded(await it.post(key=repr(wait), wait=wait))
            assert answer.step.state is StepState.COMPLETED


async def test_a_large_payload_does_not_wait_in_memory(autojump_clock, path: Path) -> None:
    """Steps that queue for a place leave their payloads in the store, and are sent them whole."""
    large = b'"' + b"x" * 100_000 + b'"'
    sent: list[bytes] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/index"):
            for name in ("a", "b", "c"):
                await it.post(STEP + name, payload=large, wait=Wait(prefer_ms=0))
            await trio.sleep(1)
            live = it.engine.memory.live[call.run_id]
            assert len(live.queued) == 3, "no post of the workflow hangs: it has the place"
            assert not live.payloads
            return ok()
        sent.append(call.payload)
        await trio.sleep(2)
        return ok()

    limits = EngineLimits(in_flight_max=1, in_flight_per_host_max=1)
    async with world(path, app, limits=limits) as it:
        recorded(await it.post())
        await trio.sleep(10)

        assert sent == [large] * 3
