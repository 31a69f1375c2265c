"""Posts while the store is asked who has their key, where that takes time: what was so before the
answer may not be so any more."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from engine.core.access.client import ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import StepState
from engine.core.rules.action import Action
from engine.core.rules.hold import HoldKind
from engine.ports.store import Away, Found, Look
from engine.runs.limits.bounds import EngineLimits
from engine.runs.memory import ANSWER_AWAY_S_MAX, ANSWER_S_MAX, Memory
from engine.runs.open.callers import Recorded, StillOpen, Wait
from engine.store.away import AWAY_AFTER_S
from engine.store.model.store import open_model
from tests.runs.limits.limited import Limited
from tests.store.contract.adapters import TroubledDatabase
from tests.world import Handler, World, ok, recorded, still_open, taking, world

SLOW_S = 4.0
"""A run is opened, ends, leaves memory and is written in less."""
ASYNC = Wait(prefer_ms=0)


class Slow:
    """A model whose answers are of the moment when they were asked for, and take their time."""

    def __init__(self, it: World, database: TroubledDatabase) -> None:
        self.it, self.database = it, database
        self.takes_s: deque[float] = deque()
        """The next answers."""
        self.asked: list[str] = []
        """Keys."""
        reads = cast(Any, it.store.reads)
        self._ask: Callable[..., Look] = reads.find_run
        reads.find_run = self.find_run

    def find_run(self, client: str, workflow: str, key: str, *, or_expired: bool) -> Look:
        look = self._ask(client, workflow, key, or_expired=or_expired)
        return Look(partial(self._answer, look, key))

    async def _answer(self, look: Look, key: str) -> Found:
        self.asked.append(key)
        takes_s = self.takes_s.popleft() if self.takes_s else 0.0
        found = await look.ask()
        await trio.sleep(takes_s)
        return found

    async def post_later(self, after_s: float = 0.1, **options: Any) -> Recorded | StillOpen:
        await trio.sleep(after_s)
        result = await self.it.post(**options)
        assert isinstance(result, Recorded | StillOpen)
        return result

    async def fill(self, key: str) -> str:
        """A run that has ended, is written, and not in memory; its id."""
        run_id = recorded(await self.it.post(key=key)).step.id
        await trio.sleep(5)
        assert not self.it.engine.memory.live
        self.asked.clear()
        return run_id

    async def refused(self, takes_s: float = SLOW_S, **options: Any) -> Refused:
        """How a post is refused whose answer takes so long."""
        self.takes_s.append(takes_s)
        with trio.fail_after(100), pytest.raises(Refused) as caught:
            await self.it.post(**options)
        return caught.value


@asynccontextmanager
async def slow(handler: Handler, **options: Any) -> AsyncIterator[Slow]:
    """An engine on such a store."""
    database = TroubledDatabase()
    async with open_model(database, "life", started_at=0) as store:
        async with world(cast(Any, store), handler, **options) as it:
            yield Slow(it, database)
            database.refuses = False


async def test_two_posts_of_a_key_ask_once_and_open_one_run(autojump_clock: object) -> None:
    """Who comes second waits for the answer, and finds the run that the first has opened."""
    async with slow(taking(0.01)) as at:
        at.takes_s.append(SLOW_S)
        found: list[Recorded] = []

        async def post() -> None:
            found.append(recorded(await at.it.post()))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(post)
        assert (at.asked, len(at.it.caller.calls)) == (["k"], 1)
        assert len({it.step.id for it in found}) == 1


async def test_no_run_comes_and_goes_behind_an_answer(autojump_clock: object) -> None:
    """A run that was opened, ended, left memory and was written while an answer of before was on
    its way would be run again by it."""
    async with slow(taking(0.01)) as at:
        at.takes_s.append(SLOW_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.post_later)  # its answer would take no time
            first = recorded(await at.it.post())
        await trio.sleep(5)
        assert not at.it.engine.memory.live
        assert recorded(await at.it.post()).step.id == first.step.id
        assert len(at.it.caller.calls) == 1


async def test_an_ended_run_is_asked_for_once_by_all(autojump_clock: object) -> None:
    """An answer that names a run is everybody's who waits for it: none asks behind the other."""
    async with slow(taking(0.01)) as at:
        run_id = await at.fill("k")
        at.takes_s.append(1.0)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(at.it.post)
        assert trio.current_time() - began == pytest.approx(1.0)
        assert at.asked == ["k"]
        again = recorded(await at.it.post())
        assert (again.step.id, again.replayed, len(at.it.caller.calls)) == (run_id, True, 1)


async def test_a_run_that_goes_behind_an_answer_has_expired(autojump_clock: object) -> None:
    """Retention removes it after the database has said that it is there."""
    async with slow(taking(0.01)) as at:
        run_id = await at.fill("k")

        async def expire() -> None:
            await trio.sleep(1)
            with at.it.engine.memory.set_apart([run_id]) as at_rest:
                before = {"completed": at.it.engine.clock.steady_ms()}
                assert await at.it.store.expire(at_rest, before) == 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire)
            refusal = await at.refused()
        assert (refusal.problem, len(at.it.caller.calls)) == (Problem.OUTCOME_EXPIRED, 1)


