"""Which posts may open a run, by the limits of their client."""

from __future__ import annotations

import json
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import ClientLimits
from engine.core.errors import Problem, Refused
from engine.core.outcome import Outcome
from engine.core.rules.action import Action
from engine.front.access.who import EVERYBODY
from engine.front.api import submit
from engine.front.api.submit import READ_AT_ONCE_BYTES_MAX
from engine.front.show.replies import refusal
from engine.ports.caller import Invocation
from engine.process.budget import Parcel
from engine.process.costly import AT_ONCE_MAX, SLICE_S
from engine.runs.limits.new_runs import RECOUNT_MS
from engine.runs.open.callers import Recorded, StillOpen, Wait
from engine.store.tables.views.views import TableViews
from tests.runs.limits.limited import Limited
from tests.world import ROOT, World, front_of, ok, world

AT_ONCE = Wait(prefer_ms=0)


async def never(call: Invocation) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


class Posting:
    """A workflow whose function waits for a step that does not end."""

    world: World

    async def __call__(self, call: Invocation) -> Outcome:
        if call.url == ROOT:
            its, key, token = call.client, call.idempotency_key, call.parent_token
            await self.world.post(ROOT + "/step", key, client=its, parent_token=token)
        return await never(call)


async def refused(it: World, key: str, client: str = "shop") -> Refused | None:
    """Post, as one that opens a run; why it is refused."""
    try:
        await it.post(key=key, client=client, wait=AT_ONCE)
    except Refused as error:
        return error
    return None


async def test_a_rate_hits_new_runs_alone(autojump_clock: MockClock, path: Path) -> None:
    """At the rate they are taken and one beyond is not, with when to come again; nothing is
    recorded of it. Posts for a run that is open are, and other clients do not feel it."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=2))) as it:
        assert [await refused(it, key) for key in "ab"] == [None, None]
        sequence = it.store.last_seq
        error = await refused(it, "c")
        assert error is not None
        assert error.problem is Problem.RATE_LIMITED
        assert (error.members["limit"], error.members["retryAfter"]) == ("new_runs_per_s", 1)
        headers = dict(refusal(error).headers)
        assert headers["retry-after"] == "1"
        assert headers["ratelimit-policy"] == '"new-runs";q=2;w=1'
        assert headers["ratelimit"] == '"new-runs";r=0;t=1'
        assert b"rateLimit" not in refusal(error).body
        assert it.store.last_seq == sequence
        assert await refused(it, "a") is None, "it is open"
        await trio.sleep(0.1)  # its function is called
        await it.post(ROOT + "/step", key="a", wait=AT_ONCE)
        assert [await refused(it, key, "bank") for key in "abcdef"] == [None] * 6
        assert [await refused(it, key, "other") for key in "abcdef"] == [None] * 6
        await trio.sleep(0.51)
        assert await refused(it, "c") is None
        assert it.engine.new_runs.refused == {"shop": 1}


async def test_many_at_once_are_as_many_as_may(autojump_clock: MockClock, path: Path) -> None:
    """Of posts that come together exactly so many open runs; two of one key open one."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=5))) as it:
        let: list[bool] = []

        async def post(key: str) -> None:
            let.append(await refused(it, key) is None)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(post, f"{number // 2}")
        assert (len(it.engine.memory.live), sum(let)) == (5, 10)


async def test_limits_of_a_client_that_nobody_defined(
    autojump_clock: MockClock, path: Path
) -> None:
    """Set at run time, they hold where no client is defined at all."""
    limits = ClientLimits(new_runs_per_s=1, waiting_callers_max=1)
    known = Limited(limits)
    known.clients = {}
    async with world(path, never, registry=known) as it, trio.open_nursery() as nursery:
        nursery.start_soon(partial(it.post, key="a"))
        await trio.sleep(1.1)
        with pytest.raises(Refused, match="wait for outcomes as may"):
            await it.post(key="b")
        assert [await refused(it, key) is None for key in "bc"] == [True, False]
        with pytest.raises(Refused, match="may open new runs at 1 a second"):
            await it.engine.refuse_new("shop", "w", "c")
        nursery.cancel_scope.cancel()


