"""A bulk job outlives `kill -9` in its middle: every run once, and what came of each is told."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.kill.processes import Process
from tests.loopback import free_port

RUNS = 30
WITHIN_S = 60.0
NEVER = frozenset({"k7", "k19"})
"""Keys that fail whatever is done."""


class Endpoint:
    """Fails until it is mended, and counts the calls of each key."""

    def __init__(self) -> None:
        self.mended = False
        self.calls: Counter[str] = Counter()

    async def __call__(self, stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some()
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += await stream.receive_some()
            key = json.loads(body)["idempotencyKey"]
            self.calls[key] += 1
            status = b"200 OK" if self.mended and key not in NEVER else b"503 No"
            await stream.send_all(
                b"HTTP/1.1 %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}" % status
            )


@pytest.mark.slow
async def test_a_job_outlives_kill_9(tmp_path: Path) -> None:
    """Killed three times while it is at work, it acts on no run twice and leaves none out: each is
    called once more. The first runs are waited for over a kill, too."""
    port, endpoint = free_port(), Endpoint()
    url = f"http://127.0.0.1:{port}"
    arguments = ("-m", "engine.cli", "serve", "--db", str(tmp_path / "a.db"), "--port", str(port))
    engine = Process(arguments, tmp_path / "engine.log")
    async with trio.open_nursery() as nursery, httpx.AsyncClient(base_url=url) as http:
        serve = partial(trio.serve_tcp, endpoint, 0, host="127.0.0.1")
        listener = (await nursery.start(serve))[0]
        at = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/w"

        async def get(path: str) -> Any:
            return (await http.get(f"/api/v1{path}")).raise_for_status().json()

        async def until(job: str, done: int) -> None:
            with trio.fail_after(WITHIN_S):
                while (await get(f"/bulk/{job}"))["done"] < done:
                    await trio.sleep(0.02)

        engine.start()
        try:
            await engine.wait_ready(http, f"{url}/readyz")
            for number in range(RUNS):
                body = {"workflowName": "w", "stepInvokeUrl": at, "idempotencyKey": f"k{number}",
                        "retry": {"count": 0}}  # fmt: skip
                assert (await http.post("/shop", json=body)).status_code == 424
            endpoint.mended = True
            asked = {
                "action": "retry",
                "q": "is:failed",
                "expect": RUNS,
                "ratePerS": 20,
                "first": 3,
            }
            job = (await http.post("/api/v1/bulk", json=asked)).raise_for_status().json()["id"]
            for done in (1, 3, 15):
                await until(job, done)
                engine.kill()
                engine.start()
                await engine.wait_ready(http, f"{url}/readyz")
            await until(job, RUNS)
            with trio.fail_after(WITHIN_S):
                while (told := await get(f"/bulk/{job}"))["runs"] != {
                    "completed": RUNS - len(NEVER), "failed": len(NEVER),
                }:  # fmt: skip
                    await trio.sleep(0.05)
            assert (told["done"], told["skipped"], told["firstCompleted"]) == (RUNS, {}, True)
            assert told["failures"] == [
                {"httpStatus": 503, "error": None, "runs": len(NEVER)},
            ]  # fmt: skip
            failed = await get(f"/runs?q=job:{job}+is:failed")
            assert {run["idempotencyKey"] for run in failed["runs"]} == NEVER
            whole = await get(f"/runs?q=job:{job}&limit=500")
            assert {run["generation"] for run in whole["runs"]} == {2}
            assert len(whole["runs"]) == RUNS
        finally:
            assert await engine.stop() == 0
        nursery.cancel_scope.cancel()
    # a call that a kill cut is made again; no run was opened a third time
    assert set(endpoint.calls) == {f"k{number}" for number in range(RUNS)}
    assert all(2 <= calls <= 2 + 3 for calls in endpoint.calls.values())
