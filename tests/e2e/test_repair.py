"""A step's result set by hand, a step skipped, a run with another payload: over HTTP and by the
command, with who, why, and what was there before."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner, Result

from engine.cli.main import main
from tests.e2e.harness import (
    Answer,
    Call,
    Client,
    EngineProcess,
    application,
    eventually_async,
    is_problem,
)

SLOW_RETRY = {"count": 5, "backOff": 3_600_000, "maxBackOff": 3_600_000}
NO_RETRY = {"count": 0}
WHY = "the vendor confirmed it by phone"


async def atomic(engine: EngineProcess, *arguments: str, fails: bool = False) -> Result:
    """The command, as ada."""
    run = partial(
        CliRunner().invoke, main, [*arguments, "--engine", engine.url], prog_name="atomic",
        env={"ATOMIC_ACTOR": "ada@laptop"},
    )  # fmt: skip
    result = await trio.to_thread.run_sync(run)
    assert (result.exit_code != 0) is fails, result.output
    return result


async def started(shop: Client, url: str, **members: Any) -> str:
    """Submit without waiting; the run's id."""
    answer = await shop.post(url, prefer="respond-async", **members)
    return str(answer.json()["runId"])


async def broken(call: Call) -> Answer:
    return Answer(402, b'{"error": "card declined"}')


def shopping(shop: Client, app: list[Any]) -> Any:
    """A workflow that charges, undoes what it did when that fails, completes with the answer."""

    async def index(call: Call) -> Answer:
        charged = await shop.post(
            app[0].at("charge"), call.key, retry=NO_RETRY, parent_token=call.parent_token
        )
        if charged.status_code == 424:
            await shop.post(app[0].at("release"), call.key, parent_token=call.parent_token)
            return Answer(500, b'"not charged"')
        return Answer(200, json.dumps(charged.json()["response"]).encode())

    return index


async def undone(call: Call) -> Answer:
    return Answer(200, b'"released"')


async def test_a_result_is_set_by_the_command(engine: EngineProcess, shop: Client) -> None:
    """The run that was paused for it goes on and completes with it; `show` says who, why and what
    was there, `body` has both, the events tell it, and a post of the step is answered the same."""
    at: list[Any] = []
    once = {"count": 0, "onExhausted": "pause"}
    async with application(index=shopping(shop, at), charge=broken, release=undone) as app:
        at.append(app)
        run_id = await started(shop, app.at("index"), retry=once)
        assert (await shop.wait_run(run_id, "paused"))["pauseReason"] == "unhandled-failure"
        told = await atomic(
            engine, "set-result", run_id, "--step", "charge", "--result", '{"paid": 7}',
            "--reason", WHY,
        )  # fmt: skip
        assert "set-result: changed 2 steps" in told.output
        assert "recorded since the failure: release" in told.output
        await shop.wait_run(run_id, "completed")
        answer = await shop.post(app.at("index"))
        assert answer.json()["response"] == {"paid": 7}
        step = (await shop.steps(run_id))["charge"]
        again = (await shop.read(f"/steps/{step['id']}/outcome")) | {"attempts": 1}
        assert (again["setBy"], again["generation"], again["httpStatus"]) == ("set-result", 2, 200)
        assert "setBy" not in answer.json()
        shown = (await atomic(engine, "show", run_id)).output
        assert f"generation 2  set-result by ada@laptop: {WHY}" in shown
        assert "generation 1  failed, HTTP 402" in shown
        declined = '{"error": "card declined"}'
        first, tried = ("--generation", "1"), ("--attempt", "1")
        for more, data in (((), '{"paid": 7}'), (first, declined), (tried, declined)):
            body = await atomic(engine, "body", run_id, "--step", "charge", *more)
            assert body.stdout == data, body.output
        (row,) = [
            it for it in (await shop.read(f"/runs/{run_id}"))["steps"] if it["name"] == "charge"
        ]
        (repair,) = row["repairs"]
        assert (repair["act"], repair["actor"], repair["reason"]) == (
            "set-result",
            "ada@laptop",
            WHY,
        )
        (before,) = row["generations"]
        assert (before["generation"], before["status"], before["httpStatus"]) == (1, "failed", 402)
    assert len(app.called("charge")) == 1


