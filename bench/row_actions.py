"""Every action on a run at its limit of steps: what others notice of it.

Two runs of `action_steps` steps: `flat`, all right below the root, and `deep`, in chains as deep as the
limit. Their endpoints answer 500 and the steps back off for an hour, all but the root, whose request is held.
Then each action is carried out in turn, while /healthz is asked every PROBE_EVERY_S on connections of its own:
`took_ms` until the action is answered, `stall_ms` the longest that /healthz took from the action's post until
all that follows from it is over (attempts that start and fail, rows written), `idle_ms` the longest that it took
for as long before, when nothing was done.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import machine
from forms import Form, Record, say
from http1 import Connection
from systems import fresh, processes, start_engine

PROBE_EVERY_S = 0.005
DEPTH = 32
POSTERS = 16
HOUR_MS = 3_600_000
RETRY = {"count": 9, "backOff": HOUR_MS, "maxBackOff": HOUR_MS}
SETTLED_S = 1.5
"""So long nothing moves, more than the rows of the tables lag."""
ACTIONS: tuple[tuple[str, bool, bool], ...] = (
    # action, of a step, dry run
    ("pause", False, True), ("pause", False, False), ("resume", False, False), ("retry", False, True),
    ("retry", False, False), ("cancel", True, False), ("cancel", False, False), ("dismiss", False, False),
    ("restore", False, False), ("retry", False, True), ("rerun", True, True), ("retry", False, False),
    ("rerun", True, False),
)  # fmt: skip


class Application:
    """The endpoints of the steps; the root's posts all others, and is held until `release`."""

    def __init__(self, engine_port: int, port: int, steps: int, deep: bool) -> None:
        self.posted, self.release = asyncio.Event(), asyncio.Event()
        self._engine_port, self._port, self._deep = engine_port, port, deep
        chain = DEPTH - 1 if deep else 1
        self._heads = [(n, min(chain, steps - 1 - n)) for n in range(0, steps - 1, chain)]
        self._left = steps - 1

    async def _post(self, connection: Connection, parent_token: str, name: str) -> None:
        body = {"workflowName": "limit", "stepInvokeUrl": f"http://127.0.0.1:{self._port}/{name}",
                "idempotencyKey": "k", "stepName": "step", "retry": RETRY}  # fmt: skip
        headers = {"Atomic_Parent": parent_token, "Prefer": "respond-async"}
        status, _, text = await connection.request("POST", "/bench", json.dumps(body), **headers)
        assert status == 202, (status, text[:200])
        self._left -= 1
        if not self._left:
            self.posted.set()

    async def _root(self, parent_token: str) -> None:
        async def poster() -> None:
            connection = Connection(self._engine_port)
            while heads:
                number, length = heads.pop()
                await self._post(connection, parent_token, f"{number}/{length - 1}")
            connection.close()

        heads = list(self._heads)
        await asyncio.gather(*(poster() for _ in range(POSTERS)))
        await self.release.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                pairs = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                fields = {name.lower(): value for name, _, value in pairs}
                await reader.readexactly(int(fields["content-length"]))
                name, attempt = head.split(" ", 2)[1].strip("/"), int(fields["atomic-attempt"])
                last = ""
                if name == "root" and attempt == 1:
                    await self._root(fields["atomic-parent"])
                elif name == "root":
                    last = "Atomic-No-Retry: true\r\n"
                elif attempt == 1 and self._deep and not name.endswith("/0"):
                    number, _, below = name.partition("/")
                    connection = Connection(self._engine_port)
                    await self._post(
                        connection, fields["atomic-parent"], f"{number}/{int(below) - 1}"
                    )
                    connection.close()
                writer.write(f"HTTP/1.1 500 Failed\r\n{last}Content-Length: 0\r\n\r\n".encode())
        except (EOFError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _application(*arguments: Any) -> AsyncIterator[Application]:
    app = Application(*arguments)
    server = await asyncio.start_server(app.serve, "127.0.0.1", arguments[1], backlog=4096)
    try:
        yield app
    finally:
        server.close()


async def _settled(port: int, run_id: str) -> dict[str, Any]:
    """The run's row, when nothing of it has moved for a while."""
    connection, seen, since = Connection(port), None, time.monotonic()
    while time.monotonic() < since + SETTLED_S:
        status = await connection.get("/api/v1/status")
        now = (status["sequence"], status["inFlight"], status["queued"])
        if now != seen:
            seen, since = now, time.monotonic()
        await asyncio.sleep(0.1)
    tree = await connection.get(f"/api/v1/runs/{run_id}")
    connection.close()
    return tree


async def _probe(port: int, took_ms: list[float]) -> None:
    connection = Connection(port)
    while True:
        began = time.perf_counter()
        await connection.request("GET", "/healthz")
        took_ms.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PROBE_EVERY_S)


async def _act(
    port: int, run_id: str, step: str | None, action: str, *, dry: bool
) -> dict[str, Any]:
    body = {"action": action, "dryRun": dry} | ({} if step is None else {"step": step})
    connection, probes = Connection(port), [[0.0], [0.0]]
    tasks = [asyncio.create_task(_probe(port, each)) for each in probes]
    await asyncio.sleep(2 * SETTLED_S)
    idle_ms = max(map(max, probes))
    for each in probes:
        each.clear()
    began = time.perf_counter()
    status, _, text = await connection.request(
        "POST", f"/api/v1/runs/{run_id}/actions", json.dumps(body)
    )
    took_ms = (time.perf_counter() - began) * 1000
    # The tree is read when probing is over: 10,000 rows are another matter.
    connection.close()
    await asyncio.sleep(2 * SETTLED_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert status in (200, 202), (action, status, text[:300])
    return {
        "action": action, "of_step": step is not None, "dry_run": dry, "took_ms": took_ms,
        "changed": len(json.loads(text)["changed"]), "stall_ms": max(map(max, probes)), "idle_ms": idle_ms,
    }  # fmt: skip


async def _run(form: Form, record: Record, turn: int, shape: str) -> None:
    app_port, port = machine.free_port(), machine.free_port()
    with processes() as p:
        start_engine(p, port, fresh("data-actions") / "atomic.db")
        async with _application(port, app_port, form.action_steps, shape == "deep") as app:
            body = {"workflowName": "limit", "stepInvokeUrl": f"http://127.0.0.1:{app_port}/root",
                    "idempotencyKey": "k", "attemptTimeout": HOUR_MS, "retry": RETRY}  # fmt: skip
            post = Connection(port)
            _, _, text = await post.request(
                "POST", "/bench", json.dumps(body), Prefer="respond-async"
            )
            run_id = json.loads(text)["id"]
            await asyncio.wait_for(app.posted.wait(), 120)
            for action, of_step, dry in ACTIONS:
                steps = (await _settled(port, run_id))["steps"]
                assert len(steps) == form.action_steps, len(steps)
                step = steps[len(steps) // 2]["id"] if of_step else None
                values = await _act(port, run_id, step, action, dry=dry)
                say(values)
                record("actions", round=turn, shape=shape, steps=len(steps), **values)
                if action == "cancel" and not of_step:
                    app.release.set()
            post.close()
    fresh("data-actions")


def run(form: Form, record: Record) -> None:
    """Each shape and each time on an engine and a file of its own."""
    for turn in range(form.rounds):
        for shape in ("flat", "deep"):
            asyncio.run(_run(form, record, turn, shape))
