"""An application behind a gate, and an engine that takes no step without a parent token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.clients.applications import Application, served
from tests.clients.gate import Gate, gate
from tests.e2e import harness
from tests.e2e.harness import EngineProcess
from tests.loopback import free_port

PATIENCE_S = 90.0
"""How long a run may take on a machine that is busy with other things."""

USER = {"userName": "ada", "email": "ada@example.com"}


@dataclass
class Shop:
    """An engine, an application of one language, and what stands between them."""

    engine: EngineProcess
    application: Application
    gate: Gate
    client: harness.Client

    async def submit(self, workflow: str, key: str, payload: Any, **members: Any) -> httpx.Response:
        """Post a workflow of the application, and wait for its outcome."""
        path = {"createUser": "userCreation", "order": "order"}[workflow]
        with trio.move_on_after(PATIENCE_S):
            return await self.client.post(
                f"{self.gate.url}/workflows/{path}/index",
                key,
                payload,
                workflowName=workflow,
                **members,
            )
        (run,) = (await self.client.read(f"/runs?workflow={workflow}&key={key}"))["runs"]
        raise AssertionError(f"not ended in {PATIENCE_S:.0f} s: {await self.tree(run['id'])}")

    async def counts(self) -> dict[str, int]:
        """How many effects there are of each kind, as the application says."""
        url = f"http://127.0.0.1:{self.application.port}/"
        answer = await self.client.http.get(url)
        counts: dict[str, int] = answer.json()
        return counts

    async def tree(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The steps of a run by their names, with their attempts."""
        steps = (await self.client.read(f"/runs/{run_id}"))["steps"]
        return {step["name"]: step for step in steps}

    async def restart(self) -> None:
        """kill -9 of the application, and a new one on its port and data."""
        await trio.to_thread.run_sync(self.application.kill)
        await trio.to_thread.run_sync(self.application.start)


@asynccontextmanager
async def shop(
    language: str,
    built: Path,
    directory: Path,
    environ: Mapping[str, str] | None = None,
    prepare: Callable[[str], None] = lambda url: None,
    **settings: Any,
) -> AsyncIterator[Shop]:
    """Everything served, for the length of a block. `environ`: more for the application; `prepare`
    is told its address before the engine starts."""
    settings = {"steps_need_parent": True, **settings}
    async with gate() as between:
        prepare(between.url)
        with harness.running(directory, **settings) as engine:
            async with harness.client(engine.url) as client:
                client.http.timeout = httpx.Timeout(PATIENCE_S)
                named = {"ATOMIC_URL": engine.url, "APP_URL": between.url, **(environ or {})}
                port = free_port()
                application = Application(language, built, directory / "data", port, named)
                between.target = port
                with served(application):
                    await trio.to_thread.run_sync(application.start)
                    yield Shop(engine, application, between, client)