async def test_a_flood_is_refused_before_it_is_looked_at(
    autojump_clock: MockClock, path: Path
) -> None:
    """As soon as the key is known; one that is recorded already is none of it."""
    async with world(path, never, registry=Limited(ClientLimits(new_runs_per_s=1))) as it:
        assert not it.engine.is_full("shop")
        await it.post(key="a", wait=AT_ONCE)
        assert it.engine.is_full("shop")
        await it.engine.refuse_new("shop", "w", "a")
        assert not it.engine.is_full("bank")
        with pytest.raises(Refused, match="may open new runs at 1 a second"):
            await it.engine.refuse_new("shop", "w", "b")


async def test_of_a_flood_of_large_posts_few_are_read(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which a run is not opened are not read first: what one alone may open has the others
    refused that wait to be read. Of one that may not wait for its outcome nothing is read."""
    read: list[str] = []

    def reading(payload: bytes, depth_max: int) -> Generator[None, None, bytes]:
        for _ in range(100):
            autojump_clock.jump(SLICE_S)
            read.append(payload[2:4].decode())
            yield
        return b"x" * 32

    monkeypatch.setattr(submit, "fingerprint_in_slices", reading)
    limits = ClientLimits(new_runs_per_s=0.01, waiting_callers_max=1)
    async with world(path, never, registry=Limited(limits)) as it, trio.open_nursery() as nursery:
        front, statuses = front_of(it.engine), []

        async def post(key: str) -> None:
            body = {"workflowName": "w", "stepInvokeUrl": ROOT, "idempotencyKey": key}
            data = json.dumps({**body, "payload": [key + "." * READ_AT_ONCE_BYTES_MAX]}).encode()
            headers = ((b"prefer", b"respond-async"),) if key != "00" else ()
            posted = submit.answer_submission(front, EVERYBODY, "shop", headers, Parcel(data))
            statuses.append((await posted).status)

        async with trio.open_nursery() as flood:
            for number in range(10, 60):
                flood.start_soon(post, str(number))
        assert sorted(statuses) == [202, *[429] * 49]
        whole = [key for key in set(read) if read.count(key) > 1]
        assert len(whole) <= AT_ONCE_MAX
        await trio.sleep(1_000)
        nursery.start_soon(partial(it.post, key="waits"))
        await trio.sleep(1_000)
        read.clear()
        await post("00")
        assert (statuses[-1], read) == (429, [])
        nursery.cancel_scope.cancel()


async def test_what_was_refused_elsewhere_spends_nothing(
    autojump_clock: MockClock, path: Path
) -> None:
    """A post that finds its run ended, or that the engine has no room for, takes no part of the
    rate."""

    async def app(call: Invocation) -> Outcome:
        return ok()

    async with world(path, app, registry=Limited(ClientLimits(new_runs_per_s=0.1))) as it:
        await it.post(key="a")
        for _ in range(5):
            assert await refused(it, "a") is None
        await trio.sleep(10)
        assert await refused(it, "b") is None


async def counting(it: World) -> list[str]:
    """Have open runs counted in the store, and return of which clients that was done."""
    counted: list[str] = []
    views = TableViews(it.store)

    async def count(client: str) -> int:
        counted.append(client)
        await trio.sleep(0.1)
        return await views.open_runs(client)

    it.engine.new_runs.count_open = count
    return counted


async def test_no_more_open_runs_than_may_be(autojump_clock: MockClock, path: Path) -> None:
    """At the limit they are taken and one beyond is not, with nothing recorded; those from before
    the start count. A run that ends makes room, one that is retried takes it, and steps of open
    runs are taken always."""
    answers: dict[str, trio.Event] = {}

    async def app(call: Invocation) -> Outcome:
        await answers.setdefault(call.idempotency_key, trio.Event()).wait()
        return ok()

    async with world(path, never) as it:
        for key in ("old", "older"):
            await it.post(key=key, wait=AT_ONCE)
            await it.post(key=key, client="bank", wait=AT_ONCE)
        await trio.sleep(1)
    limits = Limited(ClientLimits(open_runs_max=3))
    async with world(path, app, registry=limits) as it:
        counted = await counting(it)
        assert await refused(it, "a") is None
        sequence = it.store.last_seq
        error = await refused(it, "b")
        assert error is not None
        assert (error.problem, error.members["limit"]) == (Problem.TOO_MANY_RUNS, "open_runs_max")
        headers = dict(refusal(error).headers)
        assert headers["retry-after"] == "5"
        assert headers["ratelimit-policy"] == '"open-runs";q=3'
        assert headers["ratelimit"] == '"open-runs";r=0;t=5'
        assert it.store.last_seq == sequence
        with pytest.raises(Refused, match=r"as many open runs as it may \(3\)"):
            await it.engine.refuse_new("shop", "w", "b")
        assert await refused(it, "a") is None
        await trio.sleep(0.1)  # its function is called
        await it.post(ROOT + "/step", key="a", wait=AT_ONCE)
        (live,) = (live for live in it.engine.memory.live.values() if live.run.root.spec.key == "a")
        await it.act(live.run.id, Action.CANCEL)
        assert await refused(it, "b") is None
        assert await refused(it, "c") is not None
        await it.act(live.run.id, Action.RETRY)
        assert it.engine.new_runs.open == {"shop": 4}, "an operator is not refused"
        assert counted == ["shop"]
        assert [await refused(it, key, "bank") for key in "abcdef"] == [None] * 6


async def test_open_runs_are_counted_once_for_many_posts(
    autojump_clock: MockClock, path: Path
) -> None:
    """Posts that come while they are counted wait for it, and exactly so many are taken."""
    async with world(path, never, registry=Limited(ClientLimits(open_runs_max=5))) as it:
        counted = await counting(it)
        let: list[bool] = []

        async def post(key: str) -> None:
            let.append(await refused(it, key) is None)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(post, f"{number // 2}")
        assert (len(it.engine.memory.live), sum(let), counted) == (5, 10, ["shop"])


async def test_a_count_that_is_wrong_is_mended(autojump_clock: MockClock, path: Path) -> None:
    """Whatever was missed, as the end of a run that a bug had stopped: half a minute after the last
    count a client that is refused is counted anew."""
    async with world(path, never, registry=Limited(ClientLimits(open_runs_max=2))) as it:
        counted = await counting(it)
        assert await refused(it, "a") is None
        it.engine.new_runs.open["shop"] = 7
        assert await refused(it, "b") is not None
        await trio.sleep(RECOUNT_MS / 1000 + 1)
        assert await refused(it, "b") is not None
        assert await refused(it, "b") is None
        assert (counted, it.engine.new_runs.open) == (["shop", "shop"], {"shop": 2})


async def test_a_count_that_fails_is_made_again(autojump_clock: MockClock, path: Path) -> None:
    """Its post is answered what kept it from being counted; nothing is let in uncounted."""
    async with world(path, never, registry=Limited(ClientLimits(open_runs_max=1))) as it:

        async def fail(client: str) -> int:
            raise Refused(Problem.STORE_UNAVAILABLE, "away")

        it.engine.new_runs.count_open = fail
        error = await refused(it, "a")
        assert error is not None
        assert error.problem is Problem.STORE_UNAVAILABLE
        await counting(it)
        assert [await refused(it, key) is None for key in "ab"] == [True, False]


async def test_no_more_callers_wait_than_may(autojump_clock: MockClock, path: Path) -> None:
    """At the limit they are taken, and one beyond is not, unless it does not wait. A function that
    waits for its step is none of them, and one that comes for an open run is taken; whoever leaves
    makes room."""
    posting = Posting()
    async with world(path, posting, registry=Limited(ClientLimits(waiting_callers_max=2))) as it:
        posting.world = it
        async with trio.open_nursery() as nursery:
            for key in "ab":
                nursery.start_soon(partial(it.post, key=key))
            await trio.sleep(1)
            assert it.engine.new_runs.waiting == {"shop": 2}
            assert len(it.caller.calls) == 4, "and both functions wait for a step"
            sequence = it.store.last_seq
            with pytest.raises(Refused, match=r"wait for outcomes as may \(2\)") as caught:
                await it.post(key="c")
            error = caught.value
            assert error.problem is Problem.RATE_LIMITED
            assert error.members["limit"] == "waiting_callers_max"
            headers = dict(refusal(error).headers)
            assert headers["ratelimit-policy"] == '"waiting-callers";q=2'
            assert it.store.last_seq == sequence
            assert await refused(it, "c") is None, "it does not wait"
            nursery.start_soon(partial(it.post, key="a"))
            nursery.start_soon(partial(it.post, key="d", client="bank"))
            await trio.sleep(1)
            assert it.engine.new_runs.waiting == {"shop": 3}
            nursery.cancel_scope.cancel()
        assert it.engine.new_runs.waiting == {"shop": 0}
        with trio.move_on_after(1) as waited:
            await it.post(key="e")
        assert waited.cancelled_caught


async def test_questions_for_outcomes_wait_as_posts_do(
    autojump_clock: MockClock, path: Path
) -> None:
    """At the limit they are taken and one beyond is not, whoever came first; without waiting, and
    for an outcome that there is, each is answered. Event streams are counted with them."""

    async def app(call: Invocation) -> Outcome:
        return ok() if call.idempotency_key == "done" else await never(call)

    async with world(path, app, registry=Limited(ClientLimits(waiting_callers_max=3))) as it:
        done = await it.post(key="done")
        opened = await it.post(key="a", wait=AT_ONCE)
        assert isinstance(opened, StillOpen)
        assert isinstance(done, Recorded)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(it.engine.outcome, opened.step_id, Wait())
            await trio.sleep(1)
            stream = it.engine.new_runs.stream_begins("shop")
            assert stream is not None
            assert it.engine.new_runs.waiting == {"shop": 3}
            with pytest.raises(Refused, match=r"wait, its event streams among them, as may \(3\)"):
                await it.engine.outcome(opened.step_id, Wait(prefer_ms=1))
            with pytest.raises(Refused) as caught:
                it.engine.new_runs.stream_begins("shop")
            assert caught.value.problem is Problem.RATE_LIMITED
            assert caught.value.members["limit"] == "waiting_callers_max"
            with pytest.raises(Refused, match="wait for outcomes as may"):
                await it.post(key="b")
            now = await it.engine.outcome(opened.step_id, AT_ONCE)
            assert isinstance(now, StillOpen)
            assert isinstance(await it.engine.outcome(done.step.id, Wait()), Recorded)
            assert it.engine.new_runs.stream_begins("bank") is None, "it has no limit"
            stream.give_back()
            stream.give_back()
            nursery.start_soon(it.engine.outcome, opened.step_id, Wait())
            await trio.sleep(1)
            assert it.engine.new_runs.waiting == {"shop": 3}
            nursery.cancel_scope.cancel()
        assert it.engine.new_runs.waiting == {"shop": 0}


async def test_callers_that_come_together_are_as_many_as_may(
    autojump_clock: MockClock, path: Path
) -> None:
    """Of twenty posts at once exactly so many wait."""
    async with world(path, never, registry=Limited(ClientLimits(waiting_callers_max=5))) as it:
        let: list[str] = []

        async def post(key: str) -> None:
            try:
                await it.post(key=key)
            except Refused:
                let.append(key)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(post, f"{number}")
            await trio.sleep(1)
            assert (len(let), it.engine.new_runs.waiting) == (15, {"shop": 5})
            nursery.cancel_scope.cancel()
