"""Two tenants of one engine, and what each of them has; alpha's people have each role."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from engine.client import AsyncClient
from engine.wire.routes import Role
from tests.e2e.harness import SETTINGS, Answer, Client, application, eventually_async, running

ALPHA, BETA = "alpha", "beta"
FAST = {"count": 0}
PAUSE = {"count": 0, "onExhausted": "pause"}
LATER = {"count": 5, "backOff": 3_600_000, "maxBackOff": 3_600_000}
BETAS = re.compile(rb"beta|ill-of-b")
"""What no answer to alpha may hold: names, keys, URLs and reasons of the other."""
UNKNOWN_RUN = "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
UNKNOWN_STEP = f"{UNKNOWN_RUN}-{'0' * 20}"


class Tenant(Struct):
    """What one of them has."""

    name: str
    role: Role
    http: httpx.AsyncClient
    runs: list[str] = []
    steps: list[str] = []
    jobs: list[str] = []


def kept(directory: Path, name: str, secret: str) -> Path:
    path = directory / f"{name}.token"
    path.write_text(secret)
    return path


async def ill(call: object) -> Answer:
    return Answer(500, b'{"error":"ill-of-b"}')


async def fine(call: object) -> Answer:
    return Answer(200)


class World(Struct):
    """An engine with two clients; alpha's people have each role, beta's may operate."""

    url: str
    directory: Path
    app: str
    admin: AsyncClient
    alphas: dict[str, Tenant]
    beta: Tenant

    async def fill(self, tenant: Tenant, *, number: int) -> None:
        """Runs of the tenant in several states, with a step each, and a job."""
        as_client = Client(self.alphas["poster"].http if tenant.name == ALPHA else tenant.http,
                           tenant.name)  # fmt: skip
        for state, retry in (("fine", FAST), ("ill", FAST), ("ill", LATER), ("ill", PAUSE)):
            key = f"{tenant.name}-{number}-{state}-{len(tenant.runs)}"
            url = f"{self.app}/workflows/{tenant.name}/steps/{state}"
            prefer = "respond-async" if retry != FAST else None
            answer = await as_client.post(
                url, key, {"of": tenant.name}, prefer=prefer, workflowName=f"{tenant.name}-wf",
                retry=retry,
            )  # fmt: skip
            assert answer.status_code in (200, 202, 424), answer.text
            tenant.runs.append(answer.json()["runId"])
        for run_id in tenant.runs:

            async def called(run_id: str = run_id) -> bool:
                tree = await self.admin.operate.run(run_id)
                return all(step.attempts for step in tree.steps) and tree.run.status != "running"

            await eventually_async(called)
            tree = await self.admin.operate.run(run_id)
            tenant.steps += [step.id for step in tree.steps]


@asynccontextmanager
async def a_world(directory: Path) -> AsyncIterator[World]:
    with running(directory, **SETTINGS) as engine:
        async with application(ill=ill, fine=fine) as app, AsyncExitStack() as stack:
            secrets: dict[str, str] = {}
            async with AsyncClient(engine.url) as open_engine:
                added = await open_engine.admin.add_client(ALPHA, [f"{app.url}/"])
                assert added.admin is not None
                secrets |= {"admin": added.admin.secret, "poster": added.made.secret}
            admin = await stack.enter_async_context(
                AsyncClient(engine.url, token_file=kept(directory, "admin", secrets["admin"]))
            )
            await admin.admin.add_client(BETA, [f"{app.url}/"])
            for name, role, client in (
                ("reader", "read", ALPHA), ("operator", "operate", ALPHA),
                ("other", "operate", BETA),
            ):  # fmt: skip
                made = await admin.admin.add_token(name, role, client=client)
                secrets[name] = made.made.secret
            people: dict[str, Tenant] = {}
            for name, role, client in (
                ("poster", Role.SUBMIT, ALPHA), ("reader", Role.READ, ALPHA),
                ("operator", Role.OPERATE, ALPHA), ("other", Role.OPERATE, BETA),
            ):  # fmt: skip
                headers = {"Authorization": f"Bearer {secrets[name]}"}
                kept(directory, name, secrets[name])
                http = await stack.enter_async_context(
                    httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=60)
                )
                people[name] = Tenant(client, role, http)
            beta = people.pop("other")
            world = World(engine.url, directory, app.url, admin, people, beta)
            await world.fill(beta, number=0)
            await world.fill(people["operator"], number=0)
            job = await beta.http.post(
                "/api/v1/bulk",
                json={"action": "dismiss", "q": "is:failed", "expect": 9, "reason": "beta"},
                headers={"Idempotency-Key": "job"},
            )
            assert job.status_code == 202, job.text
            beta.jobs.append(job.json()["id"])
            where = f"/api/v1/bulk/{job.json()['id']}"

            async def is_done() -> bool:
                return bool((await beta.http.get(where)).json()["state"] == "done")

            await eventually_async(is_done)
            yield world
        assert not engine.events("request-failed"), engine.text


def said(answer: httpx.Response, id: str) -> tuple[Any, ...]:
    """An answer, without the id that was asked for."""
    # whether the connection is closed depends on whether the body had come already
    apart = ("date", "content-length", "connection")
    headers = {k: v for k, v in answer.headers.items() if k not in apart}
    return answer.status_code, headers, answer.text.replace(id, "<id>")
