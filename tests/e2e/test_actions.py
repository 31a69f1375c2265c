"""What operators do, and what becomes of the callers and requests that are under way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.e2e.harness import (
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    eventually,
    eventually_async,
    fine,
    is_problem,
    restart,
    running,
)
from tests.e2e.sse import event_stream

SLOW_RETRY = {"count": 5, "backOff": 3_600_000, "maxBackOff": 3_600_000}
NO_RETRY = {"count": 0}


class Switch:
    """An endpoint that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    async def __call__(self, call: Call) -> Answer:
        return Answer(200, b'"mended"') if self.mended else Answer(500, b'"broken"')


async def started(shop: Client, url: str, key: str = "k", **members: Any) -> str:
    """Submit without waiting; the run's id."""
    answer = await shop.post(url, key, prefer="respond-async", **members)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["runId"])


@asynccontextmanager
async def waiting(
    shop: Client, app: Application, name: str, **members: Any
) -> AsyncIterator[tuple[str, list[httpx.Response]]]:
    """A caller of a run that was called once; leaving waits for what it is answered."""
    answers: list[httpx.Response] = []

    async def submit() -> None:
        answers.append(await shop.post(app.at(name), **members))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit)
        await eventually(lambda: app.calls)
        yield app.calls[0].run_id, answers


async def test_cancel_in_flight(shop: Client) -> None:
    """The caller gets 409 at once; the request in flight ends later and its answer is kept."""
    release = trio.Event()

    async def slow(call: Call) -> Answer:
        await release.wait()
        return Answer(200, b'"too late"')

    async with application(slow=slow) as app:
        async with waiting(shop, app, "slow") as (run_id, answers):
            done = await shop.act(run_id, "cancel", reason="wrong order")
            assert (done.status_code, done.json()["run"]["status"]) == (202, "cancelled")
        document = is_problem(answers[0], 409, "run-cancelled")
        assert (document["runId"], document["errorSource"]) == (run_id, "workflow")
        status = await shop.read("/status")
        assert (status["inFlight"], status["cancelledInFlight"]) == (1, 1)
        release.set()

        async def late_is_kept() -> bool:
            (step,) = (await shop.steps(run_id)).values()
            return bool(step["attemptRows"][0]["status"] == "late")

        await eventually_async(late_is_kept)
        kept = await shop.get(f"/api/v1/steps/{run_id}/attempts/1/response")
        assert kept.content == b'"too late"'
        again = await shop.post(app.at("slow"))
        assert again.headers["idempotent-replayed"] == "true"
        is_problem(again, 409, "run-cancelled")
        is_problem(await shop.act(run_id, "cancel"), 409, "not-possible")


async def test_cancel_ends_the_steps_below(shop: Client) -> None:
    """Steps that wait are cancelled with their run; a new post of it is refused."""
    refused: list[httpx.Response] = []
    cancelled = trio.Event()

    async def workflow(call: Call) -> Answer:
        refused.append(await shop.post(app.at("broken"), call.key, retry=SLOW_RETRY))
        await cancelled.wait()
        refused.append(await shop.post(app.at("other"), call.key, parent_token=call.parent_token))
        return Answer(500)

    async with application(index=workflow, broken=Switch(), other=fine) as app:
        run_id = await started(shop, app.at("index"))
        await shop.wait_run(run_id, "backing-off")
        assert (await shop.act(run_id, "cancel")).status_code == 202
        steps = await shop.steps(run_id)
        assert {step["status"] for step in steps.values()} == {"cancelled"}
        cancelled.set()
        await eventually(lambda: len(refused) == 2)
        for answer in refused:
            is_problem(answer, 409, "run-cancelled")
        assert not app.called("other")


async def test_retry_wakes_what_backs_off(shop: Client) -> None:
    """An hour of back-off ends now; the retry is spent, and the waiting caller gets the outcome."""
    switch = Switch()
    async with application(broken=switch) as app:
        async with waiting(shop, app, "broken", retry=SLOW_RETRY) as (run_id, answers):
            run = await shop.wait_run(run_id, "backing-off")
            assert run["dueAt"] > run["submittedAt"]
            switch.mended = True
            assert (await shop.act(run_id, "retry")).status_code == 202
        assert answers[0].json()["attempts"] == 2
        (step,) = (await shop.steps(run_id)).values()
        assert step["failures"] == 1


