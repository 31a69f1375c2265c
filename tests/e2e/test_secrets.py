"""Secrets of tenants, callers and endpoints: where none of them may ever come."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import httpx
import pytest
import trio

from engine.client import AsyncClient, StepFailed
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    eventually,
    fine,
    running,
)
from tests.registry.files import secret, write

KEY = b"Kz7-canary-of-a-signing-key-9xQ"
"""Of letters, so that it is found however it is written."""
SIGNING = f"whsec_{base64.b64encode(KEY).decode()}"
ADMIN, SHOP = secret(1), secret(2)
PASSED_ON = {
    "authorization": "Bearer canary-1", "cookie": "session=canary-2", "x-api-key": "canary-3",
    "proxy-authorization": "Basic canary-4", "x-forwarded-for": "203.0.113.9",
    "forwarded": "for=203.0.113.9", "webhook-signature": "v1,canary-5", "x-tenant": "canary-6",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "user-agent": "canary-7", "referer": "http://canary-8/", "accept": "canary/9",
}  # fmt: skip
"""What a caller may send along, and an endpoint must not get."""
SENT = {
    "host", "content-type", "user-agent", "idempotency-key", "atomic-client", "atomic-run-id",
    "atomic-step-id", "atomic-workflow", "atomic-attempt", "atomic-parent", "traceparent",
    "accept-encoding", "content-length",
}  # fmt: skip


async def test_no_header_of_a_caller_is_passed_on(engine: EngineProcess, shop: Client) -> None:
    """What an endpoint is sent is the engine's alone: all that comes is known here by name."""
    async with application(fine=fine) as app:
        headers = {**PASSED_ON, "content-type": "application/json"}
        body = {"workflowName": "w", "stepInvokeUrl": app.at("fine"), "idempotencyKey": "k"}
        answer = await shop.http.post(f"/{shop.name}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        (call,) = app.calls
    assert set(call.headers) == SENT
    for name, value in PASSED_ON.items():
        assert value not in call.headers.values(), name
    assert "canary" not in str(call.headers)
    assert "canary" not in engine.text


async def ask(directory: Path, url: str, *words: str) -> bytes:
    """All that a command writes."""
    done = await trio.run_process(
        [sys.executable, "-m", "engine.cli", *words, "--engine", url],
        env={**os.environ, "ATOMIC_TOKEN_FILE": str(directory / "admin.token")},
        capture_stdout=True, capture_stderr=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


COMMANDS = (
    "status", "runs", "runs --json", "show {id} --attempts", "show {id} --json", "body {id}",
    "client ls", "client ls --json", "token ls", "token ls --json", "limits", "holds", "audit",
    "audit --json", "bulk list", "retry none", "tui --once",
)  # fmt: skip


@pytest.mark.slow
async def test_no_secret_comes_out(tmp_path: Path) -> None:
    """Tokens, signing secrets and parent tokens, good and bad, with the log at its most talkative:
    in no line of it, no file, metric, event, answer or command, nor in the engine's own words."""
    parents: list[str] = []

    async def failing(call: Call) -> Answer:
        parents.append(call.parent_token)
        return Answer(500, b'{"error":"no luck"}')

    async with application(failing=failing) as app:
        write(tmp_path / "admin.token", ADMIN)
        write(tmp_path / "shop.token", SHOP)
        write(tmp_path / "shop.signing", SIGNING)
        client = f'targets = ["{app.url}/"]\ntoken_file = "../shop.token"\n'
        write(tmp_path / "clients/shop.toml", client + 'signing_secret_file = "../shop.signing"')
        write(tmp_path / "atomic.toml", 'clients_dir = "clients"\nadmin_token_file = "admin.token"')
        with running(tmp_path, log_level="debug", **SETTINGS) as engine:
            told = [await what_is_told(tmp_path, engine, app)]
            write(tmp_path / "shop.token", f"{SHOP} {ADMIN}")  # two in a line
            await eventually(lambda: engine.events("bad-file"))
            told.append(await ask(tmp_path, engine.url, "status"))
            assert engine.stop() == 0
        told += [engine.text.encode(), *(it.read_bytes() for it in tmp_path.glob("a.db*"))]
    assert len(parents) == 2
    canaries = [ADMIN, SHOP, SIGNING, SIGNING.removeprefix("whsec_"), KEY.decode(), *parents]
    assert b"bad-file" in told[2]
    assert b"a bad file" in told[1]
    for canary in canaries:
        for text in told:
            assert canary.encode() not in text, canary
            assert canary[7:40].encode() not in text, canary


async def what_is_told(directory: Path, engine: EngineProcess, app: Application) -> bytes:
    """A run that fails, bad tokens, and all that can be read of it."""
    told = b""
    async with AsyncClient(engine.url, token_file=directory / "shop.token") as shop:
        with pytest.raises(StepFailed) as caught:
            await shop.submit(
                "w", client="shop", url=app.at("failing"), key="k", retry={"count": 1, "backOff": 1}
            )
        told += f"{caught.value!r} {caught.value} {shop!r} {vars(shop)}".encode()
    async with AsyncClient(engine.url, token_file=directory / "admin.token") as admin:
        (row,) = (await admin.operate.run_page()).runs
        file_id = ((await admin.operate.status()).sequence or "").rpartition("-")[0]
        async with admin.operate.events(f"{file_id}-0") as stream:
            async for event in stream:
                told += bytes(event.raw)
                if event.kind == "heartbeat" and b'"failed"' in told:
                    break
    for words in COMMANDS:
        said = await ask(directory, engine.url, *words.format(id=row.id).split())
        assert said, words
        assert b"token is needed" not in said, words
        told += said
    assert told.count(b"no luck") >= 5
    bearer = {"Authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(base_url=engine.url, headers=bearer, timeout=60) as http:
        for path in ("/metrics", "/openapi.json", "/api/v1/status", f"/api/v1/runs/{row.id}"):
            told += (await http.get(path)).content
        for bad in (f"{SHOP}x", f"Basic {SHOP}", ADMIN.upper()):
            answer = await http.get("/api/v1/runs", headers={"Authorization": f"Bearer {bad}"})
            told += answer.content
    return told