async def test_a_step_is_skipped(engine: EngineProcess, shop: Client) -> None:
    """It backs off for an hour; its workflow hangs for it and gets nothing, which it can tell."""
    heard: list[httpx.Response] = []

    async def index(call: Call) -> Answer:
        heard.append(
            await shop.post(
                app.at("charge"), call.key, retry=SLOW_RETRY, parent_token=call.parent_token
            )
        )
        return Answer(200)

    async with application(index=index, charge=broken) as app:
        run_id = await started(shop, app.at("index"))
        await shop.wait_run(run_id, "backing-off")
        await atomic(engine, "skip", run_id, "--step", "charge", "--reason", "not needed")
        await shop.wait_run(run_id, "completed")
        answer = heard[0].json()
        assert (answer["status"], answer["httpStatus"], answer["response"]) == (
            "completed",
            204,
            None,
        )
        assert answer["setBy"] == "skip"
        assert answer["generation"] == 1


async def test_a_run_is_called_with_another_payload(engine: EngineProcess, shop: Client) -> None:
    """Its caller hangs on and gets the answer; the first payload stays readable, and who posts it
    again is told that the run was called with another."""
    seen: list[Any] = []
    answers: list[httpx.Response] = []

    async def index(call: Call) -> Answer:
        seen.append((json.loads(call.body)["payload"], call.headers["idempotency-key"]))
        return Answer(200, b'"sent"') if seen[-1][0] == {"to": "ada@x"} else Answer(422)

    async with application(index=index) as app, trio.open_nursery() as nursery:

        async def submit() -> None:
            answers.append(
                await shop.post(app.at("index"), payload={"to": "ada@"}, retry=SLOW_RETRY)
            )

        nursery.start_soon(submit)
        await eventually_async(lambda: _is_backing_off(shop))
        run_id = (await shop.read("/runs"))["runs"][0]["id"]
        await atomic(engine, "rerun", run_id, "--payload", '{"to": "ada@x"}', "--reason", "a typo")
        nursery.cancel_scope.deadline = trio.current_time() + 20
    (answer,) = answers
    assert (answer.json()["response"], answer.json()["generation"]) == ("sent", 2)
    assert [payload for payload, _ in seen] == [{"to": "ada@"}, {"to": "ada@x"}]
    assert seen[0][1] != seen[1][1]
    for generation, payload in ((1, b'{"to":"ada@"}'), (2, b'{"to": "ada@x"}')):
        body = await shop.get(f"/api/v1/steps/{run_id}/payload?generation={generation}")
        assert body.content.replace(b" ", b"") == payload.replace(b" ", b"")
    again = await shop.post(app.at("index"), payload={"to": "ada@"})
    assert again.headers["atomic-payload-differs"] == "true"
    assert again.json()["response"] == "sent"
    shown = (await atomic(engine, "show", run_id)).output
    assert "generation 2  rerun with another payload by ada@laptop: a typo" in shown
    is_problem(await shop.get(f"/api/v1/steps/{run_id}/payload?generation=3"), 404, "not-found")
    is_problem(await shop.get(f"/api/v1/steps/{run_id}/response?generation=1"), 404, "not-found")


async def _is_backing_off(shop: Client) -> bool:
    runs = (await shop.read("/runs"))["runs"]
    return bool(runs and runs[0]["status"] == "backing-off")


