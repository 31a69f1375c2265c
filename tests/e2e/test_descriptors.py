"""An engine with few descriptors: warned of, refused in words, and no run the worse for it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e import harness
from tests.e2e.harness import SLOW_POST, Answer, Call, application, eventually, is_problem

DESCRIPTORS = 64
CONNECTIONS = 100


async def answer_without_room(engine_url: str) -> httpx.Response:
    """What an application is told. Of many some are closed without a word: it asks again."""
    with trio.fail_after(harness.PATIENCE_S):
        async with harness.client(engine_url) as other:
            while True:
                try:
                    return await other.get("/api/v1/steps/x/outcome")
                except httpx.TransportError:
                    await trio.sleep(0.05)


@pytest.mark.slow
async def test_100_connections_and_64_descriptors(tmp_path: Path) -> None:
    """The start warns; who finds no room is told so; retries reach their endpoint meanwhile."""
    failed: set[str] = set()

    async def fails_once(call: Call) -> Answer:
        again = call.key in failed
        failed.add(call.key)
        return Answer(200 if again else 500)

    with harness.running(tmp_path, descriptors=DESCRIPTORS) as engine:
        (warning,) = engine.events("few-descriptors")
        assert warning["has"] == DESCRIPTORS
        assert warning["level"] == "warning"
        assert "LimitNOFILE" in warning["hint"]
        port = int(engine.url.rpartition(":")[2])
        held: list[socket.socket] = []
        try:
            async with application(step=fails_once) as app, harness.client(engine.url) as shop:
                runs = []
                for number in range(4):
                    started = await shop.post(
                        app.at("step"), f"k{number}", payload="p" * 9_000, prefer="respond-async",
                        retry={"count": 1, "backOff": 1_000, "jitter": 0},
                    )  # fmt: skip
                    runs.append(started.json()["runId"])
                for _ in range(CONNECTIONS):
                    held.append(socket.create_connection(("127.0.0.1", port)))
                    with suppress(OSError):  # it was turned away already
                        held[-1].sendall(SLOW_POST)
                refused = await answer_without_room(engine.url)
                is_problem(refused, 503, "overloaded")
                assert refused.headers["retry-after"] == "1"
                await eventually(lambda: len(app.called("step")) == 8)
                for each in held:  # so that who looks finds room
                    each.close()
                while (await answer_without_room(engine.url)).status_code == 503:
                    await trio.sleep(0.05)
                for run in runs:
                    assert (await shop.wait_run(run, "completed"))["failedSteps"] == 0
                status = await shop.read("/status")
                metrics = (await shop.get("/metrics")).text
                assert "atomic_accepts_failed_total 0.0" in metrics
                assert "atomic_connections_refused_total 0.0" not in metrics
                assert status["limits"]["connectionsMax"] == warning["connections_max"]
        finally:
            for each in held:
                each.close()
        assert engine.stop() == 0
        assert "request-failed" not in engine.text
        assert "run-parked" not in engine.text


@pytest.mark.slow
async def test_functions_that_do_not_wait_take_no_descriptors_of_others(tmp_path: Path) -> None:
    """A hundred workflows begin a step that backs off for a day, and work on, at an engine that may
    open 200 files: so many are called as may be in flight, and whoever connects is answered."""
    go_on, answered = trio.Event(), set[str]()

    async def begins(call: Call) -> Answer:
        async with harness.client(engine.url) as shop:
            begun = await shop.post(
                app.at("fails"), call.key, parent_token=call.parent_token, prefer="respond-async",
                retry={"count": 1, "backOff": 86_400_000, "jitter": 0},
            )  # fmt: skip
            assert begun.status_code == 202
        await go_on.wait()
        answered.add(call.key)
        return Answer()

    async def fails(call: Call) -> Answer:
        return Answer(500)

    with harness.running(tmp_path, descriptors=200) as engine:
        (few,) = engine.events("few-descriptors")
        at_once = few["in_flight_max"]
        assert at_once < 50
        async with application(begins=begins, fails=fails) as app, harness.client(engine.url) as it:
            for number in range(100):
                await it.post(app.at("begins"), f"k{number}", prefer="respond-async")
            await eventually(lambda: len(app.called("begins")) == at_once)
            status = await it.read("/status")
            assert (await it.get("/healthz")).status_code == 200
            assert status["inFlight"] == at_once
            assert len(app.called("begins")) == at_once
            go_on.set()
            await eventually(lambda: len(answered) == 100)
        assert engine.stop() == 0
        assert "no-descriptor" not in engine.text
        assert "accept-failed" not in engine.text
