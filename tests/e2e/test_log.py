"""The log of a real engine: why runs fail, in JSON, whole, whoever reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import trio

from tests.e2e import harness
from tests.e2e.harness import Answer, Call, application, client, eventually, is_problem

NO_RETRY = {"count": 0}
NOBODY = "http://127.0.0.1:1/steps/charge"
"""No endpoint is there."""


async def declined(call: Call) -> Answer:
    body = {"error": {"code": "card_declined", "message": "token=hunter2 insufficient funds"}}
    return Answer(402, json.dumps(body).encode())


async def test_a_failing_run_tells_why(tmp_path: Path) -> None:
    """With the excerpt and without its secret, of an answer and of a connection."""
    async with application(charge=declined) as app:
        with harness.running(tmp_path) as engine:
            async with client(engine.url, "shop") as shop:
                answer = await shop.post(app.at("charge"), "k1", workflowName="w", retry=NO_RETRY)
                await shop.post(NOBODY, "k2", workflowName="w", retry=NO_RETRY)
            assert engine.stop() == 0
    (first, second), (attempt, _) = engine.events("run-failed"), engine.events("attempt-failed")
    assert [*first][:3] == ["timestamp", "level", "event"]
    assert first["level"] == "warning"
    assert first["run_id"] == answer.json()["runId"]
    assert first["excerpt"].startswith("card_declined: ")
    assert "hunter2" not in engine.text
    assert second["key"] == "k2"
    assert second["error"].startswith("connection-refused: ")
    assert second["excerpt"]
    assert (attempt["level"], attempt["state"]) == ("info", "failed")


async def test_connections_that_are_turned_away(tmp_path: Path) -> None:
    """One line, with the limit; the rest are counted. Who looks after the engine is answered."""
    with harness.running(tmp_path, connections_max=1) as engine:
        port = int(engine.url.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as busy:
            await busy.send_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await busy.receive_some(1)
            for _ in range(5):
                async with client(engine.url, "shop") as shop:
                    is_problem(await shop.post(NOBODY, "k"), 503, "overloaded")
            async with client(engine.url) as prober:
                assert (await prober.get("/healthz")).status_code == 200
                assert (await prober.read("/status"))["limits"]["connectionsMax"] == 1
        await eventually(lambda: len(engine.events("overloaded")) == 2)
    first, rest = engine.events("overloaded")
    assert (first["level"], first["limit"]) == ("warning", "connections_max")
    assert rest["left_out"] == 3


async def test_failures_do_not_wait_for_a_log_that_nobody_reads(tmp_path: Path) -> None:
    """A pipe that is full: runs fail on, each with a reason of its own, and others are served."""
    reader, writer = os.pipe()
    try:
        engine = harness.launch(tmp_path, stderr=writer, port=0)
        with os.fdopen(os.dup(reader), "rb", buffering=0) as head:
            text = b""
            while b'"listening"' not in text:
                text += await trio.to_thread.run_sync(head.read, 4096)
        engine.url = next(
            json.loads(line)["url"] for line in text.splitlines() if b'"listening"' in line
        )
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
        async with application(charge=declined) as app, client(engine.url, "shop") as shop:
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(
                        lambda n: shop.post(app.at("charge"), f"k{n}", workflowName=f"w{n}",
                                            retry=NO_RETRY), number,
                    )  # fmt: skip
            assert (await shop.get("/healthz")).status_code == 200
            assert (await shop.read("/status"))["counts"]["failed"] == 100
        engine.kill()
    finally:
        os.close(reader)
        os.close(writer)
