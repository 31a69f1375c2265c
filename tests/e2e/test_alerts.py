"""Alerts of a real engine: what the receiver gets, who may see them, and what no alert says."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from standardwebhooks import Webhook

from engine.client import AsyncClient
from engine.core.access.client import ALERTS_CLIENT
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    application,
    client,
    eventually,
    eventually_async,
    fine,
    launch,
    restart,
    running,
)
from tests.loopback import free_port

SECRET = base64.b64encode(b"s" * 32).decode()
CANARY = "canary7f3e"


async def failing(call: Call) -> Answer:
    return Answer(500, json.dumps({"error": f"no, password={CANARY}", "card": CANARY}).encode())


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(fine=fine, failing=failing, hook=fine) as app:
        yield app


def settings(directory: Path, app: Application, **more: Any) -> dict[str, Any]:
    """Of an engine that tells `app`."""
    secret = directory / "alerts.secret"
    secret.write_text(f"whsec_{SECRET}\n")
    secret.chmod(0o600)
    return {
        **SETTINGS, "alerts_url": f"{app.url}/hook", "alerts_signing_secret_file": str(secret),
        **more,
    }  # fmt: skip


def kept(directory: Path, secret: str) -> Path:
    path = directory / "token"
    path.write_text(secret)
    path.chmod(0o600)
    return path


async def fail(shop: Client, app: Application, key: str = "k") -> None:
    answer = await shop.post(
        app.at("failing"), key, {"pin": CANARY}, retry={"count": 0, "onExhausted": "fail"}
    )
    assert answer.status_code == 424


async def test_an_alert_is_signed_and_says_no_secret(tmp_path: Path, app: Application) -> None:
    """As the standard's own package verifies it; the status, the list and the metrics have it."""
    with running(tmp_path, **settings(tmp_path, app, alerts_rules=["failed"])) as engine:
        async with client(engine.url, "shop") as shop:
            await fail(shop, app)
            await eventually(lambda: app.called("hook"))
            (call,) = app.called("hook")
            Webhook(f"whsec_{SECRET}").verify(call.body, dict(call.headers))
            event = json.loads(call.body)
            assert event["type"] == "dev.atomic.run.failed"
            assert event["id"] == call.headers["webhook-id"]
            assert CANARY not in call.body.decode()
            assert not [name for name in call.headers if name.startswith("atomic-")]

            async def delivered() -> Any:
                return (await shop.read("/status"))["alerts"]["delivered"] == 1

            await eventually_async(delivered)
            runs = (await shop.read(f"/runs?client={ALERTS_CLIENT}"))["runs"]
            assert [(it["client"], it["id"]) for it in runs] == [(ALERTS_CLIENT, event["id"])]
            metrics = (await shop.get("/metrics")).text
            assert 'atomic_alerts_sent_total{rule="failed"} 1.0' in metrics
            assert "atomic_alerts_delivered_total 1.0" in metrics


async def test_who_sees_one_client_sees_nothing_of_alerts(tmp_path: Path, app: Application) -> None:
    """Neither in the status, nor in a list, nor by a run's id; an admin's test is in the audit."""
    with running(tmp_path, **settings(tmp_path, app)) as engine:
        async with AsyncClient(engine.url) as open_engine:
            made = await open_engine.admin.add_client("shop", [f"{app.url}/"])
            assert made.admin is not None
        async with AsyncClient(engine.url, token_file=kept(tmp_path, made.admin.secret)) as admin:
            reader = await admin.admin.add_token("reader", "read", client="shop")
            run_id = await admin.admin.test_alerts()
            outcome = await admin.outcome(run_id)
            assert outcome.status == "completed"
            assert (await admin.operate.status()).alerts is not None
            assert (await admin.admin.audit()).entries[0].act == "alerts test"
        headers = {"Authorization": f"Bearer {reader.made.secret}"}
        async with httpx.AsyncClient(base_url=engine.url, headers=headers) as http:
            assert "alerts" not in (await http.get("/api/v1/status")).json()
            for path in ("/runs", f"/runs?client={ALERTS_CLIENT}", "/runs?q=alert"):
                assert (await http.get(f"/api/v1{path}")).json()["runs"] == []
            for path in (f"/runs/{run_id}", f"/steps/{run_id}"):
                assert (await http.get(f"/api/v1{path}")).status_code == 404
            assert (await http.post("/api/v1/alerts/test", json={})).status_code == 403


