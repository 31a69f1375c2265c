"""Targets and signatures with a real engine: refused, paused, mended, and verified. §7."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    Client,
    EngineProcess,
    application,
    client,
    eventually,
    is_problem,
    running,
)
from tests.registry.files import secret, write

TAKEN_S = 10.0
SIGNING_SECRET = f"whsec_{base64.b64encode(b's' * 32).decode()}"
OTHERS = "http://127.0.0.2:9/"
SLOW = {"count": 3, "backOff": 3_600_000}


def allow(directory: Path, target: str) -> None:
    """The settings file: client `shop`, and where its steps may be called."""
    write(
        directory / "atomic.toml",
        f'[clients.shop]\ntargets = ["{target}"]\ntoken_file = "shop.token"\n'
        'signing_secret_file = "signing.secret"\n'
        f'[clients.other]\ntargets = ["{OTHERS}"]\n',
    )


async def is_taken(engine: EngineProcess, times: int) -> None:
    """Return when the engine has read its files anew so often."""

    await eventually(lambda: len(engine.events("files-read")) >= times, TAKEN_S)


async def is_told_by_a_job(shop: Client, move: dict[str, str]) -> None:
    """A move in bulk to where others have a target: the job says what to add."""
    asked = {"action": "retarget", "q": "is:live", "expect": 1, **move}
    begun = await shop.http.post("/api/v1/bulk", json=asked)
    job = begun.json()
    while job["state"] == "running":
        job = await shop.read(f"/bulk/{job['id']}")
    assert (job["done"], job["skipped"]) == (0, {"not-possible": 1})
    (why,) = job["reasons"]["not-possible"]
    assert why.endswith(f'to allow it: add "{OTHERS}" to its `targets` in atomic.toml.')


@pytest.mark.slow
async def test_a_target_is_taken_away_and_given_back(tmp_path: Path) -> None:
    """A post elsewhere is 403 and leaves nothing; a run that was accepted is paused while the list
    lacks its target, and completes when it is back. Each call is signed."""
    signed: list[str] = []
    away = True

    async def order(call: Call) -> Answer:
        Webhook(SIGNING_SECRET).verify(call.body, dict(call.headers))
        signed.append(call.headers["webhook-id"])
        return Answer(503 if away else 200)

    write(tmp_path / "admin.token", secret(1))
    write(tmp_path / "shop.token", secret(2))
    write(tmp_path / "signing.secret", SIGNING_SECRET)
    async with application(order=order) as app:
        allow(tmp_path, f"{app.url}/v1")
        with running(tmp_path, **SETTINGS, admin_token_file="admin.token") as engine:
            async with client(engine.url, "shop") as shop:
                shop.http.headers["Authorization"] = f"Bearer {secret(1)}"
                answer = await shop.post(f"{app.url}/v2/order")
                document = is_problem(answer, 403, "target-not-allowed")
                assert (document["client"], document["url"]) == ("shop", f"{app.url}/v2/order")
                assert document["target"] == f"{app.url}/"
                assert f'add "{app.url}/v2/order" to its `targets` in' in document["detail"]
                assert (await shop.read("/runs"))["runs"] == []

                posted = await shop.post(f"{app.url}/v1/order", retry=SLOW, prefer="respond-async")
                run_id = posted.json()["id"]
                await shop.wait_run(run_id, "backing-off")
                allow(tmp_path, "http://127.0.0.1:9/")
                await is_taken(engine, 1)
                await shop.act(run_id, "retry")
                paused = await shop.wait_run(run_id, "paused")
                assert paused["pauseReason"] == "target-not-allowed"
                assert signed == [run_id]
                await is_told_by_a_job(shop, {"from": app.url, "to": OTHERS})
                move = {"from": app.url, "to": f"{app.url}/v3"}
                is_problem(await shop.act(run_id, "retarget", **move), 409, "not-possible")

                away = False
                allow(tmp_path, f"{app.url}/v1")
                await is_taken(engine, 2)
                await shop.act(run_id, "resume")
                outcome = await shop.post(f"{app.url}/v1/order")
                assert (outcome.status_code, outcome.json()["attempts"]) == (200, 3)
                assert signed == [run_id, run_id]
                assert engine.stop() == 0
                assert SIGNING_SECRET not in engine.text