async def test_a_retry_of_what_is_held_says_what_holds_it(shop: Client) -> None:
    """Each of the holds, as each has to be released; of a step that none covers nothing is said."""

    async def workflow(call: Call) -> Answer:
        return Answer((await shop.post(app.at("fine"), call.key)).status_code)

    async with application(fine=fine) as app, application(index=workflow) as elsewhere:
        host = app.at("fine").split("/")[2]
        for hold in ({"kind": "host", "name": host}, {"kind": "host", "name": "127.0.0.1"}):
            assert (await shop.http.post("/api/v1/holds", json=hold)).status_code == 200
        await shop.http.post("/api/v1/holds/release", json={"kind": "host", "name": "127.0.0.1"})
        posted = await shop.post(elsewhere.at("index"), prefer="respond-async")
        run_id = posted.json()["runId"]
        await eventually_async(partial(_has_steps, shop, run_id, 2))
        await shop.http.post("/api/v1/holds", json={"kind": "host", "name": "127.0.0.1"})
        step = (await shop.steps(run_id))["fine"]
        refused = await shop.act(run_id, "retry", step=step["id"])
        assert is_problem(refused, 409, "not-possible")["detail"].endswith(
            f"the step is pending. Holds on host 127.0.0.1 and host {host} keep it back: `atomic"
            " holds` says why."
        )
        shown = await shop.read(f"/runs/{run_id}")
        assert [it["name"] for it in shown["holds"]] == ["127.0.0.1", host]
        text = f"held by host 127.0.0.1 and host {host}"
        assert [it.get("waits") for it in shown["steps"] if it["name"] == "fine"] == [
            {"waitsFor": "release", "text": text}
        ]
        for name in ("127.0.0.1", host):  # the engine is that of the whole file
            released = {"kind": "host", "name": name}
            assert (await shop.http.post("/api/v1/holds/release", json=released)).status_code == 200
        await shop.wait_run(run_id, "completed")


async def _has_steps(shop: Client, run_id: str, count: int) -> bool:
    return len(await shop.steps(run_id)) == count


async def test_retry_of_a_failed_run(shop: Client) -> None:
    """The next generation, under the same key of the step; the new outcome replaces the old."""
    switch = Switch()

    async def workflow(call: Call) -> Answer:
        await shop.post(app.at("fine"), call.key)
        answer = await shop.post(app.at("broken"), call.key, retry=NO_RETRY)
        return Answer(answer.status_code, answer.content)

    async with application(index=workflow, fine=fine, broken=switch) as app:
        failed = await shop.post(app.at("index"), retry=NO_RETRY)
        document = is_problem(failed, 424, "step-failed")
        assert document["cause"]["stepName"] == "broken"
        run_id = document["runId"]
        switch.mended = True
        assert (await shop.act(run_id, "retry")).status_code == 202
        outcome = await shop.get(f"/api/v1/steps/{run_id}/outcome")
        assert (outcome.status_code, outcome.json()["generation"]) == (200, 2)
        assert len(app.called("fine")) == 1
        calls = app.called("broken")
        assert [call.attempt for call in calls] == [1, 2]
        assert len({call.own_key for call in calls}) == 1


async def test_pause_and_resume(shop: Client) -> None:
    """Paused: no attempt starts and nobody is told anything; resumed it goes on with its budget."""
    switch = Switch()
    async with application(broken=switch) as app:
        async with waiting(shop, app, "broken", retry=SLOW_RETRY) as (run_id, answers):
            await shop.wait_run(run_id, "backing-off")
            paused = await shop.act(run_id, "pause")
            assert paused.json()["run"]["status"] == "paused"
            assert paused.json()["run"]["pauseReason"] == "operator"
            is_problem(await shop.act(run_id, "pause"), 409, "not-possible")
            is_problem(await shop.act(run_id, "retry"), 409, "not-possible")
            switch.mended = True
            assert (await shop.act(run_id, "resume")).json()["run"]["status"] == "backing-off"
            await shop.act(run_id, "retry")
        assert answers[0].json()["attempts"] == 2
        is_problem(await shop.act(run_id, "resume"), 409, "not-possible")


async def test_resume_of_an_exhausted_run(shop: Client) -> None:
    """A root without a policy of its own pauses; after `exhausted`, resume is a fresh budget."""
    switch = Switch()
    retry = {"count": 1, "backOff": 0, "onExhausted": "pause"}
    async with application(broken=switch) as app:
        run_id = await started(shop, app.at("broken"), retry=retry)
        await shop.wait_run(run_id, "paused")
        switch.mended = True
        assert (await shop.act(run_id, "resume")).status_code == 202
        assert (await shop.wait_run(run_id, "completed"))["generation"] == 1
        assert len(app.calls) == 3