async def test_what_a_client_hides_from_people_is_in_no_alert(
    tmp_path: Path, app: Application
) -> None:
    """Its `redact`: what the endpoint says back of it, in its answer's reason, is masked there."""

    async def telling(call: Call) -> Answer:
        pin = json.loads(call.body)["payload"]["pin"]
        return Answer(500, json.dumps({"error": f"{pin} is not accepted"}).encode())

    app.handlers["telling"] = telling
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "shop.toml").write_text(f'targets = ["{app.url}/"]\nredact = ["/pin"]\n')
    token = "atomic_" + secrets.token_hex(32)
    (tmp_path / "admin").write_text(token)
    (tmp_path / "admin").chmod(0o600)
    asked = settings(tmp_path, app, clients_dir=str(clients), alerts_rules=["failed"],
                     admin_token_file=str(tmp_path / "admin"))  # fmt: skip
    with running(tmp_path, **asked) as engine:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=60) as http:
            answer = await Client(http, "shop").post(
                app.at("telling"), "k", {"pin": CANARY}, retry={"count": 0, "onExhausted": "fail"}
            )
            assert answer.status_code == 424, answer.text
            await eventually(lambda: app.called("hook"))
            (call,) = app.called("hook")
            assert json.loads(call.body)["data"]["excerpt"] == "*** is not accepted"
            assert CANARY not in call.body.decode()


async def test_no_post_reaches_the_client_of_alerts(tmp_path: Path, app: Application) -> None:
    """Nor does one of a client's name find its runs."""
    with running(tmp_path, **settings(tmp_path, app)) as engine:
        async with client(engine.url, ALERTS_CLIENT) as own:
            for key in ("k", "%5falerts"):
                answer = await own.post(f"{app.url}/hook", key)
                assert answer.status_code == 400
                assert answer.json()["type"].endswith("invalid-submission")
        assert app.called("hook") == []


async def test_an_alert_survives_a_kill(tmp_path: Path, app: Application) -> None:
    """The receiver was away: the next life sends it, under the same id."""
    app.handlers["hook"] = failing
    with_alerts = settings(tmp_path, app, alerts_rules=["failed"])
    with running(tmp_path, **with_alerts) as engine:
        async with client(engine.url, "shop") as shop:
            await fail(shop, app)
            await eventually(lambda: app.called("hook"))
        engine.kill()
        app.handlers["hook"] = fine
        again = await restart(engine, tmp_path, **with_alerts)
        try:
            await eventually(lambda: len(app.called("hook")) > 1)
            first, *_, last = app.called("hook")
            assert json.loads(first.body) == json.loads(last.body)
            assert first.headers["webhook-id"] == last.headers["webhook-id"]
        finally:
            again.kill()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "may not be called"),
        ("http://127.0.0.1:{port}/healthz", "is the engine itself"),
    ],
)
async def test_a_receiver_that_is_never_called_is_told_at_the_start(
    tmp_path: Path, app: Application, url: str, why: str
) -> None:
    """The engine does not start, and says what is wrong."""
    port = free_port()
    asked = settings(tmp_path, app, port=port) | {"alerts_url": url.format(port=port)}
    engine = launch(tmp_path, **asked)
    assert await trio.to_thread.run_sync(engine.wait) == 2
    assert "cannot start: alerts_url: " in engine.text
    assert why in engine.text
    assert "Traceback" not in engine.text
