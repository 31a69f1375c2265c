"""Large outcomes on their way to callers have room in memory, or wait in the store for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.core.errors import Problem, Refused
from engine.core.model import StepSpec, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import OnExhausted, RetryPolicy
from engine.core.text.fingerprint import fingerprint
from engine.ports.caller import Invocation
from engine.process.budget import Parcel
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Recorded, Wait
from engine.runs.open.replies import WAIT_S_MAX
from tests.world import ROOT, World, recorded, world

KIB = 1_024
LARGE = b'"' + b"x" * (100 * KIB) + b'"'
LIMITS = EngineLimits(memory_bytes_max=8 * 120 * KIB)
"""Room for one answer at a time."""


async def large(call: Invocation) -> Outcome:
    return Answered(200, LARGE, "application/json")


async def asked(it: World, key: str, url: str = ROOT, parent_token: str | None = None) -> Recorded:
    """A post whose answer is still to be sent."""
    spec = StepSpec("w", key, url, url, "w", fingerprint(b"null"), None, 60_000)
    parent = None if parent_token is None else it.engine.parent_tokens.read(parent_token)
    return recorded(await it.engine.submit("shop", spec, Parcel(b"null"), parent, Wait()))


def whole(result: Recorded) -> bool:
    return result.body is not None and result.body.data == LARGE


async def test_large_outcomes_take_turns(autojump_clock: MockClock, path: Path) -> None:
    """With room for one, the second is read when the first is sent, whether it is the first answer
    or asked for again; what waits is in nobody's memory, and small ones pass."""
    async with world(path, large, limits=LIMITS) as it:
        pool = it.engine.budget.replies
        first = await asked(it, "a")
        assert whole(first)
        assert pool.granted == len(LARGE)
        got: list[Recorded] = []

        async def ask(key: str) -> None:
            got.append(await asked(it, key))

        async with trio.open_nursery() as nursery:
            for key in ("a", "b"):
                nursery.start_soon(ask, key)
            await trio.sleep(2)
            assert (got, pool.waiting) == ([], 2)
            assert not any(
                slot.body for live in it.engine.memory.live.values() for slot in live.slots.values()
            )
            assert first.room is not None
            first.room.give_back()
            await trio.sleep(0.1)
            assert [result.replayed for result in got] in ([True], [False])
            assert got[0].room is not None
            got[0].room.give_back()
        for result in got:
            assert whole(result)
            assert result.room is not None
            result.room.give_back()
        assert pool.granted == 0


async def test_who_waits_long_is_told_to_ask_again(autojump_clock: MockClock, path: Path) -> None:
    """503 with the limit's name. The outcome stands, the post of a function makes its attempt an
    interrupted one, and a caller that leaves holds nothing."""
    kept: list[Recorded] = []
    refused: list[Refused] = []

    async def app(call: Invocation) -> Outcome:
        if call.url == ROOT and call.attempt == 1:
            kept.append(await asked(it, "k", ROOT + "/child"))
            with pytest.raises(Refused) as caught:
                await asked(it, "k", ROOT + "/child")
            refused.append(caught.value)
            kept[0].room.give_back()  # type: ignore[union-attr]
            return Answered(500)
        return await large(call)

    async with world(path, app, limits=LIMITS) as it:
        result = recorded(await it.post(retry=RetryPolicy(count=0, on_exhausted=OnExhausted.FAIL)))
        assert (result.step.state, result.step.attempts) == (StepState.COMPLETED, 2)
        assert refused[0].problem is Problem.OVERLOADED
        assert refused[0].members["limit"] == "memory_bytes_max"
        assert it.engine.budget.refused == 1
        assert trio.current_time() >= WAIT_S_MAX
        first = await asked(it, "k")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(asked, it, "k"))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert it.engine.budget.replies.waiting == 0
        assert first.room is not None
        first.room.give_back()
        assert it.engine.budget.replies.granted == 0
