"""A real engine, with work of every kind, before schemathesis: with and without tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio
from msgspec import Struct

from engine.wire import RESERVED_CLIENTS
from tests.e2e.harness import (
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    fine,
    running,
)

HERE = Path(__file__).parent
ONCE = {"count": 0}
CLIENT = "shop"
ENDS_OPENNESS = ("clientAdd", "tokenAdd")
"""From the first client or token on every request needs one: they are asked where there are."""
SPARE = [f"spare-{number}" for number in range(5)]
"""Clients and tokens that may be changed and taken away."""


class Trial(Struct):
    """What is asked, and by whom."""

    engine: EngineProcess
    directory: Path
    app: str
    parents: list[str]
    names: dict[str, list[str]]
    """Of what there is, by the segment of the path."""
    token: str | None


async def ill(call: Call) -> Answer:
    """Fails at once."""
    return Answer(500, b'{"error":"out of stock"}', {"Atomic-No-Retry": "true"})


@asynccontextmanager
async def a_trial(directory: Path, *, has_tokens: bool) -> AsyncIterator[Trial]:
    """An engine with runs that completed, failed and paused; its application answers at once."""
    with running(directory, drain_grace_ms=200, heartbeat_ms=100, retention_days=30) as engine:
        async with application(fine=fine, ill=ill) as app, client(engine.url, CLIENT) as shop:
            token = None
            if has_tokens:
                token = await _tokens(shop.http, app)
            await _work(shop, app)
            parents = [call.headers["atomic-parent"] for call in app.calls]
            if token is not None:
                shop.http.headers["Authorization"] = f"Bearer {token}"
            names = await _names(shop.http)
            yield Trial(engine, directory, app.url, parents, names, token)
            assert not engine.events("request-failed"), engine.text
            assert engine.exit_code is None


async def _tokens(http: httpx.AsyncClient, app: Application) -> str:
    """The admin's; the client that posts has its own."""
    asked = {"name": CLIENT, "targets": [f"{app.url}/"]}
    answer = await http.post("/api/v1/clients", json=asked)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    admin = str(made["admin"]["secret"])
    for name in SPARE:
        as_admin = {"Authorization": f"Bearer {admin}"}
        spare = asked | {"name": name}
        assert (await http.post("/api/v1/clients", json=spare, headers=as_admin)).is_success
        token = {"name": name, "role": "read"}
        await http.post("/api/v1/tokens", json=token, headers=as_admin)
    http.headers["Authorization"] = f"Bearer {made['made']['secret']}"
    return admin


async def _names(http: httpx.AsyncClient) -> dict[str, list[str]]:
    runs = [run["id"] for run in (await http.get("/api/v1/runs")).json()["runs"]]
    trees = [(await http.get(f"/api/v1/runs/{id}")).json() for id in runs]
    steps = [step["id"] for tree in trees for step in tree["steps"]]
    return {"runs": runs, "steps": steps, "clients": SPARE, "tokens": SPARE}


async def _work(shop: Client, app: Application) -> None:
    for number in range(3):
        await shop.post(app.at("fine"), f"fine-{number}", {"n": number}, workflowName="w")
        await shop.post(app.at("ill"), f"ill-{number}", retry=ONCE)
    later = {"count": 5, "backOff": 3_600_000, "maxBackOff": 3_600_000}
    await shop.post(f"{app.url}/none", "later", prefer="respond-async", retry=later)


async def ask_all(
    trial: Trial, *options: str, seed: int, examples: int, document: str = ""
) -> tuple[int, str]:
    """What schemathesis found: its exit code, and what it says. `document`: a file with another
    description than the engine's own."""
    told = {
        "urls": [f"{trial.app}/workflows/w/steps/{name}" for name in ("fine", "ill")],
        "parents": trial.parents,
        "client": CLIENT,
        "own": [CLIENT, "admin"],
        "names": trial.names,
        "reserved": sorted(RESERVED_CLIENTS),
        "directory": str(trial.directory),
        "has_tokens": trial.token is not None,
    }
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file",
        str(HERE / "schemathesis.toml"), "run",
        document or f"{trial.engine.url}/openapi.json", "--checks", "all",
        "--seed", str(seed), "--max-examples", str(examples), "--no-color", *options,
    ]  # fmt: skip
    if trial.token is not None:
        command += ["--header", f"Authorization: Bearer {trial.token}"]
    else:
        for id in ENDS_OPENNESS:
            command += ["--exclude-operation-id", id]
    done: Any = await trio.to_thread.run_sync(
        partial(
            subprocess.run,
            command,
            cwd=trial.directory,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "OPENAPI_TOLD": json.dumps(told)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    )
    return done.returncode, done.stdout