async def test_who_hangs_up_has_recorded_nothing(autojump_clock: object) -> None:
    """And who waited for the same answer asks."""
    async with slow(taking(0.01)) as at:
        at.takes_s.extend([SLOW_S, 0.0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.post_later)
            with trio.move_on_after(1):
                await at.it.post()
            assert (at.it.caller.calls, at.it.store.last_seq) == ([], 0)
        assert (at.asked, len(at.it.caller.calls)) == (["k", "k"], 1)


async def test_an_engine_that_stops_meanwhile_opens_nothing(autojump_clock: object) -> None:
    """The stop does not wait for answers either."""
    async with slow(taking(0.01)) as at:

        async def stop() -> None:
            await trio.sleep(1)
            await at.it.engine.drain(0)
            assert trio.current_time() < 2

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            refusal = await at.refused()
        assert refusal.problem is Problem.DRAINING
        assert (at.it.caller.calls, at.it.store.last_seq) == ([], 0)


async def test_a_run_that_was_looked_for_as_it_stopped_takes_nothing(
    autojump_clock: object,
) -> None:
    """Else its caller would wait for an engine that does nothing any more."""
    async with slow(taking(0.01)) as at:
        await at.fill("k")

        async def stop() -> None:
            await trio.sleep(1)
            await at.it.engine.drain(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            refusal = await at.refused(payload=b'"another"', url="http://app:9000/another")
        assert refusal.problem is Problem.DRAINING


async def go_away(at: Slow, after_s: float = 0.0) -> None:
    """The database does not answer any more, and something is to be written."""
    await trio.sleep(after_s)
    at.database.refuses = True
    with pytest.raises(Refused):
        await at.it.post(key="open", url="http://app:9000/step", wait=ASYNC)
    while at.it.store.away is None:
        await at.it.store.wait_away_moved()


async def test_a_store_that_goes_away_meanwhile_takes_nothing(autojump_clock: object) -> None:
    """Its answer was of before."""
    async with slow(taking(60)) as at:
        still_open(await at.it.post(key="open", wait=ASYNC))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_away, at, 1)
            refusal = await at.refused()
        assert refusal.problem is Problem.STORE_UNAVAILABLE
        assert "The store cannot be written" in refusal.detail
        assert "k" not in {call.idempotency_key for _, call in at.it.caller.calls}


async def test_a_store_that_does_not_answer_keeps_nobody(autojump_clock: object) -> None:
    """Nor who waits for the same answer; and less long when it is known to be away."""
    async with slow(taking(60)) as at:
        still_open(await at.it.post(key="open", wait=ASYNC))
        at.database.refuses = True

        async def silent() -> None:
            refusal = await at.refused(0.0)
            assert refusal.problem is Problem.STORE_UNAVAILABLE
            assert "Nothing was recorded" in refusal.detail

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(silent)
        assert trio.current_time() - began == pytest.approx(ANSWER_S_MAX, abs=0.1)
        await go_away(at)
        began = trio.current_time()
        await silent()
        assert trio.current_time() - began == pytest.approx(ANSWER_AWAY_S_MAX, abs=0.1)
        assert AWAY_AFTER_S < ANSWER_S_MAX


async def test_what_is_recorded_is_answered_while_nothing_can_be_written(
    autojump_clock: object,
) -> None:
    """A database that refuses to be written, and can be read."""
    async with slow(taking(0.01)) as at:
        run_id = await at.fill("k")
        at.it.store.availability.away = cast(Any, object())
        at.takes_s.append(ANSWER_AWAY_S_MAX / 2)
        assert recorded(await at.it.post()).step.id == run_id
        at.it.store.availability.away = None


async def test_limits_count_what_was_opened_meanwhile(autojump_clock: object) -> None:
    """Of posts whose answers come together as many open a run as may."""
    limits = ClientLimits(new_runs_per_s=1)
    async with slow(taking(0.01), registry=Limited(limits)) as at:
        at.takes_s.extend([1.0, 1.0, 1.0])
        refused: list[str] = []

        async def post(key: str) -> None:
            try:
                await at.it.post(key=key)
            except Refused as error:
                refused.append(error.members["limit"])

        async with trio.open_nursery() as nursery:
            for key in "abc":
                nursery.start_soon(post, key)
        assert refused == ["new_runs_per_s", "new_runs_per_s"]
        assert len(at.it.caller.calls) == 1


async def test_memory_that_filled_meanwhile_takes_no_more(autojump_clock: object) -> None:
    """However many found room before they asked."""
    async with slow(taking(60), limits=EngineLimits(runs_in_memory_max=2)) as at:
        at.takes_s.extend([1.0] * 5)
        refused: list[str] = []

        async def post(key: str) -> None:
            try:
                await at.it.post(key=key, wait=ASYNC)
            except Refused as error:
                refused.append(error.members["limit"])

        async with trio.open_nursery() as nursery:
            for key in "abcde":
                nursery.start_soon(post, key)
        assert refused == ["runs_in_memory_max"] * 3
        assert len(at.it.engine.memory.live) == 2


class Lists:
    """Targets as they are now."""

    listed = True
    why: str | None = None

    def why_not(self, client: str, url: str) -> str | None:
        return self.why


async def test_a_target_that_was_taken_away_meanwhile_is_not_taken(autojump_clock: object) -> None:
    """It was on the list when the post came."""
    lists = Lists()
    async with slow(taking(0.01), targets=cast(Any, lists)) as at:

        async def take_away() -> None:
            await trio.sleep(1)
            lists.why = "it is on no list any more"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_away)
            refusal = await at.refused()
        assert "on no list any more" in refusal.detail
        assert at.it.store.last_seq == 0