BAD: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no result": ({"action": "set-result"}, 400, "invalid-request", "`set-result` needs `result`"),
    "no reason": (
        {"action": "set-result", "result": 1, "reason": None}, 400, "invalid-request",
        "`set-result` needs `reason`: it is kept beside what was there.",
    ),
    "no step": ({"action": "skip", "step": None}, 400, "invalid-request", "`skip` needs `step`"),
    "no such step": ({"action": "skip", "step": "R-no"}, 404, "not-found", "no step R-no"),
    "status": (
        {"action": "set-result", "result": 1, "httpStatus": 500}, 400, "invalid-request",
        "`$.httpStatus`",
    ),
    "a body with 204": (
        {"action": "set-result", "result": None, "httpStatus": 204}, 400, "invalid-request",
        "`httpStatus`: an answer with 204 has no body, and so no result",
    ),
    "a body with 205": (
        {"action": "set-result", "result": "x", "httpStatus": 205, "contentType": "text/plain"},
        400, "invalid-request", "an answer with 205 has no body",
    ),
    "skip with a result": (
        {"action": "skip", "result": 1}, 400, "invalid-request",
        "`result` belongs to `set-result`, not to `skip`.",
    ),
    "a payload for a retry": (
        {"action": "retry", "payload": 1}, 400, "invalid-request", "`payload` belongs to `rerun`",
    ),
    "text": (
        {"action": "set-result", "result": 1, "contentType": "text/plain"}, 400, "invalid-request",
        "`contentType` is text/plain: `result` is a text then",
    ),
    "deep": (
        {"action": "rerun", "payload": json.loads("[" * 65 + "]" * 65)}, 400, "invalid-request",
        "`payload` nests deeper than 64 levels.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_what_is_refused(shop: Client, name: str) -> None:
    """In words that say what to do; nothing changes."""
    members, status, problem, words = BAD[name]
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        asked = {"step": run_id, "reason": "so"} | members
        document = is_problem(await shop.act(run_id, asked.pop("action"), **asked), status, problem)
        assert words in document["detail"]
        assert (await shop.read(f"/steps/{run_id}"))["generation"] == 1


@pytest.mark.parametrize(("size", "status"), [(1_048_576 - 256, 202), (1_048_577, 413)])
async def test_a_result_is_as_large_as_a_body_may_be(shop: Client, size: int, status: int) -> None:
    """No request is larger; what it holds is answered whole."""
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        text = "x" * size
        answer = await shop.act(run_id, "set-result", step=run_id, reason="so", result=text)
        assert answer.status_code == status, answer.text
        if status == 202:
            assert (await shop.post(app.at("broken"))).json()["response"] == text


async def test_not_utf_8_and_a_text(shop: Client) -> None:
    """What would be no answer of an endpoint's is refused; a text is answered as a text."""
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        body = b'{"action": "set-result", "step": "%s", "reason": "so", "result": "\xff"}'
        answer = await shop.http.post(
            f"/api/v1/runs/{run_id}/actions", content=body % run_id.encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert "not UTF-8" in is_problem(answer, 400, "invalid-request")["detail"]
        done = await shop.act(
            run_id, "set-result", step=run_id, reason="so", result="<ok/>",
            contentType="application/xml", httpStatus=201,
        )  # fmt: skip
        assert done.status_code == 202
        outcome = (await shop.post(app.at("broken"))).json()
        assert (outcome["response"], outcome["httpStatus"]) == ("<ok/>", 201)
        raw = await shop.get(f"/api/v1/steps/{run_id}/response")
        assert (raw.content, raw.headers["atomic-content-type"]) == (b"<ok/>", "application/xml")


async def test_a_generation_that_was_cancelled_has_no_answer(shop: Client) -> None:
    """Not the result that was set for the one before it."""
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        await shop.act(run_id, "set-result", step=run_id, reason="so", result=1)
        await shop.act(run_id, "rerun", payload={}, reason="so")
        await shop.wait_run(run_id, "backing-off")
        await shop.act(run_id, "cancel")
        at = f"/api/v1/steps/{run_id}/response"
        assert (await shop.get(f"{at}?generation=1")).content == b"1"
        document = is_problem(await shop.get(f"{at}?generation=2"), 404, "not-found")
        assert document["detail"] == "Generation 2 was cancelled: it has no answer."
        assert (await shop.get(at)).content == b'{"error": "card declined"}', "of the last attempt"


async def test_other_actions_read_no_key(shop: Client) -> None:
    """A header that is no key refuses a repair, and nothing else."""
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=SLOW_RETRY)
        await shop.wait_run(run_id, "backing-off")
        at, head = f"/api/v1/runs/{run_id}/actions", {"Idempotency-Key": '"open'}
        paused = await shop.http.post(at, json={"action": "pause"}, headers=head)
        assert paused.status_code == 202
        skip = {"action": "skip", "step": run_id, "reason": "so"}
        is_problem(await shop.http.post(at, json=skip, headers=head), 400, "invalid-submission")


async def test_asked_twice_with_a_key(shop: Client) -> None:
    """The second answer says so; with another result it is refused."""
    async with application(broken=broken) as app:
        run_id = await started(shop, app.at("broken"), retry=NO_RETRY)
        await shop.wait_run(run_id, "failed", "paused")
        head = {"Idempotency-Key": '"k1"'}
        for result, status in ((1, 202), (1, 202), (2, 422)):
            members = {"action": "set-result", "step": run_id, "reason": "so", "result": result}
            answer = await shop.http.post(
                f"/api/v1/runs/{run_id}/actions", json=members,
                headers=head,
            )  # fmt: skip
            assert answer.status_code == status
        is_problem(answer, 422, "idempotency-key-reused")
        assert (await shop.read(f"/steps/{run_id}"))["generation"] == 2
