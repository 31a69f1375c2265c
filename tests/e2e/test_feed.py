"""The event stream: everything that happens, in order, without gaps, from where one was."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Answer, Call, Client, EngineProcess, application, fine
from tests.e2e.sse import Event, EventStream, event_stream

STORED = ("run", "step", "attempt")


async def collect(events: EventStream, run_id: str, until: str) -> list[Event]:
    """The stored events of everybody, up to this state of a run."""
    found = []
    while True:
        event = await events.next()
        if event.name in STORED:
            found.append(event)
        if event.name == "run" and (event.data["runId"], event.data["status"]) == (run_id, until):
            return found


def check_chain(events: list[Event], first_prev: str | None) -> None:
    """Each event's `prev` is the id of the one before it."""
    prev = first_prev
    for event in events:
        assert event.data["prev"] == prev
        assert event.id is not None
        prev = event.id


async def shaky(call: Call) -> Answer:
    return Answer(200 if call.attempt == 2 else 500)


RETRY = {"count": 3, "backOff": 5, "jitter": 0}


async def test_order_and_chain(engine: EngineProcess, shop: Client) -> None:
    """A run's life in the order it was committed, each event linked to the one before."""
    async with application(shaky=shaky) as app, event_stream(engine) as events:
        hello = await events.next()
        assert hello.name == "heartbeat"
        answer = await shop.post(app.at("shaky"), retry=RETRY)
        found = await collect(events, answer.json()["runId"], "completed")

        check_chain(found, hello.id)
        kinds = [(event.name, event.data["kind"]) for event in found]
        assert [kind for name, kind in kinds if name != "run"] == [
            "accepted",
            "started",
            "attempt-ended",
            "started",
            "attempt-ended",
        ]
        run_states = [event.data["status"] for event in found if event.name == "run"]
        assert run_states[0] in ("pending", "running")
        assert "backing-off" in run_states
        assert run_states[-1] == "completed"
        revs = [event.data["rev"] for event in found if event.name == "run"]
        assert revs == sorted(set(revs))
        assert {event.data["runId"] for event in found} == {answer.json()["runId"]}
        assert all(event.data["at"].endswith("Z") for event in found)


async def test_resume_anywhere(engine: EngineProcess, shop: Client) -> None:
    """With the id of any event one gets exactly what followed it."""
    async with application(shaky=shaky) as app:
        async with event_stream(engine) as events:
            hello = await events.next()
            run_id = (await shop.post(app.at("shaky"), retry=RETRY)).json()["runId"]
            whole = await collect(events, run_id, "completed")
        for missed in range(0, len(whole) - 1, 2):
            async with event_stream(engine, whole[missed].id) as events:
                again = await collect(events, run_id, "completed")
            assert again == whole[missed + 1 :]
        async with event_stream(engine, hello.id) as events:
            assert await collect(events, run_id, "completed") == whole


async def test_from_a_time_on(engine: EngineProcess, shop: Client) -> None:
    """From the first event that happened then or later, and nothing is left out: of a time and of
    so long ago. With an id too the id says where: a browser comes back with both."""
    async with application(shaky=shaky) as app:
        async with event_stream(engine) as events:
            await events.next()
            run_id = (await shop.post(app.at("shaky"), retry=RETRY)).json()["runId"]
            whole = await collect(events, run_id, "completed")
        for at in sorted({event.data["at"] for event in whole}):
            first = next(it for it, event in enumerate(whole) if event.data["at"] >= at)
            async with event_stream(engine, since=at) as events:
                assert await collect(events, run_id, "completed") == whole[first:]
        for since in ("2020-01-01", "1h", "99999999999d"):
            async with event_stream(engine, since=since) as events:
                all_of_it = await collect(events, run_id, "completed")
            assert str(all_of_it[0].id).endswith("-1")
            assert all_of_it[-len(whole) :] == whole
        async with event_stream(engine, whole[3].id, since="1h") as events:
            assert await collect(events, run_id, "completed") == whole[4:]
        async with event_stream(engine, since="2099-01-01T00:00:00Z") as events:
            hello = await events.next()
        assert (hello.name, hello.id) == ("heartbeat", whole[-1].id), "nothing was so late"


@pytest.mark.parametrize("bad", ["", "yesterday", "1", "-1h", "2026-13-01", "12:00"])
async def test_a_time_that_is_none_is_refused(shop: Client, bad: str) -> None:
    """400, with the words and what to write."""
    answer = await shop.http.get("/api/v1/events", params={"since": bad})
    assert answer.status_code == 400
    assert "write 2026-11-23T12:00:00Z, or 12h or 90d" in answer.json()["detail"]


@pytest.mark.parametrize(
    "unknown", ["nonsense", "other-5", "-", "{file}-999999999", "{file}--1", "{file}-01"]
)
async def test_reset_for_an_unknown_id(engine: EngineProcess, shop: Client, unknown: str) -> None:
    """An id this file does not have: `reset`, and then the stream from now on."""
    file = (await shop.read("/status"))["sequence"].rpartition("-")[0]
    async with application(fine=fine) as app:
        async with event_stream(engine, unknown.format(file=file)) as events:
            reset = await events.next()
            assert reset.name == "reset"
            answer = await shop.post(app.at("fine"), unknown)
            found = await collect(events, answer.json()["runId"], "completed")
            check_chain(found, reset.id)


@pytest.mark.slow
async def test_heartbeats(engine: EngineProcess, shop: Client) -> None:
    """Signs of life with the server's time, also when nothing happens."""
    times: list[str] = []
    async with event_stream(engine) as events:
        while len(times) < 4:
            event = await events.next()
            if event.name == "heartbeat":
                times.append(event.data["serverTime"])
                assert event.data["instance"] == (await shop.read("/status"))["instance"]
    assert times == sorted(set(times))


@pytest.mark.slow
async def test_counts(engine: EngineProcess, shop: Client) -> None:
    """`counts` says how many runs are in each state, and says it again when that changes."""
    async with application(fine=fine) as app, event_stream(engine) as events:

        async def next_counts() -> dict[str, int]:
            while (event := await events.next()).name != "counts":
                pass
            counts: dict[str, int] = event.data["counts"]
            return counts

        before = await next_counts()
        await shop.post(app.at("fine"))
        after = before
        while after["completed"] == before["completed"]:
            after = await next_counts()
        assert after["completed"] == before["completed"] + 1


async def test_many_readers_and_one_that_leaves(engine: EngineProcess, shop: Client) -> None:
    """Readers see the same; one that hangs up disturbs nobody."""
    async with application(fine=fine) as app:
        async with event_stream(engine) as first, event_stream(engine) as second:
            await first.next()
            await second.next()
            async with event_stream(engine) as leaver:
                await leaver.next()
            run_id = (await shop.post(app.at("fine"))).json()["runId"]
            found = await collect(first, run_id, "completed")
            assert found == await collect(second, run_id, "completed")