async def test_retry_of_a_failure_that_was_not_handled(shop: Client) -> None:
    """The paused run goes on with the failed step opened; what may have undone it is named."""
    switch = Switch()

    async def workflow(call: Call) -> Answer:
        if (await shop.post(app.at("broken"), call.key, retry=NO_RETRY)).status_code == 424:
            await shop.post(app.at("fine"), call.key)
            return Answer(500)
        return Answer(200, b'"done"')

    async with application(index=workflow, broken=switch, fine=fine) as app:
        run_id = await started(shop, app.at("index"), retry=NO_RETRY)
        run = await shop.wait_run(run_id, "paused")
        assert run["pauseReason"] == "unhandled-failure"
        assert run["error"].startswith("unhandled-failure: answered 500 after it was told that")
        tree = (await shop.get(f"/api/v1/runs/{run_id}")).json()
        broken, undone = (step["id"] for step in tree["steps"][1:])
        switch.mended = True
        named = [{"stepId": undone, "stepName": "fine"}]
        dry = (await shop.act(run_id, "retry", step=broken, dryRun=True)).json()
        assert (dry["recordedAfter"], set(dry["changed"])) == (named, {run_id, broken})
        assert (await shop.act(run_id, "retry", step=broken)).json()["recordedAfter"] == named
        assert (await shop.wait_run(run_id, "completed"))["generation"] == 1
        assert len(app.called("fine")) == 1


async def test_rerun(shop: Client) -> None:
    """A dry run lists what would run again and changes nothing; the real one calls it anew."""

    async def workflow(call: Call) -> Answer:
        for name in ("one", "two", "three"):
            await shop.post(app.at(name), call.key)
        return Answer()

    async with application(index=workflow, one=fine, two=fine, three=fine) as app:
        first = await shop.post(app.at("index"))
        run_id = first.json()["runId"]
        ids = {step["id"]: name for name, step in (await shop.steps(run_id)).items()}
        two = next(id for id, name in ids.items() if name == "two")

        dry = await shop.act(run_id, "rerun", step=two, dryRun=True)
        assert (dry.status_code, dry.json()["dryRun"]) == (200, True)
        assert {ids[id] for id in dry.json()["changed"]} == {"index", "two", "three"}
        assert [(it["stepId"], it["stepName"]) for it in dry.json()["changedSteps"]] == [
            (id, ids[id]) for id in dry.json()["changed"]
        ]
        assert await shop.run_status(run_id) == "completed"
        assert len(app.calls) == 4

        done = await shop.act(run_id, "rerun", step=two)
        assert (done.status_code, done.json()["changed"]) == (202, dry.json()["changed"])
        assert done.json()["changedSteps"] == []
        outcome = await shop.get(f"/api/v1/steps/{run_id}/outcome")
        assert outcome.json()["generation"] == 2
        assert {name: len(app.called(name)) for name in ("one", "two", "three")} == {
            "one": 1,
            "two": 2,
            "three": 2,
        }
        assert len({call.own_key for call in app.called("two")}) == 2
        is_problem(await shop.act(run_id, "rerun"), 400, "invalid-request")


async def test_dismiss_and_restore(shop: Client) -> None:
    """Off the failed list and back on it; only what has failed, and not twice."""
    async with application(broken=Switch(), fine=fine) as app:
        failed = await shop.post(app.at("broken"), retry=NO_RETRY)
        run_id = failed.json()["runId"]
        assert (await shop.act(run_id, "dismiss")).json()["run"]["dismissed"] is True
        is_problem(await shop.act(run_id, "dismiss"), 409, "not-possible")
        assert (await shop.read(f"/runs/{run_id}"))["run"]["dismissed"] is True
        told = (await shop.act(run_id, "restore")).json()  # by its old name
        assert (told["action"], told["run"]["dismissed"]) == ("undismiss", False)
        is_problem(await shop.act(run_id, "restore"), 409, "not-possible")
        well = (await shop.post(app.at("fine"), "fine")).json()["runId"]
        is_problem(await shop.act(well, "dismiss"), 409, "not-possible")


async def test_if_rev(shop: Client) -> None:
    """An action that was decided on an old row is refused with the row as it is now."""
    switch = Switch()
    async with application(broken=switch) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        run = await shop.wait_run(run_id, "backing-off")
        stale = await shop.act(run_id, "pause", ifRev=run["rev"] - 1)
        document = is_problem(stale, 409, "revision-changed")
        assert document["run"]["rev"] == run["rev"]
        assert await shop.run_status(run_id) == "backing-off"

        step = (await shop.read(f"/steps/{run_id}"))["rev"]
        stale = await shop.act(run_id, "pause", step=run_id, ifRev=step + 1)
        document = is_problem(stale, 409, "revision-changed")
        assert document["step"]["rev"] == step
        done = await shop.act(run_id, "pause", step=run_id, ifRev=step)
        assert (done.status_code, done.json()["step"]["status"]) == (202, "paused")
        assert (await shop.act(run_id, "cancel")).status_code == 202


