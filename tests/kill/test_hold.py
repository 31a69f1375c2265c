"""A hold and its release outlive `kill -9`: what was told is durable."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.kill.processes import Process
from tests.loopback import free_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
WITHIN_S = 30.0


class Endpoint:
    """Answers whatever it is sent, and counts it."""

    calls = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
            self.calls += 1
            await stream.send_all(ANSWER)


async def _until(look: Callable[[], Any], is_so: Callable[[dict[str, Any]], bool]) -> None:
    with trio.fail_after(WITHIN_S):
        while not is_so((await look()).json()):
            await trio.sleep(0.05)


@pytest.mark.slow
async def test_a_hold_outlives_kill_9(tmp_path: Path) -> None:
    """Killed as soon as it has said so, the engine holds when it is back: what was posted before
    and what is posted then. A release at a rate goes on after another kill."""
    port, endpoint = free_port(), Endpoint()
    url = f"http://127.0.0.1:{port}"
    arguments = ("-m", "engine.cli", "serve", "--db", str(tmp_path / "a.db"), "--port", str(port))
    engine = Process(arguments, tmp_path / "engine.log")
    async with trio.open_nursery() as nursery, httpx.AsyncClient(base_url=url) as http:
        serve = partial(trio.serve_tcp, endpoint, 0, host="127.0.0.1")
        listener = (await nursery.start(serve))[0]
        at = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/w"

        async def again() -> None:
            engine.kill()
            engine.start()
            await engine.wait_ready(http, f"{url}/readyz")

        async def post(key: str) -> str:
            body = {"workflowName": "w", "stepInvokeUrl": at, "idempotencyKey": key}
            answer = await http.post("/shop", json=body, headers={"Prefer": "respond-async"})
            return str(answer.json()["id"])

        async def holds() -> httpx.Response:
            return await http.get("/api/v1/holds")

        engine.start()
        try:
            await engine.wait_ready(http, f"{url}/readyz")
            held = {"kind": "workflow", "name": "w", "reason": "a test"}
            assert (await http.post("/api/v1/holds", json=held)).status_code == 200
            first = await post("first")
            await again()
            second = await post("second")
            await _until(holds, lambda told: told["waiting"] == 2)
            (hold,) = (await holds()).json()["holds"]
            assert (hold["name"], hold["reason"], hold["waiting"]) == ("w", "a test", 2)
            assert endpoint.calls == 0
            released = {"kind": "workflow", "name": "w", "ratePerS": 1}
            assert (await http.post("/api/v1/holds/release", json=released)).status_code == 200
            await again()
            for step_id in (first, second):
                outcome = await http.get(f"/api/v1/steps/{step_id}/outcome", timeout=WITHIN_S)
                assert outcome.json()["status"] == "completed"
            await _until(holds, lambda told: told["holds"] == [])
        finally:
            assert await engine.stop() == 0
        nursery.cancel_scope.cancel()