async def test_a_hold_of_meanwhile_keeps_the_run_from_starting(autojump_clock: object) -> None:
    """It is opened, and called when it is released."""
    async with slow(taking(0.01)) as at:
        ada = Actor("ada")

        async def hold() -> None:
            await trio.sleep(1)
            await at.it.engine.hold(HoldKind.WORKFLOW, "w", None, ada)

        at.takes_s.append(SLOW_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)
            still_open(await at.it.post(wait=ASYNC))
        await trio.sleep(5)
        assert at.it.caller.calls == []
        await at.it.engine.release(HoldKind.WORKFLOW, "w", None, ada)
        assert recorded(await at.it.post()).step.state is StepState.COMPLETED
        assert len(at.it.caller.calls) == 1


async def test_an_action_of_meanwhile_is_found(autojump_clock: object) -> None:
    """The run had ended when it was asked for; then somebody has it called again."""
    calls: list[float] = []

    async def app(call: object) -> Any:
        calls.append(trio.current_time())
        await trio.sleep(10 if len(calls) > 1 else 0)
        return ok(b'"second"' if len(calls) > 1 else b'"first"')

    async with slow(app) as at:
        run_id = await at.fill("k")

        async def rerun() -> None:
            await trio.sleep(1)
            await at.it.act(run_id, Action.RERUN, step_id=run_id)

        at.takes_s.append(SLOW_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rerun)
            found = recorded(await at.it.post())
        assert found.body is not None
        assert (found.step.id, found.body.data, len(calls)) == (run_id, b'"second"', 2)


async def test_who_was_let_in_counts_until_under_way(autojump_clock: object) -> None:
    """While answers take long no more are let in than there is room for."""
    async with slow(taking(60)) as at:
        admission = at.it.engine.admission
        admission.limit = 0
        at.takes_s.extend([0.0, 0.0, 0.0, SLOW_S, SLOW_S])
        async with trio.open_nursery() as nursery:
            for key in "abc":
                nursery.start_soon(partial(at.it.post, key=key, wait=ASYNC))
            await trio.sleep(0.1)
            assert len(admission) == 3
            admission.limit = 2
            admission._let_in(2)
            await trio.sleep(1)
            assert admission.room == 0, "both are still being asked for"
            await trio.sleep(SLOW_S)
            assert (admission.room, admission._entering) == (0, 0)
            assert len(at.it.engine.memory.live) == 2
            nursery.cancel_scope.cancel()


async def test_who_was_let_in_is_asked_for_again_and_decided_anew(autojump_clock: object) -> None:
    """After its turn had come the store went away."""
    async with slow(taking(60)) as at:
        at.it.engine.admission.limit = 0
        at.takes_s.append(0.0)

        async def go_away_later() -> None:
            await trio.sleep(1)
            at.it.engine.admission.let_all_in()
            await trio.sleep(1)
            at.it.store.availability.away = Away(trio.current_time(), "It is full.")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_away_later)
            assert "It is full." in (await at.refused()).detail
        assert (at.asked, at.it.store.last_seq) == (["k", "k"], 0)
        at.it.store.availability.away = None


async def test_overload_is_told_without_a_new_run(autojump_clock: object) -> None:
    """A post of a run that there is passes, however long it takes to find that out."""
    async with slow(taking(0.01), registry=Limited(ClientLimits(new_runs_per_s=1))) as at:
        await at.fill("known")
        await at.it.post(key="another")
        at.takes_s.extend([1.0, 1.0])
        await at.it.engine.refuse_new("shop", "w", "known")
        await at.it.post(key="a third", client="bank")
        assert at.it.engine.admission.refused == 0


async def test_who_answers_at_once_is_not_waited_for(
    autojump_clock: object, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite nothing is noted, and a new run is opened in the passage that looks for it."""
    monkeypatch.setattr(Memory, "_ask", None)
    async with world(path, taking(0.01)) as it:
        it.engine.memory._asking = cast(Any, None)
        looking = it.engine.memory.read_by_key("shop", "w", "k", lambda run: False)
        with pytest.raises(StopIteration) as returned:
            looking.send(None)
        assert returned.value.value is None
        recorded(await it.post())
