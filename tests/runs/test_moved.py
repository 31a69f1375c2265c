"""A moved run in the engine: after a restart, in the queue of a host, and what leaves when."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.core.access.client import Client, ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retarget import read_move
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from engine.core.rules.post import RunLimits
from engine.ports.caller import Invocation
from engine.ports.registry import ANY_CLIENT, Clients
from engine.ports.views import RunQuery
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from engine.store.tables.views.views import TableViews
from tests.store.support import change_file
from tests.world import World, ok, recorded, still_open, world

SLOW = RetryPolicy(count=20, back_off_ms=60_000, jitter=0)
AT_ONCE = Wait(prefer_ms=0)
OLD, NEW = "http://old:1", "http://new:2"


async def move(it: World, run_id: str, start: str, to: str) -> None:
    """An operator moves the run."""
    await it.act(run_id, Action.RETARGET, move=read_move(start, to))


async def away(call: Invocation) -> Outcome:
    """What a proxy answers during a deploy."""
    return Answered(503)


async def test_a_rule_outlives_the_engine(autojump_clock: object, path: Path) -> None:
    """From the rows and, where they lag, from the journal: what it posts is moved as before."""

    async def app(call: Invocation) -> Outcome:
        return ok() if call.url.startswith(NEW) else Answered(503)

    for wait_rows in (False, True):
        key = f"k{wait_rows}"
        async with world(path, app) as it:
            run_id = still_open(await it.post(f"{OLD}/w", key, retry=SLOW, wait=AT_ONCE)).run_id
            await trio.sleep(1)
            await move(it, run_id, OLD, NEW)
            if wait_rows:
                await it.store.writer.wait_rows(run_id)
        async with world(path, app) as it:
            found = still_open(await it.post(f"{OLD}/w", key, wait=AT_ONCE))
            assert found.run_id == run_id
            (record, _, _) = await TableViews(it.store).tree(run_id) or pytest.fail("no run")
            assert [(move.from_url, move.to_url) for move in record.moves] == [
                (f"{OLD}/", f"{NEW}/")
            ]
            assert record.moves[0].at > record.submitted_at
            outcome = recorded(await it.post(f"{NEW}/w", key))
            assert outcome.step.spec.url == f"{NEW}/w"
            assert [call.url for _, call in it.caller.calls] == [f"{NEW}/w"]


@pytest.mark.parametrize(
    ("kept", "shown"), [(f'[["{OLD}","{NEW}"]]', [(OLD, NEW, 0)]), ("[1", [])], ids=["old", "odd"]
)
async def test_rules_without_a_time_and_unreadable_ones_are_listed(
    autojump_clock: object, path: Path, kept: str, shown: list[tuple[str, str, int]]
) -> None:
    """As they were kept before; and damaged ones break no list."""
    async with world(path, away) as it:
        run_id = still_open(await it.post(f"{OLD}/w", retry=SLOW, wait=AT_ONCE)).run_id
    change_file(path, f"UPDATE run SET moves = '{kept}'")
    async with world(path, away, strict=False) as it:
        (record, *_) = await TableViews(it.store).tree(run_id) or pytest.fail("no run")
        assert [(move.from_url, move.to_url, move.at) for move in record.moves] == shown
        assert (await TableViews(it.store).runs(RunQuery())).total == 1


async def test_who_queues_at_a_dead_host_is_called_elsewhere(
    autojump_clock: object, path: Path
) -> None:
    """A step without a place at the old host does not wait for one there."""

    async def app(call: Invocation) -> Outcome:
        if call.url.startswith(OLD):
            await trio.sleep_forever()
        return ok()

    limits = EngineLimits(in_flight_per_host_max=1)
    async with world(path, app, limits=limits) as it:
        await it.post(f"{OLD}/w", "first", wait=AT_ONCE)
        second = still_open(await it.post(f"{OLD}/w", "second", wait=AT_ONCE))
        await trio.sleep(1)
        await move(it, second.run_id, OLD, NEW)
        assert recorded(await it.post(f"{NEW}/w", "second")).step.state is StepState.COMPLETED


@pytest.mark.parametrize("failing", [True, False])
async def test_a_post_while_the_connection_is_made(
    autojump_clock: object, path: Path, failing: bool
) -> None:
    """Nobody can be at work before the request has left: no step is recorded for them."""

    async def app(call: Invocation) -> Outcome:
        call.flow.connecting(under_way=True)
        await trio.sleep(5)
        if failing:
            return Unanswered(CallError.CONNECTION_REFUSED, "nobody listens")
        call.flow.connecting(under_way=False)
        await trio.sleep(5)
        return Answered(500)

    async with world(path, app) as it:
        await it.post(f"{OLD}/w", retry=SLOW, wait=AT_ONCE)
        await trio.sleep(1)
        for _ in range(2):
            if not failing and trio.current_time() > 5:
                assert still_open(await it.post(f"{NEW}/v2", wait=AT_ONCE))
            else:
                with pytest.raises(Refused) as caught:
                    await it.post(f"{NEW}/v2", wait=AT_ONCE)
                assert caught.value.problem is Problem.TARGET_MOVED
            await trio.sleep(6)


class Shop:
    """A client for which this holds, whatever the setting says."""

    def __init__(self, *, steps_need_parent: bool | None) -> None:
        self.clients = {"shop": Client("shop", steps_need_parent=steps_need_parent)}
        self.limits: dict[str, ClientLimits] = {}


NEEDED = EngineLimits(run=RunLimits(steps_need_parent=True))


@pytest.mark.parametrize(
    ("limits", "of_client", "needed"),
    [
        (NEEDED, ANY_CLIENT, True),
        (NEEDED, Shop(steps_need_parent=None), True),
        (NEEDED, Shop(steps_need_parent=False), False),
        (EngineLimits(), Shop(steps_need_parent=True), True),
        (EngineLimits(), Shop(steps_need_parent=None), False),
    ],
    ids=["setting", "its own not set", "its own no", "its own yes", "neither"],
)
async def test_who_needs_a_parent_token_for_steps(
    autojump_clock: object, path: Path, limits: EngineLimits, of_client: Clients, *, needed: bool
) -> None:
    """`steps_need_parent`: also while the function is at work; a client's own wins."""
    refused: list[Problem] = []

    async def app(call: Invocation) -> Outcome:
        if call.url.endswith("/step"):
            return ok()
        try:
            await it.post(f"{OLD}/step", wait=AT_ONCE)
        except Refused as error:
            refused.append(error.problem)
        return Answered(
            200 if await it.post(f"{OLD}/step", parent_token=call.parent_token) else 500
        )

    async with world(path, app, limits=limits, registry=of_client) as it:
        assert recorded(await it.post(f"{OLD}/w")).step.state is StepState.COMPLETED
    assert refused == ([Problem.TARGET_MOVED] if needed else [])
