"""A function that is sent home, over real HTTP: what it is told, and that all ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import Answer, Call, application, is_problem

LATER = {"count": 3, "backOff": 700, "jitter": 0}


@pytest.mark.slow
async def test_a_function_that_waits_is_sent_home(tmp_path: Path) -> None:
    """504 `suspended` to its waiting post and to what it posts then; it is called again, and the
    log of its run says why."""
    refused: list[httpx.Response] = []

    async def workflow(call: Call) -> Answer:
        first = await client.post(
            app.at("flaky"), call.key, parent_token=call.parent_token, retry=LATER
        )
        if first.status_code == 200:
            return Answer(200, b'"whole"', {"Content-Type": "application/json"})
        refused.append(first)
        refused.append(await client.post(app.at("other"), call.key, parent_token=call.parent_token))
        return Answer(200, b'"swallowed"')

    async def flaky(call: Call) -> Answer:
        return Answer(500 if call.attempt == 1 else 200)

    with harness.running(tmp_path, suspend_after_ms=100) as engine:
        async with (
            harness.client(engine.url, "shop") as client,
            application(index=workflow, flaky=flaky, other=flaky) as app,
        ):
            answer = await client.post(app.at("index"))

            assert (answer.status_code, answer.json()["response"]) == (200, "whole")
            for each in refused:
                document = is_problem(each, 504, "suspended")
                assert document["errorSource"] == "engine"
                assert document["runId"] == answer.json()["runId"]
            assert len(refused) == 2
            assert len(app.called("other")) == 0
            tree = (await client.get(f"/api/v1/runs/{answer.json()['runId']}")).json()
            (told, _) = tree["steps"][0]["attemptRows"]
            assert told["status"] == "interruption"
            assert told["error"] == "suspended: sent home, as its steps cannot move soon"


@pytest.mark.slow
async def test_a_nested_function_without_a_parent_token_does_not_fail_for_the_root(
    tmp_path: Path,
) -> None:
    """No function sends a parent token, so the engine takes the nested one's posts for the root's,
    which is sent home as a step timed out: the nested one is told too, its step does not fail."""
    told: list[str] = []

    async def index(call: Call) -> Answer:
        return await passed_on(call, "nested", retry={"count": 0})

    async def nested(call: Call) -> Answer:
        return await passed_on(
            call, "slow", retry={"count": 100, "backOff": 50}, attemptTimeout=300
        )

    async def passed_on(call: Call, name: str, **options: Any) -> Answer:
        answer = await client.post(app.at(name), call.key, **options)
        if answer.status_code != 200:
            told.append(f"{call.name} {answer.status_code}")
        return Answer(200 if answer.status_code == 200 else 500)

    async def slow(call: Call) -> Answer:
        await trio.sleep(10 if call.attempt == 1 else 0)
        return Answer(200)

    with harness.running(tmp_path) as engine:
        async with (
            harness.client(engine.url, "shop") as client,
            application(index=index, nested=nested, slow=slow) as app,
        ):
            answer = await client.post(app.at("index"))

            assert answer.status_code == 200, answer.text
            assert {"index 504", "nested 504"} <= set(told)
            steps = await client.steps(answer.json()["runId"])
            assert steps["nested"]["attemptRows"][0]["status"] == "interruption"
