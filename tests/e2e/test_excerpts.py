"""The reason of a failure stands wherever an operator or an application looks. `protocol.md` §3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    Answer,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    fine,
    restart,
    running,
)
from tests.e2e.sse import event_stream
from tests.loopback import free_port

DECLINED = "card_declined: insufficient funds"
ONCE = {"count": 0}


async def declines(call: Call) -> Answer:
    """A step that fails for good, and says why."""
    return Answer(402, b'{"error": "card_declined", "message": "insufficient funds"}')


def order(shop: Client, step: str, told: list[dict[str, Any]], answer: Answer | None = None):
    """A workflow of one step; it lets the failure out (424), or makes another answer of it."""

    async def run(call: Call) -> Answer:
        posted = await shop.post(
            step, call.key, parent_token=call.parent_token, retry={"count": 3, "stopOn": [402]}
        )
        told.append(posted.json())
        if answer is not None:
            return answer
        return Answer(424, posted.content, {"Content-Type": posted.headers["content-type"]})

    return run


async def found_by(shop: Client, text: str) -> int:
    answer = await shop.http.get("/api/v1/runs", params={"q": f"client:{shop.name} {text}"})
    assert answer.status_code == 200, answer.text
    return len(answer.json()["runs"])


@pytest.mark.parametrize("answer", [None, Answer(500, b"<html><title>Server Error</title>")])
async def test_the_reason_of_a_run_is_its_steps(shop: Client, answer: Answer | None) -> None:
    """Failed, or paused because its function made a 500 of it: the list, the tree, the causes, the
    function itself and the filter tell the step's reason, not the workflow's."""
    told: list[dict[str, Any]] = []
    async with application(charge=declines) as app:
        app.handlers["order"] = order(shop, app.at("charge"), told, answer)
        posted = await shop.post(app.at("order"), prefer="respond-async", retry=ONCE)
        run_id = posted.json()["id"]
        run = await shop.wait_run(run_id, "failed", "paused")
    assert told[0]["lastAttempt"]["excerpt"] == DECLINED
    assert f"answered 402 ({DECLINED})" in told[0]["detail"]
    reason = run["reason"]
    assert (reason["stepName"], reason["httpStatus"], reason["excerpt"]) == (
        "charge",
        402,
        DECLINED,
    )
    listed = await shop.http.get("/api/v1/runs", params={"client": shop.name})
    assert listed.json()["runs"][0]["reason"] == reason
    causes = (await shop.read("/causes"))["causes"]
    assert reason in [cause["reason"] for cause in causes]
    steps = await shop.steps(run_id)
    assert steps["charge"]["excerpt"] == steps["charge"]["attemptRows"][0]["excerpt"] == DECLINED
    assert steps["order"]["excerpt"] == (DECLINED_OUT if answer is None else "Server Error")
    if answer is None:
        failed = (await shop.http.get(f"/api/v1/steps/{run_id}/outcome")).json()["detail"]
        because = "because step 'charge' failed: http-status: answered 402"
        assert failed == f"Step 'order' failed after 1 attempt {because} ({DECLINED})."
    else:
        assert f"told that charge failed (answered 402: {DECLINED})" in run["error"]
    assert await found_by(shop, "error:DECLINED") == 1
    assert await found_by(shop, 'error:"insufficient funds"') == 1
    assert await found_by(shop, "error:expired") == 0


DECLINED_OUT = f"Step 'charge' failed after 1 attempt: http-status: answered 402 ({DECLINED})."


async def test_while_it_is_tried_again_the_reason_is_there(
    shop: Client, engine: EngineProcess
) -> None:
    """A step that backs off tells why, in the events too; once completed nothing is wrong."""
    answers = [Answer(503, b"pool exhausted\nand more"), Answer(200)]

    async def flaky(call: Call) -> Answer:
        return answers[0]

    async with application(flaky=flaky) as app, event_stream(engine) as events:
        posted = await shop.post(
            app.at("flaky"), prefer="respond-async", retry={"count": 5, "backOff": 60_000}
        )
        run_id = posted.json()["id"]
        run = await shop.wait_run(run_id, "backing-off")
        assert run["reason"]["excerpt"] == run["at"]["excerpt"] == "pool exhausted"
        retries = (await shop.read("/retries"))["retries"]
        assert [r["at"]["excerpt"] for r in retries if r["runId"] == run_id] == ["pool exhausted"]
        while (event := await events.next()).data.get("kind") != "attempt-ended":
            pass
        assert event.data["excerpt"] == "pool exhausted"
        answers.pop(0)
        await shop.act(run_id, "retry")
        run = await shop.wait_run(run_id, "completed")
        assert run["reason"] is None
        (step,) = (await shop.steps(run_id)).values()
        assert [row["excerpt"] for row in step["attemptRows"]] == ["pool exhausted", None]
        assert await found_by(shop, "error:pool") == 0


async def test_a_connection_tells_its_errno(shop: Client) -> None:
    """Nobody listens: the excerpt has the system's number."""
    posted = await shop.post(
        f"http://127.0.0.1:{free_port()}/x", prefer="respond-async", retry={"backOff": 60_000}
    )
    run = await shop.wait_run(posted.json()["id"], "backing-off")
    assert "ECONNREFUSED" in run["reason"]["excerpt"]
    assert await found_by(shop, "error:econnrefused") == 1


async def test_it_survives_a_crash_and_its_secrets_never_came(tmp_path: Path) -> None:
    """After kill -9 it is folded from the journal; in the file's excerpts is no secret. The answer
    itself is kept whole: who may read it is another matter."""
    secret = "cAnArY-7f3a"

    async def leaks(call: Call) -> Answer:
        return Answer(500, json.dumps({"error": f"login with password={secret} failed"}).encode())

    with running(tmp_path) as engine:
        async with application(leaks=leaks, fine=fine) as app, client(engine.url) as shop:
            posted = await shop.post(app.at("leaks"), prefer="respond-async", retry=ONCE)
            run_id = posted.json()["id"]
            await shop.wait_run(run_id, "failed")
            engine.kill()
            again: EngineProcess = await restart(engine, tmp_path)
            run = await shop.wait_run(run_id, "failed")
            assert run["reason"]["excerpt"] == "login with password=*** failed"
            tree = await shop.get(f"/api/v1/runs/{run_id}")
            assert secret not in tree.text
            again.stop()
            assert secret not in again.text
