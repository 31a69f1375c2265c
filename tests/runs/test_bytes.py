"""Bytes have a budget: with room for a few bodies everything still ends, and all is given back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client, ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.model import StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import OnExhausted, RetryPolicy
from engine.ports.caller import Invocation
from engine.runs.limits.bounds import EngineLimits
from engine.runs.open.callers import Wait
from engine.store.commit import Commit
from tests.runs.away import away_world
from tests.world import World, ok, recorded, world

KIB = 1_024
LARGE = b'"' + b"x" * (100 * KIB) + b'"'
LATER = Wait(prefer_ms=0)


def url(host: str, name: str) -> str:
    return f"http://{host}:9000/{name}"


def assert_all_room_is_free(it: World) -> None:
    for kind, pool in it.engine.budget.pools.items():
        assert (pool.granted, pool.small, pool.waiting) == (0, 0, 0), kind


def limits(kib: int, in_flight: int = 512) -> EngineLimits:
    return EngineLimits(in_flight_max=in_flight, in_flight_per_host_max=in_flight,
                        memory_bytes_max=kib * KIB)  # fmt: skip


class App:
    """Endpoints that take a moment before they have read their payload, and count how many have
    theirs in the engine's memory at once."""

    def __init__(self, took_s: float = 0.1, answer: bytes = b"{}") -> None:
        self.took_s, self.answer = took_s, answer
        self.payloads: list[bytes] = []
        self.at_once = self.most = 0

    async def __call__(self, call: Invocation) -> Outcome:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.payloads.append(call.payload)
        await trio.sleep(self.took_s)
        self.at_once -= 1
        call.flow.sent()
        if len(self.answer) > 16 * KIB:
            await call.flow.wait_room(len(self.answer))
        await trio.sleep(self.took_s)
        return Answered(200, self.answer, "application/json")