async def test_a_cancelled_call_of_an_engine_that_ended_is_in_flight_no_more(
    tmp_path: Path,
) -> None:
    """Nobody records what became of it; whoever looks is not told that it goes on."""

    async def never(call: Call) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    with running(tmp_path) as engine:
        async with application(slow=never) as app, client(engine.url) as shop:
            run_id = await started(shop, app.at("slow"))
            await eventually(lambda: app.calls)
            assert (await shop.act(run_id, "cancel")).status_code == 202
            (before,) = (await shop.read(f"/steps/{run_id}"))["attemptRows"]
            engine.kill()
            again = await restart(engine, tmp_path)
            try:
                (after,) = (await shop.read(f"/steps/{run_id}"))["attemptRows"]
                (same,) = (await shop.steps(run_id))["slow"]["attemptRows"]
                status = await shop.read("/status")
            finally:
                again.kill()
    assert (before["status"], after["status"], same["status"]) == ("running", "crash", "crash")
    assert status["cancelledInFlight"] == 0


async def test_actors_and_reasons_are_events(engine: EngineProcess, shop: Client) -> None:
    """Who did what, and why, is in the stream."""
    async with application(broken=Switch()) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        async with event_stream(engine) as events:
            await events.next()
            await shop.act(run_id, "cancel", reason="wrong order")
            while (event := await events.next()).data.get("kind") != "acted":
                pass
        assert event.data["runId"] == run_id
        assert event.data["reason"] == "wrong order"
        assert (event.data["actor"], event.data["address"]) == ("http:127.0.0.1", "127.0.0.1")


LONGEST = "~" * 64


@pytest.mark.parametrize("claimed", ["a", "ada@laptop", "Ada L. (night shift)", LONGEST])
async def test_who_acts_says_so(engine: EngineProcess, shop: Client, claimed: str) -> None:
    """The name is recorded as it was claimed, beside the address that nobody can choose."""
    async with application(broken=Switch()) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        async with event_stream(engine) as events:
            await events.next()
            done = await shop.http.post(
                f"/api/v1/runs/{run_id}/actions",
                json={"action": "cancel"},
                headers={"Atomic-Actor": claimed},
            )
            assert done.status_code == 202
            while (event := await events.next()).data.get("kind") != "acted":
                pass
        assert (event.data["actor"], event.data["address"]) == (claimed, "127.0.0.1")


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ((b"",), "it has none"),
        ((LONGEST.encode() + b"~",), "it has 65"),
        (("J\xfcrgen".encode("latin1"),), "another at 2"),
        ((b"a\tb",), "another at 2"),
        ((b"ada", b"bob"), "there are 2"),
    ],
)
async def test_who_cannot_be_named_does_not_act(
    shop: Client, claims: tuple[bytes, ...], told: str
) -> None:
    """400 with the limit, of an action as of a bulk job, and nothing is done."""
    async with application(fine=fine) as app:
        run_id = (await shop.post(app.at("fine"))).json()["runId"]
    head = [(b"Atomic-Actor", claim) for claim in claims]
    dismiss = {"action": "dismiss"}
    for path, body in (
        (f"/api/v1/runs/{run_id}/actions", dismiss),
        ("/api/v1/bulk", {**dismiss, "q": "is:completed", "dryRun": True}),
    ):
        answer = await shop.http.post(path, json=body, headers=head)
        document = is_problem(answer, 400, "invalid-request")
        assert document["member"] == "Atomic-Actor"
        assert "1 to 64 printable ASCII" in document["detail"]
        assert told in document["detail"]
    assert (await shop.read(f"/runs/{run_id}"))["run"]["dismissed"] is False


BAD_ACTIONS: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "invalid-request"),
    ({"action": "explode"}, 400, "invalid-request"),
    ({"action": "cancel", "when": "now"}, 400, "invalid-request"),
    ({"action": "cancel", "ifRev": -1}, 400, "invalid-request"),
    ({"action": "cancel", "ifRev": "1"}, 400, "invalid-request"),
    ({"action": "cancel", "step": "none"}, 404, "not-found"),
    ({"action": "dismiss", "step": "@"}, 400, "invalid-request"),
    ({"action": "cancel", "reason": "r" * 1025}, 400, "invalid-request"),
]


@pytest.mark.parametrize(
    ("body", "status", "problem"), BAD_ACTIONS, ids=[str(n) for n in range(len(BAD_ACTIONS))]
)
async def test_actions_that_are_refused(
    shop: Client, body: dict[str, Any], status: int, problem: str
) -> None:
    """Nothing is done, and the run does not move."""
    async with application(fine=fine) as app:
        answer = await shop.post(app.at("fine"))
        run_id = answer.json()["runId"]
        before = (await shop.read(f"/runs/{run_id}"))["run"]
        sent = {name: run_id if value == "@" else value for name, value in body.items()}
        refused = await shop.http.post(f"/api/v1/runs/{run_id}/actions", json=sent)
        is_problem(refused, status, problem)
        is_problem(await shop.act("none", "cancel"), 404, "not-found")
        assert (await shop.read(f"/runs/{run_id}"))["run"] == before
