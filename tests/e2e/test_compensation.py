"""Compensation as users write it: with the client, with the example, and with what goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.client import AsyncClient, StepFailed
from tests.e2e import harness
from tests.e2e.harness import (
    Answer,
    Call,
    Client,
    EngineProcess,
    application,
    eventually,
    fine,
    is_problem,
)
from tests.loopback import free_port

ROOT_DIRECTORY = Path(__file__).parents[2]
FAST = {"count": 5, "backOff": 10, "jitter": 0}


async def declined(call: Call) -> Answer:
    return Answer(402, b'{"reason":"card_declined"}')


@pytest.mark.parametrize(
    "wrong", [Answer(500, b"database down"), Answer(503, headers={"Retry-After": "0"})]
)
async def test_what_goes_wrong_in_the_branch_that_compensates(
    engine: EngineProcess, shop: Client, wrong: Answer
) -> None:
    """Its database is down for two executions: the third releases, once, and the run completes.
    Row and log say of both what they were told and answered."""
    left = [wrong, wrong]

    async def order(call: Call) -> Answer:
        await shop.post(app.at("reserve"), call.key, parent_token=call.parent_token)
        retry = {**FAST, "stopOn": [402]}
        told = await shop.post(
            app.at("charge"), call.key, parent_token=call.parent_token, retry=retry
        )
        assert is_problem(told, 424, "step-failed")["lastAttempt"]["httpStatus"] == 402
        if left:
            return left.pop()
        await shop.post(app.at("release"), call.key, parent_token=call.parent_token)
        return Answer(200, b'"declined"')

    steps = {"reserve": fine, "charge": declined, "release": fine}
    async with application(order=order, **steps) as app:
        answer = await shop.post(app.at("order"), retry=FAST)
        assert (answer.status_code, answer.json()["response"]) == (200, "declined")
        called = {name: len(app.called(name)) for name in ("order", *steps)}
        assert called == {"order": 3, "reserve": 1, "charge": 1, "release": 1}
        rows = (await shop.steps(answer.json()["runId"]))["order"]["attemptRows"]
        for row in rows[:2]:
            assert row["error"].startswith("unhandled-failure: answered 50")
            assert "after it was told that charge failed (answered 402" in row["error"]

        def said() -> list[dict[str, Any]]:
            lines = engine.events("failure-not-handled")
            return [it for it in lines if it["step_id"] == answer.json()["id"]]

        await eventually(lambda: len(said()) == 2)  # what is alike is said once a second
        assert [it["attempt"] for it in said()] == [1, 2]
        assert [it["error"] for it in said()] == [row["error"] for row in rows[:2]]


async def test_as_the_page_once_had_it(engine: EngineProcess, shop: Client) -> None:
    """With the product's client and `failed.problem.get(…)`: the stock is released."""

    async def order(call: Call) -> Answer:
        headers = {"Atomic-Parent": call.parent_token}
        flow = atomic.workflow("w", client=shop.name, key=call.key, headers=headers)
        await flow.step(app.at("reserve"))
        try:
            await flow.step(app.at("charge"), retry={"stopOn": [402]})
        except StepFailed as failed:
            problem: Any = failed.problem
            if (problem.get("lastAttempt") or {}).get("httpStatus") != 402:
                raise
            await flow.step(app.at("release"))
        return Answer(200, b'"declined"')

    steps = {"reserve": fine, "charge": declined, "release": fine}
    async with AsyncClient(engine.url) as atomic, application(order=order, **steps) as app:
        answer = await shop.post(app.at("order"), retry=FAST)
        assert (answer.status_code, answer.json()["response"]) == (200, "declined")
        assert len(app.called("release")) == len(app.called("order")) == 1


@contextmanager
def order_app(engine_url: str) -> Iterator[str]:
    """The page's example as a process; gives its address."""
    port = free_port()
    environment = {"ATOMIC_URL": engine_url, "APP_PORT": str(port), "PYTHONPATH": "."}
    process = subprocess.Popen(
        [sys.executable, "docs/examples/order_app.py"], cwd=ROOT_DIRECTORY,
        env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
async def test_the_example(engine: EngineProcess) -> None:
    """Confirmed, declined and undone, and a failure that it lets out ends the run at once."""
    with order_app(engine.url) as url:
        async with harness.client(engine.url) as shop, httpx.AsyncClient() as http:

            async def answers() -> bool:
                try:
                    return (await http.get(f"{url}/stock")).status_code == 200
                except httpx.TransportError:
                    return False

            await harness.eventually_async(answers)

            async def order(key: str, card: str) -> httpx.Response:
                payload = {"item": key, "card": card}
                return await shop.post(f"{url}/order", key, payload, workflowName="placeOrder")

            assert (await order("lamp", "good")).json()["response"] == {"status": "confirmed"}
            assert (await order("bell", "bad")).json()["response"] == {"status": "declined"}
            document = is_problem(await order("kettle", "broken"), 424, "step-failed")
            assert (document["cause"]["stepName"], document["attempts"]) == ("chargeCard", 1)
            assert (await http.get(f"{url}/stock")).json() == ["kettle", "lamp"]