@pytest.mark.parametrize("kib", [1, 250, 2_000])
async def test_large_payloads_take_turns(kib: int, autojump_clock: MockClock, path: Path) -> None:
    """Thirty payloads of 100 KiB for two hosts: each is sent whole, and no more are in memory than
    the budget has room for; nobody is refused, as what waits lies in the store."""
    app = App()
    async with world(path, app, limits=limits(kib)) as it:
        for number in range(30):
            host = f"app{number % 2}"
            await it.post(url(host, "w"), key=str(number), payload=LARGE, wait=LATER)
        with trio.fail_after(60):
            while it.engine.memory.live:
                await trio.sleep(1)
        assert app.payloads == [LARGE] * 30
        assert app.most <= max(1, kib // 4 * KIB // len(LARGE))
        assert_all_room_is_free(it)


async def test_a_host_that_hangs_leaves_room_for_others(
    autojump_clock: MockClock, path: Path
) -> None:
    """While the payloads of one host stick in its sockets, another host's go out at once."""
    app = App()

    async def hangs(call: Invocation) -> Outcome:
        if call.url.startswith("http://dead"):
            await trio.sleep_forever()
        return await app(call)

    async with world(path, hangs, limits=limits(4_000)) as it:
        for number in range(30):
            await it.post(url("dead", "w"), key=str(number), payload=LARGE, wait=LATER)
        assert it.engine.budget.payloads.used < 600 * KIB
        with trio.fail_after(5):
            for number in range(5):
                recorded(await it.post(url("live", "w"), key=f"live {number}", payload=LARGE))


class Sharing:
    """The client `shop` has a share of the budget."""

    clients: Mapping[str, Client] = {}

    def __init__(self, share: float) -> None:
        self.limits = {"shop": ClientLimits(memory_share=share)}


@pytest.mark.parametrize("large", ["payloads", "answers"])
async def test_a_client_has_its_share_of_payloads_and_answers(
    large: str, autojump_clock: MockClock, path: Path
) -> None:
    """Of a pool with room for ten bodies a client that may take a fifth has two at once, whatever
    hosts it calls; each is sent and answered whole, and another client's go out at once."""
    app = App(took_s=1.0, answer=LARGE if large == "answers" else b"{}")
    payload = LARGE if large == "payloads" else b"1"
    most = 0
    async with world(path, app, limits=limits(4_100), registry=Sharing(0.2)) as it:
        pool = it.engine.budget.pools[large]
        for number in range(20):
            await it.post(url(f"app{number}", "w"), f"k{number}", payload, wait=LATER)
        began = trio.current_time()
        recorded(await it.post(url("app0", "w"), "other", payload, client="bank"))
        assert trio.current_time() - began < 2.1
        with trio.fail_after(60):
            while it.engine.memory.live:
                most = max(most, pool.of_client("shop"))
                await trio.sleep(0.1)
        assert most == 2 * len(LARGE)
        assert len(app.payloads) == 21
        await trio.sleep(5)
        assert_all_room_is_free(it)


async def test_a_client_has_its_share_of_replies(autojump_clock: MockClock, path: Path) -> None:
    """Who reads its large outcomes and does not take them is refused by the share's name; another
    client is answered."""
    app = App(answer=LARGE)
    async with world(path, app, limits=limits(8_200), registry=Sharing(0.1)) as it:
        for client in ("shop", "bank"):
            await it.post(url("app", "w"), client=client, wait=LATER)
        await trio.sleep(5)
        pool = it.engine.budget.replies
        unread = pool.take("shop", len(LARGE), client="shop")
        assert unread is not None
        with pytest.raises(Refused) as refused:
            await it.post(url("app", "w"))
        assert refused.value.problem is Problem.OVERLOADED
        assert refused.value.members["limit"] == "memory_share"
        assert "share" in refused.value.detail
        recorded(await it.post(url("app", "w"), client="bank"))
        unread.give_back()
        recorded(await it.post(url("app", "w")))


async def test_the_clock_stands_still_while_an_answer_waits(
    autojump_clock: MockClock, path: Path
) -> None:
    """Ten answers of 100 KiB with room for one: all come whole, also of an attempt whose time is
    shorter than the wait."""
    app = App(took_s=1.0, answer=LARGE)
    async with world(path, app, limits=limits(1)) as it:
        async with trio.open_nursery() as nursery:

            async def post(number: int) -> None:
                result = await it.post(url("app", "w"), key=str(number), attempt_timeout_ms=2_500)
                outcome = recorded(result)
                assert outcome.step.state is StepState.COMPLETED
                assert outcome.step.attempts == 1
                assert outcome.body is not None
                assert outcome.body.data == LARGE

            for number in range(10):
                nursery.start_soon(post, number)
        assert trio.current_time() > 10
        await trio.sleep(5)
        assert_all_room_is_free(it)


async def test_what_was_kept_of_a_payload_is_given_back(
    autojump_clock: MockClock, path: Path
) -> None:
    """Steps that never leave, as their run is paused, keep nothing large; nor does a run that left
    memory with payloads of any size."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app, limits=limits(4_000, in_flight=1)) as it:
        for number in range(10):
            payload = LARGE if number % 2 else b'"small"'
            await it.post(url("app", "w"), key=str(number), payload=payload, wait=LATER)
        assert it.engine.budget.payloads.granted <= len(LARGE)
        await trio.sleep(10)
        assert not it.engine.memory.live
        assert_all_room_is_free(it)


async def test_small_bodies_that_wait_for_the_disk_are_bounded(
    autojump_clock: MockClock, path: Path
) -> None:
    """While a commit takes long, small payloads gather up to the budget's part for them: new runs
    are refused from half of it, posts of runs under way at all of it, with the limit's name. The
    attempt that was refused counts as interrupted, and all goes on when the disk does."""
    payload = b'"' + b"x" * (16 * KIB - 2) + b'"'
    disk = trio.Event()
    the: list[World] = []

    async def app(call: Invocation) -> Outcome:
        if not call.url.endswith("/w") or call.attempt > 1:
            return ok()
        it = the[0]
        append = it.store.writer._sink.append

        async def slowly(commit: Commit) -> Exception | None:
            await disk.wait()
            return await append(commit)

        it.store.writer._sink.append = slowly  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            for number in range(4):
                child = partial(it.post, url("app", f"s{number}"), payload=payload, wait=LATER)
                nursery.start_soon(child)
                await trio.testing.wait_all_tasks_blocked()
                if number == 1:
                    with pytest.raises(Refused) as refused:
                        await it.post(key="other", wait=LATER)
                    assert refused.value.members["limit"] == "memory_bytes_max"
            with pytest.raises(Refused) as refused:
                await it.post(url("app", "more"), wait=LATER)
            assert refused.value.problem is Problem.OVERLOADED
            assert refused.value.members["retryAfter"] == 1
            disk.set()
        return Answered(500, b"", "")

    async with world(path, app, limits=limits(8 * 64)) as it:
        the.append(it)
        root = recorded(await it.post(url("app", "w"), retry=RetryPolicy(count=0)))
        assert (root.step.state, root.step.attempts) == (StepState.COMPLETED, 2)
        assert it.engine.budget.refused == 2
        await trio.sleep(5)
        assert it.store.backlog_bytes == 0
        assert_all_room_is_free(it)


async def test_an_attempt_whose_post_found_no_room_is_interrupted(
    autojump_clock: MockClock, path: Path
) -> None:
    """A post with the attempt's parent token was refused before it was read: its failure costs no
    retry. A parent token of an earlier attempt, or none of ours, changes nothing."""
    parent_tokens: list[str] = []

    async def app(call: Invocation) -> Outcome:
        parent_tokens.append(call.parent_token)
        it.engine.note_refused("made up")
        if call.attempt != 2:
            it.engine.note_refused(parent_tokens[0])
        return Answered(500, b"", "")

    async with world(path, app) as it:
        outcome = recorded(await it.post(retry=RetryPolicy(count=1, on_exhausted=OnExhausted.FAIL)))
        assert outcome.step.state is StepState.FAILED
        assert len(parent_tokens) == 3


async def test_a_large_answer_outlasts_a_store_that_is_away(
    autojump_clock: MockClock, path: Path
) -> None:
    """It keeps its room until it is recorded, however long that takes; then its caller has it."""
    go = trio.Event()

    async def app(call: Invocation) -> Outcome:
        await call.flow.wait_room(len(LARGE))
        if call.idempotency_key == "large":
            await go.wait()
        return Answered(200, LARGE, "application/json")

    async with away_world(path, app) as (it, away), trio.open_nursery() as nursery:

        async def post() -> None:
            outcome = recorded(await it.post(key="large"))
            assert outcome.step.state is StepState.COMPLETED
            assert outcome.body is not None
            assert outcome.body.data == LARGE

        nursery.start_soon(post)
        await trio.sleep(1)
        await away.begin()
        go.set()
        await trio.sleep(60)
        assert it.engine.budget.answers.granted == len(LARGE)
        await away.end()
        await trio.sleep(60)
        assert_all_room_is_free(it)


async def test_what_waited_for_room_does_not_leave_while_the_store_is_away(
    autojump_clock: MockClock, path: Path
) -> None:
    """An attempt gets its room while nothing can be recorded: it leaves when that is over."""
    async with away_world(path, App()) as (it, away):
        pool = it.engine.budget.payloads
        others = pool.take("other", pool.bytes_max)
        assert others is not None
        await it.post(url("app", "w"), key="large", payload=LARGE, wait=LATER)
        await trio.sleep(1)
        await away.begin()
        others.give_back()
        await trio.sleep(60)
        assert not it.caller.times("/w")
        await away.end()
        await trio.sleep(60)
        assert len(it.caller.times("/w")) == 1
        assert_all_room_is_free(it)


async def test_room_for_a_payload_that_cannot_be_read_at_once_is_given_back(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its room when the disk errs; it is read again, and has it once."""
    app, failed = App(), [Refused(Problem.STORE_UNAVAILABLE, "The disk erred.")]
    async with world(path, app, limits=limits(1_024, in_flight=1)) as it:
        read = it.store.body

        async def errs_once(step_id: str, generation: int, **how: Any) -> Any:
            if how.get("bytes_max") is None and not how["answer"] and failed:
                raise failed.pop()
            return await read(step_id, generation, **how)

        monkeypatch.setattr(it.store, "body", errs_once)
        for number in range(2):  # the second queues, and reads its payload from the store
            await it.post(url("app", "w"), key=str(number), payload=LARGE, wait=LATER)
        with trio.fail_after(60):
            while it.engine.memory.live:
                await trio.sleep(1)
        assert (failed, app.payloads) == ([], [LARGE] * 2)
        assert_all_room_is_free(it)
